"""Rows from workers that die: each exactly once, and only what kills a worker is without."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import pytest

from emu.image.image import load
from emu.sweep import crews, points
from emu.sweep.plan import Plan
from emu.sweep.run import rows
from emu.sweep.work import Bench, Row, Shipment, failed
from syscalls.world import World
from tests.booted import BUNDLED


class Fragile:
    """A crew whose pool breaks at every chunk with a point of *poison*, and loses what else is under way."""

    lost: tuple[type[Exception], ...] = ()

    def __init__(self, poison: set[int], workers: int = 3) -> None:
        self.poison, self._workers = poison, workers
        self.broken = False
        self.renewed = 0
        self.computed: list[int] = []
        self._chance = random.Random(5)
        self._open: list[tuple[Future[list[Row]], list[int]]] = []

    def workers(self) -> int:
        return self._workers

    def submit(self, indices: Sequence[int]) -> Future[list[Row]]:
        if self.broken:
            raise BrokenProcessPool
        future: Future[list[Row]] = Future()
        self._open.append((future, list(indices)))
        if len(self._open) == self._workers or self._chance.random() < 0.5:
            self.check()
        return future

    def check(self) -> None:
        """Let one of the chunks be done: the newest, so that others are under way when it breaks."""
        if not self._open:
            return
        future, indices = self._open.pop()
        if self.poison & set(indices):
            self.broken = True
            for each, _ in [(future, indices), *self._open]:
                each.set_exception(BrokenProcessPool())
            self._open.clear()
            return
        self.computed += indices
        future.set_result([failed(index, f"row {index}") for index in indices])

    def renew(self) -> None:
        assert self.broken
        self.broken = False
        self.renewed += 1

    def close(self) -> None:
        self._open.clear()


@pytest.mark.parametrize("poison", [set(), {0}, {499}, {100, 101, 102}, {7, 300}])
def test_every_row_once(poison: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is lost with a worker is computed again; the points that kill one are rows that say so."""
    monkeypatch.setattr("emu.sweep.run.CHECK_EVERY", 0.001)
    crew = Fragile(poison)

    found = [row for chunk in rows(crew, range(500)) for row in chunk]

    assert sorted(row.number for row in found) == list(range(500))
    assert {row.number for row in found if "the worker died" in row.outcome} == poison
    assert sorted(crew.computed) == sorted(set(range(500)) - poison)
    assert crew.renewed >= len(poison) + bool(poison)


def shipment(*texts: str) -> Shipment:
    """The bundled hello in the Worlds that *texts* make."""
    plan = Plan((BUNDLED.name,), (("", World()),), tuple(points.from_options(texts)), ("ncpu",), "runtime.mstart")
    return Shipment(plan, (load(BUNDLED),))


def test_killed_process() -> None:
    """A real pool, one process of it killed at work: the rows are those of an undisturbed run."""
    sent = shipment("cpus=1..120")
    bench = Bench(sent)
    expected = [bench.row(number) for number in range(120)]
    crew = crews.LocalCrew(sent, 2)
    found: list[Row] = []

    for chunk in rows(crew, range(120)):
        if not found:
            os.kill(next(iter(crew._pool._processes)), signal.SIGKILL)
        found += chunk
    crew.close()

    assert sorted(found) == expected


def test_closed_crew_leaves_no_process() -> None:
    """Even in the middle of its work."""
    crew = crews.LocalCrew(shipment("cpus=1..500"), 2)
    next(rows(crew, range(500)))
    processes = list(crew._pool._processes.values())

    crew.close()

    assert len(processes) == 2
    assert not any(process.is_alive() for process in processes)
