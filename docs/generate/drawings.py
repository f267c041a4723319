"""Pictures and tables of the walk that are drawn from one record or from two."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from docs.generate import spelling
from docs.generate.boxes import table
from docs.generate.meanings import AUXV, THROWS, VIEWS
from docs.generate.subjects import NoSuchFigure, Subject

WORD = 8
POINTERS = ("AT_SYSINFO_EHDR", "AT_PHDR", "AT_ENTRY", "AT_RANDOM", "AT_EXECFN", "AT_PLATFORM", "AT_BASE")


def stack(subject: Subject) -> str:
    """The initial stack, from its top down to the word that the stack pointer names."""
    argv = int(subject.value("runtime.argv"), 16)
    argc, envs = subject.value("runtime.argc"), subject.value("views:runtime.envs")
    arguments = subject.value("views:runtime.argslice")
    vector = {entry["tag"]: entry["value"] for entry in subject.value("views:auxv")}
    auxv = argv + WORD * (argc + 1 + len(envs) + 1)
    given = subject.calls("runtime.sysauxv")[0]["arguments"]["auxv"]["data"]
    if int(given, 16) != auxv or argc != len(arguments):
        raise NoSuchFigure(f"argc, envp and auxv do not add up: {auxv:#x}, but sysauxv got {given}")
    end = auxv + 2 * WORD * len(subject.value("views:auxv"))
    top = int(subject.record["world"]["memory"]["stack-top"], 16)
    rows = [
        (top, "the end of the stack (memory.stack-top)"),
        (vector["AT_EXECFN"], "the program's path, a string: AT_EXECFN"),
        *((None, f'"{text}"') for text in reversed((*arguments, *envs))),
        (vector["AT_PLATFORM"], "a string that names the processor: AT_PLATFORM"),
        (vector["AT_RANDOM"], "16 random bytes: AT_RANDOM"),
        (end, "padding"),
        (auxv, f"auxv: {len(subject.value('views:auxv'))} pairs (tag, value), the last AT_NULL"),
        (auxv - WORD, "NULL, which ends envp"),
        *((argv + WORD * (argc + 1 + i), f"envp[{i}]") for i in reversed(range(len(envs)))),
        (argv + WORD * argc, "NULL, which ends argv"),
        *((argv + WORD * i, f"argv[{i}]") for i in reversed(range(argc))),
        (argv - WORD, f"argc: {argc}    <- SP at the entry point"),
    ]
    return "\n".join(f"{'' if addr is None else hex(addr):14}  {text}" for addr, text in rows)


def auxv(old: Subject, new: Subject) -> str:
    """The auxiliary vector of both programs, with what Go does with each entry."""
    rows = []
    theirs = {entry["tag"]: entry["value"] for entry in new.value("views:auxv")}
    for entry in old.value("views:auxv"):
        tag, value = entry["tag"], entry["value"]
        if tag not in AUXV:
            raise NoSuchFigure(f"nothing is said of {tag}")
        values = [hex(v) if tag in POINTERS or tag == "AT_HWCAP" else str(v) for v in (value, theirs[tag])]
        same = values[0] == values[1]
        rows.append([f"`{tag}`", values[0], "the same" if same else values[1], *AUXV[tag]])
    return table(["entry", old.go, new.go, "what it is", "what Go does with it"], rows)


def order(subject: Subject) -> str:
    """The tree of calls: name, file and line, instructions; runs of the same function folded."""
    lines = []
    for (depth, name), run in groupby(subject.functions, key=lambda call: (call["depth"], call["name"])):
        calls = list(run)
        times = f" x {len(calls)}" if len(calls) > 1 else ""
        left = "  " * depth + name.removeprefix("runtime.") + times
        cost = spelling.number(sum(call["instructions"] for call in calls))
        lines.append(f"{left:<44}{spelling.position(calls[0]):<34}{cost:>8}")
    return "\n".join(lines)


def hints(subject: Subject, first: str = "3", last: str = "2") -> str:
    """The first and the last arena hints, one a line."""
    found: list[str] = subject.value("views:runtime.mheap_.arenaHints")
    shown = [*found[: int(first)], "…", *found[-int(last) :]]
    return "\n".join(shown)


def distinct(subject: Subject, path: str) -> int:
    """How many different elements a list has."""
    return len(set(subject.value(path)))


def _throws(subject: Subject) -> Iterator[str]:
    data = bytes(subject.image.data)
    for throw in THROWS:
        yield "yes" if throw.message.encode() in data else "no"


def throws(old: Subject, new: Subject, function: str) -> str:
    """Every throw of a function: what is checked, what it would mean, and whether the binaries hold the message.

    A check whose outcome the compiler knows is compiled away, and its message with it.
    """
    rows = []
    for throw, *there in zip(THROWS, _throws(old), _throws(new), strict=True):
        if throw.function == function:
            rows.append([f"`{throw.message}`", throw.check, throw.meaning, *there])
    if not rows:
        raise NoSuchFigure(f"no throw of {function} is described")
    return table(["throw", "unless", "it would mean", f"in {old.go}", f"in {new.go}"], rows)


def size_classes(subject: Subject) -> str:
    """The size classes, in lines of a dozen."""
    sizes: list[int] = subject.value("views:sizeclasses")
    width = max(len(str(size)) for size in sizes) + 1
    rows = (sizes[i : i + 12] for i in range(0, len(sizes), 12))
    return "\n".join("".join(f"{size:>{width}}" for size in row) for row in rows)


def features(old: Subject, new: Subject) -> str:
    """What internal/cpu found, of both."""
    rows = []
    for subject in (old, new):
        flags: dict[str, bool] = subject.value("views:internal/cpu.X86")
        yes = [name.removeprefix("Has") for name, is_set in flags.items() if is_set]
        no = [name.removeprefix("Has") for name, is_set in flags.items() if not is_set]
        rows.append([subject.go, ", ".join(yes), ", ".join(no)])
    return table(["", "has", "has not"], rows)


def debug(old: Subject, new: Subject) -> str:
    """The debug variables that are not zero, of both."""
    found = [dict(subject.value("views:runtime.debug")) for subject in (old, new)]
    names = sorted({name for values in found for name, value in values.items() if value})
    rows = [
        [f"`{name}`", *(spelling.plain(values.get(name, "no such variable")) for values in found)] for name in names
    ]
    return table(["variable", old.go, new.go], rows)


def views(subject: Subject) -> str:
    """Every view of the record, with what docs/generate/meanings.py says of it."""
    return table(["view", "holds"], [[f"`{name}`", VIEWS[name]] for name in subject.record["views"]])


def processors(subject: Subject) -> str:
    """The Ps that procresize made."""
    rows = []
    for p in subject.value("views:runtime.allp"):
        owner = "`m0`" if p["m"] else "none"
        rows.append([str(p["id"]), f"`{p['addr']}`", p["status_name"], owner, f"`{p['mcache']}`"])
    return table(["id", "P", "status", "m", "mcache"], rows)


def excerpt(subject: Subject, part: str, *which: str) -> str:
    """A part of the record as indented JSON: of functions, writes and system calls the first of that name."""
    if part == "writes":
        whole: Any = subject.calls(which[0])[0]["writes"]
    elif part == "functions":
        whole = subject.calls(which[0])[0]
    elif part == "syscalls":
        whole = next(call for call in subject.record["syscalls"] if call["name"] == which[0])
    else:
        whole = subject.record[part]
    return json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=False)
