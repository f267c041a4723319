"""madvise: which advice acts, which is only a hint, and which this kernel does not know.

Acting: DONTNEED and DONTNEED_LOCKED drop contents, REMOVE empties shared memory, POPULATE_* touch every page, the
HUGEPAGE and fork family are remembered (they keep mappings apart).  The rest are hints: Linux may do nothing and so
does this kernel.  Sources: madvise(2); mm/madvise.c of Linux 6.1 (read).
"""

from __future__ import annotations

from syscalls import abi, shared
from syscalls.errno import EACCES, EFAULT, EINVAL, ENOMEM, SyscallError
from syscalls.guest import PAGE, GuestFault
from syscalls.light import TYPE_CHECKING, NamedTuple
from syscalls.space import SPECIAL
from syscalls.vma import (
    DONTDUMP,
    DONTFORK,
    HUGEPAGE,
    MERGEABLE,
    NOHUGEPAGE,
    RANDOM,
    SEQUENTIAL,
    SHARED,
    WIPEONFORK,
    Vma,
)  # fmt: skip

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task


class Advice(NamedTuple):
    """One value of *advice*: the release that brought it, and the properties that it sets and clears."""

    since: tuple[int, int] = (0, 0)
    sets: int = 0
    clears: int = 0
    needs_thp: bool = False  # unknown to a kernel without transparent huge pages


ADVICE: dict[int, Advice] = {
    abi.MADV_NORMAL: Advice(clears=RANDOM | SEQUENTIAL),
    abi.MADV_RANDOM: Advice(sets=RANDOM, clears=SEQUENTIAL),
    abi.MADV_SEQUENTIAL: Advice(sets=SEQUENTIAL, clears=RANDOM),
    abi.MADV_WILLNEED: Advice(),
    abi.MADV_DONTNEED: Advice(),
    abi.MADV_FREE: Advice((4, 5)),
    abi.MADV_REMOVE: Advice(),
    abi.MADV_DONTFORK: Advice(sets=DONTFORK),
    abi.MADV_DOFORK: Advice(clears=DONTFORK),
    abi.MADV_MERGEABLE: Advice(sets=MERGEABLE),
    abi.MADV_UNMERGEABLE: Advice(clears=MERGEABLE),
    abi.MADV_HUGEPAGE: Advice(sets=HUGEPAGE, clears=NOHUGEPAGE, needs_thp=True),
    abi.MADV_NOHUGEPAGE: Advice(sets=NOHUGEPAGE, clears=HUGEPAGE, needs_thp=True),
    abi.MADV_DONTDUMP: Advice(sets=DONTDUMP),
    abi.MADV_DODUMP: Advice(clears=DONTDUMP),
    abi.MADV_WIPEONFORK: Advice((4, 14), sets=WIPEONFORK),
    abi.MADV_KEEPONFORK: Advice((4, 14), clears=WIPEONFORK),
    abi.MADV_COLD: Advice((5, 4)),
    abi.MADV_PAGEOUT: Advice((5, 4)),
    abi.MADV_POPULATE_READ: Advice((5, 14)),
    abi.MADV_POPULATE_WRITE: Advice((5, 14)),
    abi.MADV_DONTNEED_LOCKED: Advice((5, 18)),
    abi.MADV_COLLAPSE: Advice((6, 1), needs_thp=True),
}

DROPS = (abi.MADV_DONTNEED, abi.MADV_DONTNEED_LOCKED)
POPULATES = (abi.MADV_POPULATE_READ, abi.MADV_POPULATE_WRITE)
ANONYMOUS_ONLY = (abi.MADV_FREE, abi.MADV_WIPEONFORK)
REFUSES_SPECIAL = (*DROPS, *POPULATES, abi.MADV_FREE, abi.MADV_HUGEPAGE, abi.MADV_NOHUGEPAGE, abi.MADV_COLD,
                   abi.MADV_PAGEOUT, abi.MADV_DODUMP, abi.MADV_DOFORK)  # fmt: skip


def madvise(k: Kernel, t: Task, addr: int, size: int, advice: int) -> int:
    """Apply *advice* to *size* bytes at *addr*; madvise(2).

    Holes do not stop it: every mapped part is treated and the call then fails with ENOMEM (not EFAULT).
    """
    row = ADVICE.get(advice)
    if row is None or k.release < row.since or (row.needs_thp and k.world.thp.pmd_size is None):
        raise SyscallError(EINVAL)
    space, call = k.space, (advice, addr, size)
    moment = space.areas.moment if row.sets | row.clears else None
    if moment and space.recall(call) is not None:
        return 0
    length, pieces = space.pieces(addr, size)
    for piece in pieces:
        check(piece, advice)
        apply(k, piece, advice, row)
    if sum(piece.end - piece.start for piece in pieces) != length:
        raise SyscallError(ENOMEM)
    if moment:
        moment.learn(call, 0, space.areas)
    return 0


def check(piece: Vma, advice: int) -> None:
    """Raise what *advice* is refused with on the mapping *piece*."""
    anonymous = piece.backing is None and not piece.flags & SHARED and piece.name not in SPECIAL
    if piece.name in SPECIAL and advice in REFUSES_SPECIAL:
        raise SyscallError(EINVAL)
    if advice in ANONYMOUS_ONLY and not anonymous:
        raise SyscallError(EINVAL)
    if advice == abi.MADV_REMOVE:
        if piece.backing is None:
            raise SyscallError(EINVAL)
        if not piece.flags & SHARED or not piece.backing.writable:  # what it may be made, whatever it is now
            raise SyscallError(EACCES)
    if advice == abi.MADV_COLLAPSE:
        # Collapsing allocates a huge page at once; none is ever to be had here.
        raise SyscallError(ENOMEM if anonymous else EINVAL)


def apply(k: Kernel, piece: Vma, advice: int, row: Advice) -> None:
    """Do what *advice* does to the mapping *piece*."""
    if advice in DROPS:
        k.space.discard(piece)
    elif advice == abi.MADV_REMOVE:
        remove(k, piece)
    elif advice in POPULATES:
        populate(k, piece, write=advice == abi.MADV_POPULATE_WRITE)
    elif row.sets | row.clears:
        flags = (piece.flags & ~row.clears) | row.sets
        if flags != piece.flags:
            k.space.areas.change(piece.start, piece.end, lambda area: area._replace(flags=flags))


def remove(k: Kernel, piece: Vma) -> None:
    """Let the part of its file that *piece* shows be a hole, for all who have it."""
    assert piece.backing is not None
    if piece.backing.stored is not None:
        piece.backing.stored.punch(piece.offset, piece.end - piece.start)
        return
    for page in range(piece.start, shared.end_of(piece), PAGE):
        if k.mem.physical(page) is not None:
            k.mem.poke(page, bytes(PAGE))


def populate(k: Kernel, piece: Vma, write: bool) -> None:
    """Touch every page of *piece* as a read or a write would; EINVAL where its permissions forbid that."""
    if not piece.prot & (abi.PROT_WRITE if write else abi.PROT_READ):
        raise SyscallError(EINVAL)
    for page in range(piece.start, piece.end, PAGE):
        try:
            byte = k.mem.read(page, 1)
            if write:
                k.mem.write(page, byte)
        except GuestFault:
            raise SyscallError(EFAULT) from None  # past the end of its file: madvise(2), ERRORS
