"""The typed diff of every global: which leaves of the data segments changed since the last look, from what to what.

The segments that the program may write are compared with a shadow copy, but only their dirty pages (the hardware's
D bits say which those are), and within those only the words that differ are turned into names.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emu.boot.decode import Decoder
from emu.image.types import Layouts, Type
from emu.machine import accel
from emu.machine.machine import Machine
from syscalls.guest import PAGE, PROT_WRITE

PAGE_NUMBER = struct.Struct("=I")


@dataclass(slots=True)
class Change:
    """A leaf that changed: *before* and *after* are JSON values, *raw* its bytes before the first change."""

    name: str
    type: Type
    addr: int
    raw: bytes
    before: Any
    after: Any
    after_call: int = -1  # index of the bootstrap call that was entered last when the change was seen


class _Region:
    """One writable segment: where its pages are in guest RAM, and what they held at the last look."""

    def __init__(self, machine: Machine, addr: int, size: int) -> None:
        self.addr = addr
        pages, ram = machine.pages, machine.ram
        self.frames = pages.frames_of(addr, size)  # guest-physical addresses
        # Runs of pages whose frames and entries both lie side by side: (first page, count, entries' host address).
        self.runs: list[tuple[int, int, int]] = []
        for page, frame in enumerate(self.frames):
            entry = ram.host_addr + 8 * pages.entry_index(addr + page * PAGE)
            if self.runs:
                first, count, entries = self.runs[-1]
                if frame == self.frames[first] + count * PAGE and entry == entries + 8 * count:
                    self.runs[-1] = (first, count + 1, entries)
                    continue
            self.runs.append((page, 1, entry))
        self.shadow = bytearray().join(ram.bytes[frame : frame + PAGE] for frame in self.frames)
        self.shadow_addr = ctypes.addressof(ctypes.c_char.from_buffer(self.shadow))

    def reader(self, machine: Machine) -> Callable[[int, int], bytes]:
        """A reader of the segment's bytes by guest address, the fastest that its frames allow."""
        if len(self.runs) > 1:
            return machine.pages.peek
        ram, to_physical = machine.ram.bytes, self.frames[0] - self.addr
        return lambda addr, size: bytes(ram[addr + to_physical : addr + to_physical + size])


class GlobalsWatch:
    """Watches a machine's globals; :meth:`changes` yields what changed since the last call of it."""

    def __init__(self, machine: Machine, layouts: Layouts) -> None:
        self._machine = machine
        self._layouts = layouts
        self._bias = machine.loaded.bias
        self._decoder = Decoder(layouts, machine.pages.peek)
        self._leaves: dict[tuple[int, int], list[tuple[str, int, Type]]] = {}
        self.begin_anew()

    def begin_anew(self) -> None:
        """Take what memory holds now for the start, as after the machine began anew."""
        machine = self._machine
        self._regions = [_Region(machine, low, high - low) for low, high in writable_ranges(machine)]

    def changes(self) -> list[Change]:
        """Every leaf that changed, by address."""
        found: list[Change] = []
        for region in self._regions:
            words = self._differing_words(region)
            if words:
                self._name(region, words, found)
        return found

    def _differing_words(self, region: _Region) -> list[tuple[int, int]]:
        # (offset, length) of each run of changed words, between the first and the last page that is marked dirty.
        found = []
        host = self._machine.ram.host_addr
        for first, count, entries in region.runs:
            dirty = accel.dirty_pages(entries, count)
            if not dirty:
                continue
            low, high = PAGE_NUMBER.unpack_from(dirty)[0], PAGE_NUMBER.unpack_from(dirty, len(dirty) - 4)[0]
            at = (first + low) * PAGE
            frame = host + region.frames[first + low]
            for offset, length in accel.differences(frame, region.shadow_addr + at, (high - low + 1) * PAGE):
                found.append((at + offset, length))
        return found

    def _name(self, region: _Region, words: list[tuple[int, int]], found: list[Change]) -> None:
        # Turn changed words into leaves, then take their new content for the shadow.
        read, value = region.reader(self._machine), self._decoder.value
        leaves: dict[int, tuple[str, int, Type]] = {}
        for offset, length in words:
            for leaf in self._leaves_at(region.addr + offset, length):
                leaves[leaf[1]] = leaf
        for name, addr, kind in leaves.values():
            low = addr - region.addr
            before = bytes(region.shadow[low : low + kind.size])
            after = read(addr, kind.size)
            if before != after:
                found.append(Change(name, kind, addr, before, value(kind, before), value(kind, after)))
        for offset, length in words:
            region.shadow[offset : offset + length] = read(region.addr + offset, length)

    def _leaves_at(self, addr: int, size: int) -> list[tuple[str, int, Type]]:
        # The leaves that overlap a range, with their run-time addresses; the same few ranges change again and again.
        cached = self._leaves.get((addr, size))
        if cached is None:
            cached = self._leaves[addr, size] = []
            low = addr - self._bias
            for variable in self._layouts.globals_in(low, low + size):
                start = low - variable.addr
                at = variable.addr + self._bias
                for leaf in self._layouts.leaves(variable.type, max(start, 0), start + size, variable.name):
                    cached.append((leaf.path, at + leaf.offset, leaf.type))
        return cached


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
