"""A whole sweep: what the store knows already, the rest from workers, all of it one table."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from emu.sweep import run
from emu.sweep.influence import influence
from emu.sweep.plan import Plan
from emu.sweep.store import Store
from emu.sweep.work import Row
from syscalls.world import WorldError

BATCH, BATCH_SECONDS = 256, 2.0  # rows that a transaction holds at most, and how long the first of them waits
ERROR = "error"

MakeCrew = Callable[[int], run.Crew]
Report = Callable[[int], None]


class Table:
    """The rows of *plan* by number.  Texts that many rows share are kept once: ten thousand rows are a few MB."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._rows: list[Row | None] = [None] * plan.size

    def put(self, row: Row) -> None:
        """Take *row*, without what only the store wants."""
        values = tuple(map(sys.intern, row.values))
        self._rows[row.number] = Row(row.number, "", "", sys.intern(row.outcome), row.totals, values)

    def missing(self) -> list[int]:
        """The points that have no row."""
        return [index for index, row in enumerate(self._rows) if row is None]

    def rows(self) -> Iterator[Row]:
        """The rows there are, in order."""
        return (row for row in self._rows if row is not None)

    def varied(self) -> list[str]:
        """The names of the values that are not the same in all rows that have any; of a single row, all it has."""
        rows = [row.values for row in self.rows() if row.values]
        columns = zip(self.plan.names, zip(*rows, strict=True), strict=True) if rows else ()
        return [name for name, column in columns if len(set(column)) > 1 or (len(rows) == 1 and column[0] != "null")]

    def as_dicts(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Each row as ``--json`` has it, with the values *names*."""
        places = [(name, self.plan.names.index(name)) for name in names]
        for row in self.rows():
            totals = row.totals
            yield {
                "vary": self.plan.vary(row.number),
                "outcome": json.loads(row.outcome),
                "values": {name: json.loads(row.values[place]) for name, place in places} if row.values else {},
                "totals": dict(zip(("instructions", "syscalls", "tasks"), totals, strict=True)) if totals else {},
            }

    def influence(self) -> dict[str, list[str] | None]:
        """Which knob changed which value, ``outcome``, ``instructions`` and ``syscalls`` among them."""
        rows = [row for row in self.rows() if row.totals]
        points = [self.plan.vary(row.number) for row in rows]
        columns = dict(zip(self.plan.names, zip(*(row.values for row in rows), strict=True), strict=False))
        columns["outcome"] = tuple(str(json.loads(row.outcome)["message"]) for row in rows)
        for number, name in enumerate(("instructions", "syscalls")):
            columns[name] = tuple(str(row.totals[number]) for row in rows if row.totals)
        return influence(points, columns, self.plan.knobs())


def sweep(plan: Plan, crew: MakeCrew, store: Store | None, report: Report | None = None) -> Table:
    """Compute every row of *plan* that *store* does not hold, and put it there.

    *crew* makes the workers for as many points as are left; *report* is told how many are done.
    Raises StoreError; and what the crew's submission raises.  When it ends early, what was computed is in the store.
    """
    table = Table(plan)
    if store is not None:
        _recall(table, store)
    todo = table.missing()
    if not todo:
        return table
    done = plan.size - len(todo)
    batch: list[Row] = []
    since = time.monotonic()
    workers = crew(len(todo))
    try:
        for rows in run.rows(workers, todo):
            for row in rows:
                table.put(row)
            batch += (row for row in rows if row.digest and row.totals)
            if len(batch) >= BATCH or time.monotonic() - since > BATCH_SECONDS:
                _flush(plan, store, batch)
                since = time.monotonic()
            done += len(rows)
            if report is not None:
                report(done)
    finally:
        workers.close()
        _flush(plan, store, batch)
    return table


def _flush(plan: Plan, store: Store | None, batch: list[Row]) -> None:
    if store is not None and batch:
        store.write((row, plan.binary(row.number), plan.vary(row.number), plan.names) for row in batch)
    batch.clear()


def _recall(table: Table, store: Store) -> None:
    # Put the rows that the store holds into the table.
    from syscalls.worldfile import digest

    plan, known = table.plan, store.known
    wanted: dict[tuple[int, str], list[int]] = {}
    for index in range(plan.size if known else 0):
        try:
            world = plan.world(index)
        except WorldError:
            continue
        key = plan.binary(index), digest(world)
        if key in known and not world.binds:
            wanted.setdefault(key, []).append(index)
    for row in store.read(plan.names, wanted) if wanted else ():
        table.put(row)
