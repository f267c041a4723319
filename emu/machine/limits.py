"""Where a World's limits of instructions, of virtual time and of memory end a run."""

from __future__ import annotations

from emu.machine.outcome import Outcome
from syscalls.world import Limits, Memory

FARTHEST = 2**62  # instructions: no run comes as far, and the counters' numbers have 64 bits
UNITS = ((1_000_000_000, "s"), (1_000_000, "ms"), (1000, "us"), (1, "ns"))


def work_limit(limits: Limits, pace: int, passed_ns: int) -> int | None:
    """Return how many instructions *limits* allow, by themselves or by the time that they take; None for any number.

    *pace* is that time, in picoseconds; *passed_ns* passed without instructions: in sleep and in system calls.
    """
    allowed = [limits.instructions] if limits.instructions else []
    if limits.virtual_ns and (pace or passed_ns >= limits.virtual_ns):
        left = max(limits.virtual_ns - passed_ns, 0) * 1000
        allowed.append(-(-left // pace) if left else 0)
    return min((limit for limit in allowed if limit < FARTHEST), default=None)


def used_up(limits: Limits, instructions: int, pc: int) -> Outcome:
    """Return the outcome of a run that met a limit at *pc* after so many *instructions*."""
    if limits.instructions and instructions >= limits.instructions:
        return Outcome("limit", f"more than {limits.instructions} instructions", pc, at="instructions")
    return Outcome("limit", f"more than {span(limits.virtual_ns)} of virtual time", pc, at="virtual time")


def span(ns: int) -> str:
    """Return a time, exactly, in the largest unit up to seconds of which it has one: 1.5 s, 20 ms."""
    size, unit = next((each for each in UNITS if ns >= each[0]), UNITS[-1])
    whole, rest = divmod(ns, size)
    digits = f"{rest:0{len(str(size)) - 1}}".rstrip("0") if rest else ""
    return f"{whole}{'.' if digits else ''}{digits} {unit}"


def out_of_memory(memory: Memory, pc: int) -> Outcome:
    """Return the outcome of a run that touched more than *memory* allows, at *pc*."""
    return Outcome("limit", f"memory: more than {memory.limit} bytes were touched", pc, at="memory")
