"""BootRecord: what one boot computed; immutable, and the same bytes on every machine.

Holds no engine object, no host path and no time of the host.  Everything downstream (text, diff, verify, sweeps,
benchmarks) reads only this.  The JSON form is ``rt0.boot/1``; its schema is in :mod:`emu.boot.schema`.
"""

from __future__ import annotations

import json

from syscalls.light import Any, NamedTuple, dataclass, field

SCHEMA = "rt0.boot/1"

Json = dict[str, Any]


class Write(NamedTuple):
    """One leaf of a global that a function changed."""

    name: str  # "runtime.sched.maxmcount"
    type: str  # as Go spells it
    before: Any
    after: Any
    source: str  # dwarf | symbol | recovered
    after_call: int  # index of the function call that was entered last when the change was seen


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """One call of a bootstrap function, in order of entry."""

    name: str
    caller: str | None  # the function that called it, as the program's tables name it
    depth: int  # 0 for the entry point
    parent: int | None  # index of the enclosing bootstrap function's call
    pc: int
    file: str
    line: int
    inlined: bool
    instructions: int  # between entry and return, everything it called included
    own: int  # the same, without the bootstrap functions it called
    returned: bool  # False: it was still running (or never returns) when the boot ended
    arguments: Json
    results: list[Any]
    syscalls: list[int]  # indices, made while it was the innermost bootstrap function
    writes: list[Write]  # of leaves that changed while it was the innermost


@dataclass(frozen=True, slots=True)
class Syscall:
    """One system call."""

    name: str
    arguments: list[Any]
    result: int
    errno: str | None
    function: str | None
    overridden: bool
    after_call: int | None  # index of the function call that was entered last when it was made; None without capture


@dataclass(frozen=True, slots=True)
class BootRecord:
    """A whole boot."""

    binary: Json
    world: Json
    outcome: Json
    totals: Json
    functions: tuple[FunctionCall, ...]
    syscalls: tuple[Syscall, ...]
    globals: Json  # every leaf that any function changed, at the end
    views: Json
    missing: dict[str, str]  # what could not be had -> why
    output: str = ""  # what the guest wrote to standard output and error
    unknown_syscalls: tuple[int, ...] = ()
    notes: tuple[str, ...] = field(default=())
    evidence: dict[str, str] = field(default_factory=dict)  # recovered variable -> what proves its place

    def as_dict(self) -> Json:
        """The record as JSON-ready values, by the schema."""
        return {
            "schema": SCHEMA,
            "binary": self.binary,
            "world": self.world,
            "outcome": self.outcome,
            "totals": self.totals,
            "functions": [_function(call) for call in self.functions],
            "syscalls": [_plain(call) for call in self.syscalls],
            "globals": self.globals,
            "views": self.views,
            "missing": self.missing,
            "output": self.output,
            "unknown_syscalls": list(self.unknown_syscalls),
            "notes": list(self.notes),
            **({"evidence": self.evidence} if self.evidence else {}),
        }

    def to_json(self) -> str:
        """The record as one line of JSON with sorted keys."""
        return as_json(self.as_dict())

    def calls(self, name: str) -> list[FunctionCall]:
        """Every call of the bootstrap function *name*, in order."""
        return [call for call in self.functions if call.name == name]


def as_json(value: Any) -> str:
    """*value* as JSON the way that all of rt0 writes it: keys sorted, no blanks, text as it is."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _plain(row: Any) -> Json:
    return {name: getattr(row, name) for name in row.__slots__}


def _function(call: FunctionCall) -> Json:
    plain = _plain(call)
    plain["pc"] = hex(call.pc)
    plain["writes"] = [write._asdict() for write in call.writes]
    return plain
