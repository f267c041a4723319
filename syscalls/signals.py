"""Signals: what a task asks for about its own: actions, masks, alternate stacks.

How signals are sent stands in :mod:`syscalls.sending`, how their handlers are run in :mod:`syscalls.delivery`.
Sources: signal(7), kernel/signal.c of Linux 6.1 (read).
"""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import EINVAL, ENOMEM, EPERM, SyscallError
from syscalls.light import TYPE_CHECKING
from syscalls.sending import DEFAULT_ACTION, UNBLOCKABLE, drop, is_ignored, settle

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

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
        if is_ignored(k.actions, signum):  # POSIX 3.3.1.3, as do_sigaction quotes it
            drop(k, k.process, 1 << (signum - 1))
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
    settle(k, t)
    return 0


def rt_sigpending(k: Kernel, t: Task, addr: int, size: int) -> int:
    """Store the signals that are pending and blocked; rt_sigpending(2).  A size below 8 stores that many bytes."""
    if size > abi.SIGSET_SIZE:
        raise SyscallError(EINVAL)
    k.mem.write(addr, abi.U64.pack((t.pending | t.process.pending) & t.sigmask)[:size])
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
    return not t.altstack[1] & abi.SS_AUTODISARM and within_altstack(t, t.sp)


def within_altstack(t: Task, sp: int) -> bool:
    """Say whether *sp* lies in the task's alternate stack: __on_sig_stack of linux/sched/signal.h."""
    low, _, size = t.altstack
    return bool(size) and low < sp <= low + size
