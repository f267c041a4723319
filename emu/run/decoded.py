"""Arguments of system calls the way strace(1) prints them: structures by their fields, and none that is not used.

Only what Go programs ask for most; whatever is not here :mod:`syscalls.trace` shows.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from syscalls import abi
from syscalls.events import SyscallEvent
from syscalls.kinds import OUT
from syscalls.row import Syscall
from syscalls.trace import argument

Texts = list[str]
SIGNALS = {value: name.removeprefix("SIG") for value, name in abi.names("SIG").items() if "_" not in name}
SA_FLAGS = (
    (0x04000000, "SA_RESTORER"), (0x08000000, "SA_ONSTACK"), (0x10000000, "SA_RESTART"), (0x40000000, "SA_NODEFER"),
    (0x80000000, "SA_RESETHAND"), (1, "SA_NOCLDSTOP"), (2, "SA_NOCLDWAIT"), (4, "SA_SIGINFO"),
)  # fmt: skip
CLONE_FLAGS = (
    (0x100, "VM"), (0x200, "FS"), (0x400, "FILES"), (0x800, "SIGHAND"), (0x1000, "PIDFD"), (0x2000, "PTRACE"),
    (0x4000, "VFORK"), (0x8000, "PARENT"), (0x10000, "THREAD"), (0x20000, "NEWNS"), (0x40000, "SYSVSEM"),
    (0x80000, "SETTLS"), (0x100000, "PARENT_SETTID"), (0x200000, "CHILD_CLEARTID"), (0x1000000, "CHILD_SETTID"),
)  # fmt: skip
FORMATS = {0o100000: "S_IFREG", 0o040000: "S_IFDIR", 0o120000: "S_IFLNK", 0o010000: "S_IFIFO", 0o020000: "S_IFCHR",
           0o140000: "S_IFSOCK", 0o060000: "S_IFBLK"}  # fmt: skip
NSIG = 64
SIGRTMIN = 32
INFINITY = 2**64 - 1


def signal_name(number: int) -> str:
    """The name of a signal in a set: INT, RTMIN, RT_1."""
    if number >= SIGRTMIN:
        return "RTMIN" if number == SIGRTMIN else f"RT_{number - SIGRTMIN}"
    return SIGNALS.get(number, str(number))


def signal_set(data: bytes) -> str:
    """A set of signals; one that has most of them by those that are missing."""
    mask = int.from_bytes(data[:8], "little")
    most = mask.bit_count() >= NSIG * 2 // 3
    shown = mask ^ (2**NSIG - 1) if most else mask
    names = " ".join(signal_name(n + 1) for n in range(NSIG) if shown >> n & 1)
    return f"{'~' if most else ''}[{names}]"


def timespec(data: bytes) -> str:
    """Seconds and nanoseconds."""
    return "{{tv_sec={}, tv_nsec={}}}".format(*abi.TIMESPEC.unpack(data[:16]))


def sigaction(data: bytes) -> str:
    """The kernel's struct sigaction: handler, flags, restorer, mask."""
    handler, flags, restorer = struct.unpack_from("<3Q", data)
    name = {0: "SIG_DFL", 1: "SIG_IGN"}.get(handler, f"{handler:#x}")
    known = sum(bit for bit, _ in SA_FLAGS)
    rest = [f"{flags & ~known:#x}"] if flags & ~known else []
    shown = "|".join([text for bit, text in SA_FLAGS if flags & bit] + rest) or "0"
    end = f", sa_restorer={restorer:#x}" if flags & SA_FLAGS[0][0] else ""
    return f"{{sa_handler={name}, sa_mask={signal_set(data[24:])}, sa_flags={shown}{end}}}"


def stack(data: bytes) -> str:
    """An alternate signal stack."""
    where, flags, size = struct.unpack_from("<Qi4xQ", data)
    shown = {0: "0", 1: "SS_ONSTACK", 2: "SS_DISABLE"}.get(flags, f"{flags:#x}")
    return f"{{ss_sp={f'{where:#x}' if where else 'NULL'}, ss_flags={shown}, ss_size={size}}}"


def _limit(value: int) -> str:
    if value == INFINITY:
        return "RLIM64_INFINITY"
    return f"{value // 1024}*1024" if value > 1024 and not value % 1024 else str(value)


def rlimit(data: bytes) -> str:
    """A soft and a hard limit."""
    soft, hard = struct.unpack_from("<QQ", data)
    return f"{{rlim_cur={_limit(soft)}, rlim_max={_limit(hard)}}}"


def cpus(data: bytes) -> str:
    """The numbers of a CPU set."""
    mask = int.from_bytes(data, "little")
    return f"[{' '.join(str(n) for n in range(mask.bit_length()) if mask >> n & 1)}]"


def stat(data: bytes) -> str:
    """What strace shows of struct stat without -v: its kind, its size or device."""
    mode, rdev, size = struct.unpack_from("<24xI12xQq", data)
    kind = mode & abi.S_IFMT
    shown = f"st_size={size}"
    if kind in (0o020000, 0o060000):
        shown = f"st_rdev=makedev({rdev >> 8 & 0xFFF:#x}, {rdev & 0xFF | rdev >> 12 & 0xFFF00:#x})"
    return f"{{st_mode={FORMATS.get(kind, oct(kind))}|{mode & 0o7777:#05o}, {shown}, ...}}".replace("|0o", "|0")


def pair(data: bytes) -> str:
    """Two descriptors."""
    return "[{}, {}]".format(*struct.unpack_from("<ii", data))


def wait_status(data: bytes) -> str:
    """How a child ended."""
    status = struct.unpack_from("<I", data)[0]
    if status & 0x7F:
        core = " && WCOREDUMP(s)" if status & 0x80 else ""
        return f"[{{WIFSIGNALED(s) && WTERMSIG(s) == SIG{signal_name(status & 0x7F)}{core}}}]"
    return f"[{{WIFEXITED(s) && WEXITSTATUS(s) == {status >> 8 & 0xFF}}}]"


STRUCTURES: dict[str, dict[int, Callable[[bytes], str]]] = {
    "clock_gettime": {1: timespec},
    "clock_nanosleep": {2: timespec},
    "fstat": {1: stat},
    "lstat": {1: stat},
    "nanosleep": {0: timespec},
    "newfstatat": {2: stat},
    "pipe": {0: pair},
    "pipe2": {0: pair},
    "prlimit64": {2: rlimit, 3: rlimit},
    "rt_sigaction": {1: sigaction, 2: sigaction},
    "rt_sigprocmask": {1: signal_set, 2: signal_set},
    "sched_getaffinity": {2: cpus},
    "sigaltstack": {0: stack, 1: stack},
    "stat": {1: stat},
    "wait4": {1: wait_status},
}
"""Which argument points to what."""


def _openat(event: SyscallEvent, texts: Texts) -> Texts:
    if not event.args[2] & (abi.O_CREAT | 0o20000000):  # no file is made: the mode is not looked at
        return texts[:3]
    return [*texts[:3], f"{event.args[3] & 0xFFFF:#06o}".replace("0o", "0")]


def _pipe2(_: SyscallEvent, texts: Texts) -> Texts:
    return [texts[0], texts[1].removeprefix("O_RDONLY").removeprefix("|") or "0"]


def _wait4(event: SyscallEvent, texts: Texts) -> Texts:
    options = event.args[2] & 0xFFFF_FFFF
    if event.result == 0:  # no child has ended: nothing is stored
        texts[1] = f"{event.args[1]:#x}" if event.args[1] else "NULL"
    names = [name for bit, name in ((1, "WNOHANG"), (2, "WSTOPPED"), (8, "WCONTINUED")) if options & bit]
    rest = options & ~0b1011
    return [*texts[:2], "|".join([*names, *([f"{rest:#x}"] if rest else [])]) or "0", texts[3]]


def _prctl(event: SyscallEvent, texts: Texts) -> Texts:
    if event.args[:2] != (abi.PR_SET_VMA, abi.PR_SET_VMA_ANON_NAME):
        return texts
    return [texts[0], "PR_SET_VMA_ANON_NAME", f"{event.args[2]:#x}", texts[3], f"{event.args[4]:#x}"]


def _fcntl(_: SyscallEvent, texts: Texts) -> Texts:
    return texts[:2] if texts[1] in ("F_GETFD", "F_GETFL", "F_GETPIPE_SZ") else texts


def _futex(event: SyscallEvent, texts: Texts) -> Texts:
    operation = event.args[1]
    private = "_PRIVATE" if operation & 0x80 else ""
    name = {0: "FUTEX_WAIT", 1: "FUTEX_WAKE"}.get(operation & 0x7F)
    if name is None or operation & ~0xFF:
        return texts
    value = str(event.args[2] & 0xFFFF_FFFF)
    shown = [texts[0], name + private, value]
    if name == "FUTEX_WAIT":
        data = event.detail.get(3)
        shown.append(timespec(data) if data and len(data) >= 16 else texts[3])
    return shown


def _clone(event: SyscallEvent, _: Texts) -> Texts:
    flags, child_stack, parent, child, tls = event.args[:5]
    names = [f"CLONE_{name}" for bit, name in CLONE_FLAGS if flags & bit]
    if flags & 0xFF:
        names.append(f"SIG{signal_name(flags & 0xFF)}")
    rest = flags & ~0xFF & ~sum(bit for bit, _ in CLONE_FLAGS)
    shown = [f"child_stack={f'{child_stack:#x}' if child_stack else 'NULL'}"]
    shown.append(f"flags={'|'.join([*names, *([f'{rest:#x}'] if rest else [])]) or '0'}")
    if flags & 0x101000:
        shown.append(f"parent_tid={parent:#x}")
    if flags & 0x80000:
        shown.append(f"tls={tls:#x}")
    if flags & 0x1200000:
        shown.append(f"child_tidptr={child:#x}")
    return shown


def _signal(event: SyscallEvent, texts: Texts) -> Texts:
    number = event.args[0]
    return [f"SIG{signal_name(number)}", *texts[1:]] if SIGRTMIN <= number <= NSIG else texts


CALLS: dict[str, Callable[[SyscallEvent, Texts], Texts]] = {
    "clone": _clone, "fcntl": _fcntl, "futex": _futex, "openat": _openat, "pipe2": _pipe2, "prctl": _prctl,
    "rt_sigaction": _signal, "wait4": _wait4,
}  # fmt: skip


def arguments(event: SyscallEvent, row: Syscall) -> str:
    """The arguments of *event* as strace prints them."""
    structures = STRUCTURES.get(event.name, {})
    texts = []
    for index, (kind, value) in enumerate(zip(row.kinds, event.args, strict=True)):
        show, data = structures.get(index), event.detail.get(index)
        if show is None:
            texts.append(argument(kind, value, data))
        elif data and not (event.errno and kind.direction == OUT):
            try:
                texts.append(show(data))
            except struct.error:  # less of it than there should be
                texts.append(argument(kind, value, data))
        else:  # nothing was stored there: where it would have been
            texts.append(f"{value:#x}" if value else "NULL")
    change = CALLS.get(event.name)
    return ", ".join(change(event, texts) if change else texts)
