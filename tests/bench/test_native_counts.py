"""Counts by function are those of the native machine, single-stepped in the same World."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from emu.bench.compare import CODE, Comparison, compare
from emu.bench.measure import measure
from emu.bench.recording import Measured
from emu.boot.boot import MSTART
from emu.compare.emulated import emulate
from emu.compare.evidence import Evidence
from emu.compare.impose import SharedTime, impose
from emu.compare.mirror import mirror
from emu.compare.native.process import Process
from emu.compare.natively import step
from emu.image.image import load

Paths = Callable[[str], Path]
ENV = {"LANG": "C", "GOGC": "50"}
LOOP = 507
"""What the loop in goargs adds, from its disassembly: 100 rounds of add, inc, nop, cmp, jl; xor and jmp before them,
the last cmp and jl; mov, add, mov to undo it."""


@dataclass(frozen=True)
class Both:
    """One program, measured and stepped natively."""

    measured: Measured
    native: Evidence


@cache
def both(path: Path) -> Both:
    """The program at *path*, in a World that mirrors this host, with what no host can be told imposed on it."""
    image, time = load(path), SharedTime()
    stop = image.function(MSTART)
    assert stop is not None
    with Process(path, argv=("program",), env=ENV) as process:
        world = impose(process, mirror(process, ("program",), ENV))
        emulate(image, world, stop, time)  # writes down the time that the native side is told
        return Both(measure(image, world), step(process, image, world, stop, time))


@pytest.fixture(params=["hello-1.24.11", "hello-1.27.3"])
def pair(request: pytest.FixtureRequest, binary: Paths) -> Both:
    """Return one program of each kind of time and entropy, measured and stepped."""
    return both(binary(request.param))


def test_every_function_executes_what_the_native_machine_counts(pair: Both) -> None:
    """Of all functions of the program, bootstrap or not: the counts are equal, and so is their sum."""
    assert {name: share.instructions for name, share in pair.measured.program.items()} == pair.native.counts
    assert pair.measured.totals.instructions == pair.native.total


def test_bootstrap_functions_cost_what_the_native_machine_counts(pair: Both) -> None:
    """With what they call, and without, all calls together."""
    own: dict[str, int] = {}
    calls: dict[str, int] = {}
    for visit in pair.native.visits:
        name = visit.name.removesuffix(".abi0")
        own[name] = own.get(name, 0) + visit.own
        calls[name] = calls.get(name, 0) + 1

    assert {row.name: row.own.instructions for row in pair.measured.functions} == own
    assert {row.name: row.calls for row in pair.measured.functions} == calls
    for visit in pair.native.visits:
        if calls[visit.name] == 1:
            row = pair.measured.function(visit.name)
            assert row is not None
            assert row.total.instructions == visit.instructions


def test_system_calls_are_the_native_ones(pair: Both) -> None:
    """As many of each."""
    names = [event.name for event in pair.native.syscalls]

    assert pair.measured.syscalls == {name: names.count(name) for name in names}


@pytest.fixture
def change(binary: Paths, tmp_path: Path) -> Comparison:
    """Return the comparison of a runtime with its twin that does a little more in goargs."""
    found = []
    for name in ("hello-1.27.3-stripped", "hello-1.27.3-goargs"):
        path = tmp_path / name / "hello"  # one name for both: it lies on the stack
        path.parent.mkdir()
        shutil.copy2(binary(name), path)
        found.append(both(path))
    old, new = found
    assert new.native.total - old.native.total == LOOP, "the twin was not built as its recipe says"
    return compare(old.measured, new.measured)


def test_a_dearer_function_is_named_with_the_exact_count(change: Comparison) -> None:
    """goargs, by its own code, and nothing else; what calls it costs as much more in all."""
    assert [(one.name, one.own[1].instructions - one.own[0].instructions) for one in change.moved if one.by_itself] == [
        ("runtime.goargs", LOOP)
    ]
    (cause,) = change.moved[0].causes
    assert (cause.kind, cause.name, cause.new - cause.old) == (CODE, "runtime.goargs", LOOP)
    around = {one.name: one.total[1].instructions - one.total[0].instructions for one in change.moved[1:]}
    names = ("_rt0_amd64_linux", "_rt0_amd64", "runtime.rt0_go", "runtime.schedinit")
    assert around == dict.fromkeys(names, LOOP)
    assert [(name, new.instructions - old.instructions) for name, old, new in change.program] == [
        ("runtime.goargs", LOOP)
    ]
