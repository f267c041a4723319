"""The typed diff of every global: which leaves of the data segments changed since the last look, from what to what.

The segments that the program may write are compared with a shadow copy, but only their dirty pages (the hardware's
D bits say which those are), and within those only the words that differ are turned into names.  Of a large .bss what
the program has not touched has neither frames nor a shadow: a global of a GiB costs nothing.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from weakref import WeakKeyDictionary

from emu.boot.decode import ADDRESSES, FORMATS, U64, Decoder, Read
from emu.image.types import MAX_KEPT, Layouts, Type
from emu.machine import accel
from emu.machine.entries import HAS_FRAME, SLICE
from emu.machine.machine import Machine
from emu.machine.paging import PageTables
from syscalls.guest import PAGE, PROT_WRITE
from syscalls.light import Any

INTEGERS = {name: form.unpack_from for name, form in FORMATS.items() if not name.startswith("float")} | dict.fromkeys(
    ADDRESSES, U64.unpack_from
)
"""How to read the kinds of which two values are equal exactly if their bytes are."""
Known = tuple[str, Type, int, Callable[[Any, int], tuple[int]] | None]
"""Of a leaf: its path, type, size and what reads it in one go, if that is so simple."""
KNOWN: WeakKeyDictionary[Layouts, dict[tuple[int, int], dict[int, Known]]] = WeakKeyDictionary()
"""The leaves of ranges that changed, worked out once a program."""


class Change:
    """A leaf that changed: *before* and *after* are JSON values."""

    __slots__ = ("addr", "after", "after_call", "before", "name", "type")

    def __init__(self, name: str, kind: Type, addr: int, before: Any, after: Any) -> None:
        self.name = name
        self.type = kind
        self.addr = addr
        self.before = before
        self.after = after
        self.after_call = -1  # index of the bootstrap call that was entered last when the change was seen


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
        # Where one run is all, an offset in the region is one in guest RAM; else None.
        self.to_physical = self.frames[0] if len(self.runs) == 1 else None
        shadow = ctypes.addressof(ctypes.c_char.from_buffer(self.shadow))
        # Of each run: its entries, how many, and the host's addresses of frames and shadow; its offset in the region.
        self.looked_at = [
            (entries, count, ram.host_addr + self.frames[first], shadow + first * PAGE, first * PAGE)
            for first, count, entries in self.runs
        ]

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
        self._known = KNOWN.setdefault(layouts, {})
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
        # (offset, length) of each run of changed words, in pages that are marked dirty.
        found = []
        for ptes, count, frame, shadow, at in region.looked_at:
            words = accel.dirty_differences(ptes, count, frame, shadow)
            found += [(at + offset, length) for offset, length in words] if at else words
        return found

    def _name(
        self, region: _Region, read: Read, words: list[tuple[int, int]], across: set[int], found: list[Change]
    ) -> None:
        # Turn changed words into leaves; *across* has those that reach into several regions and were found already.
        value, values, shadow, size_of_region = self._decoder.value, self._values, region.shadow, len(region.shadow)
        ram, to_physical = self._machine.ram.bytes, region.to_physical
        start, bias = region.addr - self._bias, self._bias
        leaves = self._leaves_between(start + words[0][0], words[0][1])
        if len(words) > 1:
            leaves = dict(leaves)
            for offset, length in words[1:]:
                leaves.update(self._leaves_between(start + offset, length))
        for at, (name, kind, size, integer) in leaves.items():
            low = at - start
            inside = low >= 0 and low + size <= size_of_region
            if inside and integer and to_physical is not None:
                old: Any = integer(shadow, low)[0]
                new: Any = integer(ram, to_physical + low)[0]
                if old == new:
                    continue
                if kind.kind in ADDRESSES:
                    old, new = hex(old), hex(new)
                addr = at + bias
            else:
                addr = at + bias
                if inside:
                    before, after = bytes(shadow[low : low + size]), read(addr, size)
                elif addr in across:
                    continue
                else:
                    across.add(addr)
                    before, after = self._before(addr, size), self._machine.pages.peek(addr, size)
                if before == after:
                    continue
                old, new = None if addr in values else value(kind, before), value(kind, after)
            # What an earlier change left is shown as it was then: what its pointers lead to may have changed since.
            found.append(Change(name, kind, addr, values.get(addr, old), new))
            values[addr] = new

    def _leaves_between(self, low: int, size: int) -> dict[int, Known]:
        # By link-time address, the leaves with a byte in *size* bytes at *low*, with what reading them needs.
        found = self._known.get((low, size))
        if found is None:
            if len(self._known) >= MAX_KEPT:
                self._known.clear()
            found = self._known[low, size] = {
                leaf.offset: (leaf.path, leaf.type, leaf.type.size, INTEGERS.get(leaf.type.kind))
                for leaf in self._layouts.leaves_between(low, low + size)
            }
        return found

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
