"""A comparison as a person reads it: the totals, what moved and why, the verdict."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from emu.bench.compare import CALLEE, CALLS, GONE, MOVED, NEW, SYSCALL, Cause, Comparison, Moved
from emu.bench.cost import METRICS, Cost
from emu.bench.recording import Measured
from emu.bench.threshold import Regression

LABELS = {"syscalls": "system calls", "mapped": "bytes mapped", "reserved": "bytes reserved"}
CAUSES_SHOWN = 6  # of one function; the rest are in the JSON
MOVED_SHOWN = 30


def lines(found: Comparison, regressions: Sequence[Regression], width: int, every: bool = False) -> Iterator[str]:
    """The comparison *found*, at most *width* columns wide; with *every*, all causes and functions."""
    yield _title(found)
    if found.world:
        keys = ", ".join(f"{key} ({_short(old)} -> {_short(new)})" for key, old, new in found.world)
        yield from _wrapped(f"The Worlds differ: {keys}", width, "  ")
    if found.old.name != found.new.name and not (found.old.world.get("argv") and found.new.world.get("argv")):
        yield from _wrapped("The names differ, and with them argv[0], which lies on the stack.", width, "  ")
    yield ""
    yield from _totals(found)
    own = [one for one in found.moved if one.by_itself]
    if own:
        yield from ("", "What moved, by instructions of its own:")
    shown = own if every else own[:MOVED_SHOWN]
    for one in shown:
        yield from _function(found, one, width, every)
    if len(shown) < len(own):
        yield f"  ... and {len(own) - len(shown)} more functions (--all shows them)"
    outer = [one for one in found.moved if not one.by_itself]
    if outer:
        names = ", ".join(f"{one.name} {signed(_instructions(one.total))}" for one in outer)
        yield from ("", *_wrapped(f"And with what they call: {names}", width, ""))
    if not found.moved:
        yield from ("", "Nothing moved.")
    if regressions:
        yield from ("", *(f"regression: {_verdict(one)}" for one in regressions))


def init_lines(one: Measured) -> Iterator[str]:
    """What came after start-up in a run to the end, and what the init functions of each package cost in it."""
    whole = one.whole
    if whole is None:
        return
    between = whole.to_main - whole.to_mstart
    yield f"  to main.main {whole.to_main:,}, {between:,} of them after runtime.mstart"
    yield f"  to the end {whole.to_end:,}: {whole.end}"
    yield f"  {'instructions':>14} {'share':>8}  init functions of"
    for init in whole.inits:
        share = init.instructions * 100 / between if between else 0
        yield f"  {init.instructions:14,} {share:6.2f} %  {init.package}"
    yield f"  {between:14,} {'':8}  in all"


def _title(found: Comparison) -> str:
    old, new = found.old, found.new
    name = new.name if old.name == new.name else f"{old.name} -> {new.name}"
    go = new.go if old.go == new.go else f"{old.go} -> {new.go}"
    same = ", the same program" if old.sha256 == new.sha256 else ""
    return f"{name} ({go}{same})"


def _short(value: object) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _totals(found: Comparison) -> Iterator[str]:
    yield f"  {'':14} {'old':>15} {'new':>15} {'change':>15}"
    for name in METRICS:
        old, new = getattr(found.old.totals, name), getattr(found.new.totals, name)
        if name == "writes" and not found.typed:
            yield f"  {'writes':14} not counted: there are no types in the old or the new program"
        elif name == "instructions" or old or new:
            change = f"{signed(new - old):>15} {percent(old, new):>10}".rstrip() if old != new else f"{'-':>15}"
            yield f"  {LABELS.get(name, name):14} {old:15,} {new:15,} {change}"


def signed(number: int) -> str:
    """*number* with its sign and separators: "+1,000"."""
    return f"{number:+,}" if number else "0"


def percent(old: int, new: int) -> str:
    """The change from *old* to *new* in per cent; nothing where *old* is 0."""
    return f"{(new - old) * 100 / old:+.2f} %" if old else ""


def _instructions(costs: tuple[Cost, Cost]) -> int:
    return costs[1].instructions - costs[0].instructions


def _function(found: Comparison, one: Moved, width: int, every: bool) -> Iterator[str]:
    old, new = (cost.instructions for cost in one.own)
    if old != new:
        counts = f"{signed(new - old)} ({old:,} -> {new:,}{', ' + percent(old, new) if old and new else ''})"
    else:
        counts = f"as many instructions of its own ({new:,})"
    total = _instructions(one.total)
    whole = f"; with what it calls {signed(total)}" if total != new - old else ""
    yield from _wrapped(f"{one.name}  {counts}{whole}", width, "  ")
    notes = [*_status(one), *_others(found, one)]
    causes = [cause for cause in one.causes if every or cause.kind != CALLEE or old == new]
    shown = causes if every else causes[:CAUSES_SHOWN]
    notes += [_words(one, cause) for cause in shown]
    if len(shown) < len(causes):
        notes.append(f"... and {len(causes) - len(shown)} more causes (--all shows them)")
    for note in notes:
        yield from _wrapped(note, width, "      ")


def _status(one: Moved) -> list[str]:
    if one.was is not None:
        return [f"was called {one.was}"]
    return {NEW: ["new"], GONE: ["gone, or inlined"]}.get(one.status, [])


def _others(found: Comparison, one: Moved) -> list[str]:
    # The other metrics that changed, but for system calls, which have causes of their own.
    changed = []
    for name in METRICS:
        old, new = (getattr(cost, name) for cost in one.own)
        if old != new and name not in ("instructions", "blocks", "syscalls") and (name != "writes" or found.typed):
            changed.append(f"{LABELS.get(name, name)} {signed(new - old)}")
    return [", ".join(changed)] if changed else []


def _words(one: Moved, cause: Cause) -> str:
    change = signed(cause.new - cause.old)
    if cause.kind == CALLS:
        if not cause.old:
            return f"called {_times(cause.new)} by {cause.name}, which did not call it before"
        if not cause.new:
            return f"not called any more by {cause.name}, which called it {_times(cause.old)}"
        return f"called {_times(cause.new)} by {cause.name}, not {_times(cause.old)}"
    if cause.kind == SYSCALL:
        return f"{change} {cause.name} ({cause.old} -> {cause.new})"
    if cause.kind == CALLEE:
        return f"{cause.name}, called from it: {change}"
    if cause.kind == MOVED:
        return f"{_code(one, cause)}; as much {'less' if cause.new > cause.old else 'more'} within {cause.other}"
    return _code(one, cause)


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _code(one: Moved, cause: Cause) -> str:
    change = signed(cause.new - cause.old)
    who = "its own code" if cause.name == one.name else cause.name
    if cause.calls is None or cause.name == one.name:
        return f"{who}: {change}"
    before, after = cause.calls
    if not cause.old:
        return f"{who}: {change}, not executed before"
    if not cause.new:
        return f"{who}: {change}, not executed any more"
    return f"{who}: {change}" + (f", called {_times(after)}, not {_times(before)}" if before != after else "")


def _verdict(one: Regression) -> str:
    metric = LABELS.get(one.threshold.metric, one.threshold.metric)
    what = f"{metric} of {one.function}" if one.function else f"{metric} in all"
    growth = percent(one.old, one.new)
    return f"{what} {signed(one.new - one.old)}{f' ({growth})' if growth else ''}, allowed {one.threshold.text}"
