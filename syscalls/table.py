"""The system calls: one row each, by number.  Everything that is known of a call's shape stands in its row alone.

The rows of files, polling, processes, signals and sockets are in modules of their own, beside the handlers.

The dispatcher narrows arguments and finds buffers by a row's kinds; the trace, the fuzzer and ``docs/syscalls.md``
read the same rows.  A number without a row returns ENOSYS and is recorded.
"""

from __future__ import annotations

from syscalls import futex, process, processrows, random, sched, time
from syscalls import madvise as advice
from syscalls import memory as mem
from syscalls.errno import ENOSYS
from syscalls.files import listing, paths, rows, status, table, transfer
from syscalls.files.pollrows import ROWS as POLL_ROWS
from syscalls.kinds import (
    ADDR,
    DIRFD,
    FD,
    INT,
    LONG,
    PATH,
    PID,
    SIZE,
    UINT,
    ULONG,
    choice,
    flags,
    in_buf,
    in_struct,
    in_vector,
    out_buf,
    out_set,
    out_struct,
    out_vector,
)  # fmt: skip
from syscalls.net.rows import ROWS as NET_ROWS
from syscalls.row import (
    ABSENT,
    ADDRESS,
    COUNT,
    NEW_FD,
    NUMBER,
    PARTIAL,
    SUPPORTED,
    ZERO,
    Syscall,
    fails,
)  # fmt: skip
from syscalls.signalrows import ROWS as SIGNAL_ROWS

OPEN, MODE = flags("flags", "O_"), UINT
CLOCK = choice("clock", "CLOCK_")
RESOURCE = choice("resource", "RLIMIT_")
FUTEX = flags("op", "FUTEX_")
RANDOM_FLAGS = flags("flags", "GRND_")
ADVICE = choice("advice", "MADV_")
ARCH = choice("code", "ARCH_")
OPTION = choice("option", "PR_")
FCNTL = choice("command", "F_")
WHENCE = choice("whence", "SEEK_")
AT_FLAGS = flags("flags", "AT_")
ACCESS = flags("mode", "R_OK")

TIMESPEC, NEW_TIMESPEC = in_struct("timespec", 16), out_struct("timespec", 16)
NEW_STAT = out_struct("stat", 144)
NEW_U32 = out_struct("uint32", 4)

VIRTUAL = "Time is virtual: when no task can run, it passes at once."

ROWS: tuple[Syscall, ...] = (
    *rows.ROWS,
    *processrows.ROWS,
    Syscall(0, "read", (FD, out_buf(2), SIZE), COUNT, transfer.read),
    Syscall(1, "write", (FD, in_buf(2), SIZE), COUNT, transfer.write),
    Syscall(2, "open", (PATH, OPEN, MODE), NEW_FD, paths.open_),
    Syscall(3, "close", (FD,), ZERO, table.close),
    Syscall(4, "stat", (PATH, NEW_STAT), ZERO, status.stat),
    Syscall(5, "fstat", (FD, NEW_STAT), ZERO, status.fstat),
    Syscall(6, "lstat", (PATH, NEW_STAT), ZERO, status.lstat),
    Syscall(8, "lseek", (FD, LONG, WHENCE), NUMBER, transfer.lseek),
    Syscall(9, "mmap", (ADDR, SIZE, flags("prot", "PROT_", 64), flags("flags", "MAP_", 64), FD, ULONG), ADDRESS,
            mem.mmap, PARTIAL, "Shared mappings of a file see it at calls on it or them, not between, and so they see "
            "each other where they show different parts of it; in a bind that writes through, the host's file has what "
            "was stored then, and at the end; code that is stored by another mapping of the same pages than it is "
            "executed in may go unseen; MAP_POPULATE and MAP_LOCKED do not fill pages; MAP_HUGETLB finds an empty pool "
            "(ENOMEM)."),
    Syscall(10, "mprotect", (ADDR, SIZE, flags("prot", "PROT_", 64)), ZERO, mem.mprotect),
    Syscall(11, "munmap", (ADDR, SIZE), ZERO, mem.munmap),
    Syscall(12, "brk", (ADDR,), ADDRESS, mem.brk),
    Syscall(16, "ioctl", (FD, UINT, ADDR), ZERO, table.ioctl, PARTIAL,
            "FIOCLEX, FIONCLEX, FIONBIO; FIONREAD of pipes and sockets; of a terminal its settings, speeds, size, "
            "foreground group and session, draining and flushing, where FIONREAD counts what was read and not yet "
            "taken."),
    Syscall(17, "pread64", (FD, out_buf(2), SIZE, LONG), COUNT, transfer.pread64),
    Syscall(18, "pwrite64", (FD, in_buf(2), SIZE, LONG), COUNT, transfer.pwrite64),
    Syscall(19, "readv", (FD, out_vector(2), SIZE), COUNT, transfer.readv),
    Syscall(20, "writev", (FD, in_vector(2), SIZE), COUNT, transfer.writev),
    Syscall(21, "access", (PATH, ACCESS), ZERO, status.access),
    Syscall(24, "sched_yield", (), ZERO, sched.sched_yield),
    Syscall(25, "mremap", (ADDR, SIZE, SIZE, flags("flags", "MREMAP_", 64), ADDR), ADDRESS, mem.mremap, PARTIAL,
            "Of shared memory without a file, what nobody has mapped any more is zeros when a mapping grows again."),
    Syscall(26, "msync", (ADDR, SIZE, INT), ZERO, mem.msync, SUPPORTED, "Mappings and files are brought together."),
    Syscall(27, "mincore", (ADDR, SIZE, ADDR), ZERO, mem.mincore),
    Syscall(28, "madvise", (ADDR, SIZE, ADVICE), ZERO, advice.madvise, PARTIAL,
            "DONTNEED and REMOVE empty, POPULATE_* touch, HUGEPAGE and fork advice is remembered, other advice is a "
            "hint that changes nothing; COLLAPSE finds no huge page (ENOMEM)."),
    Syscall(32, "dup", (FD,), NEW_FD, table.dup),
    Syscall(33, "dup2", (FD, FD), NEW_FD, table.dup2),
    Syscall(35, "nanosleep", (TIMESPEC, NEW_TIMESPEC), ZERO, time.nanosleep, SUPPORTED, VIRTUAL),
    Syscall(63, "uname", (out_struct("utsname", 390),), ZERO, process.uname),
    Syscall(72, "fcntl", (FD, FCNTL, ULONG), NUMBER, table.fcntl, PARTIAL,
            "Leases and owners are EINVAL; a deadlock of locks is not found, and ends the run as one."),
    Syscall(79, "getcwd", (out_buf(1), SIZE), COUNT, paths.getcwd),
    Syscall(80, "chdir", (PATH,), ZERO, paths.chdir),
    Syscall(81, "fchdir", (FD,), ZERO, paths.fchdir),
    Syscall(85, "creat", (PATH, MODE), NEW_FD, paths.creat),
    Syscall(89, "readlink", (PATH, out_buf(2), INT), COUNT, paths.readlink),
    Syscall(95, "umask", (UINT,), NUMBER, process.umask),
    Syscall(96, "gettimeofday", (out_struct("timeval", 16), out_struct("timezone", 8)), ZERO, time.gettimeofday),
    Syscall(97, "getrlimit", (RESOURCE, out_struct("rlimit", 16)), ZERO, process.getrlimit),
    Syscall(99, "sysinfo", (out_struct("sysinfo", 112),), ZERO, process.sysinfo),
    Syscall(143, "sched_getparam", (PID, out_struct("sched_param", 4)), ZERO, sched.sched_getparam),
    Syscall(145, "sched_getscheduler", (PID,), NUMBER, sched.sched_getscheduler),
    Syscall(146, "sched_get_priority_max", (INT,), NUMBER, sched.sched_get_priority_max),
    Syscall(147, "sched_get_priority_min", (INT,), NUMBER, sched.sched_get_priority_min),
    Syscall(157, "prctl", (OPTION, ULONG, ULONG, ULONG, ULONG), NUMBER, process.prctl, PARTIAL,
            "PDEATHSIG, DUMPABLE, NAME, SECCOMP (read), CAPBSET (read), TIMERSLACK, KEEPCAPS (read back), "
            "NO_NEW_PRIVS, THP_DISABLE and VMA names (from 5.17); other options are EINVAL."),
    Syscall(158, "arch_prctl", (ARCH, ADDR), ZERO, process.arch_prctl),
    Syscall(160, "setrlimit", (RESOURCE, in_struct("rlimit", 16)), ZERO, process.setrlimit),
    Syscall(201, "time", (out_struct("time_t", 8),), NUMBER, time.time),
    Syscall(202, "futex", (ADDR, FUTEX, UINT, ADDR, ADDR, UINT), NUMBER, futex.futex, PARTIAL,
            "All but those with priority inheritance, which are ENOSYS."),
    Syscall(203, "sched_setaffinity", (PID, UINT, in_buf(1)), ZERO, sched.sched_setaffinity),
    Syscall(204, "sched_getaffinity", (PID, UINT, out_set(1)), COUNT, sched.sched_getaffinity),
    Syscall(217, "getdents64", (FD, out_buf(2), UINT), COUNT, listing.getdents64),
    Syscall(218, "set_tid_address", (ADDR,), NUMBER, process.set_tid_address),
    Syscall(228, "clock_gettime", (CLOCK, NEW_TIMESPEC), ZERO, time.clock_gettime, PARTIAL,
            "Clocks of other processes and devices are EINVAL."),
    Syscall(229, "clock_getres", (CLOCK, NEW_TIMESPEC), ZERO, time.clock_getres),
    Syscall(230, "clock_nanosleep", (CLOCK, flags("flags", "TIMER_"), TIMESPEC, NEW_TIMESPEC), ZERO,
            time.clock_nanosleep, SUPPORTED, VIRTUAL),
    Syscall(257, "openat", (DIRFD, PATH, OPEN, MODE), NEW_FD, paths.openat),
    Syscall(262, "newfstatat", (DIRFD, PATH, NEW_STAT, AT_FLAGS), ZERO, status.newfstatat),
    Syscall(267, "readlinkat", (DIRFD, PATH, out_buf(3), INT), COUNT, paths.readlinkat),
    Syscall(269, "faccessat", (DIRFD, PATH, ACCESS), ZERO, status.faccessat),
    Syscall(273, "set_robust_list", (ADDR, SIZE), ZERO, futex.set_robust_list),
    Syscall(274, "get_robust_list", (PID, out_struct("pointer", 8), out_struct("size", 8)), ZERO,
            futex.get_robust_list),
    Syscall(292, "dup3", (FD, FD, OPEN), NEW_FD, table.dup3),
    Syscall(302, "prlimit64", (PID, RESOURCE, in_struct("rlimit", 16), out_struct("rlimit", 16)), ZERO,
            process.prlimit64),
    Syscall(309, "getcpu", (NEW_U32, NEW_U32, ADDR), ZERO, sched.getcpu),
    Syscall(318, "getrandom", (out_buf(1), SIZE, RANDOM_FLAGS), COUNT, random.getrandom, since=(3, 17)),
    Syscall(334, "rseq", (ADDR, UINT, INT, UINT), ZERO, sched.rseq, PARTIAL,
            "Registered, and the fields are filled once; a task never changes its CPU.", (4, 18)),
    Syscall(436, "close_range", (UINT, UINT, UINT), ZERO, table.close_range, since=(5, 9)),
    Syscall(439, "faccessat2", (DIRFD, PATH, ACCESS, AT_FLAGS), ZERO, status.faccessat2, since=(5, 8)),
    Syscall(324, "membarrier", (INT, UINT, INT), NUMBER, fails(ENOSYS), ABSENT,
            "Looks like a kernel built without CONFIG_MEMBARRIER."),
    *POLL_ROWS,
    *NET_ROWS,
    *SIGNAL_ROWS,
)  # fmt: skip
