"""Which call of one boot is which of another: by name and order, across releases.

Calls are aligned as two sequences of names in order of entry, after names that only changed have been made the same.
What stays over on both sides under one name ran at another place: it moved.  What has another name, or is split, or is
inlined on one side, is brought together by the tables of :mod:`emu.boot.renames` and :mod:`emu.compare.lineage`; the
calls of an inlined function belong to the call that made them, for there its code stands on the other side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from emu.boot.record import FunctionCall
from emu.boot.renames import renamed
from emu.compare import lineage

Calls = Sequence[FunctionCall]


@dataclass(slots=True)
class Unit:
    """Calls that do the same, by index: *a* in one record, *b* in the other; one of them may be empty.

    The first of each is what the unit is called by; more follow where a function was split.  *inlined_a* are calls
    inside those of *a* of functions that the other side has inlined.
    """

    a: list[int] = field(default_factory=list)
    b: list[int] = field(default_factory=list)
    inlined_a: list[int] = field(default_factory=list)
    inlined_b: list[int] = field(default_factory=list)
    moved: bool = False


def matches(a: Sequence[Any], b: Sequence[Any]) -> list[tuple[int | None, int | None]]:
    """Align two sequences of hashable items: pairs of indices in order, None for what the other has not."""
    pairs: list[tuple[int | None, int | None]] = []
    at_a = at_b = 0
    for block in SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks():
        pairs += [(i, None) for i in range(at_a, block.a)]
        pairs += [(None, j) for j in range(at_b, block.b)]
        pairs += [(block.a + n, block.b + n) for n in range(block.size)]
        at_a, at_b = block.a + block.size, block.b + block.size
    return pairs


def align(a: Calls, b: Calls) -> list[Unit]:
    """Return the units of the calls *a* of one record and *b* of the other, in order of entry."""
    has_a, has_b = {call.name for call in a}, {call.name for call in b}
    same = renamed(has_a, has_b)
    keys_a, keys_b = [call.name for call in a], [same.get(call.name, call.name) for call in b]
    units = [Unit([] if i is None else [i], [] if j is None else [j]) for i, j in matches(keys_a, keys_b)]
    _join_moved(units, keys_a, keys_b)
    for split in lineage.splits(has_a, has_b):
        _join_split(units, a, b, split)
    _fold_inlined(units, a, has_b, "a")
    _fold_inlined(units, b, has_a, "b")
    return [unit for unit in units if unit.a or unit.b]


def _join_moved(units: list[Unit], keys_a: list[str], keys_b: list[str]) -> None:
    alone: dict[str, list[Unit]] = {}
    for unit in units:
        if unit.a and not unit.b:
            alone.setdefault(keys_a[unit.a[0]], []).append(unit)
    for unit in units:
        if unit.b and not unit.a and alone.get(keys_b[unit.b[0]]):
            # The place of the second record stands for both.
            other = alone[keys_b[unit.b[0]]].pop(0)
            unit.a, other.a, unit.moved = other.a, [], True


def _join_split(units: list[Unit], a: Calls, b: Calls, split: lineage.Split) -> None:
    for unit in units:
        if not any(_name(unit, side, calls) == split.whole for side, calls in (("a", a), ("b", b))):
            continue
        side, calls = ("b", b) if _name(unit, "a", a) == split.whole else ("a", a)
        for part in split.parts:
            rest = (u for u in units if u is not unit and not (u.a and u.b) and _name(u, side, calls) == part)
            other = next(rest, None)
            if other is not None:
                getattr(unit, side).extend(getattr(other, side))
                getattr(other, side).clear()


def _name(unit: Unit, side: str, calls: Calls) -> str | None:
    held: list[int] = getattr(unit, side)
    return calls[held[0]].name if held else None


def _fold_inlined(units: list[Unit], calls: Calls, other: Iterable[str], side: str) -> None:
    names = set(other)
    holder = {index: unit for unit in units for index in getattr(unit, side)}
    for unit in units:
        held: list[int] = getattr(unit, side)
        if (unit.a and unit.b) or not held or not lineage.is_inlined(calls[held[0]].name, names):
            continue
        parent = calls[held[0]].parent
        while parent is not None and lineage.is_inlined(calls[parent].name, names):
            parent = calls[parent].parent
        if parent is not None and parent in holder:
            getattr(holder[parent], f"inlined_{side}").extend(held)
            held.clear()
