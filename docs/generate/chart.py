"""The chart of docs/history.svg: what start-up costs in each release, a bar each, divided by function."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import NamedTuple

from bench.history import RELEASES, recorded
from docs.generate.history import release
from docs.generate.spelling import number
from emu.bench.recording import Measured


class Group(NamedTuple):
    """Functions that share a colour."""

    label: str
    colour: str
    functions: tuple[str, ...]


GROUPS = (
    Group("CPU features, and the first use of the heap", "#c0504d", ("internal/cpu.Initialize", "runtime.cpuinit")),
    Group(
        "m0, its signal stack and randomness", "#e08e45", ("runtime.malg", "runtime.mcommoninit", "runtime.mpreinit")
    ),
    Group("processors", "#d9b23c", ("runtime.procresize", "runtime.acquirep")),
    Group("heap, before its use", "#7fa650", ("runtime.mallocinit", "runtime.(*mheap).init", "runtime.allocmcache")),
    Group("arguments and environment", "#3f8f7f", ("runtime.goargs", "runtime.goenvs", "runtime.goenvs_unix")),
    Group("buffers for profiles", "#4f81bd", ("runtime.makeslice",)),
    Group("control groups", "#6f5fa8", ("runtime.defaultGOMAXPROCSInit", "runtime.defaultGOMAXPROCS")),
    Group("all other bootstrap functions", "#a86f9b", ()),
    Group("itabs (grows with the program)", "#8c8c8c", ("runtime.itabsinit",)),
    Group("pointer masks of data (grows)", "#b0b0b0", ("runtime.modulesinit",)),
    Group("check of the function table (grows)", "#d4d4d4", ("runtime.moduledataverify1", "runtime.moduledataverify")),
)
"""From the bottom of a bar to its top."""
WIDTH, HEIGHT = 1080, 560
LEFT, TOP, BOTTOM = 64, 24, 500
BAR, STEP = 28, 39
CEILING, GRID = 400_000, 50_000  # instructions; a longer bar is cut, and says how long it is
LEGEND = LEFT + STEP * len(RELEASES) + 16


def svg() -> str:
    """The chart."""
    font = 'font-family="sans-serif" font-size="11" fill="#222"'
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>',
        "<title>Instructions from the entry point to runtime.mstart, by release and function</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        *_grid(),
        *(line for index, name in enumerate(RELEASES) for line in _bar(index, name)),
        *_legend(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _y(instructions: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * instructions / CEILING


def _grid() -> Iterator[str]:
    right = LEFT + STEP * len(RELEASES)
    for value in range(0, CEILING + 1, GRID):
        y = round(_y(value), 1)
        yield f'<path d="M{LEFT} {y}H{right}" stroke="#ddd"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{number(value)}</text>'


def _bar(index: int, name: str) -> Iterator[str]:
    one = recorded(name)
    x = LEFT + STEP * index + (STEP - BAR) // 2
    low = 0
    for group, cost in zip(GROUPS, shares(one), strict=True):
        high = min(low + cost, CEILING)
        if high > low:
            top, bottom = _y(high), _y(low)
            what = escape(f"Go {release(one)}, {name}: {group.label}: {number(cost)}")
            yield (
                f'<rect x="{x}" y="{top:.1f}" width="{BAR}" height="{bottom - top:.1f}" fill="{group.colour}">'
                f"<title>{what}</title></rect>"
            )
        low += cost
    middle = x + BAR / 2
    total = f"{one.totals.instructions / 1000:.0f}k"
    if low > CEILING:
        yield f'<path d="M{x - 3} {TOP + 9}l{BAR + 6} -6v5l-{BAR + 6} 6z" fill="#fff"/>'
    yield f'<text x="{middle}" y="{_y(min(low, CEILING)) - 4:.1f}" text-anchor="middle" font-size="10">{total}</text>'
    program = name.partition("-")[0]
    weight = ' font-weight="bold"' if program == "hello" else ""
    yield f'<text x="{middle}" y="{BOTTOM + 16}" text-anchor="middle"{weight}>{release(one)}</text>'
    yield (
        f'<text transform="translate({middle + 3} {BOTTOM + 24}) rotate(45)" font-size="9" fill="#555">'
        f"{escape(program)}</text>"
    )


def shares(one: Measured) -> list[int]:
    """The instructions of each group; they add up to the total."""
    costs = {row.name: row.own.instructions for row in one.functions}
    found = [sum(costs.pop(name, 0) for name in group.functions) for group in GROUPS]
    found[next(i for i, group in enumerate(GROUPS) if not group.functions)] = sum(costs.values())
    return found


def _legend() -> Iterator[str]:
    for index, group in enumerate(reversed(GROUPS)):
        y = TOP + 10 + index * 20
        yield f'<rect x="{LEGEND}" y="{y}" width="12" height="12" fill="{group.colour}"/>'
        yield f'<text x="{LEGEND + 18}" y="{y + 10}">{escape(group.label)}</text>'
