"""What differs between two records of boots: program, World, outcome, values, functions, variables, views.

The result is JSON-ready and says where a difference was found, not how to show it (:mod:`emu.report.diff` does).  A
side that does not have a thing has no key for it.  Differences of addresses alone are told apart from those of values:
another program, or one more variable in the environment, moves everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from emu.boot import values as declared
from emu.boot.record import BootRecord, FunctionCall, Json, Syscall, Write
from emu.boot.values import Captured, Value
from emu.compare import explain, lineage
from emu.compare.align import Unit, align
from emu.compare.values import POINTED, VALUE, aligned, changed_entries, changed_leaves, difference, kind_of

SCHEMA = "rt0.diff/1"
ADDRESS_RESULTS = ("mmap", "brk", "mremap")
SIDES = ("a", "b")


def diff(a: BootRecord, b: BootRecord) -> Json:
    """Return what differs between the records *a* and *b*; the same records give the same bytes."""
    world = explain.changes(a.world, b.world)
    functions = [_unit(unit, a, b) for unit in align(a.functions, b.functions)]
    _find_elsewhere(functions)
    found: Json = {
        "schema": SCHEMA,
        "binary": {"a": a.binary, "b": b.binary, "same": a.binary["sha256"] == b.binary["sha256"]},
        "world": world,
        "outcome": {"a": a.outcome, "b": b.outcome, "same": a.outcome == b.outcome},
        "totals": {name: _count(a.totals[name], b.totals[name]) for name in ("instructions", "syscalls", "tasks")},
        "values": list(_values(a, b, [change["key"] for change in world])),
        "functions": functions,
        "other_syscalls": _syscalls(_unattributed(a), _unattributed(b)),
        "globals": _globals(a.globals, b.globals),
        "views": [
            {"name": name, "changed": changed}
            for name in dict.fromkeys((*a.views, *b.views))
            if (changed := changed_leaves(*({name: r.views[name]} if name in r.views else {} for r in (a, b))))
        ],
        "missing": _table(a.missing, b.missing),
        "notes": {"a": [n for n in a.notes if n not in b.notes], "b": [n for n in b.notes if n not in a.notes]},
        "output": None if a.output == b.output else {"a": a.output, "b": b.output},
        "unknown_syscalls": {
            "a": sorted(set(a.unknown_syscalls) - set(b.unknown_syscalls)),
            "b": sorted(set(b.unknown_syscalls) - set(a.unknown_syscalls)),
        },
    }
    found["equal"] = _is_equal(a, b)
    return found


def _is_equal(a: BootRecord, b: BootRecord) -> bool:
    # Everything but what the file is called.
    one, two = a.as_dict(), b.as_dict()
    return {**one, "binary": {**a.binary, "name": ""}} == {**two, "binary": {**b.binary, "name": ""}}


def _count(a: int, b: int) -> Json:
    return {"a": a, "b": b, "delta": b - a}


def _table(a: Json, b: Json) -> list[Json]:
    return [
        {"name": name, **{side: held[name] for side, held in zip(SIDES, (a, b), strict=True) if name in held}}
        for name in sorted(a | b)
        if a.get(name) != b.get(name)
    ]


# The values that everyone asks about


def _values(a: BootRecord, b: BootRecord, changed: list[str]) -> Iterator[Json]:
    for value in declared.VALUES:
        one, two = (declared.read(record, value) for record in (a, b))
        if isinstance(one, Captured) and isinstance(two, Captured):
            kind = difference(one.value, two.value, "uintptr" if value.unit == "address" else "")
        else:
            kind = None if type(one) is type(two) else VALUE
        if kind:
            sides = {side: _captured(found) for side, found in zip(SIDES, (one, two), strict=True)}
            whole = [{value.view: side["value"]} if "value" in side else {} for side in sides.values()]
            parts = changed_leaves(*whole) if value.view and all(whole) else []
            yield {"name": value.name, "kind": kind, "from": explain.causes(value, changed), "parts": parts, **sides}


def _captured(found: Any) -> Json:
    if isinstance(found, Captured):
        return {"value": found.value, "source": found.source}
    return {"missing": found.reason}


# Functions


def _unit(unit: Unit, a: BootRecord, b: BootRecord) -> Json:
    held = {side: [record.functions[i] for i in ids] for side, record, ids in _sides(unit, a, b)}
    inlined = {side: [record.functions[i].name for i in ids] for side, record, ids in _inlined(unit, a, b)}
    found: Json = {
        "name": (held["b"] or held["a"])[0].name,
        "relation": _relation(held["a"], held["b"]),
        "moved": unit.moved,
        "inlined": inlined,
        **{side: _calls(unit, side, held[side]) for side in SIDES if held[side]},
        "instructions": _counts(held, "instructions"),
        "own": _counts(
            {
                side: [r.functions[i] for i in _all(unit, side)] if held[side] else []
                for side, r in zip(SIDES, (a, b), strict=True)
            },
            "own",
        ),
    }
    if not held["a"] or not held["b"]:
        found |= {"arguments": [], "results": []}
    else:
        one, two = held["a"][0], held["b"][0]
        found |= {
            "arguments": changed_entries(one.arguments, two.arguments),
            "results": changed_entries(*({f"[{i}]": x for i, x in enumerate(c.results)} for c in (one, two))),
        }
    found["syscalls"] = _syscalls(
        *(_made(record, _all(unit, side)) for side, record in zip(SIDES, (a, b), strict=True))
    )
    writes = (_written(record, _all(unit, side)) for side, record in zip(SIDES, (a, b), strict=True))
    found["writes"] = list(_writes(*writes))
    found["same"] = _is_same(found)
    return found


def _sides(unit: Unit, a: BootRecord, b: BootRecord) -> tuple[tuple[str, BootRecord, list[int]], ...]:
    return ("a", a, unit.a), ("b", b, unit.b)


def _inlined(unit: Unit, a: BootRecord, b: BootRecord) -> tuple[tuple[str, BootRecord, list[int]], ...]:
    return ("a", a, unit.inlined_a), ("b", b, unit.inlined_b)


def _all(unit: Unit, side: str) -> list[int]:
    return sorted([*unit.a, *unit.inlined_a] if side == "a" else [*unit.b, *unit.inlined_b])


def _calls(unit: Unit, side: str, calls: list[FunctionCall]) -> Json:
    first = calls[0]
    names = [call.name for call in calls]
    return {"names": names, "calls": unit.a if side == "a" else unit.b, "depth": first.depth, "caller": first.caller}


def _relation(a: list[FunctionCall], b: list[FunctionCall]) -> str:
    if not a or not b:
        return "added" if b else "removed"
    if len(a) != len(b):
        return "split" if len(b) > len(a) else "merged"
    return "same" if a[0].name == b[0].name else "renamed"


def _counts(held: dict[str, list[FunctionCall]], name: str) -> Json:
    found: Json = {side: sum(getattr(call, name) for call in calls) for side, calls in held.items() if calls}
    return found | ({"delta": found["b"] - found["a"]} if len(found) == 2 else {})


def _is_same(unit: Json) -> bool:
    differing = any(unit[name] for name in ("moved", "arguments", "results", "syscalls", "writes"))
    counts = all(unit[name].get("delta") == 0 for name in ("instructions", "own"))
    return unit["relation"] == "same" and counts and not differing and not any(unit["inlined"].values())


# System calls


def _made(record: BootRecord, calls: Iterable[int]) -> list[Syscall]:
    indices = sorted({i for call in calls for i in record.functions[call].syscalls})
    return [record.syscalls[i] for i in indices]


def _unattributed(record: BootRecord) -> list[Syscall]:
    known = {i for call in record.functions for i in call.syscalls}
    return [call for i, call in enumerate(record.syscalls) if i not in known]


def _key(call: Syscall) -> str:
    # A call about another file is another call.
    path = next((x for x in call.arguments if isinstance(x, str) and not x.startswith("0x")), "")
    return f"{call.name} {path}"


def _syscalls(a: Sequence[Syscall], b: Sequence[Syscall]) -> list[Json]:
    found = []
    for i, j in aligned([_key(call) for call in a], [_key(call) for call in b]):
        sides = {"a": None if i is None else a[i], "b": None if j is None else b[j]}
        kind = _call_difference(sides["a"], sides["b"])
        if kind:
            shown = {side: _shown(call) for side, call in sides.items() if call}
            found.append({"name": next(iter(shown.values()))["name"], "kind": kind, **shown})
    return found


def _call_difference(a: Syscall | None, b: Syscall | None) -> str | None:
    if a is None or b is None or (a.errno, a.overridden) != (b.errno, b.overridden):
        return VALUE
    kinds = {
        difference(a.arguments, b.arguments),
        difference(a.result, b.result, "uintptr" if a.name in ADDRESS_RESULTS else ""),
    }
    return VALUE if VALUE in kinds else POINTED if POINTED in kinds else None


def _shown(call: Syscall) -> Json:
    return {name: getattr(call, name) for name in ("name", "arguments", "result", "errno", "overridden")}


# Variables


def _written(record: BootRecord, calls: Iterable[int]) -> list[Write]:
    found = [write for call in calls for write in record.functions[call].writes]
    return sorted(found, key=lambda write: write.after_call)


def _writes(a: list[Write], b: list[Write]) -> Iterator[Json]:
    pairs = _pairs([write.name for write in a], [write.name for write in b])
    for i, j in aligned([write.name for write in a], [pairs.get(write.name, write.name) for write in b]):
        one, two = None if i is None else a[i], None if j is None else b[j]
        kind: str | None = VALUE
        if one is not None and two is not None:
            kinds = {difference(one.before, two.before, two.type), difference(one.after, two.after, two.type)}
            kind = VALUE if VALUE in kinds else POINTED if POINTED in kinds else None
        if kind:
            last = two or one
            assert last
            sides = {side: _write(write) for side, write in zip(SIDES, (one, two), strict=True) if write}
            yield {"name": last.name, "kind": kind, **sides}


def _find_elsewhere(functions: list[Json]) -> None:
    # A variable that one function changes in A alone, and another in B alone: each row says which the other is.
    alone: dict[str, list[tuple[str, str, Json]]] = {side: [] for side in SIDES}  # (leaf, function, row)
    for unit in functions:
        for row in unit["writes"]:
            held = [side for side in SIDES if side in row]
            if len(held) == 1:
                alone[held[0]].append((row["name"], unit[held[0]]["names"][0], row))
    pairs = _pairs([leaf for leaf, _, _ in alone["a"]], [leaf for leaf, _, _ in alone["b"]])
    first: dict[str, tuple[str, Json]] = {}
    for leaf, function, row in alone["a"]:
        first.setdefault(leaf, (function, row))
    for leaf, function, row in alone["b"]:
        if (other := first.pop(pairs.get(leaf, leaf), None)) is not None:
            row["elsewhere"], other[1]["elsewhere"] = other[0], function


def _write(write: Write) -> Json:
    return {name: getattr(write, name) for name in ("name", "type", "before", "after")}


def _globals(a: Json, b: Json) -> Json:
    pairs = _pairs(a, b)
    names = {pairs.get(name, name): name for name in b}  # of the first record -> of the second
    changed = []
    for name in sorted(a):
        if name in names:
            kind = difference(a[name], b[names[name]], kind_of(name))
            if kind or name != names[name]:
                sides = {"a": {"name": name, "value": a[name]}, "b": {"name": names[name], "value": b[names[name]]}}
                changed.append({"name": names[name], "kind": kind or "name", **sides})
    return {
        "equal": len(a.keys() & names.keys()) - len(changed),
        "changed": changed,
        "removed": [{"name": name, "a": {"name": name, "value": a[name]}} for name in sorted(a) if name not in names],
        "added": [
            {"name": name, "b": {"name": name, "value": b[name]}}
            for name in sorted(b)
            if pairs.get(name, name) not in a
        ],
    }


def _pairs(a: Iterable[str], b: Iterable[str]) -> dict[str, str]:
    """Return which leaf of *a* each leaf of *b* is that has another name there."""
    one, two = set(a), set(b)
    free = one - two
    found = {}
    for name in sorted(two - one):
        candidates = [*_alternatives(declared.of_leaf(name), name), *lineage.other_names(name)]
        old = next((other for other in candidates if other in free), None)
        if old is not None:
            found[name] = old
            free.discard(old)
    return found


def _alternatives(value: Value | None, name: str) -> Iterator[str]:
    if value is not None and name in value.sources:
        yield from (source for source in value.sources if source != name)
