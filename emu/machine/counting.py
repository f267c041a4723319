"""Exact instruction counts, limits and profiles of a Unicorn engine: the interface, and its slow counterpart.

``emu.machine.accel`` has the fast one, inside the engine.  Both count alike, so that a record does not depend on which
of them was at hand:

- An instruction counts when it retires: one that faults, or that a hook stopped before, does not.
- Work is counted in *blocks*: instructions that follow each other up to one that may go elsewhere, at most
  :data:`MAX_BLOCK`.  A stop at a limit happens at a block's start, before any of its instructions.
- A repeated string instruction counts once for each iteration, once if there is none, as a native single step does
  (ptrace on Linux).  Each iteration is a block's start.

The *current* block is the one that runs.  In a UC_HOOK_BLOCK hook it is still the one before, so that the hook's block
is not counted yet; a limit stops after that hook.  Hooks on its first instruction come after the block has begun.

Unicorn 2.1.4 re-enters such an instruction once more to find its count zero; that entry is not counted, and no limit
stops there.  Both read from the engine's sources (qemu/target/i386/translate.c) and measured.
"""

from __future__ import annotations

import ctypes
from array import array
from itertools import accumulate

from emu.machine.decode import ends_block, lengths, repeats
from syscalls.light import Any, Protocol

MAX_BLOCK = 64
"""Instructions in a block.  The engine alone would end long ones at 4,000 of its internal operations."""


class Counter(Protocol):
    """What counts one engine.  Numbers are of instructions since the counter was made or reset."""

    def instructions(self) -> int:
        """Return how many retired before the current block; between runs, add :meth:`block_size` for all of them."""
        ...

    def instructions_at(self, pc: int) -> int:
        """Return how many retired before the instruction at *pc* of the current block, or at its end; for hooks.

        Raises ValueError if none starts there.
        """
        ...

    def block_pc(self) -> int:
        """Return where the current block starts, or where it was left when a stop or a fault did not let it end."""
        ...

    def block_size(self) -> int:
        """Return the instructions of the block that runs or ran last, 0 when it was left before its end."""
        ...

    def set_limit(self, limit: int | None) -> None:
        """Stop the engine at the first block start with ``instructions() >= limit``; None: nowhere."""
        ...

    def limit_reached(self) -> bool:
        """Tell whether ``instructions() >= limit``."""
        ...

    def request_stop(self) -> None:
        """Within a hook: stop the engine at the next block's start; forgotten when the run ends otherwise."""
        ...

    def count_totals_only(self) -> None:
        """Keep no account of single blocks from now on, before anything ran.

        :meth:`blocks`, :meth:`profile` and ``executed`` may raise RuntimeError then.
        It is a tenth of the time of Go's test binaries (measured).
        """
        ...

    def repeat_in_bulk(self) -> None:
        """Allow many iterations of REP MOVS and REP STOS at once; only where no memory, code or block hooks watch them.

        What is counted stays the same.
        """
        ...

    def settle(self) -> None:
        """Take note that ``uc_emu_start`` returned; to be called each time, before anything is asked."""
        ...

    def blocks(self) -> int:
        """Return how many blocks ran, in whole or in part."""
        ...

    def profile(self) -> list[tuple[int, int, int, int]]:
        """Return (pc, instructions, bytes, executions) of each block, and of each first part of one that was left.

        Instructions times executions add up to the total.  In no particular order.
        """
        ...

    def reset(self) -> None:
        """Start anew from zero, without a limit."""
        ...

    def state(self) -> bytes:
        """Between runs: return what was counted so far, for :meth:`restore` of this counter."""
        ...

    def restore(self, state: bytes) -> None:
        """Between runs: count on from what :meth:`state` returned, without a limit."""
        ...

    def executed(self, since: bytes) -> bytes:
        """Return how often each block that was ever met ran after *since* (of :meth:`state`), at most 255.

        A block's place in the answer never changes; blocks that are met later come behind.
        """
        ...

    def places(self) -> list[tuple[int, int]]:
        """Return the (pc, bytes) of each block, in the order of :meth:`executed`."""
        ...

    def leave_at(self, pc: int) -> None:
        """Within a hook: let the current block count only for its instructions before *pc*."""
        ...


_CODE_HOOK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p)
_INTERRUPT_HOOK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p)
_INSTRUCTION_HOOK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_INVALID_HOOK = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_void_p)
_EDGE_HOOK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_NOWHERE = -1


class _EngineBlock(ctypes.Structure):  # uc_tb, unicorn.h
    _fields_ = (("pc", ctypes.c_uint64), ("icount", ctypes.c_uint16), ("size", ctypes.c_uint16))


class _Block:
    """A block: its place, the bytes of each instruction, and how often it ran."""

    __slots__ = ("lengths", "n", "next", "pc", "size", "starts", "times")

    def __init__(self, pc: int, sizes: tuple[int, ...]) -> None:
        self.pc = pc
        self.lengths = sizes
        self.n = len(sizes)
        self.starts = [*accumulate(sizes, initial=pc)]
        self.next = self.starts.pop()
        self.size = self.next - pc
        self.times = 0


class PlainCounter:
    """A :class:`Counter` of Unicorn's own hooks: a Python call for each block, 0.8 us.

    To be made before any other hook is added, so that it runs first.  It hooks interrupts too, which Unicorn takes for
    handled from then on: whoever runs the engine must have a handler.

    Not hooks at each instruction: a fault in a hooked instruction restores wrong flags if the one before it changed
    them (measured; the engine restores how flags are computed, but the hook has computed them).
    """

    def __init__(self, uc: Any) -> None:
        """Count *uc*, a ``unicorn.Uc`` for 64-bit x86 that is not running."""
        import unicorn
        from unicorn import x86_const
        from unicorn.unicorn_py3.unicorn import uclib

        self._uc = uclib
        self._handle = uc._uch
        self._rcx, self._rip = x86_const.UC_X86_REG_RCX, x86_const.UC_X86_REG_RIP
        self._prot_exec = unicorn.UC_PROT_EXEC
        self._forget = uc.ctl_remove_cache
        self._code_hook = unicorn.UC_HOOK_CODE
        self._hooked: set[int] = set()  # where blocks are cut within the engine's own, each with a hook
        self._memory = 0
        self._cuts: set[int] = set()  # of these the ones that this memory's code was translated with
        self._blocks: dict[tuple[int, tuple[int, ...]], _Block] = {}
        self.reset()
        self._on_cut_hook = _CODE_HOOK(self._on_cut)
        within = _INSTRUCTION_HOOK(self._on_hooked_instruction)
        self._hooks = [  # kept alive; the engine has only their addresses
            *(
                self._hook(unicorn.UC_HOOK_INSN, within, 1, 0, getattr(x86_const, f"UC_X86_INS_{name}"))
                for name in ("SYSCALL", "CPUID", "RDTSC", "RDTSCP")
            ),
            self._hook(unicorn.UC_HOOK_BLOCK, _CODE_HOOK(self._on_block)),
            self._hook(unicorn.UC_HOOK_INTR, _INTERRUPT_HOOK(lambda *_: self._leave(self._register(self._rip)))),
            self._hook(unicorn.UC_HOOK_INSN_INVALID, _INVALID_HOOK(self._on_invalid)),
            self._hook(unicorn.UC_HOOK_EDGE_GENERATED, _EDGE_HOOK(self._on_translation)),
        ]
        uc.ctl_flush_tb()

    def _hook(self, kind: int, callback: Any, begin: int = 1, end: int = 0, *extra: int) -> Any:
        added = ctypes.c_size_t()
        pointer = ctypes.cast(callback, ctypes.c_void_p)
        bounds = ctypes.c_uint64(begin), ctypes.c_uint64(end)
        status = self._uc.uc_hook_add(self._handle, ctypes.byref(added), kind, pointer, None, *bounds, *extra)
        if status:
            raise RuntimeError(f"uc_hook_add: error {status}")
        return callback

    def reset(self) -> None:
        """Start anew from zero, without a limit."""
        for block in self._blocks.values():  # whose places stay
            block.times = 0
        # The engine's block at an address: its bytes, our blocks in it, whether one REP instruction is all of it
        # (then the mask of its count, else 0), and whether the engine ended it for want of space.
        self._shapes: dict[int, tuple[int, list[_Block], int, bool]] = {}
        if self._memory:  # whoever had several has all code translated anew
            self._cuts = set(self._hooked)
        self._memory = 0
        self._elsewhere: dict[int, tuple[dict[int, Any], set[int]]] = {}  # both of other memories, by their number
        self._charged = 0  # instructions, all of the current block's included
        self._limit: float = float("inf")
        self._due = self._limit  # what self._charged is compared with
        self._idle(0)

    def enter(self, memory: int) -> None:
        """Between runs: the code is that of the memory of this number from now on, other code at the same places."""
        self._elsewhere[self._memory] = self._shapes, self._cuts
        self._memory = memory
        self._shapes, self._cuts = self._elsewhere.pop(memory, ({}, set()))

    def _idle(self, pc: int, last: int = _NOWHERE) -> None:
        self._block = _Block(pc, ())
        self._last = last  # start of the current block's last instruction
        self._open_end = _NOWHERE  # end of a current block that the engine did not end of itself
        self._ahead: list[_Block] = []  # blocks still to come within the engine's own
        self._begun: list[_Block] = []  # the engine's block whose other block hooks may be running: not charged yet
        self._is_open = self._joins = False  # of that one: cut for want of space; goes on with the current block

    def _register(self, number: int) -> int:
        value = ctypes.c_uint64()
        self._uc.uc_reg_read(self._handle, number, ctypes.byref(value))
        return value.value

    def _known(self, pc: int, sizes: tuple[int, ...]) -> _Block:
        block = self._blocks.get((pc, sizes))
        if block is None:
            block = self._blocks[pc, sizes] = _Block(pc, sizes)
        return block

    def _cut_up(self, pc: int, sizes: tuple[int, ...]) -> list[_Block]:
        blocks = []
        for i in range(0, len(sizes), MAX_BLOCK):
            blocks.append(self._known(pc, sizes[i : i + MAX_BLOCK]))
            pc = blocks[-1].next
        return blocks

    def _learn(self, pc: int, size: int) -> tuple[int, list[_Block], int, bool]:
        buffer = ctypes.create_string_buffer(size)
        if self._uc.uc_vmem_read(self._handle, ctypes.c_uint64(pc), self._prot_exec, buffer, ctypes.c_size_t(size)):
            raise RuntimeError(f"the code at {pc:#x} runs but cannot be read")
        code = buffer.raw
        sizes = tuple(lengths(code))
        repeated = 0
        if len(sizes) == 1 and repeats(code):
            repeated = 0xFFFF_FFFF if 0x67 in code[:-1] else 0xFFFF_FFFF_FFFF_FFFF
        shape = size, self._cut_up(pc, sizes), repeated, not ends_block(code[-sizes[-1] :])
        self._shapes[pc] = shape
        return shape

    def _on_translation(self, _: int, block: int, __: int, ___: int) -> None:
        new = _EngineBlock.from_address(block)
        self._shapes.pop(new.pc, None)  # the code may be another
        # After a store into the block that runs the engine redoes that one instruction in a block of its own, with
        # no sign to its hooks but this one; else only a transfer of control is alone in a block.
        if new.icount == 1 and new.size and self._learn(new.pc, new.size)[3]:
            self._leave(new.pc)

    def _on_block(self, _: int, pc: int, size: int, __: int) -> None:
        if self._begun:
            self._charge()
        shape = self._shapes.get(pc)
        if shape is None or shape[0] != size:
            shape = self._learn(pc, size)
        _, blocks, repeated, is_open = shape
        if repeated and pc == self._last and not self._register(self._rcx) & repeated:
            self._idle(pc, last=pc)
            return
        joins = pc == self._open_end
        if joins:
            blocks = self._joined(blocks)
        elif self._charged >= self._due:
            self._stop(pc)
            return
        if len(blocks) > 1 and self._cut_ahead(pc, blocks):
            return
        self._begun = blocks
        self._is_open = is_open
        self._joins = joins

    def _charge(self) -> None:
        blocks, self._begun = self._begun, []
        if self._joins:
            self._block.times -= 1
            self._charged -= self._block.n
        self._enter(blocks)

    def _enter(self, blocks: list[_Block]) -> None:
        # *blocks* are what is left of the engine's own.
        block, *self._ahead = blocks
        block.times += 1
        self._charged += block.n
        self._block = block
        self._last = block.starts[-1]
        is_open = self._is_open and not self._ahead and block.n < MAX_BLOCK
        self._open_end = block.next if is_open else _NOWHERE

    def _on_hooked_instruction(self, _: int, __: int) -> int:
        if self._begun:
            self._charge()
        return 0

    def _look(self) -> None:
        # Past its first instruction a block has begun for certain.
        if self._begun and self._register(self._rip) != self._begun[0].pc:
            self._charge()

    def _joined(self, blocks: list[_Block]) -> list[_Block]:
        # The current block and the engine's next one, cut anew.
        return self._cut_up(self._block.pc, sum((block.lengths for block in blocks), self._block.lengths))

    def _cut_ahead(self, pc: int, blocks: list[_Block]) -> bool:
        # Hook where *blocks* meet.  If a hook is new, the engine's block at *pc* is translated and entered again.
        new = {block.pc for block in blocks[1:]} - self._cuts
        for addr in new - self._hooked:
            self._hook(self._code_hook, self._on_cut_hook, addr, addr)
        self._hooked |= new
        if new:
            self._cuts |= new
            self._forget(pc, pc + 1)
            self._uc.uc_reg_write(self._handle, self._rip, ctypes.byref(ctypes.c_uint64(pc)))
        return bool(new)

    def _on_cut(self, _: int, pc: int, __: int, ___: int) -> None:
        if self._begun:
            self._charge()
        if not self._ahead or self._ahead[0].pc != pc:
            return
        if self._charged >= self._due:
            self._stop(pc)
        else:
            self._enter(self._ahead)

    def _stop(self, pc: int) -> None:
        self._due = self._limit
        self._idle(pc)
        self._uc.uc_emu_stop(self._handle)

    def _on_invalid(self, _: int, __: int) -> bool:
        self._leave(self._register(self._rip))
        return False

    def count_totals_only(self) -> None:
        """Do nothing: this one needs the account of single blocks for its totals."""

    def repeat_in_bulk(self) -> None:
        """Do nothing: this one is allowed to, and need not."""

    def settle(self) -> None:
        """Take note that ``uc_emu_start`` returned."""
        self._due = self._limit
        self._leave(self._register(self._rip))

    def _leave(self, pc: int) -> None:
        # No block runs now, and *pc* is next.  If it is in the current block, that was left there.
        if self._begun:
            self._charge()
        block = self._block
        if pc not in block.starts:
            return
        i = block.starts.index(pc)
        block.times -= 1
        self._charged -= block.n - i
        if i:
            self._known(block.pc, block.lengths[:i]).times += 1
        self._idle(pc)

    def instructions(self) -> int:
        """Return how many retired before the current block."""
        self._look()
        return self._charged - self._block.n

    def instructions_at(self, pc: int) -> int:
        """Return how many retired before the instruction at *pc* of the current block."""
        self._look()
        if self._begun and pc == self._begun[0].pc:
            return self._charged
        if not self._block.n:
            return self._charged
        if pc == self._block.next:
            return self._charged
        if pc not in self._block.starts:
            raise ValueError(f"no instruction of the current block starts at {pc:#x}")
        return self.instructions() + self._block.starts.index(pc)

    def block_pc(self) -> int:
        """Return where the current block starts, or where it was left."""
        self._look()
        return self._block.pc

    def block_size(self) -> int:
        """Return the instructions of the block that runs or ran last, 0 when it was left before its end."""
        self._look()
        return self._block.n

    def set_limit(self, limit: int | None) -> None:
        """Stop the engine at the first block start with ``instructions() >= limit``; None: nowhere."""
        stop_requested = self._due == _NOWHERE
        self._limit = float("inf") if limit is None else limit
        self._due = _NOWHERE if stop_requested else self._limit

    def limit_reached(self) -> bool:
        """Tell whether ``instructions() >= limit``."""
        return self.instructions() >= self._limit

    def request_stop(self) -> None:
        """Within a hook: stop the engine at the next block's start."""
        self._due = _NOWHERE

    def blocks(self) -> int:
        """Return how many blocks ran, in whole or in part."""
        return sum(block.times for block in self._blocks.values())

    def state(self) -> bytes:
        """Between runs: return what was counted so far."""
        return array("q", [self._charged, *(block.times for block in self._blocks.values())]).tobytes()

    def restore(self, state: bytes) -> None:
        """Between runs: count on from *state*, without a limit."""
        charged, *times = array("q", state)
        times += [0] * (len(self._blocks) - len(times))
        for block, before in zip(self._blocks.values(), times, strict=True):
            block.times = before
        self._charged = charged
        self._limit = self._due = float("inf")
        self._idle(self._block.pc)

    def executed(self, since: bytes) -> bytes:
        """Return how often each block ran after *since*, at most 255."""
        before = array("q", since)[1:].tolist()
        before += [0] * (len(self._blocks) - len(before))
        # A block counts while it runs, and no more when it is left: -1 where it began before *since* was taken.
        pairs = zip(self._blocks.values(), before, strict=True)
        return bytes(min(max(block.times - times, 0), 255) for block, times in pairs)

    def places(self) -> list[tuple[int, int]]:
        """Return the (pc, bytes) of each block."""
        return [(block.pc, block.size) for block in self._blocks.values()]

    def leave_at(self, pc: int) -> None:
        """Within a hook: let the current block count only for its instructions before *pc*."""
        self._look()
        self._leave(pc)

    def profile(self) -> list[tuple[int, int, int, int]]:
        """Return (pc, instructions, bytes, executions) of each block, and of each first part of one that was left."""
        return [(block.pc, block.n, block.size, block.times) for block in self._blocks.values() if block.times]
