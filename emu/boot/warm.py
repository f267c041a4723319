"""Boots of one program in many Worlds on one machine, which keeps the code that its engine has translated.

A cold boot spends most of its time on translation; the next one on the same machine is ten times as fast.  Its record
is the same, byte for byte: ``tests/boot/test_warm.py`` compares them over Worlds of all kinds, in any order.
"""

from __future__ import annotations

from emu.boot.boot import MSTART, describe, entry_of, make_record, printed, totals
from emu.boot.capture import Capture
from emu.boot.reader import Reader
from emu.boot.record import BootRecord, Json
from emu.image.image import Image
from emu.machine.machine import Machine
from syscalls.light import NamedTuple
from syscalls.world import World


class Bare(NamedTuple):
    """A boot that nothing was observed of: how it ended, and a *reader* of what memory holds until the next one."""

    outcome: Json
    totals: Json
    reader: Reader


class Warm:
    """A machine for *image*; begins anew for each boot, or is made anew for a World that it has no room for.

    Raises UnknownFunction if the program has no function *until*.
    """

    def __init__(self, image: Image, until: str = MSTART) -> None:
        self.image, self.until = image, until
        self._stop_at = entry_of(image, until)
        self._machine: Machine | None = None
        self._held: Machine | None = None  # the same, but also while it is not fit for another boot
        self._reader: Reader | None = None
        self._watch: Capture | None = None

    def boot(self, world: World) -> BootRecord:
        """What :func:`emu.boot.boot.boot` returns.  Not to be mixed with :meth:`bare`: the hooks of this stay."""
        machine, reader = self._ready(world)
        watch = self._watch
        if watch is None:
            watch = Capture(machine, self.image)
        else:
            watch.begin_anew()
        self._machine = self._watch = None  # nobody boots on them again if this boot raises
        outcome = machine.run(self._stop_at and self._stop_at + machine.loaded.bias, self.until)
        watch.finish()
        record = make_record(self.image, world, machine, outcome, watch, reader=reader)
        if watch.whole:
            self._machine, self._watch = machine, watch
        return record

    def bare(self, world: World) -> Bare:
        """Boot without observing anything."""
        machine, reader = self._ready(world)
        self._machine = None
        outcome = machine.run(self._stop_at and self._stop_at + machine.loaded.bias, self.until)
        self._machine = machine
        return Bare(describe(self.image, machine, outcome, printed(machine)), totals(machine), reader)

    def close(self) -> None:
        """Give the machine's memory back; another boot would make a new one."""
        if self._held is not None:
            self._held.close()
        self._machine = self._watch = self._held = None

    def _ready(self, world: World) -> tuple[Machine, Reader]:
        # A machine that stands before the program's first instruction.
        machine, reader = self._machine, self._reader
        if machine is not None and reader is not None and machine.takes(world):
            machine.begin_anew(world)
            return machine, reader
        self.close()
        self._machine = self._held = machine = Machine(self.image, world)
        self._reader = reader = Reader(machine, self.image)
        return machine, reader
