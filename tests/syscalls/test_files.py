"""Descriptors and files: opening, reading, seeking, listing, over the World's tree."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from syscalls import abi
from syscalls.errno import (
    EACCES,
    EBADF,
    EEXIST,
    EFAULT,
    EINVAL,
    EIO,
    EISDIR,
    ELOOP,
    EMFILE,
    ENODEV,
    ENOENT,
    ENOSPC,
    ENOTDIR,
    ENXIO,
    EROFS,
    ESPIPE,
    ETXTBSY,
)  # fmt: skip
from syscalls.guest import PAGE
from syscalls.world import File, Process, Thp, Uname, World
from tests.syscalls.bytememory import BUFFER, Guest, guest

READ, OPEN, LSEEK, PREAD, DUP, DUP2, FCNTL, GETDENTS, OPENAT = 0, 2, 8, 17, 32, 33, 72, 217, 257
PMD = "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"
ENABLED = "/sys/kernel/mm/transparent_hugepage/enabled"
MEMINFO = "/proc/meminfo"
RDONLY, WRONLY, RDWR, CREAT, EXCL = abi.O_RDONLY, abi.O_WRONLY, abi.O_RDWR, abi.O_CREAT, abi.O_EXCL


def opens(g: Guest, path: str, flags: int = RDONLY, dirfd: int = abi.AT_FDCWD) -> int:
    return g.call(OPENAT, dirfd, g.put(path.encode("utf-8", "surrogateescape") + b"\0", 4096), flags, 0)


def reads(g: Guest, fd: int, size: int = 4096) -> bytes:
    count = g.call(READ, fd, BUFFER, size)
    assert count >= 0
    return g.get(count)


@pytest.mark.parametrize(
    ("path", "flags", "errno"),
    [
        ("/nowhere", RDONLY, ENOENT),
        ("", RDONLY, ENOENT),
        (f"{PMD}/x", RDONLY, ENOTDIR),
        (f"{MEMINFO}/", RDONLY, ENOTDIR),
        (MEMINFO, abi.O_DIRECTORY, ENOTDIR),
        ("/tmp", WRONLY, EISDIR),
        ("/tmp", CREAT, EISDIR),
        ("/tmp/", CREAT, EISDIR),
        ("/proc/self", abi.O_NOFOLLOW, ELOOP),
        ("/proc/self", abi.O_NOFOLLOW | abi.O_DIRECTORY, ENOTDIR),
        ("/dev/tty", RDWR, ENXIO),
        (MEMINFO, CREAT | EXCL, EEXIST),
        (PMD, CREAT | EXCL, EEXIST),
        ("/data", CREAT | EXCL, EEXIST),
        (PMD, WRONLY, EACCES),
        ("/proc/new", WRONLY | CREAT, ENOENT),
        ("/sys/new", WRONLY | CREAT, EACCES),
        ("/tmp/new/", WRONLY | CREAT, EISDIR),
        ("/tmp/no/new", WRONLY | CREAT, ENOENT),
        ("/data/new", WRONLY | CREAT, ENOTDIR),
        ("/bin/hello", WRONLY, ETXTBSY),
        ("/sys/fs/cgroup/cpu.max", WRONLY, EROFS),
        ("/bad", RDONLY, EIO),
        ("/tmp", abi.O_TMPFILE, EINVAL),
    ],
)
def test_opening_fails_as_on_linux(path: str, flags: int, errno: int) -> None:
    """Native on Linux 6.18; EROFS is our own, for control groups, which cannot be written."""
    g = guest(replace(World(), files=(File("/data", b"12345"), File("/bad", errno="EIO"))))

    assert opens(g, path, flags) == -errno
    assert g.kernel.files.fds() == [0, 1, 2]


def test_creating_a_directory_with_open() -> None:
    """O_CREAT with O_DIRECTORY is EINVAL from 6.4 on (native on 6.18)."""
    new = guest(replace(World(), uname=Uname(release="6.4.0")))

    assert opens(new, "/tmp/x", CREAT | abi.O_DIRECTORY) == -EINVAL
    assert opens(guest(), "/tmp/x", CREAT | abi.O_DIRECTORY) == 3


def test_files_of_the_world_are_read_in_pieces() -> None:
    """Short reads at the end, nothing behind it, and positions that pread leaves alone."""
    g = guest(replace(World(), files=(File("/data", b"0123456789"),)))
    fd = opens(g, "/data")

    assert [reads(g, fd, 4), reads(g, fd, 4), reads(g, fd, 4), reads(g, fd, 4)] == [b"0123", b"4567", b"89", b""]
    assert g.call(PREAD, fd, BUFFER, 4, 8) == 2
    assert g.call(LSEEK, fd, -3, abi.SEEK_END) == 7
    assert reads(g, fd) == b"789"
    assert g.call(LSEEK, fd, 100, abi.SEEK_SET) == 100
    assert reads(g, fd) == b""
    assert g.call(LSEEK, fd, -101, abi.SEEK_CUR) == -EINVAL
    assert g.call(LSEEK, fd, 3, abi.SEEK_HOLE) == 10
    assert g.call(LSEEK, fd, 3, abi.SEEK_DATA) == 3
    assert g.call(LSEEK, fd, 10, abi.SEEK_DATA) == -ENXIO


def test_a_large_file_crosses_chunks() -> None:
    """Reads of more than one internal chunk come out whole."""
    content = bytes(range(256)) * 1024
    g = guest(replace(World(), files=(File("/data", content),)))
    assert g.call(9, 0x2000_0000, len(content), 3, 0x32, -1) == 0x2000_0000

    assert opens(g, "/data") == 3
    assert g.call(READ, 3, 0x2000_0000, len(content)) == len(content)
    assert g.mem.read(0x2000_0000, len(content)) == content


def test_a_fault_in_the_middle_ends_the_read_early() -> None:
    """What fits before the bad page arrives; a buffer that is bad from the start is EFAULT.  (native)"""
    g = guest(replace(World(), files=(File("/data", b"x" * 9000),)))
    g.call(9, 0x2000_0000, PAGE, 3, 0x32, -1)
    fd = opens(g, "/data")

    assert g.call(READ, fd, 0x2000_0000 + 1000, 9000) == PAGE - 1000
    assert g.call(LSEEK, fd, 0, abi.SEEK_CUR) == PAGE - 1000
    assert g.call(READ, fd, 0x2000_0000 + PAGE, 10) == -EFAULT
    assert g.call(1, 1, 0x2000_0000 + PAGE - 3, 10) == 3


def test_sought_as_their_file_systems_do() -> None:
    """Procfs has no end, sysfs ends at 4,096 and goes no further, null never moves, pipes cannot.  (native)"""
    g = guest()
    meminfo, enabled, null = opens(g, MEMINFO), opens(g, ENABLED), opens(g, "/dev/null")

    assert g.call(LSEEK, meminfo, 0, abi.SEEK_END) == -EINVAL
    assert g.call(LSEEK, meminfo, 10**15, abi.SEEK_SET) == 10**15
    assert g.call(LSEEK, enabled, 0, abi.SEEK_END) == 4096
    assert g.call(LSEEK, enabled, 10**15, abi.SEEK_SET) == -EINVAL
    assert g.call(LSEEK, null, 5, abi.SEEK_SET) == 0
    assert g.call(LSEEK, 1, 0, abi.SEEK_SET) == -ESPIPE
    assert g.call(PREAD, 0, BUFFER, 1, 0) == -ESPIPE
    assert g.call(LSEEK, opens(g, PMD, abi.O_PATH), 0, 0) == -EBADF


def test_devices() -> None:
    """Null is empty, zero is zeros, full takes nothing, urandom draws from the World's one stream."""
    g = guest()

    assert reads(g, opens(g, "/dev/null")) == b""
    assert reads(g, opens(g, "/dev/zero"), 5) == bytes(5)
    random = reads(g, opens(g, "/dev/urandom"), 16)
    full = opens(g, "/dev/full", RDWR)
    assert g.call(1, full, BUFFER, 1) == -ENOSPC
    assert reads(g, full, 3) == bytes(3)
    assert g.call(1, opens(g, "/dev/null", WRONLY), BUFFER, 99) == 99
    assert len(set(random)) > 4
    again = guest()
    assert reads(again, opens(again, "/dev/urandom"), 16) == random
    other = guest(replace(World(), seed=2))
    assert reads(other, opens(other, "/dev/urandom"), 16) != random


def test_the_lowest_free_descriptor_is_used() -> None:
    """By open, dup and F_DUPFD; at RLIMIT_NOFILE there is none: EMFILE, before the path is even looked at."""
    g = guest()
    fds = [opens(g, MEMINFO) for _ in range(3)]
    g.call(3, 4)

    assert fds == [3, 4, 5]
    assert g.call(DUP, 0) == 4
    assert g.call(FCNTL, 0, abi.F_DUPFD, 10) == 10
    assert g.call(FCNTL, 0, abi.F_DUPFD, 1024) == -EINVAL
    g.call(160, abi.RLIMIT_NOFILE, g.put(abi.RLIMIT.pack(7, 7)))
    assert opens(g, MEMINFO) == 6
    assert opens(g, "/nowhere") == -EMFILE
    assert g.call(DUP, 0) == -EMFILE
    assert g.call(DUP2, 0, 7) == -EBADF


def test_duplicates_share_a_position_and_flags() -> None:
    """Close-on-exec belongs to the descriptor, the rest to the open file: dup(2), fcntl(2)."""
    g = guest()
    fd = opens(g, PMD, abi.O_CLOEXEC)
    twin = g.call(DUP, fd)
    reads(g, fd, 3)

    assert reads(g, twin, 2) == b"71"
    assert [g.call(FCNTL, each, abi.F_GETFD) for each in (fd, twin)] == [abi.FD_CLOEXEC, 0]
    assert g.call(FCNTL, twin, abi.F_SETFL, abi.O_NONBLOCK | abi.O_RDWR) == 0
    assert g.call(FCNTL, fd, abi.F_GETFL) == abi.O_NONBLOCK | abi.O_LARGEFILE
    assert g.call(FCNTL, fd, abi.F_SETFD, 0) == 0
    assert g.call(FCNTL, fd, abi.F_GETFD) == 0
    assert g.call(FCNTL, fd, abi.F_DUPFD_CLOEXEC, 0) == 5
    assert g.call(FCNTL, 5, abi.F_GETFD) == 1
    assert g.call(292, fd, 9, 0) == 9
    assert g.call(436, 3, 5, 4) == 0  # close_range with CLOEXEC
    assert g.call(FCNTL, fd, abi.F_GETFD) == 1


def test_standard_input_is_what_the_caller_gives() -> None:
    """Empty by default; else read in order, as a pipe is."""
    g = guest()
    assert reads(g, 0) == b""
    pieces = [b"abc", b"de"]
    g.kernel.stdin = lambda size: pieces.pop(0)[:size] if pieces else b""

    assert [reads(g, 0, 10), reads(g, 0, 10), reads(g, 0, 10)] == [b"abc", b"de", b""]


def test_descriptor_names_lead_to_their_files() -> None:
    """/dev/stdin, /proc/self/fd/N and /dev/fd/N are the open files themselves."""
    g = guest()
    pmd = opens(g, PMD)
    reads(g, pmd, 3)
    again = opens(g, f"/proc/self/fd/{pmd}")

    assert reads(g, again) == b"7152\n"
    out = opens(g, "/dev/stdout", WRONLY)
    assert g.call(1, out, g.put(b"hi"), 2) == 2
    assert g.kernel.output == [(1, b"hi")]
    assert opens(g, "/dev/fd/77") == -ENOENT
    assert g.call(89, g.put(f"/proc/self/fd/{pmd}\0".encode(), 4096), BUFFER, 200) == len(PMD)


def test_relative_paths_start_at_the_working_directory_or_a_descriptor() -> None:
    """A World's ``cwd``, chdir, and openat's directory; an absolute path needs none of them."""
    g = guest(replace(World(), cwd="/sys/kernel"))
    relative = "mm/transparent_hugepage/hpage_pmd_size"

    assert opens(g, relative) == 3
    assert opens(g, "/proc/self/stat", dirfd=99) == 4
    folder = opens(g, "/sys/kernel/mm", abi.O_PATH | abi.O_DIRECTORY)
    assert opens(g, "transparent_hugepage/enabled", dirfd=folder) == 6
    assert opens(g, relative, dirfd=99) == -EBADF
    assert opens(g, relative, dirfd=3) == -ENOTDIR
    assert g.call(80, g.put(b"/proc\0", 4096)) == 0
    assert opens(g, relative) == -ENOENT
    assert opens(g, "meminfo") == 7
    assert g.call(READ, folder, BUFFER, 1) == -EBADF  # O_PATH


def test_directories_list_their_entries() -> None:
    """getdents64 goes on where it stopped, ends with 0, and starts again after a seek."""
    g = guest(replace(World(), files=(File("/d/one"), File("/d/two"))))
    fd = opens(g, "/d", abi.O_DIRECTORY)
    names = []
    while count := g.call(GETDENTS, fd, BUFFER, 56):
        data = g.get(count)
        while data:
            length = struct.unpack_from("<H", data, 16)[0]
            names.append((data[19:length].split(b"\0")[0], data[18]))
            data = data[length:]

    assert names == [(b".", 4), (b"..", 4), (b"one", 8), (b"two", 8)]
    assert g.call(LSEEK, fd, 0, abi.SEEK_SET) == 0
    assert g.call(GETDENTS, fd, BUFFER, 4096) == 24 * 4
    assert g.call(READ, fd, BUFFER, 0) == -EISDIR
    assert g.call(GETDENTS, opens(g, PMD), BUFFER, 4096) == -ENOTDIR


def test_permissions_count_for_others_than_root() -> None:
    """A file of root's with mode 0600 is closed to user 5, and open to root."""
    files = (File("/secret", b"x", 0o600), File("/open", b"x", 0o644))
    user = guest(replace(World(), files=files, process=Process(uid=5, euid=5, gid=5, egid=5)))

    assert opens(user, "/secret") == -EACCES
    assert opens(user, "/open") == 3
    assert opens(user, "/open", abi.O_NOATIME) == -1
    assert user.call(21, user.put(b"/secret\0"), abi.R_OK) == -EACCES
    assert user.call(21, user.put(b"/open\0"), abi.R_OK) == 0
    assert user.call(21, user.put(b"/open\0"), abi.X_OK) == -EACCES
    root = guest(replace(World(), files=files))
    assert opens(root, "/secret") == 3
    assert root.call(21, root.put(b"/secret\0"), abi.X_OK) == -EACCES  # nobody may execute it
    assert root.call(21, root.put(b"/secret\0"), abi.W_OK) == 0


def test_stat_of_each_kind() -> None:
    """Type, permissions, size, device numbers."""
    g = guest(replace(World(), files=(File("/data", b"12345", 0o640),)))

    def stat(path: str) -> tuple[int, ...]:
        assert g.call(4, g.put(path.encode() + b"\0", 4096), BUFFER) == 0
        return abi.STAT.unpack(g.get(144))

    data, null, folder, meminfo = stat("/data"), stat("/dev/null"), stat("/proc/self/fd"), stat(MEMINFO)
    assert (data[3], data[7], data[8], data[9], data[0]) == (0o100640, 5, 4096, 8, 0x801)
    assert (null[3], null[6]) == (0o020666, 0x103)
    assert folder[3] == 0o040500
    assert (meminfo[3], meminfo[7], meminfo[8]) == (0o100444, 0, 1024)
    assert len({each[1] for each in (data, null, folder, meminfo)}) == 4
    assert data[10] == World().clock.realtime // 10**9


def test_proc_self_shows_the_running_program() -> None:
    """maps, comm, limits, status and fd follow what the program has done."""
    g = guest()
    g.call(9, 0x2000_0000, PAGE, 3, 0x32, -1)
    g.call(157, abi.PR_SET_NAME, g.put(b"renamed\0"))
    g.call(13, 15, g.put(abi.KERNEL_SIGACTION.pack(abi.SIG_IGN, 0, 0, 0)), 0, 8)
    g.call(203, 0, 8, g.put(struct.pack("<Q", 2)))

    assert b"20000000-20001000 rw-p 00000000 00:00 0 \n" in reads(g, opens(g, "/proc/self/maps"))
    assert reads(g, opens(g, "/proc/self/comm")) == b"renamed\n"
    status = reads(g, opens(g, "/proc/self/status"))
    assert b"SigIgn:\t0000000000004000\n" in status
    assert b"Cpus_allowed_list:\t1\n" in status
    assert b"VmStk:\t    2048 kB\n" in status


def test_absent_huge_pages_are_absent() -> None:
    """Without the folder, opening its file is ENOENT, as in the walker's container."""
    assert opens(guest(replace(World(), thp=Thp(pmd_size=None))), PMD) == -ENOENT


def test_a_pipe_cannot_be_mapped_or_listed() -> None:
    """Standard output is no file with a place."""
    g = guest(replace(World(), process=Process()))

    assert g.call(9, 0, PAGE, 1, abi.MAP_PRIVATE, 0) == -ENODEV
    assert g.call(GETDENTS, 0, BUFFER, 100) == -ENOTDIR
    assert g.call(81, 0) == -ENOTDIR


def test_opening_a_named_pipe_waits_for_the_other_end() -> None:
    """The descriptor is taken at once, and the open returns it when somebody opens the other end.  fifo(7)"""
    g = guest()
    other = g.task.copy()
    other.tid = 1001
    g.kernel.tasks[1001] = other
    assert g.call(133, g.put(b"/tmp/p\0", 4096), abi.S_IFIFO | 0o600, 0) == 0

    assert g.kernel.call(g.task, OPEN, (g.put(b"/tmp/p\0", 4096), RDONLY, 0, 0, 0, 0)) is None
    assert g.task.wait is not None
    assert g.kernel.call(other, OPEN, (BUFFER + 4096, WRONLY, 0, 0, 0, 0)) == 4
    assert g.task.woken == "woken"
    assert g.kernel.resume(g.task) == 3
    assert g.call(1, 4, g.put(b"through"), 7) == 7
    assert reads(g, 3) == b"through"
