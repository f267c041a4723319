"""The meter: what each call of a bootstrap function costs, exactly.

Everything that a boot does between two entries or returns of bootstrap functions is put down to the one that was
innermost then, under the path of those that were running around it.  All of it is counted, nothing sampled: the
engine's counts of each block, the kernel's log, the hardware's dirty bits, the typed diff of the globals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from emu.bench.cost import Cost
from emu.bench.pages import DirtyPages
from emu.boot.capture import Capture
from emu.boot.catalogue import ROWS, Row
from emu.boot.names import KERNEL_ONLY
from emu.image.image import ABI0, Image
from emu.machine.machine import Machine
from syscalls.events import SyscallEvent
from syscalls.guest import PAGE, PROT_NONE


class Step(NamedTuple):
    """A bootstrap function that is running: its name, its entry and where it returns to, in the running program."""

    name: str
    entry: int
    returns_to: int | None


Path = tuple[Step, ...]
"""What is running, outermost first; empty before the first bootstrap function."""
Block = tuple[int, int]
"""A block of the guest's code: its pc and how many instructions it has."""
OUTERMOST = -1
"""In place of a frame's index: no bootstrap function was running."""


@dataclass(slots=True)
class Spent:
    """What was spent while one path was innermost."""

    blocks: Counter[Block] = field(default_factory=Counter)  # executions
    syscalls: Counter[tuple[int, str]] = field(default_factory=Counter)  # by where the instruction stands, and name
    pages: int = 0


class Meter(Capture):
    """A capture that also measures; to be made before the machine runs."""

    def __init__(self, machine: Machine, image: Image, rows: Sequence[Row] = ROWS) -> None:
        super().__init__(machine, image, rows)
        self.spent: dict[Path, Spent] = {}
        self.own: dict[int, Cost] = {OUTERMOST: Cost()}  # by index of the frame
        self.own_syscalls: dict[int, Counter[str]] = {OUTERMOST: Counter()}
        self.pages = DirtyPages(machine)
        self._counted: dict[tuple[int, int, int], int] = {}  # the profile at the last mark
        self._measured_syscalls = 0
        self._called_at: list[int] = []  # for each system call, the address of its instruction
        self._brk = machine.kernel.space.brk
        machine.engine.on_syscall(self._note_place)

    def _note_place(self, _uc: int, _data: int) -> None:
        # After the machine's own hook, so that the event is there.
        missing = len(self.machine.kernel.events) - len(self._called_at)
        self._called_at += [self.machine.pc] * missing

    def mark(self) -> None:
        """Put everything new since the last mark down to the innermost function."""
        super().mark()
        frame = self._stack[-1] if self._stack else OUTERMOST
        path = tuple(self._step(index) for index in self._stack)
        spent = self.spent.setdefault(path, Spent())
        cost = self.own.setdefault(frame, Cost())
        cost.instructions, cost.blocks = self.take_blocks(spent, cost.instructions, cost.blocks)
        pages = self.pages.take()
        spent.pages += pages
        cost.pages += pages
        events = self.machine.kernel.events
        for index in range(self._measured_syscalls, len(events)):
            event = events[index]
            cost.syscalls += 1
            self._take_mapping(event, cost)
            self.own_syscalls.setdefault(frame, Counter())[event.name] += 1
            place = self._called_at[index] if index < len(self._called_at) else self.machine.pc
            spent.syscalls[place, event.name] += 1
        self._measured_syscalls = len(events)

    def _step(self, index: int) -> Step:
        frame = self.frames[index]
        return Step(frame.name.removesuffix(ABI0), frame.pc, frame.returns_to)

    def take_blocks(self, spent: Spent, instructions: int = 0, blocks: int = 0) -> tuple[int, int]:
        """Put what was executed since the last time down to *spent*; return *instructions* and *blocks* with it."""
        counted = self._counted
        low, high = KERNEL_ONLY
        for pc, size, length, executions in self.machine.counter.profile():
            new = executions - counted.get((pc, size, length), 0)
            if new and not low <= pc < high:
                counted[pc, size, length] = executions
                spent.blocks[pc, size] += new
                instructions += new * size
                blocks += new
        return instructions, blocks

    def _take_mapping(self, event: SyscallEvent, cost: Cost) -> None:
        if event.result < 0 or event.overridden:
            return
        if event.name == "mmap":
            size = -(-event.args[1] // PAGE) * PAGE
            if event.args[2] == PROT_NONE:
                cost.reserved += size
            else:
                cost.mapped += size
        elif event.name == "mremap":
            cost.mapped += max(-(-event.args[2] // PAGE) - -(-event.args[1] // PAGE), 0) * PAGE
        elif event.name == "brk":
            cost.mapped += max(event.result - self._brk, 0)
            self._brk = event.result

    def finish(self) -> None:
        """The boot is over: close what is still running, and count what each call wrote."""
        super().finish()
        for index, frame in enumerate(self.frames):
            writes = sum(change.before != change.after for change in frame.changes.values())
            self.own.setdefault(index, Cost()).writes = writes
