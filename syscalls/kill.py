"""The calls that send signals: kill(2), tkill(2), tgkill(2), rt_sigqueueinfo(2), rt_tgsigqueueinfo(2)."""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import EINVAL, EPERM, ESRCH, SyscallError
from syscalls.light import TYPE_CHECKING
from syscalls.sending import send, send_process
from syscalls.siginfo import SIZE, Info, from_bytes, from_process

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.processes import Process
    from syscalls.tasks import Task


def kill(k: Kernel, t: Task, pid: int, signum: int) -> int:
    """Send *signum* to a process, 0: to the caller's group, -N: to group N, -1: to all but itself and init; kill(2)."""
    targets = _processes(k, t, pid)
    if not targets:
        raise SyscallError(ESRCH)
    check_signal(signum)
    if signum:
        info = from_process(signum, t.pid, t.process.ids.uid)
        for process in targets:
            send_process(k, process, signum, info)
    return 0


def _processes(k: Kernel, t: Task, pid: int) -> list[Process]:
    if pid > 0:
        task = k.tasks.get(pid)  # any of its threads names a process
        process = k.processes.get(pid) or (task.process if task is not None else None)
        return [] if process is None else [process]
    living = [process for process in k.processes.values() if process.ended is None]
    if pid == -1:
        return [process for process in living if process is not t.process]
    return [process for process in living if process.pgid == (-pid or t.process.pgid)]


def tgkill(k: Kernel, t: Task, tgid: int, tid: int, signum: int) -> int:
    """Send *signum* to thread *tid* of process *tgid*; tgkill(2)."""
    return _send(k, tgid, tid, signum, from_process(signum, t.pid, t.process.ids.uid, abi.SI_TKILL))


def _send(k: Kernel, tgid: int, tid: int, signum: int, info: Info) -> int:
    if tgid <= 0 or tid <= 0:
        raise SyscallError(EINVAL)
    target = _thread(k, tid, tgid)
    check_signal(signum)
    if signum:
        send(k, target, signum, info)
    return 0


def _thread(k: Kernel, tid: int, tgid: int | None) -> Task:
    target = k.tasks.get(tid)
    if target is None or tgid not in (None, target.pid):
        raise SyscallError(ESRCH)
    return target


def tkill(k: Kernel, t: Task, tid: int, signum: int) -> int:
    """Send *signum* to thread *tid*; tkill(2)."""
    if tid <= 0:
        raise SyscallError(EINVAL)
    return tgkill(k, t, _thread(k, tid, None).pid, tid, signum)


def rt_sigqueueinfo(k: Kernel, t: Task, pid: int, signum: int, addr: int) -> int:
    """Send *signum* with the siginfo at *addr* to a process; rt_sigqueueinfo(2)."""
    info = _given(k, t, pid, signum, addr)
    targets = _processes(k, t, pid) if pid > 0 else []
    if not targets:
        raise SyscallError(ESRCH)
    check_signal(signum)
    if signum:
        send_process(k, targets[0], signum, info)
    return 0


def rt_tgsigqueueinfo(k: Kernel, t: Task, tgid: int, tid: int, signum: int, addr: int) -> int:
    """Send *signum* with the siginfo at *addr* to thread *tid* of process *tgid*; rt_tgsigqueueinfo(2)."""
    return _send(k, tgid, tid, signum, _given(k, t, tgid, signum, addr))


def _given(k: Kernel, t: Task, pid: int, signum: int, addr: int) -> Info:
    # Only to itself may a process claim that the signal is the kernel's or kill's.
    info = from_bytes(signum, k.mem.read(addr, SIZE))
    if (info.code >= 0 or info.code == abi.SI_TKILL) and pid != t.pid:
        raise SyscallError(EPERM)
    return info


def check_signal(signum: int) -> None:
    """Raise EINVAL unless *signum* is a signal, or 0, which only asks whether the target exists."""
    if not 0 <= signum <= abi.N_SIGNALS:
        raise SyscallError(EINVAL)
