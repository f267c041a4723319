"""A bare guest for tests of the engine: machine code over page tables, no kernel, no ELF.

Virtual addresses equal physical ones.  CODE is executable and writable, DATA and STACK are not executable, pages from
HOLE on are absent until a fault asks for one.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable
from typing import Any

from emu.machine import accel

accel.load()

import unicorn  # noqa: E402 - only after the accelerator
from unicorn import x86_const as x86  # noqa: E402

PAGE = 4096
CODE, DATA, STACK, HOLE = 0x10000, 0x40000, 0x60000, 0x80000
_TOP, _UPPER, _DIRECTORY, _TABLE = 0x1000, 0x2000, 0x3000, 0x4000
_SIZE = 0x200000
_PRESENT, _WRITABLE, _USER, _NX = 1, 2, 4, 1 << 63
_NAMES = ("RAX", "RBX", "RCX", "RDX", "RSI", "RDI", "RBP", "RSP", *(f"R{n}" for n in range(8, 16)), "RIP", "RFLAGS")
_GENERAL = [getattr(x86, f"UC_X86_REG_{name}") for name in _NAMES]


class Bare:
    """One engine with *code* at CODE; *plain* counts through Unicorn's own hooks."""

    def __init__(self, code: bytes, plain: bool = False) -> None:
        self.host = mmap.mmap(-1, _SIZE)
        self.host_addr = ctypes.addressof(ctypes.c_char.from_buffer(self.host))
        self.words = memoryview(self.host).cast("Q")
        everything = _PRESENT | _WRITABLE | _USER
        self.words[_TOP // 8] = _UPPER | everything
        self.words[_UPPER // 8] = _DIRECTORY | everything
        self.words[_DIRECTORY // 8] = _TABLE | everything
        for addr in range(CODE, HOLE, PAGE):
            self.map(addr, executable=addr < DATA)
        self.host[CODE : CODE + len(code)] = code
        self.uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
        self.uc.mem_map_ptr(0, _SIZE, unicorn.UC_PROT_ALL, self.host_addr)
        self.uc.reg_write(x86.UC_X86_REG_CR3, _TOP)
        self.uc.reg_write(x86.UC_X86_REG_CR4, 0x620)
        self.uc.reg_write(x86.UC_X86_REG_MSR, (0xC0000080, 0xD01))
        self.uc.reg_write(x86.UC_X86_REG_CR0, 0x80050033)
        self.uc.reg_write(x86.UC_X86_REG_RSP, STACK + 0x8000)
        self.clean = self.uc.context_save()
        if plain:
            from emu.machine.counting import PlainCounter

            self.counter: Any = PlainCounter(self.uc)
        else:
            assert accel.load(), accel.reason()
            self.counter = accel.counter(self.uc)
        self.faults: list[tuple[int, int]] = []  # (vector, RIP)
        self.told: Any = None  # what watched blocks call, kept as long as this
        self.resume: Callable[[int, int], int] | None = None  # (vector, RIP) -> where to go on
        self.counts_at_faults: list[int] = []
        self.uc.hook_add(unicorn.UC_HOOK_INTR, self._interrupt)

    def map(self, addr: int, executable: bool = False) -> None:
        """Make the page at *addr* present."""
        self.words[_TABLE // 8 + addr // PAGE] = addr | _PRESENT | _WRITABLE | _USER | (0 if executable else _NX)

    def read(self, name: str) -> int:
        """A register by its name."""
        value: int = self.uc.reg_read(getattr(x86, f"UC_X86_REG_{name.upper()}"))
        return value

    def write(self, name: str, value: int) -> None:
        """Store a register by its name."""
        self.uc.reg_write(getattr(x86, f"UC_X86_REG_{name.upper()}"), value)

    def _interrupt(self, uc: Any, vector: int, _: Any) -> None:
        rip = self.read("rip")
        self.faults.append((vector, rip))
        self.counts_at_faults.append(self.counter.instructions())
        values = [uc.reg_read(register) for register in _GENERAL]
        fault_addr = self.read("cr2")
        if vector == 14 and HOLE <= fault_addr < _SIZE:
            self.map(fault_addr // PAGE * PAGE)
        elif self.resume is not None:
            values[_GENERAL.index(x86.UC_X86_REG_RIP)] = self.resume(vector, rip)
        else:
            uc.emu_stop()
        uc.context_restore(self.clean)  # else the next fault is taken for a double one
        for register, value in zip(_GENERAL, values, strict=True):
            uc.reg_write(register, value)

    def run(self, begin: int, until: int) -> None:
        """Run from *begin* to a stop, or to *until*."""
        self.uc.emu_start(begin, until)
        self.counter.settle()

    def total(self) -> int:
        """Instructions that retired, between runs."""
        total: int = self.counter.instructions() + self.counter.block_size()
        return total
