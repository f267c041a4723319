"""The time that tasks and processes spent executing: the clocks of processor time, and timers on them.

Instructions are what is counted; a clock shows them at the World's pace.
"""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import EINVAL, SyscallError
from syscalls.light import TYPE_CHECKING

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

# A clock of another task or process: its id, inverted, above three bits (include/linux/posix-timers.h).
THREAD_BIT, KIND_BITS, SCHEDULED = 4, 3, 2


def used_by(k: Kernel, t: Task) -> int:
    """Return the instructions that *t* has executed."""
    return t.ran + (k.ticks() - t.since if t is k.running else 0)


def whose(k: Kernel, t: Task, clock_id: int) -> tuple[int, bool] | None:
    """Return the task that *clock_id* is of, and whether it is of that thread alone; None for another sort of clock.

    Raises EINVAL when there is no such task.
    """
    if clock_id == abi.CLOCK_PROCESS_CPUTIME_ID:
        return t.pid, False
    if clock_id == abi.CLOCK_THREAD_CPUTIME_ID:
        return t.tid, True
    if clock_id >= 0:
        return None
    if clock_id & KIND_BITS > SCHEDULED:
        raise SyscallError(EINVAL)
    one = bool(clock_id & THREAD_BIT)
    number = ~(clock_id >> 3) or (t.tid if one else t.pid)
    if one:
        other = k.tasks.get(number)
        found = other is not None and other.process is t.process
    else:
        found = number in k.processes
    if not found:
        raise SyscallError(EINVAL)
    return number, one


def instructions(k: Kernel, number: int, one: bool) -> int:
    """Return what task *number* alone, or the process of that number, has executed; 0 if it is gone."""
    if one:
        task = k.tasks.get(number)
        return used_by(k, task) if task is not None else 0
    process = k.processes.get(number)
    return k.ticks_of(process) if process is not None else 0


def read(k: Kernel, t: Task, clock_id: int) -> int:
    """Return clock *clock_id*, as *t* sees it, in nanoseconds; raise EINVAL for one that there is not."""
    of = whose(k, t, clock_id)
    return k.clock.read(clock_id) if of is None else k.clock.duration_ns(instructions(k, *of))
