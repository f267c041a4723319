"""Mappings of files: what the guest stores into a shared one gets into its file, what is written to a file into all.

The pages of a mapping are copies of the file's, so the two are brought together whenever somebody could tell: before a
file is read, written or resized by a call, before a mapping goes or changes its permissions, and by msync.  A page of a
mapping that differs from the file's was stored to by the guest, as everything that calls write is put into all mappings
at once.  Shared mappings of the same part of a file have the same pages, and see each other at once; where two show
different parts, of which some pages are the same, they do not between calls.  A page of a private mapping follows the
file until somebody stores into it, which is told by what it holds: one that has the file's bytes counts as untouched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from syscalls.errno import SyscallError
from syscalls.guest import PAGE, PROT_READ, PROT_WRITE, GuestFault
from syscalls.light import TYPE_CHECKING
from syscalls.vma import SHARED, Vma

if TYPE_CHECKING:
    from syscalls.guest import GuestMemory
    from syscalls.space import AddressSpace
    from syscalls.tree.stored import StoredFile

    Range = tuple[AddressSpace, int, int]  # of addresses, the last one not among them
    Clean = list[tuple[AddressSpace, int, int, int]]  # untouched pages: address, permissions, place in the file
    Placed = dict[int, tuple[GuestMemory, int]]  # pages of a file, by offset: a memory and an address that show it


class Memory:
    """What shared memory without a file is to its mappings: Linux makes a file of it that has no name (mm/shmem.c).

    It holds nothing itself: mappings have pages in common, and what none of a process has any more is zeros to it.
    """

    def __init__(self, size: int, inode: int) -> None:
        self.path, self.device, self.inode, self.size = "/dev/zero (deleted)", (0, 1), inode, size
        self.stored: StoredFile | None = None
        self.writable = True

    def content(self) -> bytes:
        """Return nothing: no pages are to be filled."""
        return b""

    def part(self, offset: int, size: int) -> bytes:
        """Return nothing."""
        return b""

    def end(self) -> int | None:
        """Return how large it was made; mappings can grow beyond that, and no store can."""
        return self.size


def mappings(node: StoredFile, kinds: tuple[int, ...] = (SHARED,)) -> Iterator[tuple[AddressSpace, Vma]]:
    """Return the shared mappings of *node*, or those of *kinds*, in all processes."""
    for space in node.store.spaces():
        for area in space.areas:
            if area.backing is not None and area.backing.stored is node and area.flags & SHARED in kinds:
                yield space, area


def view(node: StoredFile, offset: int, size: int, apart: Range, need: int = 0) -> tuple[AddressSpace, int] | None:
    """Return where a shared mapping shows *size* bytes of *node* from *offset* on: its space, and their address.

    It has the permissions *need*, and none of the range *apart*.  The one that was found last is
    asked first, so that a hundred thousand mappings do not take ten thousand million looks.
    """

    def shown(space: AddressSpace, area: Vma) -> int | None:
        inside = area.offset <= offset and offset + size <= area.offset + area.end - area.start
        if not inside or area.prot & need != need:
            return None
        if space is apart[0] and area.start < apart[2] and apart[1] < area.end:
            return None
        return area.start + offset - area.offset

    if node.view is not None:
        space, start = node.view
        area = space.areas.at(start)
        if area is not None and area.flags & SHARED and area.backing is not None and area.backing.stored is node:
            at = shown(space, area)
            if at is not None and any(space is each for each in node.store.spaces()):
                return space, at
    for space, area in mappings(node):
        at = shown(space, area)
        if at is not None:
            node.view = space, area.start
            return space, at
    return None


def end_of(area: Vma) -> int:
    """Return where *area* ends or, before that, the last page of its file: behind that is SIGBUS, mmap(2)."""
    size = None if area.backing is None else area.backing.end()
    return area.end if size is None else min(area.end, area.start + max(size - area.offset + PAGE - 1 & -PAGE, 0))


def mapped(node: StoredFile, apart: Range | None) -> list[tuple[AddressSpace, Vma]]:
    """Return the shared mappings of *node*, or what of them is not in *apart*."""
    found = []
    for space, area in mappings(node):
        if apart is None or space is not apart[0] or area.end <= apart[1] or apart[2] <= area.start:
            found.append((space, area))
        else:
            bounds = ((area.start, apart[1]), (apart[2], area.end))
            found += [(space, area.clip(low, high)) for low, high in bounds if low < high]
    return found


def pull(node: StoredFile, apart: Range | None = None) -> None:
    """Take into *node* what the guest has stored into its mappings, but for those in the range *apart*."""
    if node.pages is None:
        return  # no mapping of it can be written
    before: dict[int, bytes] = {}
    clean: Clean = []
    failed: SyscallError | None = None
    for space, area in mapped(node, apart):
        size = min(area.end - area.start, node.length - area.offset + PAGE - 1 & -PAGE)
        if not area.prot & PROT_WRITE or size <= 0:
            continue
        data = space.mem.read(area.start, size)
        if data == node.whole_pages(area.offset, size):
            continue
        for start in range(0, size, PAGE):
            number, page = (area.offset + start) // PAGE, data[start : start + PAGE]
            old = before.get(number, node.page(number))
            if page != old:
                if number in before:
                    page = merged(node.page(number), old, page)
                else:
                    clean += untouched(node, number * PAGE, PAGE)
                before.setdefault(number, old)
                try:
                    node.absorb(number, page)
                except SyscallError as error:  # no room for this one
                    failed = failed or error
    for number in before:
        push(node, number * PAGE, PAGE)
    show(node, clean)
    if failed is not None:
        raise failed


def merged(one: bytes, old: bytes, other: bytes) -> bytes:
    """Return *one* with the bytes in which *other* differs from *old*, of which both were made."""
    return bytes(a if b == c else c for a, b, c in zip(one, old, other, strict=True))


def push(node: StoredFile, offset: int, size: int) -> None:
    """Put *size* bytes of *node* from *offset* on, in whole pages, into its mappings."""
    low, high = offset & -PAGE, min(offset + size, node.size) + PAGE - 1 & -PAGE
    placed: Placed = {}
    for space, area in list(mappings(node)):
        first, last = max(low, area.offset), min(high, area.offset + area.end - area.start)
        if first < last:
            data = node.whole_pages(first, last - first)
            place(space, area.start + first - area.offset, data, area.prot, (first, placed))


def place(space: AddressSpace, addr: int, data: bytes, prot: int, shared: tuple[int, Placed] | None = None) -> None:
    """Store *data* into whole pages, whatever their permissions, mapping those that were behind the file's end.

    *shared* is where *data* is in the file, and where other mappings have it by now: they are to have the same pages.
    """
    offset, placed = shared or (0, {})
    for start in range(0, len(data), PAGE):
        page, here = data[start : start + PAGE], addr + start
        there = placed.get(offset + start)
        if there is not None and (space.mem.is_alias(here, PAGE, *there) or space.mem.alias(here, PAGE, prot, *there)):
            continue
        try:
            space.mem.poke(here, page)
        except GuestFault:
            space.mem.map(here, PAGE, prot or PROT_READ)
            space.mem.poke(here, page)
            if not prot:
                space.mem.protect(here, PAGE, prot)
        if shared is not None:
            placed.setdefault(offset + start, (space.mem, here))


def untouched(node: StoredFile, offset: int, size: int) -> Clean:
    """Return the pages of private mappings that show *size* bytes of *node*, from *offset* on, before those change."""
    low, high = offset & -PAGE, min(offset + size, node.size) + PAGE - 1 & -PAGE
    found: Clean = []
    for space, area in mappings(node, (0,)) if low < high else ():
        first, last = max(low, area.offset), min(high, area.offset + area.end - area.start)
        start = area.start + first - area.offset
        if first < last and not area.prot:
            space.mem.protect(start, last - first, PROT_READ)  # for a look
        for at in range(first, last, PAGE):
            addr = start + at - first
            with suppress(GuestFault):  # nothing of the file is there
                if space.mem.read(addr, PAGE) == node.page(at // PAGE):
                    found.append((space, addr, area.prot, at))
        if first < last and not area.prot:
            space.mem.protect(start, last - first, area.prot)
    return found


def show(node: StoredFile, clean: Clean) -> None:
    """Let pages that were *clean* before *node* was changed have what it has now."""
    for space, addr, prot, at in clean:
        if at < node.size:
            place(space, addr, node.page(at // PAGE), prot)


def grown(node: StoredFile, before: int) -> None:
    """Put the pages of *node* that were behind its end when it had *before* bytes into its private mappings."""
    low, high = before + PAGE - 1 & -PAGE, node.size + PAGE - 1 & -PAGE
    for space, area in list(mappings(node, (0,))) if low < high else ():
        first, last = max(low, area.offset), min(high, area.offset + area.end - area.start)
        if first < last:
            place(space, area.start + first - area.offset, node.whole_pages(first, last - first), area.prot)


def cut(node: StoredFile, size: int) -> None:
    """Take the pages behind *size*, the new end of *node*, out of its mappings, also those that are private by now."""
    end = size + PAGE - 1 & -PAGE
    for space, area in list(mappings(node, (0, SHARED))):
        first = max(end - area.offset, 0)
        if first < area.end - area.start:
            space.mem.unmap(area.start + first, area.end - area.start - first)
