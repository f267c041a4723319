"""Lines for a screen: words wrapped to a width under tree lines, with a few colours where they are wanted.

A line is a list of spans, ``(style, text)``.  Styles are named in :data:`CODES`; the codes are those of ECMA-48
(console_codes(4)).  Widths count characters: what we print is Latin text, box lines and the guest's own words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

Spans = list[tuple[str, str]]

CODES = {
    "name": "1", "value": "32", "call": "36", "keys": "33", "world": "33", "faint": "2", "bad": "1;31", "head": "1;4",
    "": "",
}  # fmt: skip
WHOLE = "world"  # a span of this style is not broken where it fits on a line of its own
MIN_WIDTH = 40
GAP = 2  # blanks between a line and what stands at its right edge


@dataclass(frozen=True, slots=True)
class Paper:
    """How to write: the *width* in characters, whether in colour, whether box lines may be used."""

    width: int = 100
    colour: bool = False
    boxes: bool = True

    def styled(self, style: str, text: str) -> str:
        """*text* in *style*."""
        code = CODES[style]
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code and text else text

    def branch(self, last: bool) -> str:
        """What stands before a child of a tree."""
        if self.boxes:
            return "└─ " if last else "├─ "
        return "`- " if last else "|- "

    def stem(self, more: bool) -> str:
        """What stands below a node, with *more* of its brothers to come."""
        if not more:
            return "   "
        return "│  " if self.boxes else "|  "

    def lay(self, spans: Spans, first: str = "", rest: str = "", right: str = "") -> Iterator[str]:
        """Wrap *spans* to the width: *first* stands before the first line, *rest* before the others.

        *right* goes to the right edge of the first line if there is space, else below the last.
        """
        gap = self.width - len(first) - len(plain(spans)) - len(right)
        if right and gap >= GAP:
            yield self._line(first, [*spans, ("", " " * gap), ("faint", right)])
            return
        room = max(self.width - max(len(first), len(rest)), MIN_WIDTH // 2)
        lines = wrapped(spans, room) + (wrapped([("faint", right)], room) if right else [])
        for number, line in enumerate(lines):
            yield self._line(rest if number else first, line)

    def _line(self, before: str, spans: Spans) -> str:
        text = "".join(self.styled(style, text) for style, text in spans)
        return self.faint(before) + text if text else self.faint(before.rstrip())

    def faint(self, text: str) -> str:
        """*text* for tree lines."""
        return self.styled("faint", text)


def wrapped(spans: Spans, width: int) -> list[Spans]:
    """*spans* as lines of at most *width* characters, broken at blanks, and within a word that is longer."""
    lines: list[Spans] = [[]]
    used = 0
    for style, word in _words(spans, width):
        text = word
        if used + len(text.rstrip()) > width and used:
            _trim(lines[-1])
            lines.append([])
            used = 0
            text = text.lstrip()
        while len(text.rstrip()) > width - used:
            lines[-1].append((style, text[: width - used]))
            text = text[width - used :]
            lines.append([])
            used = 0
        if text:
            lines[-1].append((style, text))
            used += len(text)
    _trim(lines[-1])
    return lines


def _words(spans: Iterable[tuple[str, str]], width: int) -> Iterator[tuple[str, str]]:
    # Each word with the blanks that follow it; what no blank divides stays together only within its span.
    for style, text in spans:
        if style == WHOLE and len(text.strip()) <= width:
            yield "", text[: len(text) - len(text.lstrip())]
            yield style, text.lstrip()
            continue
        start = 0
        while start < len(text):
            end = text.find(" ", start)
            end = len(text) if end < 0 else end
            while end < len(text) and text[end] == " ":
                end += 1
            yield style, text[start:end]
            start = end


def _trim(line: Spans) -> None:
    while line and not line[-1][1].rstrip():
        line.pop()
    if line:
        style, text = line[-1]
        line[-1] = (style, text.rstrip())


def plain(spans: Spans) -> str:
    """The text of *spans* alone."""
    return "".join(text for _, text in spans)
