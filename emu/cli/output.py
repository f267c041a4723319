"""What a command prints: text as the screen can show it, JSON whole or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from functools import partial

from emu.cli.errors import UsageError
from syscalls.light import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from emu.report.paper import Paper

PLAIN_WIDTH = 100  # columns of what is not a terminal
MIN_COLUMNS = 40
MAX_DIGITS = 4  # of $COLUMNS: lines are padded to it
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
    if chosen.isdecimal() and len(chosen) <= MAX_DIGITS and int(chosen):
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
    """Write *lines*; what the stream's encoding cannot show is escaped, control characters are made visible.

    Ends early where nobody reads any more; raises UsageError where writing fails.
    """
    encoding = stream.encoding or "utf-8"
    for line in lines:
        shown = "".join(c if c.isprintable() or c == "\x1b" else c.encode("unicode_escape").decode() for c in line)
        text = shown.encode(encoding, "backslashreplace").decode(encoding) + "\n"
        if not _done(partial(stream.write, text)):
            return


def write_text(text: str) -> None:
    """Write *text* to standard output as it is; as :func:`write_lines` in all else."""
    _done(partial(sys.stdout.write, text))


def write_bytes(data: bytes) -> None:
    """Write *data* to standard output; as :func:`write_lines` in all else."""
    _done(partial(sys.stdout.buffer.write, data))


def flush() -> None:
    """Let standard output out; as :func:`write_lines` where that cannot be."""
    _done(sys.stdout.flush)


def _done(write: Callable[[], object]) -> bool:
    # Whether `write`, which writes to standard output, could; what cannot be written is thrown away, then and later.
    try:
        write()
    except BrokenPipeError:  # whoever read our output has seen enough
        _discard()
        return False
    except OSError as error:
        _discard()
        raise UsageError(f"standard output: {error.strerror or error}") from error
    return True


def _discard() -> None:
    # Buffers are flushed once more when the interpreter ends.
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, sys.stdout.fileno())
    os.close(sink)


def have_streams() -> None:
    """Open what stands for the standard streams where the caller has closed them.

    Writing to a closed standard output fails, as it does for any program; a closed standard error swallows all, and a
    closed standard input is at its end, where else the first file opened would be read in its place.
    """
    if sys.stdin is None:
        sys.stdin = open(_placed(os.O_RDONLY, 0), closefd=False)  # noqa: SIM115 - open until the process ends
    if sys.stdout is None:
        sys.stdout = open(_placed(os.O_RDONLY, 1), "w", closefd=False)  # noqa: SIM115 - open until the process ends
    if sys.stderr is None:
        sys.stderr = open(_placed(os.O_WRONLY, 2), "w", closefd=False)  # noqa: SIM115 - as above


def _placed(flags: int, fd: int) -> int:
    # /dev/null as descriptor `fd`.
    opened = os.open(os.devnull, flags)
    if opened != fd:
        os.dup2(opened, fd)
        os.close(opened)
    return fd


def check_target(target: str | None, option: str = "--json") -> None:
    """Raise UsageError if output cannot go to the file *target* of *option*; to be called before the work."""
    if target is None or target == STDOUT:
        return
    if not target:
        raise UsageError(f"{option}: an empty name; a file is to be named")
    folder = os.path.dirname(target) or "."  # noqa: PTH120 - pathlib is not needed for anything else here
    if os.path.isdir(target) or not os.path.isdir(folder):  # noqa: PTH112 - as above
        raise UsageError(f"{option}: {target}: {'is a directory' if os.path.isdir(target) else 'no such directory'}")  # noqa: PTH112
    if is_special(target):
        return
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


def is_special(target: str) -> bool:
    """Tell whether *target* exists and is no regular file."""
    return os.path.exists(target) and not os.path.isfile(target)  # noqa: PTH110, PTH113 - as above


def write_json(text: str, target: str, option: str = "--json") -> None:
    """Write one line of JSON to standard output or, whole or not at all, to the file *target* of *option*.

    A lone surrogate (a byte that was no UTF-8) becomes its JSON escape.  Raises UsageError for a file that cannot be
    written.
    """
    data = (text + "\n").encode("utf-8", "backslashreplace")
    if target == STDOUT:
        write_text(data.decode("utf-8"))
    else:
        write_file(data, target, option)


def write_file(data: bytes, target: str, option: str) -> None:
    """Write *data*, whole or not at all, to the file *target* of *option*; raise UsageError if that is impossible.

    A device or a pipe is written to as it is: a file renamed over ``/dev/null`` would take its place.
    """
    temporary = None
    try:
        if is_special(target):  # by the name as it is: that of a pipe behind /dev/fd is no path
            with open(target, "wb") as special:
                special.write(data)
            return
        target = os.path.realpath(target)
        temporary = f"{target}.{os.getpid()}.tmp"
        with open(temporary, "xb") as file:
            file.write(data)
        os.replace(temporary, target)  # noqa: PTH105 - as above
    except OSError as error:
        raise UsageError(f"{option}: {target}: {(error.strerror or str(error)).lower()}") from error
    finally:
        if temporary is not None and os.path.exists(temporary):  # noqa: PTH110 - as above
            os.unlink(temporary)  # noqa: PTH108 - as above
