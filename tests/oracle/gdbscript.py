"""Runs inside gdb: start the program, stop where a function begins, evaluate, write JSON.

``$RT0_GDB_JOB`` holds the job as JSON (see ``gdbvalues.py``).  Values come back as JSON's own: integers, booleans and
floats as such, pointers as "0x..." text, structs as objects, arrays and Go slices as lists, Go strings by content.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import gdb

MAX_ITEMS = 4096  # of a slice or an array; a longer one is an error, never cut in silence


def plain(value: gdb.Value) -> Any:
    """Return *value* as what JSON can hold."""
    kind = value.type.strip_typedefs()
    if kind.code == gdb.TYPE_CODE_BOOL:
        return bool(value)
    if kind.code in (gdb.TYPE_CODE_INT, gdb.TYPE_CODE_CHAR, gdb.TYPE_CODE_ENUM):
        return int(value)
    if kind.code == gdb.TYPE_CODE_FLT:
        return float(value)
    if kind.code == gdb.TYPE_CODE_ARRAY:
        low, high = kind.range()
        return [plain(value[index]) for index in limited(range(low, high + 1))]
    if kind.code == gdb.TYPE_CODE_STRUCT:
        return struct(value, kind)
    return hex(int(value))


def struct(value: gdb.Value, kind: gdb.Type) -> Any:
    """Return a Go string by content, a slice as a list, any other struct as an object."""
    names = [field.name for field in kind.fields()]
    if names == ["str", "len"]:
        size = int(value["len"])
        return memory(int(value["str"]), size).decode("utf-8", "surrogateescape") if size else ""
    if names == ["array", "len", "cap"]:
        return [plain(value["array"][index]) for index in limited(range(int(value["len"])))]
    return {name: plain(value[name]) for name in names if name != "_"}


def limited(items: range) -> range:
    """Return *items*, which must not be too many."""
    if len(items) > MAX_ITEMS:
        raise gdb.GdbError(f"{len(items)} items are more than {MAX_ITEMS}")
    return items


def memory(addr: int, size: int) -> bytes:
    """Return *size* bytes at *addr*."""
    return bytes(gdb.selected_inferior().read_memory(addr, size))


def evaluate(expression: str) -> Any:
    """Return the value of *expression*, or {"error": text} when gdb cannot say."""
    try:
        return plain(gdb.parse_and_eval(expression))
    except gdb.error as error:
        return {"error": str(error)}


def address_of(function: str) -> int:
    """Return the entry of *function*; an assembly function's symbol ends in ".abi0" since Go 1.17."""
    for name in (f"{function}.abi0", function):
        try:
            return int(gdb.parse_and_eval(f"&'{name}'"))
        except gdb.error:
            continue
    raise gdb.GdbError(f"no function {function}")


def start(job: dict[str, Any]) -> None:
    """Run the program to the job's stop with the job's arguments and environment."""
    gdb.execute("set confirm off")
    gdb.execute("set startup-with-shell off")  # a shell would add PWD, SHLVL and _ to the environment
    gdb.execute("unset environment")  # LINES and COLUMNS, which gdb adds, included
    for key, text in job["env"].items():
        gdb.execute(f"set environment {key}={text}")
    gdb.execute("set args " + " ".join(job["args"]))
    gdb.execute("starti")  # from here on addresses are those of the running program, position-independent or not
    gdb.execute(f"tbreak *{address_of(job['stop'])}")
    gdb.execute("continue")


def main() -> None:
    """Do the job of the environment."""
    job = json.loads(os.environ["RT0_GDB_JOB"])
    start(job)
    result = {
        "pc": int(gdb.parse_and_eval("$pc")),
        "values": {name: evaluate(expression) for name, expression in job["expressions"].items()},
        "memory": [memory(addr, size).hex() for addr, size in job["memory"]],
    }
    Path(job["result"]).write_text(json.dumps(result))
    gdb.execute("kill")


main()
