"""Observation of a boot: which catalogued functions were entered and left, and what happened in between.

At each entry and return, and when another thread gets the CPU, everything new since the last one (system calls,
changed globals, instructions) is put down to the innermost function of the thread that ran.  Entries are watched by a
hook on a function's first instruction, returns by a hook on the return address, made when the function is first
entered from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from weakref import WeakKeyDictionary

from emu.boot import goabi
from emu.boot.catalogue import ROWS, Row
from emu.boot.decode import Decoder
from emu.boot.globals import Change, GlobalsWatch
from emu.boot.record import FunctionCall, Write
from emu.image.image import ABI0, Image
from emu.image.pclntab import Function
from emu.image.types import Layouts
from emu.machine.machine import Machine
from syscalls.guest import GuestFault
from syscalls.light import Any, dataclass

JUMPED_TO = frozenset(("_rt0_amd64_linux", "_rt0_amd64", "main", "runtime.rt0_go"))
"""Functions that are not called: what lies on top of the stack when they start is argc, not a return address."""
WORD = 8
CONTENT = frozenset(("slice", "string"))
"""Kinds whose value is shown by content that lies elsewhere."""
Places = tuple[list[goabi.Place], list[goabi.Place]]
PLACES: WeakKeyDictionary[Layouts, dict[str, Places]] = WeakKeyDictionary()
"""Where each function takes its arguments and leaves its results, worked out once a program."""
STACK_APART = 1 << 11
"""Bytes: a goroutine's stack that grows moves by its own size at least, 2 KiB at first."""
WRITTEN = attrgetter("name", "type", "before", "after", "after_call")
"""What a record shows of a change."""
MAX_CALLS = 10_000
"""Calls that are observed; a boot on 1,000 CPUs makes 1,100.  What a program does after that many still counts."""


@dataclass(slots=True)
class Frame:
    """A catalogued function that was entered."""

    name: str
    function: Function
    caller: str | None
    depth: int
    parent: int | None
    pc: int
    sp: int  # at entry, where the return address is
    returns_to: int | None
    entered_at: int  # instructions that its thread executed before it
    instructions: int
    children: int  # instructions of catalogued functions that it called
    returned: bool
    arguments: dict[str, Any]
    results: list[Any]
    syscalls: list[int]
    changes: dict[str, Change]


class Capture:
    """Watches *machine* boot *image*; to be made before the machine runs."""

    def __init__(self, machine: Machine, image: Image, rows: Sequence[Row] = ROWS) -> None:
        self.machine, self.image = machine, image
        self._watch = GlobalsWatch(machine, image.layouts)
        self._decoder = Decoder(image.layouts, machine.pages.peek)
        self._hooks: list[int] = []
        self._return_hooks: set[int] = set()
        self._callers: dict[int, str | None] = {}
        self._registers = machine.engine.registers("rsp", *goabi.INTEGER_REGISTERS)
        self._bias = machine.loaded.bias
        self._source = ""
        self._begin()
        for row in rows:
            function = image.function(row.name)
            if function is not None:
                self._watch_entry(row, function)

    def _begin(self) -> None:
        self.frames: list[Frame] = []  # every call, in order of entry
        self._stack: list[int] = []  # indices of those that are still running, in the thread that runs
        self._stacks: dict[int, list[int]] = {}  # of the other threads
        self._ran: dict[int, int] = {}  # instructions of each of those
        self._others = 0  # instructions that all threads but this one executed
        self.machine.switched = self._switched
        self._seen_syscalls = 0
        self.after_call: list[int] = []  # for each system call, the index of the frame that was the newest
        self.notes: list[str] = []
        self.touched: dict[str, Change] = {}  # every leaf that ever changed, with its newest value
        self._returns: set[int] = set()  # addresses that a call of this boot returns to

    @property
    def whole(self) -> bool:
        """True while entries are watched; a boot of too many calls ends that for good."""
        return not self.notes

    def begin_anew(self) -> None:
        """Watch the next boot of a machine that began anew; must be :attr:`whole`.  All hooks stay."""
        self._begin()
        self._watch.begin_anew()

    def _watch_entry(self, row: Row, function: Function) -> None:
        def entered(_uc: int, addr: int, _size: int, _data: int) -> None:
            if len(self.frames) == MAX_CALLS:
                self.let_go()  # a loop through one would take for ever otherwise
                self.notes.append(f"only the first {MAX_CALLS} calls of bootstrap functions were observed")
            elif not self.machine.at_limit():
                self._enter(row, function, addr)

        self._hooks.append(self.machine.engine.on_block(function.entry + self._bias, entered))

    def let_go(self) -> None:
        """Watch entries no longer.  Returns still are."""
        for hook in self._hooks:
            self.machine.engine.remove(hook)
        self._hooks.clear()

    # Events

    def _switched(self, before: int, after: int) -> None:
        # Thread *before* makes room for *after*.
        self.mark()
        total = self.machine.total()
        self._stacks[before], self._ran[before] = self._stack, total - self._others
        self._stack = self._stacks.pop(after, [])
        self._others = total - self._ran.pop(after, 0)

    def _now(self) -> int:
        # Instructions that this thread executed so far.
        return self.machine.total() - self._others

    def mark(self) -> None:
        """Put everything new since the last mark down to the innermost function."""
        frame = self.frames[self._stack[-1]] if self._stack else None
        events = self.machine.kernel.events
        newest = len(self.frames) - 1
        for index in range(self._seen_syscalls, len(events)):
            if frame is not None:
                events[index].function = frame.name
                frame.syscalls.append(index)
        self.after_call += [newest] * (len(events) - self._seen_syscalls)
        self._seen_syscalls = len(events)
        touched, changes = self.touched, None if frame is None else frame.changes
        for change in self._watch.changes():
            touched[change.name] = change
            change.after_call = newest
            if changes is not None and changes.setdefault(change.name, change) is not change:
                earlier = changes[change.name]
                earlier.after, earlier.after_call = change.after, newest

    def _enter(self, row: Row, function: Function, pc: int) -> None:
        sp, *registers = self._registers.read()
        returns_to = caller = None
        if row.name not in JUMPED_TO:
            returns_to = self._return_address(sp)
            caller = self._caller(returns_to) if returns_to is not None else None
        elif self._stack:
            caller = self.frames[self._stack[-1]].name
        if row.within and caller not in row.within:
            return
        self.mark()
        parent = self._stack[-1] if self._stack else None
        now, given = self._now(), self._arguments(row.name, registers, sp)
        depth = len(self._stack)
        frame = Frame(
            row.name, function, caller, depth, parent, pc, sp, returns_to, now, 0, 0, False, given, [], [], {}
        )  # fmt: skip
        self._stack.append(len(self.frames))
        self.frames.append(frame)
        if returns_to is not None:
            self._watch_return(returns_to)

    def _return_address(self, sp: int) -> int | None:
        # What a call pushed; None where a program that went astray came here without one.
        pages = self.machine.pages
        try:
            addr = pages.peek_word(sp)
        except GuestFault:
            return None
        return addr if pages.physical(addr) is not None else None

    def _caller(self, returns_to: int) -> str | None:
        # The function that a return address is in; its call is the instruction before.
        if returns_to not in self._callers:
            found = self.image.function_at(returns_to - self._bias - 1)
            self._callers[returns_to] = found.name if found else None
        return self._callers[returns_to]

    def _watch_return(self, addr: int) -> None:
        self._returns.add(addr)
        if addr in self._return_hooks:
            return
        self._return_hooks.add(addr)
        self.machine.engine.on_block(addr, lambda _uc, pc, _size, _data: self._returned(pc))
        self.machine.engine.forget_code(addr)  # it may have been translated already, without the hook

    def _returned(self, pc: int) -> None:
        if pc not in self._returns:
            return  # a hook that an earlier boot needed
        sp, *registers = self._registers.read()
        depth = self._returning(pc, sp)
        if depth is None or self.machine.at_limit():
            return  # another way to the same instruction
        self.mark()
        now = self._now()
        while len(self._stack) > depth:
            frame = self.frames[self._stack.pop()]
            frame.instructions = now - frame.entered_at
            if frame.returns_to == pc and (frame.sp + WORD == sp or len(self._stack) == depth):
                frame.returned = True
                frame.results = self._results(frame.name, registers, sp - WORD)
            if self._stack:
                self.frames[self._stack[-1]].children += frame.instructions

    def _returning(self, pc: int, sp: int) -> int | None:
        # Which of the running functions just returned to *pc*: its place on the stack.  Of several that share a return
        # address on one spot (a wrapper that jumped on) the outermost; those above it ended without returning.  The
        # innermost may have moved with its goroutine's stack, and is known by its return address alone.
        found = None
        for depth in range(len(self._stack) - 1, -1, -1):
            frame = self.frames[self._stack[depth]]
            if frame.returns_to == pc and frame.sp + WORD == sp:
                found = depth
            elif found is not None:
                return found
        if found is None and self._stack:
            innermost = self.frames[self._stack[-1]]
            if innermost.returns_to == pc and abs(innermost.sp - sp) > STACK_APART:
                return len(self._stack) - 1
        return found

    def finish(self) -> None:
        """The boot is over: close what is still running."""
        self.mark()
        self._close(self._stack, self._now())
        for tid, stack in self._stacks.items():
            self._close(stack, self._ran[tid])

    def _close(self, stack: list[int], now: int) -> None:
        while stack:
            frame = self.frames[stack.pop()]
            frame.instructions = now - frame.entered_at
            if stack:
                self.frames[stack[-1]].children += frame.instructions

    def values_now(self) -> dict[str, Any]:
        """Every leaf that ever changed, with its value now: what a slice or string refers to may have changed since."""
        return {name: self._value_now(change) for name, change in self.touched.items()}

    def _value_now(self, change: Change) -> Any:
        if change.type.kind not in CONTENT:
            return change.after
        try:
            return self._decoder.value(change.type, self.machine.pages.peek(change.addr, change.type.size))
        except GuestFault:  # the program took the page away since
            return change.after

    # Arguments and results

    def _places_of(self, name: str) -> Places:
        known = PLACES.setdefault(self.image.layouts, {})
        if name not in known:
            signature = self.image.layouts.signature(name)
            taken, given = (signature.parameters, signature.results) if signature else ((), ())
            known[name] = goabi.assign(self.image.layouts, self.image.release, taken, given)
        return known[name]

    def _arguments(self, name: str, registers: list[int], sp: int) -> dict[str, Any]:
        taken, _ = self._places_of(name)
        return {place.name: self._value(place, registers, sp) for place in taken}

    def _results(self, name: str, registers: list[int], sp: int) -> list[Any]:
        _, given = self._places_of(name)
        return [self._value(place, registers, sp) for place in given]

    def _value(self, place: goabi.Place, registers: list[int], sp: int) -> Any:
        def read_stack(offset: int, size: int) -> bytes:
            return self.machine.pages.peek(sp + WORD + offset, size)

        try:
            return self._decoder.value(place.type, place.raw(registers, read_stack))
        except GuestFault:
            return None

    # What the record wants

    def calls(self) -> list[FunctionCall]:
        """Every call as the record shows it."""
        # Where nothing was recovered all names are from one source.
        self._source = "" if self.image.recovered is not None else self.image.source_of("")
        return [self._call(frame) for frame in self.frames]

    def _call(self, frame: Frame) -> FunctionCall:
        source, source_of = self._source, self.image.source_of
        writes = [
            Write._make((name, kind.name, before, after, source or source_of(name), after_call))
            for name, kind, before, after, after_call in map(WRITTEN, frame.changes.values())
            if before != after
        ]
        return FunctionCall(
            frame.name.removesuffix(ABI0),
            frame.caller,
            frame.depth,
            frame.parent,
            frame.pc,
            frame.function.file,
            frame.function.line,
            False,
            frame.instructions,
            frame.instructions - frame.children,
            frame.returned,
            frame.arguments,
            frame.results,
            frame.syscalls,
            writes,
        )
