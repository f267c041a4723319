"""The address space of the process: where mappings go, what limits them, and the break.

Keeps the list of areas (:mod:`syscalls.vma`) and the machine's pages in step.  Handlers in :mod:`syscalls.memory` and
:mod:`syscalls.madvise` check what the guest asked; this module knows how Linux answers it.  Sources: mm/mmap.c,
mm/mremap.c, arch/x86/kernel/sys_x86_64.c (Linux 6.1, read); the rules were compared with a running kernel
by ``tests/native``.
"""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import suppress

from syscalls import abi, release, shared
from syscalls.errno import EINVAL, ENOMEM, EPERM, SyscallError
from syscalls.guest import PAGE, PROT_EXEC, PROT_READ, PROT_WRITE, GuestFault, GuestMemory, Memories, OutOfFrames
from syscalls.light import TYPE_CHECKING
from syscalls.program import Program, ProgramFile
from syscalls.shared import Memory
from syscalls.vma import (
    DONTFORK,
    GROWSDOWN,
    NORESERVE,
    SHARED,
    STACK_GUARD_GAP,
    WIPEONFORK,
    Vma,
    VmaList,
    maps_line,
)  # fmt: skip
from syscalls.world import World

if TYPE_CHECKING:
    from syscalls.tree.stored import StoredFile

BOTTOM_UP_BASE = (abi.TASK_SIZE // 3 + PAGE - 1) & -PAGE  # TASK_UNMAPPED_BASE, where the search of last resort starts
HUGE_PAGE = 2 << 20
LOW_2G = (0x4000_0000, 0x8000_0000)  # where MAP_32BIT looks: mmap(2)
VSYSCALL_LINE = "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n"
HUGE = 2 << 20  # what a huge page of x86-64 holds (PMD_SIZE)
SPECIAL = ("[vdso]", "[vvar]")
"""Mappings that the kernel owns (VM_PFNMAP, VM_DONTEXPAND): most advice and every mremap growth is refused."""


def kernel_page_size(world: World) -> int:
    """Return the bytes that mmap and friends round to.

    A World may tell the guest a size that no kernel could have (0, 1024, 12288): the auxiliary vector then shows it
    as written, and the kernel itself rounds to hardware pages.
    """
    size = world.page_size
    return size if size >= PAGE and size.bit_count() == 1 else PAGE


class AddressSpace:
    """Areas, pages and limits of one process."""

    def __init__(self, world: World, mem: GuestMemory, program: Program, rlimits: list[tuple[int, int]]) -> None:
        """Describe what the loader has already mapped; *rlimits* is the process's live list of (soft, hard)."""
        self.mem = mem
        self.page = kernel_page_size(world)
        self.mmap_base = world.memory.mmap_base & -self.page
        self.honour_hints = world.memory.honour_hints
        self.overcommit_limit = None if world.memory.overcommit else world.memory.total
        self.rlimits = rlimits
        self.may_map_low = world.process.euid == 0  # CAP_SYS_RAWIO
        self.vsyscall = world.vsyscall
        self.has_thp = world.thp.pmd_size is not None
        self.release = release.parse(world.uname.release)
        self.start_brk = self.brk = program.brk_start
        self.data_size = sum(size for _, size, prot, _ in program.segments if prot & PROT_WRITE)
        self.areas = VmaList(initial_areas(program))
        self.peak = self.total()  # the most that was ever mapped: VmPeak

    def fork(self, memories: Memories, rlimits: list[tuple[int, int]]) -> AddressSpace:
        """Return the address space of a child, with a copy of the memory; raise OutOfFrames."""
        common = [(area.start, area.end - area.start) for area in self.areas if is_common(area)]
        twin = AddressSpace.__new__(AddressSpace)  # what copy.copy does, whose module takes 1 ms to import
        vars(twin).update(vars(self))
        twin.mem, twin.rlimits = memories.copy(self.mem, common), rlimits
        twin.areas = self.areas.copy()
        memories.serve(twin.mem, twin.mapping_at)
        for area in self.areas:
            if area.flags & DONTFORK:
                twin.unmap(area.start, area.end)
            elif area.flags & WIPEONFORK:
                twin.mem.discard(area.start, area.end - area.start)
        return twin

    def mapping_at(self, addr: int) -> tuple[int, int, int] | None:
        """Return (start, end, prot) of the mapping that holds *addr*, to which a stack may have to grow first."""
        area = self.areas.at(addr)
        if area is None and self.grow_stack(addr):
            area = self.areas.at(addr)
        if area is None or area.backing is None:
            return None if area is None else (area.start, area.end, area.prot)
        end = shared.end_of(area)
        return (area.start, end, area.prot) if addr < end else None

    def round_up(self, size: int) -> int:
        """Return *size* rounded up to whole pages."""
        return (size + self.page - 1) & -self.page

    # Limits

    def check_expand(self, start: int, size: int, prot: int, flags: int) -> None:
        """Raise ENOMEM when mapping *size* bytes at *start* breaks RLIMIT_AS, RLIMIT_DATA or the overcommit rule.

        What the new mapping replaces does not count twice (may_expand_vm and count_vma_pages_range).
        """
        limit = self.rlimits[abi.RLIMIT_AS][0]
        if limit != abi.RLIM_INFINITY:
            replaced = sum(piece.end - piece.start for piece in self.areas.pieces(start, start + size))
            if self.total() + size - replaced > limit:
                raise SyscallError(ENOMEM)
        if prot & PROT_WRITE:
            self.check_writable(size, flags)

    def check_writable(self, size: int, flags: int) -> None:
        """Raise ENOMEM when *size* bytes may not be or become private and writable (also mprotect_fixup)."""
        if flags & SHARED:
            return
        limit = self.rlimits[abi.RLIMIT_DATA][0]
        if limit != abi.RLIM_INFINITY and self.total_data() + size > limit:
            raise SyscallError(ENOMEM)
        if self.overcommit_limit is not None and not flags & NORESERVE and size > self.overcommit_limit:
            raise SyscallError(ENOMEM)

    def total(self) -> int:
        """Return the bytes mapped: VmSize of /proc/self/status."""
        return self.areas.size

    def total_data(self) -> int:
        """Return the bytes of private writable mappings but the stack: what RLIMIT_DATA counts since Linux 4.7."""
        return sum(
            area.end - area.start
            for area in self.areas
            if area.prot & PROT_WRITE and not area.flags & (SHARED | GROWSDOWN)
        )

    # Placing

    def check_fixed(self, addr: int, size: int) -> None:
        """Raise what MAP_FIXED at *addr* fails with."""
        if size > abi.TASK_SIZE or addr > abi.TASK_SIZE - size:
            raise SyscallError(ENOMEM)
        if addr & (self.page - 1):
            raise SyscallError(EINVAL)
        if addr < abi.MMAP_MIN_ADDR and not self.may_map_low:
            raise SyscallError(EPERM)

    def place(self, hint: int, size: int, anonymous: bool = True) -> int:
        """Return where *size* bytes go: at *hint* when it is free, else as high below ``mmap_base`` as they fit.

        Newer kernels align large *anonymous* mappings that have no hint to huge pages, when there is room to do so.
        """
        if size > abi.TASK_SIZE:
            raise SyscallError(ENOMEM)
        hint &= -self.page
        if hint and self.honour_hints:
            hint = max(hint, self.round_up(abi.MMAP_MIN_ADDR))
            if hint <= abi.TASK_SIZE - size and self.areas.is_free(hint, hint + size):
                return hint
        elif not hint and anonymous and self.aligns_to_huge_pages(size):
            # thp_get_unmapped_area: room for one huge page more than needed, then up to the boundary in it.
            found = self.areas.gap_below(self.mmap_base, abi.MMAP_MIN_ADDR, size + HUGE_PAGE, self.page)
            if found is not None:
                return (found & -HUGE_PAGE) + HUGE_PAGE
        found = self.areas.gap_below(self.mmap_base, abi.MMAP_MIN_ADDR, size, self.page)
        return self.place_above(BOTTOM_UP_BASE, abi.TASK_SIZE, size) if found is None else found

    def place_huge(self, size: int) -> int:
        """Return where *size* bytes of anonymous memory go without a hint, aligned for huge pages where that fits.

        The kernel looks for room for one huge page more and takes the first aligned start in it, but the second when
        the room itself begins at one (mm/huge_memory.c, __thp_get_unmapped_area; compared with Linux 6.18).
        """
        if size <= abi.TASK_SIZE - HUGE:
            found = self.areas.gap_below(self.mmap_base, abi.MMAP_MIN_ADDR, size + HUGE, self.page)
            if found is not None:
                return found + (-found % HUGE or HUGE)
        return self.place(0, size)

    def aligns_to_huge_pages(self, size: int) -> bool:
        """Say whether the kernel aligns mappings of *size* bytes: from 6.7 on large ones, from 6.13 on multiples."""
        if not self.has_thp or self.release < (6, 7) or size < HUGE_PAGE:
            return False
        return self.release < (6, 13) or size % HUGE_PAGE == 0

    def place_above(self, low: int, high: int, size: int) -> int:
        """Return the lowest start of *size* free bytes inside [low, high)."""
        found = self.areas.gap_above(low, high, size, self.page)
        if found is None:
            raise SyscallError(ENOMEM)
        return found

    # Changing

    def map(self, area: Vma) -> None:
        """Put *area* in place of whatever was in its range, zero-filled or with the bytes of its file."""
        start, end, prot, _, backing, _, _ = area
        areas = self.areas
        if areas.shares:
            self.write_back(start, end)
        areas.remove(start, end)
        # The area is known before its pages are asked for: a machine may fill them only when they are touched.
        areas.insert(area)
        if backing is None:
            self.back(start, end - start, prot)
            return
        try:
            self._load(area)
        except OutOfFrames:
            self.unmap(start, end)
            raise
        self.peak = max(self.peak, areas.size)

    def back(self, start: int, size: int, prot: int) -> None:
        """Let there be zeros behind *size* bytes at *start*, which the areas have; raise OutOfFrames, and unmap it."""
        try:
            self.mem.map(start, size, prot)
        except OutOfFrames:
            self.unmap(start, start + size)
            raise
        self.peak = max(self.peak, self.areas.size)

    def recall(self, call: Hashable) -> int | None:
        """Return the result of *call* if it was made of the very same areas before, having let them be as then."""
        moment = self.areas.moment
        found = None if moment is None else moment.known.get(call)
        if found is None:
            return None
        self.areas.become(found[1].areas)
        return found[0]

    def limits(self) -> tuple[int, int]:
        """Return the limits of what may be mapped: RLIMIT_AS and RLIMIT_DATA."""
        return self.rlimits[abi.RLIMIT_AS][0], self.rlimits[abi.RLIMIT_DATA][0]

    def _load(self, area: Vma) -> None:
        # Fill *area*, which is in the list, from its file.
        if isinstance(area.backing, Memory):
            self._load_memory(area)
            return
        if area.flags & SHARED and area.backing is not None and area.backing.stored is not None:
            if self._alias(area, area.backing.stored):
                return
            shared.pull(area.backing.stored, (self, area.start, area.end))
        data, size = self._file_part(area)
        if data:
            self._fill(area, size, [(0, data)])

    def _load_memory(self, area: Vma, needed: bool = True) -> None:
        # Let *area* be the memory behind it, as far as that goes, with the pages that other mappings of it have; if
        # *needed* with those of them, too, that were never touched, as the others stay.
        end = max(shared.end_of(area), area.start)
        if end < area.end:
            self.mem.unmap(end, area.end - end)
        if end > area.start:
            self.mem.map(area.start, end - area.start, area.prot)
        for other in list(self.areas):
            if other.backing is area.backing and (other.end <= area.start or area.end <= other.start):
                low = max(area.offset, other.offset)
                high = min(area.offset + end - area.start, other.offset + other.end - other.start)
                if low < high:
                    here, there = area.start + low - area.offset, other.start + low - other.offset
                    self._have_in_common(here, there, high - low, area.prot, needed)

    def _have_in_common(self, here: int, there: int, size: int, prot: int, needed: bool) -> None:
        # Let *size* bytes at *here* be the pages at *there*, those that are.
        data = prot & ~PROT_EXEC
        if not self.mem.alias(here, size, data, self.mem, there):
            for offset in range(0, size, PAGE):
                if needed:
                    with suppress(GuestFault):
                        self.mem.read(there + offset, 1)
                self.mem.alias(here + offset, PAGE, data, self.mem, there + offset)
        if data != prot:
            self.mem.protect(here, size, prot)

    def _alias(self, area: Vma, stored: StoredFile) -> bool:
        # Let *area*, a shared mapping, have the pages of another one of the same part of its file; False if none has.
        end = shared.end_of(area)
        if end <= area.start:
            return False
        found = shared.view(stored, area.offset, end - area.start, (self, area.start, area.end))
        if found is None or not self.mem.alias(area.start, end - area.start, area.prot, found[0].mem, found[1]):
            return False
        if end < area.end:
            self.mem.unmap(end, area.end - end)
        return True

    def _file_part(self, area: Vma) -> tuple[bytes, int]:
        # The bytes of its file that *area* shows, and the size of the pages that hold them.  Whole pages past the end
        # of the file are taken out, so that touching them faults: with SIGBUS, see syscalls.shared.end_of.
        assert area.backing is not None
        data = area.backing.part(area.offset, area.end - area.start)
        size = (len(data) + PAGE - 1) & -PAGE
        if size < area.end - area.start:
            self.mem.unmap(area.start + size, area.end - area.start - size)
        return data, size

    def _fill(self, area: Vma, size: int, contents: list[tuple[int, bytes]]) -> None:
        # Map the first *size* bytes of *area* with *contents* by offset, whatever its permissions.
        writable = PROT_READ | PROT_WRITE
        self.areas.change(area.start, area.end, lambda piece: piece._replace(prot=writable))
        self.mem.map(area.start, size, writable)
        for offset, data in contents:
            self.mem.write(area.start + offset, data)
        self.mem.protect(area.start, size, area.prot)
        self.areas.change(area.start, area.end, lambda piece: piece._replace(prot=area.prot))

    def leave(self) -> None:
        """Write back all that was stored, as the process leaves; what its file has no room for is lost."""
        with suppress(SyscallError):
            self.write_back(0, abi.TASK_SIZE)

    def write_back(self, lo: int, hi: int) -> None:
        """Take into their files what was stored into shared mappings of [lo, hi)."""
        if self.areas.shares:
            for piece in self.areas.pieces(lo, hi):
                if piece.flags & SHARED and piece.backing is not None and piece.backing.stored is not None:
                    self._write_back(piece, piece.backing.stored, (self, lo, hi))

    def _write_back(self, piece: Vma, stored: StoredFile, range_: tuple[AddressSpace, int, int]) -> None:
        # Take in what was stored into *piece*, unless another mapping, which can tell of it later, has the same pages.
        size = shared.end_of(piece) - piece.start
        found = shared.view(stored, piece.offset, size, range_, PROT_WRITE) if size > 0 else None
        if found is None or not self.mem.is_alias(piece.start, size, found[0].mem, found[1]):
            shared.pull(stored)

    def unmap(self, lo: int, hi: int) -> None:
        """Remove every mapping of [lo, hi)."""
        self.write_back(lo, hi)
        if self.areas.remove(lo, hi):
            self.mem.unmap(lo, hi - lo)

    def protect(self, piece: Vma, prot: int) -> None:
        """Give the mapped range of *piece* the permissions *prot*."""
        self.mem.protect(piece.start, piece.end - piece.start, prot)
        self.areas.change(piece.start, piece.end, lambda area: area._replace(prot=prot))

    def pieces(self, addr: int, size: int) -> tuple[int, list[Vma]]:
        """Return how long *size* bytes at *addr* are in whole pages, and what is mapped there.

        EINVAL for an address within a page, or a range beyond the end of all addresses.
        """
        length = self.round_up(size)
        if addr & (self.page - 1) or addr + length >= 1 << 64:
            raise SyscallError(EINVAL)
        return length, self.areas.pieces(addr, addr + length) if length else []

    def discard(self, piece: Vma) -> None:
        """Drop the contents of *piece*: zeros again, or what its file holds (MADV_DONTNEED)."""
        if isinstance(piece.backing, Memory):
            return  # its pages stay, and are seen again as soon as they are touched
        if piece.backing is None:
            self.mem.discard(piece.start, piece.end - piece.start)
        else:
            self.write_back(piece.start, piece.end)
            self._load(piece)

    def move(self, old: Vma, new: int, size: int, keep_old: bool) -> None:
        """Move the pages of *old* to *new*, an area of *size* bytes; only pages with contents are copied."""
        target = old._replace(start=new, end=new + size)
        if self._move_shared(old, target, keep_old):
            if keep_old:
                self.discard(old)
            else:
                self.unmap(old.start, old.end)
            self.peak = max(self.peak, self.areas.size)
            return
        contents = self._contents(old, min(old.end - old.start, size))
        if keep_old:
            self.discard(old)
        else:
            self.unmap(old.start, old.end)
        self.unmap(new, new + size)
        self.areas.insert(target)
        if target.backing is not None:
            data, size = self._file_part(target)
            contents.insert(0, (0, data))
        self._fill(target, size, contents)
        self.peak = max(self.peak, self.areas.size)

    def _move_shared(self, old: Vma, target: Vma, keep_old: bool) -> bool:
        # Let *target* have the very pages of *old*, if that is a shared mapping: others may have them too.
        if isinstance(old.backing, Memory):
            self.unmap(target.start, target.end)
            self.areas.insert(target)
            self._load_memory(target, needed=keep_old)
            return True
        if not old.flags & SHARED or old.backing is None or old.backing.stored is None:
            return False
        size = min(old.end - old.start, target.end - target.start)
        filled = min(shared.end_of(old) - old.start, size)
        self.unmap(target.start, target.end)
        if filled <= 0 or not self.mem.alias(target.start, filled, old.prot, self.mem, old.start):
            return False
        self.areas.insert(target)
        if size < target.end - target.start:
            self._load(target.clip(target.start + size, target.end))
        return True

    def _contents(self, area: Vma, size: int) -> list[tuple[int, bytes]]:
        # The offset and bytes of each run of pages of *area* that have any.
        self.mem.protect(area.start, size, PROT_READ)
        resident = self.mem.resident(area.start, size // PAGE)
        found, index = [], resident.find(1)
        while index >= 0:
            end = resident.find(0, index)
            end = len(resident) if end < 0 else end
            found.append((index * PAGE, self.mem.read(area.start + index * PAGE, (end - index) * PAGE)))
            index = resident.find(1, end)
        self.mem.protect(area.start, size, area.prot)
        return found

    # The break and the stack

    def set_brk(self, addr: int) -> int:
        """Move the break to *addr* and return it; return the old one when that is impossible.  brk(2), NOTES."""
        limit = self.rlimits[abi.RLIMIT_DATA][0]
        if addr < self.start_brk or addr - self.start_brk + self.data_size > limit:
            return self.brk
        old, new = self.round_up(self.brk), self.round_up(addr)
        if new < old:
            self.unmap(new, old)
        elif new > old:
            # A page, and the guard gap of a stack, stay free above the heap.
            if new > abi.TASK_SIZE or not self.areas.is_free(old, new + self.page):
                return self.brk
            try:
                self.check_expand(old, new - old, PROT_READ | PROT_WRITE, 0)
                self.map(Vma(old, new, PROT_READ | PROT_WRITE, name="[heap]"))
            except (SyscallError, OutOfFrames):
                return self.brk
        self.brk = addr
        return addr

    def grow_stack(self, addr: int) -> bool:
        """Extend the stack down to the page of *addr*, as a fault below it does; say whether that was allowed.

        Refused beyond RLIMIT_STACK and within the guard gap above another mapping (expand_downwards, mm/mmap.c).
        """
        page = addr & -self.page
        stack = next((area for area in self.areas if area.flags & GROWSDOWN and area.start > page), None)
        if stack is None or stack.end - page > self.rlimits[abi.RLIMIT_STACK][0]:
            return False
        if self.areas.overlaps(max(page - STACK_GUARD_GAP, 0), stack.start):
            return False
        self.map(stack._replace(start=page, end=stack.start))
        return True

    # Views

    def maps(self) -> str:
        """Return the text of /proc/self/maps."""
        return "".join(map(maps_line, self.areas)) + (VSYSCALL_LINE if self.vsyscall else "")


def is_common(area: Vma) -> bool:
    """Say whether a child has the very pages of *area*; of a file out of reach it may have copies: syscalls.shared."""
    return bool(area.flags & SHARED and (area.prot or isinstance(area.backing, Memory)))


def initial_areas(program: Program) -> list[Vma]:
    """Return the areas that exist before the first instruction: what the loader mapped, the stack, the vDSO."""
    files = [(program.exe, program.read_file, program.segments)]
    if program.loader is not None:
        files.append(program.loader)
    areas = []
    for path, read, segments in files:
        backing = ProgramFile(path, read)
        areas += [
            Vma(addr, addr + size, prot, 0, backing if offset >= 0 else None, max(offset, 0))
            for addr, size, prot, offset in segments
            if size
        ]
    low, high = program.stack
    areas.append(Vma(low, high, PROT_READ | PROT_WRITE, GROWSDOWN, name="[stack]"))
    if program.vvar:
        areas.append(Vma(*program.vvar, PROT_READ, name="[vvar]"))
    if program.vdso:
        areas.append(Vma(*program.vdso, PROT_READ | abi.PROT_EXEC, name="[vdso]"))
    return areas
