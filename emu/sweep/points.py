"""Reading what varies: ``KEY=V1,V2,...`` of the command line, and files of points.

``KEY=V1,V2,...`` is split at its commas, but not within quotes or brackets, nor where a backslash stands before one.
A KEY that is given several times has one value each time, commas included.  A piece ``A..B`` stands for the integers
from A to B, ``A..B+S`` for every S-th of them, ``A..B*F`` for A, A*F, A*F*F and so on.

A file is CSV (a row of keys, then a row a point; an empty cell sets nothing) or TOML: keys of a table ``[vary]`` have
arrays, of which the product is taken; each table ``[[point]]`` is one point.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from emu.sweep.plan import Axis, PlanError, Settings
from syscalls.world import WorldError
from syscalls.worldfile import inline_value, split_setting

RANGE = re.compile(r"(\d+)\.\.(\d+)(?:([+*])(\d+))?")
MAX_VALUES = 1_000_000  # of one knob
OPENING, CLOSING = "[{", "]}"


def from_options(texts: Sequence[str]) -> list[Axis]:
    """The factors that ``--vary`` *texts* describe, in order of their first mention."""
    given: dict[str, list[str]] = {}
    for text in texts:
        try:
            key, value = split_setting(text)
        except WorldError as error:
            raise PlanError(str(error)) from error
        given.setdefault(key, []).append(value)
    axes: list[Axis] = []
    for key, values in given.items():
        found = list(split(values[0])) if len(values) == 1 else values
        axes.append(tuple(((key, value),) for value in dict.fromkeys(found)))
    return axes


def split(text: str) -> Iterator[str]:
    """The values that *text* lists, ranges spelled out."""
    for piece, plain in _pieces(text):
        found = RANGE.fullmatch(piece) if plain else None
        if found is None:
            yield piece
        else:
            yield from map(str, _range(piece, *found.groups()))


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    # Each piece between commas, and whether it has no backslash, quote or bracket.
    piece, plain, depth, quote, escaped = "", True, 0, "", False
    for c in text:
        if escaped:
            piece += c if c in ",.\\" and not quote else "\\" + c
            escaped = False
        elif c == "\\" and quote != "'":
            plain, escaped = False, True
        elif c == "," and not depth and not quote:
            yield piece, plain
            piece, plain = "", True
        else:
            if quote:
                quote = "" if c == quote else quote
            elif c in "\"'":
                plain, quote = False, c
            elif c in OPENING or (c in CLOSING and depth):
                plain = False
                depth += 1 if c in OPENING else -1
            piece += c
    yield piece + ("\\" if escaped else ""), plain


def _range(text: str, first: str, last: str, how: str | None, by: str | None) -> Iterator[int]:
    low, high, step = int(first), int(last), int(by or 1)
    if low > high or not step or (how == "*" and (step < 2 or not low)):
        raise PlanError(f"{text} is no range: A..B, A..B+S or A..B*F, with A at most B")
    if how != "*" and (high - low) // step >= MAX_VALUES:
        raise PlanError(f"{text} has more than {MAX_VALUES} values")
    while low <= high:
        yield low
        low = low * step if how == "*" else low + step


def from_file(path: Path) -> list[Axis]:
    """The factors that the file *path* describes; raises PlanError, naming it."""
    try:
        text = path.read_text(encoding="utf-8")
        return _csv(text) if path.suffix.lower() == ".csv" else _toml(text)
    except OSError as error:
        raise PlanError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError as error:
        raise PlanError(f"{path}: not UTF-8") from error
    except PlanError as error:
        raise PlanError(f"{path}: {error}") from error


def _csv(text: str) -> list[Axis]:
    rows = [row for row in csv.reader(text.splitlines()) if row]
    if len(rows) < 2:
        raise PlanError("a row of keys is needed, and one for each point")
    keys = [key.strip() for key in rows[0]]
    if len(set(keys)) < len(keys) or not all(keys):
        raise PlanError("the first row must name each key once")
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(keys):
            raise PlanError(f"row {number} has {len(row)} cells, not {len(keys)}")
    return [_distinct(tuple((key, cell) for key, cell in zip(keys, row, strict=True) if cell) for row in rows[1:])]


def _distinct(alternatives: Iterable[Settings]) -> Axis:
    return tuple(dict.fromkeys(alternatives))


def _toml(text: str) -> list[Axis]:
    import tomllib

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"bad TOML: {error}") from error
    vary, points = document.pop("vary", {}), document.pop("point", [])
    if document or not isinstance(vary, dict) or not isinstance(points, list):
        raise PlanError("only a table [vary] and tables [[point]] are known")
    axes = []
    for key, values in _flat(vary):
        if not isinstance(values, list) or not values:
            raise PlanError(f"{key}: an array of values is needed")
        axes.append(_distinct(((key, _text(value)),) for value in values))
    if points:
        if not all(isinstance(point, dict) for point in points):
            raise PlanError("point: tables are needed")
        axes.append(_distinct(tuple((key, _text(value)) for key, value in _flat(point)) for point in points))
    if not axes:
        raise PlanError("nothing varies: neither [vary] nor [[point]]")
    return axes


def _flat(table: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    # Keys of nested tables with dots between their parts.
    for name, value in table.items():
        key = before + (name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else inline_value(name))
        if isinstance(value, dict):
            yield from _flat(value, f"{key}.")
        else:
            yield key, value


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return inline_value(value)
    except TypeError as error:
        raise PlanError(str(error)) from error
