"""Structures behind pointers the way strace(1) prints them: by their fields, and without those that are not used."""

from __future__ import annotations

import struct
import time

from emu.run import names
from syscalls import abi
from syscalls.files.speeds import TABLE

NSIG = 64
INFINITY = 2**64 - 1
CHILD_CODES = {value: name for value, name in abi.names("CLD_").items() if value > 0}
CODES = {0: "SI_USER", 0x80: "SI_KERNEL", -1: "SI_QUEUE", -2: "SI_TIMER", -6: "SI_TKILL"}
IFLAGS = (
    (0x1, "IGNBRK"), (0x2, "BRKINT"), (0x4, "IGNPAR"), (0x8, "PARMRK"), (0x10, "INPCK"), (0x20, "ISTRIP"),
    (0x40, "INLCR"), (0x80, "IGNCR"), (0x100, "ICRNL"), (0x200, "IUCLC"), (0x400, "IXON"), (0x800, "IXANY"),
    (0x1000, "IXOFF"), (0x2000, "IMAXBEL"), (0x4000, "IUTF8"),
)  # fmt: skip
OFLAGS = (
    (0x1, "OPOST"), (0x2, "OLCUC"), (0x4, "ONLCR"), (0x8, "OCRNL"), (0x10, "ONOCR"), (0x20, "ONLRET"), (0x40, "OFILL"),
    (0x80, "OFDEL"),
)  # fmt: skip
CFLAGS = ((0x40, "CSTOPB"), (0x80, "CREAD"), (0x100, "PARENB"), (0x200, "PARODD"), (0x400, "HUPCL"), (0x800, "CLOCAL"))
LFLAGS = (
    (0x1, "ISIG"), (0x2, "ICANON"), (0x4, "XCASE"), (0x8, "ECHO"), (0x10, "ECHOE"), (0x20, "ECHOK"), (0x40, "ECHONL"),
    (0x80, "NOFLSH"), (0x8000, "IEXTEN"), (0x200, "ECHOCTL"), (0x400, "ECHOPRT"), (0x800, "ECHOKE"), (0x1000, "FLUSHO"),
    (0x4000, "PENDIN"), (0x100, "TOSTOP"), (0x10000, "EXTPROC"),
)  # fmt: skip
SPEEDS = {(code if code < 16 else code - 15 | abi.CBAUDEX): f"B{speed}" for code, speed in enumerate(TABLE)} | {
    abi.BOTHER: "BOTHER"
}


def signal_set(data: bytes) -> str:
    """A set of signals; one that has most of them by those that are missing."""
    mask = int.from_bytes(data[:8], "little")
    most = mask.bit_count() >= NSIG * 2 // 3
    shown = mask ^ (2**NSIG - 1) if most else mask
    listed = " ".join(names.signal(n + 1) for n in range(NSIG) if shown >> n & 1)
    return f"{'~' if most else ''}[{listed}]"


def timespec(data: bytes) -> str:
    """Seconds and nanoseconds."""
    return "{{tv_sec={}, tv_nsec={}}}".format(*abi.TIMESPEC.unpack(data[:16]))


def timeval(data: bytes) -> str:
    """Seconds and microseconds."""
    return "{{tv_sec={}, tv_usec={}}}".format(*abi.TIMEVAL.unpack(data[:16]))


def itimerspec(data: bytes) -> str:
    """The interval of a timer and the time until it goes off, in nanoseconds."""
    return f"{{it_interval={timespec(data)}, it_value={timespec(data[16:])}}}"


def itimerval(data: bytes) -> str:
    """The interval of a timer and the time until it goes off, in microseconds."""
    return f"{{it_interval={timeval(data)}, it_value={timeval(data[16:])}}}"


def dates(data: bytes) -> str:
    """Two times of a file, as utimensat(2) takes them."""
    return f"[{_date(data)}, {_date(data[16:])}]"


def _date(data: bytes) -> str:
    seconds, ns = abi.TIMESPEC.unpack(data[:16])
    if ns in (abi.UTIME_NOW, abi.UTIME_OMIT):
        return "UTIME_NOW" if ns == abi.UTIME_NOW else "UTIME_OMIT"
    fraction = f".{ns:09}" if ns else ""
    try:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):  # no year that this machine knows
        return timespec(data)
    return f"{timespec(data)} /* {text}{fraction}+0000 */"


def sigaction(data: bytes) -> str:
    """The kernel's struct sigaction: handler, flags, restorer, mask."""
    handler, flags, restorer = struct.unpack_from("<3Q", data)
    name = {0: "SIG_DFL", 1: "SIG_IGN"}.get(handler, f"{handler:#x}")
    end = f", sa_restorer={restorer:#x}" if flags & names.SA[0][0] else ""
    return f"{{sa_handler={name}, sa_mask={signal_set(data[24:])}, sa_flags={names.bits(flags, names.SA)}{end}}}"


def stack(data: bytes) -> str:
    """An alternate signal stack."""
    where, flags, size = struct.unpack_from("<Qi4xQ", data)
    shown = {0: "0", 1: "SS_ONSTACK", 2: "SS_DISABLE"}.get(flags, f"{flags:#x}")
    return f"{{ss_sp={names.pointer(where)}, ss_flags={shown}, ss_size={size}}}"


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
    shown = f"st_size={size}"
    if mode & abi.S_IFMT in (abi.S_IFCHR, abi.S_IFBLK):
        shown = f"st_rdev=makedev({rdev >> 8 & 0xFFF:#x}, {rdev & 0xFF | rdev >> 12 & 0xFFF00:#x})"
    return f"{{st_mode={names.mode(mode)}, {shown}, ...}}"


def statx(data: bytes) -> str:
    """What strace shows of struct statx without -v."""
    fields = abi.STATX.unpack(data[: abi.STATX.size])
    mask, attributes, mode, size = fields[0], fields[2], fields[6], fields[8]
    kinds = f"stx_mode={names.mode(mode)}, stx_size={size}"
    return f"{{stx_mask={names.bits(mask, names.STATX)}, stx_attributes={attributes:#x}, {kinds}, ...}}".replace(
        "=0x0,", "=0,"
    )


def pair(data: bytes) -> str:
    """Two descriptors."""
    return "[{}, {}]".format(*struct.unpack_from("<ii", data))


def number(data: bytes) -> str:
    """One int."""
    return "[{}]".format(*struct.unpack_from("<i", data))


def wait_status(data: bytes) -> str:
    """How a child ended."""
    status = struct.unpack_from("<I", data)[0]
    if status == 0xFFFF:
        return "[{WIFCONTINUED(s)}]"
    if status & 0xFF == 0x7F:
        return f"[{{WIFSTOPPED(s) && WSTOPSIG(s) == {names.full_signal(status >> 8 & 0xFF)}}}]"
    if status & 0x7F:
        core = " && WCOREDUMP(s)" if status & 0x80 else ""
        return f"[{{WIFSIGNALED(s) && WTERMSIG(s) == {names.full_signal(status & 0x7F)}{core}}}]"
    return f"[{{WIFEXITED(s) && WEXITSTATUS(s) == {status >> 8 & 0xFF}}}]"


def rusage(data: bytes) -> str:
    """What strace shows of struct rusage without -v."""
    return f"{{ru_utime={timeval(data)}, ru_stime={timeval(data[16:])}, ...}}"


def siginfo(data: bytes) -> str:
    """What came with a signal; all but who sent it, or how a child ended, is left out."""
    signum, _, code = struct.unpack_from("<iii", data)
    child = signum == abi.SIGCHLD and code in CHILD_CODES
    name = CHILD_CODES.get(code) if child else CODES.get(code, str(code))
    shown = f"si_signo={names.full_signal(signum)}, si_code={name}"
    pid, uid, status = struct.unpack_from("<iIi", data, 16)
    if child:
        how = str(status) if code == abi.CLD_EXITED else names.full_signal(status)
        return f"{{{shown}, si_pid={pid}, si_uid={uid}, si_status={how}, ...}}"
    return f"{{{shown}, si_pid={pid}, si_uid={uid}}}" if code in (0, -6) else f"{{{shown}, ...}}"


def flock(data: bytes, asked: bool) -> str:
    """A lock of a part of a file; who has it only where that was *asked*."""
    kind, whence, start, length, pid = abi.FLOCK.unpack(data[: abi.FLOCK.size])
    place = f"l_whence={names.one(whence, names.WHENCE)}, l_start={start}, l_len={length}"
    return f"{{l_type={names.one(kind, names.LOCKS)}, {place}{f', l_pid={pid}' if asked else ''}}}"


def epoll_event(data: bytes) -> str:
    """Events and what was to be told with them."""
    events, value = abi.EPOLL_EVENT.unpack(data[: abi.EPOLL_EVENT.size])
    return f"{{events={names.bits(events, names.EPOLL)}, data={{u32={value & 0xFFFF_FFFF}, u64={value}}}}}"


def termios(data: bytes) -> str:
    """The settings of a terminal: strace leaves out the control characters without -v."""
    iflag, oflag, cflag, lflag, _, _ = abi.TERMIOS.unpack(data[: abi.TERMIOS.size])
    out = "NL0|CR0|TAB0|BS0|VT0|FF0|" + names.bits(oflag & 0xFF, OFLAGS, "")
    control = f"{SPEEDS.get(cflag & 0x100F, '')}|CS{5 + (cflag >> 4 & 3)}|{names.bits(cflag & 0xFC0, CFLAGS, '')}"
    shown = f"c_iflag={names.bits(iflag, IFLAGS, '')}, c_oflag={out}, c_cflag={control}"
    return f"{{{shown}, c_lflag={names.bits(lflag, LFLAGS, '')}, ...}}"


def winsize(data: bytes) -> str:
    """The size of a terminal."""
    return "{{ws_row={}, ws_col={}, ws_xpixel={}, ws_ypixel={}}}".format(*abi.WINSIZE.unpack(data[:8]))


def clone_args(data: bytes) -> str:
    """The arguments of clone3(2); pointers that are null are left out where they mean nothing."""
    flags, pidfd, child, parent, signum, where, size, tls, set_tid, set_size = struct.unpack_from(
        "<10Q", data.ljust(88, b"\0")
    )
    shown = [f"flags={names.bits(flags, names.CLONE)}"]
    if flags & abi.CLONE_PIDFD:
        shown.append(f"pidfd={names.pointer(pidfd)}")
    if flags & 0x1200000:
        shown.append(f"child_tid={names.pointer(child)}")
    if flags & abi.CLONE_PARENT_SETTID:
        shown.append(f"parent_tid={names.pointer(parent)}")
    shown.append(f"exit_signal={names.full_signal(signum)}")
    shown.append(f"stack={names.pointer(where)}, stack_size={f'{size:#x}' if size else '0'}")
    if flags & abi.CLONE_SETTLS:
        shown.append(f"tls={names.pointer(tls)}")
    if set_size:
        shown.append(f"set_tid={names.pointer(set_tid)}, set_tid_size={set_size}")
    return f"{{{', '.join(shown)}}}"


def entries(data: bytes) -> int:
    """How many entries of a directory there are."""
    found = at = 0
    while at + 18 <= len(data):
        at += int.from_bytes(data[at + 16 : at + 18], "little") or len(data)
        found += 1
    return found
