"""What one run did, in one shape for both machines: the bootstrap's functions, instruction counts, system calls.

Either side fills it by its own means (:mod:`emu.compare.emulated`, :mod:`emu.compare.natively`), and the comparison
sees nothing else of a run but its memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emu.boot.names import CodeNames
from emu.compare.native.stepper import Function
from syscalls.events import SyscallEvent

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


class Names(CodeNames):
    """The name of the function at any run-time address, the same on both machines."""

    @property
    def functions(self) -> list[Function]:
        """Every function as the stepper wants them."""
        return [Function(*span) for span in self.spans]
