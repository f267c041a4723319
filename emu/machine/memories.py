"""The memories of several processes, all in one guest RAM: copies for fork, new ones for execve.

Pages that a process may not write are not copied but shared, and counted (:attr:`Ram.shares`): who makes one writable
gets its own then (:meth:`PageTables.protect`).  All others are copied at once, those that were never written excepted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from emu.image.executable import Loadable
from emu.machine.base import Base
from emu.machine.engine import Engine
from emu.machine.entries import ADDRESS, ALIAS, COMMON, DIRTY, HAS_FRAME, SLICE, WRITABLE
from emu.machine.execution import Programs, map_supervisor
from emu.machine.load import SUPERVISOR_PAGE
from emu.machine.paging import PageTables
from emu.machine.ram import Ram
from syscalls.guest import PAGE, PROT_NONE, Execution, GuestMemory, OutOfFrames, Start

SUPERVISOR_SLICE = SUPERVISOR_PAGE // SLICE


class Memories:
    """All page tables of one machine but for making the first; satisfies :class:`syscalls.guest.Memories`."""

    def __init__(self, ram: Ram, base: Base, image: Loadable, first: PageTables, engine: Engine) -> None:
        """Begin with *first*, in which *image* runs, on *engine*."""
        self._ram, self._base, self._engine, self._budget = ram, base, engine, first.budget
        self._programs = Programs(ram, base, image, self._budget, self._new)
        self._dropped: list[PageTables] = []
        self.current = first  # what the engine walks
        self._made = 0

    @property
    def several(self) -> bool:
        """Whether there ever was another one than the first."""
        return self._made > 0

    def _new(self) -> PageTables:
        self._engine.unchain()
        pages = PageTables(self._ram, 0, self._engine.flush_tlb, self._budget)
        self._made += 1
        pages.number = self._made
        try:
            map_supervisor(pages, self._base)
        except OutOfFrames:
            pages.drop()
            raise
        return pages

    def copy(self, mem: GuestMemory, common: Sequence[tuple[int, int]]) -> PageTables:
        """Return a copy of *mem*; see :meth:`syscalls.guest.Memories.copy`."""
        assert isinstance(mem, PageTables)
        for addr, size in common:
            _make_common(mem, addr, size)
        child = self._new()
        try:
            for number in sorted(mem.tables):
                if number != SUPERVISOR_SLICE:
                    self._copy_slice(mem, child, number)
        except OutOfFrames:
            child.drop()
            raise
        child.new_code = mem.new_code
        return child

    def _copy_slice(self, mem: PageTables, child: PageTables, number: int) -> None:
        words, ram = self._ram.words, self._ram
        first = mem.tables[number]
        entries = words[first : first + 512].tolist()
        if not any(entries):
            return
        table = child.table(number)
        for i, entry in enumerate(entries):  # what is left out reads as zero, and comes when it is touched
            if not entry & HAS_FRAME:
                continue
            frame = entry & ADDRESS
            if entry & COMMON or not entry & WRITABLE:
                child.charge(1)
                ram.share(frame)
                words[table + i] = entry & ~ALIAS
            elif entry & DIRTY or frame < ram.kept * PAGE or frame // PAGE in ram.shares:
                child.charge(1)
                new = ram.take(1)
                ram.bytes[new : new + PAGE] = ram.bytes[frame : frame + PAGE]
                words[table + i] = entry & ~ADDRESS | new | DIRTY

    def load(self, execution: Execution) -> Start:
        """Load a program; see :meth:`syscalls.guest.Memories.load`."""
        return self._programs.load(execution)

    def serve(self, mem: GuestMemory, mapping_at: Callable[[int], tuple[int, int, int] | None]) -> None:
        """Ask *mapping_at* about pages of *mem* that were touched and have no frame."""
        assert isinstance(mem, PageTables)
        mem.lazy = mapping_at

    def drop(self, mem: GuestMemory) -> None:
        """Give back all of *mem*, once the engine does not walk it any more."""
        assert isinstance(mem, PageTables)
        if mem is self.current:
            self._dropped.append(mem)
        else:
            mem.drop()

    def enter(self, mem: GuestMemory) -> PageTables:
        """The engine walks *mem* now; return it."""
        assert isinstance(mem, PageTables)
        self.current = mem
        for dropped in self._dropped:
            dropped.drop()
        self._dropped.clear()
        return mem


def _make_common(mem: PageTables, addr: int, size: int) -> None:
    # Let the pages of a mapping that processes share have frames, and keep them whoever writes.
    for page in range(addr, addr + size, PAGE):
        if not mem.entry(page) and not mem.fault_in(page):
            if mem.lazy is None or mem.lazy(page) is None:
                continue  # behind the end of its file
            mem.fill(page, PAGE, PROT_NONE)  # nobody can touch it now; who can later sees what the others store
        mem.ram.words[mem.entry_index(page)] |= COMMON
