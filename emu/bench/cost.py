"""What is counted, and what each count is."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self


@dataclass(slots=True)
class Cost:
    """What a piece of start-up costs.  All are exact."""

    instructions: int = 0
    blocks: int = 0
    syscalls: int = 0
    pages: int = 0
    mapped: int = 0
    reserved: int = 0
    writes: int = 0

    def __iadd__(self, other: Cost) -> Self:
        for name in METRICS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


METRICS = tuple(field.name for field in fields(Cost))
MEANING = {
    "instructions": "executed, as a native single step counts them; each iteration of a REP is one",
    "blocks": "executed: runs of instructions up to one that may go elsewhere, of at most 64",
    "syscalls": "system calls made",
    "pages": "4 KiB pages stored to for the first time since the entry point, by the hardware's dirty bits",
    "mapped": "bytes that mmap, mremap and brk gave with some access; what is mapped twice counts twice",
    "reserved": "bytes that mmap gave with PROT_NONE",
    "writes": "leaves of global variables that hold another value after the call than before",
}
UNITS = {"mapped": "B", "reserved": "B"}


@dataclass(slots=True)
class Share:
    """What one function of the program executed itself.

    *calls* is how often its first instruction was executed.
    """

    instructions: int = 0
    blocks: int = 0
    calls: int = 0
