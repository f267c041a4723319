"""When do two addresses of different machines mean the same?  When they point at the same place.

Places are matched, not numbers: the same byte of the program, of the stack (counted from its end), of the vDSO, of
the n-th mapping.  Between two machines whose kernels place things alike all of this is the identity.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emu.compare.evidence import Evidence
from syscalls.events import SyscallEvent
from syscalls.numbers import NUMBERS

MMAP, BRK = NUMBERS["mmap"], NUMBERS["brk"]
STACK_SIZE = 1 << 30  # what lies that far below the stack's end is taken for stack, where nothing else is known


class Places:
    """Translates native addresses into the emulated machine's."""

    def __init__(self, emulated: Evidence, native: Evidence, program: Sequence[tuple[int, int]]) -> None:
        """*program*: (link-time address, size) of each segment."""
        self._spans: list[tuple[int, int, int]] = []  # native start, native end, what to add
        top = native.stack_top
        self._add(top - STACK_SIZE, STACK_SIZE, emulated.stack_top - top)
        for addr, size in program:
            self._add(addr + native.bias, size, emulated.bias - native.bias)
        for ours, theirs, size in _mappings(emulated.syscalls, native.syscalls):
            self._add(theirs, size, ours - theirs)

    def _add(self, start: int, size: int, shift: int) -> None:
        self._spans.insert(0, (start, start + size, shift))  # a later mapping hides an earlier one

    def emulated(self, addr: int) -> int:
        """Return where in the emulated machine that lies which is at the native *addr*.

        One past the end of something is a place too, as a limit, unless something else begins there.
        """
        ending = None
        for start, end, shift in self._spans:
            if start <= addr < end:
                return addr + shift
            if addr == end and ending is None:
                ending = addr + shift
        return addr if ending is None else ending

    def native(self, addr: int) -> int:
        """Return where on the native machine that lies which is at the emulated *addr*."""
        for start, end, shift in self._spans:
            if start <= addr - shift < end:
                return addr - shift
        return addr

    def same(self, ours: int, theirs: int) -> bool:
        """Tell whether emulated *ours* and native *theirs* are the same number or point at the same place."""
        return ours == theirs or self.emulated(theirs) == ours


def _mappings(ours: Sequence[SyscallEvent], theirs: Sequence[SyscallEvent]) -> Iterator[tuple[int, int, int]]:
    # The n-th mapping here is the n-th there: (emulated start, native start, bytes).
    here, there = ([event for event in events if event.nr == MMAP] for events in (ours, theirs))
    for one, other in zip(here, there, strict=False):
        if one.result > 0 and other.result > 0 and one.args[1] == other.args[1]:
            yield one.result, other.result, one.args[1]
