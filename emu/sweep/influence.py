"""Which knob changes which value, read off a table of points.

A value depends on a knob if two points that differ only in that knob differ in the value.  Of a knob that nowhere
varies alone nothing can be said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def influence(
    points: Sequence[Mapping[str, str]], columns: Mapping[str, Sequence[str]], knobs: Sequence[str]
) -> dict[str, list[str] | None]:
    """For each of *knobs* the names of those *columns* that depend on it; None where it never varies alone.

    *columns* hold a text for each of *points*.
    """
    varied = {name: column for name, column in columns.items() if len(set(column)) > 1}
    found: dict[str, list[str] | None] = {}
    for knob in knobs:
        alike: dict[tuple[str | None, ...], list[int]] = {}
        others = [other for other in knobs if other != knob]
        for number, point in enumerate(points):
            if knob in point:
                alike.setdefault(tuple(map(point.get, others)), []).append(number)
        groups = [group for group in alike.values() if len({points[number][knob] for number in group}) > 1]
        found[knob] = [name for name, column in varied.items() if _differs(column, groups)] if groups else None
    return found


def _differs(column: Sequence[str], groups: list[list[int]]) -> bool:
    return any(column[number] != column[group[0]] for group in groups for number in group)
