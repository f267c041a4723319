"""Single-step a native program and say what it did: instructions by function, calls in order, system calls, CPUID.

The counts are the hardware's: one for each instruction, one for each iteration of a ``rep`` instruction.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from emu.compare.native.process import Process, Registers

OUTSIDE = "?"
"""The function of an address that neither the table nor a named mapping ("[vdso]") explains."""

SYSCALL, CPUID, RDTSC, RDTSCP, XGETBV, INT3 = "syscall", "cpuid", "rdtsc", "rdtscp", "xgetbv", "int3"
# Intel SDM vol. 2.  Go and C compilers emit them without prefixes.
ENCODINGS = {
    b"\x0f\x05": SYSCALL,
    b"\x0f\xa2": CPUID,
    b"\x0f\x31": RDTSC,
    b"\x0f\x01\xf9": RDTSCP,
    b"\x0f\x01\xd0": XGETBV,
    b"\xcc": INT3,
    b"\xcd\x03": INT3,  # how Go's assembler writes it
}


class TooLong(Exception):
    """The program executed as many instructions as it was allowed without reaching the stop address."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function's name and its addresses in the running program: [entry, end)."""

    name: str
    entry: int
    end: int


@dataclass(slots=True)
class Call:
    """One entry of a watched function.

    *depth* counts the watched functions open around it, *caller* names the innermost.  *step* is how many instructions
    the program had executed, *steps* how many from here until the function returned, those of its callees included;
    None if it was still running at the end.
    """

    name: str
    depth: int
    caller: str | None
    pc: int
    sp: int
    step: int
    returns_to: int  # the word on top of the stack: the return address, if the function was called and not jumped to
    steps: int | None = None


@dataclass(frozen=True, slots=True)
class SystemCall:
    """One system call: number, six raw arguments, signed result, and the function and count of steps where it stood."""

    nr: int
    args: tuple[int, ...]
    result: int
    function: str
    step: int


@dataclass(frozen=True, slots=True)
class Query:
    """One execution of an instruction that asks the processor.

    *inputs* and *results* are the low 32 bits of (EAX, ECX) before and of (EAX, EBX, ECX, EDX) after.
    """

    instruction: str
    inputs: tuple[int, int]
    results: tuple[int, int, int, int]
    function: str
    step: int


@dataclass(slots=True)
class Trace:
    """What a program did between two addresses."""

    steps: int = 0
    own: dict[str, int] = field(default_factory=dict)  # instructions by function, callees' not included
    counts: dict[int, int] = field(default_factory=dict)  # executions by address
    calls: list[Call] = field(default_factory=list)  # in order of entry
    syscalls: list[SystemCall] = field(default_factory=list)
    queries: list[Query] = field(default_factory=list)


Answer = Callable[[str, Process], bool]
"""Called before an instruction of :data:`ENCODINGS` executes, with its name and the stopped process.

It returns True if it has put into ``process.registers`` (and memory) what the instruction is to yield: the instruction
is then counted and passed over.  So a native run can be given the answers of another machine.
"""

Observer = Callable[[SystemCall, Process], None]
"""Called after each system call, while what its pointers point at is as the call left it."""


class Stepper:
    """Steps *process* and keeps its :class:`Trace`.

    *functions* says which addresses belong to which function; those named in *watch* (None: all) are listed as calls.
    """

    def __init__(
        self,
        process: Process,
        functions: Sequence[Function],
        watch: Collection[str] | None = None,
        answer: Answer | None = None,
        observe: Observer | None = None,
    ) -> None:
        self._process = process
        self._functions = sorted(functions, key=lambda function: function.entry)
        self._entries = [function.entry for function in self._functions]
        self._watched = {f.entry: f.name for f in self._functions if watch is None or f.name in watch}
        self._answer, self._observe = answer, observe
        self._places: dict[int, tuple[str, str | None, tuple[str, int] | None]] = {}  # see _learn
        self._open: list[Call] = []
        self.trace = Trace()

    def step_to(self, stop: int, limit: int = 10_000_000) -> Trace:
        """Step until the next instruction is the one at *stop* and return the trace so far.

        Raises TooLong after *limit* instructions and ProgramEnded if the program ends first; :attr:`trace` has what
        was seen until then.
        """
        registers, step, counts, places, running = (
            self._process.registers,
            self._process.step,
            self.trace.counts,
            self._places,
            self._open,
        )
        trace = self.trace
        try:
            while (pc := registers.rip) != stop:
                if trace.steps >= limit:
                    raise TooLong(f"{limit} instructions without reaching {stop:#x}")
                _, entered, special = places.get(pc) or self._learn(pc)
                if running and registers.rsp > running[-1].sp:
                    self._close_returned()
                if entered is not None:
                    self._enter(entered)
                if special is None:
                    step()
                else:
                    self._step_special(*special)
                counts[pc] = counts.get(pc, 0) + 1
                trace.steps += 1
        finally:
            self._close_returned()
            self._sum_own()
        return trace

    def _learn(self, pc: int) -> tuple[str, str | None, tuple[str, int] | None]:
        # What is at pc: the function, its name if this is its watched entry, and (name, size) of a special instruction.
        code = self._process.read_some(pc, 3)
        special = next(((name, len(known)) for known, name in ENCODINGS.items() if code.startswith(known)), None)
        place = self._places[pc] = self._name(pc), self._watched.get(pc), special
        return place

    def _name(self, pc: int) -> str:
        index = bisect_right(self._entries, pc) - 1
        if index >= 0 and pc < self._functions[index].end:
            return self._functions[index].name
        # Such as "[vdso]"; a file's own mapping says no more than that the table has a gap there.
        names = [name for low, high, name in self._process.maps() if low <= pc < high and name.startswith("[")]
        return names[0] if names else OUTSIDE

    def _enter(self, name: str) -> None:
        registers = self._process.registers
        caller = self._open[-1].name if self._open else None
        returns_to = int.from_bytes(self._process.read(registers.rsp, 8), "little")
        call = Call(name, len(self._open), caller, registers.rip, registers.rsp, self.trace.steps, returns_to)
        self._open.append(call)
        self.trace.calls.append(call)

    def _close_returned(self) -> None:
        # A return pops the return address: the stack pointer is then above where it was at entry.
        while self._open and self._process.registers.rsp > self._open[-1].sp:
            call = self._open.pop()
            call.steps = self.trace.steps - call.step

    def _step_special(self, name: str, size: int) -> None:
        if name == INT3:
            self._process.trap()
        before = Registers.from_buffer_copy(self._process.registers)
        function = self._places[before.rip][0]
        if self._answer is not None and self._answer(name, self._process):
            self._process.registers.rip = before.rip + size
            self._process.set_registers()
        else:
            self._process.step()
        self._note(name, before, self._process.registers, function)

    def _note(self, name: str, before: Registers, after: Registers, function: str) -> None:
        if name == SYSCALL:
            args = (before.rdi, before.rsi, before.rdx, before.r10, before.r8, before.r9)
            result = after.rax - (1 << 64) if after.rax >> 63 else after.rax
            call = SystemCall(before.rax, args, result, function, self.trace.steps)
            self.trace.syscalls.append(call)
            if self._observe is not None:
                self._observe(call, self._process)
        else:
            low = 0xFFFFFFFF
            results = (after.rax & low, after.rbx & low, after.rcx & low, after.rdx & low)
            inputs = (before.rax & low, before.rcx & low)
            self.trace.queries.append(Query(name, inputs, results, function, self.trace.steps))

    def _sum_own(self) -> None:
        own: dict[str, int] = {}
        for pc, count in self.trace.counts.items():
            name = self._places[pc][0]
            own[name] = own.get(name, 0) + count
        self.trace.own = own
