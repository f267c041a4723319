"""System calls take time: alarms go off when they shall, snapshots keep what passed, with and without accelerator."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from emu.machine import snapshot
from emu.machine.machine import Machine
from fixtures.native import compile_program
from fixtures.store import ROOT
from syscalls.world import Clock, Limits, World, lasting
from tests.booted import image_of
from tests.machine.test_snapshot import everything, run_to

RT0 = str(Path(sys.executable).with_name("rt0"))
ALARM_NS, MORE = 3_000_000, 10_000
SLACK_NS = 20_000  # the instructions of printf, of a handler, and of 10,000 turns of a loop, at half a nanosecond each


def said(path: Path, *options: str, accel: str = "1") -> list[int]:
    """What the program prints, as numbers."""
    done = subprocess.run(
        [RT0, "run", *options, str(path)], env={**os.environ, "RT0_ACCEL": accel}, capture_output=True, check=True
    )
    return [int(word) for word in done.stdout.split()]


@pytest.fixture(scope="module")
def program() -> Path:
    """The program that asks for the time between system calls."""
    return compile_program(ROOT / "tests" / "native" / "calltime.c", base=("-static", "-O1", "-Wall", "-Werror"))


@pytest.mark.parametrize("ns", [0, 1_000, 50_000])
def test_an_alarm_goes_off_on_time_between_calls(program: Path, ns: int) -> None:
    """Not when the instructions alone have taken so long: as many calls are made as fit."""
    calls, took, more, used = said(program, f"--set=clock.nanoseconds-per-call={ns}")

    assert ALARM_NS <= took < ALARM_NS + SLACK_NS + 2 * ns
    assert MORE * ns < more < MORE * ns + 10 * SLACK_NS
    assert (ALARM_NS - SLACK_NS) // (ns + 50) < calls < ALARM_NS // max(ns, 2) + 10
    assert used + calls * ns < took + more + 10 * SLACK_NS  # processor time is that of instructions


def test_a_call_takes_a_microsecond_with_and_without_the_accelerator(program: Path) -> None:
    """Where nothing else is said; the same to the last nanosecond."""
    usual = said(program)

    assert usual == said(program, "--set=clock.nanoseconds-per-call=1000") == said(program, accel="0")
    assert 2_500 < usual[0] < 3_000
    assert usual[2] > MORE * 1_000


def test_snapshots_keep_the_time_that_calls_took(binary: Callable[[str], Path]) -> None:
    """What follows a restored one is what follows a cold start; less of a limit on time is left."""
    image = image_of(binary("hello-1.27.3"))
    world = lasting(World())
    cold = Machine(image, world, profiled=True)
    assert run_to(cold, "main.main").kind == "reached"
    machine = Machine(image, world, profiled=True)
    run_to(machine, "runtime.procresize")
    taken = snapshot.take(machine)
    for _ in range(2):
        run_to(machine, "main.main")
        assert everything(machine) == everything(cold)
        assert machine.kernel.clock.elapsed_ns() == cold.kernel.clock.elapsed_ns()
        snapshot.restore(machine, taken)

    short = replace(world, limits=Limits(virtual_ns=40_000))
    plain = replace(short, clock=Clock(nanoseconds_per_call=0))
    made = [Machine(image, each) for each in (short, plain)]
    assert [each.run().at for each in made] == ["virtual time"] * 2
    assert len(made[0].kernel.events) <= 40 < len(made[1].kernel.events)
