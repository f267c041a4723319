"""The CPU: Unicorn set up for 64-bit paging, with the few raw calls that the hot path needs.

Registers are read and written through ``uc_reg_read_batch`` with arrays made once: 0.8 us for seven, against 12 us
through the binding (measured, Python 3.11).  Hooks are registered the same way.  A Python exception in a callback
must not unwind through the engine's C frames: it is kept, the engine is stopped, and :meth:`Engine.start` raises it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

from emu.machine import accel
from emu.machine.ram import Ram

accel.load()  # before the engine's library: see there

import unicorn  # noqa: E402
from unicorn import x86_const  # noqa: E402
from unicorn.unicorn_py3.unicorn import uclib  # noqa: E402

# Control registers and model-specific registers (Intel SDM vol. 3, 2.5 and 2.2.1).
CR0 = 0x8005_0033  # PG AM WP NE ET MP PE
CR4 = 0x620  # PAE OSFXSR OSXMMEXCPT
CPUID, RDTSC, RDTSCP = x86_const.UC_X86_INS_CPUID, x86_const.UC_X86_INS_RDTSC, x86_const.UC_X86_INS_RDTSCP
EFER, EFER_VALUE = 0xC000_0080, 0xD01  # NXE LMA LME SCE

TLB_FLUSH_CONTROL = 11 | 1 << 30  # UC_CTL_TLB_FLUSH, written: 2.1.4's binding has no name for it

SYSCALL_HOOK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
INSTRUCTION_HOOK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
INTERRUPT_HOOK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p)
CODE_HOOK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p)


def register_id(name: str) -> int:
    """Unicorn's number of the x86 register *name* (``rax``, ``fs_base``, ...)."""
    number: int = getattr(x86_const, f"UC_X86_REG_{name.upper()}")
    return number


class Registers:
    """A fixed set of 64-bit registers that is read or written in one raw call."""

    def __init__(self, handle: Any, names: Sequence[str]) -> None:
        count = len(names)
        self._handle = handle
        self._count = ctypes.c_int(count)
        self._ids = (ctypes.c_int * count)(*(register_id(name) for name in names))
        self._values = (ctypes.c_uint64 * count)()
        size = ctypes.sizeof(ctypes.c_uint64)
        base = ctypes.addressof(self._values)
        self._pointers = (ctypes.c_void_p * count)(*(base + i * size for i in range(count)))
        self._view = memoryview(self._values).cast("B").cast("Q")
        self._read = uclib.uc_reg_read_batch
        self._write = uclib.uc_reg_write_batch

    def read(self) -> list[int]:
        """The registers' values, unsigned, in the order of the names."""
        self._read(self._handle, self._ids, self._pointers, self._count)
        return self._view.tolist()

    def write(self, *values: int) -> None:
        """Store *values* (unsigned, one for each name)."""
        self._view[:] = memoryview((ctypes.c_uint64 * len(values))(*values)).cast("B").cast("Q")
        self._write(self._handle, self._ids, self._pointers, self._count)


class Engine:
    """One Unicorn CPU over *ram* with the page tables at physical address *root*."""

    def __init__(self, ram: Ram, root: int) -> None:
        self.uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
        self.handle = self.uc._uch
        self.uc.mem_map_ptr(0, ram.size, unicorn.UC_PROT_ALL, ram.host_addr)
        self.uc.reg_write(x86_const.UC_X86_REG_CR3, root)
        self.uc.reg_write(x86_const.UC_X86_REG_CR4, CR4)
        self.uc.reg_write(x86_const.UC_X86_REG_MSR, (EFER, EFER_VALUE))
        self.uc.reg_write(x86_const.UC_X86_REG_CR0, CR0)
        self.error: BaseException | None = None
        self.counter = accel.counter(self.uc)
        self._callbacks: list[Any] = []
        self._context = self.uc.context_save()
        address = ctypes.cast(self._context.context, ctypes.c_void_p).value
        assert address is not None
        self._context_addr = address
        self._pristine = ctypes.string_at(address, self._context.size)
        self._vector_at = 0

    def registers(self, *names: str) -> Registers:
        """A raw accessor for *names*."""
        return Registers(self.handle, names)

    def read(self, name: str) -> int:
        """One register's value."""
        value: int = self.uc.reg_read(register_id(name))
        return value

    def write(self, name: str, value: int) -> None:
        """Store one register."""
        self.uc.reg_write(register_id(name), value)

    def set_descriptors(self, addr: int, size: int) -> None:
        """Tell the CPU where its global descriptor table is."""
        self.uc.reg_write(x86_const.UC_X86_REG_GDTR, (0, addr, size - 1, 0))

    def flush_tlb(self) -> None:
        """Forget cached translations; needed after a present page-table entry changed."""
        uclib.uc_ctl(self.handle, TLB_FLUSH_CONTROL)

    def forget_code(self, addr: int, size: int = 1) -> None:
        """Drop translated code of the range, so that hooks added since take effect in it."""
        self.uc.ctl_remove_cache(addr, addr + size)

    # Hooks

    def _add(self, kind: int, prototype: Any, function: Callable[..., Any], begin: int, end: int, *extra: int) -> int:
        def guarded(*args: Any) -> Any:
            try:
                return function(*args)
            except BaseException as error:  # noqa: BLE001  kept, and raised by start(): C frames are in between
                if self.error is None:
                    self.error = error
                self.stop()
                return 0

        callback = prototype(guarded)
        self._callbacks.append(callback)
        handle = ctypes.c_size_t()
        status = uclib.uc_hook_add(
            self.handle,
            ctypes.byref(handle),
            kind,
            ctypes.cast(callback, ctypes.c_void_p),
            None,
            ctypes.c_uint64(begin),
            ctypes.c_uint64(end),
            *(ctypes.c_int(value) for value in extra),
        )
        if status != unicorn.UC_ERR_OK:
            raise unicorn.UcError(status)
        return handle.value

    def on_syscall(self, function: Callable[[int, int], None]) -> None:
        """Call *function* at each SYSCALL instruction, RIP still at it."""
        self._add(unicorn.UC_HOOK_INSN, SYSCALL_HOOK, function, 1, 0, x86_const.UC_X86_INS_SYSCALL)

    def on_instruction(self, instruction: int, function: Callable[[int, int], int]) -> None:
        """Call *function* in place of CPUID, RDTSC or RDTSCP; it returns 1 when it did the work."""
        self._add(unicorn.UC_HOOK_INSN, INSTRUCTION_HOOK, function, 1, 0, instruction)

    def on_interrupt(self, function: Callable[[int, int, int], None]) -> None:
        """Call *function* with the vector (second argument) of each CPU exception, RIP at the instruction."""
        self._add(unicorn.UC_HOOK_INTR, INTERRUPT_HOOK, function, 1, 0)

    def on_block(self, addr: int, function: Callable[[int, int, int, int], None]) -> int:
        """Call *function* when control is transferred to *addr*; returns a handle for :meth:`remove`.

        For entries of functions and return addresses, which always begin a block.  A hook on the instruction would do
        the same, but the engine looks through all hooks of that kind for each instruction that it translates: 116 of
        them made a boot 10 ms slower (measured), against 2 ms for these.
        """
        return self._add(unicorn.UC_HOOK_BLOCK, CODE_HOOK, function, addr, addr)

    def remove(self, hook: int) -> None:
        """Take a hook away."""
        uclib.uc_hook_del(self.handle, ctypes.c_size_t(hook))

    # Running

    def start(self, begin: int, until: int) -> int:
        """Run from *begin* until a stop or *until* (not executed); returns Unicorn's error number, 0 if none."""
        address = ctypes.c_uint64
        status: int = uclib.uc_emu_start(self.handle, address(begin), address(until), address(0), ctypes.c_size_t(0))
        self.counter.settle()
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return status

    def stop(self) -> None:
        """Ask for a stop, from within a hook."""
        uclib.uc_emu_stop(self.handle)

    def settle_exception(self, vector: int) -> None:
        """Within an interrupt hook: let the CPU forget that it is delivering *vector*.

        Without this the next page fault counts as a double fault and the third as a triple fault (Intel SDM vol. 3,
        6.15, interrupt 8).  The engine keeps the vector in a 32-bit field of its saved context, at a place that is
        found by looking where *vector* replaced -1 (offset 5536 of 5608 in 2.1.4).
        """
        self.uc.context_update(self._context)
        if not self._vector_at:
            self._vector_at = self._find_vector(vector)
        ctypes.c_int32.from_address(self._context_addr + self._vector_at).value = -1
        self.uc.context_restore(self._context)

    def _find_vector(self, vector: int) -> int:
        # The one aligned 32-bit field that was -1 when the engine was new and is *vector* now.
        size = self._context.size
        now = memoryview(ctypes.string_at(self._context_addr, size)).cast("i").tolist()
        new = memoryview(self._pristine).cast("i").tolist()
        found = [4 * i for i, pair in enumerate(zip(new, now, strict=True)) if pair == (-1, vector)]
        if len(found) != 1:
            raise RuntimeError(f"this Unicorn keeps the pending exception in an unknown place: {found}")
        return found[0]
