"""A finding as files: a World that reproduces it, the record of its boot, and a page that explains it.

``world.toml`` is enough: its first lines, comments to everybody else, say which program it is about, where the run
ends and what is expected to happen.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from emu.fuzz.corpus import TEMPORARY
from emu.fuzz.oracles import Verdict
from syscalls.world import Response, World, WorldError
from syscalls.worldfile import from_toml, to_toml

MARK = "# rt0.finding: "
RECORD_KINDS = {"hang": "limit", "memory": "limit", "deadlock": "limit", "ok": "reached"}
"""From a verdict's kind to that of the record's outcome, where they differ."""


class BadFinding(ValueError):
    """A file that is no finding; one line that says which and why."""


class About(NamedTuple):
    """What the first lines of ``world.toml`` say."""

    binary: str  # its name
    sha256: str
    go: str
    path: str  # where it was when it was found; may be empty
    begin: str
    until: str
    tier: str
    kind: str  # of the verdict
    message: str
    function: str
    stack: tuple[str, ...]
    key: str

    @property
    def outcome(self) -> str:
        """The kind of the record's outcome, or ``wrong-value``, or ``defect``."""
        return RECORD_KINDS.get(self.kind, self.kind)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found: the World that leads to it, and what that is."""

    world: World
    about: About


class Elsewhere(NamedTuple):
    """What the same answers do to another program."""

    binary: str
    go: str
    verdict: Verdict


def name_of(verdict: Verdict) -> str:
    """The name of a finding's folder: the same for the same finding, whoever finds it."""
    function = re.sub(r"[^A-Za-z0-9]+", "-", verdict.function.rpartition(".")[2]).strip("-") or "unknown"
    return f"{verdict.kind}-{function}-{hashlib.sha256(verdict.key.encode()).hexdigest()[:6]}"


def to_text(finding: Finding) -> str:
    """The text of ``world.toml``."""
    about = json.dumps(finding.about._asdict(), sort_keys=True, ensure_ascii=True)
    return f"{MARK}{about}\n\n{to_toml(finding.world, changes_only=True)}"


def about_in(text: str, source: str) -> About:
    """What the first lines of *text* say; *source* is named in errors.  Raises BadFinding."""
    line = next((line for line in text.splitlines() if line.startswith(MARK)), None)
    if line is None:
        raise BadFinding(f"{source}: not a finding: no line begins with {MARK.strip()!r}")
    try:
        said = json.loads(line.removeprefix(MARK))
    except ValueError as error:
        raise BadFinding(f"{source}: the finding's line is not JSON: {error}") from error
    if not isinstance(said, dict) or set(said) != set(About._fields):
        raise BadFinding(f"{source}: the finding's line lacks or adds a field; it has {', '.join(About._fields)}")
    stack = said.pop("stack")
    if not isinstance(stack, list) or not all(isinstance(value, str) for value in (*said.values(), *stack)):
        raise BadFinding(f"{source}: the finding's line has a value that is no text")
    return About(**said, stack=tuple(stack))


def _contents(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadFinding(f"{path}: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError as error:
        raise BadFinding(f"{path}: not a finding: not text") from error


def about_of(path: Path) -> About:
    """What the finding in the file *path* is about; raises BadFinding."""
    return about_in(_contents(path), str(path))


def read(path: Path) -> Finding:
    """Read the finding in the file *path*; raises BadFinding."""
    text = _contents(path)
    about = about_in(text, str(path))
    try:
        return Finding(from_toml(text), about)
    except WorldError as error:
        raise BadFinding(str(error.within(str(path)))) from error


def tree(path: Path) -> list[Path]:
    """The files of findings at *path*: itself, or every ``world.toml`` below it; raises BadFinding for none."""
    if path.is_file():
        return [path]
    found = sorted(one for one in path.rglob("world.toml") if not one.parent.name.startswith("."))
    if not found:
        raise BadFinding(f"{path}: {'no world.toml below it' if path.is_dir() else 'no such file or directory'}")
    return found


def publish(folder: Path, name: str, finding: Finding, record: str, elsewhere: Sequence[Elsewhere]) -> bool:
    """Make the folder *name* in *folder*, whole or not at all; False if it is there already."""
    target = folder / name
    if target.exists():
        return False
    made = folder / f"{TEMPORARY}{os.getpid()}-{name}"
    made.mkdir(parents=True, exist_ok=True)
    for file, text in (
        ("world.toml", to_text(finding)), ("record.json", record + "\n"), ("README.md", page(name, finding, elsewhere)),
    ):  # fmt: skip
        # The program's name may hold bytes that are no UTF-8: lone surrogates here, their escapes in the files.
        (made / file).write_text(text, encoding="utf-8", errors="backslashreplace")
    try:
        made.rename(target)
    except OSError:  # another process was quicker: a folder that holds files is not replaced, rename(2)
        shutil.rmtree(made)
        if not target.exists():
            raise
        return False
    return True


# The page


def page(name: str, finding: Finding, elsewhere: Sequence[Elsewhere]) -> str:
    """The page that explains a finding."""
    about = finding.about
    answers = [f"{number}. {sentence(one)}" for number, one in enumerate(finding.world.responses, 1)]
    legal = "a Linux kernel may answer so" if about.tier == "contract" else "no kernel need ever answer so"
    lines = [
        f"# {name}", "",
        f"`{about.binary}` ({about.go}) ends in **{about.outcome}** in `{about.function or '?'}`: {about.message}", "",
        f"Tier: {about.tier} ({legal}). Observed from `{about.begin}` to `{about.until}`.", "",
        "## What was answered", "",
        *(answers or ["No call was answered differently; `world.toml` changes the rest of the World."]), "",
    ]  # fmt: skip
    if about.stack:
        lines += ["## Where", "", *(f"- `{function}`" for function in about.stack), ""]
    lines += ["## Other programs, with the same answers", ""]
    if elsewhere:
        lines += ["| program | release | same | what happens |", "|---|---|---|---|"]
        lines += [_row(finding, one) for one in elsewhere]
    else:
        lines += ["None was tried (`rt0 fuzz --also BINARY`)."]
    lines += ["", "## Again", "", "```", "rt0 replay world.toml", f"rt0 boot {about.binary} --world world.toml", "```"]
    return "\n".join(lines) + "\n"


def _row(finding: Finding, one: Elsewhere) -> str:
    seen, about = one.verdict, finding.about
    same = "yes" if (seen.kind, seen.function) == (about.kind, about.function) else "no"
    what = "as it should" if seen.kind == "ok" else f"{seen.kind} in `{seen.function}`: {seen.message}"
    return f"| `{one.binary}` | {one.go} | {same} | {what.replace('|', '/')} |"


def sentence(response: Response) -> str:
    """What a rule does, in words."""
    where = f" of `{response.path}`" if response.path else ""
    return f"`{response.call}`{where}, {_which(response.when)}: {_answered(response)}"


def _which(when: str) -> str:
    if when.isdecimal():
        return f"call {when}"
    return "every call" if when == "1+" else f"calls {when}"


def _answered(response: Response) -> str:
    if response.errno is not None:
        return f"fails with {response.errno}"
    shown: list[Any] = []
    if response.result is not None:
        wide = abs(response.result) >= 1 << 16
        shown.append(f"returns {response.result:#x}" if wide else f"returns {response.result}")
    if response.data is not None:
        shown.append(_bytes(response.data))
    if response.arguments:
        given = ", ".join(f"argument {index} as {value:#x}" for index, value in response.arguments)
        shown.append(f"is performed with {given}")
    return ", ".join(shown)


def _bytes(data: bytes) -> str:
    head = data[:64]
    text = repr(head)[1:] if re.fullmatch(rb"[\t\n\r -~]*", head) else head.hex(" ")
    return f"stores {len(data)} bytes: `{text}`{'...' if len(data) > len(head) else ''}"
