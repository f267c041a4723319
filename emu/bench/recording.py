"""A recording: what the start-up of some programs costs, by function; ``rt0.bench/1``.

Holds no path, no time and nothing of the host: the same programs in the same World give the same bytes everywhere.
The fields are explained in docs/bench.md.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from emu.bench.cost import METRICS, Cost, Share
from emu.boot.record import as_json

SCHEMA = "rt0.bench/1"


@dataclass(frozen=True, slots=True)
class Init:
    """What a package's init functions executed, with all that they called."""

    package: str
    instructions: int
    calls: int


@dataclass(frozen=True, slots=True)
class Whole:
    """Instructions from the entry point to ``runtime.mstart``, to ``main.main`` and to the end, and how that was."""

    to_mstart: int
    to_main: int
    to_end: int
    end: str
    inits: tuple[Init, ...]  # the most expensive first; adds up to to_main - to_mstart


BEFORE = "[before]"
"""The row of what ran before the first bootstrap function was entered: a C library's start-up code."""

Json = dict[str, Any]
SHARES = ("instructions", "blocks", "calls")
WORDS = {dict: "an object", list: "an array", str: "a text", int: "a count"}


class NotARecording(ValueError):
    """JSON that is no recording; the message says what is wrong with it."""


@dataclass(slots=True)
class Row:
    """One bootstrap function, all its calls together.

    *own* leaves out the bootstrap functions that it called, *total* does not; a call within a call of the same
    function counts once.  *parts* shares *own* out among the functions of the program that executed it.
    """

    name: str
    calls: int = 0
    callers: dict[str, int] = field(default_factory=dict)  # function of the program -> calls made from it
    within: dict[str, int] = field(
        default_factory=dict
    )  # enclosing bootstrap function -> instructions that this took there
    own: Cost = field(default_factory=Cost)
    total: Cost = field(default_factory=Cost)
    syscalls: dict[str, int] = field(default_factory=dict)  # name -> how many, own
    parts: dict[str, Share] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measured:
    """One program's start-up, from its entry point to the first instruction of ``runtime.mstart``."""

    name: str
    go: str
    kind: str
    sha256: str
    linked: int  # functions in the program's table: some of start-up looks at each of them
    typed: bool  # False: nothing is known of the globals, and writes are not counted
    world: Json
    totals: Cost
    syscalls: dict[str, int]  # name -> how many
    functions: tuple[Row, ...]  # in order of first entry; their own costs add up to the totals
    program: dict[str, Share]  # every function that executed anything; adds up to the totals
    whole: Whole | None = None  # of a run to the end: what came after start-up

    @property
    def world_sha256(self) -> str:
        """The digest of the World that it ran in."""
        return hashlib.sha256(as_json(self.world).encode("utf-8", "surrogatepass")).hexdigest()

    def function(self, name: str) -> Row | None:
        """The row called *name*."""
        return next((row for row in self.functions if row.name == name), None)


# JSON


def to_json(programs: list[Measured]) -> str:
    """The recording of *programs* as one line of JSON with sorted keys."""
    return as_json({"schema": SCHEMA, "programs": [_program(one) for one in programs]})


def from_json(text: str) -> list[Measured]:
    """The programs of a recording; raises NotARecording."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotARecording(f"not JSON: {error}") from error
    schema = whole.get("schema") if isinstance(whole, dict) else None
    if schema != SCHEMA:
        raise NotARecording(f"not a recording: its schema is {schema!r}, not {SCHEMA!r}")
    rows = _field(whole, "", "programs", list)
    if not rows:
        raise NotARecording("a recording of no program")
    return [_read_program(row, f"programs[{index}]") for index, row in enumerate(rows)]


def _field(at: Any, where: str, name: str, kind: type) -> Any:
    # The field *name* of the object *at*, which is at *where*; a number must be a count.
    place = f"{where}.{name}" if where else name
    if not isinstance(at, dict) or name not in at:
        raise NotARecording(f"{place} is missing")
    value = at[name]
    if not isinstance(value, kind) or isinstance(value, bool) or (isinstance(value, int) and value < 0):
        raise NotARecording(f"{place} is not {WORDS[kind]}")
    return value


def _counts(at: Any, where: str, name: str) -> dict[str, int]:
    return {key: _field(at[name], f"{where}.{name}", key, int) for key in _field(at, where, name, dict)}


def _read_program(at: Any, where: str) -> Measured:
    totals = _field(at, where, "totals", dict)
    rows = _field(at, where, "functions", list)
    found = Measured(
        **{name: _field(at, where, name, str) for name in ("name", "go", "kind", "sha256")},
        linked=_field(at, where, "linked", int),
        typed=totals.get("writes") is not None,
        world=_field(at, where, "world", dict),
        totals=_read_cost(at, where, "totals"),
        syscalls=_counts(at, where, "syscalls"),
        functions=tuple(_read_row(row, f"{where}.functions[{index}]") for index, row in enumerate(rows)),
        program=_read_shares(at, where, "program"),
        whole=_read_whole(at["run"], f"{where}.run") if "run" in at else None,
    )
    if _field(at, where, "world_sha256", str) != found.world_sha256:
        raise NotARecording(f"{where}.world_sha256 is not that of the world")
    return found


def _read_whole(at: Any, where: str) -> Whole:
    inits = _field(at, where, "inits", list)
    return Whole(
        **{name: _field(at, where, name, int) for name in ("to_mstart", "to_main", "to_end")},
        end=_field(at, where, "end", str),
        inits=tuple(_read_init(one, f"{where}.inits[{index}]") for index, one in enumerate(inits)),
    )


def _read_init(at: Any, where: str) -> Init:
    counts = {name: _field(at, where, name, int) for name in ("instructions", "calls")}
    return Init(_field(at, where, "package", str), **counts)


def _read_row(at: Any, where: str) -> Row:
    return Row(
        name=_field(at, where, "name", str),
        calls=_field(at, where, "calls", int),
        callers=_counts(at, where, "callers"),
        within=_counts(at, where, "within"),
        own=_read_cost(at, where, "own"),
        total=_read_cost(at, where, "total"),
        syscalls=_counts(at, where, "syscalls"),
        parts=_read_shares(at, where, "parts"),
    )


def _read_cost(at: Any, where: str, name: str) -> Cost:
    given = _field(at, where, name, dict)
    counted = (metric for metric in METRICS if metric != "writes" or given.get(metric, 0) is not None)
    return Cost(**{metric: _field(given, f"{where}.{name}", metric, int) for metric in counted})


def _read_shares(at: Any, where: str, name: str) -> dict[str, Share]:
    given = _field(at, where, name, dict)
    return {
        key: Share(**{part: _field(share, f"{where}.{name}.{key}", part, int) for part in SHARES})
        for key, share in given.items()
    }


def _program(one: Measured) -> Json:
    shown = {name: getattr(one, name) for name in ("name", "go", "kind", "sha256", "linked", "world", "syscalls")}
    shown["world_sha256"] = one.world_sha256
    shown["totals"] = _cost(one.totals, one.typed)
    shown["functions"] = [_row(row, one.typed) for row in one.functions]
    shown["program"] = {name: asdict(share) for name, share in one.program.items()}
    if one.whole is not None:
        shown["run"] = asdict(one.whole)
    return shown


def _cost(cost: Cost, typed: bool) -> Json:
    return {name: getattr(cost, name) if typed or name != "writes" else None for name in METRICS}


def _row(row: Row, typed: bool) -> Json:
    shown = asdict(row)
    return shown | {"own": _cost(row.own, typed), "total": _cost(row.total, typed)}
