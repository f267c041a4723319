"""The native side: single-step the program and put down the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from emu.boot.boot import MSTART
from emu.boot.capture import JUMPED_TO
from emu.boot.catalogue import ROWS, Row
from emu.compare.evidence import Evidence, Names, Visit
from emu.compare.impose import Answers, Exiting, SharedTime
from emu.compare.native.process import Process, ProgramEnded
from emu.compare.native.stepper import Call, Stepper, SystemCall, Trace
from emu.image.image import ABI0, Image
from emu.image.pclntab import Function
from syscalls import buffers
from syscalls.errno import NAMES as ERRNO_NAMES
from syscalls.events import SyscallEvent
from syscalls.guest import GuestFault
from syscalls.kernel import COMPILED
from syscalls.numbers import NAMES as CALL_NAMES
from syscalls.world import World

MAX_STEPS = 20_000_000


class NativeMemory:
    """The memory of a stopped process, read as the kernel's buffers are."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def read(self, addr: int, size: int) -> bytes:
        """Return *size* bytes at *addr*; raise GuestFault where nothing is mapped."""
        try:
            return self._process.read(addr, size)
        except (OSError, OverflowError):  # OverflowError: no file offset is that large
            raise GuestFault(addr) from None


@dataclass(slots=True)
class _Open:
    # A visit while it is put together.
    call: Call
    name: str
    depth: int
    caller: str | None
    end: int  # steps at its return; that of the run if it never returned
    children: int = 0


def step(process: Process, image: Image, world: World, stop: Function, time: SharedTime) -> Evidence:
    """Step *process* to *stop*, answered by *world* where :mod:`emu.compare.impose` does.

    Raises TooLong after :data:`MAX_STEPS` instructions.
    """
    bias = process.bias()
    memory = NativeMemory(process)
    events: list[SyscallEvent] = []

    def observe(call: SystemCall, _process: Process) -> None:
        events.append(_event(call, memory, process.pid))

    names = Names(image, bias, world)
    stepper = Stepper(
        process, names.functions, {row.name for row in ROWS}, answer=Answers(world, time), observe=observe
    )
    end = MSTART
    try:
        stepper.step_to(stop.entry + bias, MAX_STEPS)
    except (Exiting, ProgramEnded) as ending:
        end = str(ending)
    trace = stepper.trace
    opened = _visits(trace, image, bias)
    during = [_innermost(opened, call.step) for call in trace.syscalls]
    for event, index in zip(events, during, strict=True):
        event.function = opened[index].name if index >= 0 else None
    return Evidence(
        end=end,
        visits=[
            Visit(
                one.name.removesuffix(ABI0),
                one.depth,
                one.caller,
                one.end - one.call.step,
                one.end - one.call.step - one.children,
            )
            for one in opened
        ],
        counts=trace.own,
        syscalls=events,
        during=during,
        total=trace.steps,
        read=memory.read,
        bias=bias,
        stack_top=world.memory.stack_top,
    )


def _event(call: SystemCall, memory: NativeMemory, tid: int) -> SyscallEvent:
    # The call as our own kernel logs one.
    row = COMPILED.get(call.nr)
    errno = ERRNO_NAMES.get(-call.result) if call.result < 0 else None
    name = CALL_NAMES.get(call.nr, f"syscall_{call.nr}")
    event = SyscallEvent(call.nr, name, call.args, call.result, errno, False, tid, call.step)
    if row is None:
        return event
    event = replace(event, args=call.args[: row.width])
    if row.path_index >= 0:
        event.detail[row.path_index] = _text(memory, event.args[row.path_index])
    for index, kind in row.inputs if call.result < 0 else (*row.inputs, *row.outputs):
        result = None if (index, kind) in row.inputs else call.result
        event.detail.update(buffers.capture(memory, kind, index, event.args, result))
    return event


def _text(memory: NativeMemory, addr: int) -> bytes:
    text = b""
    while not text.endswith(b"\0"):
        text += memory.read(addr + len(text), 1)
    return text[:-1]


def _visits(trace: Trace, image: Image, bias: int) -> list[_Open]:
    # The calls that the catalogue counts, as emu.boot.capture counts them.
    entries: dict[int, Row] = {}
    for row in ROWS:
        function = image.function(row.name)
        if function is not None:
            entries[function.entry + bias] = row
    found: list[_Open] = []
    running: list[int] = []
    for call in trace.calls:
        if call.pc not in entries:
            continue
        row = entries[call.pc]
        while running and found[running[-1]].end <= call.step:
            running.pop()
        outer = found[running[-1]] if running else None
        caller = _caller(call, row, image, bias, outer)
        if row.within and caller not in row.within:
            continue
        end = trace.steps if call.steps is None else call.step + call.steps
        if outer is not None:
            outer.children += end - call.step
        running.append(len(found))
        found.append(_Open(call, row.name, len(running) - 1, caller, end))
    return found


def _caller(call: Call, row: Row, image: Image, bias: int, outer: _Open | None) -> str | None:
    if row.name in JUMPED_TO:
        return outer.name if outer else None
    function = image.function_at(call.returns_to - bias - 1)
    return function.name if function else None


def _innermost(opened: Sequence[_Open], step: int) -> int:
    # The last one entered of those that were running at *step*; -1: none.
    inside = (index for index, one in enumerate(opened) if one.call.step <= step < one.end)
    return max(inside, default=-1)
