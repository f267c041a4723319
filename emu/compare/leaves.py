"""Every leaf of every global of two stopped runs, side by side: the whole of the program's writable segments."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from emu.boot.decode import ADDRESSES
from emu.compare.evidence import Evidence, Read
from emu.compare.places import Places
from emu.image.types import Layouts, Type
from syscalls.guest import PAGE, GuestFault

WORD = 8
MAX_CONTENT = 1 << 20  # bytes behind one string or slice that are compared
MAX_DEPTH = 4  # slices of slices that are followed
ADDRESS_KINDS = ADDRESSES | {"string", "slice", "eface", "iface", "uintptr"}
"""Kinds that may hold an address.  The runtime keeps many as uintptr; one that is a number must be equal anyway."""
POINTING = ("string", "slice")


@dataclass(frozen=True, slots=True)
class LeafDifference:
    """A leaf that differs, as bytes."""

    name: str
    type: Type
    emulated: bytes
    native: bytes


@dataclass(slots=True)
class LeafTally:
    """What was compared.  *equal*, *same_place* and the differences add up to *leaves*."""

    leaves: int = 0
    equal: int = 0  # byte for byte, and what strings and slices point at too
    same_place: int = 0  # addresses that differ in number only
    plain: int = 0  # leaves that cannot hold an address
    plain_equal: int = 0
    bytes: int = 0  # of the writable segments; all are compared
    bytes_differing: int = 0  # counted by words of 8
    differences: list[LeafDifference] = field(default_factory=list)
    unnamed_differences: list[int] = field(default_factory=list)  # link-time addresses of words in no leaf


class Comparer:
    """Compares typed values of two runs."""

    def __init__(self, layouts: Layouts, ours: Evidence, theirs: Evidence, places: Places) -> None:
        self._layouts, self._ours, self._theirs, self._places = layouts, ours, theirs, places

    def segments(self, ranges: list[tuple[int, int]]) -> LeafTally:
        """Compare all that lies in *ranges*, which are (start, end) of the emulated run."""
        tally = LeafTally()
        shift = self._theirs.bias - self._ours.bias
        for low, high in ranges:
            size = high - low
            self._segment(
                low - self._ours.bias, self._ours.read(low, size), self._theirs.read(low + shift, size), tally
            )
            tally.bytes += size
        return tally

    def _segment(self, low: int, ours: bytes, theirs: bytes, tally: LeafTally) -> None:
        named = bytearray(len(ours))
        for variable in self._layouts.globals_in(low, low + len(ours)):
            at = variable.addr - low
            for leaf in self._layouts.leaves(variable.type, path=variable.name):
                start, end = at + leaf.offset, at + leaf.offset + leaf.type.size
                if start >= 0 and end <= len(ours):
                    named[start:end] = b"\1" * (end - start)
                    self._leaf(leaf.path, leaf.type, ours[start:end], theirs[start:end], tally)
        for at in _words(ours, theirs):
            tally.bytes_differing += WORD
            if named.count(0, at, at + WORD) == WORD:
                tally.unnamed_differences.append(low + at)

    def _leaf(self, name: str, kind: Type, ours: bytes, theirs: bytes, tally: LeafTally) -> None:
        plain = kind.kind not in ADDRESS_KINDS
        tally.leaves += 1
        tally.plain += plain
        if not self.same(kind, ours, theirs):
            tally.differences.append(LeafDifference(name, kind, ours, theirs))
        elif ours == theirs:
            tally.equal += 1
            tally.plain_equal += plain
        else:
            tally.same_place += 1

    def same(self, kind: Type, ours: bytes, theirs: bytes, depth: int = MAX_DEPTH) -> bool:
        """Tell whether two leaves of *kind* are the same, addresses by what they point at."""
        if kind.kind in POINTING:
            headers = ours[WORD:] == theirs[WORD:] and self._same_words(ours[:WORD], theirs[:WORD])
            return headers and self._same_content(kind, ours, theirs, depth)
        if ours == theirs:
            return True
        return (kind.kind in ADDRESS_KINDS or kind.kind == "opaque") and self._same_words(ours, theirs)

    def _same_words(self, ours: bytes, theirs: bytes) -> bool:
        whole = len(ours) // WORD * WORD
        pairs = zip(struct.iter_unpack("<Q", ours[:whole]), struct.iter_unpack("<Q", theirs[:whole]), strict=True)
        return all(self._places.same(mine, other) for (mine,), (other,) in pairs) and ours[whole:] == theirs[whole:]

    def _same_content(self, kind: Type, ours: bytes, theirs: bytes, depth: int) -> bool:
        count = int.from_bytes(ours[WORD : 2 * WORD], "little", signed=True)
        elem = self._layouts.type(kind.elem) if kind.elem is not None else None
        width = 1 if kind.kind == "string" else elem.size if elem is not None else 0
        if count <= 0 or not width or not depth:
            return True
        size = min(count * width, MAX_CONTENT // width * width)
        mine, other = _content(self._ours.read, ours, size), _content(self._theirs.read, theirs, size)
        inner = [] if elem is None else list(self._layouts.leaves(elem))
        if mine == other and not any(leaf.type.kind in POINTING for leaf in inner):
            return True
        return bool(inner) and all(
            self.same(leaf.type, mine[start:end], other[start:end], depth - 1)
            for at in range(0, size, width)
            for leaf in inner
            for start, end in ((at + leaf.offset, at + leaf.offset + leaf.type.size),)
        )


def _content(read: Read, header: bytes, size: int) -> bytes:
    # What the program cannot read counts as zeros: of a table that is only reserved, most pages.  A debugger's read of
    # the native program finds zeros there too.
    addr = int.from_bytes(header[:WORD], "little")
    try:
        return read(addr, size)
    except GuestFault:
        return b"".join(_readable(read, start, end) for start, end in _pages(addr, addr + size))


def _readable(read: Read, start: int, end: int) -> bytes:
    try:
        return read(start, end - start)
    except GuestFault:
        return bytes(end - start)


def _pages(start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end:
        yield start, min(end, (start // PAGE + 1) * PAGE)
        start = (start // PAGE + 1) * PAGE


def _words(ours: bytes, theirs: bytes) -> Iterator[int]:
    # Offsets of the words that differ, found page by page: nearly all are equal.
    for page in range(0, len(ours), PAGE):
        if ours[page : page + PAGE] != theirs[page : page + PAGE]:
            for at in range(page, min(page + PAGE, len(ours)), WORD):
                if ours[at : at + WORD] != theirs[at : at + WORD]:
                    yield at
