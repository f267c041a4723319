"""The published JSON schema of ``rt0.boot/1``, what :meth:`emu.boot.record.BootRecord.to_json` writes.

JSON Schema, draft 2020-12.  A reader must accept keys that it does not know: later releases may add some, and will
change the number in ``schema`` when they change a meaning.
"""

from __future__ import annotations

import json

from emu.boot.record import SCHEMA
from syscalls.light import Any

ADDRESS = {"type": "string", "pattern": "^0x[0-9a-f]+$"}
TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}
INDEX = {"type": "integer", "minimum": 0}
NUMBER = {"type": "integer"}
FLAG = {"type": "boolean"}
ANY: dict[str, Any] = {}


def nullable(kind: dict[str, Any]) -> dict[str, Any]:
    """*kind* or null."""
    return {"anyOf": [kind, {"type": "null"}]}


def array(items: dict[str, Any], about: str = "") -> dict[str, Any]:
    """An array of *items*."""
    return {"type": "array", "items": items} | ({"description": about} if about else {})


def table(values: dict[str, Any], about: str) -> dict[str, Any]:
    """An object whose keys are names."""
    return {"type": "object", "additionalProperties": values, "description": about}


def record(properties: dict[str, Any], about: str = "") -> dict[str, Any]:
    """An object that has every one of *properties*."""
    return {"type": "object", "properties": properties, "required": sorted(properties)} | (
        {"description": about} if about else {}
    )


BINARY = record(
    {
        "name": TEXT,
        "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "go": {"type": "string", "description": "the release as the program states it, such as go1.27.3; may be empty"},
        "entry": ADDRESS,
        "kind": {"enum": ["exec", "pie", "dynamic"]},
        "stripped": {"type": "boolean", "description": "it has no symbol table"},
        "dwarf": {"type": "boolean", "description": "its types were read"},
    },
    "the program",
)
OUTCOME = record(
    {
        "kind": {"enum": ["reached", "throw", "exit", "signal", "limit", "unsupported"]},
        "at": nullable({"type": "string", "description": "the function that was reached, or the limit"}),
        "message": TEXT,
        "exit_status": nullable({"type": "integer", "description": "as a shell sees it: 128 + n for signal n"}),
        "pc": ADDRESS,
        "function": nullable({"type": "string", "description": "the function that pc is in"}),
    },
    "how the boot ended",
)
WRITE = record(
    {
        "name": {"type": "string", "description": "a leaf of a variable, such as runtime.sched.maxmcount"},
        "type": {"type": "string", "description": "its Go type"},
        "before": ANY,
        "after": ANY,
        "source": {"enum": ["dwarf", "symbol", "recovered"], "description": "where name and type come from"},
        "after_call": {"type": "integer", "description": "index of the call entered last when the change was seen"},
    }
)
FUNCTION = record(
    {
        "name": TEXT,
        "caller": nullable({"type": "string", "description": "the function that called it, in the bootstrap or not"}),
        "depth": {"type": "integer", "minimum": 0, "description": "bootstrap functions that were running"},
        "parent": nullable({"type": "integer", "minimum": 0, "description": "index of the innermost of those"}),
        "pc": ADDRESS,
        "file": TEXT,
        "line": COUNT,
        "inlined": FLAG,
        "instructions": {"type": "integer", "minimum": 0, "description": "from entry to return, with all it called"},
        "own": {"type": "integer", "minimum": 0, "description": "the same without the bootstrap functions it called"},
        "returned": FLAG,
        "arguments": {"type": "object"},
        "results": {"type": "array"},
        "syscalls": array(INDEX, "indices of the system calls made while it was the innermost"),
        "writes": array(WRITE, "leaves of globals that changed while it was the innermost"),
    }
)
POINTED = record(
    {
        "addr": ADDRESS,
        "size": {"type": "integer", "minimum": 0, "description": "bytes in all, of which the first are shown"},
    },
    "a pointer with the bytes behind it: text, or hex for what is none",
) | {"oneOf": [{"required": ["text"]}, {"required": ["hex"]}]}
SYSCALL = record(
    {
        "name": TEXT,
        "arguments": array({"anyOf": [NUMBER, TEXT, POINTED]}, "integers, paths, pointers, and pointers with contents"),
        "result": {"type": "integer", "description": "-errno on failure"},
        "errno": nullable({"type": "string", "pattern": "^E[A-Z0-9]+$"}),
        "function": nullable({"type": "string", "description": "the innermost bootstrap function that made it"}),
        "overridden": {"type": "boolean", "description": "a response of the World answered instead of the kernel"},
        "after_call": nullable({"type": "integer", "description": "index of the call entered last before it"}),
    }
)


def schema() -> dict[str, Any]:
    """The schema as JSON-ready values."""
    found: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{SCHEMA.replace('/', ':')}",
        "title": "What one boot of a Go program computed",
        **record(
            {
                "schema": {"const": SCHEMA},
                "binary": BINARY,
                "world": {"type": "object", "description": "the effective World, every key"},
                "outcome": OUTCOME,
                "totals": record({"instructions": COUNT, "syscalls": COUNT, "tasks": COUNT}),
                "functions": array(FUNCTION, "calls of bootstrap functions, in order of entry"),
                "syscalls": array(SYSCALL, "in order"),
                "globals": table(ANY, "leaf of a variable -> its value at the end: all that changed, or are declared"),
                "views": table(ANY, "what lies behind pointers, by name"),
                "missing": table(TEXT, "view or value that could not be had -> why"),
                "output": {"type": "string", "description": "what the program wrote to standard output and error"},
                "unknown_syscalls": array(COUNT, "numbers of system calls that are not known"),
                "notes": array(TEXT, "what about the program is damaged or missing"),
            }
        ),
    }
    # Not required: a program with debugging information needs none.
    found["properties"]["evidence"] = table(TEXT, "variable that was recovered -> what in the program proves its place")
    return found


def to_json() -> str:
    """The schema as indented JSON with sorted keys."""
    return json.dumps(schema(), indent=2, sort_keys=True)
