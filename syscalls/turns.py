"""Whose turn it is: the task that runs next, time that passes until one can, and what happens at alarms."""

from __future__ import annotations

from syscalls import timers
from syscalls.light import TYPE_CHECKING, Protocol
from syscalls.outcome import Hang
from syscalls.waits import TIMEOUT

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task


class Timer(Protocol):
    """What goes off at an alarm of the scheduler that names it; *alarm* is the number of the one that counts."""

    alarm: int

    def fire(self, k: Kernel) -> None:
        """Do what it does when its time has come."""
        ...


def next_task(k: Kernel, current: Task | None) -> Task | None:
    """Return the task that runs next, its process the current one; see :meth:`Kernel.next_task`."""
    _stand_down(k)
    expire(k)
    k.running = None
    if current is not None:
        k.scheduler.add(current)
    while k.exit is None:
        tid = k.scheduler.pick()
        if tid is not None:
            task = k.tasks[tid]
            if task.process.stopped:
                task.process.parked += (tid,)
                continue
            if task.process is not k.process:
                k.enter(task.process)
            k.running, task.since = task, k.ticks()
            return task
        deadline = next_deadline(k)
        if k.idle is not None and k.idle(deadline):
            continue
        if deadline is None:
            k.exit = Hang(_waits(k))
            break
        k.clock.sleep_until(deadline)
        expire(k)
    return None


def _stand_down(k: Kernel) -> None:
    # The task that ran has executed what it has; it stays the one whose timers of processor time may go off.
    if k.running is not None:
        now = k.ticks()
        k.running.ran += now - k.running.since
        k.running.since = now


def next_deadline(k: Kernel) -> int | None:
    """Return when the next alarm goes off, in monotonic nanoseconds."""
    return k.scheduler.next_deadline(lambda *alarm: _is_current(k, *alarm))


def instructions_left(k: Kernel, t: Task) -> int | None:
    """Return after how many instructions of *t* the next alarm or timer goes off, at least 1; None for never."""
    pace = k.world.clock.picoseconds_per_instruction
    if not pace:
        return None
    deadline = next_deadline(k)
    left = [] if deadline is None else [deadline - k.clock.monotonic_ns()]
    mine = ((t.tid, True), (t.pid, False))
    left += [timer.deadline - timer.now(k) for timer in k.cpu_timers.values() if timer.cpu in mine]
    return max(-(-min(left) * 1000 // pace), 1) if left else None


def expire(k: Kernel) -> None:
    """Wake the tasks whose deadlines have passed, and let the timers go off."""
    if k.cpu_timers:
        timers.expire(k)
    if not k.scheduler.has_alarms:
        return
    now = k.clock.monotonic_ns()
    while (alarm := k.scheduler.due(now)) is not None:
        number, tid, timer = alarm
        if not _is_current(k, number, tid, timer):
            continue
        if tid:
            k.scheduler.rouse(k.tasks[tid], TIMEOUT)
        elif timer:
            k.timers[timer].fire(k)


def _is_current(k: Kernel, number: int, tid: int, timer: int) -> bool:
    waits: Task | Timer | None = k.timers.get(timer) if timer else k.tasks.get(tid)
    return waits is not None and waits.alarm == number


def _waits(k: Kernel) -> str:
    # What everybody waits for, when nothing can happen any more.
    waits = [f"thread {task.tid}: {task.wait.what}" for task in k.tasks.values() if task.wait is not None]
    stopped = [process for process in k.processes.values() if process.stopped]
    return "; ".join(waits + [f"process {process.pid}: stopped by signal {process.stopped}" for process in stopped])
