"""Descriptors that signals are read from: signalfd(2), fs/signalfd.c of Linux 6.1 (read).

Who reads takes what is pending for itself and its process, as sigwait does; so the signals are to be blocked.
"""

from __future__ import annotations

from struct import Struct

from syscalls import abi
from syscalls.errno import EINVAL, SyscallError
from syscalls.files.pollable import READABLE, Pollable
from syscalls.light import TYPE_CHECKING
from syscalls.sending import UNBLOCKABLE, take
from syscalls.siginfo import CHILD, SENDER, TIMER, Info

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.processes import Process
    from syscalls.tasks import Task

# struct signalfd_siginfo: signo, errno, code, pid, uid, fd, tid, band, overrun, trapno, status, int, ptr, utime, stime,
# addr; and what only some faults and seccomp fill
SIGNALFD_SIGINFO = Struct("<IiiIIiIIIIiiQQQQ48x")
FAULTS = (abi.SIGILL, abi.SIGFPE, abi.SIGSEGV, abi.SIGBUS, abi.SIGTRAP)


class SignalFd(Pollable):
    """What is read are the signals of *mask* (bit n-1 is signal n)."""

    __slots__ = ("mask",)

    def __init__(self, k: Kernel, mask: int, flags: int) -> None:
        super().__init__(k, "anon_inode:[signalfd]", abi.O_RDWR | flags & abi.O_NONBLOCK)
        self.mask = mask

    def ready(self, k: Kernel) -> int:
        t = k.running
        pending = 0 if t is None else t.pending | t.process.pending
        return abi.POLLIN if pending & self.mask else 0

    def take(self, k: Kernel, t: Task, size: int) -> bytes:
        if size < SIGNALFD_SIGINFO.size:
            raise SyscallError(EINVAL)
        found = b""
        while len(found) + SIGNALFD_SIGINFO.size <= size:
            info = take(t, self.mask)
            if info is None:
                break
            found += packed(info)
        if not found:
            self.wait_in()
        return found


def told(k: Kernel, process: Process, signals: int) -> None:
    """Tell those who read signals of *process*, or watch for them, that one of the set *signals* is pending."""
    for file in dict.fromkeys(process.files.open_files()):
        if isinstance(file, SignalFd) and file.mask & signals:
            file.notify(k, READABLE)


def packed(info: Info) -> bytes:
    """Return *info* as a signalfd_siginfo: signalfd_copyinfo, and siginfo_layout of kernel/signal.c."""
    values: dict[str, int] = {}
    fields = info.fields.ljust(40, b"\0")
    if info.code == abi.SI_TIMER:
        ident, overrun, value = TIMER.unpack_from(fields)
        values = {"tid": ident, "overrun": overrun, "value": value}
    elif 0 < info.code < abi.SI_KERNEL and info.signum in FAULTS:
        values = {"addr": abi.U64.unpack_from(fields)[0]}
    elif 0 < info.code < abi.SI_KERNEL and info.signum == abi.SIGCHLD:
        pid, uid, status, used, system = CHILD.unpack_from(fields)
        values = {"pid": pid, "uid": uid, "status": status, "utime": used, "stime": system}
    else:
        pid, uid, value = SENDER.unpack_from(fields)
        values = {"pid": pid, "uid": uid, "value": value if info.code < 0 else 0}
    get, value = values.get, values.get("value", 0)
    low = (value & 0xFFFF_FFFF ^ 1 << 31) - (1 << 31)
    return SIGNALFD_SIGINFO.pack(
        info.signum, info.errno, info.code, get("pid", 0) & 0xFFFF_FFFF, get("uid", 0), 0, get("tid", 0), 0,
        get("overrun", 0), 0, get("status", 0), low, value, get("utime", 0), get("stime", 0), get("addr", 0),
    )  # fmt: skip


def signalfd4(k: Kernel, t: Task, fd: int, addr: int, size: int, flags: int) -> int:
    """Make a descriptor for the signals at *addr*, or with *fd* change which it is for; signalfd(2)."""
    if size != abi.SIGSET_SIZE:
        raise SyscallError(EINVAL)
    mask = int.from_bytes(k.mem.read(addr, size), "little") & ~UNBLOCKABLE
    if flags & ~(abi.O_CLOEXEC | abi.O_NONBLOCK):
        raise SyscallError(EINVAL)
    if fd == -1:
        made = k.files.put(k.files.lowest(), SignalFd(k, mask, flags), bool(flags & abi.O_CLOEXEC))
        k.hears_signals = True
        return made
    file = k.files.get(fd)
    if not isinstance(file, SignalFd):
        raise SyscallError(EINVAL)
    file.mask = mask
    file.notify(k, READABLE)
    return fd


def signalfd(k: Kernel, t: Task, fd: int, addr: int, size: int) -> int:
    """Make a descriptor for signals; signalfd(2)."""
    return signalfd4(k, t, fd, addr, size, 0)
