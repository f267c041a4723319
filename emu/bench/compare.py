"""Compare two measurements of one program: what moved, by function, and why as far as the recordings can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from emu.bench.cost import METRICS, Cost, Share
from emu.bench.recording import Json, Measured, Row
from emu.boot.renames import renamed

NEW, GONE, RENAMED, CHANGED = "new", "gone", "renamed", "changed"
CODE, MOVED, CALLS, SYSCALL, CALLEE = "code", "moved", "calls", "syscall", "callee"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a function costs more or less.  *old* and *new* are instructions for CODE, MOVED and CALLEE, else counts.

    - CODE: the function *name* of the program executed more or less within it; *calls* says how often it was called
      in both, where that is known. MOVED: the same, and *name* executed that much less or more within *other*.
    - CALLS: it was called more or less often by *name*.
    - SYSCALL: it made more or fewer calls *name*.
    - CALLEE: the bootstrap function *name*, called from it, took more or less in all.
    """

    kind: str
    name: str
    old: int
    new: int
    calls: tuple[int, int] | None = None
    other: str | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """A bootstrap function of which something changed.  *old* is None for a new one, *new* for one that is gone."""

    name: str
    status: str
    old: Row | None
    new: Row | None
    causes: tuple[Cause, ...]

    @property
    def was(self) -> str | None:
        """Its name in the old recording, if that was another."""
        return self.old.name if self.old and self.new and self.old.name != self.new.name else None

    @property
    def own(self) -> tuple[Cost, Cost]:
        """What it costs without the bootstrap functions that it calls: old, new."""
        return self.old.own if self.old else Cost(), self.new.own if self.new else Cost()

    @property
    def total(self) -> tuple[Cost, Cost]:
        """What it costs with them: old, new."""
        return self.old.total if self.old else Cost(), self.new.total if self.new else Cost()

    @property
    def by_itself(self) -> bool:
        """True if its own cost, its calls or its name changed, and not only those of what it calls."""
        return self.status != CHANGED or self.own[0] != self.own[1] or any(c.kind == CALLS for c in self.causes)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One program, old and new."""

    old: Measured
    new: Measured
    pairs: tuple[tuple[Row | None, Row | None], ...]  # of every bootstrap function, in order
    moved: tuple[Moved, ...]  # by size of the change: of own instructions, then of all
    program: tuple[tuple[str, Share, Share], ...]  # functions of the program that executed more or less, by size
    world: tuple[tuple[str, Any, Any], ...]  # keys of the World that differ: key, old, new

    @property
    def typed(self) -> bool:
        """True if writes to globals were counted in both."""
        return self.old.typed and self.new.typed


def pair_programs(
    old: Sequence[Measured], new: Sequence[Measured]
) -> tuple[list[tuple[Measured, Measured]], list[str], list[str]]:
    """Return pairs of programs of the same name, then the names that only *old* and only *new* has.

    Where several have one name they are taken in order.  Two recordings of one program each are always a pair.
    """
    if len(old) == len(new) == 1:
        return [(old[0], new[0])], [], []
    waiting = list(new)
    pairs, gone = [], []
    for one in old:
        match = next((other for other in waiting if other.name == one.name), None)
        if match is None:
            gone.append(one.name)
        else:
            waiting.remove(match)
            pairs.append((one, match))
    return pairs, gone, [one.name for one in waiting]


def compare(old: Measured, new: Measured) -> Comparison:
    """Compare *old* and *new*."""
    pairs = _pair(old, new)
    names = {one.name: other.name for other, one in pairs if one and other}  # new -> old
    found = [_moved(one, other, pairs, names) for one, other in pairs]
    moved = [one for one in found if one is not None]
    moved.sort(key=lambda one: (-abs(_change(one.own)), -abs(_change(one.total)), one.name))
    typed = old.typed and new.typed
    return Comparison(
        old,
        new,
        tuple(pairs),
        tuple(one for one in moved if _counts(one, typed)),
        tuple(_program(old, new)),
        tuple(_world(old.world, new.world, "")),
    )


def _counts(one: Moved, typed: bool) -> bool:
    # Writes that only one recording counted are no change.
    if typed or one.status != CHANGED or one.causes:
        return True
    costs = (one.own, one.total)
    return any(getattr(a, name) != getattr(b, name) for a, b in costs for name in METRICS if name != "writes")


def _change(costs: tuple[Cost, Cost]) -> int:
    return costs[1].instructions - costs[0].instructions


def _pair(old: Measured, new: Measured) -> list[tuple[Row | None, Row | None]]:
    # In the order of the new recording, what is gone behind its old neighbour.
    before = {row.name: row for row in old.functions}
    names = {row.name: row.name for row in new.functions}
    names |= renamed(before.keys(), names.keys())
    pairs: list[tuple[Row | None, Row | None]] = [(before.get(names[row.name]), row) for row in new.functions]
    kept = set(names.values())
    previous: Row | None = None
    for row in old.functions:
        if row.name not in kept:
            at = next((i for i, (one, _) in enumerate(pairs) if one is not None and one is previous), -1)
            pairs.insert(at + 1, (row, None))
        previous = row
    return pairs


def _moved(
    old: Row | None, new: Row | None, pairs: Sequence[tuple[Row | None, Row | None]], names: dict[str, str]
) -> Moved | None:
    one = new or old
    assert one is not None
    if old is None or new is None:
        status = NEW if old is None else GONE
        return Moved(one.name, status, old, new, tuple(_causes(old or Row(one.name), new or Row(one.name), pairs)))
    same = (old.own, old.total, old.calls, old.syscalls) == (new.own, new.total, new.calls, new.syscalls)
    if same and old.name == new.name and old.parts == new.parts:
        return None
    causes = [*_causes(old, new, pairs), *_callees(old, new, pairs)]
    return Moved(one.name, CHANGED if names[new.name] == new.name else RENAMED, old, new, tuple(causes))


def _causes(old: Row, new: Row, pairs: Sequence[tuple[Row | None, Row | None]]) -> list[Cause]:
    found = [
        Cause(CALLS, name, old.callers.get(name, 0), new.callers.get(name, 0))
        for name in {**old.callers, **new.callers}
        if old.callers.get(name, 0) != new.callers.get(name, 0)
    ]
    if old.calls == new.calls:  # the caller has another name now, or was inlined: that costs nothing
        found = []
    found += [
        Cause(SYSCALL, name, old.syscalls.get(name, 0), new.syscalls.get(name, 0))
        for name in {**old.syscalls, **new.syscalls}
        if old.syscalls.get(name, 0) != new.syscalls.get(name, 0)
    ]
    nothing = Share()
    code = []
    for name in {**old.parts, **new.parts}:
        a, b = old.parts.get(name, nothing), new.parts.get(name, nothing)
        if a.instructions != b.instructions:
            other = _elsewhere(name, b.instructions - a.instructions, (old, new), pairs)
            kind = MOVED if other else CODE
            code.append(Cause(kind, name, a.instructions, b.instructions, (a.calls, b.calls), other))
    return found + sorted(code, key=lambda cause: (-abs(cause.new - cause.old), cause.name))


def _elsewhere(
    name: str, change: int, here: tuple[Row, Row], pairs: Sequence[tuple[Row | None, Row | None]]
) -> str | None:
    # The bootstrap function within which the function *name* of the program changed by exactly as much the other way.
    for old, new in pairs:
        a = old.parts.get(name) if old else None
        b = new.parts.get(name) if new else None
        there = (b.instructions if b else 0) - (a.instructions if a else 0)
        one = new or old
        if there == -change and one is not None and old is not here[0] and new is not here[1]:
            return one.name
    return None


def _callees(old: Row, new: Row, pairs: Sequence[tuple[Row | None, Row | None]]) -> list[Cause]:
    found = []
    for before, after in pairs:
        a = before.within.get(old.name, 0) if before else 0
        b = after.within.get(new.name, 0) if after else 0
        one = after or before
        if a != b and one is not None:
            found.append(Cause(CALLEE, one.name, a, b))
    return sorted(found, key=lambda cause: (-abs(cause.new - cause.old), cause.name))


def _program(old: Measured, new: Measured) -> list[tuple[str, Share, Share]]:
    nothing = Share()
    rows = [
        (name, old.program.get(name, nothing), new.program.get(name, nothing))
        for name in {**old.program, **new.program}
    ]
    changed = [row for row in rows if row[1] != row[2]]
    return sorted(changed, key=lambda row: (-abs(row[2].instructions - row[1].instructions), row[0]))


def _world(old: Any, new: Any, key: str) -> list[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        names = sorted({*old, *new})
        return [row for name in names for row in _world(old.get(name), new.get(name), f"{key}.{name}" if key else name)]
    return [(key, old, new)] if old != new else []


def as_dict(found: Comparison) -> Json:
    """Return *found* as JSON-ready values, but for the costs of what did not change."""
    shown = METRICS if found.typed else tuple(name for name in METRICS if name != "writes")
    return {
        "old": _identity(found.old),
        "new": _identity(found.new),
        "world": [{"key": key, "old": old, "new": new} for key, old, new in found.world],
        "totals": _costs((found.old.totals, found.new.totals), shown),
        "functions": [
            {
                "name": one.name,
                "was": one.was,
                "status": one.status,
                "calls": {"old": one.old.calls if one.old else 0, "new": one.new.calls if one.new else 0},
                "own": _costs(one.own, shown),
                "total": _costs(one.total, shown),
                "causes": [_cause(cause) for cause in one.causes],
            }
            for one in found.moved
        ],
        "program": [
            {
                "name": name,
                "old": old.instructions,
                "new": new.instructions,
                "calls": {"old": old.calls, "new": new.calls},
            }
            for name, old, new in found.program
        ],
    }


def _identity(one: Measured) -> Json:
    return {"name": one.name, "go": one.go, "sha256": one.sha256, "world_sha256": one.world_sha256}


def _costs(costs: tuple[Cost, Cost], shown: Sequence[str]) -> Json:
    return {name: {"old": getattr(costs[0], name), "new": getattr(costs[1], name)} for name in shown}


def _cause(cause: Cause) -> Json:
    shown: Json = {"kind": cause.kind, "name": cause.name, "old": cause.old, "new": cause.new}
    if cause.calls is not None:
        shown["calls"] = {"old": cause.calls[0], "new": cause.calls[1]}
    if cause.other is not None:
        shown["other"] = cause.other
    return shown
