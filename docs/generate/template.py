"""Placeholders of the pages: ``{{old.value runtime.ncpu}}``, ``{{both.box runtime.osinit}}``, ``{{rt0.worlds}}``.

What stands before the dot says of which program: ``old``, ``new``, either with World settings in brackets
(``{{new[page-size=1024 seed=2].message}}``), ``both`` beside each other, or ``rt0`` for facts of the project itself.
Then comes a verb and its arguments, then filters after ``|``.  A placeholder that names something which is not there
fails with the page's line.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from docs.generate import spelling
from docs.generate.subjects import NoSuchFigure, Subject

PLACEHOLDER = re.compile(r"\{\{\s*(\w+)(?:\[([^\]]*)\])?\.([\w-]+)([^{}|]*)((?:\|[^{}|]*)*)\}\}")
NO_PARAGRAPH = re.compile(r"^\s*(?:[-*#|>]|\d+\.\s|```|<!)", re.MULTILINE)
WIDTH = 120  # columns
UNCLAIMED = re.compile(r"\{\{|\}\}")

NAMED = {
    "@affinity-fails": 'responses=[{call = "sched_getaffinity", errno = "EPERM"}]',
    "@output-closed": "process.closed-fds=[1]",
}
"""World settings whose spelling a placeholder cannot hold."""

OneVerb = Callable[..., Any]
Subjects = Mapping[str, Subject]


class PageError(ValueError):
    """A page cannot be made; the message names its line."""


@dataclass(frozen=True)
class Verbs:
    """The verbs that a page may use: of one record, of two beside each other, of the project."""

    one: Mapping[str, OneVerb]
    both: Mapping[str, OneVerb]
    project: Mapping[str, OneVerb]


def render(text: str, subjects: Subjects, verbs: Verbs) -> str:
    """The page that the template *text* makes of *subjects* ("old" and "new")."""

    def replaced(match: re.Match[str]) -> str:
        line = text.count("\n", 0, match.start()) + 1
        try:
            return _figure(match, subjects, verbs)
        except (NoSuchFigure, LookupError, TypeError, ValueError) as error:
            raise PageError(f"line {line}: {match.group(0)}: {error}") from error

    page = PLACEHOLDER.sub(replaced, text)
    outside = PLACEHOLDER.sub("", text)
    stray = UNCLAIMED.search(outside)
    if stray:
        raise PageError(f"not a placeholder: {outside[stray.start() :].splitlines()[0]}")
    return reflow(page)


def reflow(page: str) -> str:
    """The page with its paragraphs filled to the width; code, tables, lists and headings stay as they are."""
    blocks, fenced = [], False
    for block in page.rstrip().split("\n\n"):
        plain = not fenced and not NO_PARAGRAPH.search(block)
        blocks.append(textwrap.fill(block, WIDTH, break_long_words=False, break_on_hyphens=False) if plain else block)
        fenced ^= block.count("```") % 2 == 1
    return "\n\n".join(blocks) + "\n"


def _figure(match: re.Match[str], subjects: Subjects, verbs: Verbs) -> str:
    who, settings, verb, rest, filters = match.groups()
    words = [NAMED.get(word, word) for word in rest.split()]
    if who == "rt0":
        value, subject = verbs.project[verb](*words), None
    elif who == "both":
        pair = (subjects["old"], subjects["new"])
        value, subject = verbs.both[verb](*(_varied(one, settings) for one in pair), *words), None
    else:
        subject = _varied(subjects[who], settings)
        value = verbs.one[verb](subject, *words)
    for text in filters.split("|")[1:]:
        name, *arguments = text.split()
        value = FILTERS[name](value, subject, *arguments)
    return value if isinstance(value, str) else spelling.plain(value)


def _varied(subject: Subject, settings: str | None) -> Subject:
    return subject.varied(*settings.split()) if settings else subject


def _integer(value: Any) -> int:
    return int(value, 16) if isinstance(value, str) else int(value)


def _less(value: Any, subject: Subject | None, name: str) -> int:
    # The difference to another figure of the same record, or to a number.
    if name.isdecimal() or subject is None:
        return _integer(value) - int(name)
    return _integer(value) - _integer(subject.value(name))


FILTERS: Mapping[str, Callable[..., Any]] = {
    "hex": lambda value, _: hex(_integer(value)),
    "number": lambda value, _: spelling.number(_integer(value)),
    "size": lambda value, _: spelling.size(_integer(value)),
    "less": _less,
    "of": lambda value, subject, verb_total: f"{100 * value / subject.record['totals'][verb_total]:.0f} %",
    "short-of": lambda value, _, whole: int(whole) - _integer(value),
    "data": lambda value, _: value["data"],
    "len": lambda value, _: value["len"] if isinstance(value, dict) else len(value),
    "text": lambda value, _: value["text"],
}
"""Filter name -> what it makes of a figure, given the figure's record and the filter's arguments."""
