"""A worker's side: boots points of a plan, one engine a process, and returns their rows.

Whatever happens to a point is its row's outcome: nothing that a World or a program does ends a worker but the death
of its process, and that is the other side's to see.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from typing import NamedTuple

from emu.boot.boot import END
from emu.boot.record import as_json
from emu.boot.warm import Warm
from emu.image.image import Image
from emu.sweep import shown
from emu.sweep.plan import Plan
from syscalls.world import World, WorldError, lasting
from syscalls.worldfile import digest, to_toml


class Row(NamedTuple):
    """One point: what it came to.  Small, and only of what travels well."""

    number: int  # of the point
    digest: str  # of the World; empty where it does not determine the run
    world: str  # the keys of the World that have not their default, as TOML
    outcome: str  # the record's, as JSON; or {"kind": "error", "message"}
    totals: tuple[int, int, int] | None  # instructions, system calls, tasks
    values: tuple[str, ...]  # as JSON, in the order of the plan's names; empty after an error


class Shipment(NamedTuple):
    """All that a worker needs, sent once."""

    plan: Plan
    images: tuple[Image, ...]


class Bench:
    """A plan at work: the machine of the binary that was booted last stays warm."""

    def __init__(self, shipment: Shipment) -> None:
        self.plan, self.images = shipment
        self._getters = [shown.getter(name) for name in self.plan.names]
        self._warm: Warm | None = None
        self._number = -1

    def row(self, index: int) -> Row:
        """Boot the point *index*."""
        try:
            world = self.plan.world(index)
        except WorldError as error:
            return failed(index, str(error))
        # What a bind shows is no part of the World, so no digest tells that two runs are alike.
        written = "" if world.binds else digest(world), to_toml(world, changes_only=True)
        try:
            return self._booted(index, world, *written)
        except WorldError as error:
            return failed(index, str(error), *written)
        except Exception as error:  # noqa: BLE001  a bug of ours must not take the other rows along; this one tells
            self._let_go()
            return failed(index, f"bug: {type(error).__name__}: {error}", *written)

    def _let_go(self) -> None:
        if self._warm is not None:
            self._warm.close()
        self._warm = None

    def _booted(self, index: int, world: World, name: str, text: str) -> Row:
        number = self.plan.binary(index)
        if self._warm is None or self._number != number:
            self._let_go()  # its memory goes before the next one's comes
            self._warm, self._number = Warm(self.images[number], self.plan.until), number
        outcome, totals, reader = self._warm.bare(lasting(world) if self.plan.until == END else world)
        counts = totals["instructions"], totals["syscalls"], totals["tasks"]
        return Row(index, name, text, as_json(outcome), counts, shown.read(self._getters, reader))


def failed(index: int, message: str, name: str = "", text: str = "") -> Row:
    """The row of a point that could not be booted."""
    return Row(index, name, text, as_json({"kind": "error", "message": message}), None, ())


class _State:
    bench: Bench | None = None
    name = ""  # of a cluster's worker, which serves one sweep after the other: whose bench it is
    engine = threading.Lock()  # ... and may have several threads


def prepare(shipment: Shipment) -> None:
    """Make a process of a local pool ready: it leaves Ctrl-C to its parent, and does not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_outlive_nobody, daemon=True).start()
    _State.bench = Bench(shipment)


def _outlive_nobody() -> None:
    # Wait for the parent's end.  A killed one cannot tell; its pipes stay open, because each worker holds both ends.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def compute(indices: Sequence[int]) -> list[Row]:
    """The rows of *indices*, in a process that :func:`prepare` made ready."""
    assert _State.bench is not None
    return [_State.bench.row(index) for index in indices]


def compute_for(name: str, shipment: Shipment, indices: Sequence[int]) -> list[Row]:
    """The rows of *indices* on a cluster's worker; *name* is the shipment's, whose machine stays warm."""
    with _State.engine:
        if _State.name != name:
            _State.bench = None  # one engine a process
            _State.bench, _State.name = Bench(shipment), name
        return compute(indices)
