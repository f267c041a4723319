"""Where output goes and how: colours, widths, encodings, and JSON that is whole or not there."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import NoReturn

import pytest

from emu.cli import output
from emu.cli.errors import UsageError


class Terminal(io.TextIOWrapper):
    """A stream that claims to be a terminal; it has no size."""

    def isatty(self) -> bool:
        return True


def stream(kind: type[io.TextIOWrapper] = io.TextIOWrapper, encoding: str = "utf-8") -> io.TextIOWrapper:
    return kind(io.BytesIO(), encoding=encoding)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_colours_are_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not into a pipe or a file, nor where the user or the terminal does not want them."""
    assert output.paper(stream(Terminal)).colour
    assert not output.paper(stream()).colour
    monkeypatch.setenv("NO_COLOR", "1")
    assert not output.paper(stream(Terminal)).colour
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setenv("TERM", "dumb")
    assert not output.paper(stream(Terminal)).colour


@pytest.mark.parametrize(
    ("columns", "width"), [("72", 72), ("10", 40), ("", 100), ("0", 100), ("wide", 100), ("9" * 11, 100)]
)
def test_width(monkeypatch: pytest.MonkeyPatch, columns: str, width: int) -> None:
    """$COLUMNS if it is a number, never less than 40; 100 where there is no terminal."""
    monkeypatch.setenv("COLUMNS", columns)

    assert output.paper(stream()).width == width


def test_the_terminal_s_own_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the terminal says, where it says something."""
    monkeypatch.setattr(Terminal, "fileno", lambda _: 1)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((77, 24)))

    assert output.paper(stream(Terminal)).width == 77


@pytest.mark.parametrize(
    ("encoding", "boxes"), [("utf-8", True), ("cp437", True), ("ascii", False), ("latin-1", False)]
)
def test_boxes_where_the_encoding_has_them(encoding: str, boxes: bool) -> None:
    """Otherwise plain tree lines."""
    assert output.paper(stream(encoding=encoding)).boxes == boxes


def test_what_cannot_be_shown_is_escaped() -> None:
    """Neither an encoding error nor a guest that writes to the reader's terminal."""
    made = stream(encoding="ascii")
    output.write_lines(["naïve \x07\x9b[2J", "a\tb"], made)
    made.flush()

    assert made.buffer.getvalue() == b"na\\xefve \\x07\\x9b[2J\na\\tb\n"  # type: ignore[attr-defined]


def test_json_appears_whole(tmp_path: Path) -> None:
    """One line; a file that was there is replaced, nothing else is left behind."""
    target = tmp_path / "out.json"
    target.write_text("old")
    output.write_json('{"a":"\udc80"}', str(target))

    assert target.read_bytes() == b'{"a":"\\udc80"}\n'
    assert list(tmp_path.iterdir()) == [target]


def test_json_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old file stays as it was, and no half of the new one."""
    target = tmp_path / "out.json"
    target.write_text("old")

    def refuse(*_: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UsageError, match=r"^--json: .*out\.json: no space left on device$"):
        output.write_json("{}", str(target))

    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_targets_are_checked_before_the_work(tmp_path: Path) -> None:
    """A folder, a folder that is not there, a program that would be overwritten."""
    program = tmp_path / "hello"
    program.write_bytes(b"\x7fELF and more")
    for target, what in (
        (tmp_path, "is a directory"),
        (tmp_path / "no" / "x.json", "no such directory"),
        (program, "is a program, not to be overwritten"),
    ):
        with pytest.raises(UsageError, match=what):
            output.check_target(str(target))
    output.check_target(str(tmp_path / "new.json"))
    output.check_target("-")
    output.check_target(None)

    assert program.read_bytes() == b"\x7fELF and more"
