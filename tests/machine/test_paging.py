"""Page tables: mapping, permissions, demand and what the kernel sees through them."""

from __future__ import annotations

import pytest

from emu.machine.entries import EAGER, SLICE
from emu.machine.paging import PageTables
from emu.machine.ram import Ram
from syscalls.guest import PAGE, PROT_NONE, PROT_READ, PROT_WRITE, GuestFault, OutOfFrames

READ_WRITE = PROT_READ | PROT_WRITE
BASE = 0x10_0000_0000


@pytest.fixture
def pages() -> PageTables:
    """An empty address space over 64 MiB of guest RAM, 2,048 of its frames for the guest."""
    return PageTables(Ram(64 << 20), 2048, lambda: None)


def test_written_bytes_are_read_back_across_pages(pages: PageTables) -> None:
    """A store that spans pages lands in each of them."""
    pages.map(BASE, 3 * PAGE, READ_WRITE)
    data = bytes(range(256)) * 20

    pages.write(BASE + PAGE - 100, data)

    assert pages.read(BASE + PAGE - 100, len(data)) == data
    assert pages.read(BASE, 8) == bytes(8)


def test_store_that_would_fault_stores_nothing(pages: PageTables) -> None:
    """The fault carries the first address that may not be written, and the pages before it are untouched."""
    pages.map(BASE, PAGE, READ_WRITE)
    pages.map(BASE + PAGE, PAGE, PROT_READ)

    with pytest.raises(GuestFault) as fault:
        pages.write(BASE + PAGE - 4, b"12345678")

    assert fault.value.addr == BASE + PAGE
    assert fault.value.write
    assert pages.read(BASE + PAGE - 4, 4) == bytes(4)


@pytest.mark.parametrize("addr", [0, BASE, 1 << 47, (1 << 64) - PAGE])
def test_unmapped_addresses_fault(pages: PageTables, addr: int) -> None:
    """Nothing is mapped: not the null page, not the kernel's half."""
    with pytest.raises(GuestFault):
        pages.read(addr, 1)


def test_protection_none_keeps_contents(pages: PageTables) -> None:
    """mprotect(PROT_NONE) and back shows the old bytes; in between the page faults."""
    pages.map(BASE, PAGE, READ_WRITE)
    pages.write(BASE, b"kept")

    pages.protect(BASE, PAGE, PROT_NONE)
    with pytest.raises(GuestFault):
        pages.read(BASE, 4)
    pages.protect(BASE, PAGE, PROT_READ)

    assert pages.read(BASE, 4) == b"kept"


def test_unmapped_frames_are_reused_as_zeros(pages: PageTables) -> None:
    """What a later mapping gets does not show what an earlier one left."""
    pages.map(BASE, 16 * PAGE, READ_WRITE)
    used = pages.frames
    pages.write(BASE, b"secret" * 1000)

    pages.unmap(BASE, 16 * PAGE)
    assert pages.frames == used - 16
    pages.map(BASE + SLICE, 16 * PAGE, READ_WRITE)

    assert pages.read(BASE + SLICE, 16 * PAGE) == bytes(16 * PAGE)


def test_discard_reads_as_zero_and_stays_mapped(pages: PageTables) -> None:
    """madvise(MADV_DONTNEED)."""
    pages.map(BASE, 2 * PAGE, READ_WRITE)
    pages.lazy = lambda _addr: (BASE, BASE + 2 * PAGE, READ_WRITE)
    pages.write(BASE, b"x" * (2 * PAGE))

    pages.discard(BASE, PAGE)

    assert pages.read(BASE, 2 * PAGE) == bytes(PAGE) + b"x" * PAGE


def test_large_mappings_get_frames_when_touched(pages: PageTables) -> None:
    """A gigabyte costs nothing until a slice of it is touched."""
    size = 1 << 30
    pages.map(BASE, size, READ_WRITE)
    pages.lazy = lambda addr: (BASE, BASE + size, READ_WRITE) if BASE <= addr < BASE + size else None
    assert size > EAGER
    assert pages.frames == 0

    pages.write(BASE + size - 8, b"deadbeef")

    assert pages.frames == SLICE // PAGE
    assert pages.read(BASE + size - 8, 8) == b"deadbeef"
    assert pages.resident(BASE, 1) == b"\0"
    assert pages.resident(BASE + size - PAGE, 1) == b"\1"


def test_frames_run_out(pages: PageTables) -> None:
    """The limit holds for eager and for demanded pages; near it, demand falls back to single pages."""
    size = 1 << 30
    pages.lazy = lambda _addr: (BASE, BASE + size, READ_WRITE)
    for slice_no in range(4):
        assert pages.fault_in(BASE + slice_no * SLICE)
    assert pages.frames == 2048

    with pytest.raises(OutOfFrames):
        pages.fault_in(BASE + 4 * SLICE)
    with pytest.raises(OutOfFrames):
        pages.map(BASE - SLICE, PAGE, READ_WRITE)


def test_mapping_replaces_what_was_there(pages: PageTables) -> None:
    """MAP_FIXED over a used page gives zeros with the new permissions."""
    pages.map(BASE, PAGE, READ_WRITE)
    pages.write(BASE, b"old")

    pages.map(BASE, PAGE, PROT_READ)

    assert pages.read(BASE, 3) == bytes(3)
    with pytest.raises(GuestFault):
        pages.write(BASE, b"new")


def test_an_observer_leaves_untouched_pages_untouched(pages: PageTables) -> None:
    """Peeking at a large mapping shows zeros and takes no frame; the guest, reading the same byte, takes a slice."""
    size = 4 * EAGER
    pages.lazy = lambda addr: (BASE, BASE + size, READ_WRITE) if BASE <= addr < BASE + size else None
    pages.map(BASE, size, READ_WRITE)
    before = pages.frames

    assert pages.peek(BASE + SLICE - 8, 16) == bytes(16)
    assert pages.frames == before
    pages.write(BASE + SLICE - 8, b"eight")
    assert pages.peek(BASE + SLICE - 8, 5) == b"eight"
    assert pages.frames > before


def test_an_observer_faults_where_the_guest_would(pages: PageTables) -> None:
    """Absent pages and PROT_NONE ones cannot be peeked at."""
    pages.lazy = lambda addr: (BASE, BASE + PAGE, PROT_NONE) if BASE <= addr < BASE + PAGE else None

    for addr in (BASE, BASE + PAGE, 1 << 47, (1 << 64) - PAGE):
        with pytest.raises(GuestFault):
            pages.peek(addr, 1)
