"""Counts by function, and pages, are those of the native machine, single-stepped in the same World."""

from __future__ import annotations

import ctypes
import mmap
import shutil
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from emu.bench.compare import CODE, compare
from emu.bench.measure import measured, run
from emu.bench.recording import Measured
from emu.boot.boot import MSTART
from emu.compare.emulated import emulate
from emu.compare.evidence import Evidence
from emu.compare.impose import SharedTime, impose
from emu.compare.mirror import mirror
from emu.compare.native.process import Process
from emu.compare.natively import step
from emu.image.image import load

ENV = {"LANG": "C", "GOGC": "50"}
LOOP = 507
"""What the loop in goargs adds, from its disassembly: 100 rounds of add, inc, nop, cmp, jl; xor and jmp before them,
the last cmp and jl; mov, add, mov to undo it."""
PAGE, USER_TOP = 4096, 1 << 47
PRESENT, OF_FILE, FRAME = 1 << 63, 1 << 61, (1 << 55) - 1  # /proc/PID/pagemap: proc_pid_pagemap(5)
PR_SET_THP_DISABLE = 41


def entries(pid: int | str, low: int, high: int) -> Iterator[tuple[int, int]]:
    """(address, entry of the pagemap) of each page."""
    with open(f"/proc/{pid}/pagemap", "rb") as file:
        file.seek(low // PAGE * 8)
        content = file.read((high - low) // PAGE * 8)
    for index, (entry,) in enumerate(struct.iter_unpack("=Q", content)):
        yield low + index * PAGE, entry


def zero_frame() -> int:
    """The number of the frame that stands behind pages that were only read; 0 where numbers are not shown."""
    memory = mmap.mmap(-1, PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    assert memory[0] == 0
    addr = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    ((_, entry),) = entries("self", addr, addr + PAGE)
    return entry & FRAME


@contextmanager
def small_pages() -> Iterator[None]:
    """Keep the kernel from giving this process and its children huge pages."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
    yield
    libc.prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0)


def own_pages(process: Process) -> set[int]:
    """The pages that belong to *process* alone: written to, by it or by the kernel for it."""
    zero, found = zero_frame(), set()
    for low, high, _ in process.maps():
        if high <= USER_TOP:
            for addr, entry in entries(process.pid, low, high):
                if entry & PRESENT and not entry & OF_FILE and entry & FRAME != zero:
                    found.add(addr)
    return found


@dataclass(frozen=True)
class Both:
    """One program, measured and stepped natively; pages by address."""

    measured: Measured
    pages: set[int]
    native: Evidence
    own_before: set[int]
    own_after: set[int]


def both(path: Path) -> Both:
    """The program at *path*, in a World that mirrors this host, with what no host can be told imposed on it."""
    image, time = load(path), SharedTime()
    stop = image.function(MSTART)
    assert stop is not None
    with small_pages(), Process(path, argv=("program",), env=ENV) as process:
        world = impose(process, mirror(process, ("program",), ENV))
        emulate(image, world, stop, time)  # writes down the time that the native side is told
        boot = run(image, world)
        before = own_pages(process)
        native = step(process, image, world, stop, time)
        return Both(measured(*boot), boot[3].pages.addresses, native, before, own_pages(process))


Runs = Callable[[str], Both]


@pytest.fixture(scope="module")
def runs(binary: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Return a function that measures and steps a fixture, once; all are called hello, which lies on their stacks."""
    done: dict[str, Both] = {}

    def get(name: str) -> Both:
        if name not in done:
            path = tmp_path_factory.mktemp(name) / "hello"
            shutil.copy2(binary(name), path)
            done[name] = both(path)
        return done[name]

    return get


@pytest.fixture(params=["hello-1.24.11", "hello-1.27.3-stripped"])
def pair(request: pytest.FixtureRequest, runs: Runs) -> Both:
    """Return one program, measured and stepped."""
    return runs(request.param)


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


def test_pages_are_those_that_the_native_kernel_copied(pair: Both) -> None:
    """Page by page; those that the kernel wrote before the first instruction may be stored to again, or not."""
    if not zero_frame():
        pytest.skip("frame numbers are shown to CAP_SYS_ADMIN only")

    assert pair.pages - pair.own_before == pair.own_after - pair.own_before
    assert pair.pages <= pair.own_after
    assert pair.measured.totals.pages == len(pair.pages)


def test_a_dearer_function_is_named_with_the_exact_count(runs: Runs) -> None:
    """goargs, by its own code, and nothing else; what calls it costs as much more in all."""
    old, new = runs("hello-1.27.3-stripped"), runs("hello-1.27.3-goargs")
    change = compare(old.measured, new.measured)

    assert new.native.total - old.native.total == LOOP
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
