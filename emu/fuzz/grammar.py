"""What a kernel may answer: one row for each call that a Go program makes while it starts, each file that it reads,
and each part of the World that can be told apart from them.

Everything here is what a Linux kernel may legally do, by the man page of the call; it is the *contract* tier.  The
*hostile* tier knows only the rows, and answers anything.  Order matters: a plan's bytes name a row by its number, so
new rows come last.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from emu.fuzz import shapes
from emu.fuzz.shapes import Shape
from syscalls.kernel import COMPILED
from syscalls.numbers import NUMBERS
from syscalls.row import ZERO

CONTRACT, HOSTILE = "contract", "hostile"
TIERS = (CONTRACT, HOSTILE)
"""What a Linux kernel may legally answer, so that a failure says something about Go; and anything at all."""

ANY_SIZE = (1, 1 << 20)


class Row(NamedTuple):
    """One row: a *call*; or a *file*, by its path; or a *setting*, a key of the World with the texts that it takes.

    *errnos*, *results* (ranges, for a call that returns nothing else) and *data* (of the first output buffer) are
    answers in the call's place.  *arguments* (number, lowest, highest value) are replaced, and the call is performed.
    """

    call: str = ""
    errnos: tuple[str, ...] = ()
    results: tuple[tuple[int, int], ...] = ()
    data: Shape | None = None
    arguments: tuple[tuple[int, int, int], ...] = ()
    file: str = ""
    contents: Shape | None = None
    setting: str = ""
    texts: tuple[str, ...] = ()
    wild: tuple[str, ...] = ()  # texts that no x86-64 kernel gives rise to

    @property
    def nr(self) -> int:
        """The call's number."""
        return NUMBERS[self.call]

    @property
    def returns_zero(self) -> bool:
        """Whether the call returns 0 when it succeeds, so that data does not give the result."""
        return COMPILED[self.nr].row.result == ZERO


THP = "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"
CGROUP_ROOT = "/sys/fs/cgroup"

ROWS: list[Row] = [
    # open(2), read(2), pread(2), close(2): of files of procfs, sysfs and cgroups
    Row("openat", ("EACCES", "EINTR", "ELOOP", "EMFILE", "ENFILE", "ENOENT", "ENOMEM", "ENOTDIR", "EPERM")),
    Row("read", ("EINTR", "EIO", "ENOMEM"), arguments=((2, *ANY_SIZE),)),
    Row("pread64", ("EINTR", "EIO", "ENOMEM"), arguments=((2, *ANY_SIZE),)),
    Row("close", ("EINTR", "EIO")),
    Row("open", ("EACCES", "EINTR", "ELOOP", "EMFILE", "ENFILE", "ENOENT", "ENOMEM", "ENOTDIR", "EPERM")),
    Row("fcntl", ("EBADF",)),  # of 0, 1 and 2: they are closed
    # sched_setaffinity(2): EINVAL when the kernel's mask is longer than the buffer
    Row("sched_getaffinity", ("EINVAL",), data=shapes.MASK),
    # mmap(2), munmap(2), mprotect(2), madvise(2), mincore(2): no memory, or the hint is not followed
    Row("mmap", ("ENOMEM", "EAGAIN"), arguments=((0, 0, 0), (0, 0x10000, 0x7FFF_0000_0000))),
    Row("munmap", ("ENOMEM",)),
    Row("mprotect", ("ENOMEM",)),
    Row("madvise", ("EAGAIN", "EINVAL", "EIO", "ENOMEM")),
    Row("mincore", ("EAGAIN", "ENOMEM")),
    Row("brk", results=((0, 0),)),
    Row("prctl", ("EINVAL",)),  # a kernel without CONFIG_ANON_VMA_NAME
    # Signals: inherited masks and actions
    Row("rt_sigprocmask", data=shapes.SIGSET),
    Row("rt_sigaction", data=shapes.SIGACTION),
    Row("sigaltstack", data=shapes.ALTSTACK),
    # Who and when: uname(2), clock_gettime(2), gettid(2)
    Row("uname", data=shapes.UTSNAME),
    Row("clock_gettime", data=shapes.TIMESPEC),
    Row("gettid", results=((1, 1 << 22),)),
    Row("getpid", results=((1, 1 << 22),)),
    Row("getrandom", ("EINTR", "ENOSYS"), data=shapes.ENTROPY, arguments=((1, *ANY_SIZE),)),
    # Threads, from 1.14 on before main: futex(2), sched_yield(2), nanosleep(2), tgkill(2)
    Row("futex", ("EAGAIN", "EINTR", "ETIMEDOUT"), results=((0, 0),)),
    Row("sched_yield"),
    Row("nanosleep", ("EINTR",)),
    Row("prlimit64", ("EPERM",), data=shapes.RLIMIT),
    Row("getrlimit", data=shapes.RLIMIT),
    Row("arch_prctl"),
    Row("readlinkat", ("EACCES", "ENOENT", "ENOMEM")),
    # Files
    Row(file=THP, contents=shapes.HUGE_PAGE),
    Row(file="/proc/self/auxv", contents=shapes.AUXV),
    Row(file="/proc/self/cgroup", contents=shapes.CGROUP),
    Row(file="/proc/self/mountinfo", contents=shapes.MOUNTINFO),
    Row(file=f"{CGROUP_ROOT}/cpu.max", contents=shapes.CPU_MAX),
    Row(file=f"{CGROUP_ROOT}/a/cpu.max", contents=shapes.CPU_MAX),
    Row(file=f"{CGROUP_ROOT}/cpu/cpu.cfs_quota_us", contents=shapes.QUOTA),
    Row(file=f"{CGROUP_ROOT}/cpu/cpu.cfs_period_us", contents=shapes.PERIOD),
    Row(file=f"{CGROUP_ROOT}/cpu,cpuacct/cpu.cfs_quota_us", contents=shapes.QUOTA),
    Row(file=f"{CGROUP_ROOT}/cpu,cpuacct/cpu.cfs_period_us", contents=shapes.PERIOD),
    # The rest of the World; such a plan begins at the entry point
    Row(setting="page-size", texts=("4096",), wild=("16384", "65536", "0", "1", "12288")),
    Row(setting="auxv.AT_PAGESZ", texts=("4096",), wild=("absent", "0", "65536", "4097")),
    Row(setting="auxv.AT_RANDOM", wild=("absent", "0", "1")),
    Row(setting="auxv.AT_SYSINFO_EHDR", texts=("absent",), wild=("1", "4096")),  # vdso=0 of the kernel's command line
    Row(setting="auxv.AT_HWCAP", wild=("absent", "0")),
    Row(setting="auxv.AT_SECURE", texts=("0", "1"), wild=("absent", "2")),
    Row(setting="vdso", texts=("true", "false")),
    Row(setting="env.GOMAXPROCS", texts=("1", "0", "-1", "3", "1024", "1025", "4294967297", "x", "")),
    Row(setting="env.GODEBUG", texts=("madvdontneed=1", "gctrace=1", "cpu.all=off", "cpu.sse41=off", "=", ",,", "x=")),
    Row(setting="env.GOGC", texts=("off", "0", "-1", "100", "99999999999", "x")),
    Row(setting="env.GOMEMLIMIT", texts=("off", "0", "1B", "9223372036854775807", "1TiB", "-1", "x", "4KiB")),
    Row(setting="env.GOTRACEBACK", texts=("none", "crash", "system", "2", "999999999999999999999", "x")),
    Row(setting="process.closed-fds", texts=("[0]", "[1]", "[0, 1, 2]")),
    Row(setting="uname.release", texts=("2.6.32", "3.10.0", "4.4.0", "5.3.0", "5.4.1", "6.12.1")),
    Row(setting="cgroup.version", texts=("0", "1", "2")),
    Row(setting="cpuid.aes", texts=("false",)),
    Row(setting="cpuid.sse4_1", texts=("false",)),
    Row(setting="thp.pmd-size", texts=("absent",)),
    Row(setting="memory.honour-hints", texts=("false", "true")),
    Row(setting="at-random", texts=("hex:" + "00" * 16, "hex:" + "ff" * 16)),
]  # fmt: skip
OF_GO = len(ROWS)
"""Rows from here on are of files that the World wrote down: a program's own."""

CALL_ROWS: dict[str, int] = {row.call: number for number, row in enumerate(ROWS) if row.call}
FILE_ROWS: dict[str, int] = {row.file: number for number, row in enumerate(ROWS) if row.file}
SETTING_ROWS: tuple[int, ...] = tuple(number for number, row in enumerate(ROWS) if row.setting)


def know_files(paths: Iterable[str]) -> None:
    """Let the World's own files at *paths* be rows, and no others that were: any contents of theirs are legal."""
    for row in ROWS[OF_GO:]:
        del FILE_ROWS[row.file]
    del ROWS[OF_GO:]
    for path in paths:
        if path not in FILE_ROWS:
            FILE_ROWS[path] = len(ROWS)
            ROWS.append(Row(file=path, contents=shapes.ANYTHING))
