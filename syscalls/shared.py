"""Mappings of files: what the guest stores into a shared one gets into its file, what is written to a file into all.

The pages of a mapping are copies, so the two are brought together whenever somebody could tell: before a file is read,
written or resized by a call, before a mapping goes or changes its permissions, and by msync.  Between calls, two
mappings of one file do not see each other, unless fork made one of the other.  A page of a mapping that differs from
the file's was stored to by the guest, as everything that calls write is put into all mappings at once.  A private one
keeps what it had when it was made, but for pages behind the file's end: those come and go with it.
"""

from __future__ import annotations

from collections.abc import Iterator

from syscalls.guest import PAGE, PROT_WRITE, GuestFault
from syscalls.light import TYPE_CHECKING
from syscalls.vma import SHARED, Vma

if TYPE_CHECKING:
    from syscalls.space import AddressSpace
    from syscalls.tree.stored import StoredFile


def mappings(node: StoredFile, kinds: tuple[int, ...] = (SHARED,)) -> Iterator[tuple[AddressSpace, Vma]]:
    """Return the shared mappings of *node*, or those of *kinds*, in all processes."""
    for space in node.store.spaces():
        for area in space.areas:
            if area.backing is not None and area.backing.stored is node and area.flags & SHARED in kinds:
                yield space, area


def end_of(area: Vma) -> int:
    """Return where *area* ends or, before that, the last page of its file: behind that is SIGBUS, mmap(2)."""
    size = None if area.backing is None else area.backing.end()
    return area.end if size is None else min(area.end, area.start + max(size - area.offset + PAGE - 1 & -PAGE, 0))


def pull(node: StoredFile) -> None:
    """Take into *node* what the guest has stored into its mappings."""
    if node.pages is None:
        return  # no mapping of it can be written
    before: dict[int, bytes] = {}
    for space, area in list(mappings(node)):
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
                page = page if number not in before else merged(node.page(number), old, page)
                before.setdefault(number, old)
                node.absorb(number, page)
    for number in before:
        push(node, number * PAGE, PAGE)


def merged(one: bytes, old: bytes, other: bytes) -> bytes:
    """Return *one* with the bytes in which *other* differs from *old*, of which both were made."""
    return bytes(a if b == c else c for a, b, c in zip(one, old, other, strict=True))


def push(node: StoredFile, offset: int, size: int) -> None:
    """Put *size* bytes of *node* from *offset* on, in whole pages, into its mappings."""
    low, high = offset & -PAGE, min(offset + size, node.size) + PAGE - 1 & -PAGE
    for space, area in list(mappings(node)):
        first, last = max(low, area.offset), min(high, area.offset + area.end - area.start)
        if first < last:
            place(space, area.start + first - area.offset, node.whole_pages(first, last - first), area.prot)


def place(space: AddressSpace, addr: int, data: bytes, prot: int) -> None:
    """Store *data* into whole pages, whatever their permissions, mapping those that were behind the file's end."""
    for start in range(0, len(data), PAGE):
        page = data[start : start + PAGE]
        try:
            space.mem.poke(addr + start, page)
        except GuestFault:
            space.mem.map(addr + start, PAGE, prot)
            space.mem.poke(addr + start, page)


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
