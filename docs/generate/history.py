"""Figures of docs/history.md, all from the recordings in bench/history."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from bench.history import LARGER, RELEASES, recorded
from docs.generate.boxes import table
from docs.generate.spelling import number
from docs.generate.subjects import NoSuchFigure
from emu.bench.recording import Measured
from emu.image.image import load
from fixtures import store

GROWS = ("runtime.moduledataverify", "runtime.moduledataverify1", "runtime.modulesinit", "runtime.itabsinit")
"""Functions that do more in a larger program."""
LEAST = 1500  # instructions of its own, in any release, that give a function a row
RUNTIME = "runtime."


def release(one: Measured) -> str:
    """The release of a recording: "1.27"."""
    return ".".join(one.go.removeprefix("go").split()[0].split(".")[:2])


@cache
def programs() -> dict[str, Measured]:
    """The recordings that the page may name: by release, and the larger programs by the fixture's name."""
    found = {release(recorded(name)): recorded(name) for name in RELEASES}
    return found | {name: recorded(name) for name in LARGER}


def program(key: str) -> Measured:
    """The recording called *key*."""
    if key not in programs():
        raise NoSuchFigure(f"no recording {key}; there are {', '.join(programs())}")
    return programs()[key]


def total(key: str, metric: str = "instructions") -> str:
    """What the whole of start-up costs."""
    return number(getattr(program(key).totals, metric))


def own(key: str, function: str, metric: str = "instructions") -> str:
    """What a bootstrap function costs, without the bootstrap functions that it calls."""
    row = program(key).function(function)
    if row is None:
        raise NoSuchFigure(f"{function} does not run in {key}")
    return number(getattr(row.own, metric))


def part(key: str, function: str, inner: str, count: str = "instructions") -> str:
    """How much of that a function of the program executes; *count* may be calls."""
    row = program(key).function(function)
    if row is None or inner not in row.parts:
        raise NoSuchFigure(f"{inner} does not run within {function} in {key}")
    return number(getattr(row.parts[inner], count))


def whole(key: str, function: str, count: str = "instructions") -> str:
    """What a function of the program executes in all of start-up; *count* may be calls."""
    share = program(key).program.get(function)
    if share is None:
        raise NoSuchFigure(f"{function} does not run in {key}")
    return number(getattr(share, count))


def spans(key: str) -> str:
    """How often start-up takes pages from the heap."""
    return whole(key, "runtime.(*mheap).allocSpan", "calls")


def never(key: str, function: str) -> str:
    """Nothing, if the program executes no instruction of *function*; else the page is refused."""
    found = program(key)
    if function in found.program or found.function(function) is not None:
        raise NoSuchFigure(f"{function} runs in {key}")
    return ""


def calls(key: str, name: str) -> str:
    """How many system calls *name* start-up makes."""
    return number(program(key).syscalls.get(name, 0))


def linked(key: str) -> str:
    """How many functions the program has."""
    return number(program(key).linked)


def variable(key: str, name: str) -> str:
    """The size of a global variable, in bytes, from the program's symbol table."""
    symbol = load(store.path(f"hello-{program(key).go.removeprefix('go')}")).symbol(name)
    if symbol is None:
        raise NoSuchFigure(f"{key} has no symbol {name}")
    return number(symbol.size)


def per(function: str, key: str) -> str:
    """The instructions of *function* for each function that the program has, rounded."""
    one = program(key)
    row = one.function(function)
    if row is None:
        raise NoSuchFigure(f"{function} does not run in {key}")
    return number(round(row.own.instructions / one.linked))


def without(key: str) -> str:
    """Instructions of everything that does not grow with the program."""
    return number(rest(program(key)))


def rest(one: Measured) -> int:
    """Instructions of everything that does not grow with the program."""
    return one.totals.instructions - sum(row.own.instructions for row in one.functions if row.name in GROWS)


def releases() -> str:
    """The table of releases."""
    return table(HEAD, [row(name) for name in RELEASES])


def larger() -> str:
    """The table of the larger programs."""
    return table(HEAD, [row(name) for name in LARGER])


HEAD = (
    "Go", "program", "functions", "instructions", "moduledataverify1", "modulesinit", "itabsinit", "all else",
    "system calls", "pages", "KiB mapped",
)  # fmt: skip


def row(name: str) -> list[str]:
    """One program's row."""
    one = recorded(name)
    grown = {row.name: row.own.instructions for row in one.functions if row.name in GROWS}
    verify = grown.get("runtime.moduledataverify1", 0) + grown.get("runtime.moduledataverify", 0)
    return [
        one.go.removeprefix("go").split()[0],
        name.rpartition("-")[0] if name.startswith("hello") else name,
        *map(
            number,
            (
                one.linked,
                one.totals.instructions,
                verify,
                grown["runtime.modulesinit"],
                grown["runtime.itabsinit"],
                rest(one),
                one.totals.syscalls,
                one.totals.pages,
                one.totals.mapped // 1024,
            ),
        ),
    ]


def functions() -> str:
    """Instructions of their own of hello's dearest bootstrap functions, release by release."""
    found = [recorded(name) for name in RELEASES if name.startswith("hello")]
    costs = {one.go: {row.name: row.own.instructions for row in one.functions} for one in found}
    names = {name for rows in costs.values() for name, cost in rows.items() if cost >= LEAST}
    newest = costs[found[-1].go]
    ordered = sorted(names, key=lambda name: (-newest.get(name, 0), name))
    rows = [
        [f"`{name.removeprefix(RUNTIME)}`", *(number(rows[name]) if name in rows else "" for rows in costs.values())]
        for name in ordered
    ]
    others = [number(sum(cost for name, cost in rows.items() if name not in names)) for rows in costs.values()]
    totals = [f"**{number(one.totals.instructions)}**" for one in found]
    return table(["function", *map(release, found)], [*rows, ["all others", *others], ["**in all**", *totals]])


FACTS: Mapping[str, Callable[..., Any]] = {
    "total": total,
    "own": own,
    "part": part,
    "never": never,
    "whole": whole,
    "spans": spans,
    "calls": calls,
    "linked": linked,
    "variable": variable,
    "per": per,
    "rest": without,
    "releases": releases,
    "larger": larger,
    "functions": functions,
}
