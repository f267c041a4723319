"""Delivering signals: what the kernel does on a task's way back to user mode.

The machine asks :func:`next_delivery` when ``Kernel.signalled`` is set and whenever another task comes onto the engine,
writes a frame for each answer, and says :func:`delivered`; a frame that cannot be written is :func:`undeliverable`.
Source: arch/x86/kernel/signal.c and kernel/signal.c of Linux 6.1 (read).
"""

from __future__ import annotations

from syscalls import abi
from syscalls.light import TYPE_CHECKING, NamedTuple
from syscalls.sending import UNBLOCKABLE, force, notify, settle, take
from syscalls.siginfo import Info, from_kernel

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

DISARMED = (0, abi.SS_DISABLE, 0)


class Delivery(NamedTuple):
    """A signal whose handler is to run."""

    info: Info
    handler: int
    flags: int
    restorer: int
    mask: int  # blocked while it runs, with those that are blocked already
    saved_mask: int  # what rt_sigreturn puts back
    restarts: int  # the call that is to be made again after it; -1 for none


def next_delivery(k: Kernel, t: Task) -> Delivery | None:
    """Return what is to be delivered to *t* now, no more pending then; None when it can run on, or has ended."""
    if not settle(k, t):
        if t.restore_mask is None:
            return None
        restore_mask(t)
        if not settle(k, t):
            return None
    info = take(t, ~t.sigmask)
    assert info is not None
    if k.told is not None:
        k.told(t, info)
    actions = t.process.actions
    handler, flags, restorer, mask = actions[info.signum]
    if flags & abi.SA_RESETHAND:
        actions[info.signum] = (abi.SIG_DFL, flags, restorer, mask)
    if not flags & abi.SA_NODEFER:
        mask |= 1 << (info.signum - 1)
    restarts = t.restart if flags & abi.SA_RESTART else -1
    t.restart = -1
    saved = t.sigmask if t.restore_mask is None else t.restore_mask
    return Delivery(info, handler, flags, restorer, mask, saved, restarts)


def delivered(t: Task, delivery: Delivery) -> None:
    """The frame of *delivery* is in place: signal_delivered."""
    t.restore_mask = None
    t.sigmask |= delivery.mask & ~UNBLOCKABLE
    if t.altstack[1] & abi.SS_AUTODISARM:
        t.altstack = DISARMED


def undeliverable(k: Kernel, t: Task, signum: int) -> None:
    """There is no room for the frame of *signum*: SIGSEGV, fatal if that was it already; force_sigsegv."""
    if signum == abi.SIGSEGV:
        t.process.actions.pop(signum, None)
    force(k, t, from_kernel(abi.SIGSEGV))


def bad_frame(k: Kernel, t: Task) -> None:
    """What rt_sigreturn found on the stack is no frame: signal_fault."""
    force(k, t, from_kernel(abi.SIGSEGV))


def returned(k: Kernel, t: Task, mask: int, altstack: tuple[int, int, int], on_altstack: bool) -> None:
    """*t* has its registers back from a frame, where *mask* and *altstack* were found: the end of rt_sigreturn."""
    t.sigmask = mask & ~UNBLOCKABLE
    sp, flags, size = altstack
    mode = flags & 0x7FFF_FFFF
    if not on_altstack and mode in (0, abi.SS_ONSTACK, abi.SS_DISABLE):  # else it stays, without an error
        if mode == abi.SS_DISABLE:
            t.altstack = (0, flags & 0xFFFF_FFFF, 0)
        elif size >= abi.MINSIGSTKSZ:
            t.altstack = (sp, flags & 0xFFFF_FFFF, size)
    notify(k, t)


# A mask for the time of one call


def use_mask(t: Task, mask: int) -> None:
    """Let *t* block *mask* until the call that it is in returns: rt_sigsuspend, ppoll, pselect6, epoll_pwait.

    A signal that interrupts the call is delivered under this mask, and its frame puts the old one back.
    """
    if t.restore_mask is None:
        t.restore_mask = t.sigmask
    t.sigmask = mask & ~UNBLOCKABLE


def restore_mask(t: Task) -> None:
    """Let *t* block again what it did before :func:`use_mask`."""
    if t.restore_mask is not None:
        t.sigmask, t.restore_mask = t.restore_mask, None
