"""What differs between two boots, as text: World, key values, functions in order, variables, views.

Reads the JSON form of a comparison (``rt0.diff/1``, :mod:`emu.compare.diff`) and nothing else.  What follows from
something else that is shown is folded: addresses, times of a clock that runs with the instructions, instructions of
callees, and later states of a variable that differed before.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from emu.boot import values
from emu.boot.record import Json, Syscall
from emu.report import calls, words
from emu.report.paper import Paper, Spans
from emu.report.tree import MEMORY_CALLS, variable

SIDES = ("a", "b")
CLOCK_UNITS = ("ns", "ticks")
NAMED = "have another name"
FEW = 4  # variables without a declaration that are shown, of a function or a view
MAX_GROUPS = 6
MAX_TEXT = 160  # characters of a value
# A record that was damaged within the bounds of its schema may hold values of any shape.
SHAPE_ERRORS = (TypeError, ValueError, KeyError, IndexError, AttributeError)


def lines(diff: Json, paper: Paper, show_all: bool = False) -> Iterator[str]:
    """The report of *diff*; with *show_all* nothing is folded."""
    yield from Report(diff, paper, show_all).lines()


class Report:
    """Renders one comparison."""

    def __init__(self, diff: Json, paper: Paper, show_all: bool) -> None:
        self.diff, self.paper, self.show_all = diff, paper, show_all

    def lines(self) -> Iterator[str]:
        """Every line."""
        yield from self._head()
        if self.diff["equal"]:
            yield ""
            yield "nothing differs"
            return
        for title, part in (
            ("World", self._world()),
            ("Key values", self._values()),
            ("Functions", self._functions()),
            ("Variables at the end", self._variables()),
            ("Views", self._views()),
            ("What could not be had, notes, output", self._rest()),
        ):
            held = list(part)
            if held:
                yield ""
                yield self.paper.styled("head", title)
                yield from held

    def _lay(self, spans: Spans, indent: int = 2, right: str = "") -> Iterator[str]:
        yield from self.paper.lay(spans, " " * indent, " " * (indent + 4), right)

    # Head

    def _head(self) -> Iterator[str]:
        for side in SIDES:
            binary, outcome = self.diff["binary"][side], self.diff["outcome"][side]
            totals = self.diff["totals"]
            sizes = f"{totals['instructions'][side]:,} instructions, {totals['syscalls'][side]:,} system calls"
            ended = outcome["message"] if outcome["kind"] == "reached" else f"{outcome['kind']}: {outcome['message']}"
            spans: Spans = [("name", side.upper()), ("", f"  {binary['name']} ({binary['go'] or 'release unknown'}): ")]
            yield from self.paper.lay(
                [*spans, ("" if outcome["kind"] == "reached" else "bad", ended), ("", f"; {sizes}")]
            )
        yield from self._lay([("faint", self._why())], 3)
        if not self.diff["equal"]:
            yield from self._lay([("faint", "x -> y: x in A, y in B")], 3)

    def _why(self) -> str:
        keys = [change["key"] for change in self.diff["world"]]
        if not self.diff["binary"]["same"]:
            return f"two programs, in {'the same World' if not keys else 'different Worlds'}"
        if not keys:
            return "the same program in the same World"
        return f"the same program: all that differs comes from {', '.join(keys)} of the World"

    # World and values

    def _world(self) -> Iterator[str]:
        for change in self.diff["world"]:
            spans: Spans = [("world", f"{change['key']}: "), *_change(change)]
            yield from self._lay(spans)

    def _values(self) -> Iterator[str]:
        folded: Counter[str] = Counter()
        for row in self.diff["values"]:
            value = values.BY_NAME[row["name"]]
            if not self.show_all and (row["kind"] == "address" or value.unit == "address"):
                folded["addresses"] += 1
            elif not self.show_all and value.unit in CLOCK_UNITS and not row["from"]:
                folded["times, which run with the instructions"] += 1
            else:
                yield from self._lay(self._value(row, value))
        if folded:
            yield from self._lay([("faint", f"and {_listed(folded)}  (--all)")])

    def _value(self, row: Json, value: values.Value) -> Spans:
        if row["parts"] and not _resized(row):
            shown = self._parts(row["parts"], value.view)
        else:
            shown = " -> ".join(_captured(row[side], value) for side in SIDES)
        spans: Spans = [("name", value.name), ("", "  "), ("value", shown)]
        sources = [row[side].get("source") for side in SIDES]
        if all(sources) and sources[0] != sources[1]:
            spans.append(("", f"  ({sources[0]}, {sources[1]})"))
        if row["from"]:
            spans.append(("world", f"  <- World: {', '.join(row['from'])}"))
        return [*spans, ("faint", f"  # {value.doc}")]

    def _parts(self, parts: list[Json], view: str) -> str:
        # What differs of a struct or a list of structs, by path; of a struct that has no path left, the two values.
        rows = [part for part in parts if part["kind"] == "value" or self.show_all]
        shown = []
        for row in rows if self.show_all else rows[:FEW]:
            name = row["path"].removeprefix(view).lstrip(".")
            text = "".join(text for _, text in _change(row))
            shown.append(f"{name}: {text}" if name else text)
        if len(rows) > len(shown):
            shown.append(f"and {len(rows) - len(shown)} more")
        return "; ".join(shown)

    # Functions

    def _functions(self) -> Iterator[str]:
        folded: Counter[str] = Counter()
        for run in self._runs():
            reason = None if self.show_all else _fold(run[0])
            if reason:
                folded[reason] += len(run)
            elif len(run) > 1:
                yield from self._lay([("name", run[0]["name"]), ("", f"  {len(run)} calls alike")], 2, _counts(*run))
            else:
                yield from self._function(run[0])
        if self.diff["other_syscalls"]:
            yield from self._lay([("name", "outside of these functions")])
            yield from self._syscalls(self.diff["other_syscalls"])
        if folded:
            yield from self._lay([("faint", f"and {_listed(folded)}")])

    def _runs(self) -> Iterator[list[Json]]:
        # Calls in a row that differ in how many instructions they took, and in nothing else.
        run: list[Json] = []
        for unit in self.diff["functions"]:
            alike = not self.show_all and _fold(unit) is None and unit["relation"] == "same" and not _parts_of(unit)
            if run and not (alike and run[0]["name"] == unit["name"] and not _parts_of(run[0])):
                yield run
                run = []
            run.append(unit)
        if run:
            yield run

    def _function(self, unit: Json) -> Iterator[str]:
        name, about = _about(unit)
        spans: Spans = [("name", name), ("", f"  {about}" if about else "")]
        if unit["relation"] in ("added", "removed"):
            spans.insert(0, ("bad", "only in B: " if unit["relation"] == "added" else "only in A: "))
        yield from self._lay(spans, 2, _counts(unit))
        yield from self._passed("takes", unit["arguments"])
        yield from self._passed("returns", unit["results"])
        yield from self._syscalls(unit["syscalls"])
        yield from self._writes(unit)

    def _passed(self, verb: str, rows: list[Json]) -> Iterator[str]:
        # What only one side has is another signature, which the values of the other rows do not depend on.
        only = {
            side: ", ".join(_plain(row["path"]) for row in rows if [*row.keys() & set(SIDES)] == [side])
            for side in SIDES
        }
        if any(only.values()):
            listed = "; ".join(f"only in {side.upper()}: {names}" for side, names in only.items() if names)
            yield from self._lay([("faint", f"{verb} {listed}")], 6)
        for row in rows:
            if all(side in row for side in SIDES) and (row["kind"] == "value" or self.show_all):
                which = "" if row["path"].startswith("[") else f"{row['path']} "
                yield from self._lay([("", f"{verb} {which}"), *_change(row)], 6)

    def _syscalls(self, rows: list[Json]) -> Iterator[str]:
        moved = 0
        if not self.show_all:
            memory = [row for row in rows if row["name"] in MEMORY_CALLS and not all(side in row for side in SIDES)]
            if len(memory) > FEW:
                rows = [row for row in rows if row not in memory]
                yield from self._memory(memory)
        for row in rows:
            if row["kind"] == "address" and not self.show_all:
                moved += 1
                continue
            shown = {side: _call(row[side]) for side in SIDES if side in row}
            if len(shown) == 2:
                yield from self._lay([("call", f"> {shown['a']}")], 6)
                yield from self._lay([("call", f"  -> {shown['b']}")], 6)
            else:
                side, text = next(iter(shown.items()))
                yield from self._lay([("call", f"> {text}"), ("", f"  only in {side.upper()}")], 6)
        if moved:
            yield from self._lay([("faint", f"> {words.count(moved, 'call')} at other addresses  (--all)")], 6)

    def _memory(self, rows: list[Json]) -> Iterator[str]:
        for side in SIDES:
            names = Counter(row["name"] for row in rows if side in row)
            if names:
                listed = ", ".join(f"{n} {name}" for name, n in names.items())
                text = f"> {words.count(names.total(), 'call')} for memory: {listed}"
                yield from self._lay([("call", text), ("", f"  only in {side.upper()}"), ("faint", "  (--all)")], 6)

    def _writes(self, unit: Json) -> Iterator[str]:
        held = [side for side in SIDES if side in unit]
        hidden: list[str] = []
        plain = moved = 0
        for row in unit["writes"]:
            value = values.of_leaf(row["name"])
            wanted = self.show_all or (value is not None and row["kind"] == "value" and row["name"] in value.sources)
            wanted = wanted and (self.show_all or value is None or value.unit not in ("address", *CLOCK_UNITS))
            few = value is None and row["kind"] == "value" and plain < FEW and not _is_dull(row)
            if not wanted and not few:
                if row["kind"] == "address":
                    moved += 1
                else:
                    hidden.append(row["name"])
                continue
            plain += value is None
            yield from self._lay(_write(row, value, len(held)), 6)
        if hidden:
            yield from self._lay([("faint", f"= and {len(hidden)} more: {_grouped(hidden)}  (--all)")], 6)
        if moved:
            yield from self._lay([("faint", f"= {words.count(moved, 'address', 'addresses')}  (--all)")], 6)

    # Variables, views, the rest

    def _variables(self) -> Iterator[str]:
        table = self.diff["globals"]
        yield from self._lay([("", f"{table['equal']:,} are equal")])
        changed: list[tuple[str, list[Json]]] = [
            ("differ", [row for row in table["changed"] if row["kind"] == "value"]),
            ("differ in addresses", [row for row in table["changed"] if row["kind"] == "address"]),
            (NAMED, [row for row in table["changed"] if row["kind"] == "name"]),
            ("are only in A", table["removed"]),
            ("are only in B", table["added"]),
        ]
        for what, rows in changed:
            if rows and not self.show_all and what != NAMED:
                yield from self._lay(
                    [("", f"{len(rows):,} {what}: {_grouped([row['name'] for row in rows])}  (--all)")]
                )
            elif rows:
                yield from self._lay([("", f"{len(rows):,} {what}")])
                for row in rows:
                    yield from self._lay(_variable(row), 6)

    def _views(self) -> Iterator[str]:
        told = {values.BY_NAME[row["name"]].view for row in self.diff["values"]}
        for view in self.diff["views"]:
            if view["name"] in told and not self.show_all:
                continue
            rows = [row for row in view["changed"] if self.show_all or row["kind"] == "value"]
            addresses = len(view["changed"]) - len(rows)
            shown = rows if self.show_all or len(rows) <= FEW else rows[:FEW]
            if not rows:
                continue
            for row in shown:
                yield from self._lay([("name", row["path"]), ("", ": "), *_change(row)])
            rest = [f"{len(rows) - len(shown)} more"] if len(rows) > len(shown) else []
            rest += [words.count(addresses, "address", "addresses")] if addresses else []
            if rest:
                yield from self._lay([("faint", f"and {', '.join(rest)} of {view['name']}  (--all)")], 4)

    def _rest(self) -> Iterator[str]:
        told = {row["name"] for row in self.diff["values"]}
        told |= {values.BY_NAME[name].view for name in told}
        for row in self.diff["missing"]:
            if row["name"] in told and not self.show_all:
                continue
            reasons = " -> ".join(f"missing, {row[side]}" if side in row else "there" for side in SIDES)
            yield from self._lay([("name", row["name"]), ("", f": {reasons}")])
        for side in SIDES:
            for note in self.diff["notes"][side]:
                yield from self._lay([("", f"only in {side.upper()}: {note}")])
            if self.diff["unknown_syscalls"][side]:
                numbers = ", ".join(map(str, self.diff["unknown_syscalls"][side]))
                yield from self._lay([("", f"only in {side.upper()}: unknown system calls {numbers}")])
        if self.diff["output"]:
            for side in SIDES:
                yield from self._lay(
                    [("", f"{side.upper()} wrote {words.quoted(self.diff['output'][side], MAX_TEXT)}")]
                )


def _fold(unit: Json) -> str | None:
    # Why a function is not worth a line: nothing differs, or only what follows from others.
    if unit["same"]:
        return "calls that do the same"
    if unit["relation"] != "same" or unit["moved"] or any(unit["inlined"].values()) or unit["own"].get("delta"):
        return None
    parts = [row for name in ("arguments", "results", "syscalls", "writes") for row in unit[name]]
    times = (value.unit in CLOCK_UNITS for row in unit["writes"] if (value := values.of_leaf(row["name"])))
    if not any(row["kind"] == "value" for row in parts):
        return "calls that differ in what they call, or in addresses, only"
    if len(parts) == len(unit["writes"]) and sum(times) == sum(row["kind"] == "value" for row in parts):
        return "calls that differ in times only"
    return None


def _parts_of(unit: Json) -> bool:
    # Does it differ in more than counts, and addresses?
    rows = (row for name in ("arguments", "results", "syscalls", "writes") for row in unit[name])
    return unit["moved"] or any(unit["inlined"].values()) or any(row["kind"] == "value" for row in rows)


def _plain(path: str) -> str:
    return path.strip("[]") if not path.startswith("[") else "a result"


def _about(unit: Json) -> tuple[str, str]:
    # The name, or both; and what else there is to say of who it is.
    name, parts = unit["name"], []
    one, two = (unit.get(side) for side in SIDES)
    if one and two:
        names = [" + ".join(held["names"]) for held in (one, two)]
        name = names[0] if names[0] == names[1] else " -> ".join(names)
    else:
        held = one or two
        parts.append(f"called by {held['caller']}" if held and held["caller"] else "")
    for side, other in (("a", "B"), ("b", "A")):
        if unit["inlined"][side]:
            parts.append(f"holds {', '.join(unit['inlined'][side])}, inlined in {other}")
    if unit["moved"]:
        parts.append("at another place in the order")
    return name, "; ".join(part for part in parts if part)


def _counts(*units: Json) -> str:
    one, two = (sum(unit["instructions"].get(side, 0) for unit in units) for side in SIDES)
    if "delta" not in units[0]["instructions"]:
        return f"{one or two:,}"
    own = sum(unit["own"]["delta"] for unit in units)
    if one == two:
        return f"{one:,}" if not own else f"{one:,} ({own:+,} own)"
    where = "" if own == two - one else f", {own:+,} own" if own else ", in callees"
    return f"{one:,} -> {two:,} ({two - one:+,}{where})"


def _shown(value: Any, kind: str = "", unit: str = "") -> str:
    try:
        text = words.value(value, kind, unit)
    except SHAPE_ERRORS:
        text = json.dumps(value)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}..."


def _change(row: Json) -> Spans:
    shown = {side: _shown(row[side]) for side in SIDES if side in row}
    if len(shown) == 2:
        return [("value", f"{shown['a']} -> {shown['b']}")]
    side, text = next(iter(shown.items()))
    return [("value", text), ("", f", only in {side.upper()}")]


def _resized(row: Json) -> bool:
    held = [row[side]["value"] for side in SIDES]
    return all(isinstance(value, list) for value in held) and len(held[0]) != len(held[1])


def _captured(side: Json, value: values.Value) -> str:
    if "missing" in side:
        return str(side["missing"])
    held = side["value"]
    if value.view and isinstance(held, list):
        return words.count(len(held), "entry", "entries")
    return _shown(held, "", value.unit)


def _call(row: Json) -> str:
    fields = {name: row[name] for name in ("name", "arguments", "result", "errno", "overridden")}
    try:
        return calls.text(Syscall(**fields, function=None, after_call=None))
    except SHAPE_ERRORS:
        return json.dumps(fields)[:MAX_TEXT]


def _is_dull(row: Json) -> bool:
    # An element among many, or what differed before the function came to it.
    both = all(side in row for side in SIDES)
    return "[" in row["name"] or (both and row["a"]["before"] != row["b"]["before"])


def _write(row: Json, value: values.Value | None, sides: int) -> Spans:
    unit = value.unit if value else ""
    shown = {side: _shown(row[side]["after"], row[side]["type"], unit) for side in SIDES if side in row}
    before = [row[side]["before"] for side in SIDES if side in row]
    if len(shown) == 1:
        side, text = next(iter(shown.items()))
        spans: Spans = [("value", f"= {row['name']}: becomes {text}")]
        if "elsewhere" in row:
            other = "B" if side == "a" else "A"
            return [*spans, ("", f" in {side.upper()}; in {other} {row['elsewhere']} does that")]
        return [*spans, ("", f", only in {side.upper()}")] if sides > 1 else spans
    names = row["name"] if row["a"]["name"] == row["b"]["name"] else f"{row['a']['name']} -> {row['b']['name']}"
    if before[0] != before[1]:
        was = [_shown(row[side]["before"], row[side]["type"], unit) for side in SIDES]
        return [("value", f"= {names}: becomes {shown['a']} (was {was[0]}) -> {shown['b']} (was {was[1]})")]
    return [("value", f"= {names}: becomes {shown['a']} -> {shown['b']}")]


def _variable(row: Json) -> Spans:
    held = {side: {"value": row[side]["value"]} for side in SIDES if side in row}
    spans = _change({side: one["value"] for side, one in held.items()})
    if len(held) == 2 and row["a"]["name"] != row["b"]["name"]:
        names = f"{row['a']['name']} -> {row['b']['name']}"
        return [("", names)] if row["kind"] == "name" else [("", f"{names}: "), *spans]
    return [("", f"{row['name']}: "), *spans]


def _listed(folded: Counter[str]) -> str:
    return ", ".join(f"{n} {what}" for what, n in folded.items())


def _grouped(names: list[str]) -> str:
    groups = Counter(variable(name) for name in names)
    rest = len(groups) - MAX_GROUPS
    listed = ", ".join(f"{name} {n}" if n > 1 else name for name, n in groups.most_common(MAX_GROUPS))
    return listed + (f", and {words.count(rest, 'other variable')}" if rest > 0 else "")
