"""The end of threads and processes; exit(2), exit_group(2).

A process that has ended stays a zombie until its parent waits for it (:mod:`syscalls.reaping`), unless that parent
does not want to know, or is not a process of the guest.  Source: kernel/exit.c of Linux 6.1 (read).
"""

from __future__ import annotations

from contextlib import suppress

from syscalls import abi, pidfd, timers
from syscalls.errno import SyscallError
from syscalls.futex import release_robust_list
from syscalls.light import TYPE_CHECKING
from syscalls.outcome import Exit, Killed
from syscalls.sending import DEFAULT_ACTION, send, send_process
from syscalls.shared import pull
from syscalls.siginfo import from_child
from syscalls.vma import is_shared

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.processes import Process
    from syscalls.tasks import Task

INIT = 1
"""Who becomes the parent of orphans: init(1), which is no process of the guest unless the first one is it."""


def exit_task(k: Kernel, t: Task, status: int) -> int:
    """End one thread; the last one ends the process.  exit(2), set_tid_address(2)."""
    release_robust_list(k, t)
    if k.told is not None:
        k.told(t, Exit(status & 0xFF))
    k.forget(t)
    if not k.tasks_of(t.process):
        k.end_process(t.process, Exit(status & 0xFF))
    return 0


def exit_group(k: Kernel, t: Task, status: int) -> int:
    """End every thread of the process; exit_group(2)."""
    k.end_process(t.process, Exit(status & 0xFF))
    return 0


def end_process(k: Kernel, process: Process, how: Exit | Killed) -> None:
    """Let *process* be gone with all its tasks; with the first process the run ends."""
    if process.ended is None and k.told is not None:
        tasks = k.tasks_of(process)
        for task in (*tasks[1:], *tasks[:1]):
            k.told(task, how)
    if process is k.first:
        leave(k)
        process.ended = k.exit = how
        return
    if process.ended is not None:
        return
    process.space.leave()
    process.ended = how
    timers.forget(k, process, itimers=True)
    for task in k.tasks_of(process):
        release_robust_list(k, task)
        k.forget(task)
    release_maker(k, process)
    others = [each for each in k.processes.values() if each.ended is None]
    if not any(each.files is process.files for each in others):
        process.files.clear()
    release_memory(k, process)
    for child in [each for each in k.processes.values() if each.ppid == process.pid]:
        _orphan(k, process, child)
    pidfd.tell(k, process.pid)
    report(k, process)


def leave(k: Kernel) -> None:
    """Let the host's files have what living processes stored into mappings of them, as the run is over or stands still.

    Not others: what a guest that runs on is told of their times is not to depend on who looked when.
    """
    spaces = [process.space for process in k.processes.values() if process.ended is None]
    areas = [area for space in spaces if space.areas.shares for area in space.areas]
    nodes = dict.fromkeys(area.backing.stored for area in areas if is_shared(area) and area.backing is not None)
    for node in nodes:
        if node is not None and node.outlives:
            with suppress(SyscallError):  # what there is no room for is lost
                pull(node)


def release_maker(k: Kernel, process: Process) -> None:
    """Let whoever made *process* by vfork go on: its memory is not used any more."""
    if process.maker_waits:
        process.maker_waits = False
        k.wake(("vfork", process.pid))


def release_memory(k: Kernel, process: Process) -> None:
    """Give the memory that *process* leaves back, unless others have it too."""
    users = [each for each in k.processes.values() if each is not process and each.ended is None]
    if k.memories is not None and not any(each.mem is process.mem for each in users):
        k.memories.drop(process.mem)


def _orphan(k: Kernel, process: Process, child: Process) -> None:
    # *child* gets another parent: the nearest ancestor that asked for orphans, or init.
    above = process
    while (parent := k.processes.get(above.ppid)) is not None and parent.ended is None and parent is not above:
        if parent.subreaper:
            break
        above = parent
    child.ppid = parent.pid if parent is not None and parent.ended is None and parent.subreaper else INIT
    for task in k.tasks_of(child):
        if task.pdeath_signal:
            send(k, task, task.pdeath_signal)
    if child.ended is not None:
        report(k, child)


def report(k: Kernel, process: Process) -> None:
    """Tell the parent of *process* that it has ended; where nobody wants to know, it is gone at once."""
    parent = k.processes.get(process.ppid)
    if parent is None or parent.ended is not None:
        del k.processes[process.pid]
        return
    signum, how = process.exit_signal, process.ended
    assert how is not None
    handler, flags, *_ = parent.actions.get(signum, DEFAULT_ACTION)
    if signum == abi.SIGCHLD and (handler == abi.SIG_IGN or flags & abi.SA_NOCLDWAIT):
        del k.processes[process.pid]
    if signum and handler != abi.SIG_IGN:
        code, value = (abi.CLD_EXITED, how.status) if isinstance(how, Exit) else (abi.CLD_KILLED, how.signal)
        send_process(k, parent, signum, from_child(signum, process.pid, process.ids.uid, code, value))
    k.wake(("child", parent.pid))


def status_of(process: Process) -> int:
    """Return what wait(2) stores of *process*, which has ended."""
    how = process.ended
    assert how is not None
    return how.status << 8 if isinstance(how, Exit) else how.signal
