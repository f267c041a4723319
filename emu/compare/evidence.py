"""What one run did, in one shape for both machines: the bootstrap's functions, instruction counts, system calls.

Either side fills it by its own means (:mod:`emu.compare.emulated`, :mod:`emu.compare.natively`), and the comparison
sees nothing else of a run but its memory.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emu.compare.native.stepper import OUTSIDE, Function
from emu.image.image import Image
from emu.image.symbols import STT_FUNC
from emu.machine.paging import VSYSCALL
from syscalls.events import SyscallEvent
from syscalls.guest import PAGE
from syscalls.vdso import IMAGE_SIZE
from syscalls.world import World

Read = Callable[[int, int], bytes]
"""Memory of a run: (address, size) to bytes; GuestFault where nothing is mapped."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One call of a bootstrap function.

    *instructions* counts from entry to return, *own* leaves out those of bootstrap functions that it called.
    """

    name: str
    depth: int
    caller: str | None
    instructions: int
    own: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """One run.  Addresses are its own: *bias* is what was added to link-time ones."""

    end: str  # "runtime.mstart", or what happened instead
    visits: Sequence[Visit]
    counts: dict[str, int]  # instructions by function, of all functions
    syscalls: Sequence[SyscallEvent]  # their `function` is the innermost bootstrap function
    during: Sequence[int]  # for each system call, the index of that visit; -1: none
    total: int
    read: Read
    bias: int
    stack_top: int


class Names:
    """The name of the function at any run-time address, the same on both machines.

    Go's functions by the pclntab, a wrapper under its body's name; C's by the symbol table; the vDSO as one, and the
    vsyscall page.
    """

    def __init__(self, image: Image, bias: int, world: World) -> None:
        rows = sorted((entry, name) for name, entry in image.pclntab.names())
        ends = [*(entry for entry, _ in rows[1:]), image.pclntab.maxpc]
        go = [Function(name, entry + bias, end + bias) for (entry, name), end in zip(rows, ends, strict=True)]
        low, high = image.pclntab.minpc, image.pclntab.maxpc
        others = {
            symbol.addr: Function(symbol.name, symbol.addr + bias, symbol.addr + symbol.size + bias)
            for symbol in image.symbols.all
            if symbol.kind == STT_FUNC and symbol.size and not low <= symbol.addr < high
        }
        kernel = [Function("[vsyscall]", VSYSCALL, VSYSCALL + PAGE)]
        if world.vdso:
            kernel.append(Function("[vdso]", world.memory.vdso_base, world.memory.vdso_base + IMAGE_SIZE))
        self.functions = sorted([*go, *others.values(), *kernel], key=lambda function: function.entry)
        self._entries = [function.entry for function in self.functions]

    def at(self, pc: int) -> str:
        """Return the name of the function that *pc* is in, or :data:`OUTSIDE`."""
        index = bisect_right(self._entries, pc) - 1
        return self.functions[index].name if index >= 0 and pc < self.functions[index].end else OUTSIDE
