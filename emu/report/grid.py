"""A table of short texts for a screen, under one line of titles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emu.report.paper import Paper

GAP = "  "
MAX_COLUMN = 40  # characters of a cell


def grid(titles: Sequence[str], rows: Sequence[Sequence[str]], paper: Paper, right: Sequence[bool]) -> Iterator[str]:
    """The lines of the table; columns where *right* is true are set to the right.  Nothing is wrapped."""
    widths = widths_of(titles, rows)
    yield paper.styled("head", _line(titles, widths, right).rstrip())
    for row in rows:
        yield _line(row, widths, right).rstrip()


def widths_of(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """How many characters each column takes."""
    return [max(len(cut(cell)) for cell in column) for column in zip(titles, *rows, strict=True)]


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    texts = zip(map(cut, cells), widths, right, strict=True)
    return GAP.join(text.rjust(width) if to_right else text.ljust(width) for text, width, to_right in texts)


def cut(text: str) -> str:
    """*text* on one line, cut to :data:`MAX_COLUMN` characters."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_COLUMN else line[: MAX_COLUMN - 3] + "..."
