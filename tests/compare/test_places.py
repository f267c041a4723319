"""Addresses by what they point at, and leaves by their types, on runs that are made by hand."""

from __future__ import annotations

import json
import struct

import pytest

from emu.compare.causes import CURRENT_CPU
from emu.compare.differences import words
from emu.compare.evidence import Evidence
from emu.compare.leaves import Comparer, LeafTally
from emu.compare.memory import MemoryTally
from emu.compare.places import Places
from emu.image.types import Layouts, LayoutTables
from syscalls.events import SyscallEvent
from syscalls.guest import GuestFault
from syscalls.numbers import NUMBERS

MMAP = 9
HERE, THERE = 0x7000_0000, 0x9000_0000  # the one mapping: emulated, native
DATA = 0x5000


def mapped(addr: int, size: int = 0x1000) -> SyscallEvent:
    """An mmap that returned *addr*."""
    return SyscallEvent(MMAP, "mmap", (0, size, 3, 0x22, 2**64 - 1, 0), addr, None, False, 1, 0)


def run(memory: dict[int, bytes], *calls: SyscallEvent, bias: int = 0, top: int = 0x7FFF_0000_0000) -> Evidence:
    """A run with these spans of memory."""

    def read(addr: int, size: int) -> bytes:
        for start, data in memory.items():
            if start <= addr and addr + size <= start + len(data):
                return data[addr - start : addr - start + size]
        raise GuestFault(addr)

    return Evidence("end", (), {}, calls, (), 0, read, bias, top)


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        (5, 5, True),
        (5, 6, False),
        (HERE, THERE, True),
        (HERE + 0xFFF, THERE + 0xFFF, True),
        (HERE + 0x1000, THERE + 0x1000, True),  # its end
        (HERE + 0x1001, THERE + 0x1001, False),
        (HERE + 8, THERE, False),
        (0x7FFE_FFFF_FF00, 0x6FFE_FFFF_FF00, True),  # the stack, counted from its end
        (0x400_010, 0x500_010, True),  # the program, loaded elsewhere
    ],
)
def test_places(ours: int, theirs: int, same: bool) -> None:
    """The same byte of the n-th mapping, of the stack, of the program."""
    emulated = run({}, mapped(HERE))
    native = run({}, mapped(THERE), bias=0x100_000, top=0x6FFF_0000_0000)

    assert Places(emulated, native, [(0x400_000, 0x100)]).same(ours, theirs) is same


def test_a_later_mapping_hides_an_earlier_one() -> None:
    """What is mapped over a place takes it: MAP_FIXED into a reservation."""
    emulated = run({}, mapped(HERE, 0x10000), mapped(HERE + 0x8000))
    native = run({}, mapped(THERE, 0x10000), mapped(THERE + 0x4000))
    places = Places(emulated, native, [])

    assert places.same(HERE + 0x8010, THERE + 0x4010)
    assert places.same(HERE + 0x10, THERE + 0x10)


LAYOUTS = Layouts(
    LayoutTables(
        "".join(
            f"\n{json.dumps(row)}"
            for row in (
                ["int", "int", 8],
                ["*int", "pointer", 8],
                ["string", "string", 16],
                ["[]string", "slice", 24, 2],
                ["main.T", "struct", 56, None, 0, ["n", 0, 0, "p", 8, 1, "s", 16, 2, "list", 32, 3]],
            )
        ),
        (["main.t"], [DATA], [4]),
        "",
    )
)


def globals_of(base: int, text: bytes = b"hello", number: int = 1, words: int = 1, gap: int = 0) -> dict[int, bytes]:
    """Memory of a run whose mapping is at *base*: a main.t that points into it, and eight bytes of no variable."""
    value = struct.pack("<qQQqQqqQ", number, base, base, len(text), base + 0x100, words, 4, gap)
    heap = text.ljust(0x100, b"\0") + struct.pack("<Qq", base, len(text)).ljust(0xF00, b"\0")
    return {DATA: value, base: heap}


def compared(ours: dict[int, bytes], theirs: dict[int, bytes]) -> LeafTally:
    """The tally of the data of two runs."""
    emulated, native = run(ours, mapped(HERE)), run(theirs, mapped(THERE))
    return Comparer(LAYOUTS, emulated, native, Places(emulated, native, [])).segments([(DATA, DATA + 64)])


def test_equal_runs() -> None:
    """Addresses that differ in number count apart from what is equal byte for byte."""
    tally = compared(globals_of(HERE), globals_of(THERE))

    assert (tally.leaves, tally.equal, tally.same_place, tally.plain, tally.plain_equal) == (4, 1, 3, 1, 1)
    assert (tally.differences, tally.unnamed_differences) == ([], [])
    assert (tally.bytes, tally.bytes_differing) == (64, 24)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"number": 2}, ["main.t.n"]),
        ({"text": b"jello"}, ["main.t.s", "main.t.list"]),  # by content, through the slice too
        ({"words": 0}, ["main.t.list"]),
        ({"text": b"hello!"}, ["main.t.s", "main.t.list"]),
    ],
)
def test_differences_are_named(change: dict[str, object], names: list[str]) -> None:
    """A number, the text behind a string, a length."""
    tally = compared(globals_of(HERE), globals_of(THERE, **change))  # type: ignore[arg-type]

    assert [one.name for one in tally.differences] == names


def test_bytes_of_no_variable_count_too() -> None:
    """What no leaf covers is compared all the same, and named by its address."""
    tally = compared(globals_of(HERE), globals_of(THERE, gap=1))

    assert tally.unnamed_differences == [DATA + 56]
    assert tally.differences == []


def test_only_the_area_of_rseq_may_hold_another_cpu() -> None:
    """The kernel writes there; the same difference anywhere else is a failure."""
    registered = SyscallEvent(NUMBERS["rseq"], "rseq", (0x1000, 32, 0, 0), 0, None, False, 1, 0)
    refused = SyscallEvent(NUMBERS["rseq"], "rseq", (0x2000, 32, 0, 0), -22, "EINVAL", False, 1, 0)
    tally = MemoryTally(differences=[(0x1000, 0, 1 << 32 | 1), (0x1020, 0, 1), (0x2000, 0, 1)])

    assert [one.cause for one in words(tally, [registered, refused])] == [CURRENT_CPU, None, None]


def test_content_that_only_one_side_can_read() -> None:
    """An unreadable page counts as zeros, so text that stands on one side only is a difference."""
    without = globals_of(HERE)
    del without[HERE]

    assert [one.name for one in compared(without, globals_of(THERE)).differences] == ["main.t.s", "main.t.list"]
