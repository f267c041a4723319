"""Signal frames: what Linux puts on the stack for a handler, and takes back from it in rt_sigreturn.

The layout is struct rt_sigframe of x86-64 (arch/x86/include/asm/sigframe.h and uapi/asm/sigcontext.h, read), with the
floating-point state above it as FXSAVE stores it: the CPU of a World has no XSAVE.  Handlers edit a frame to go on
elsewhere (Go injects calls so), so everything in it counts when it is taken back.
"""

from __future__ import annotations

from struct import Struct

from emu.machine.engine import Engine, Registers
from emu.machine.fxsave import SIZE as FP_SIZE
from emu.machine.fxsave import FloatingPoint
from syscalls import abi
from syscalls.delivery import Delivery
from syscalls.guest import GuestFault, GuestMemory
from syscalls.signals import within_altstack
from syscalls.tasks import Task

# In the order of struct sigcontext.
GENERAL = (
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rdi", "rsi", "rbp", "rbx", "rdx", "rax", "rcx", "rsp", "rip",
    "rflags",
)  # fmt: skip
RDI, RSI, RDX, RAX, RSP, RIP, RFLAGS = (
    GENERAL.index(name) for name in ("rdi", "rsi", "rdx", "rax", "rsp", "rip", "rflags")
)
# pretcode; uc_flags, uc_link, uc_stack (ss_sp, ss_flags, ss_size); the registers; cs, gs, fs, ss; err, trapno, oldmask,
# cr2; fpstate; uc_sigmask; siginfo.
FRAME = Struct("<Q QQ QI4xQ 18Q HHHH QQQQ Q64x Q 128s")
UC_AT = 8
INFO_AT = FRAME.size - 128
REGISTERS_AT = UC_AT + 40
RED_ZONE = 128
UC_FLAGS = 0x6  # UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS
CS, SS = 0x33, 0x2B
# The flags that a program may set: FIX_EFLAGS of arch/x86/kernel/signal.c: AC RF OF DF TF SF ZF AF PF CF.
OWN_FLAGS = 0x4_0000 | 0x1_0000 | 0xCD5 | 0x100
CLEARED = 0x400 | 0x1_0000 | 0x100  # DF RF TF: for the handler
MASK = 2**64 - 1


class BadFrame(Exception):
    """What is on the stack cannot be a frame."""


class Frames:
    """Writes and reads the frames of one engine's CPU."""

    def __init__(self, engine: Engine) -> None:
        self._general: Registers = engine.registers(*GENERAL)
        self._fp = FloatingPoint(engine)

    def stack_pointer(self) -> int:
        """The CPU's stack pointer."""
        return self._general.read()[RSP]

    def push(self, mem: GuestMemory, t: Task, delivery: Delivery) -> None:
        """Let the CPU stand at the handler of *delivery*, with a frame on the stack; raise GuestFault, nothing done."""
        registers = list(self._general.read())
        if delivery.restarts >= 0:
            registers[RIP] = registers[RIP] - 2 & MASK  # SYSCALL once more
            registers[RAX] = delivery.restarts
        before = registers[RSP]
        sp = before - RED_ZONE
        low, flags, size = t.altstack
        disarmed = bool(flags & abi.SS_AUTODISARM)
        on_it = not disarmed and within_altstack(t, before)
        enters = bool(delivery.flags & abi.SA_ONSTACK) and bool(size) and (disarmed or not within_altstack(t, sp))
        if enters:
            sp = low + size
        fp_at = sp - FP_SIZE & -64
        at = (fp_at - FRAME.size & -16) - 8
        if not 0 < at < abi.TASK_SIZE or ((on_it or enters) and not within_altstack(t, at)):
            raise GuestFault(at & MASK, True)
        if not delivery.flags & abi.SA_RESTORER:
            raise GuestFault(at, True)
        trapno, error, cr2 = t.trap
        info = delivery.info.pack() if delivery.flags & abi.SA_SIGINFO else mem.read(at + INFO_AT, 128)
        frame = FRAME.pack(
            delivery.restorer, UC_FLAGS, 0, low, flags, size, *registers, CS, 0, 0, SS, error, trapno,
            delivery.saved_mask, cr2, fp_at, delivery.saved_mask, info,
        )  # fmt: skip
        mem.write(fp_at, self._fp.save())
        mem.write(at, frame)
        self._fp.reset()
        registers[RDI], registers[RSI], registers[RDX] = delivery.info.signum, at + INFO_AT, at + UC_AT
        registers[RAX], registers[RIP], registers[RSP] = 0, delivery.handler, at
        registers[RFLAGS] &= ~CLEARED
        self._general.write(*registers)

    def pop(self, mem: GuestMemory) -> tuple[int, tuple[int, int, int]]:
        """Let the CPU be what the frame below the stack pointer says; return its mask and alternate stack.

        Raises GuestFault or BadFrame, nothing done.
        """
        before = list(self._general.read())
        _, _, _, low, flags, size, *rest = FRAME.unpack(mem.read(before[RSP] - 8 & MASK, FRAME.size))
        registers, (_, _, _, ss), (_, _, _, _, fp_at, mask, _) = rest[:18], rest[18:22], rest[22:]
        if registers[RIP] >= abi.TASK_SIZE or ss | 3 != SS:
            raise BadFrame
        registers[RFLAGS] = before[RFLAGS] & ~OWN_FLAGS | registers[RFLAGS] & OWN_FLAGS
        if fp_at:
            self._fp.load(mem.read(fp_at, FP_SIZE))
        else:
            self._fp.reset()
        self._general.write(*registers)
        return mask, (low, flags, size)

    def repeat_call(self, number: int) -> None:
        """Let the CPU make the system call *number*, which it returned from, once more."""
        registers = list(self._general.read())
        registers[RIP] = registers[RIP] - 2 & MASK
        registers[RAX] = number
        self._general.write(*registers)
