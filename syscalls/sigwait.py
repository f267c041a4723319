"""The calls that wait for signals: pause(2), rt_sigsuspend(2), rt_sigtimedwait(2); and rt_sigreturn(2)."""

from __future__ import annotations

from syscalls import abi
from syscalls.delivery import use_mask
from syscalls.errno import EAGAIN, EINVAL, SyscallError
from syscalls.light import TYPE_CHECKING
from syscalls.sending import SIGNAL_WAIT, UNBLOCKABLE, take
from syscalls.time import read_timespec
from syscalls.waits import TIMEOUT, Blocked, Wait, deadline_of

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task


def pause(k: Kernel, t: Task) -> int:
    """Wait for a signal; pause(2)."""
    raise Blocked(Wait("pause", restarts=False))


def rt_sigsuspend(k: Kernel, t: Task, addr: int, size: int) -> int:
    """Block the signals at *addr* in place of the present ones, and wait for another; rt_sigsuspend(2)."""
    if t.woken is None:
        if size != abi.SIGSET_SIZE:
            raise SyscallError(EINVAL)
        (mask,) = abi.U64.unpack(k.mem.read(addr, abi.SIGSET_SIZE))
        use_mask(t, mask)
    raise Blocked(Wait("sigsuspend", restarts=False))


def rt_sigtimedwait(k: Kernel, t: Task, wanted: int, info: int, timeout: int, size: int) -> int:
    """Take a signal of the set at *wanted*, waiting for one until *timeout* has passed; rt_sigtimedwait(2)."""
    if size != abi.SIGSET_SIZE:
        raise SyscallError(EINVAL)
    (signals,) = abi.U64.unpack(k.mem.read(wanted, abi.SIGSET_SIZE))
    signals &= ~UNBLOCKABLE
    duration = read_timespec(k, timeout) if timeout else None
    found = take(t, signals)
    if found is not None:
        if info:
            k.mem.write(info, found.pack())
        return found.signum
    if t.woken == TIMEOUT or duration == 0:
        raise SyscallError(EAGAIN)
    deadline = deadline_of(t, k.clock.monotonic_ns(), duration)
    raise Blocked(Wait(f"signals {signals:#x}", ((SIGNAL_WAIT, t.tid),), deadline, restarts=False, data=signals))


def rt_sigreturn(k: Kernel, t: Task) -> int:
    """Put back what the signal frame on the stack holds; rt_sigreturn(2).  The machine does, before *t* runs on."""
    t.returns = k.signalled = True
    return 0
