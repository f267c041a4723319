"""The name of the function that is at any run-time address of a booted program.

Go's functions by the pclntab, a wrapper under its body's name; C's by the symbol table; the vDSO as one, and the
vsyscall page.
"""

from __future__ import annotations

from bisect import bisect_right

from emu.image.image import Image
from emu.image.symbols import STT_FUNC
from emu.machine.entries import VSYSCALL
from syscalls.guest import PAGE
from syscalls.light import NamedTuple
from syscalls.vdso import IMAGE_SIZE
from syscalls.world import World

OUTSIDE = "?"
"""The function of an address that nothing explains."""
KERNEL_ONLY = (1 << 47, VSYSCALL)
"""Addresses that no program executes at: the machine's own instruction that enters it lies there."""


class Span(NamedTuple):
    """A function's name and its addresses in the running program: [entry, end)."""

    name: str
    entry: int
    end: int


class CodeNames:
    """Names by address for *image*, loaded *bias* above its link-time addresses in *world*."""

    def __init__(self, image: Image, bias: int, world: World) -> None:
        rows = sorted((entry, name) for name, entry in image.pclntab.names())
        ends = [*(entry for entry, _ in rows[1:]), image.pclntab.maxpc]
        go = [Span(name, entry + bias, end + bias) for (entry, name), end in zip(rows, ends, strict=True)]
        low, high = image.pclntab.minpc, image.pclntab.maxpc
        others = {
            symbol.addr: Span(symbol.name, symbol.addr + bias, symbol.addr + symbol.size + bias)
            for symbol in image.symbols.all
            if symbol.kind == STT_FUNC and symbol.size and not low <= symbol.addr < high
        }
        kernel = [Span("[vsyscall]", VSYSCALL, VSYSCALL + PAGE)]
        if world.vdso:
            kernel.append(Span("[vdso]", world.memory.vdso_base, world.memory.vdso_base + IMAGE_SIZE))
        self.spans = sorted([*go, *others.values(), *kernel], key=lambda span: span.entry)
        self._entries = [span.entry for span in self.spans]

    def span(self, pc: int) -> Span | None:
        """Return the function that *pc* is in, None where nothing is known."""
        index = bisect_right(self._entries, pc) - 1
        return self.spans[index] if index >= 0 and pc < self.spans[index].end else None

    def at(self, pc: int) -> str:
        """Return the name of the function that *pc* is in, or :data:`OUTSIDE`."""
        span = self.span(pc)
        return OUTSIDE if span is None else span.name
