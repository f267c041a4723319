"""A verdict as text for a screen."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from emu.compare.causes import CAUSES, IMPOSED
from emu.compare.differences import Difference
from emu.compare.verify import Verdict

LEAVES = (
    "leaves are the parts of all variables that have no parts themselves; those without an address cannot hold one, so "
    "that nothing but being equal counts"
)
SHOWN = 20  # differences that are listed


def lines(verdict: Verdict, width: int = 100) -> Iterator[str]:
    """Yield the report line by line, at most *width* columns wide where it can be."""
    name, release = verdict.binary["name"], verdict.binary["go"] or "an unknown release of Go"
    yield f"{name} ({release}), native and emulated, up to {verdict.end}"
    yield ""
    yield f"  {'compared':<28}{'equal':>12}{'of':>12}"
    for what, count in verdict.compared.items():
        yield f"  {what:<28}{verdict.equal[what]:>12,}{count:>12,}"
    yield from textwrap.wrap(LEAVES, width, initial_indent="  ", subsequent_indent="    ")
    yield ""
    explained = {cause: count for cause, count in verdict.causes.items() if count}
    yield "  differences with a cause" + ("" if explained else ": none")
    for cause, count in explained.items():
        yield from _entry(f"{count:,} by {cause}", CAUSES[cause], width)
    yield "  told to both machines"
    for what, how in IMPOSED.items():
        yield from _entry(what, how, width)
    yield ""
    yield from _differences(verdict, width)


def _entry(head: str, text: str, width: int) -> Iterator[str]:
    yield from textwrap.wrap(f"{head}: {text}", width, initial_indent="    ", subsequent_indent="      ")


def _differences(verdict: Verdict, width: int) -> Iterator[str]:
    first = verdict.first
    if first is None:
        yield "the two machines agree: nothing differs without a cause"
        return
    yield f"the two machines disagree: {len(verdict.differences):,} differences without a cause"
    yield f"the first was computed by {first.function or 'a function outside of the bootstrap'}"
    for one in verdict.differences[:SHOWN]:
        yield from _difference(one, width)
    if len(verdict.differences) > SHOWN:
        yield f"  and {len(verdict.differences) - SHOWN:,} more (--json shows all)"


def _difference(one: Difference, width: int) -> Iterator[str]:
    by = f", in {one.function}" if one.function and one.function != one.name else ""
    yield f"  {one.kind} {one.name}{by}"
    yield from _value("emulated", one.emulated, width)
    yield from _value("native", one.native, width)


def _value(label: str, value: Any, width: int) -> Iterator[str]:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    room = max(width - 15, 20)
    yield f"    {label:<10} {text if len(text) <= room else text[: room - 3] + '...'}"
