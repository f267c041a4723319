"""The typed diff of every global: which leaves of the data segments changed since the last look, from what to what.

The segments that the program may write are compared with a shadow copy, but only their dirty pages (the hardware's
D bits say which those are), and within those only the words that differ are turned into names.  Of a large .bss what
the program has not touched has neither frames nor a shadow: a global of a GiB costs nothing.
"""

from __future__ import annotations

import ctypes
import struct

from emu.boot.decode import Decoder, Read
from emu.image.types import Layouts, Leaf, Type
from emu.machine import accel
from emu.machine.machine import Machine
from emu.machine.paging import HAS_FRAME, SLICE, PageTables
from syscalls.guest import PAGE, PROT_WRITE
from syscalls.light import Any, dataclass

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
    """A part of a writable segment that has frames: where they are in guest RAM, what they held at the last look.

    *fresh*: they were zero until the guest touched them, which was after that look.
    """

    def __init__(self, machine: Machine, addr: int, size: int, fresh: bool) -> None:
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
        if fresh:
            self.shadow = bytearray(size)
        else:
            self.shadow = bytearray().join(ram.bytes[frame : frame + PAGE] for frame in self.frames)
        self.shadow_addr = ctypes.addressof(ctypes.c_char.from_buffer(self.shadow))

    def reader(self, machine: Machine) -> Read:
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
        self.begin_anew()

    def begin_anew(self) -> None:
        """Take what memory holds now for the start, as after the machine began anew."""
        self._values: dict[int, Any] = {}  # of every leaf that changed, by address, as it was when it did
        self._regions: list[_Region] = []
        self._untouched: list[tuple[int, int]] = []
        self._watch(writable_ranges(self._machine), fresh=False)

    def _watch(self, ranges: list[tuple[int, int]], fresh: bool) -> None:
        # Watch what of *ranges* has frames; keep in mind what has none yet.
        pages = self._machine.pages
        self._frames = pages.frames
        for low, high, filled in spans(pages, ranges):
            if filled:
                self._regions.append(_Region(self._machine, low, high - low, fresh))
            else:
                self._untouched.append((low, high))
        self._regions.sort(key=lambda region: region.addr)

    def changes(self) -> list[Change]:
        """Every leaf that changed, by address."""
        if self._untouched and self._frames != self._machine.pages.frames:
            untouched, self._untouched = self._untouched, []
            self._watch(untouched, fresh=True)
        changed = []
        for region in self._regions:
            words = self._differing_words(region)
            if words:
                changed.append((region, region.reader(self._machine), words))
        found: list[Change] = []
        across: set[int] = set()
        for region, read, words in changed:
            self._name(region, read, words, across, found)
        for region, read, words in changed:
            for offset, length in words:
                region.shadow[offset : offset + length] = read(region.addr + offset, length)
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

    def _name(
        self, region: _Region, read: Read, words: list[tuple[int, int]], across: set[int], found: list[Change]
    ) -> None:
        # Turn changed words into leaves; *across* has those that reach into several regions and were found already.
        value, end = self._decoder.value, region.addr + len(region.shadow)
        start = region.addr - self._bias
        leaves: dict[int, Leaf] = {}
        for offset, length in words:
            for leaf in self._layouts.leaves_between(start + offset, start + offset + length):
                leaves[leaf.offset] = leaf
        for name, at, kind in leaves.values():
            addr = at + self._bias
            low = addr - region.addr
            if low >= 0 and addr + kind.size <= end:
                before, after = bytes(region.shadow[low : low + kind.size]), read(addr, kind.size)
            elif addr in across:
                continue
            else:
                across.add(addr)
                before, after = self._before(addr, kind.size), self._machine.pages.peek(addr, kind.size)
            if before != after:
                # What an earlier change left is shown as it was then: what its pointers lead to may have changed since.
                old = self._values[addr] if addr in self._values else value(kind, before)
                new = self._values[addr] = value(kind, after)
                found.append(Change(name, kind, addr, before, old, new))

    def _before(self, addr: int, size: int) -> bytes:
        # What a leaf that reaches into several regions, or beyond them, was at the last look.
        content = bytearray(size)
        for region in self._regions:
            low, high = max(addr, region.addr), min(addr + size, region.addr + len(region.shadow))
            if low < high:
                content[low - addr : high - addr] = region.shadow[low - region.addr : high - region.addr]
        return bytes(content)


def spans(pages: PageTables, ranges: list[tuple[int, int]]) -> list[tuple[int, int, bool]]:
    """Split *ranges* into (start, end, whether its pages have frames), by address."""
    found: list[tuple[int, int, bool]] = []
    for low, high in ranges:
        at = low
        while at < high:
            end = min(high, at // SLICE * SLICE + SLICE)
            has = [entry & HAS_FRAME != 0 for entry in pages.entries(at, end - at)]
            if all(has) or not any(has):
                parts = [(at, end, has[0])]
            else:
                parts = [(at + i * PAGE, at + (i + 1) * PAGE, filled) for i, filled in enumerate(has)]
            for part in parts:
                if found and found[-1][1] == part[0] and found[-1][2] == part[2]:
                    found[-1] = (found[-1][0], *part[1:])
                else:
                    found.append(part)
            at = end
    return found


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
