"""Records as files: read back, and refused with one line if they are not what they should be.

A file is believed if it is JSON and fits the published schema (:mod:`emu.boot.schema`), of which the few words that it
uses are checked here; fields that the schema does not name are ignored, as it asks readers to do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emu.boot.record import SCHEMA, BootRecord, FunctionCall, Json, Syscall, Write
from emu.boot.schema import schema

TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "null": type(None),
}


class RecordError(ValueError):
    """The file is not a record of a boot.  The message is one line and says what is wrong."""


def load(path: str | Path) -> BootRecord:
    """Return the record in the file *path*; raise RecordError for a file that holds none."""
    try:
        text = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RecordError(f"{path}: {reason.lower()}") from error
    try:
        return parse(text)
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from error


def parse(text: bytes) -> BootRecord:
    """Return the record that *text* holds as JSON; raise RecordError if it is none."""
    if not text.strip():
        raise RecordError("the file is empty")
    try:
        found = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"not JSON, or cut off: {error}") from error
    if not isinstance(found, dict) or "schema" not in found:
        raise RecordError(f"JSON, but no record of a boot ({SCHEMA})")
    if found["schema"] != SCHEMA:
        raise RecordError(f"a record of schema {found['schema']!r}; this reads {SCHEMA!r}")
    problem = next(problems(found, schema(), "record"), None)
    if problem:
        raise RecordError(f"damaged: {problem}")
    return _record(found)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def problems(value: Any, rule: Json, where: str) -> Iterator[str]:
    """Yield a sentence for each place where *value*, which stands at *where*, does not fit *rule*."""
    if "anyOf" in rule and all(any(problems(value, one, where)) for one in rule["anyOf"]):
        yield f"{where} is none of what it may be"
    if "type" in rule and not _is(value, rule["type"]):
        yield f"{where} is not of type {rule['type']}"
        return
    if "enum" in rule and value not in rule["enum"]:
        yield f"{where} is none of {', '.join(rule['enum'])}"
    if "pattern" in rule and not re.search(rule["pattern"], value):
        yield f"{where} does not look as it should"
    if value is not True and value is not False and "minimum" in rule and value < rule["minimum"]:
        yield f"{where} is less than {rule['minimum']}"
    if isinstance(value, dict):
        yield from (f"{where} has no {name!r}" for name in rule.get("required", ()) if name not in value)
        for name, one in value.items():
            inner = rule.get("properties", {}).get(name) or rule.get("additionalProperties")
            if inner:
                yield from problems(one, inner, f"{where}.{name}")
    elif isinstance(value, list) and rule.get("items"):
        for i, one in enumerate(value):
            yield from problems(one, rule["items"], f"{where}[{i}]")


def _is(value: Any, name: str) -> bool:
    if name == "integer" and isinstance(value, bool):
        return False
    return isinstance(value, TYPES[name])


def _record(found: Json) -> BootRecord:
    functions = tuple(_function(row) for row in found["functions"])
    syscalls = tuple(Syscall(**_known(Syscall, row)) for row in found["syscalls"])
    for number, call in enumerate(functions):
        if call.parent is not None and call.parent >= number:
            raise RecordError(f"damaged: record.functions[{number}].parent is not a call before it")
        if any(index >= len(syscalls) for index in call.syscalls):
            raise RecordError(f"damaged: record.functions[{number}].syscalls names a call that is not there")
    fields = _known(BootRecord, found) | {"functions": functions, "syscalls": syscalls}
    return BootRecord(**fields | {name: tuple(found[name]) for name in ("unknown_syscalls", "notes")})


def _function(row: Json) -> FunctionCall:
    fields = _known(FunctionCall, row)
    fields["pc"] = int(fields["pc"], 16)
    fields["writes"] = [Write(**_known(Write, write)) for write in fields["writes"]]
    return FunctionCall(**fields)


def _known(kind: Any, row: Json) -> Json:
    # What the schema does not require keeps its default.
    return {name: row[name] for name in kind.__match_args__ if name in row}
