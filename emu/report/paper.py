"""Lines for a screen: words wrapped to a width under tree lines, with a few colours where they are wanted.

A line is a list of spans, ``(style, text)``.  Styles are named in :data:`CODES`; the codes are those of ECMA-48
(console_codes(4)).  Widths count characters: what we print is Latin text, box lines and the guest's own words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from syscalls.light import dataclass

Spans = list[tuple[str, str]]

CODES = {
    "name": "1", "value": "32", "call": "36", "keys": "33", "world": "33", "faint": "2", "bad": "1;31", "head": "1;4",
    "": "",
}  # fmt: skip
WHOLE = "world"  # a span of this style is not broken where it fits on a line of its own
NARROW = 72  # columns below which a tree is drawn with less space
MIN_ROOM = 12  # columns that a line gets under the deepest branches
MIN_BESIDE = 24  # columns that a line needs beside what stands at its right edge
GAP = 2  # blanks between a line and what stands at its right edge
BOUND = frozenset(("#", ">", "<-", "->", "="))  # words that do not end a line


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

    @property
    def indent(self) -> str:
        """What the second and later lines of one thing are moved in by."""
        return " " * (4 if self.width >= NARROW else 2)

    def branch(self, last: bool) -> str:
        """What stands before a child of a tree."""
        corner, tee = ("└─ ", "├─ ") if self.boxes else ("`- ", "|- ")
        drawn = corner if last else tee
        return drawn if self.width >= NARROW else drawn[0] + " "

    def stem(self, more: bool) -> str:
        """What stands below a node, with *more* of its brothers to come."""
        line = "│" if self.boxes else "|"
        return (line if more else " ") + ("  " if self.width >= NARROW else " ")

    def lay(self, spans: Spans, first: str = "", rest: str = "", right: str = "") -> Iterator[str]:
        """Wrap *spans* to the width: *first* stands before the first line, *rest* before the others.

        *right* goes to the right edge of the first line, or of a line of its own where that is too narrow.
        """
        room = max(self.width - len(rest), MIN_ROOM)
        beside = self.width - len(first) - (len(right) + GAP if right else 0)
        word = len(next((text for _, text in _words(spans, room)), "").rstrip())
        if right and (beside < MIN_BESIDE or word > beside) and len(plain(spans)) > beside:
            yield from self.lay(spans, first, rest)
            for part in wrapped([("faint", right)], room):
                yield self._line(" " * max(self.width - len(plain(part)), 0), part)
            return
        lines = wrapped(spans, room, max(beside, MIN_ROOM))
        if right:
            gap = max(self.width - len(first) - len(plain(lines[0])) - len(right), GAP)
            lines[0] += [("", " " * gap), ("faint", right)]
        for number, line in enumerate(lines):
            yield self._line(rest if number else first, line)

    def _line(self, before: str, spans: Spans) -> str:
        text = "".join(self.styled(style, text) for style, text in joined(spans))
        return self.faint(before) + text if text else self.faint(before.rstrip())

    def faint(self, text: str) -> str:
        """*text* for tree lines."""
        return self.styled("faint", text) if text.strip() else text


def joined(spans: Spans) -> Spans:
    """*spans* with neighbours of one style as one; blanks look the same in any."""
    found: Spans = []
    for style, text in spans:
        if found and (style == found[-1][0] or not text.strip()):
            found[-1] = (found[-1][0], found[-1][1] + text)
        else:
            found.append((style, text))
    return found


def wrapped(spans: Spans, width: int, first: int | None = None) -> list[Spans]:
    """*spans* as lines of at most *width* characters (the first of *first*), broken at blanks, else within words."""
    lines: list[Spans] = [[]]
    used, room = 0, width if first is None else first
    for style, word in _words(spans, width):
        text = word
        if used + len(text.rstrip()) > room and used:
            _trim(lines[-1])
            lines.append([])
            used, room = 0, width
            text = text.lstrip()
        while len(text.rstrip()) > room - used:
            lines[-1].append((style, text[: room - used]))
            text = text[room - used :]
            lines.append([])
            used, room = 0, width
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
            end = _end_of_word(text, start)
            while _is_bound(text, start, end, width):
                end = _end_of_word(text, end)
            yield style, text[start:end]
            start = end


def _end_of_word(text: str, start: int) -> int:
    # Where the next word begins.
    end = text.find(" ", start)
    end = len(text) if end < 0 else end
    while end < len(text) and text[end] == " ":
        end += 1
    return end


def _is_bound(text: str, start: int, end: int, width: int) -> bool:
    # Whether the word that ends at `end` goes with the next one: a mark always, what a result follows if all fits.
    if end == len(text):
        return False
    if text[start:end].rstrip().rpartition(" ")[2] in BOUND:
        return True
    result = _end_of_word(text, _end_of_word(text, end)) if text.startswith("= ", end) else 0
    return bool(result) and len(text[start:result].rstrip()) <= width


def _trim(line: Spans) -> None:
    while line and not line[-1][1].rstrip():
        line.pop()
    if line:
        style, text = line[-1]
        line[-1] = (style, text.rstrip())


def plain(spans: Spans) -> str:
    """The text of *spans* alone."""
    return "".join(text for _, text in spans)
