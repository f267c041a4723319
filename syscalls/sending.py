"""Sending signals: to a task or to a process, by a program, a fault, a timer or the world outside.

A signal that nothing has to be run for acts at once: it is discarded, stops, continues or ends the process.  One that
has a handler becomes pending, rouses a task that waits, and sets ``Kernel.signalled``: the machine then asks
:mod:`syscalls.delivery` before the guest runs on.  Standard signals are pending once, real-time signals are queued.
Source: kernel/signal.c of Linux 6.1 (read).
"""

from __future__ import annotations

from syscalls import abi
from syscalls.light import TYPE_CHECKING
from syscalls.outcome import Killed, Stopped
from syscalls.siginfo import Info, from_child, from_kernel
from syscalls.waits import INTERRUPTED, WOKEN

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.processes import Action, Process
    from syscalls.tasks import Task


def bits(*signums: int) -> int:
    """Return the set of *signums*."""
    return sum(1 << (signum - 1) for signum in signums)


UNBLOCKABLE = bits(abi.SIGKILL, abi.SIGSTOP)
IGNORED_BY_DEFAULT = frozenset((abi.SIGCHLD, abi.SIGCONT, abi.SIGURG, abi.SIGWINCH))
STOPPING = frozenset((abi.SIGSTOP, abi.SIGTSTP, abi.SIGTTIN, abi.SIGTTOU))
SYNCHRONOUS = bits(abi.SIGSEGV, abi.SIGBUS, abi.SIGILL, abi.SIGTRAP, abi.SIGFPE, abi.SIGSYS)
DEFAULT_ACTION = (abi.SIG_DFL, 0, 0, 0)
CONTINUED = 0xFFFF  # what wait(2) stores of a process that goes on
SIGNAL_WAIT = "signals"
"""The name of the channel on which rt_sigtimedwait waits; the data of its wait is the set of signals."""


def is_ignored(actions: dict[int, Action], signum: int) -> bool:
    """Say whether *signum* is discarded: ignored by its action, or by default."""
    handler = actions.get(signum, DEFAULT_ACTION)[0]
    return handler == abi.SIG_IGN or (handler == abi.SIG_DFL and signum in IGNORED_BY_DEFAULT)


# What is pending


def discard(holder: Task | Process, signals: int) -> None:
    """Let none of the set *signals* be pending any more."""
    if holder.pending & signals:
        holder.pending &= ~signals
        holder.queued = tuple(info for info in holder.queued if not signals >> (info.signum - 1) & 1)


def take(t: Task, signals: int) -> Info | None:
    """Take the signal of the set *signals* that comes first and is pending: the task's own before its process's."""
    for holder in (t, t.process):
        ready = holder.pending & signals
        if not ready:
            continue
        ready = ready & SYNCHRONOUS or ready
        signum = (ready & -ready).bit_length()
        index = next(i for i, info in enumerate(holder.queued) if info.signum == signum)
        info = holder.queued[index]
        holder.queued = holder.queued[:index] + holder.queued[index + 1 :]
        if not any(other.signum == signum for other in holder.queued):
            holder.pending &= ~(1 << (signum - 1))
        return info
    return None


# Sending


def send(k: Kernel, t: Task, signum: int, info: Info | None = None) -> None:
    """Send *signum* to the task *t* alone; without *info* it is the kernel that does."""
    _send(k, t.process, t, info or from_kernel(signum))


def send_process(k: Kernel, process: Process, signum: int, info: Info | None = None) -> None:
    """Send *signum* to *process*: one of its tasks that does not block it will take it."""
    _send(k, process, None, info or from_kernel(signum))


def force(k: Kernel, t: Task, info: Info) -> None:
    """Send *t* a signal for what it did itself, which it cannot block or ignore: force_sig_info.

    An action that would ignore it, or that it blocks, becomes the default one, which ends the process.
    """
    signum, actions = info.signum, t.process.actions
    blocked = t.sigmask >> (signum - 1) & 1
    handler, *rest = actions.get(signum, DEFAULT_ACTION)
    if blocked or handler == abi.SIG_IGN:
        actions[signum] = (abi.SIG_DFL, rest[0], rest[1], rest[2])
        t.sigmask &= ~(1 << (signum - 1))
    _send(k, t.process, t, info)


def _send(k: Kernel, process: Process, target: Task | None, info: Info) -> None:
    signum = info.signum
    tasks = [target] if target is not None else k.tasks_of(process)
    if process.ended is not None or not tasks:
        return
    if signum == abi.SIGCONT:
        drop(k, process, bits(*STOPPING))
        resume_process(k, process)
    elif signum in STOPPING:
        drop(k, process, bits(abi.SIGCONT))
    bit = 1 << (signum - 1)
    if is_ignored(process.actions, signum) and not tasks[0].sigmask & bit:
        if k.told is not None:
            k.told(tasks[0], info)
        return
    holder = target or process
    if signum < abi.SIGRTMIN and holder.pending & bit:
        return
    holder.pending |= bit
    holder.queued += (info,)
    if k.hears_signals:
        from syscalls.files import signalfd  # few programs read signals

        signalfd.told(k, process, bit)
    for t in tasks:
        wait = t.wait if t.woken is None else None
        if wait is not None and wait.data & bit and wait.channels[:1] == ((SIGNAL_WAIT, t.tid),):
            k.scheduler.rouse(t, WOKEN)
            return
    for t in tasks:
        if not t.sigmask & bit:
            notify(k, t)
            return


def drop(k: Kernel, process: Process, signals: int) -> None:
    """Let none of the set *signals* be pending any more for *process* and its tasks."""
    discard(process, signals)
    for t in k.tasks_of(process):
        discard(t, signals)


def notify(k: Kernel, t: Task) -> None:
    """Act on what is pending for *t* and not blocked; a call that it waits in is interrupted for a handler."""
    if settle(k, t) and t.wait is not None and t.woken is None and not t.wait.killable_only:
        k.scheduler.rouse(t, INTERRUPTED)


def settle(k: Kernel, t: Task) -> bool:
    """Act on what is pending for *t*, not blocked and without a handler; say whether anything is left."""
    process = t.process
    ready = (t.pending | process.pending) & ~t.sigmask
    handled = False
    while ready and process.ended is None and k.exit is None:
        signum = (ready & -ready).bit_length()
        ready &= ready - 1
        if process.actions.get(signum, DEFAULT_ACTION)[0] > abi.SIG_IGN:
            handled = True
            continue
        if k.told is not None and signum != abi.SIGKILL:
            k.told(t, next(info for info in t.queued + process.queued if info.signum == signum))
        for holder in (t, process):
            discard(holder, 1 << (signum - 1))
        if is_ignored(process.actions, signum):
            continue
        if signum in STOPPING:
            process.stopped, process.change = signum, signum << 8 | 0x7F
            if k.told is not None:
                k.told(t, Stopped(signum))
            k.signalled = True
            tell_parent(k, process, abi.CLD_STOPPED, signum)
        else:
            k.end_process(process, Killed(signum))
            return False
    if handled:
        k.signalled = True
    return handled


def tell_parent(k: Kernel, process: Process, code: int, signum: int) -> None:
    """Tell the parent of *process* that it was stopped or goes on: do_notify_parent_cldstop."""
    parent = k.processes.get(process.ppid)
    if parent is None or parent.ended is not None:
        return
    handler, flags, *_ = parent.actions.get(abi.SIGCHLD, DEFAULT_ACTION)
    if handler != abi.SIG_IGN and not flags & abi.SA_NOCLDSTOP:
        send_process(k, parent, abi.SIGCHLD, from_child(abi.SIGCHLD, process.pid, process.ids.uid, code, signum))
    k.wake(("child", parent.pid))


def resume_process(k: Kernel, process: Process) -> None:
    """Let a stopped *process* run again."""
    if process.stopped:
        process.stopped, process.change = 0, CONTINUED
        tell_parent(k, process, abi.CLD_CONTINUED, abi.SIGCONT)
        for tid in process.parked:
            if tid in k.tasks:
                k.scheduler.add(k.tasks[tid])
        process.parked = ()
