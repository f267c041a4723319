"""The CPU: Unicorn set up for 64-bit paging, with the few raw calls that the hot path needs.

Registers are read and written through ``uc_reg_read_batch`` with arrays made once: 0.8 us for seven, against 12 us
through the binding (measured, Python 3.11).  Hooks are registered the same way.  A Python exception in a callback
must not unwind through the engine's C frames: it is kept, the engine is stopped, and :meth:`Engine.start` raises it.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Sequence
from types import ModuleType

from emu.machine import accel, libunicorn
from emu.machine.counting import Counter, PlainCounter
from emu.machine.libunicorn import HOOK_BLOCK, HOOK_INSN, HOOK_INTR, INS, REG, Core, check
from emu.machine.ram import Ram
from syscalls.guest import PAGE
from syscalls.light import Any

# Control registers and model-specific registers (Intel SDM vol. 3, 2.5 and 2.2.1).
CR0 = 0x8005_0033  # PG AM WP NE ET MP PE
CR4 = 0x620  # PAE OSFXSR OSXMMEXCPT
GENERAL = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", *(f"r{number}" for number in range(8, 16)))
MOST_MOVES = 50  # of code, in a run, before jumps between pages are chained no more
EMPTY = 0xFFFF  # the tag word of a floating-point unit with nothing in it
CPUID, RDTSCP = INS["cpuid"], INS["rdtscp"]
EFER, EFER_VALUE = 0xC000_0080, 0xD01  # NXE LMA LME SCE

SYSCALL_REGISTERS = ("rax", "rdi", "rsi", "rdx", "r10", "r8", "r9", "rip", "rflags", "rsp")

WITH_ERROR = frozenset((8, 10, 11, 12, 13, 14))
REMEMBERED = WITH_ERROR | {0}
"""Exceptions that come with an error code; and those during which another is a double fault (SDM vol. 3, 6.15)."""

ERROR_BEFORE = 112
"""Bytes between the error code and the vector in the engine's state: five fields of CPUX86State, as of 2.1.4."""

SYSCALL_HOOK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
INSTRUCTION_HOOK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
IN_HOOK = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_void_p)
OUT_HOOK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint32, ctypes.c_void_p)
INTERRUPT_HOOK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p)
CODE_HOOK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p)


class Registers:
    """A fixed set of 64-bit registers that is read or written in one raw call."""

    def __init__(self, handle: Any, names: Sequence[str]) -> None:
        count = len(names)
        self._handle = handle
        self._count = ctypes.c_int(count)
        self._ids = (ctypes.c_int * count)(*(REG[name] for name in names))
        self._values = (ctypes.c_uint64 * count)()
        size = ctypes.sizeof(ctypes.c_uint64)
        base = ctypes.addressof(self._values)
        self._pointers = (ctypes.c_void_p * count)(*(base + i * size for i in range(count)))
        self._view = memoryview(self._values).cast("B").cast("Q")
        self._pack = struct.Struct(f"={count}Q").pack_into
        library = libunicorn.library()
        self._read = library.uc_reg_read_batch
        self._write = library.uc_reg_write_batch

    def read(self) -> Sequence[int]:
        """The registers' values, unsigned, in the order of the names."""
        self._read(self._handle, self._ids, self._pointers, self._count)
        return self._view.tolist()

    def write(self, *values: int) -> None:
        """Store *values* (unsigned, one for each name)."""
        self._pack(self._values, 0, *values)
        self._write(self._handle, self._ids, self._pointers, self._count)


class NativeRegisters(Registers):
    """The same by way of the accelerator: a quarter of the time to read ten, a tenth to write three (measured)."""

    def __init__(self, handle: Any, names: Sequence[str], native: ModuleType) -> None:
        self._handle, self._numbers = handle.value, tuple(REG[name] for name in names)
        self._read, self._write = native.read_registers, native.write_registers

    def read(self) -> Sequence[int]:
        """The registers' values, unsigned, in the order of the names."""
        values: Sequence[int] = self._read(self._handle, self._numbers)
        return values

    def write(self, *values: int) -> None:
        """Store *values* (unsigned, one for each name)."""
        self._write(self._handle, self._numbers, *values)


class Engine:
    """One Unicorn CPU over *ram* with the page tables at physical address *root*."""

    def __init__(self, ram: Ram, root: int, *, profiled: bool = True) -> None:
        accel.load()  # before the library: see there
        self._callbacks: list[Any] = []
        self.uc = Core()
        self.handle = self.uc._uch
        self.library = self._library = libunicorn.library()
        check(self._library.uc_mem_map_ptr(self.handle, 0, ram.size, libunicorn.PROT_ALL, ram.host_addr), "guest RAM")
        self.write("cr3", root)
        self.write("cr4", CR4)
        self._write_raw("msr", struct.pack("<I4xQ", EFER, EFER_VALUE))
        self.write("cr0", CR0)
        self.error: BaseException | None = None
        self._at_block: dict[int, list[Callable[[int, int, int, int], None]]] = {}
        self._block_callback = self._callback(
            CODE_HOOK, self._on_watched_block
        )  # one for all: each takes 10 us to make
        counting: Any = accel.counter(self.uc)
        self.counter: Counter = counting
        self.counter.repeat_in_bulk()
        if not profiled:
            self.counter.count_totals_only()
        native = accel.native()
        self._watcher: Any = counting if native else None
        self._read_natively: Any = native.read_registers if native else None  # in a tenth of the time
        self._chains, self._moves_left = False, 0
        if self._watcher:
            self._watcher.on_watched(ctypes.cast(self._block_callback, ctypes.c_void_p).value)
        self._context, self._new = ctypes.c_void_p(), ctypes.c_void_p()
        for context in (self._context, self._new):
            check(self._library.uc_context_alloc(self.handle, ctypes.byref(context)), "context")
        self._pristine = self._save_context()
        check(self._library.uc_context_save(self.handle, self._new), "context")
        self._vector_at = 0
        self._until = 0  # where the last run was to stop

    def close(self) -> None:
        """Give the engine back now, with its translations; nothing but the counter's numbers may be asked any more."""
        for name in ("_context", "_new"):
            if getattr(self, name, None):
                self._library.uc_context_free(getattr(self, name))
                setattr(self, name, None)
        self._callbacks.clear()
        self._block_callback = None
        self._at_block = {}
        self.uc.close()

    def __del__(self) -> None:
        self.close()

    def reset(self) -> None:
        """Make the CPU what it was when it was new; translated code and hooks stay, the count begins anew."""
        self.unchain()
        check(self._library.uc_context_restore(self.handle, self._new), "context")
        self.flush_tlb()
        self.counter.reset()
        self.error = None

    def context(self) -> bytes:
        """The whole state of the CPU, for :meth:`become` of this engine alone: it may hold the host's addresses."""
        return self._save_context()

    def become(self, context: bytes) -> None:
        """Put back what :meth:`context` returned; translated code stays."""
        ctypes.memmove(self._context, context, len(context))
        check(self._library.uc_context_restore(self.handle, self._context), "context")
        self.flush_tlb()
        self.error = None

    def registers(self, *names: str) -> Registers:
        """A raw accessor for *names*."""
        native = accel.native()
        return NativeRegisters(self.handle, names, native) if native else Registers(self.handle, names)

    def read(self, name: str) -> int:
        """One register's value."""
        if self._read_natively:
            (found,) = self._read_natively(self.handle.value, (REG[name],))
            return int(found)
        value = ctypes.c_uint64()
        check(self._library.uc_reg_read(self.handle, REG[name], ctypes.byref(value)), name)
        return value.value

    def write(self, name: str, value: int) -> None:
        """Store one register."""
        self._library.uc_reg_write(self.handle, REG[name], ctypes.byref(ctypes.c_uint64(value)))

    def read_wide(self, name: str, size: int) -> bytes:
        """A register of *size* bytes: 16 of an ``xmm``, 10 of an ``fp``."""
        value = ctypes.create_string_buffer(size)
        check(self._library.uc_reg_read(self.handle, REG[name], value), name)
        return value.raw

    def write_wide(self, name: str, value: bytes) -> None:
        """Store a register of many bytes."""
        self._write_raw(name, value)

    def _write_raw(self, name: str, value: bytes) -> None:
        check(self._library.uc_reg_write(self.handle, REG[name], ctypes.create_string_buffer(value)), name)

    def set_descriptors(self, addr: int, size: int) -> None:
        """Tell the CPU where its global descriptor table is."""
        self._write_raw("gdtr", struct.pack("<H6xQII", 0, addr, size - 1, 0))  # uc_x86_mmr

    def enter(self, root: int, number: int) -> None:
        """Between runs: walk the page tables at physical address *root*, those of the memory of that *number*."""
        self.write("cr3", root)  # the TLB is flushed with it
        if isinstance(self.counter, PlainCounter):
            self.counter.enter(number)

    def begin(self, pc: int, sp: int, flags: int) -> None:
        """Between runs: let the CPU be what execve leaves, everything zero but *pc*, *sp* and *flags*."""
        for name in (*GENERAL, "fs_base", "gs_base", "fpsw"):
            self.write(name, 0)
        for number in range(16):
            self.write_wide(f"xmm{number}", bytes(16))
        for number in range(8):
            self.write_wide(f"fp{number}", bytes(10))
        self.write("fptag", EMPTY)
        for name, value in (("rip", pc), ("rsp", sp), ("rflags", flags)):
            self.write(name, value)

    def flush_tlb(self) -> None:
        """Forget cached translations; needed after a present page-table entry changed."""
        self._library.uc_ctl(self.handle, ctypes.c_int(libunicorn.TLB_FLUSH))

    def forget_code(self, addr: int, size: int = 1) -> None:
        """Drop translated code of the range, so that hooks added since take effect in it."""
        self.uc.ctl_remove_cache(addr, addr + size)

    def forget_all_code(self) -> None:
        """Drop all translated code; for when memory that held some was changed behind the engine's back."""
        self.uc.ctl_flush_tb()

    def chain_pages(self, most_moves: int = MOST_MOVES) -> None:
        """Let translated code go on to a fixed place in another page without a look at what is mapped there.

        Looking takes 2 to 6 % of the time of Go's test binaries (measured).  From now on :meth:`code_moved` is to be
        called when pages with code go or change, and :meth:`unchain` when there are several address spaces.  After
        *most_moves* of those no more is chained: each costs all translations.
        """
        self._moves_left = most_moves
        if self._watcher:
            self._watcher.chain_pages(True)
            self._chains = True

    def unchain(self) -> None:
        """Look at what is mapped in other pages again."""
        if self._chains:
            self._chains = False
            self._watcher.chain_pages(False)
            self.forget_all_code()

    def code_moved(self) -> None:
        """Take note that pages which held code do no more, or are other ones."""
        if self._chains:
            self._moves_left -= 1
            if self._moves_left > 0:
                self.forget_all_code()
            else:
                self.unchain()

    # Hooks

    def _add(self, kind: int, prototype: Any, function: Callable[..., Any], begin: int, end: int, *extra: int) -> int:
        return self._hook(kind, self._callback(prototype, function), begin, end, *extra)

    def _callback(self, prototype: Any, function: Callable[..., Any]) -> Any:
        def guarded(*args: Any) -> Any:
            try:
                return function(*args)
            except BaseException as error:  # noqa: BLE001  kept, and raised by start(): C frames are in between
                self._failed(error)
                self.stop()
                return 0

        callback = prototype(guarded)
        self._callbacks.append(callback)  # the engine has only its address
        return callback

    def _failed(self, error: BaseException) -> None:
        if self.error is None:
            self.error = error

    def _hook(self, kind: int, callback: Any, begin: int, end: int, *extra: int, data: int | None = None) -> int:
        handle = ctypes.c_size_t()
        status = self._library.uc_hook_add(
            self.handle,
            ctypes.byref(handle),
            kind,
            ctypes.cast(callback, ctypes.c_void_p),
            ctypes.c_void_p(data),
            ctypes.c_uint64(begin),
            ctypes.c_uint64(end),
            *(ctypes.c_int(value) for value in extra),
        )
        check(status, "uc_hook_add")
        return handle.value

    def on_syscall(self, function: Callable[[int, int], None]) -> None:
        """Call *function* at each SYSCALL instruction, RIP still at it: for observers."""
        self._add(HOOK_INSN, SYSCALL_HOOK, function, 1, 0, INS["syscall"])

    def serve_syscalls(self, function: Callable[..., int | None]) -> None:
        """Call *function* with the values of :data:`SYSCALL_REGISTERS` at each SYSCALL instruction, RIP still at it.

        It returns the new RAX, any integer; RCX and R11 then hold what the instruction leaves in them.  None leaves the
        registers as they are.
        """
        if self._serve_natively("syscall", function):
            return
        registers, answer = self.registers(*SYSCALL_REGISTERS), self.registers("rax", "rcx", "r11")

        def served(_uc: int, _data: int) -> None:
            values = registers.read()
            result = function(*values)
            if result is not None:
                # SYSCALL leaves the return address in RCX and the flags in R11 (Intel SDM vol. 2, SYSCALL).
                answer.write(result & 2**64 - 1, values[7] + 2, values[8])

        self.on_syscall(served)

    def _serve_natively(self, instruction: str, function: Callable[..., int | None]) -> bool:
        # By way of the accelerator, where there is one: its Hook has a callback for each such instruction.
        native = accel.native()
        if native is None:
            return False
        hook = native.Hook(function, self._failed)
        self._callbacks.append(hook)
        address, data = getattr(hook, instruction)()
        self._hook(HOOK_INSN, address, 1, 0, INS[instruction], data=data)
        return True

    def serve_rdtsc(self, function: Callable[[], int]) -> None:
        """Call *function* in place of RDTSC: it returns the time-stamp counter, of which 64 bits count."""
        if self._serve_natively("rdtsc", function):
            return
        answer = self.registers("rax", "rdx")

        def served(_uc: int, _data: int) -> int:
            ticks = function()
            answer.write(ticks & 0xFFFF_FFFF, ticks >> 32 & 0xFFFF_FFFF)
            return 1

        self.on_instruction(INS["rdtsc"], served)

    def on_instruction(self, instruction: int, function: Callable[[int, int], int]) -> None:
        """Call *function* in place of CPUID or RDTSCP; it returns 1 when it did the work."""
        self._add(HOOK_INSN, INSTRUCTION_HOOK, function, 1, 0, instruction)

    def on_port(self, function: Callable[[], int]) -> None:
        """Call *function* for each access to an I/O port: the engine lets ring 3 make them.  RIP is not up to date."""
        self._add(HOOK_INSN, IN_HOOK, lambda *_: function(), 1, 0, INS["in"])
        self._add(HOOK_INSN, OUT_HOOK, lambda *_: function(), 1, 0, INS["out"])

    def on_interrupt(self, function: Callable[[int, int, int], None]) -> None:
        """Call *function* with the vector (second argument) of each CPU exception, RIP at the instruction."""
        self._add(HOOK_INTR, INTERRUPT_HOOK, function, 1, 0)

    def on_block(self, addr: int, function: Callable[[int, int, int, int], None]) -> int:
        """Call *function* when control is transferred to *addr*; returns a handle for :meth:`remove`.

        A second function at one address shares the hook of the first, and its handle is 0.

        For entries of functions and return addresses, which always begin a block.  A hook on the instruction would do
        the same, but the engine looks through all hooks of that kind for each instruction that it translates: 116 of
        them made a boot 10 ms slower (measured), against 4 ms for hooks on blocks and none where the native counter
        watches.
        """
        at = self._at_block.setdefault(addr, [])
        at.append(function)
        if len(at) > 1:
            return 0
        if self._watcher:
            self._watcher.watch(addr)
            return -addr
        return self._hook(HOOK_BLOCK, self._block_callback, addr, addr)

    def _on_watched_block(self, uc: int, addr: int, size: int, data: int) -> None:
        for function in self._at_block[addr]:
            function(uc, addr, size, data)

    def remove(self, hook: int) -> None:
        """Take a hook away; 0 is none."""
        if hook < 0:
            self._watcher.unwatch(-hook)
        elif hook:
            check(self._library.uc_hook_del(self.handle, hook), "uc_hook_del")

    # Running

    def start(self, begin: int, until: int) -> int:
        """Run from *begin* until a stop or *until* (not executed); returns Unicorn's error number, 0 if none."""
        if until != self._until:
            # Blocks translated when it was no place to stop would run past it (the engine sees to its last one only).
            if until and self._until:
                self.forget_code(until)
            self._until = until
        return self._start(begin, until)

    def _start(self, begin: int, until: int) -> int:
        status: int = self._library.uc_emu_start(self.handle, begin, until, 0, 0)
        self.counter.settle()
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return status

    def start_in_page(self, begin: int, end: int) -> int:
        """:meth:`start`, to an *end* in the page of *begin* or just behind it, and with nothing there."""
        page = begin // PAGE * PAGE
        self.forget_code(page, PAGE)
        status = self._start(begin, end)
        self.forget_code(page, PAGE)  # it stops at *end*
        return status

    def stop(self) -> None:
        """Ask for a stop, from within a hook."""
        self._library.uc_emu_stop(self.handle)

    def settle_exception(self, vector: int) -> None:
        """Within an interrupt hook: let the CPU forget that it is delivering *vector*.

        Without this the next page fault counts as a double fault and the third as a triple fault (Intel SDM vol. 3,
        6.15, interrupt 8).  The engine keeps the vector in a 32-bit field of its saved context, at a place that is
        found by looking where *vector* replaced -1 (offset 5536 of 5608 in 2.1.4).
        """
        if vector not in REMEMBERED:
            return
        if self._vector_at:
            check(self._library.uc_context_save(self.handle, self._context), "context")
        else:
            self._vector_at = self._find_vector(vector, self._save_context())
        assert self._context.value is not None
        ctypes.c_int32.from_address(self._context.value + self._vector_at).value = -1
        check(self._library.uc_context_restore(self.handle, self._context), "context")

    def exception_error(self, vector: int) -> int:
        """Within an interrupt hook: the error code of the exception *vector* that the CPU is delivering."""
        if vector not in WITH_ERROR:
            return 0
        now = self._save_context()
        if not self._vector_at:
            self._vector_at = self._find_vector(vector, now)
        return int.from_bytes(now[self._vector_at - ERROR_BEFORE :][:4], "little")

    def _save_context(self) -> bytes:
        check(self._library.uc_context_save(self.handle, self._context), "context")
        return ctypes.string_at(self._context, self._library.uc_context_size(self.handle))

    def _find_vector(self, vector: int, now: bytes) -> int:
        # The one aligned 32-bit field that was -1 when the engine was new and is *vector* now.
        pairs = zip(memoryview(self._pristine).cast("i"), memoryview(now).cast("i"), strict=True)
        found = [4 * i for i, pair in enumerate(pairs) if pair == (-1, vector)]
        if len(found) != 1:
            raise RuntimeError(f"this Unicorn keeps the pending exception in an unknown place: {found}")
        return found[0]
