"""Each row of the table: one success, one bad pointer and one bad argument, with Linux's own answers.

The expected values come from the manual pages that the handlers name, and where a line says "native" from a run on
Linux 6.18.
"""

# Every part of a case is handed the guest, whether it needs it or not.
# ruff: noqa: ARG005

from __future__ import annotations

import struct

import pytest

from syscalls import abi
from syscalls.clone import THREAD
from syscalls.errno import (
    EAGAIN,
    EBADF,
    EFAULT,
    EINVAL,
    EISDIR,
    ENAMETOOLONG,
    ENOENT,
    ENOSYS,
    ENOTDIR,
    ENOTTY,
    EPERM,
    ERANGE,
    ESRCH,
)  # fmt: skip
from syscalls.outcome import Exit
from syscalls.row import ABSENT
from syscalls.table import ROWS
from tests.syscalls import filecases, netcases, pollcases, processcases, signalcases
from tests.syscalls.bytememory import BAD, BRK, BUFFER, DATA, guest
from tests.syscalls.casework import AT, IN, MAPPED, MINUS, Case, iovec, mapped, opened, path, u64

NULL_FILE = "/dev/null"
PMD = "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"
RLIMIT = struct.pack("<QQ", 512, 1024)

CASES: dict[str, Case] = {
    "read": Case(
        lambda g: ((opened(g, PMD), BUFFER, 20), 8),
        lambda g: (opened(g, PMD), BAD, 20),
        lambda g: ((99, BUFFER, 20), EBADF),
        lambda g: g.get(8) == b"2097152\n",
    ),
    "write": Case(
        lambda g: ((1, g.put(b"hello"), 5), 5),
        lambda g: (1, BAD, 5),
        lambda g: ((0, BUFFER, 5), EBADF),  # standard input is open for reading only
        lambda g: g.kernel.output == [(1, b"hello")],
    ),
    "open": Case(
        lambda g: ((path(g, PMD), abi.O_RDONLY, 0), 3),
        lambda g: (BAD, 0, 0),
        lambda g: ((path(g, "/nowhere"), 0, 0), ENOENT),
    ),
    "close": Case(lambda g: ((1,), 0), None, lambda g: ((3,), EBADF)),
    "stat": Case(
        lambda g: ((path(g, "/dev/null"), BUFFER), 0),
        lambda g: (path(g, "/dev/null"), BAD),
        lambda g: ((path(g, "/dev/null/x"), BUFFER), ENOTDIR),
        lambda g: abi.STAT.unpack(g.get(144))[6] == 0x103,  # st_rdev 1:3
    ),
    "fstat": Case(
        lambda g: ((1, BUFFER), 0),
        lambda g: (1, BAD),
        lambda g: ((77, BUFFER), EBADF),
        lambda g: abi.STAT.unpack(g.get(144))[3] == 0o010600,
    ),
    "lstat": Case(
        lambda g: ((path(g, "/proc/self"), BUFFER), 0),
        lambda g: (path(g, "/proc/self"), BAD),
        lambda g: ((path(g, ""), BUFFER), ENOENT),
        lambda g: abi.STAT.unpack(g.get(144))[3] == 0o120777,
    ),
    "lseek": Case(
        lambda g: ((opened(g, PMD), 5, abi.SEEK_SET), 5),
        None,
        lambda g: ((opened(g, PMD), 0, 9), EINVAL),
    ),
    "mmap": Case(
        lambda g: ((MAPPED, 4096, 3, 0x22, MINUS, 0), MAPPED),
        None,
        lambda g: ((0, 0, 3, 0x22, MINUS, 0), EINVAL),
    ),
    "mprotect": Case(lambda g: ((mapped(g), 4096, 1), 0), None, lambda g: ((mapped(g) + 1, 4096, 1), EINVAL)),
    "munmap": Case(lambda g: ((mapped(g), 4096), 0), None, lambda g: ((mapped(g), 0), EINVAL)),
    "brk": Case(lambda g: ((BRK + 100,), BRK + 100), None, None),  # never fails: it returns the break
    "ioctl": Case(lambda g: ((1, 0x5401, BUFFER), -ENOTTY), None, lambda g: ((9, 0x5401, BUFFER), EBADF)),
    "pread64": Case(
        lambda g: ((opened(g, PMD), BUFFER, 3, 4), 3),
        lambda g: (opened(g, PMD), BAD, 3, 4),
        lambda g: ((opened(g, PMD), BUFFER, 3, MINUS), EINVAL),
        lambda g: g.get(3) == b"152",
    ),
    "pwrite64": Case(
        lambda g: ((opened(g, NULL_FILE, abi.O_WRONLY), BUFFER, 3, 4), 3),
        lambda g: (opened(g, NULL_FILE, abi.O_WRONLY), BAD, 3, 4),
        lambda g: ((opened(g, NULL_FILE, abi.O_WRONLY), BUFFER, 3, MINUS), EINVAL),
    ),
    "readv": Case(
        lambda g: ((opened(g, PMD), iovec(g, (BUFFER, 3), (BUFFER + 8, 99)), 2), 8),
        lambda g: (opened(g, PMD), BAD, 1),
        lambda g: ((opened(g, PMD), iovec(g, (BUFFER, 1)), 1025), EINVAL),
        lambda g: g.get(13) == b"209\0\0\0\0\0" + b"7152\n",
    ),
    "writev": Case(
        lambda g: ((2, iovec(g, (g.put(b"ab"), 2), (g.put(b"cd", 8), 2)), 2), 4),
        lambda g: (2, iovec(g, (BAD, 2)), 1),
        lambda g: ((2, iovec(g, (BUFFER, 1 << 63)), 1), EINVAL),
        lambda g: g.kernel.output == [(2, b"ab"), (2, b"cd")],
    ),
    "access": Case(
        lambda g: ((path(g, "/proc/self/status"), abi.R_OK), 0),
        lambda g: (BAD, 0),
        lambda g: ((path(g, "/proc/self/status"), 8), EINVAL),
    ),
    "sched_yield": Case(lambda g: ((), 0)),
    "mremap": Case(
        lambda g: ((mapped(g), 4096, 2 * 4096, abi.MREMAP_MAYMOVE, 0), 0x7FFF_F7FF_D000),
        None,
        lambda g: ((mapped(g), 4096, 4096, 8, 0), EINVAL),
    ),
    "msync": Case(lambda g: ((mapped(g), 4096, 4), 0), None, lambda g: ((mapped(g), 4096, 8), EINVAL)),
    "mincore": Case(
        lambda g: ((DATA, 8192, BUFFER), 0),
        lambda g: (DATA, 8192, BAD),
        lambda g: ((DATA + 1, 8192, BUFFER), EINVAL),
    ),
    "madvise": Case(lambda g: ((mapped(g), 4096, 14), 0), None, lambda g: ((mapped(g), 4096, 77), EINVAL)),
    "dup": Case(lambda g: ((1,), 3), None, lambda g: ((5,), EBADF)),
    "dup2": Case(lambda g: ((1, 9), 9), None, lambda g: ((1, 1024), EBADF)),
    "nanosleep": Case(
        lambda g: ((g.put(struct.pack("<qq", 1, 5), IN), 0), 0),
        lambda g: (BAD, 0),
        lambda g: ((g.put(struct.pack("<qq", 1, 10**9), IN), 0), EINVAL),
        lambda g: g.kernel.clock.monotonic_ns() == g.kernel.world.clock.monotonic + 1_000_000_005,
    ),
    "getpid": Case(lambda g: ((), 1000)),
    "clone": Case(
        lambda g: ((THREAD | abi.CLONE_PARENT_SETTID | abi.CLONE_SETTLS, 0x9000, BUFFER, 0, 0x5000), 1001),
        None,  # the kernel does not look whether it could store the ids: kernel_clone, schedule_tail
        lambda g: ((abi.CLONE_THREAD, 0x9000, 0, 0, 0), EINVAL),
        lambda g: (
            g.get(4) == struct.pack("<I", 1001)
            and g.kernel.tasks[1001].fs_base == 0x5000
            and g.kernel.born == [(g.task, g.kernel.tasks[1001], 0x9000)]
        ),
    ),
    "clone3": Case(
        lambda g: ((g.put(struct.pack("<11Q", THREAD, 0, 0, 0, 0, 0x8000, 0x1000, 0, 0, 0, 0), IN), 88), 1001),
        lambda g: (BAD, 88),
        lambda g: ((g.put(bytes(63), IN), 63), EINVAL),
        lambda g: g.kernel.born == [(g.task, g.kernel.tasks[1001], 0x9000)],
    ),
    "exit": Case(lambda g: ((0x103,), 0), check=lambda g: g.kernel.exit == Exit(3) and not g.kernel.tasks),
    "uname": Case(
        lambda g: ((BUFFER,), 0), lambda g: (BAD,), None, lambda g: g.get(65, 130) == b"6.1.0".ljust(65, b"\0")
    ),
    "fcntl": Case(lambda g: ((1, abi.F_GETFL, 0), abi.O_WRONLY), None, lambda g: ((1, 999, 0), EINVAL)),
    "getcwd": Case(
        lambda g: ((BUFFER, 100), 2), lambda g: (BAD, 100), lambda g: ((BUFFER, 1), ERANGE),
        lambda g: g.get(2) == b"/\0",
    ),
    "chdir": Case(
        lambda g: ((path(g, "/proc/self/"),), 0), lambda g: (BAD,), lambda g: ((path(g, NULL_FILE),), ENOTDIR),
        lambda g: g.kernel.cwd == "/proc/1000",
    ),
    "fchdir": Case(lambda g: ((opened(g, "/tmp"),), 0), None, lambda g: ((1,), ENOTDIR)),
    "creat": Case(
        lambda g: ((path(g, NULL_FILE), 0o644), 3), lambda g: (BAD, 0), lambda g: ((path(g, "/tmp"), 0), EISDIR)
    ),
    "readlink": Case(
        lambda g: ((path(g, "/proc/self/exe"), BUFFER, 100), 10),
        lambda g: (path(g, "/proc/self/exe"), BAD, 100),
        lambda g: ((path(g, "/proc/self/exe"), BUFFER, 0), EINVAL),
        lambda g: g.get(11) == b"/bin/hello\0",
    ),
    "umask": Case(lambda g: ((0o77,), 0o022), check=lambda g: g.kernel.umask == 0o77),
    "gettimeofday": Case(
        lambda g: ((BUFFER, BUFFER + 16), 0), lambda g: (BAD, 0), None,
        lambda g: u64(g) == 1_577_836_800 and u64(g, 8) == 0,
    ),
    "getrlimit": Case(
        lambda g: ((abi.RLIMIT_NOFILE, BUFFER), 0), lambda g: (0, BAD), lambda g: ((16, BUFFER), EINVAL),
        lambda g: (u64(g), u64(g, 8)) == (1024, 4096),
    ),
    "getrusage": Case(lambda g: ((0, BUFFER), 0), lambda g: (0, BAD), lambda g: ((5, BUFFER), EINVAL)),
    "sysinfo": Case(
        lambda g: ((BUFFER,), 0), lambda g: (BAD,), None,
        lambda g: (u64(g), u64(g, 32)) == (1000, 4 << 30),
    ),
    "times": Case(lambda g: ((BUFFER,), 100_000), lambda g: (BAD,), None),
    "getuid": Case(lambda g: ((), 0)),
    "getgid": Case(lambda g: ((), 0)),
    "geteuid": Case(lambda g: ((), 0)),
    "getegid": Case(lambda g: ((), 0)),
    "getppid": Case(lambda g: ((), 999)),
    "getpgrp": Case(lambda g: ((), 1000)),
    "getgroups": Case(lambda g: ((0, 0), 0), None, lambda g: ((MINUS, 0), EINVAL)),
    "getresuid": Case(lambda g: ((BUFFER, BUFFER, BUFFER), 0), lambda g: (BUFFER, BUFFER, BAD)),
    "getresgid": Case(lambda g: ((BUFFER, BUFFER, BUFFER), 0), lambda g: (BUFFER, BAD, BUFFER)),
    "getpgid": Case(lambda g: ((0,), 1000), None, lambda g: ((5,), ESRCH)),
    "getsid": Case(lambda g: ((1000,), 1000), None, lambda g: ((MINUS,), ESRCH)),
    "sched_getparam": Case(lambda g: ((0, BUFFER), 0), lambda g: (0, BAD), lambda g: ((MINUS, BUFFER), EINVAL)),
    "sched_getscheduler": Case(lambda g: ((1000,), 0), None, lambda g: ((7,), ESRCH)),
    "sched_get_priority_max": Case(lambda g: ((1,), 99), None, lambda g: ((4,), EINVAL)),
    "sched_get_priority_min": Case(lambda g: ((2,), 1), None, lambda g: ((99,), EINVAL)),
    "prctl": Case(
        lambda g: ((abi.PR_SET_NAME, g.put(b"a name longer than it may be\0", IN)), 0),
        lambda g: (abi.PR_SET_NAME, BAD),
        lambda g: ((12345,), EINVAL),
        lambda g: g.task.comm == "a name longer t",
    ),
    "arch_prctl": Case(
        lambda g: ((abi.ARCH_SET_FS, 0x5000), 0), lambda g: (abi.ARCH_GET_FS, BAD), lambda g: ((0x3001, 0), EINVAL),
        lambda g: g.task.fs_base == 0x5000,
    ),
    "setrlimit": Case(
        lambda g: ((abi.RLIMIT_NOFILE, g.put(RLIMIT, IN)), 0),
        lambda g: (abi.RLIMIT_NOFILE, BAD),
        lambda g: ((abi.RLIMIT_NOFILE, g.put(struct.pack("<QQ", 2, 1), IN)), EINVAL),
        lambda g: g.kernel.rlimits[abi.RLIMIT_NOFILE] == (512, 1024),
    ),
    "gettid": Case(lambda g: ((), 1000)),
    "time": Case(lambda g: ((BUFFER,), 1_577_836_800), lambda g: (BAD,), None, lambda g: u64(g) == 1_577_836_800),
    "futex": Case(
        lambda g: ((g.put(b"\1\0\0\0"), abi.FUTEX_WAIT, 2, 0, 0, 0), -EAGAIN),
        lambda g: (BAD, abi.FUTEX_WAIT, 2, 0, 0, 0),
        lambda g: ((BUFFER + 1, abi.FUTEX_WAIT, 2, 0, 0, 0), EINVAL),
    ),
    "sched_setaffinity": Case(
        lambda g: ((0, 8, g.put(struct.pack("<Q", 0b110), IN)), 0),
        lambda g: (0, 8, BAD),
        lambda g: ((0, 8, g.put(struct.pack("<Q", 1 << 7), IN)), EINVAL),  # no such CPU
        lambda g: (g.task.cpus, g.task.cpu) == (0b10, 1),
    ),
    "sched_getaffinity": Case(
        lambda g: ((0, 8192, BUFFER), 8), lambda g: (0, 8192, BAD), lambda g: ((0, 7, BUFFER), EINVAL),
        lambda g: u64(g) == 3,
    ),
    "getdents64": Case(
        lambda g: ((opened(g, "/tmp", abi.O_DIRECTORY), BUFFER, 1024), 48),  # "." and "..", 24 bytes each
        lambda g: (opened(g, "/tmp"), BAD, 1024),
        lambda g: ((opened(g, "/tmp"), BUFFER, 10), EINVAL),
        lambda g: g.get(3, 18) == b"\4.\0" and g.get(4, 42) == b"\4..\0",
    ),
    "set_tid_address": Case(lambda g: ((0x1234,), 1000), check=lambda g: g.task.clear_child_tid == 0x1234),
    "clock_gettime": Case(
        lambda g: ((1, BUFFER), 0), lambda g: (1, BAD), lambda g: ((99, BUFFER), EINVAL),
        lambda g: (u64(g), u64(g, 8)) == (1000, 0),
    ),
    "clock_getres": Case(
        lambda g: ((0, BUFFER), 0), lambda g: (0, BAD), lambda g: ((MINUS, 0), EINVAL),
        lambda g: (u64(g), u64(g, 8)) == (0, 1),
    ),
    "clock_nanosleep": Case(
        lambda g: ((1, abi.TIMER_ABSTIME, g.put(struct.pack("<qq", 1500, 0), IN), 0), 0),
        lambda g: (1, 0, BAD, 0),
        lambda g: ((1, 0, g.put(struct.pack("<qq", -1, 0), IN), 0), EINVAL),
        lambda g: g.kernel.clock.monotonic_ns() == 1_500_000_000_000,
    ),
    "exit_group": Case(lambda g: ((7,), 0), check=lambda g: g.kernel.exit == Exit(7)),
    "openat": Case(
        lambda g: ((AT, path(g, PMD), 0, 0), 3),
        lambda g: (AT, BAD, 0, 0),
        lambda g: ((AT, path(g, "/tmp"), abi.O_WRONLY, 0), EISDIR),
    ),
    "newfstatat": Case(
        lambda g: ((opened(g, "/sys/kernel/mm"), path(g, "transparent_hugepage/enabled"), BUFFER, 0), 0),
        lambda g: (AT, path(g, PMD), BAD, 0),
        lambda g: ((AT, path(g, PMD), BUFFER, 1), EINVAL),
        lambda g: abi.STAT.unpack(g.get(144))[3::4][:2] == (0o100644, 4096),  # native: mode and size
    ),
    "readlinkat": Case(
        lambda g: ((AT, path(g, "/proc/self"), BUFFER, 100), 4),
        lambda g: (AT, path(g, "/proc/self"), BAD, 100),
        lambda g: ((AT, path(g, NULL_FILE), BUFFER, 100), EINVAL),
        lambda g: g.get(5) == b"1000\0",
    ),
    "faccessat": Case(
        lambda g: ((AT, path(g, NULL_FILE), abi.W_OK), 0),
        lambda g: (AT, BAD, 0),
        lambda g: ((9, path(g, "x"), 0), EBADF),
    ),
    "set_robust_list": Case(
        lambda g: ((0x7000, 24), 0), None, lambda g: ((0x7000, 23), EINVAL), lambda g: g.task.robust_list == 0x7000
    ),
    "get_robust_list": Case(
        lambda g: ((0, BUFFER, BUFFER + 8), 0), lambda g: (0, BUFFER, BAD), lambda g: ((3, BUFFER, BUFFER), ESRCH),
        lambda g: u64(g, 8) == 24,
    ),
    "dup3": Case(lambda g: ((1, 5, abi.O_CLOEXEC), 5), None, lambda g: ((1, 1, 0), EINVAL)),
    "prlimit64": Case(
        lambda g: ((0, abi.RLIMIT_NOFILE, g.put(RLIMIT, IN), BUFFER), 0),
        lambda g: (0, abi.RLIMIT_NOFILE, BAD, 0),
        lambda g: ((5, abi.RLIMIT_NOFILE, 0, BUFFER), ESRCH),
        lambda g: (u64(g), u64(g, 8)) == (1024, 4096),
    ),
    "getcpu": Case(lambda g: ((BUFFER, BUFFER + 4, 0), 0), lambda g: (BAD, 0, 0), None, lambda g: u64(g) == 0),
    "getrandom": Case(
        lambda g: ((BUFFER, 16, 0), 16), lambda g: (BAD, 16, 0), lambda g: ((BUFFER, 16, 8), EINVAL),
        lambda g: g.get(16) != bytes(16),
    ),
    "rseq": Case(
        lambda g: ((BUFFER, 32, 0, 0x53053053), 0),
        lambda g: (BAD & ~31, 32, 0, 0x53053053),
        lambda g: ((BUFFER, 32, 2, 0), EINVAL),
        lambda g: g.task.rseq == (BUFFER, 32, 0x53053053),
    ),
    "close_range": Case(
        lambda g: ((1, 0xFFFF_FFFF, 0), 0), None, lambda g: ((2, 1, 0), EINVAL), lambda g: g.kernel.files.fds() == [0]
    ),
    "faccessat2": Case(
        lambda g: ((AT, path(g, PMD), abi.R_OK, abi.AT_EACCESS), 0),
        lambda g: (AT, BAD, 0, 0),
        lambda g: ((AT, path(g, PMD), 0, 0x8000), EINVAL),
    ),
} | filecases.CASES | pollcases.CASES | netcases.CASES | processcases.CASES | signalcases.CASES  # fmt: skip

BY_NAME = {row.name: row for row in ROWS}


def test_every_row_has_its_cases() -> None:
    """A new row brings its cases: success, a bad pointer where it follows one, a bad argument where it takes one."""
    assert set(CASES) == {row.name for row in ROWS if row.level != ABSENT}
    follows = {row.name for row in ROWS if row.level != ABSENT and any(kind.direction for kind in row.kinds)}
    assert {name for name in follows if CASES[name].fault is None} == set()
    takes = {row.name for row in ROWS if row.level != ABSENT and row.kinds}
    # brk never fails; exit and umask take any number; the rest take pointers only, or none of theirs can be wrong.
    no_wrong_value = {"brk", "exit", "exit_group", "umask", "uname", "gettimeofday", "sysinfo", "times", "time",
                      "getcpu", "getresuid", "getresgid", "set_tid_address", "alarm", "pipe", "eventfd",
                      "setfsuid", "setfsgid"}  # fmt: skip
    assert {name for name in takes if CASES[name].bad is None} == no_wrong_value


@pytest.mark.parametrize("name", CASES)
def test_success(name: str) -> None:
    """The call returns what its page says, and has done what it says."""
    g = guest()
    args, expected = CASES[name].good(g)

    assert g.call(BY_NAME[name].nr, *args) == expected
    assert CASES[name].check(g)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.fault])
def test_bad_pointer(name: str) -> None:
    """A pointer to unmapped memory is EFAULT and changes nothing that a second call could see."""
    g = guest()
    fault = CASES[name].fault
    assert fault is not None
    args = fault(g)

    assert g.call(BY_NAME[name].nr, *args) == -EFAULT
    assert g.kernel.events[-1].errno == "EFAULT"
    assert g.kernel.exit is None
    assert g.kernel.output == []


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.bad])
def test_bad_argument(name: str) -> None:
    """A wrong value fails with the error that the page gives."""
    g = guest()
    bad = CASES[name].bad
    assert bad is not None
    args, errno = bad(g)

    assert g.call(BY_NAME[name].nr, *args) == -errno
    assert g.kernel.exit is None


@pytest.mark.parametrize("row", [row for row in ROWS if row.level == ABSENT], ids=lambda row: row.name)
def test_absent_calls_fail_as_their_rows_say(row: object) -> None:
    """An absent call does nothing, and says why in the table."""
    known = {"membarrier": ENOSYS, "setns": EINVAL}
    assert row in ROWS
    name = next(each.name for each in ROWS if each is row)

    assert guest().call(BY_NAME[name].nr, 0, 0, 0, 0, 0, 0) == -known[name]
    assert BY_NAME[name].note


def test_a_path_longer_than_path_max_is_refused() -> None:
    """4,096 bytes without a null are ENAMETOOLONG, 4,095 with one are a name (too long in its one component)."""
    g = guest()
    g.mem.write(BUFFER, b"/" * 4095 + b"\0")
    assert g.call(2, BUFFER, abi.O_RDONLY) == 3  # the root, spelled at length
    g.mem.write(BUFFER, b"/" * 4096)
    assert g.call(2, BUFFER, abi.O_RDONLY) == -ENAMETOOLONG


def test_only_the_super_user_raises_hard_limits() -> None:
    """EPERM without CAP_SYS_RESOURCE; and nobody goes above /proc/sys/fs/nr_open."""
    from dataclasses import replace

    from syscalls.world import Process, World

    g = guest(replace(World(), process=Process(uid=1000, euid=1000)))
    assert g.call(160, abi.RLIMIT_NOFILE, g.put(struct.pack("<QQ", 10, 5000))) == -EPERM
    root = guest()
    assert root.call(160, abi.RLIMIT_NOFILE, root.put(struct.pack("<QQ", 10, 5000))) == 0
    assert root.call(160, abi.RLIMIT_NOFILE, root.put(struct.pack("<QQ", 10, 1_048_577))) == -EPERM
