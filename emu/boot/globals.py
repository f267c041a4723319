"""The typed diff of every global: which leaves of the data segments changed since the last look, from what to what.

The segments that the program may write are compared with a shadow copy, but only their dirty pages (the hardware's
D bits say which those are), and within those only the words that differ are turned into names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from emu.boot.decode import Decoder
from emu.image.types import Layouts, Leaf, Type
from emu.machine.machine import Machine
from emu.machine.paging import ADDRESS, DIRTY, SLICE
from syscalls.guest import PAGE, PROT_WRITE

CHUNK = 256  # bytes compared at once before single words are


@dataclass(slots=True)
class Change:
    """A leaf that changed: *before* and *after* are JSON values, *raw* its bytes before the first change."""

    name: str
    type: Type
    addr: int
    raw: bytes
    before: Any
    after: Any


class _Region:
    """One writable segment: where its pages are in guest RAM, and what they held at the last look."""

    def __init__(self, machine: Machine, addr: int, size: int) -> None:
        self.addr = addr
        self.frames: list[tuple[int, int]] = []  # (guest-physical address, index of the entry in ram.words)
        pages, ram = machine.pages, machine.ram
        for page in range(addr, addr + size, PAGE):
            pages.fault_in(page)
            table = pages._tables[page // SLICE]
            index = table + (page // PAGE & 511)
            self.frames.append((ram.words[index] & ADDRESS, index))
        self.shadow = bytearray().join(ram.bytes[frame : frame + PAGE] for frame, _ in self.frames)
        self.pages = [bytes(self.shadow[i : i + PAGE]) for i in range(0, len(self.shadow), PAGE)]


class GlobalsWatch:
    """Watches a machine's globals; :meth:`changes` yields what changed since the last call of it."""

    def __init__(self, machine: Machine, layouts: Layouts) -> None:
        self._machine = machine
        self._layouts = layouts
        self._bias = machine.loaded.bias
        self._words = machine.ram.words
        self._bytes = machine.ram.bytes
        self._decoder = Decoder(layouts, machine.pages.read)
        self._leaves: dict[int, list[tuple[str, int, Type]]] = {}  # word address -> leaves that overlap it
        self._regions = [_Region(machine, low, high - low) for low, high in writable_ranges(machine)]

    def changes(self) -> list[Change]:
        """Every leaf that changed, by address."""
        found: list[Change] = []
        for region in self._regions:
            for number, (frame, index) in enumerate(region.frames):
                if not self._words[index] & DIRTY:
                    continue
                now = bytes(self._bytes[frame : frame + PAGE])
                if now != region.pages[number]:
                    self._page(region, number, now, found)
        return found

    def _page(self, region: _Region, number: int, now: bytes, found: list[Change]) -> None:
        # Name the changed words of one page, then take the page's new content for the shadow.
        start = number * PAGE
        base = region.addr + start
        words = differing_words(region.pages[number], now)
        leaves = {leaf[1]: leaf for word in words for leaf in self._leaves_at(base + word)}
        value = self._decoder.value
        for name, addr, kind in leaves.values():
            low = addr - region.addr
            before = bytes(region.shadow[low : low + kind.size])
            inside = base <= addr and addr + kind.size <= base + PAGE
            after = now[addr - base : addr - base + kind.size] if inside else self._machine.pages.read(addr, kind.size)
            if before != after:
                found.append(Change(name, kind, addr, before, value(kind, before), value(kind, after)))
        region.shadow[start : start + PAGE] = now
        region.pages[number] = now

    def _leaves_at(self, addr: int) -> list[tuple[str, int, Type]]:
        cached = self._leaves.get(addr)
        if cached is None:
            cached = self._leaves[addr] = list(self._find_leaves(addr))
        return cached

    def _find_leaves(self, addr: int) -> Iterator[tuple[str, int, Type]]:
        low = addr - self._bias
        for variable in self._layouts.globals_in(low, low + 8):
            start = low - variable.addr
            leaf: Leaf
            for leaf in self._layouts.leaves(variable.type, max(start, 0), start + 8, variable.name):
                yield leaf.path, variable.addr + leaf.offset + self._bias, leaf.type


def writable_ranges(machine: Machine) -> list[tuple[int, int]]:
    """The (start, end) of the program's writable segments, adjoining ones as one."""
    ranges: list[tuple[int, int]] = []
    for addr, size, prot, _ in machine.loaded.program.segments:
        if not prot & PROT_WRITE:
            continue
        if ranges and ranges[-1][1] == addr:
            ranges[-1] = (ranges[-1][0], addr + size)
        else:
            ranges.append((addr, addr + size))
    return ranges


def differing_words(old: bytes, new: bytes) -> list[int]:
    """Offsets of the 8-byte words in which two pages differ."""
    found = []
    for start in range(0, PAGE, CHUNK):
        before, after = old[start : start + CHUNK], new[start : start + CHUNK]
        if before != after:
            pairs = zip(memoryview(before).cast("Q"), memoryview(after).cast("Q"), strict=True)
            found += [start + 8 * i for i, (x, y) in enumerate(pairs) if x != y]
    return found
