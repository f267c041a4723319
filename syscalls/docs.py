"""The page that lists every system call, from the table: ``python -m syscalls.docs > docs/syscalls.md``."""

from __future__ import annotations

import sys

from syscalls.kinds import Kind
from syscalls.numbers import NAMES
from syscalls.row import ABSENT, PARTIAL, SUPPORTED, Syscall, resolved
from syscalls.table import ROWS

HEAD = """\
# System calls

Generated from `syscalls/table.py` by `python -m syscalls.docs`; a test holds this page against it.

- **supported**: behaves as Linux does, for every argument that a program can pass;
- **partial**: what is missing stands in the note;
- **absent**: always fails with the error that the note explains.

A number that is not in the table fails with `ENOSYS` and is listed in the record (with `strict = true` in the World, it
ends the run). An argument's arrow says which way its bytes go: `←` the kernel reads them, `→` it writes them, `↔` both.
A World can change what any call returns: see its `response` tables.

"""
ARROWS = {"": "", "in": "← ", "out": "→ ", "inout": "↔ "}


def spelled(kind: Kind) -> str:
    """Return how the page shows an argument of *kind*."""
    return ARROWS[kind.direction] + kind.name


def line(row: Syscall) -> str:
    """Return the table line of *row*."""
    arguments = ", ".join(map(spelled, row.kinds))
    since = f"From Linux {row.since[0]}.{row.since[1]}. " if any(row.since) else ""
    doc = (resolved(row.handler).__doc__ or "").strip().partition("\n\n")[0].replace("\n", " ")
    does = " ".join(doc.split()) if row.level != ABSENT else ""
    note = f"{since}{row.note}".strip()
    text = " ".join(part for part in (does, note and f"*{note}*") if part).replace("|", "\\|")
    return f"| {row.nr} | `{row.name}` | {arguments} | {row.result} | {row.level} | {text} |"


def render() -> str:
    """Return the whole page."""
    count = {level: sum(row.level == level for row in ROWS) for level in (SUPPORTED, PARTIAL, ABSENT)}
    summary = (
        f"{len(ROWS)} of the {len(NAMES)} calls of x86-64: {count[SUPPORTED]} supported, {count[PARTIAL]} partial, "
        f"{count[ABSENT]} absent with a reason.\n\n"
    )
    head = "| nr | call | arguments | returns | level | what it does, *what to know* |\n|--:|---|---|---|---|---|\n"
    rows = "\n".join(line(row) for row in sorted(ROWS, key=lambda row: row.nr))
    return f"{HEAD}{summary}{head}{rows}\n{rest()}"


def rest() -> str:
    """Return the section of the calls that have no row."""
    known = {row.nr for row in ROWS}
    lines = [f"| {nr} | `{name}` |" for nr, name in sorted(NAMES.items()) if nr not in known]
    return (
        f"\n## Not there\n\nThe other {len(lines)} fail with `ENOSYS`. `rt0 run --census` says which of them a program "
        "asked for.\n\n| nr | call |\n|--:|---|\n" + "\n".join(lines) + "\n"
    )


if __name__ == "__main__":
    sys.stdout.write(render())
