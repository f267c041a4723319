"""Signals: masks, actions, alternate stacks, and the default actions that end a process.

The state is Linux's own.  What is not done yet is running a handler: a signal that has one stays pending, and the rows
of the table say so.  Sources: signal(7), kernel/signal.c of Linux 6.1 (read).
"""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import EINVAL, ENOMEM, EPERM, ESRCH, SyscallError
from syscalls.light import TYPE_CHECKING
from syscalls.outcome import Hang, Killed
from syscalls.waits import Blocked, Wait

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

UNBLOCKABLE = 1 << (abi.SIGKILL - 1) | 1 << (abi.SIGSTOP - 1)
IGNORED_BY_DEFAULT = frozenset((abi.SIGCHLD, abi.SIGCONT, abi.SIGURG, abi.SIGWINCH))
STOPPING = frozenset((abi.SIGSTOP, abi.SIGTSTP, abi.SIGTTIN, abi.SIGTTOU))
DEFAULT_ACTION = (abi.SIG_DFL, 0, 0, 0)
# The flags that the kernel keeps; unknown ones are cleared, so that a program can probe (UAPI_SA_FLAGS, since 5.11).
KNOWN_SA_FLAGS = (
    abi.SA_NOCLDSTOP | abi.SA_NOCLDWAIT | abi.SA_SIGINFO | abi.SA_ONSTACK | abi.SA_RESTART | abi.SA_NODEFER
    | abi.SA_RESETHAND | abi.SA_EXPOSE_TAGBITS | abi.SA_RESTORER
)  # fmt: skip


def rt_sigaction(k: Kernel, t: Task, signum: int, act: int, old: int, size: int) -> int:
    """Set (where *act* is not null) and report (where *old* is not null) the action of *signum*; rt_sigaction(2)."""
    if size != abi.SIGSET_SIZE:
        raise SyscallError(EINVAL)
    new = abi.KERNEL_SIGACTION.unpack(k.mem.read(act, abi.KERNEL_SIGACTION.size)) if act else None
    if not 1 <= signum <= abi.N_SIGNALS or (new and signum in (abi.SIGKILL, abi.SIGSTOP)):
        raise SyscallError(EINVAL)
    before = k.actions.get(signum, DEFAULT_ACTION)
    if new:
        handler, flags, restorer, mask = new
        if k.release >= (5, 11):
            flags &= KNOWN_SA_FLAGS
        k.actions[signum] = (handler, flags, restorer, mask & ~UNBLOCKABLE)
        if is_ignored(k, signum):
            t.pending &= ~(1 << (signum - 1))  # POSIX 3.3.1.3, as do_sigaction quotes it
    if old:
        k.mem.write(old, abi.KERNEL_SIGACTION.pack(*before))
    return 0


def rt_sigprocmask(k: Kernel, t: Task, how: int, new: int, old: int, size: int) -> int:
    """Change (where *new* is not null) and report the mask of blocked signals; rt_sigprocmask(2)."""
    if size != abi.SIGSET_SIZE:
        raise SyscallError(EINVAL)
    before = t.sigmask
    if new:
        (mask,) = abi.U64.unpack(k.mem.read(new, abi.SIGSET_SIZE))
        mask &= ~UNBLOCKABLE
        if how == abi.SIG_BLOCK:
            t.sigmask |= mask
        elif how == abi.SIG_UNBLOCK:
            t.sigmask &= ~mask
        elif how == abi.SIG_SETMASK:
            t.sigmask = mask
        else:
            raise SyscallError(EINVAL)
    if old:
        k.mem.write(old, abi.U64.pack(before))
    deliver(k, t)
    return 0


def rt_sigpending(k: Kernel, t: Task, addr: int, size: int) -> int:
    """Store the signals that are pending and blocked; rt_sigpending(2).  A size below 8 stores that many bytes."""
    if size > abi.SIGSET_SIZE:
        raise SyscallError(EINVAL)
    k.mem.write(addr, abi.U64.pack(t.pending & t.sigmask)[:size])
    return 0


def sigaltstack(k: Kernel, t: Task, new: int, old: int) -> int:
    """Set (where *new* is not null) and report the alternate signal stack; sigaltstack(2)."""
    before = t.altstack
    flags_now = before[1] | (abi.SS_ONSTACK if on_altstack(t) else 0)
    if new:
        sp, flags, size = abi.STACK_T.unpack(k.mem.read(new, abi.STACK_T.size))
        if on_altstack(t):
            raise SyscallError(EPERM)
        mode = flags & 0x7FFF_FFFF
        if mode not in (0, abi.SS_ONSTACK, abi.SS_DISABLE):
            raise SyscallError(EINVAL)
        if mode == abi.SS_DISABLE:
            sp = size = 0
        elif size < abi.MINSIGSTKSZ:
            raise SyscallError(ENOMEM)
        t.altstack = (sp, flags & 0xFFFF_FFFF, size)
    if old:
        flags_now -= (flags_now & 0x8000_0000) * 2  # SS_AUTODISARM is the sign bit of an int
        k.mem.write(old, abi.STACK_T.pack(before[0], flags_now, before[2]))
    return 0


def on_altstack(t: Task) -> bool:
    """Say whether the task runs on its alternate stack now, as far as the machine told its stack pointer."""
    sp, flags, size = t.altstack
    return bool(size) and not flags & abi.SS_AUTODISARM and sp < t.sp <= sp + size


def is_ignored(k: Kernel, signum: int) -> bool:
    """Say whether *signum* is discarded: ignored by its action, or by default."""
    handler = k.actions.get(signum, DEFAULT_ACTION)[0]
    return handler == abi.SIG_IGN or (handler == abi.SIG_DFL and signum in IGNORED_BY_DEFAULT)


def send(k: Kernel, t: Task, signum: int) -> None:
    """Make *signum* pending for *t*, and act on it unless it is blocked."""
    if not is_ignored(k, signum) or t.sigmask >> (signum - 1) & 1:
        t.pending |= 1 << (signum - 1)
        deliver(k, t)


def deliver(k: Kernel, t: Task) -> None:
    """Act on the pending signals that are not blocked; those with a handler stay pending."""
    ready = t.pending & ~t.sigmask
    while ready and k.exit is None:
        signum = (ready & -ready).bit_length()
        ready &= ready - 1
        if is_ignored(k, signum):
            t.pending &= ~(1 << (signum - 1))
        elif k.actions.get(signum, DEFAULT_ACTION)[0] == abi.SIG_DFL:
            t.pending &= ~(1 << (signum - 1))
            k.exit = Hang(f"stopped by signal {signum}") if signum in STOPPING else Killed(signum)


def kill(k: Kernel, t: Task, pid: int, signum: int) -> int:
    """Send *signum* to the process, the only one there is; kill(2).  0 and its own group reach it too."""
    if pid not in (0, t.pid, -t.pid):  # -1 is every process but the caller and init: nobody
        raise SyscallError(ESRCH)
    check_signal(signum)
    if signum:
        send(k, t, signum)
    return 0


def tgkill(k: Kernel, t: Task, tgid: int, tid: int, signum: int) -> int:
    """Send *signum* to thread *tid* of process *tgid*; tgkill(2)."""
    if tgid <= 0 or tid <= 0:
        raise SyscallError(EINVAL)
    target = k.tasks.get(tid)
    if target is None or tgid != target.pid:
        raise SyscallError(ESRCH)
    check_signal(signum)
    if signum:
        send(k, target, signum)
    return 0


def tkill(k: Kernel, t: Task, tid: int, signum: int) -> int:
    """Send *signum* to thread *tid*; tkill(2)."""
    return tgkill(k, t, t.pid, tid, signum)


def check_signal(signum: int) -> None:
    """Raise EINVAL unless *signum* is a signal, or 0, which only asks whether the target exists."""
    if not 0 <= signum <= abi.N_SIGNALS:
        raise SyscallError(EINVAL)


def pause(k: Kernel, t: Task) -> int:
    """Wait for a signal; pause(2)."""
    raise Blocked(Wait("pause", restarts=False))
