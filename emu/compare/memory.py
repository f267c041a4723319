"""What lies behind the globals: every page of heap, allocator and stack that the emulated program touched.

There are no types here, so memory is compared by words: each is equal, or an address of the same place.  A page that
was touched on neither side is zero on both; one that only the native program touched shows in its system calls, counts
and globals.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from emu.compare.evidence import Evidence
from emu.compare.places import Places
from emu.machine.machine import Machine
from syscalls.guest import PAGE, PROT_READ, PROT_WRITE, GuestFault

WORD = 8


@dataclass(slots=True)
class MemoryTally:
    """What was compared; *equal* bytes and *same_place* words and the differences add up to *bytes*."""

    bytes: int = 0
    equal: int = 0
    same_place: int = 0  # words
    differences: list[tuple[int, int, int]] = field(default_factory=list)  # emulated address, word here, word there


def compare(machine: Machine, ours: Evidence, theirs: Evidence, places: Places) -> MemoryTally:
    """Compare the touched pages of *machine* outside of the program's own segments."""
    tally = MemoryTally()
    for page in _touched(machine):
        mine = ours.read(page, PAGE)
        try:
            other = theirs.read(places.native(page), PAGE)
        except GuestFault:  # nothing is mapped there
            other = bytes(PAGE)
        tally.bytes += PAGE
        if mine == other:
            tally.equal += PAGE
        else:
            _words(page, mine, other, places, tally)
    return tally


def _touched(machine: Machine) -> Iterator[int]:
    own = [(addr, addr + size) for addr, size, _, _ in machine.loaded.program.segments]
    readable = PROT_READ | PROT_WRITE
    for area in machine.kernel.space.areas:
        if area.prot & readable != readable or any(low <= area.start < high for low, high in own):
            continue
        for number, resident in enumerate(machine.pages.resident(area.start, (area.end - area.start) // PAGE)):
            if resident:
                yield area.start + number * PAGE


def _words(page: int, mine: bytes, other: bytes, places: Places, tally: MemoryTally) -> None:
    words = struct.Struct("<512Q")
    for number, (here, there) in enumerate(zip(words.unpack(mine), words.unpack(other), strict=True)):
        if here == there:
            tally.equal += WORD
        elif places.same(here, there):
            tally.same_place += 1
        else:
            tally.differences.append((page + number * WORD, here, there))
