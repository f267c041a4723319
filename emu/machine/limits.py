"""Where a World's limits of instructions and of virtual time end a run."""

from __future__ import annotations

from emu.machine.outcome import Outcome
from syscalls.world import Limits


def work_limit(limits: Limits, pace: int, passed_ns: int) -> int | None:
    """Return how many instructions *limits* allow, by themselves or by the time that they take; None for any number.

    *pace* is that time, in picoseconds; *passed_ns* passed without instructions: in sleep and in system calls.
    """
    allowed = [limits.instructions] if limits.instructions else []
    if limits.virtual_ns and (pace or passed_ns >= limits.virtual_ns):
        left = max(limits.virtual_ns - passed_ns, 0) * 1000
        allowed.append(-(-left // pace) if left else 0)
    return min(allowed, default=None)


def used_up(limits: Limits, instructions: int, pc: int) -> Outcome:
    """Return the outcome of a run that met a limit at *pc* after so many *instructions*."""
    if limits.instructions and instructions >= limits.instructions:
        return Outcome("limit", f"more than {limits.instructions} instructions", pc, at="instructions")
    return Outcome("limit", f"more than {limits.virtual_ns} ns of virtual time", pc, at="virtual time")
