"""The names that strace(1) prints for numbers, in the order in which it prints those of several bits.

The orders and words are those of strace 6.1, compared with it by ``tests/run/test_strace.py``.
"""

from __future__ import annotations

from collections.abc import Mapping

from syscalls import abi

Bits = tuple[tuple[int, str], ...]


def bits(value: int, table: Bits, zero: str = "0") -> str:
    """Return the names of the bits of *value*; those that *table* does not know as a number."""
    names = []
    for bit, name in table:
        if value & bit == bit:
            names.append(name)
            value &= ~bit
    if value:
        names.append(f"{value:#x}")
    return "|".join(names) or zero


def one(value: int, table: Mapping[int, str]) -> str:
    """Return the name of *value*, or it as a number."""
    return table.get(value) or (f"{value:#x}" if value else "0")


def octal(mode: int) -> str:
    """Return a numeric mode: 0644, 000."""
    return (f"0{mode:o}" if mode else "0").zfill(3)


def mode(value: int) -> str:
    """Return a mode with its type: S_IFREG|0644."""
    kind = FORMATS.get(value & abi.S_IFMT)
    rest = [f"S_IS{name}" for bit, name in ((0o4000, "UID"), (0o2000, "GID"), (0o1000, "VTX")) if value & bit]
    shown = [kind] if kind else [octal(value & abi.S_IFMT)] if value & abi.S_IFMT else []
    return "|".join([*shown, *rest, octal(value & 0o777)])


def quoted(data: bytes, limit: int = 32) -> str:
    """Return *data* as a C string with octal escapes, cut to *limit* bytes."""
    shown = data[:limit]
    text = []
    for index, byte in enumerate(shown):
        if byte in ESCAPES:
            text.append(ESCAPES[byte])
        elif 0x20 <= byte < 0x7F:
            text.append(chr(byte))
        else:
            digit_follows = index + 1 < len(shown) and 0x30 <= shown[index + 1] < 0x38
            text.append(f"\\{byte:03o}" if digit_follows else f"\\{byte:o}")
    return f'"{"".join(text)}"' + ("..." if len(data) > limit else "")


def hexadecimal(data: bytes, limit: int = 32) -> str:
    """Return random *data* as strace does: each byte by its number."""
    return f'"{"".join([f"{chr(92)}x{byte:02x}" for byte in data[:limit]])}"' + ("..." if len(data) > limit else "")


def pointer(value: int) -> str:
    """Return an address that was not followed."""
    return f"{value:#x}" if value else "NULL"


def of_abi(prefix: str, *, skip: tuple[str, ...] = ()) -> dict[int, str]:
    """Return the names of :mod:`syscalls.abi`'s constants with *prefix*."""
    return {value: name for value, name in abi.names(prefix).items() if name not in skip}


def table(prefix: str, words: str, source: object = abi) -> Bits:
    """Return the bits named by *prefix* and each of *words*, in their order."""
    return tuple([(getattr(source, prefix + word), prefix + word) for word in words.split()])


ESCAPES = {9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}
FORMATS = {0o100000: "S_IFREG", 0o040000: "S_IFDIR", 0o120000: "S_IFLNK", 0o010000: "S_IFIFO", 0o020000: "S_IFCHR",
           0o140000: "S_IFSOCK", 0o060000: "S_IFBLK"}  # fmt: skip
ACCESS_MODES = ("O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE")
OPEN = (
    *table("O_", "CREAT EXCL NOCTTY TRUNC APPEND NONBLOCK SYNC DSYNC DIRECT LARGEFILE NOFOLLOW NOATIME CLOEXEC PATH"),
    *table("O_", "TMPFILE DIRECTORY"), (abi.O_ASYNC, "FASYNC"),
)  # fmt: skip
AT = table("AT_", "SYMLINK_NOFOLLOW REMOVEDIR SYMLINK_FOLLOW NO_AUTOMOUNT EMPTY_PATH")
STATX_SYNC = {0: "AT_STATX_SYNC_AS_STAT", 0x2000: "AT_STATX_FORCE_SYNC", 0x4000: "AT_STATX_DONT_SYNC"}
STATX = (
    (0x7FF, "STATX_BASIC_STATS"), (1, "STATX_TYPE"), (2, "STATX_MODE"), (4, "STATX_NLINK"), (8, "STATX_UID"),
    (0x10, "STATX_GID"), (0x20, "STATX_ATIME"), (0x40, "STATX_MTIME"), (0x80, "STATX_CTIME"), (0x100, "STATX_INO"),
    (0x200, "STATX_SIZE"), (0x400, "STATX_BLOCKS"), (0x800, "STATX_BTIME"), (0x1000, "STATX_MNT_ID"),
    (0x2000, "STATX_DIOALIGN"),
)  # fmt: skip
EPOLL = (
    (1, "EPOLLIN"), (2, "EPOLLPRI"), (4, "EPOLLOUT"), (0x40, "EPOLLRDNORM"), (0x80, "EPOLLRDBAND"),
    (0x100, "EPOLLWRNORM"), (0x200, "EPOLLWRBAND"), (0x400, "EPOLLMSG"), (8, "EPOLLERR"), (0x10, "EPOLLHUP"),
    (0x2000, "EPOLLRDHUP"), (1 << 28, "EPOLLEXCLUSIVE"), (1 << 29, "EPOLLWAKEUP"), (1 << 30, "EPOLLONESHOT"),
    (1 << 31, "EPOLLET"),
)  # fmt: skip
POLL = (
    (1, "POLLIN"), (2, "POLLPRI"), (4, "POLLOUT"), (0x40, "POLLRDNORM"), (0x80, "POLLRDBAND"), (0x100, "POLLWRNORM"),
    (0x200, "POLLWRBAND"), (8, "POLLERR"), (0x10, "POLLHUP"), (0x20, "POLLNVAL"), (0x400, "POLLMSG"),
    (0x1000, "POLLREMOVE"), (0x2000, "POLLRDHUP"),
)  # fmt: skip
CLONE = (
    (0x100, "CLONE_VM"), (0x200, "CLONE_FS"), (0x400, "CLONE_FILES"), (0x800, "CLONE_SIGHAND"),
    (0x1000, "CLONE_PIDFD"), (0x2000, "CLONE_PTRACE"), (0x4000, "CLONE_VFORK"), (0x8000, "CLONE_PARENT"),
    (0x10000, "CLONE_THREAD"), (0x20000, "CLONE_NEWNS"), (0x40000, "CLONE_SYSVSEM"), (0x80000, "CLONE_SETTLS"),
    (0x100000, "CLONE_PARENT_SETTID"), (0x200000, "CLONE_CHILD_CLEARTID"), (0x400000, "CLONE_DETACHED"),
    (0x800000, "CLONE_UNTRACED"), (0x1000000, "CLONE_CHILD_SETTID"), (0x2000000, "CLONE_NEWCGROUP"),
    (0x4000000, "CLONE_NEWUTS"), (0x8000000, "CLONE_NEWIPC"), (0x10000000, "CLONE_NEWUSER"),
    (0x20000000, "CLONE_NEWPID"), (0x40000000, "CLONE_NEWNET"), (0x80000000, "CLONE_IO"),
    (1 << 32, "CLONE_CLEAR_SIGHAND"), (1 << 33, "CLONE_INTO_CGROUP"),
)  # fmt: skip
SA = (
    (0x04000000, "SA_RESTORER"), (0x08000000, "SA_ONSTACK"), (0x10000000, "SA_RESTART"), (0x40000000, "SA_NODEFER"),
    (0x80000000, "SA_RESETHAND"), (1, "SA_NOCLDSTOP"), (2, "SA_NOCLDWAIT"), (4, "SA_SIGINFO"),
)  # fmt: skip
WAIT4 = ((1, "WNOHANG"), (2, "WSTOPPED"), (8, "WCONTINUED"), (0x20000000, "__WNOTHREAD"), (0x80000000, "__WCLONE"),
         (0x40000000, "__WALL"))  # fmt: skip
WAITID = ((1, "WNOHANG"), (2, "WSTOPPED"), (4, "WEXITED"), (8, "WCONTINUED"), (0x1000000, "WNOWAIT"), *WAIT4[3:])
ACCESS = ((4, "R_OK"), (2, "W_OK"), (1, "X_OK"))
FD_FLAGS = ((1, "FD_CLOEXEC"),)
SEALS = table("F_SEAL_", "SEAL SHRINK GROW WRITE FUTURE_WRITE")
MSYNC = ((4, "MS_SYNC"), (1, "MS_ASYNC"), (2, "MS_INVALIDATE"))
CLOEXEC, NONBLOCK = abi.O_CLOEXEC, abi.O_NONBLOCK
EVENTFD = ((1, "EFD_SEMAPHORE"), (CLOEXEC, "EFD_CLOEXEC"), (NONBLOCK, "EFD_NONBLOCK"))
SIGNALFD = ((CLOEXEC, "SFD_CLOEXEC"), (NONBLOCK, "SFD_NONBLOCK"))
TIMERFD = ((CLOEXEC, "TFD_CLOEXEC"), (NONBLOCK, "TFD_NONBLOCK"))
EPOLL_CREATE = ((CLOEXEC, "EPOLL_CLOEXEC"),)
LOCKS = {0: "F_RDLCK", 1: "F_WRLCK", 2: "F_UNLCK"}
WHENCE = {0: "SEEK_SET", 1: "SEEK_CUR", 2: "SEEK_END"}
FUTEX = {0: "WAIT", 1: "WAKE", 3: "REQUEUE", 4: "CMP_REQUEUE", 5: "WAKE_OP", 9: "WAIT_BITSET", 10: "WAKE_BITSET"}


def opening(flags: int) -> str:
    """Return the flags of open(2), the access mode first."""
    rest = bits(flags & ~abi.O_ACCMODE, OPEN, "")
    return ACCESS_MODES[flags & abi.O_ACCMODE] + (f"|{rest}" if rest else "")


SIGNALS = {value: name.removeprefix("SIG") for value, name in abi.names("SIG").items() if "_" not in name}
SIGRTMIN = abi.SIGRTMIN


def signal(number: int) -> str:
    """The name of a signal in a set: INT, RTMIN, RT_1."""
    if number >= SIGRTMIN:
        return "RTMIN" if number == SIGRTMIN else f"RT_{number - SIGRTMIN}"
    return SIGNALS.get(number, str(number))


def full_signal(number: int) -> str:
    """The name of a signal: SIGINT, SIGRT_1; 0 is none."""
    return f"SIG{signal(number)}" if 0 < number <= abi.N_SIGNALS else str(number)
