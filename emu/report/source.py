"""Go source lines around a function, from a GOROOT of the release that built the program."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from syscalls.light import dataclass, field

BEFORE, AFTER = 6, 8  # lines of comment before a declaration, lines after it
COMMENT = "//"


@dataclass(slots=True)
class Sources:
    """Source files below *root*; *warning* says what is wrong with them, if something is."""

    root: Path
    warning: str = ""
    _files: dict[str, list[str] | None] = field(default_factory=dict)

    def around(self, file: str, line: int) -> list[tuple[int, str]]:
        """(number, text) of the comment above the declaration at *line* and of what follows; none if unknown."""
        lines = self._lines(file)
        if lines is None or not 0 < line <= len(lines):
            return []
        first = line
        while first > max(1, line - BEFORE) and lines[first - 2].startswith(COMMENT):
            first -= 1
        end = line
        while end < min(len(lines), line + AFTER) and lines[end - 1] != "}":
            end += 1
        return [(number, lines[number - 1].expandtabs(4)) for number in range(first, end + 1)]

    def _lines(self, file: str) -> list[str] | None:
        if file not in self._files:
            self._files[file] = self._read(file)
        return self._files[file]

    def _read(self, file: str) -> list[str] | None:
        # A trimmed path is relative to src; another one is that of the machine that built the program.
        relative = file.rpartition("/src/")[2]
        path = self.root / "src" / relative
        if Path(relative).is_absolute() or ".." in Path(relative).parts:
            return None
        try:
            return path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return None


def find(go: str, goroot: str | None, environ: Mapping[str, str] = os.environ) -> Sources | str:
    """The sources for the release *go* ("go1.27.3"): of *goroot*, else $GOROOT, else of the go command.

    Returns a sentence that says why there are none; a tree of another release is used, with a warning.
    """
    chosen = goroot or environ.get("GOROOT") or _from_command()
    if not chosen:
        return "no Go sources: no --goroot, no GOROOT, no go command"
    root = Path(chosen)
    if not (root / "src" / "runtime").is_dir():
        return f"no Go sources: {root} has no src/runtime"
    try:
        version = (root / "VERSION").read_text(encoding="utf-8", errors="replace").split()[0]
    except (OSError, IndexError):
        version = "of an unknown release"
    if version == (go.split() or [""])[0]:
        return Sources(root)
    return Sources(root, f"the sources at {root} are {version}, the program was built by {go or 'an unknown release'}")


def _from_command() -> str:
    import shutil
    import subprocess

    command = shutil.which("go")
    if command is None:
        return ""
    try:
        done = subprocess.run([command, "env", "GOROOT"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
