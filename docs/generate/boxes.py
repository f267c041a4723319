"""The box at the head of each section of the walk: one function in both releases, and tables that vary a World."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from docs.generate import spelling
from docs.generate.subjects import NoSuchFigure, Subject
from docs.generate.verbs import command, mask

NOTHING = "-"
MAX_CALLS = 4  # system calls that a box lists
ADDRESS = 1 << 32  # an integer of unknown type that is larger is written in hexadecimal
NO_FIGURE = 4  # lines of a try that shows none
STATUS = {"reached": 0, "throw": 3, "exit": 3, "signal": 4, "limit": 5}  # what rt0 boot exits with


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; a bar within a cell is escaped."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def names(word: str) -> tuple[str, str]:
    """The name in the old and in the new release: "ncpu~numCPUStartup", or one for both."""
    old, _, new = word.partition("~")
    return old, new or old


def box(old: Subject, new: Subject, function: str, *variables: str) -> str:
    """Where a function stands in both releases, what it cost, which system calls it made, what it stored.

    A release whose half of the name is "-" has no column.
    """
    cells = []
    for i, subject in enumerate((old, new)):
        name, wanted = names(function)[i], [names(variable)[i] for variable in variables]
        if name != "-":
            cells.append((f"Go {subject.go}", *_column(subject, name, wanted)))
    titles = ("", "stands at", "instructions", "system calls", "stored")
    head, *rows = zip(titles, *cells, strict=True)
    return table(head, [row for row in rows if set(row[1:]) != {NOTHING}])


def _column(subject: Subject, name: str, wanted: Sequence[str]) -> tuple[str, str, str, str]:
    return _place(subject, name), _cost(subject, name), _calls(subject, name), _stores(subject, name, wanted)


def _there(subject: Subject, name: str) -> list[dict[str, Any]]:
    # The calls of a function; none if this program has no function of that name (it was inlined, or is not in the
    # release), which is then for the prose to explain.
    if name == "-" or subject.image.function(name) is None:
        return []
    return subject.calls(name)


def _place(subject: Subject, name: str) -> str:
    calls = _there(subject, name)
    if not calls:
        return "no function of its own"
    times = f", {len(calls)} calls" if len(calls) > 1 else ""
    return f"`{name.removeprefix('runtime.')}`, `{spelling.position(calls[0])}`, at `{calls[0]['pc']}`{times}"


def _cost(subject: Subject, name: str) -> str:
    calls = _there(subject, name)
    whole, own = sum(c["instructions"] for c in calls), sum(c["own"] for c in calls)
    if not calls:
        return NOTHING
    return spelling.number(whole) + (f", {spelling.number(own)} of them its own" if own != whole else "")


def _calls(subject: Subject, name: str) -> str:
    made = [spelling.syscall(subject.record["syscalls"][i]) for call in _there(subject, name) for i in call["syscalls"]]
    shown = [f"`{text}`" for text in made[:MAX_CALLS]]
    if len(made) > MAX_CALLS:
        shown.append(f"and {len(made) - MAX_CALLS} more")
    return "<br>".join(shown) or NOTHING


def _stores(subject: Subject, name: str, wanted: Sequence[str]) -> str:
    if not _there(subject, name):
        return NOTHING
    writes = {write["name"]: write for call in subject.within(name) for write in call["writes"]}
    shown = []
    for variable in wanted:
        short = variable.removeprefix("runtime.")
        if variable in writes:
            shown.append(f"`{short}`: {_change(writes.pop(variable))}")
        elif variable in subject.record["globals"] and not subject.writers(variable):
            shown.append(f"`{short}`: stays {_short(subject.value(variable))}")
    if writes:
        leaves = f"{spelling.number(len(writes))} {'more' if shown else 'leaves'}"
        shown.append(f"and {leaves}" if shown else leaves)
    return "<br>".join(shown) or NOTHING


def _change(write: dict[str, Any]) -> str:
    if isinstance(write["after"], list) and isinstance(write["before"], list) and not any(write["before"]):
        return _short(write["after"])  # an array that was all zeros
    return " → ".join(f"`{spelling.typed(write[side], write['type'])}`" for side in ("before", "after"))


def _short(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value > ADDRESS:
        return f"`{value:#x}`"
    return f"`{spelling.plain(value)}`"


def vary(old: Subject, new: Subject, key: str, *words: str) -> str:
    """A table: one row for each value of a World key, one column for each named figure of each release.

    *words*: the values, a colon, then figures as ``ONE~OTHER`` paths; ``-`` leaves a release out.
    """
    values, variables = words[: words.index(":")], [names(word) for word in words[words.index(":") + 1 :]]
    columns = [(s, v[i]) for v in variables for i, s in enumerate((old, new)) if v[i] != "-"]
    head = [f"`{key}=`"] + [f"{label(path)}, {subject.go}" for subject, path in columns]
    rows = []
    for setting in values:
        cells = [_cell(subject.varied(f"{key}={setting}"), path) for subject, path in columns]
        rows.append([f"`{setting}`", *cells])
    return table(head, rows)


def label(path: str) -> str:
    """How a column calls a figure."""
    short = path.removeprefix("views:").removeprefix("runtime.")
    return {"message": "ends with", "printed": "prints", "mask": "the mask"}.get(path, f"`{short}`")


def _cell(subject: Subject, path: str) -> str:
    kind, reached = subject.record["outcome"]["kind"], subject.record["outcome"]["kind"] == "reached"
    if path == "message":
        return f"*{kind}*" if reached else f"*{kind}*: {subject.record['outcome']['message']}"
    if path == "printed":
        return _first_line(subject)
    if path == "mask":
        return f"`{mask(subject)}`"
    return _short(subject.value(path)) if reached else NOTHING


def _syscalls(subject: Subject, function: str) -> list[dict[str, Any]]:
    return [call for call in subject.record["syscalls"] if call["function"] == function]


def _first_line(subject: Subject) -> str:
    lines = subject.record["output"].splitlines()
    return f"`{lines[0]}`" if lines else NOTHING


def try_it(subject: Subject, *words: str) -> str:
    """A command that changes the machine, and what it moves: options, a colon, then figures.

    A figure ``call:FUNCTION`` lists the system calls of that function as they are now.
    """
    options, paths = words[: words.index(":")], words[words.index(":") + 1 :]
    other = subject.varied(*settings(options))
    kind = other.record["outcome"]["kind"]
    comment = f"   # exit status {STATUS[kind]}" if STATUS[kind] else ""
    lines = ["```sh", command(subject, *options) + comment, "```", ""]
    lines += [f"- {_move(subject, other, path)}" for path in paths if not path.startswith("call:")]
    for path in paths:
        if path.startswith("call:"):
            lines += ["```", *map(spelling.syscall, _syscalls(other, path.removeprefix("call:"))), "```"]
    if kind != "reached":
        lines.append(f"- {kind}: {other.record['outcome']['message']}")
    if len(lines) == NO_FIGURE:
        raise NoSuchFigure("nothing to show")
    return "\n".join(lines)


def _move(subject: Subject, other: Subject, path: str) -> str:
    name, old, new = path.partition(":")[2] or path, _cell(subject, path), _cell(other, path)
    return f"`{name}`: stays {old}" if old == new else f"`{name}`: {old} → {new}"


SHORT = {"--cpus": "cpus", "--thp": "thp", "--page-size": "page-size", "--seed": "seed"}


def settings(options: Sequence[str]) -> list[str]:
    """The ``KEY=VALUE`` settings that a command's options stand for."""
    found = []
    for option, given in zip(options[::2], options[1::2], strict=True):
        if option == "--set":
            found.append(given)
        elif option == "--env":
            found.append(f"env.{given}")
        else:
            found.append(f"{SHORT[option]}={given}")
    return found
