"""Mapping calls: mmap, munmap, mprotect, mremap, brk, mincore.  Decode, validate, hand to the address space.

The order of the checks is the kernel's, because a call that is wrong in two ways must fail with the same error.
Sources: the man pages, and mm/mmap.c, mm/mprotect.c, mm/mremap.c, mm/mincore.c of Linux 6.1 (read).
"""

from __future__ import annotations

from syscalls import abi, shared
from syscalls.abi import (
    MAP_32BIT,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_GROWSDOWN,
    MAP_HUGETLB,
    MAP_LOCKED,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_SHARED,
    MAP_SHARED_VALIDATE,
    MAP_TYPE,
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
)  # fmt: skip
from syscalls.errno import (
    EACCES,
    EAGAIN,
    EEXIST,
    EFAULT,
    EINVAL,
    ENOMEM,
    EOPNOTSUPP,
    EOVERFLOW,
    EPERM,
    SyscallError,
)  # fmt: skip
from syscalls.guest import PAGE
from syscalls.light import TYPE_CHECKING
from syscalls.space import HUGE, LOW_2G, SPECIAL, AddressSpace
from syscalls.vma import GROWSDOWN, NORESERVE, SHARED, Backing, Vma, make

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

U64_END = 1 << 64
MS_SYNC = 4  # msync(2)
PROT_MASK = abi.PROT_READ | abi.PROT_WRITE | abi.PROT_EXEC
# Every flag that mmap knew when MAP_SHARED_VALIDATE came (LEGACY_MAP_MASK, include/linux/mman.h), and MAP_SYNC's place.
LEGACY_MAP_MASK = 0x7FFFF | (0x3F << 26)


def mmap(k: Kernel, t: Task, addr: int, size: int, prot: int, flags: int, fd: int, offset: int) -> int:
    """Map *size* bytes and return where; mmap(2).

    Raises EINVAL, EBADF, EACCES, ENODEV, ENOMEM, EEXIST, EOVERFLOW, EPERM and EAGAIN as the man page's ERRORS has them.
    """
    space = k.space
    page = space.page
    if offset & (page - 1):
        raise SyscallError(EINVAL)
    file = None if flags & MAP_ANONYMOUS else k.files.get(fd)
    if not size:
        raise SyscallError(EINVAL)
    length = (size + page - 1) & -page
    if length >= U64_END:
        raise SyscallError(ENOMEM)
    if offset + length >= U64_END:
        raise SyscallError(EOVERFLOW)
    if len(space.areas) > abi.MAX_MAP_COUNT:
        raise SyscallError(ENOMEM)
    moment = space.areas.moment if file is None and not flags & MAP_LOCKED else None
    call = (addr, length, prot, flags, *space.limits()) if moment else None
    if call and (found := space.recall(call)) is not None:
        space.back(found, length, prot & PROT_MASK)
        return found
    start = choose(k, addr, length, flags)
    properties = (NORESERVE if flags & MAP_NORESERVE else 0) | (GROWSDOWN if flags & MAP_GROWSDOWN else 0)
    backing: Backing | None = None
    if file is None:
        kind = flags & MAP_TYPE
        if kind == MAP_SHARED:
            if flags & MAP_GROWSDOWN:
                raise SyscallError(EINVAL)
            properties |= SHARED
        elif kind != MAP_PRIVATE:
            raise SyscallError(EINVAL)
        if flags & MAP_HUGETLB:
            raise SyscallError(ENOMEM)  # the pool of huge pages is never handed out
    else:
        backing = mappable(k, fd, prot, flags)
        properties |= SHARED if flags & MAP_TYPE != MAP_PRIVATE else 0
    space.check_expand(start, length, prot, properties)
    if properties & SHARED and backing is None:
        backing = shared.Memory(length, k.new_number())
    # A new mapping that names no place takes over neither file offset nor name; PROT_SEM and unknown bits are dropped.
    space.map(make((start, start + length, prot & PROT_MASK, properties, backing, offset if backing else 0, "")))
    if moment and not space.areas.shares and backing is None:
        moment.learn(call, start, space.areas)
    return start


def choose(k: Kernel, addr: int, length: int, flags: int) -> int:
    """Return where a new mapping of *length* bytes goes, given the *addr* and *flags* of mmap."""
    space = k.space
    if flags & MAP_FIXED_NOREPLACE and k.release >= (4, 17):  # before, the flag was unknown and ignored: mmap(2)
        space.check_fixed(addr, length)
        if space.areas.overlaps(addr, addr + length):
            raise SyscallError(EEXIST)
        start = addr
    elif flags & MAP_FIXED:
        space.check_fixed(addr, length)
        start = addr
    elif flags & MAP_32BIT and not addr:
        start = space.place_above(*LOW_2G, length)
    elif not addr and prefers_huge(k, length, flags):
        start = space.place_huge(length)
    else:
        start = space.place(addr, length, anonymous=flags & (MAP_ANONYMOUS | MAP_SHARED) == MAP_ANONYMOUS)
    if flags & MAP_LOCKED:
        limit = k.rlimits[abi.RLIMIT_MEMLOCK][0]
        if k.process.ids.euid and not limit:
            raise SyscallError(EPERM)
        if k.process.ids.euid and length > limit:
            raise SyscallError(EAGAIN)
    return start


def prefers_huge(k: Kernel, length: int, flags: int) -> bool:
    """Tell whether the kernel aligns such a mapping for huge pages, as Linux does since 6.7 (mm/mmap.c, read).

    Up to 6.12 that is any of at least one huge page, then only a multiple (in 6.12 by a later stable release).
    """
    if k.world.thp.pmd_size is None or k.release < (6, 7) or flags & MAP_TYPE != MAP_PRIVATE:
        return False
    whole = length >= HUGE if k.release < (6, 12) else length % HUGE == 0
    return whole and bool(flags & MAP_ANONYMOUS)


def mappable(k: Kernel, fd: int, prot: int, flags: int) -> Backing | None:
    """Return what stands behind a mapping of descriptor *fd*: its file, or None for /dev/zero's zeros."""
    kind = flags & MAP_TYPE
    file = k.files.get(fd)
    if kind == MAP_SHARED_VALIDATE:
        if flags & ~(LEGACY_MAP_MASK | abi.MAP_FIXED_NOREPLACE):
            raise SyscallError(EOPNOTSUPP)
    elif kind not in (MAP_SHARED, MAP_PRIVATE):
        raise SyscallError(EINVAL)
    if kind != MAP_PRIVATE and prot & abi.PROT_WRITE and not file.writable:
        raise SyscallError(EACCES)
    if not file.readable:
        raise SyscallError(EACCES)
    backing = file.mapping()
    if backing is not None and backing.stored is not None:
        if kind == MAP_PRIVATE:
            backing.stored.settle()
            backing.stored.map_private()
        else:
            backing.stored.map_shared(backing.writable)
    return backing


def munmap(k: Kernel, t: Task, addr: int, size: int) -> int:
    """Remove the mappings of *size* bytes at *addr*; holes are no error.  munmap(2)."""
    space = k.space
    length = space.round_up(size)
    if addr & (space.page - 1) or addr > abi.TASK_SIZE or size > abi.TASK_SIZE - addr or not length:
        raise SyscallError(EINVAL)
    moment, call = space.areas.moment, (addr, length)
    if moment and space.recall(call) is not None:
        space.mem.unmap(addr, length)
        return 0
    space.unmap(addr, addr + length)
    if moment and not space.areas.shares:
        moment.learn(call, 0, space.areas)
    return 0


def mprotect(k: Kernel, t: Task, addr: int, size: int, prot: int) -> int:
    """Set the permissions of *size* bytes at *addr*; mprotect(2).

    As Linux does, it changes what lies before a hole and only then fails with ENOMEM.
    """
    space = k.space
    grows = prot & (abi.PROT_GROWSDOWN | abi.PROT_GROWSUP)
    if grows == abi.PROT_GROWSDOWN | abi.PROT_GROWSUP or addr & (space.page - 1):
        raise SyscallError(EINVAL)
    if not size:
        return 0
    end = addr + space.round_up(size)
    if end >= U64_END:
        raise SyscallError(ENOMEM)
    if prot & ~(PROT_MASK | abi.PROT_SEM | grows):
        raise SyscallError(EINVAL)
    if grows:
        addr = growing_start(k, addr, end, grows)
    for piece in space.areas.pieces(addr, end):
        if piece.start != addr:
            break
        protect_piece(k, piece, prot & PROT_MASK)
        addr = piece.end
    if addr != end:
        raise SyscallError(ENOMEM)
    return 0


def growing_start(k: Kernel, addr: int, end: int, grows: int) -> int:
    """Return where PROT_GROWSDOWN starts: at the bottom of the stack that holds *addr*."""
    area = k.space.areas.at(addr)
    if area is None or area.start >= end:
        raise SyscallError(ENOMEM)
    if grows == abi.PROT_GROWSUP or not area.flags & GROWSDOWN:
        raise SyscallError(EINVAL)  # no mapping of x86 grows up
    return area.start


def protect_piece(k: Kernel, piece: Vma, prot: int) -> None:
    """Apply mprotect to one mapping."""
    if piece.prot == prot:
        return
    if piece.backing is not None and piece.flags & SHARED:
        if prot & abi.PROT_WRITE and not piece.backing.writable:
            raise SyscallError(EACCES)
        if piece.backing.stored is not None:
            shared.pull(piece.backing.stored)
    if piece.name == "[vvar]" and prot & (abi.PROT_WRITE | abi.PROT_EXEC):
        raise SyscallError(EACCES)  # mapped without VM_MAYWRITE and VM_MAYEXEC
    if prot & abi.PROT_WRITE and not piece.prot & abi.PROT_WRITE:
        # The pages are mapped already: only what writing adds is checked.
        k.space.check_writable(piece.end - piece.start, piece.flags)
    k.space.protect(piece, prot)


def brk(k: Kernel, t: Task, addr: int) -> int:
    """Move the program break and return it, or the old one on any failure; brk(2), "C library/kernel differences"."""
    return k.space.set_brk(addr)


def mincore(k: Kernel, t: Task, addr: int, size: int, vec: int) -> int:
    """Store a byte for each page of *size* bytes at *addr*: 1 where it is in memory.  mincore(2)."""
    space = k.space
    if addr & (space.page - 1):
        raise SyscallError(EINVAL)
    end = addr + size
    if end > abi.TASK_SIZE:
        raise SyscallError(ENOMEM)
    end = space.round_up(end)
    step = space.page // PAGE
    for piece in space.areas.pieces(addr, end):
        if piece.start != addr:
            break
        resident = k.mem.resident(addr, (piece.end - addr) // PAGE)
        pages = bytes(any(resident[i : i + step]) for i in range(0, len(resident), step))
        k.mem.write(vec, pages)
        vec += len(pages)
        addr = piece.end
    if addr < end:
        raise SyscallError(ENOMEM)  # "unmapped memory": what came before the hole has been stored
    return 0


def mremap(k: Kernel, t: Task, addr: int, old_size: int, new_size: int, flags: int, new_addr: int) -> int:
    """Grow, shrink or move the mapping at *addr*; mremap(2)."""
    space = k.space
    if flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP):
        raise SyscallError(EINVAL)
    if flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) and not flags & MREMAP_MAYMOVE:
        raise SyscallError(EINVAL)
    if flags & MREMAP_DONTUNMAP and (old_size != new_size or k.release < (5, 7)):
        raise SyscallError(EINVAL)
    old_size, new_size = space.round_up(old_size), space.round_up(new_size)
    if addr & (space.page - 1) or not new_size:
        raise SyscallError(EINVAL)
    area = space.areas.at(addr)
    if area is None:
        raise SyscallError(EFAULT)
    if flags & (MREMAP_FIXED | MREMAP_DONTUNMAP):
        return remap_to(k, addr, old_size, new_size, flags, new_addr)
    if old_size >= new_size:
        space.unmap(addr + new_size, addr + old_size)
        return addr
    check_resize(k, area, addr, old_size, new_size)
    room = (addr + old_size, addr + new_size)
    if addr + old_size == area.end and room[1] <= abi.TASK_SIZE and space.areas.is_free(*room):
        grown = area.clip(area.end - space.page, area.end)
        offset = grown.offset + space.page if grown.backing else 0
        space.map(grown._replace(start=room[0], end=room[1], offset=offset))
        return addr
    if not flags & MREMAP_MAYMOVE:
        raise SyscallError(ENOMEM)
    target = space.place(0, new_size, anonymous=area.backing is None)
    if not old_size:
        return double(space, area, addr, target, new_size)
    space.move(area.clip(addr, addr + old_size), target, new_size, keep_old=False)
    return target


def check_resize(k: Kernel, area: Vma, addr: int, old_size: int, new_size: int) -> None:
    """Raise what a mapping may not be resized for (vma_to_resize, mm/mremap.c)."""
    if not old_size and not area.flags & SHARED:
        raise SyscallError(EINVAL)
    if old_size > area.end - addr:
        raise SyscallError(EFAULT)
    if new_size != old_size and area.name in SPECIAL:
        raise SyscallError(EFAULT)
    if new_size > old_size:
        k.space.check_expand(area.end, new_size - old_size, area.prot, area.flags)


def remap_to(k: Kernel, addr: int, old_size: int, new_size: int, flags: int, new_addr: int) -> int:
    """Move to *new_addr* (MREMAP_FIXED), or leave an empty mapping behind (MREMAP_DONTUNMAP)."""
    space = k.space
    if new_addr & (space.page - 1) or new_size > abi.TASK_SIZE or new_addr > abi.TASK_SIZE - new_size:
        raise SyscallError(EINVAL)
    if addr + old_size > new_addr and new_addr + new_size > addr:
        raise SyscallError(EINVAL)
    if flags & MREMAP_FIXED:
        if new_addr < abi.MMAP_MIN_ADDR and not space.may_map_low:
            raise SyscallError(EPERM)
        space.unmap(new_addr, new_addr + new_size)
    if old_size > new_size:
        space.unmap(addr + new_size, addr + old_size)
        old_size = new_size
    area = space.areas.at(addr)
    if area is None:
        raise SyscallError(EFAULT)
    check_resize(k, area, addr, old_size, new_size)
    target = new_addr if flags & MREMAP_FIXED else space.place(new_addr, new_size)
    if not old_size:
        return double(space, area, addr, target, new_size)
    space.move(area.clip(addr, addr + old_size), target, new_size, keep_old=bool(flags & MREMAP_DONTUNMAP))
    return target


def double(space: AddressSpace, area: Vma, addr: int, target: int, size: int) -> int:
    """Let *size* bytes at *target* show what a shared *area* does from *addr* on, where it stays; mremap(2), BUGS."""
    offset = area.offset + addr - area.start
    space.map(area._replace(start=target, end=target + size, offset=offset))
    return target


def msync(k: Kernel, t: Task, addr: int, size: int, flags: int) -> int:
    """Bring shared mappings and their files together; msync(2)."""
    space = k.space
    if flags & ~7 or addr & (space.page - 1) or flags & 5 == 5:
        raise SyscallError(EINVAL)
    end = addr + space.round_up(size)
    if end >= U64_END or not space.areas.covers(addr, end):
        raise SyscallError(ENOMEM)
    space.write_back(addr, end)
    if flags & MS_SYNC:
        for area in space.areas.pieces(addr, end):
            if area.flags & SHARED and area.backing is not None and area.backing.stored is not None:
                area.backing.stored.sync()
    return 0
