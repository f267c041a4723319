"""Commands within hand-written pages: what stands below a ``$ rt0`` is its output, and ``make docs`` renews it.

In a block marked ``console`` a line that begins with ``$ `` is run by a shell and the lines below it are what it
printed.  A block marked ``sh`` holds commands whose output the page does not show; ``# exit status N`` behind a command
says how it ends, when not with 0.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from emu.cli.main import COMMANDS
from fixtures import store

CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"^ *```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
STATUS = re.compile(r"\s+# exit status (\d+)$")
COMMAND_TABLE = re.compile(r"(?<=<!-- commands -->\n).*?(?=<!-- end -->)", re.DOTALL)
TIMEOUT = 60  # seconds, for one command
SHIM = "#!/bin/sh\nexec {python} -c 'import sys; from emu.cli.main import main; sys.exit(main())' \"$@\"\n"


class CommandFailed(RuntimeError):
    """A command of a page said something on standard error, or nothing at all."""


@dataclass(frozen=True)
class Command:
    """One command of a page and the exit status that the page promises."""

    line: str
    status: int

    @property
    def words(self) -> list[str]:
        """The command's words, up to the first pipe."""
        words = shlex.split(self.line)
        return words[: words.index("|")] if "|" in words else words


def commands(text: str) -> Iterator[Command]:
    """Every ``rt0`` command of a page's ``sh`` blocks."""
    for block in SHELL.findall(text):
        for line in block.splitlines():
            if line.strip().startswith("rt0 "):
                status = STATUS.search(line)
                yield Command(STATUS.sub("", line).strip(), int(status.group(1)) if status else 0)


def refreshed(text: str, run: Callable[[str], str]) -> str:
    """The page *text* with the output of every console command and the table of commands renewed."""

    def renew(match: re.Match[str]) -> str:
        typed = [line for line in match.group(1).splitlines() if line.startswith("$ ")]
        return "```console\n" + "".join(f"{line}\n{run(line[2:])}" for line in typed) + "```"

    table = "| command | what it does |\n|---|---|\n" + "".join(
        f"| `rt0 {name}` | {what} |\n" for name, what in COMMANDS.items()
    )
    return COMMAND_TABLE.sub(lambda _: table, CONSOLE.sub(renew, text))


def shell(line: str) -> str:
    """What the shell command *line* prints, with this checkout as ``rt0``.

    Raises CommandFailed if it says something on standard error, or nothing at all.
    """
    with tempfile.TemporaryDirectory() as folder:
        shim = Path(folder) / "rt0"
        shim.write_text(SHIM.format(python=shlex.quote(sys.executable)))
        shim.chmod(0o755)
        environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(store.ROOT)}
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=store.ROOT,
            env={**environment, "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1", "COLUMNS": "100"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,  # a throw of the guest is a status of its own, and what the page wants to show
        )
    if done.stderr or not done.stdout:
        raise CommandFailed(f"{line}: {done.stderr.strip() or 'prints nothing'}")
    return done.stdout
