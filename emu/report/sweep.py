"""A sweep on the screen: a row for each point, then which knob changed which value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from emu.boot.values import BY_NAME
from emu.report.grid import GAP, grid, widths_of
from emu.report.paper import Paper
from emu.report.words import count, value

Rows = Sequence[Mapping[str, Any]]
BYTES = "bytes"
TOTALS = ("instructions", "syscalls")


def lines(
    rows: Rows,
    knobs: Sequence[str],
    names: Sequence[str],
    influence: Mapping[str, list[str] | None],
    paper: Paper,
) -> Iterator[str]:
    """The report of *rows* (as ``--json`` has them): columns for *knobs*, the outcome, *names* and the totals.

    Of *names* those with room have a column, the first ones first; the others are named below.
    """
    cells = {knob: [row["vary"].get(knob, "") for row in rows] for knob in knobs}
    cells["outcome"] = [_outcome(row["outcome"]) for row in rows]
    shown = {name: [_value(row["values"], name) for row in rows] for name in names}
    totals = {name: [f"{row['totals'][name]:,}" if row["totals"] else "" for row in rows] for name in TOTALS}
    fitting = _fitting(cells | totals, shown, paper.width)
    columns = cells | {name: shown[name] for name in fitting} | totals
    right = [name in TOTALS or (name in fitting and _is_number(name, rows)) for name in columns]
    yield from grid(list(columns), list(zip(*columns.values(), strict=True)), paper, right)
    left_out = [name for name in names if name not in fitting]
    if left_out:
        yield ""
        text = (
            f"{count(len(left_out), 'more value')} varied (--show, --csv and --json show them): {', '.join(left_out)}"
        )
        yield from paper.lay([("faint", text)])
    yield ""
    yield from _influence(influence, paper)


def by_use(names: Sequence[str], rows: Rows) -> list[str]:
    """*names* as a reader wants them: plain numbers and words first, then addresses, then what has parts."""

    def rank(name: str) -> int:
        values = [row["values"].get(name) for row in rows]
        if any(isinstance(value, list | dict) for value in values):
            return 2
        return 1 if name in BY_NAME and BY_NAME[name].unit == "address" else 0

    return sorted(names, key=rank)


def _outcome(outcome: Mapping[str, Any]) -> str:
    return "reached" if outcome["kind"] == "reached" else f"{outcome['kind']}: {outcome['message']}"


def _value(values: Mapping[str, Any], name: str) -> str:
    found = values.get(name)
    if found is None:
        return "-"
    unit = BY_NAME[name].unit if name in BY_NAME else ""
    # The column's title has no room for units; bytes are shorter as a plain number.
    return str(found) if unit == BYTES and isinstance(found, int) else value(found, unit=unit if unit == "hex" else "")


def _is_number(name: str, rows: Rows) -> bool:
    values = [row["values"].get(name) for row in rows]
    return all(value is None or type(value) is int for value in values)


def _fitting(kept: Mapping[str, list[str]], shown: Mapping[str, list[str]], width: int) -> list[str]:
    # As many of the values, from the first on, as have room beside what is always there; the first one has.
    def taken(columns: Mapping[str, list[str]]) -> int:
        widths = widths_of(list(columns), list(zip(*columns.values(), strict=True)))
        return sum(widths) + len(GAP) * len(widths)

    left = width - taken(kept)
    found: list[str] = []
    for name, column in shown.items():
        left -= taken({name: column})
        if left < 0 and found:
            break
        found.append(name)
    return found


def _influence(influence: Mapping[str, list[str] | None], paper: Paper) -> Iterator[str]:
    indent = max((len(knob) for knob in influence), default=0) + len(GAP)
    for knob, names in influence.items():
        before = paper.styled("world", knob) + " " * (indent - len(knob))
        if names is None:
            text = "never varies alone, so that nothing can be said of it"
        else:
            text = "changes " + (", ".join(names) or "nothing")
        for number, line in enumerate(Paper(paper.width - indent, paper.colour, paper.boxes).lay([("", text)])):
            yield (" " * indent if number else before) + line
