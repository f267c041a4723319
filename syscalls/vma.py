"""The list of a process's mappings: a sorted list of areas that splits and merges as Linux's does.

Bookkeeping only: no guest memory is touched here, no limit is checked and no error number is known.  Everything is
kept in two parallel lists searched with :mod:`bisect`; areas are immutable, so a copy of the lists is a snapshot.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator

from syscalls.light import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from syscalls.recall import Moment
    from syscalls.tree.stored import StoredFile

STACK_GUARD_GAP = 256 * 4096
"""Bytes that Linux keeps free below a mapping that grows down (``stack_guard_gap``, mm/mmap.c)."""

# Properties of an area that stay after mmap and keep it from merging with a neighbour that differs in them.
SHARED, GROWSDOWN, NORESERVE, HUGEPAGE, NOHUGEPAGE = 1, 2, 4, 8, 16
DONTFORK, DONTDUMP, WIPEONFORK, MERGEABLE, SEQUENTIAL, RANDOM = 32, 64, 128, 256, 512, 1024


class Backing(Protocol):
    """The file behind a mapping."""

    path: str
    device: tuple[int, int]
    inode: int
    stored: StoredFile | None  # what shared mappings are brought together with (syscalls.shared)
    writable: bool  # whether it was open for writing

    def content(self) -> bytes:
        """Return the bytes of the file as it is now."""
        ...

    def part(self, offset: int, size: int) -> bytes:
        """Return up to *size* of those bytes from *offset*, a multiple of a page, on."""
        ...

    def end(self) -> int | None:
        """Return the size of the file as it is now; None if no mapping can reach behind it."""
        ...


class Vma(NamedTuple):
    """One mapping: the bytes from *start* up to *end*, both page-aligned."""

    start: int
    end: int
    prot: int
    flags: int = 0
    backing: Backing | None = None
    offset: int = 0  # bytes into the file at `start`
    name: str = ""  # "[heap]", "[stack]", "[anon:Go: heap]"; empty: unnamed, or the file's path

    def clip(self, lo: int, hi: int) -> Vma:
        """Return the part of this area inside [lo, hi), which must overlap it."""
        start, end, prot, flags, backing, offset, name = self
        if lo <= start and hi >= end:
            return self
        if backing is not None and lo > start:
            offset += lo - start
        return make((max(start, lo), min(end, hi), prot, flags, backing, offset, name))

    def continues(self, other: Vma) -> bool:
        """Say whether this area could be the continuation of *other*, which ends where this one starts."""
        start, _, prot, flags, backing, offset, name = self
        other_start, other_end, other_prot, other_flags, other_backing, other_offset, other_name = other
        return (
            other_end == start
            and other_prot == prot
            and other_flags == flags
            and other_name == name
            and other_backing is backing
            and (backing is None or offset == other_offset + (other_end - other_start))
        )


make: Callable[[Iterable[object]], Vma] = Vma._make
"""Build an area from its seven fields: half the cost of calling the class, on a path that every mapping call takes."""


def is_shared(area: Vma) -> bool:
    """Say whether *area* is a shared mapping of a file."""
    return area.backing is not None and bool(area.flags & SHARED)


MOST_SEARCHES = 16
"""How many searches for room are remembered, so that the next one does not begin at the top again."""


class VmaList:
    """Non-overlapping areas in order of address."""

    __slots__ = ("_borrowed", "_full", "areas", "moment", "shares", "size", "starts")

    def __init__(self, areas: list[Vma] | None = None) -> None:
        self.moment: Moment | None = None  # of which these are the areas, if calls are remembered
        self._borrowed = False  # the lists are another's, too
        self.areas: list[Vma] = sorted(areas or [], key=lambda area: area.start)
        self.size = sum(area.end - area.start for area in self.areas)  # bytes mapped in all
        self.starts: list[int] = [area.start for area in self.areas]
        self.shares = any(map(is_shared, self.areas))  # there is, or was, a shared mapping of a file
        # What searches found out: (high, align, size) -> a start above which nothing as large, or larger, is free.
        self._full: dict[tuple[int, int, int], int] = {}

    def __iter__(self) -> Iterator[Vma]:
        return iter(self.areas)

    def __len__(self) -> int:
        return len(self.areas)

    def copy(self) -> VmaList:
        """Return an independent list of the same areas."""
        twin = VmaList.__new__(VmaList)
        twin.become(self)
        twin._own()
        return twin

    def become(self, other: VmaList) -> None:
        """Have the areas of *other*, whose lists are copied if these change; *other* must stay as it is until then."""
        self.areas, self.starts, self.size, self.shares = other.areas, other.starts, other.size, other.shares
        self._full, self.moment, self._borrowed = other._full, other.moment, True

    def _own(self) -> None:
        # Before anything changes.
        if self._borrowed:
            self.areas, self.starts, self._full, self._borrowed = self.areas[:], self.starts[:], dict(self._full), False

    def _first(self, addr: int) -> int:
        # The index of the first area that ends above addr.
        index = bisect_right(self.starts, addr) - 1
        return index if index >= 0 and self.areas[index].end > addr else index + 1

    def at(self, addr: int) -> Vma | None:
        """Return the area that holds *addr*."""
        index = self._first(addr)
        return self.areas[index] if index < len(self.areas) and self.areas[index].start <= addr else None

    def overlaps(self, lo: int, hi: int) -> bool:
        """Say whether any byte of [lo, hi) is mapped."""
        index = self._first(lo)
        return index < len(self.areas) and self.areas[index].start < hi

    def pieces(self, lo: int, hi: int) -> list[Vma]:
        """Return the mapped parts of [lo, hi), clipped to it, in order."""
        first, last = self._first(lo), bisect_left(self.starts, hi)
        found = self.areas[first:last]
        if found:
            found[0] = found[0].clip(lo, hi)
            found[-1] = found[-1].clip(lo, hi)
        return found

    def covers(self, lo: int, hi: int) -> bool:
        """Say whether every byte of [lo, hi) is mapped."""
        return sum(piece.end - piece.start for piece in self.pieces(lo, hi)) == hi - lo

    def remove(self, lo: int, hi: int) -> list[Vma]:
        """Take [lo, hi) out, splitting areas at its ends; return the parts taken out."""
        first = bisect_right(self.starts, lo)
        if first and self.areas[first - 1].end > lo:
            first -= 1
        last = bisect_left(self.starts, hi, first)
        if first >= last:
            return []
        self.moment = None
        self._own()
        if self._full:
            self._full = {search: start for search, start in self._full.items() if start >= hi}
        taken = self.areas[first:last]
        head, tail = taken[0], taken[-1]
        if first + 1 == last and head.start == lo and head.end == hi:  # the common case
            self.size -= hi - lo
            del self.areas[first], self.starts[first]
            return taken
        keep = [head.clip(head.start, lo)] if head.start < lo else []
        if tail.end > hi:
            keep.append(tail.clip(hi, tail.end))
        taken[0] = head.clip(lo, hi)
        taken[-1] = tail.clip(lo, hi)
        for area in taken:
            self.size -= area.end - area.start
        self.areas[first:last] = keep
        self.starts[first:last] = [area.start for area in keep]
        return taken

    def insert(self, area: Vma) -> None:
        """Add *area*, whose range must be free, merging it with equal neighbours."""
        start, end, _, flags, backing, _, _ = area
        self.size += end - start
        if backing is not None and flags & SHARED:
            self.shares = True
        index = bisect_left(self.starts, start)
        self._put(index, index, area)

    def _put(self, lo: int, hi: int, area: Vma) -> None:
        # Let *area* stand in place of those numbered from *lo* up to *hi*, merged with equal neighbours.
        self.moment = None
        self._own()
        areas, starts = self.areas, self.starts
        start, end, prot, flags, backing, offset, name = area
        if lo and areas[lo - 1].end == start and area.continues(areas[lo - 1]):
            lo -= 1
            start, offset = areas[lo].start, areas[lo].offset
            area = make((start, end, prot, flags, backing, offset, name))
        if hi < len(areas) and starts[hi] == end and areas[hi].continues(area):
            end = areas[hi].end
            hi += 1
            area = make((start, end, prot, flags, backing, offset, name))
        if lo == hi:
            areas.insert(lo, area)
            starts.insert(lo, start)
        elif lo + 1 == hi:
            areas[lo], starts[lo] = area, start
        else:
            areas[lo:hi] = [area]
            starts[lo:hi] = [start]

    def change(self, lo: int, hi: int, new: Callable[[Vma], Vma]) -> None:
        """Replace every mapped part of [lo, hi) by what *new* makes of it, merging where parts become equal."""
        index = bisect_left(self.starts, lo)
        if index < len(self.areas) and self.starts[index] == lo and self.areas[index].end == hi:  # the common case
            self._put(index, index + 1, new(self.areas[index]))
            return
        self._own()
        full = self._full
        for piece in self.remove(lo, hi):
            self.insert(new(piece))
        self._full = full  # nothing became free

    def room_start(self, index: int) -> int:
        """Return where free space below area *index* ends: its start, less the gap that a stack keeps."""
        start = self.starts[index]
        return max(start - STACK_GUARD_GAP, 0) if self.areas[index].flags & GROWSDOWN else start

    def is_free(self, lo: int, hi: int) -> bool:
        """Say whether [lo, hi) is unmapped and outside the guard gap of a stack, as mmap asks of a hint."""
        index = self._first(lo)
        return index >= len(self.areas) or self.room_start(index) >= hi

    def gap_below(self, high: int, low: int, size: int, align: int) -> int | None:
        """Return the highest multiple of *align* that starts *size* free bytes inside [low, high), or None."""
        end, full = high, self._full
        for (of, for_align, for_size), start in full.items():
            if for_size <= size and start + size < end and of == high and for_align == align:
                end = start + size
        found = self._gap_below(end, low, size, align)
        if found is not None:
            self._own()
            full = self._full
            # Forget what this one says too: in a program that maps downwards it is all there is to know.
            for search in [one for one, start in full.items() if start >= found and one[2] >= size]:
                if search[0] == high and search[1] == align:
                    del full[search]
            if len(full) >= MOST_SEARCHES:
                full.clear()
            full[high, align, size] = found
        return found

    def _gap_below(self, high: int, low: int, size: int, align: int) -> int | None:
        above, areas = bisect_left(self.starts, high), self.areas
        # A stack just above *high* keeps its guard gap free below it.
        top = min(high, self.room_start(above)) if above < len(areas) and areas[above].flags & GROWSDOWN else high
        for index in range(above - 1, -1, -1):
            area = areas[index]
            if (top - size) & -align >= area.end:
                break
            top = min(top, self.room_start(index) if area.flags & GROWSDOWN else area.start)
            if top - size < low:
                return None
        found = (top - size) & -align
        return found if found >= low else None

    def gap_above(self, low: int, high: int, size: int, align: int) -> int | None:
        """Return the lowest multiple of *align* that starts *size* free bytes inside [low, high), or None."""
        at = (low + align - 1) & -align
        for index in range(self._first(at), len(self.areas)):
            if self.room_start(index) >= at + size:
                break
            at = max(at, (self.areas[index].end + align - 1) & -align)
        return at if at + size <= high else None


def maps_line(area: Vma) -> str:
    """Return the line that /proc/self/maps has for *area*, newline included; proc_pid_maps(5).

    The name starts in column 74 (``seq_pad`` in fs/proc/task_mmu.c pads to 25 + 6 * 8 - 1 columns); a line without
    one ends in a space after the inode.
    """
    prot = area.prot
    mode = "r" if prot & 1 else "-"
    mode += "w" if prot & 2 else "-"
    mode += "x" if prot & 4 else "-"
    mode += "s" if area.flags & SHARED else "p"
    backing = area.backing
    major, minor, inode = (*backing.device, backing.inode) if backing else (0, 0, 0)
    head = f"{area.start:08x}-{area.end:08x} {mode} {area.offset:08x} {major:02x}:{minor:02x} {inode} "
    name = area.name or (backing.path if backing else "")
    return f"{head:<73}{name}\n" if name else f"{head}\n"
