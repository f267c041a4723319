"""Figures of docs/releases.md: what start-up does in each release, and what changed from the one before.

All from releases.json (:mod:`docs.generate.survey`), of which one program of each release was booted in one World.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple, cast

from docs.generate.boxes import table
from docs.generate.spelling import number
from docs.generate.subjects import NoSuchFigure
from docs.generate.survey import FILE, Json
from emu.boot.order import order
from emu.boot.record import FunctionCall
from emu.compare.align import Unit, align

NO_FILE = "none"


class Call(NamedTuple):
    """One call of a bootstrap function; what :func:`emu.compare.align.align` reads of one."""

    name: str
    parent: int | None
    instructions: int
    own: int


class Release(NamedTuple):
    """What was seen of one release."""

    key: str  # "1.27"
    program: str
    seen: Json

    @property
    def number(self) -> tuple[int, int]:
        major, minor = self.key.split(".")
        return int(major), int(minor)

    @property
    def calls(self) -> list[Call]:
        return [Call(*row) for row in self.seen["calls"]]

    @property
    def syscalls(self) -> Counter[str]:
        return Counter(text.partition("(")[0] for _, text in self.seen["syscalls"])

    @property
    def leaves(self) -> list[str]:
        return sorted({row.partition(" ")[0] for row in self.seen["cpuid"]}, key=lambda leaf: int(leaf, 16))


@cache
def releases() -> dict[str, Release]:
    """Every release that was surveyed, the oldest first."""
    rows: dict[str, Json] = json.loads(FILE.read_text())
    made = [Release(".".join(row["go"].split(".")[:2]), program, row) for program, row in rows.items()]
    return {one.key: one for one in made}


def release(key: str) -> Release:
    """The release called *key*."""
    if key not in releases():
        raise NoSuchFigure(f"no program of {key} was surveyed; there are {', '.join(releases())}")
    return releases()[key]


def short(name: str) -> str:
    """A function's name without the package that nearly all are in."""
    return f"`{name.removeprefix('runtime.')}`"


def listed(items: Any) -> str:
    """Names in Markdown, or that there are none."""
    return ", ".join(f"`{item}`" for item in items) or NO_FILE


def overview() -> str:
    """One row a release."""
    rows = []
    for one in releases().values():
        seen = one.seen
        rows.append(
            [
                seen["go"], one.program, str(len({call.name for call in one.calls})), number(seen["instructions"]),
                str(len(seen["syscalls"])), str(len(seen["files"])), listed(one.leaves),
                listed(tag.removeprefix("AT_") for tag in seen["auxv"]), listed(seen["environment"]),
            ]
        )  # fmt: skip
    head = ["Go", "program", "functions", "instructions", "system calls", "files", "CPUID leaves", "AT_", "environment"]
    return table(head, rows)


def tree(key: str) -> str:
    """The calls of a release, nested, each with its instructions and the system calls that it made itself."""
    one = release(key)
    calls = one.calls
    lines: list[str] = []
    made = _made(one)
    for index, call in enumerate(calls):
        depth, parent = 0, call.parent
        while parent is not None:
            depth, parent = depth + 1, calls[parent].parent
        asked = ", ".join(f"{name} x{count}" if count > 1 else name for name, count in made.get(index, {}).items())
        name = "  " * depth + call.name.removeprefix("runtime.")
        lines.append(f"{name:<52} {call.instructions:>9,}" + (f"  > {asked}" if asked else ""))
    return "\n".join(_folded(lines))


def _made(one: Release) -> dict[int, Counter[str]]:
    # Which calls each call made itself; of functions that run several times, the first that is named gets them.
    found: dict[int, Counter[str]] = {}
    first: dict[str, int] = {}
    for index, call in enumerate(one.calls):
        first.setdefault(call.name, index)
    for function, text in one.seen["syscalls"]:
        if function in first:
            found.setdefault(first[function], Counter())[text.partition("(")[0]] += 1
    return found


def _folded(lines: list[str]) -> Iterator[str]:
    # What runs once for each entry of the auxiliary vector is shown once, with its number.
    at = 0
    while at < len(lines):
        name = lines[at].split()[0]
        run = 1
        while at + run < len(lines) and lines[at + run].split()[0] == name and name.endswith("auxv"):
            run += 1
        yield lines[at] + (f"  and {run - 1} more like it" if run > 1 else "")
        at += run


def changed(key: str) -> str:
    """What is different from the release before, as a list."""
    keys = list(releases())
    at = keys.index(release(key).key)
    if not at:
        raise NoSuchFigure(f"{key} is the oldest release")
    old, new = release(keys[at - 1]), release(key)
    found = [*_functions(old, new), *_asked(old, new), *_inputs(old, new)]
    return "\n".join(f"- {text}" for text in found) or f"Nothing that can be seen from outside, from {old.key}."


def _functions(old: Release, new: Release) -> Iterator[str]:
    a, b = old.calls, new.calls
    units = align(cast("list[FunctionCall]", a), cast("list[FunctionCall]", b))  # name and parent are all it reads
    has_a, has_b = Counter(call.name for call in a), Counter(call.name for call in b)
    paired = {a[unit.a[0]].name for unit in units if unit.a and unit.b}
    found = [text for unit in units for text in _fate(unit, old, new)]
    found += [
        f"{_absence(call.name, new)}: {short(call.name)}, which ran {_place(a, a.index(call))}"
        for unit in units
        if unit.a and not unit.b
        for call in [a[unit.a[0]]]
        if not has_b[call.name] and call.name not in paired
    ]
    found += [
        f"{short(name)} runs {_times(has_b[name])}, before {_times(has_a[name])}"
        for name in has_a
        if has_b[name] and has_a[name] != has_b[name]
    ]
    yield from dict.fromkeys(found)


def _fate(unit: Unit, old: Release, new: Release) -> Iterator[str]:
    # What became of one unit; of functions that are gone, _functions tells.
    a, b = old.calls, new.calls
    for index in unit.inlined_a:
        if not any(call.name == a[index].name for call in b):
            yield f"{short(a[index].name)} is inlined: its work is part of {short(b[unit.b[0]].name)}"
    if unit.a and unit.b:
        whole, parts = a[unit.a[0]].name, [b[index].name for index in unit.b]
        if len(set(parts)) > 1:
            yield f"{short(whole)} was split into {' and '.join(map(short, parts))}"
        elif whole != parts[0]:
            yield f"{short(whole)} became {short(parts[0])}"
        before, now = _place(a, unit.a[0]), _place(b, unit.b[0])
        if unit.moved and before != now and sum(call.name == parts[0] for call in b) == 1:
            yield f"{short(parts[0])} moved: now {now}, before {before}"
    for index in (*unit.inlined_b, *(() if unit.a else unit.b)):
        if not any(call.name == b[index].name for call in a):
            yield f"{_presence(b[index].name, old)}: {short(b[index].name)}, {_place(b, index)}"


def _presence(name: str, old: Release) -> str:
    return "a function of its own here" if name in order(old.number) else "new"


def _absence(name: str, new: Release) -> str:
    return "inlined here" if name in order(new.number) else "gone"


def _place(calls: list[Call], index: int) -> str:
    # Where a call stands: behind the one before it in the same function, or first in it.
    parent = calls[index].parent
    before = [call.name for call in calls[:index] if call.parent == parent and call.name != calls[index].name]
    if before:
        return f"after {short(before[-1])}"
    return f"first in {short(calls[parent].name)}" if parent is not None else "at the very start"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _asked(old: Release, new: Release) -> Iterator[str]:
    a, b = old.syscalls, new.syscalls
    steps = [f"`{name}` {a[name]} to {b[name]}" for name in dict.fromkeys((*a, *b)) if a[name] != b[name]]
    if steps:
        yield f"system calls: {', '.join(steps)}"


def _inputs(old: Release, new: Release) -> Iterator[str]:
    kinds = {
        "files opened": (old.seen["files"], new.seen["files"]),
        "CPUID leaves": (old.leaves, new.leaves),
        "entries of the auxiliary vector": (old.seen["auxv"], new.seen["auxv"]),
        "environment variables": (old.seen["environment"], new.seen["environment"]),
    }
    for kind, (a, b) in kinds.items():
        more, less = [item for item in b if item not in a], [item for item in a if item not in b]
        texts = [f"also {listed(more)}"] if more else []
        texts += [f"no longer {listed(less)}"] if less else []
        stay = [item for item in b if item in a]
        texts += [f"in another order: {listed(stay)}"] if stay != [item for item in a if item in b] else []
        if texts:
            yield f"{kind}: {'; '.join(texts)}"
    x, y = old.seen["instructions"], new.seen["instructions"]
    other = "" if _same_program(old, new) else " (another program)"
    yield f"instructions: {number(x)} to {number(y)}{other}"


def _same_program(old: Release, new: Release) -> bool:
    return old.program.rpartition("-")[0] == new.program.rpartition("-")[0] == "hello"


def count(key: str, what: str) -> str:
    """How many "functions" (different ones) or "calls" a release has."""
    calls = release(key).calls
    return number(len({call.name for call in calls}) if what == "functions" else len(calls))


def program(key: str) -> str:
    """The exact release of the program that was booted: "1.20.3"."""
    return str(release(key).seen["go"])


def details(key: str) -> str:
    """The tree of a release, folded away."""
    one = release(key)
    seen = one.seen
    files = ", ".join(seen["files"]) or NO_FILE
    asked = ", ".join(one.leaves)
    clocks = sum(seen["clocks"].values())
    return (
        f"<details><summary>{one.program}: {len(one.calls)} calls in order, with instructions (what they called"
        f" included) and system calls</summary>\n\n```\n{tree(key)}\n```\n\n"
        f"Files: {files}. CPUID leaves: {asked}. Readings of the TSC: {clocks}.\n\n</details>"
    )


FACTS: Mapping[str, Callable[..., str]] = {
    "overview": overview,
    "changed": changed,
    "details": details,
    "count": count,
    "program": program,
}
