"""Mapping calls beyond what a native run can be held against: the World's limits, page sizes, files, names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from syscalls import abi, shared
from syscalls.errno import (
    EACCES,
    EBADF,
    EINVAL,
    EIO,
    ENODEV,
    ENOMEM,
    EOPNOTSUPP,
    EOVERFLOW,
    EPERM,
    SyscallError,
)  # fmt: skip
from syscalls.guest import PAGE, GuestFault
from syscalls.space import AddressSpace, kernel_page_size
from syscalls.tree import StoredFile
from syscalls.vma import WIPEONFORK, Vma
from syscalls.world import File, Memory, Process, Thp, Uname, World
from tests.syscalls.bytememory import BRK, BUFFER, DATA, STACK, Guest, guest

MMAP, MPROTECT, MUNMAP, BRK_NR, MREMAP, MADVISE, PRCTL, SETRLIMIT = 9, 10, 11, 12, 25, 28, 157, 160
PRIVATE_ANON, FIXED = 0x22, 0x10
AT = 0x2000_0000
TOP = World().memory.mmap_base


def world(**memory: object) -> World:
    return replace(World(), memory=replace(Memory(), **memory))  # type: ignore[arg-type]  # fields of Memory


def mmap(g: Guest, addr: int, size: int, prot: int = 3, flags: int = PRIVATE_ANON) -> int:
    return g.call(MMAP, addr, size, prot, flags, -1)


def limit(g: Guest, resource: int, size: int) -> None:
    assert g.call(SETRLIMIT, resource, g.put(abi.RLIMIT.pack(size, size), 2048)) == 0


def open_file(g: Guest, path: str, flags: int = 0) -> int:
    fd = g.call(2, g.put(path.encode() + b"\0", 1024), flags)
    assert fd >= 0
    return fd


@pytest.mark.parametrize(("told", "used"), [(4096, 4096), (16384, 16384), (65536, 65536), (1 << 20, 1 << 20),
                                            (0, 4096), (1024, 4096), (12288, 4096), (2048, 4096)])  # fmt: skip
def test_impossible_page_sizes_round_by_4096(told: int, used: int) -> None:
    """A kernel can only have a power of two from 4,096 on; what else a World tells the guest is told, not used."""
    assert kernel_page_size(replace(World(), page_size=told)) == used
    g = guest(replace(World(), page_size=told))

    assert mmap(g, AT, 1) == AT
    area = g.kernel.space.areas.at(AT)
    assert area is not None
    assert area.end - area.start == used
    assert g.call(MUNMAP, AT + 4096, 4096) == (0 if used == 4096 else -EINVAL)


def test_large_pages_place_and_round_by_themselves() -> None:
    """With 64 KiB pages addresses, lengths and the break are multiples of 64 KiB."""
    g = guest(replace(World(), page_size=65536))

    assert mmap(g, 0, 5000) == (TOP & -65536) - 65536
    assert mmap(g, AT + 4096, 4096) == AT  # a hint is rounded down
    assert mmap(g, AT + 4096, 4096, 3, PRIVATE_ANON | FIXED) == -EINVAL
    assert g.call(BRK_NR, BRK + 1) == BRK + 1
    heap = next(area for area in g.kernel.space.areas if area.name == "[heap]")
    assert (heap.start, heap.end) == (BRK, BRK + 65536)


def test_hints_may_be_ignored() -> None:
    """A World without ``honour-hints`` places everything itself; MAP_FIXED is no hint."""
    g = guest(world(honour_hints=False))

    assert mmap(g, 0xC0_0000_0000, 4096) == TOP - 4096
    assert mmap(g, AT, 4096, 3, PRIVATE_ANON | FIXED) == AT


def test_low_addresses_belong_to_the_super_user() -> None:
    """Below mmap_min_addr a hint is raised, and MAP_FIXED needs CAP_SYS_RAWIO: mmap(2), ERRORS, EPERM."""
    g = guest(replace(World(), process=Process(uid=5, euid=5)))

    assert mmap(g, 0x2000, 4096) == 0x10000
    assert mmap(g, 0x2000, 4096, 3, PRIVATE_ANON | FIXED) == -EPERM
    assert mmap(guest(), 0x2000, 4096, 3, PRIVATE_ANON | FIXED) == 0x2000


def test_a_full_top_goes_on_from_the_bottom() -> None:
    """When nothing fits below mmap_base, a third of user space is where the search starts again."""
    g = guest(world(mmap_base=0x70_0000))

    assert mmap(g, 0, 16 << 20) == (abi.TASK_SIZE // 3 + 4095) & -4096


def test_map_32bit() -> None:
    """Addresses in the second gigabyte, lowest first: mmap(2), MAP_32BIT."""
    g = guest()

    assert mmap(g, 0, 4096, 3, PRIVATE_ANON | abi.MAP_32BIT) == 0x4000_0000
    assert mmap(g, 0, 4096, 3, PRIVATE_ANON | abi.MAP_32BIT) == 0x4000_1000
    assert mmap(g, 0, 1 << 31, 0, PRIVATE_ANON | abi.MAP_32BIT) == -ENOMEM


def test_address_space_limit() -> None:
    """RLIMIT_AS counts everything mapped; what a fixed mapping replaces does not count twice."""
    g = guest()
    limit(g, abi.RLIMIT_AS, g.kernel.space.total() + 0x4000)

    assert mmap(g, AT, 0x5000) == -ENOMEM
    assert mmap(g, AT, 0x4000) == AT
    assert mmap(g, 0, 0x1000, 0) == -ENOMEM
    assert mmap(g, AT, 0x4000, 1, PRIVATE_ANON | FIXED) == AT
    assert g.call(BRK_NR, BRK + 1) == BRK
    assert g.call(MREMAP, AT, 0x1000, 0x2000, 1) == -ENOMEM


def test_data_limit() -> None:
    """RLIMIT_DATA counts private writable memory, the break, and what mprotect makes writable: getrlimit(2)."""
    g = guest()
    limit(g, abi.RLIMIT_DATA, g.kernel.space.total_data() + 0x2000)

    assert mmap(g, AT, 0x3000) == -ENOMEM
    assert mmap(g, AT, 0x3000, 1) == AT
    assert g.call(MPROTECT, AT, 0x3000, 3) == -ENOMEM
    assert g.call(MPROTECT, AT, 0x1000, 3) == 0
    assert mmap(g, 0, 0x3000, 3, abi.MAP_SHARED | abi.MAP_ANONYMOUS) > 0
    assert g.call(BRK_NR, BRK + 0x1000) == BRK + 0x1000
    assert g.call(BRK_NR, BRK + 0x3000) == BRK + 0x1000


def test_overcommit_can_be_refused() -> None:
    """Without overcommit a writable mapping larger than memory is ENOMEM, unless it reserves nothing."""
    g = guest(world(overcommit=False, total=1 << 20))

    assert mmap(g, 0, 2 << 20) == -ENOMEM
    assert mmap(g, AT, 2 << 20, 0) == AT
    assert g.call(MPROTECT, AT, 2 << 20, 3) == -ENOMEM
    assert g.call(MPROTECT, AT, 1 << 20, 3) == 0
    assert mmap(g, 0, 2 << 20, 3, PRIVATE_ANON | abi.MAP_NORESERVE) > 0
    assert mmap(guest(world(total=1 << 20)), 0, 2 << 20) > 0


def test_locked_memory_has_its_limit() -> None:
    """MAP_LOCKED: EAGAIN above RLIMIT_MEMLOCK, EPERM when that is 0; the super user is free of both."""
    g = guest(replace(World(), process=Process(uid=5, euid=5)))
    assert mmap(g, AT, 16 << 20, 3, PRIVATE_ANON | abi.MAP_LOCKED) == -11
    limit(g, abi.RLIMIT_MEMLOCK, 0)
    assert mmap(g, AT, 4096, 3, PRIVATE_ANON | abi.MAP_LOCKED) == -EPERM
    assert mmap(guest(), AT, 16 << 20, 3, PRIVATE_ANON | abi.MAP_LOCKED) == AT


def test_huge_pages_and_odd_offsets() -> None:
    """MAP_HUGETLB finds an empty pool; an offset that leaves 64 bits is EOVERFLOW."""
    g = guest()

    assert mmap(g, 0, 2 << 20, 3, PRIVATE_ANON | abi.MAP_HUGETLB) == -ENOMEM
    assert g.call(MMAP, 0, 0x2000, 3, PRIVATE_ANON, -1, (1 << 64) - 0x1000) == -EOVERFLOW


def test_fixed_noreplace_is_unknown_to_old_kernels() -> None:
    """Before 4.17 the flag was ignored, and the address only a hint: mmap(2)."""
    old = guest(replace(World(), uname=Uname(release="4.16.0")))
    mmap(old, AT, 4096)

    assert mmap(old, AT, 4096, 3, PRIVATE_ANON | abi.MAP_FIXED_NOREPLACE) == TOP - 4096


CONTENT = bytes(range(256)) * 20  # 5,120 bytes: a page and a quarter


@pytest.fixture
def with_file() -> Guest:
    return guest(replace(World(), files=(File("/data", CONTENT),)))


def test_files_are_mapped_with_their_bytes(with_file: Guest) -> None:
    """Private, at an offset, zero behind the end of the file; a page wholly behind it faults."""
    g = with_file
    fd = open_file(g, "/data")

    assert g.call(MMAP, AT, 0x3000, abi.PROT_READ, abi.MAP_PRIVATE, fd) == AT
    assert g.mem.read(AT, 5120) == CONTENT
    assert g.mem.read(AT + 5120, 0x2000 - 5120) == bytes(0x2000 - 5120)
    with pytest.raises(GuestFault):
        g.mem.read(AT + 0x2000, 1)
    assert g.call(MMAP, AT + 0x10000, 0x1000, 3, abi.MAP_PRIVATE, fd, 0x1000) == AT + 0x10000
    assert g.mem.read(AT + 0x10000, 1024) == CONTENT[4096:]
    assert "20010000-20011000 rw-p 00001000 08:01" in g.kernel.space.maps()


def test_dropping_a_file_page_brings_its_bytes_back(with_file: Guest) -> None:
    """MADV_DONTNEED on a private file mapping forgets what the program wrote: madvise(2)."""
    g = with_file
    g.call(MMAP, AT, 0x2000, 3, abi.MAP_PRIVATE, open_file(g, "/data"))
    g.mem.write(AT, b"changed")
    g.mem.write(AT + 0x1000, b"changed")

    assert g.call(MADVISE, AT, 0x1000, abi.MADV_DONTNEED) == 0
    assert g.mem.read(AT, 7) == CONTENT[:7]
    assert g.mem.read(AT + 0x1000, 7) == b"changed"


def test_the_program_s_own_pages_come_from_its_file() -> None:
    """So do pages of the executable's data segment."""
    g = guest(read_file=lambda: b"\xaa" * 0x4000)
    g.mem.write(DATA, b"\0" * 16)

    assert g.call(MADVISE, DATA, 0x1000, abi.MADV_DONTNEED) == 0
    assert g.mem.read(DATA, 16) == b"\xaa" * 16


def test_a_file_mapping_moves_with_its_contents(with_file: Guest) -> None:
    """Mremap keeps what was written and shows more of the file where it grows."""
    g = with_file
    g.call(MMAP, AT, 0x1000, 3, abi.MAP_PRIVATE, open_file(g, "/data"))
    g.mem.write(AT + 1, b"!")
    g.call(MMAP, AT + 0x1000, 0x1000, 0, PRIVATE_ANON | FIXED, -1)

    assert g.call(MREMAP, AT, 0x1000, 0x2000, abi.MREMAP_MAYMOVE) == TOP - 0x2000
    assert g.mem.read(TOP - 0x2000, 3) == b"\0!\2"
    assert g.mem.read(TOP - 0x1000, 1024) == CONTENT[4096:]


def test_what_cannot_be_mapped(with_file: Guest) -> None:
    """Pseudo files (ENODEV, native), devices but for zero, descriptors of the wrong access."""
    g = with_file
    null, zero = open_file(g, "/dev/null", abi.O_RDWR), open_file(g, "/dev/zero", abi.O_RDWR)
    data = open_file(g, "/data")

    assert g.call(MMAP, 0, 4096, 1, abi.MAP_PRIVATE, open_file(g, "/proc/self/maps")) == -ENODEV
    assert g.call(MMAP, 0, 4096, 1, abi.MAP_PRIVATE, open_file(g, "/tmp")) == -ENODEV
    assert g.call(MMAP, 0, 4096, 1, abi.MAP_PRIVATE, null) == -ENODEV
    assert g.call(MMAP, 0, 4096, 1, abi.MAP_PRIVATE, 1) == -EACCES
    assert g.call(MMAP, 0, 4096, 3, abi.MAP_SHARED, data) == -EACCES
    assert g.call(MMAP, 0, 4096, 1, abi.MAP_SHARED_VALIDATE | abi.MAP_SYNC, data) == -EOPNOTSUPP
    assert g.call(MMAP, 0, 4096, 1, 0, data) == -EINVAL
    assert g.call(MMAP, AT, 4096, 3, abi.MAP_PRIVATE, zero) == AT
    assert g.mem.read(AT, 8) == bytes(8)
    shared = g.call(MMAP, 0, 4096, 1, abi.MAP_SHARED, data)
    assert g.call(MPROTECT, shared, 4096, 3) == -EACCES
    assert g.call(1, open_file(g, "/proc/self/comm", abi.O_RDWR), BUFFER, 1) == -EIO


def test_heap_cannot_grow_into_a_neighbour_nor_below_the_stack() -> None:
    """A page stays free above the heap, and a megabyte below a stack."""
    g = guest(stack=(BRK + 0x20_0000, BRK + 0x30_0000))

    assert g.call(BRK_NR, BRK + 0x10_0000) == BRK  # up to the gap, with no page to spare
    assert g.call(BRK_NR, BRK + 0xF_F000) == BRK + 0xF_F000


def test_names_of_mappings() -> None:
    """PR_SET_VMA_ANON_NAME: characters, lengths, holes, files; a null name takes it away.  prctl(2)."""
    g = guest()
    mmap(g, AT, 0x3000)

    def name(text: bytes | None, addr: int = AT, size: int = 0x1000) -> int:
        return g.call(PRCTL, abi.PR_SET_VMA, 0, addr, size, g.put(text, 3000) if text is not None else 0)

    assert name(b"Go: heap\0") == 0
    named = f"{'20000000-20001000 rw-p 00000000 00:00 0':<73}[anon:Go: heap]\n"
    assert named in g.kernel.space.maps()
    assert name(b"a[b\0") == name(b"\x01\0") == name(b"x" * 80 + b"\0") == -EINVAL
    assert name(b"x" * 79 + b"\0") == 0
    assert name(b"x\0", AT + 1) == -EINVAL
    assert name(b"x\0", AT + 0x2000, 0x2000) == -ENOMEM
    assert name(b"x\0", DATA) == -EBADF
    assert name(None, AT, 0x3000) == 0
    assert "anon:" not in g.kernel.space.maps()
    assert g.call(PRCTL, abi.PR_SET_VMA, 1, AT, 0x1000, 0) == -EINVAL
    old = guest(replace(World(), uname=Uname(release="5.16.20")))
    assert old.call(PRCTL, abi.PR_SET_VMA, 0, DATA, 0, 0) == -EINVAL


def test_advice_that_the_kernel_does_not_know() -> None:
    """By release, and by whether it has transparent huge pages at all."""
    old, without = guest(replace(World(), uname=Uname(release="4.19"))), guest(replace(World(), thp=Thp(pmd_size=None)))

    assert old.call(MADVISE, DATA, 4096, abi.MADV_COLD) == -EINVAL
    assert old.call(MADVISE, DATA, 4096, abi.MADV_WIPEONFORK) == -EINVAL  # a mapping of a file
    assert old.call(MADVISE, DATA + 0x1000, 4096, abi.MADV_WIPEONFORK) == 0
    area = old.kernel.space.areas.at(DATA + 0x1000)
    assert area is not None
    assert area.flags == WIPEONFORK
    assert without.call(MADVISE, DATA, 4096, abi.MADV_HUGEPAGE) == -EINVAL
    assert guest().call(MADVISE, DATA, 4096, abi.MADV_HUGEPAGE) == 0
    assert guest().call(MADVISE, DATA + 0x1000, 4096, abi.MADV_COLLAPSE) == -ENOMEM


def test_populating_touches_every_page() -> None:
    """MADV_POPULATE_WRITE makes pages resident; past the end of a file it is EFAULT."""
    g = guest(replace(World(), files=(File("/data", CONTENT),)))
    mmap(g, AT, 0x3000)
    assert g.mem.resident(AT, 3) == b"\0\0\0"
    assert g.call(MADVISE, AT, 0x3000, abi.MADV_POPULATE_WRITE) == 0
    assert g.mem.resident(AT, 3) == b"\1\1\1"
    g.call(MMAP, AT, 0x3000, 1, abi.MAP_PRIVATE | FIXED, open_file(g, "/data"))
    assert g.call(MADVISE, AT, 0x3000, abi.MADV_POPULATE_READ) == -14


def test_the_vdso_and_its_data_are_the_kernel_s_own() -> None:
    """They show in maps; the data page can be made neither writable nor dropped; neither grows."""
    vvar, vdso = (TOP - 0x3000, TOP - 0x2000), (TOP - 0x2000, TOP)
    g = guest(vdso=vdso, vvar=vvar)

    assert mmap(g, 0, 4096) == vvar[0] - 4096
    maps = g.kernel.space.maps()
    assert "r--p 00000000 00:00 0                          [vvar]\n" in maps
    assert "r-xp 00000000 00:00 0                          [vdso]\n" in maps
    assert g.call(MPROTECT, vvar[0], 0x1000, 3) == -EACCES
    assert g.call(MADVISE, vvar[0], 0x1000, abi.MADV_DONTNEED) == -EINVAL
    assert g.call(MREMAP, vdso[0], 0x2000, 0x3000, 1) == -14


def test_protection_that_grows_down_reaches_the_bottom_of_the_stack() -> None:
    """PROT_GROWSDOWN: mprotect(2)."""
    g = guest()

    assert g.call(MPROTECT, STACK[0] + 0x1000, 0x1000, 3 | abi.PROT_EXEC | abi.PROT_GROWSDOWN) == 0
    area = g.kernel.space.areas.at(STACK[0])
    assert area is not None
    assert (area.start, area.end, area.prot) == (STACK[0], STACK[0] + 0x2000, 7)


def test_a_machine_without_frames_takes_the_mapping_back() -> None:
    """OutOfFrames in the middle of a call is ENOMEM (or the old break) and leaves the areas as they were."""
    g = guest(n_frames=1024)
    before = list(g.kernel.space.areas)

    assert mmap(g, 0, 16 << 20) == -ENOMEM
    assert g.call(BRK_NR, BRK + (16 << 20)) == BRK
    assert list(g.kernel.space.areas) == before
    with pytest.raises(SyscallError):
        g.kernel.space.place(0, abi.TASK_SIZE + 1)


def test_large_mappings_are_aligned_to_huge_pages_from_6_7() -> None:
    """The addresses that Linux 6.18 gave a Go program's first mappings, one by one (from a trace of it)."""
    top = 0x7F1C_507A_6000 + 262144
    wanted = {
        262144: 0x7F1C_507A_6000,
        131072: 0x7F1C_5078_6000,
        1048576: 0x7F1C_5068_6000,
        8388608: 0x7F1C_4FE0_0000,
        67108864: 0x7F1C_4BE0_0000,
        536870912: 0x7F1C_2BE0_0000,
        33554432: 0x7F1C_29E0_0000,
        69648: 0x7F1C_5067_4000,
    }
    new = guest(replace(world(mmap_base=top), uname=Uname(release="6.18.44")))

    assert {size: mmap(new, 0, size, 0) for size in wanted} == wanted
    assert mmap(new, 0, 1439992) == 0x7F1C_29E0_0000 - 0x160000  # below 2 MiB: as tight as it fits
    old = guest(replace(world(mmap_base=top), uname=Uname(release="6.6.0")))
    assert mmap(old, 0, 8388608, 0) == top - 8388608
    middle = guest(replace(world(mmap_base=top), uname=Uname(release="6.12.0")))
    assert mmap(middle, 0, 0x30_0000, 0) % (2 << 20) == 0
    without = guest(replace(world(mmap_base=top), uname=Uname(release="6.18.44"), thp=Thp(pmd_size=None)))
    assert mmap(without, 0, 8388608, 0) == top - 8388608


def test_what_a_mapping_costs_does_not_grow_with_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one file, shared: a new one has the pages of another, and one that goes leaves them to the others."""
    g = guest()
    g.put(b"/tmp/file\0")
    fd = g.call(2, BUFFER, abi.O_RDWR | abi.O_CREAT, 0o600)
    assert g.call(77, fd, 2 * PAGE) == 0
    looks = 0
    original = shared.mappings

    def counted(node: StoredFile, *more: tuple[int, ...]) -> Iterator[tuple[AddressSpace, Vma]]:
        nonlocal looks
        for found in original(node, *more):
            looks += 1
            yield found

    monkeypatch.setattr(shared, "mappings", counted)
    made = [g.call(MMAP, 0, 2 * PAGE, 3, abi.MAP_SHARED, fd) for _ in range(200)]
    g.mem.write(made[3] + PAGE, b"seen")
    assert {g.mem.read(addr + PAGE, 4) for addr in made} == {b"seen"}
    for addr in made[1:]:
        assert g.call(MUNMAP, addr, 2 * PAGE) == 0
    assert looks < 10
    assert g.call(17, fd, BUFFER, 4, PAGE) == 4
    assert g.get(4) == b"seen"
    assert g.call(MUNMAP, made[0], 2 * PAGE) == 0
