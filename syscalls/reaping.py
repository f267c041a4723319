"""Waiting for children, and what they used; wait4(2), waitid(2), getrusage(2), times(2).

Source: kernel/exit.c and kernel/sys.c of Linux 6.1 (read).
"""

from __future__ import annotations

from collections.abc import Callable

from syscalls import abi
from syscalls.ending import status_of
from syscalls.errno import EAGAIN, EBADF, ECHILD, EINTR, EINVAL, ESRCH, SyscallError
from syscalls.light import TYPE_CHECKING
from syscalls.outcome import Exit
from syscalls.pidfd import process_of
from syscalls.sending import CONTINUED
from syscalls.time import NS
from syscalls.waits import INTERRUPTED, Blocked, Wait

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.processes import Process
    from syscalls.tasks import Task

KINDS = abi.__WNOTHREAD | abi.__WALL | abi.__WCLONE
RUSAGE_SIZE, SIGINFO_SIZE = 144, 128
TICK_NS = 10_000_000  # of times(2): USER_HZ is 100


def wait4(k: Kernel, t: Task, pid: int, status: int, options: int, usage: int) -> int:
    """Wait for a child to end, and return its process id; wait4(2)."""
    if options & ~(abi.WNOHANG | abi.WUNTRACED | abi.WCONTINUED | KINDS):
        raise SyscallError(EINVAL)
    if pid == -(1 << 31):
        raise SyscallError(ESRCH)
    group = t.process.pgid if pid == 0 else -pid
    child = find(
        k, t, options | abi.WEXITED, "any child" if pid == -1 else f"process {pid}" if pid > 0 else f"group {group}",
        lambda each: pid == -1 or (each.pid == pid if pid > 0 else each.pgid == group),
    )  # fmt: skip
    if child is None:
        return 0
    if child.ended is not None:
        reap(k, t, child)
    if status:
        k.mem.write(status, abi.U32.pack(child.change if child.ended is None else status_of(child)))
    child.change = 0
    if usage:
        k.mem.write(usage, rusage(k, child.ticks + child.child_ticks))
    return child.pid


def waitid(k: Kernel, t: Task, kind: int, number: int, addr: int, options: int, usage: int) -> int:
    """Wait for a child to change its state, and describe that at *addr*; waitid(2)."""
    known = abi.WNOHANG | abi.WNOWAIT | abi.WEXITED | abi.WSTOPPED | abi.WCONTINUED | KINDS
    if options & ~known or not options & (abi.WEXITED | abi.WSTOPPED | abi.WCONTINUED):
        raise SyscallError(EINVAL)
    what, matches = _wanted(k, t, kind, number)
    try:
        child = find(k, t, options, what, matches)
    except Blocked as blocked:
        if kind != abi.P_PIDFD:
            raise
        if k.files.get(number).flags & abi.O_NONBLOCK:
            raise SyscallError(EAGAIN) from None
        raise Blocked(blocked.wait._replace(fds=(1,))) from None
    if child is None:
        if addr:
            _store_info(k, addr, 0, 0, 0, 0, 0)
        return 0
    code, value = _change_of(child)
    if not options & abi.WNOWAIT:
        child.change = 0
        if child.ended is not None:
            reap(k, t, child)
    if usage:
        k.mem.write(usage, rusage(k, child.ticks + child.child_ticks))
    if addr:
        _store_info(k, addr, abi.SIGCHLD, code, child.pid, child.ids.uid, value)
    return 0


def _change_of(child: Process) -> tuple[int, int]:
    # si_code and si_status of what has become of it.
    how = child.ended
    if how is None:
        return (abi.CLD_CONTINUED, abi.SIGCONT) if child.change == CONTINUED else (abi.CLD_STOPPED, child.change >> 8)
    return (abi.CLD_EXITED, how.status) if isinstance(how, Exit) else (abi.CLD_KILLED, status_of(child))


def _wanted(k: Kernel, t: Task, kind: int, number: int) -> tuple[str, Callable[[Process], bool]]:
    # For people, and as a test, which children waitid means.
    if kind == abi.P_ALL:
        return "any child", lambda _: True
    if kind == abi.P_PID and number > 0:
        return f"process {number}", lambda each: each.pid == number
    if kind == abi.P_PGID and number >= 0:
        group = number or t.process.pgid
        return f"group {group}", lambda each: each.pgid == group
    if kind == abi.P_PIDFD and number >= 0:
        pid = process_of(k, k.files.get(number))
        if pid is None:
            raise SyscallError(EBADF)
        return f"process {pid}", lambda each: each.pid == pid
    raise SyscallError(EINVAL)


def _store_info(k: Kernel, addr: int, signum: int, code: int, pid: int, uid: int, status: int) -> None:
    # Only these fields of the siginfo are written: the others stay what they were (kernel/exit.c).
    k.mem.write(addr, abi.U32.pack(signum) + bytes(4) + abi.U32.pack(code))
    k.mem.write(addr + 16, abi.U32.pack(pid) + abi.U32.pack(uid) + abi.U32.pack(status))


def find(k: Kernel, t: Task, options: int, what: str, matches: Callable[[Process], bool]) -> Process | None:
    """Return the oldest child of which there is something to tell; None with WNOHANG if there is none yet, else wait.

    Raises ECHILD when no child is one that *matches*.
    """
    children = [each for each in k.processes.values() if each.ppid == t.pid and matches(each)]
    if not options & abi.__WALL:
        clones = bool(options & abi.__WCLONE)
        children = [each for each in children if (each.exit_signal != abi.SIGCHLD) == clones]
    if not children:
        raise SyscallError(ECHILD)
    for child in children:
        if child.ended is not None and options & abi.WEXITED:
            return child
        wanted = abi.WCONTINUED if child.change == CONTINUED else abi.WSTOPPED
        if child.ended is None and child.change and options & wanted:
            return child
    if options & abi.WNOHANG:
        return None
    if t.woken == INTERRUPTED:
        raise SyscallError(EINTR)
    # Looked at once more when a signal comes: the child whose end sent it is there (kernel/exit.c, do_wait).
    raise Blocked(Wait(f"wait: {what}", (("child", t.pid),), finishes=True))


def reap(k: Kernel, t: Task, child: Process) -> None:
    """Let *child* be a zombie no longer."""
    t.process.child_ticks += child.ticks + child.child_ticks
    del k.processes[child.pid]


def rusage(k: Kernel, instructions: int) -> bytes:
    """Return a struct rusage: that many instructions of user time, and zeros."""
    seconds, ns = divmod(k.clock.duration_ns(instructions), NS)
    return abi.TIMEVAL.pack(seconds, ns // 1000) + bytes(RUSAGE_SIZE - 16)


def getrusage(k: Kernel, t: Task, who: int, addr: int) -> int:
    """Store the CPU time used, all of it user time; the other counters are zero.  getrusage(2)."""
    if who not in (abi.RUSAGE_SELF, abi.RUSAGE_CHILDREN, abi.RUSAGE_THREAD):
        raise SyscallError(EINVAL)
    own = t.process.child_ticks if who == abi.RUSAGE_CHILDREN else k.ticks_of(t.process)
    k.mem.write(addr, rusage(k, own))
    return 0


def times(k: Kernel, t: Task, addr: int) -> int:
    """Store the CPU time in clock ticks (100 a second), all of it user time, and return the uptime; times(2)."""
    if addr:
        own, children = (
            k.clock.duration_ns(count) // TICK_NS for count in (k.ticks_of(t.process), t.process.child_ticks)
        )
        k.mem.write(addr, abi.U64.pack(own) + bytes(8) + abi.U64.pack(children) + bytes(8))
    return k.clock.monotonic_ns() // TICK_NS
