"""Verbs for figures that stand within a sentence."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from docs.generate import spelling
from docs.generate.subjects import PROGRAMS, NoSuchFigure, Subject, in_world

SHORT_MASK = 16  # bytes of an affinity mask that are shown


def go(subject: Subject) -> str:
    """The release: 1.13.8."""
    return subject.go


def entry(subject: Subject) -> str:
    """The ELF entry point."""
    return str(subject.record["binary"]["entry"])


def total(subject: Subject, what: str) -> int:
    """Instructions, syscalls or tasks of the whole boot."""
    return int(subject.record["totals"][what])


def value(subject: Subject, path: str) -> Any:
    """A global at the end, or a part of a view."""
    return subject.value(path)


def world(subject: Subject, *path: str) -> Any:
    """A key of the World that the program was booted in."""
    at: Any = subject.record["world"]
    for step in path:
        at = at[step]
    return at


def line(subject: Subject, function: str) -> str:
    """File and line of a bootstrap function."""
    return spelling.position(subject.calls(function)[0])


def pc(subject: Subject, function: str) -> str:
    """The address of a bootstrap function's first instruction."""
    return str(subject.calls(function)[0]["pc"])


def instructions(subject: Subject, function: str) -> int:
    """Instructions that all calls of a function took, with what they called."""
    return sum(call["instructions"] for call in subject.calls(function))


def own(subject: Subject, function: str) -> int:
    """The same without the bootstrap functions that they called."""
    return sum(call["own"] for call in subject.calls(function))


def count(subject: Subject, function: str) -> int:
    """How often a function was called."""
    return len(subject.calls(function))


def argument(subject: Subject, function: str, name: str, nth: str = "0") -> Any:
    """What a call of a function was given."""
    arguments = subject.calls(function)[int(nth)]["arguments"]
    if name not in arguments:
        raise NoSuchFigure(f"{function} takes {', '.join(arguments)}")
    return arguments[name]


def result(subject: Subject, function: str, nth: str = "0") -> Any:
    """What a call of a function returned."""
    results = subject.calls(function)[int(nth)]["results"]
    return spelling.plain(results[0] if len(results) == 1 else results)


def wrote(subject: Subject, function: str, name: str) -> str:
    """What a function, or one that it called, made of a global: "0 → 2"."""
    for call in subject.within(function):
        for write in call["writes"]:
            if write["name"] == name:
                return f"{spelling.plain(write['before'])} → {spelling.plain(write['after'])}"
    raise NoSuchFigure(f"{function} did not write {name}")


def syscall(subject: Subject, name: str, nth: str = "0") -> str:
    """One system call, as strace would write it."""
    found = [call for call in subject.record["syscalls"] if call["name"] == name]
    if int(nth) >= len(found):
        raise NoSuchFigure(f"{len(found)} calls of {name}")
    return spelling.syscall(found[int(nth)])


def syscall_argument(subject: Subject, name: str, index: str, nth: str = "0") -> Any:
    """One argument of one system call."""
    found = [call for call in subject.record["syscalls"] if call["name"] == name]
    given = found[int(nth)]["arguments"][int(index)]
    return given["addr"] if isinstance(given, dict) else given


def syscall_result(subject: Subject, name: str, nth: str = "0") -> Any:
    """What one system call returned; the error's name if it failed."""
    found = [call for call in subject.record["syscalls"] if call["name"] == name]
    return found[int(nth)]["errno"] or found[int(nth)]["result"]


def syscalls_of(subject: Subject, *functions: str) -> str:
    """The system calls that functions made, one a line."""
    lines = [spelling.syscall(call) for call in subject.record["syscalls"] if call["function"] in functions]
    if not lines:
        raise NoSuchFigure(f"no system call of {', '.join(functions)}")
    return "\n".join(lines)


def before(subject: Subject, function: str, name: str) -> Any:
    """What a global was before a function changed it."""
    for call in subject.within(function):
        for write in call["writes"]:
            if write["name"] == name:
                return write["before"]
    raise NoSuchFigure(f"{function} did not write {name}")


def mask(subject: Subject) -> str:
    """The bytes that sched_getaffinity stored, in hexadecimal; long ones by their number."""
    call = next(call for call in subject.record["syscalls"] if call["name"] == "sched_getaffinity")
    stored = call["arguments"][2]["hex"]
    return stored if call["result"] <= SHORT_MASK else f"{call['result']} bytes"


def function_at(subject: Subject, path: str) -> str:
    """The function that an address in a global is in."""
    found = subject.image.function_at(int(subject.value(path)))
    if found is None:
        raise NoSuchFigure(f"{path} points at no function")
    return found.name


def world_file(subject: Subject, name: str, function: str, *paths: str) -> str:
    """The program booted in docs/worlds/NAME.toml: the command, the system calls of a function, and figures."""
    other = in_world(subject.key, f"docs/worlds/{name}.toml")
    command_line = f"rt0 boot --world docs/worlds/{name}.toml"
    figures = ", ".join(f"`{path}` = {spelling.plain(other.value(path))}" for path in paths)
    return f"```sh\n{command_line}\n```\n```\n{syscalls_of(other, function)}\n```\n{figures}"


def message(subject: Subject) -> str:
    """How the boot ended."""
    return str(subject.record["outcome"]["message"])


def field(subject: Subject, path: str) -> Any:
    """A field of the record; "functions/NAME" is the system calls of runtime.NAME."""
    name, _, function = path.partition("/")
    if not function:
        return subject.record[name]
    return subject.calls(f"runtime.{function}")[0]["syscalls"]


def raw(subject: Subject, path: str) -> str:
    """A global, as the JSON has it."""
    return json.dumps(subject.value(path), ensure_ascii=False)


def outcome(subject: Subject, field: str) -> Any:
    """A field of the outcome."""
    return subject.record["outcome"][field]


def per(subject: Subject, function: str, step: str) -> int:
    """Instructions per *step* ("modules/0/functions") of a function: a cost per item, rounded."""
    return round(instructions(subject, function) / int(subject.value(f"views:{step}")))


def command(subject: Subject, *options: str) -> str:
    """The command that boots this program in this World."""
    settings = [word for setting in subject.settings for word in ("--set", setting)]
    words = ["rt0", "boot", PROGRAMS[subject.key][2], "--world", "walk", *settings, *options]
    return shlex.join(word for word in words if word)


ONE: Mapping[str, Callable[..., Any]] = {
    "go": go,
    "entry": entry,
    "total": total,
    "value": value,
    "world": world,
    "line": line,
    "pc": pc,
    "instructions": instructions,
    "own": own,
    "count": count,
    "argument": argument,
    "result": result,
    "wrote": wrote,
    "syscall": syscall,
    "syscall-argument": syscall_argument,
    "syscall-result": syscall_result,
    "syscalls": syscalls_of,
    "before": before,
    "mask": mask,
    "function-at": function_at,
    "world-file": world_file,
    "message": message,
    "field": field,
    "raw": raw,
    "outcome": outcome,
    "per": per,
    "command": command,
}
