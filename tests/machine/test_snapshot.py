"""Snapshots: what follows a restored one is what follows a cold start, to the last page-table bit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emu.boot.boot import MSTART, entry_of
from emu.image.image import Image
from emu.machine import snapshot
from emu.machine.entries import ADDRESS, HAS_FRAME
from emu.machine.machine import Machine
from emu.machine.outcome import Outcome
from syscalls.guest import PAGE
from syscalls.numbers import NUMBERS
from syscalls.world import World
from tests.booted import image_of

REGISTERS: tuple[str, ...] = (
    "rax",
    "rbx",
    "rcx",
    "rdx",
    "rsi",
    "rdi",
    "rbp",
    "rsp",
    "rip",
    "r8",
    "r9",
    "r10",
    "r11",
    "r12",
    "r13",
)
REGISTERS += ("r14", "r15", "rflags", "fs_base", "mxcsr")
STEPS = ("runtime.args", "runtime.osinit", "runtime.schedinit", "runtime.mallocinit", "runtime.procresize")


def run_to(machine: Machine, function: str) -> Outcome:
    """Let *machine* run on to the entry of *function*."""
    assert isinstance(machine.image, Image)
    return machine.run(entry_of(machine.image, function) + machine.loaded.bias, function)


def memory(machine: Machine) -> str:
    """A checksum of all page-table entries, with their A and D bits, and of all that is behind them."""
    words, digest = machine.ram.words, hashlib.sha256()
    for number, table in sorted(machine.pages.tables.items()):
        entries = words[table : table + 512].tolist()
        digest.update(repr((number, entries)).encode())
        for entry in entries:
            if entry & HAS_FRAME:
                digest.update(machine.ram.bytes[entry & ADDRESS : (entry & ADDRESS) + PAGE])
    return digest.hexdigest()


def everything(machine: Machine) -> dict[str, Any]:
    """All that could differ between two machines that did the same."""
    return {
        "instructions": machine.total(),
        "profile": sorted(machine.counter.profile()),
        "registers": {name: machine.engine.read(name) for name in REGISTERS},
        "calls": list(machine.kernel.events),
        "output": list(machine.kernel.output),
        "areas": [area._replace(backing=None) for area in machine.kernel.space.areas],
        "frames": (machine.pages.frames, machine.ram.frames_used),
        "memory": memory(machine),
    }


@pytest.fixture(scope="module")
def image() -> Image:
    """The bundled hello."""
    return image_of()


@pytest.fixture(scope="module")
def cold(image: Image) -> dict[str, Any]:
    """What a new machine has done when it reaches mstart."""
    machine = Machine(image, World(), profiled=True)
    assert run_to(machine, MSTART).kind == "reached"
    return everything(machine)


@pytest.mark.parametrize("function", [None, *STEPS])
def test_run_from_a_snapshot_is_the_run_from_the_start(
    image: Image, cold: dict[str, Any], function: str | None
) -> None:
    """From the entry point or any function on, twice, with what ran in between undone."""
    machine = Machine(image, World(), profiled=True)
    if function is not None:
        assert run_to(machine, function).kind == "reached"
    taken = snapshot.take(machine)
    for _ in range(2):
        assert run_to(machine, MSTART).kind == "reached"
        assert everything(machine) == cold
        snapshot.restore(machine, taken)


def test_nested_snapshots_are_restored_in_any_order(image: Image, cold: dict[str, Any]) -> None:
    """Each leads to its own next one, whatever was restored before it."""
    machine = Machine(image, World(), profiled=True)
    moments: list[tuple[snapshot.Snapshot, dict[str, Any]]] = []
    for function in STEPS:
        run_to(machine, function)
        moments.append((snapshot.take(machine), everything(machine)))
    run_to(machine, MSTART)

    for i in (3, 0, 4, 1, 2, 2, 0):
        snapshot.restore(machine, moments[i][0])
        assert everything(machine) == moments[i][1]
        if i + 1 < len(STEPS):
            assert run_to(machine, STEPS[i + 1]).kind == "reached"
            assert everything(machine) == moments[i + 1][1]
    run_to(machine, MSTART)
    assert everything(machine) | {"profile": 0} == cold | {"profile": 0}


@pytest.mark.parametrize("name", ["arch_prctl", "sched_getaffinity", "openat", "read", "mmap"])
def test_run_stops_before_a_call_and_goes_on(image: Image, cold: dict[str, Any], name: str) -> None:
    """The call is yet to be made, and once it is, nothing tells that there was a stop, not even the clock."""
    machine = Machine(image, World(), profiled=True)
    machine.before_call = lambda nr, _: nr == NUMBERS[name]
    outcome = run_to(machine, MSTART)
    assert (outcome.kind, outcome.at) == ("reached", name)
    assert name not in [event.name for event in machine.kernel.events]
    taken = snapshot.take(machine)
    machine.before_call = None
    for _ in range(2):
        assert run_to(machine, MSTART).at == MSTART
        # The block before the call was left there, so the profile has it in two parts.
        assert everything(machine) | {"profile": 0} == cold | {"profile": 0}
        snapshot.restore(machine, taken)
    profile = [n * times for _, n, _, times in machine.counter.profile()]
    assert sum(profile) == machine.total() + 1  # the IRETQ into ring 3


def test_every_call_can_be_stopped_before(image: Image, cold: dict[str, Any]) -> None:
    """A run with a stop and a snapshot before each of its calls ends as one without."""
    machine = Machine(image, World(), profiled=True)
    machine.before_call = lambda *_: True
    stops = 0
    while run_to(machine, MSTART).at != MSTART:
        stops += 1
        snapshot.restore(machine, snapshot.take(machine))

    assert stops == len(cold["calls"])
    assert everything(machine) | {"profile": 0} == cold | {"profile": 0}


def test_snapshot_of_another_run_is_refused(image: Image) -> None:
    """A machine that began anew since does not take it."""
    machine = Machine(image, World(), profiled=True)
    taken = snapshot.take(machine)
    machine.begin_anew(World())
    with pytest.raises(ValueError, match="another run"):
        snapshot.restore(machine, taken)


def test_machine_begins_anew_after_a_restore(image: Image, cold: dict[str, Any]) -> None:
    """Restoring leaves nothing behind that a later boot on the same machine could see."""
    machine = Machine(image, World(), profiled=True)
    run_to(machine, "runtime.osinit")
    taken = snapshot.take(machine)
    run_to(machine, MSTART)
    snapshot.restore(machine, taken)
    machine.begin_anew(World())
    run_to(machine, MSTART)
    assert everything(machine) == cold


@pytest.mark.parametrize("name", ["esbuild-0.1.0", "hello-1.21.13-pie"])
def test_other_programs_too(binary: Callable[[str], Path], name: str) -> None:
    """Go 1.13.8, and a position-independent executable."""
    program = image_of(binary(name))
    first, second = Machine(program, World(), profiled=True), Machine(program, World(), profiled=True)
    run_to(first, MSTART)
    run_to(second, "runtime.schedinit")
    taken = snapshot.take(second)
    run_to(second, MSTART)
    snapshot.restore(second, taken)
    run_to(second, MSTART)
    assert everything(second) == everything(first)
