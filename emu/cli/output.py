"""What a command prints: text as the screen can show it, JSON whole or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

from emu.cli.errors import UsageError

if TYPE_CHECKING:
    from emu.report.paper import Paper

PLAIN_WIDTH = 100  # columns of what is not a terminal
MIN_COLUMNS = 40
STDOUT = "-"
ELF = b"\x7fELF"


def paper(stream: TextIO) -> Paper:
    """How to write to *stream*: colours and its width for a terminal, plain text of 100 columns otherwise.

    $COLUMNS sets the width of either; $NO_COLOR (no-color.org) and TERM=dumb switch colours off.
    """
    from emu.report.paper import Paper  # JSON needs none

    terminal = stream.isatty()
    colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Paper(columns(stream, terminal), colour, _can_show(stream, "└├│─"))


def columns(stream: TextIO, terminal: bool) -> int:
    """The width of *stream*, in characters."""
    chosen = os.environ.get("COLUMNS", "")
    if chosen.isdecimal() and int(chosen):
        return max(int(chosen), MIN_COLUMNS)
    if terminal:
        try:
            return max(os.get_terminal_size(stream.fileno()).columns, MIN_COLUMNS)
        except OSError:
            return PLAIN_WIDTH
    return PLAIN_WIDTH


def _can_show(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def write_lines(lines: Iterable[str], stream: TextIO) -> None:
    """Write *lines*; what the stream's encoding cannot show is escaped, control characters are made visible."""
    encoding = stream.encoding or "utf-8"
    for line in lines:
        shown = "".join(c if c.isprintable() or c == "\x1b" else c.encode("unicode_escape").decode() for c in line)
        stream.write(shown.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def check_target(target: str | None, option: str = "--json") -> None:
    """Raise UsageError if output cannot go to the file *target* of *option*; to be called before the work."""
    if target is None or target == STDOUT:
        return
    folder = os.path.dirname(target) or "."  # noqa: PTH120 - pathlib is not needed for anything else here
    if os.path.isdir(target) or not os.path.isdir(folder):  # noqa: PTH112 - as above
        raise UsageError(f"{option}: {target}: {'is a directory' if os.path.isdir(target) else 'no such directory'}")  # noqa: PTH112
    try:
        with open(target, "rb") as file:
            start = file.read(4)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{option}: {target}: {(error.strerror or str(error)).lower()}") from error
    if start == ELF:
        hint = f"for standard output write {option}=-"
        raise UsageError(f"{option}: {target} is a program, not to be overwritten; {hint}")


def write_json(text: str, target: str, option: str = "--json") -> None:
    """Write one line of JSON to standard output or, whole or not at all, to the file *target* of *option*.

    A lone surrogate (a byte that was no UTF-8) becomes its JSON escape.  Raises UsageError for a file that cannot be
    written.
    """
    data = (text + "\n").encode("utf-8", "backslashreplace")
    if target == STDOUT:
        sys.stdout.write(data.decode("utf-8"))
    else:
        write_file(data, target, option)


def write_file(data: bytes, target: str, option: str) -> None:
    """Write *data*, whole or not at all, to the file *target* of *option*; raise UsageError if that is impossible."""
    temporary = f"{target}.{os.getpid()}.tmp"
    try:
        with open(temporary, "xb") as file:
            file.write(data)
        os.replace(temporary, target)  # noqa: PTH105 - as above
    except OSError as error:
        raise UsageError(f"{option}: {target}: {(error.strerror or str(error)).lower()}") from error
    finally:
        if os.path.exists(temporary):  # noqa: PTH110 - as above
            os.unlink(temporary)  # noqa: PTH108 - as above
