"""Which pages a program stores to, by the hardware's dirty bits.

A page counts once, by its address, when it is first stored to after the program's first instruction: by the program,
or by the kernel on its behalf (what ``read`` delivers).  What the loader wrote before does not count, so its D bits
are taken away first.  A page that was stored to and unmapped again still counts.
"""

from __future__ import annotations

from emu.machine.entries import ACCESSED, DIRTY, SLICE, USER_TOP
from emu.machine.machine import Machine
from syscalls.guest import PAGE

ENTRIES = SLICE // PAGE  # of a page table
WORD = 8


class DirtyPages:
    """Watches the pages of *machine*, which has not run yet.  Unmapping is watched too, from here on."""

    def __init__(self, machine: Machine) -> None:
        self._tables, self._ram = machine.pages.tables, machine.ram
        self._looked_at: dict[int, bytes] = {}  # a page table's index in ram.words -> its content at the last look
        self._seen: set[int] = set()  # page numbers
        self._new = 0
        self._forget_the_loader()
        machine.pages.before_drop = self._look

    def _forget_the_loader(self) -> None:
        words = self._ram.words
        for table in self._tables.values():
            for index in range(table, table + ENTRIES):
                if words[index] & DIRTY:
                    # Still touched, as mincore sees it.
                    words[index] = words[index] & ~DIRTY | ACCESSED

    @property
    def addresses(self) -> set[int]:
        """The address of every page that was stored to."""
        self._look()
        return {page * PAGE for page in self._seen}

    def take(self) -> int:
        """Return how many pages were first stored to since the last call."""
        self._look()
        new, self._new = self._new, 0
        return new

    def _look(self) -> None:
        memory, seen = self._ram.bytes, self._seen
        before = len(seen)
        for slice_no, table in self._tables.items():
            at = table * WORD
            content = bytes(memory[at : at + ENTRIES * WORD])
            if slice_no * SLICE >= USER_TOP or self._looked_at.get(table) == content:
                continue
            self._looked_at[table] = content
            first = slice_no * ENTRIES
            entries = memoryview(content).cast("Q")
            seen.update(first + index for index, entry in enumerate(entries) if entry & DIRTY)
        self._new += len(seen) - before
