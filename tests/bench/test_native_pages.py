"""The pages that count as stored to are those of which the native kernel gave the program a copy of its own."""

from __future__ import annotations

import ctypes
import mmap
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emu.bench.measure import run
from emu.boot.boot import MSTART
from emu.compare.emulated import emulate
from emu.compare.impose import SharedTime, impose
from emu.compare.mirror import mirror
from emu.compare.native.process import Process
from emu.compare.natively import step
from emu.image.image import load

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


@pytest.fixture
def zero_frame() -> int:
    """Return the number of the frame that stands behind pages that were only read."""
    memory = mmap.mmap(-1, PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    assert memory[0] == 0
    addr = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    ((_, entry),) = entries("self", addr, addr + PAGE)
    if not entry & FRAME:
        pytest.skip("frame numbers are shown to CAP_SYS_ADMIN only")
    return entry & FRAME


@pytest.fixture
def small_pages() -> Iterator[None]:
    """Keep the kernel from giving this process and its children huge pages."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
    yield
    libc.prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0)


def own_pages(process: Process, zero_frame: int) -> set[int]:
    """The pages that belong to *process* alone: written to, by it or by the kernel for it."""
    found = set()
    for low, high, _ in process.maps():
        if high <= USER_TOP:
            for addr, entry in entries(process.pid, low, high):
                if entry & PRESENT and not entry & OF_FILE and entry & FRAME != zero_frame:
                    found.add(addr)
    return found


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("name", ["hello-1.21.13", "hello-1.27.3"])
def test_pages_are_those_that_the_native_kernel_copied(
    name: str, binary: Callable[[str], Path], zero_frame: int
) -> None:
    """Page by page; those that the kernel wrote before the first instruction may be stored to again, or not."""
    path = binary(name)
    image, time = load(path), SharedTime()
    stop = image.function(MSTART)
    assert stop is not None
    with Process(path, argv=("program",), env={}) as process:
        world = impose(process, mirror(process, ("program",), {}))
        emulate(image, world, stop, time)
        meter = run(image, world)[3]
        before = own_pages(process, zero_frame)
        step(process, image, world, stop, time)
        after = own_pages(process, zero_frame)

    assert meter.pages.addresses - before == after - before
    assert meter.pages.addresses <= after
    assert sum(cost.pages for cost in meter.own.values()) == len(meter.pages.addresses)
