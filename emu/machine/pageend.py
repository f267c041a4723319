"""Code that runs on to the end of its page, behind which nothing can be executed.

A CPU executes what comes before the page's end, then faults at the instruction that is not all there.  The engine
translates a block before it runs any of it, and to find one that it knows it looks for both of its pages: in either
case it faults with RIP at the block's start, nothing of which ran (read from its sources, accel/tcg: cpu_ldub_code,
tb_lookup_cmp; measured).  Such a fault is not taken for the guest's.  What comes before the page's end then runs by
itself, and what follows faults anew, where it should.  That is so with the accelerator and without, and costs nothing
where nothing faults.
"""

from __future__ import annotations

from emu.machine.decode import whole
from emu.machine.engine import Engine
from emu.machine.signals import FETCH, PAGE_FAULT
from syscalls.guest import PAGE

NOTHING = range(0)


class PageEnd:
    """Starts the engine, and sees to what it fetched too early."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._now, self._next = NOTHING, NOTHING  # addresses of what runs by itself, and of what is to
        self.within = False  # such instructions run
        self.passed = False  # they did, all of them

    def ahead(self, addr: int, code: bytes) -> bool:
        """Within the hook of a page fault at *addr*, with *code* from RIP to the end of its page.

        Tells whether there is a whole instruction at RIP, so that it was fetched too early.  Then this run ends as if
        nothing had been fetched, and the next one has to be started where it ends.
        """
        engine = self._engine
        pc = engine.read("rip")
        if addr // PAGE != pc // PAGE + 1 or not engine.exception_error(PAGE_FAULT) & FETCH:
            return False
        early = range(pc, pc + whole(code))
        if not early or (self.within and pc in self._now):  # the engine sees other instructions there
            return False
        self._next = early
        engine.settle_exception(PAGE_FAULT)
        engine.stop()
        return True

    def start(self, begin: int, until: int) -> int:
        """Do :meth:`Engine.start`, or only as far as :meth:`ahead` has seen."""
        self._now, self._next = self._next, NOTHING
        self.within, self.passed = begin == self._now.start and bool(self._now), False
        if not self.within:
            return self._engine.start(begin, until)
        status = self._engine.start_in_page(begin, self._now.stop)
        self.passed = self._engine.read("rip") == self._now.stop
        return status
