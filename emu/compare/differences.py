"""What differs between an emulated and a native run, and which function of the bootstrap it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from emu.boot.calls import arguments
from emu.boot.decode import Decoder
from emu.compare.causes import CURRENT_CPU, FILES
from emu.compare.emulated import Emulated
from emu.compare.evidence import Evidence, Visit
from emu.compare.leaves import LeafTally
from emu.compare.memory import MemoryTally
from emu.compare.places import Places
from emu.image.types import Layouts
from syscalls.events import SyscallEvent
from syscalls.kernel import COMPILED
from syscalls.numbers import NUMBERS
from syscalls.row import ADDRESS

RSEQ = NUMBERS["rseq"]
STAT = "stat"  # the kind of a struct stat argument
NEVER = 1 << 60  # when a difference shows that no call of the record can be blamed for


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that differs.  *cause* is a key of CAUSES, or None: then it is a failure.

    *function* is the bootstrap function that computed it, None if that is not known.  *seen* orders differences by
    when they showed: the index of the call of the emulated run that was entered last before.
    """

    kind: str  # one of KINDS
    name: str
    emulated: Any
    native: Any
    function: str | None
    seen: int = NEVER
    cause: str | None = None


KINDS = ("system call", "leaf", "function", "count", "memory", "end")
"""In the order in which they are shown when they were seen at the same time: the likely reason first."""


def miscounted(ours: Evidence, theirs: Evidence) -> int:
    """Return how many instructions are counted for the wrong function, or not at all."""
    names = ours.counts.keys() | theirs.counts.keys()
    return sum(abs(ours.counts.get(name, 0) - theirs.counts.get(name, 0)) for name in names)


def ends(run: Emulated, theirs: Evidence) -> list[Difference]:
    """Compare how the runs ended."""
    if run.evidence.end == theirs.end:
        return []
    last = max(len(run.evidence.visits) - 1, 0)
    return [Difference("end", "end of the run", run.evidence.end, theirs.end, run.record.outcome["function"], last)]


def functions(ours: Evidence, theirs: Evidence) -> list[Difference]:
    """Compare order, nesting, callers, and each call's own instructions; those of the calls in it stand with these."""
    found = []
    for index, (mine, other) in enumerate(zip_longest(ours.visits, theirs.visits)):
        shown = [None if one is None else _shown_visit(one) for one in (mine, other)]
        if shown[0] != shown[1]:
            name = other.name if other is not None else mine.name
            found.append(Difference("function", name, shown[0], shown[1], name, _last_within(ours, index)))
    return found


def _shown_visit(one: Visit) -> dict[str, Any]:
    return {"name": one.name, "caller": one.caller, "depth": one.depth, "own instructions": one.own}


def _last_within(run: Evidence, index: int) -> int:
    # The last call inside of call *index*: it may have gone wrong as late as that.
    last = index
    while last + 1 < len(run.visits) and run.visits[last + 1].depth > run.visits[index].depth:
        last += 1
    return last


def system_calls(run: Emulated, theirs: Evidence, places: Places) -> list[Difference]:
    """Compare the system calls: which, by which function, arguments with what they point at, results."""
    found = []
    for index, (mine, other) in enumerate(zip_longest(run.evidence.syscalls, theirs.syscalls)):
        cause = None
        if mine is not None and other is not None:
            if _same_call(mine, other, places):
                continue
            cause = FILES if _same_call(mine, other, places, ignored=STAT) else None
        one = mine if mine is not None else other
        seen = None if mine is None else run.record.syscalls[index].after_call
        shown = [None if event is None else _shown_call(event) for event in (mine, other)]
        when = NEVER if seen is None else seen
        name = f"{one.name} (number {index + 1})"
        found.append(Difference("system call", name, shown[0], shown[1], one.function, when, cause))
    return found


def _same_call(mine: SyscallEvent, other: SyscallEvent, places: Places, ignored: str = "") -> bool:
    # *ignored* names a kind of argument whose content does not count.
    if (mine.nr, mine.function, mine.errno) != (other.nr, other.function, other.errno):
        return False
    row = COMPILED.get(mine.nr)
    if row is None:
        return mine.args == other.args and mine.result == other.result
    address = row.row.result == ADDRESS
    if not (places.same(mine.result, other.result) if address else mine.result == other.result):
        return False
    triples = zip(row.row.kinds, arguments(mine), arguments(other), strict=True)
    return all(kind.name == ignored or _same_argument(one, two, places) for kind, one, two in triples)


def _same_argument(mine: Any, other: Any, places: Places) -> bool:
    # As emu.boot.calls words them: pointers are "0x...", buffers {"addr", ...}.
    if isinstance(mine, dict) and isinstance(other, dict):
        return mine.keys() == other.keys() and all(_same_argument(mine[key], other[key], places) for key in mine)
    if mine == other:
        return True
    pointers = isinstance(mine, str) and isinstance(other, str) and mine[:2] == other[:2] == "0x"
    return pointers and places.same(int(mine, 16), int(other, 16))


def _shown_call(event: SyscallEvent) -> dict[str, Any]:
    return {"arguments": arguments(event), "result": event.result, "errno": event.errno, "function": event.function}


def counts(ours: Evidence, theirs: Evidence, visits: list[Difference]) -> list[Difference]:
    """Compare the instructions of each function of the program, whether the bootstrap's catalogue has it or not.

    *visits* are the differences of the bootstrap's, which say when a function first went wrong.
    """
    seen = {one.name: one.seen for one in reversed(visits)}
    found = []
    for name in sorted(ours.counts.keys() | theirs.counts.keys()):
        mine, other = ours.counts.get(name, 0), theirs.counts.get(name, 0)
        if mine != other:
            found.append(Difference("count", name, mine, other, None, seen.get(name, NEVER)))
    return found


def leaves(tally: LeafTally, layouts: Layouts, run: Emulated, theirs: Evidence) -> list[Difference]:
    """Word the differences of *tally*, each with the function that wrote the leaf last."""
    written = {write.name: (call.name, write.after_call) for call in run.record.functions for write in call.writes}
    decoders = [Decoder(layouts, read) for read in (run.evidence.read, theirs.read)]
    found = []
    for leaf in tally.differences:
        function, seen = written.get(leaf.name, (None, NEVER))
        sides = zip(decoders, (leaf.emulated, leaf.native), strict=True)
        mine, other = (decoder.value(leaf.type, raw) for decoder, raw in sides)
        found.append(Difference("leaf", leaf.name, mine, other, function, seen))
    for addr in tally.unnamed_differences:
        mine, other = (one.read(addr + one.bias, 8).hex() for one in (run.evidence, theirs))
        found.append(Difference("leaf", f"bytes at {addr:#x}", mine, other, None))
    return found


def words(tally: MemoryTally, calls: Sequence[SyscallEvent]) -> list[Difference]:
    """Word the differences of the memory behind the globals; *calls* are the emulated run's system calls."""
    areas = [(call.args[0], call.args[0] + call.args[1]) for call in calls if call.nr == RSEQ and not call.result]
    found = []
    for addr, mine, other in tally.differences:
        cause = CURRENT_CPU if any(low <= addr < high for low, high in areas) else None
        found.append(Difference("memory", f"word at {addr:#x}", hex(mine), hex(other), None, cause=cause))
    return found
