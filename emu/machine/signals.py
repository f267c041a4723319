"""The machine's part in signals: what a CPU exception is to Linux, and the way back to user mode.

The kernel decides what is delivered (:mod:`syscalls.delivery`); here it is done to the CPU.
"""

from __future__ import annotations

from emu.machine.astray import take_back
from emu.machine.decode import LONGEST, lengths, rewrites, whole
from emu.machine.engine import Engine
from emu.machine.fxsave import BadState
from emu.machine.outcome import SIGNALS, Outcome
from emu.machine.sigframe import BadFrame, Frames
from syscalls import abi
from syscalls.delivery import bad_frame, delivered, next_delivery, returned, undeliverable
from syscalls.guest import PAGE, GuestFault
from syscalls.kernel import Kernel
from syscalls.sending import force
from syscalls.shared import end_of
from syscalls.siginfo import Info, from_fault, from_kernel
from syscalls.signals import on_altstack
from syscalls.tasks import Task

DIVIDE, DEBUG, BREAKPOINT, UNDEFINED, STACK, GENERAL_PROTECTION, PAGE_FAULT = 0, 1, 3, 6, 12, 13, 14
X87, ALIGNMENT, SIMD = 16, 17, 19
# What Linux makes of each CPU exception (arch/x86/kernel/traps.c).
VECTOR_SIGNALS = {
    DIVIDE: 8, DEBUG: 5, BREAKPOINT: 5, 4: 11, 5: 11, UNDEFINED: 4, STACK: 7, GENERAL_PROTECTION: 11, PAGE_FAULT: 11,
    X87: 8, ALIGNMENT: 7, SIMD: 8,
}  # fmt: skip
VECTOR_NAMES = {
    0: "divide error", 1: "debug exception", 3: "breakpoint", 4: "overflow", 5: "bound range exceeded",
    6: "invalid opcode", 12: "stack fault", 13: "general protection fault", 14: "page fault", 16: "x87 error",
    17: "misaligned access", 19: "SIMD floating-point error",
}  # fmt: skip
# Those whose siginfo names the instruction: vector -> si_code.
AT_INSTRUCTION = {DIVIDE: abi.FPE_INTDIV, DEBUG: abi.TRAP_TRACE, UNDEFINED: abi.ILL_ILLOPN}
# Bits of the status word and of MXCSR (the same in both) -> si_code: fpu__exception_code.
FLOATING = (
    (0x01, abi.FPE_FLTINV), (0x04, abi.FPE_FLTDIV), (0x08, abi.FPE_FLTOVF), (0x12, abi.FPE_FLTUND),
    (0x20, abi.FPE_FLTRES),
)  # fmt: skip


PRESENT, WRITE, FETCH = 1, 2, 16  # bits of a page fault's error code
UNDEFINED_ON_PURPOSE = (b"\x0f\x0b", b"\x0f\xb9", b"\x0f\xff")  # UD2, UD1, UD0: illegal on every CPU
PREFIXES = frozenset(b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf2\xf3") | frozenset(range(0x40, 0x50))
# Intel SDM vol. 2, table A-2: opcodes that are none in 64-bit mode.
GONE = frozenset(b"\x06\x07\x0e\x16\x17\x1e\x1f\x27\x2f\x37\x3f\x60\x61\x82\x9a\xce\xd4\xd6\xea")


def is_illegal(code: bytes) -> bool:
    """Say whether *code* begins with an instruction that no CPU executes in 64-bit mode."""
    return code[:2] in UNDEFINED_ON_PURPOSE or next((byte for byte in code if byte not in PREFIXES), 0) in GONE


def signalled(vector: int, addr: int, pc: int, code: bytes = b"", bus: bool = False) -> Outcome:
    """Return the outcome of a CPU exception that nobody handles at *pc*, where *code* is.

    *addr* is what a page fault touched; *bus* says that it is SIGBUS.
    """
    if vector == UNDEFINED and not is_illegal(code):
        shown = code[: lengths(code)[0]] if code else code
        return Outcome("unsupported", f"the engine cannot execute the instruction {shown.hex()} at {pc:#x}", pc)
    signal = abi.SIGBUS if bus else VECTOR_SIGNALS.get(vector)
    if signal is None:
        return Outcome("unsupported", f"interrupt {vector:#x} at {pc:#x}", pc)
    what = f"{SIGNALS[signal]}: {VECTOR_NAMES[vector]}"
    if vector == PAGE_FAULT:
        what += f" at address {addr:#x}"
    return Outcome("signal", what, pc, exit_status=128 + signal, signal=signal, addr=addr)


class Signals:
    """Delivers to the task that is on *engine*."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._frames = Frames(engine)

    def outcome(self, kernel: Kernel, vector: int, addr: int) -> Outcome:
        """Return the outcome of the CPU exception that has just happened, if nobody handles it; RIP is at it then."""
        if vector == GENERAL_PROTECTION:
            take_back(self._engine, kernel.mem)
        pc = self._engine.read("rip")
        code = self._code(kernel) if vector == UNDEFINED else b""
        return signalled(vector, addr, pc, code, vector == PAGE_FAULT and self._is_past_end(kernel, addr))

    def _is_past_end(self, kernel: Kernel, addr: int) -> bool:
        # Whether a page fault touched what a mapping would show, had its file more bytes.
        area = kernel.space.areas.at(addr)
        if area is None or area.backing is None:
            return False
        error = self.error(kernel, PAGE_FAULT)
        needed = abi.PROT_WRITE if error & WRITE else -1  # fetching is reading here: access_error, arch/x86/mm/fault.c
        return not error & PRESENT and bool(area.prot & needed) and addr >= end_of(area)

    def error(self, kernel: Kernel, vector: int) -> int:
        """Return the error code of the CPU exception *vector*, as a CPU has it.

        The engine reads what an instruction is about to change, and says so; to a CPU that is writing (measured).
        """
        error = self._engine.exception_error(vector)
        if vector == PAGE_FAULT and not error & (WRITE | FETCH) and rewrites(self._code(kernel)):
            error |= WRITE
        return error

    def _code(self, kernel: Kernel) -> bytes:
        pc = self._engine.read("rip")
        here = kernel.mem.read(pc, min(LONGEST, PAGE - pc % PAGE))
        try:
            return here if whole(here) else kernel.mem.read(pc, LONGEST)
        except GuestFault:  # no instruction that is known here
            return here

    def fault(self, kernel: Kernel, task: Task, vector: int, addr: int) -> None:
        """Send *task* the signal of the CPU exception *vector*, with CR2 if it is a page fault."""
        error = self.error(kernel, vector)
        if vector == PAGE_FAULT and addr >= abi.TASK_SIZE:
            error |= PRESENT  # whatever lies there: sanitize_error_code, arch/x86/mm/fault.c
        cr2 = addr if vector == PAGE_FAULT else task.trap[2]
        task.trap = (vector, error, cr2)
        force(kernel, task, self._info(kernel, vector, addr))

    def _info(self, kernel: Kernel, vector: int, addr: int) -> Info:
        signum = VECTOR_SIGNALS[vector]
        if vector == PAGE_FAULT:
            if addr >= abi.TASK_SIZE and addr >> 47 != 0:
                return from_fault(signum, abi.SEGV_MAPERR, addr)
            if self._is_past_end(kernel, addr):
                return from_fault(abi.SIGBUS, abi.BUS_ADRERR, addr)
            mapped = kernel.space.areas.at(addr) is not None
            return from_fault(signum, abi.SEGV_ACCERR if mapped else abi.SEGV_MAPERR, addr)
        if vector in AT_INSTRUCTION:
            return from_fault(signum, AT_INSTRUCTION[vector], self._engine.read("rip"))
        if vector in (X87, SIMD):
            return from_fault(signum, self._floating_code(vector), self._engine.read("rip"))
        if vector == ALIGNMENT:
            return from_fault(signum, abi.BUS_ADRALN, 0)
        return from_kernel(signum)

    def _floating_code(self, vector: int) -> int:
        if vector == SIMD:
            mxcsr = self._engine.read("mxcsr")
            raised = mxcsr & ~(mxcsr >> 7)
        else:
            raised = self._engine.read("fpsw") & ~self._engine.read("fpcw")
        return next((code for bit, code in FLOATING if raised & bit), 0)

    def to_user(self, kernel: Kernel, task: Task) -> bool:
        """Deliver what *task* is to be told before it runs on; False when it does not run on.

        Raises OutOfFrames.
        """
        kernel.signalled = False
        if task.returns:
            task.returns = False
            self._return(kernel, task)
        while (delivery := next_delivery(kernel, task)) is not None:
            try:
                self._frames.push(kernel.mem, task, delivery)
            except GuestFault:
                undeliverable(kernel, task, delivery.info.signum)
            else:
                delivered(task, delivery)
        if task.restart >= 0:  # no handler ran after all
            self._frames.repeat_call(task.restart)
            task.restart = -1
        kernel.signalled = False
        return not task.ended and not task.process.stopped and kernel.exit is None

    def _return(self, kernel: Kernel, task: Task) -> None:
        try:
            mask, altstack = self._frames.pop(kernel.mem)
        except (GuestFault, BadFrame, BadState):
            bad_frame(kernel, task)
            return
        task.sp = self._frames.stack_pointer()
        returned(kernel, task, mask, altstack, on_altstack(task))
