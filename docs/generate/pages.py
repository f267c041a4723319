"""Every page that is generated, and the command line that writes them: ``python -m docs.generate``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from docs.generate import boxes, chart, drawings, history, matrix, project, releases, suites, verbs
from docs.generate.console import refreshed, shell
from docs.generate.subjects import PROGRAMS, subject
from docs.generate.template import OneVerb, Subjects, Verbs, render

FOLDER = Path(__file__).resolve().parent
DOCS = FOLDER.parent
README = DOCS.parent / "README.md"
TEMPLATES = ("walk", "record", "fixtures")
VERBS = Verbs(
    one={
        **verbs.ONE,
        "stack": drawings.stack,
        "order": drawings.order,
        "hints": drawings.hints,
        "distinct": drawings.distinct,
        "sizes": drawings.size_classes,
        "processors": drawings.processors,
        "views": drawings.views,
        "json": drawings.excerpt,
        "try": boxes.try_it,
    },
    both={
        "box": boxes.box,
        "vary": boxes.vary,
        "auxv": drawings.auxv,
        "throws": drawings.throws,
        "features": drawings.features,
        "debug": drawings.debug,
    },
    project=project.FACTS,
)


def template(name: str) -> str:
    """The text that the page *name* is made of."""
    return (FOLDER / f"{name}.md.in").read_text()


@cache
def page(name: str) -> str:
    """The page *name*, made afresh of records; raises fixtures.store.FixtureError without the programs."""
    subjects: Subjects = {key: subject(key) for key in PROGRAMS}
    return render(template(name), subjects, VERBS)


RECORDED: Mapping[str, Mapping[str, OneVerb]] = {
    "history": history.FACTS,
    "releases": releases.FACTS,
    "matrix": matrix.FACTS,
    "suites": suites.FACTS,
}
"""Pages that are made of what is kept in bench/history and docs/generate, without a boot."""


def of_records(name: str) -> str:
    """The page *name*, one of :data:`RECORDED`."""
    return render(template(name), {}, Verbs(one={}, both={}, project=RECORDED[name]))


def bench() -> str:
    """docs/bench.md with every screen that it shows taken afresh."""
    return refreshed((DOCS / "bench.md").read_text(), shell)


def sweep() -> str:
    """docs/sweep.md with every screen that it shows taken afresh."""
    return refreshed((DOCS / "sweep.md").read_text(), shell)


def readme() -> str:
    """README.md with every screen that it shows taken afresh."""
    return refreshed(README.read_text(), shell)


def write() -> list[str]:
    """Rewrite every page and return the names of those that changed."""
    made = {DOCS / f"{name}.md": page(name) for name in TEMPLATES} | {README: readme()}
    made |= {DOCS / f"{name}.md": of_records(name) for name in RECORDED}
    made |= {
        DOCS / "history.svg": chart.svg(),
        DOCS / "bench.md": bench(),
        DOCS / "sweep.md": sweep(),
    }
    changed = [path for path, text in made.items() if not path.exists() or path.read_text() != text]
    for path in changed:
        path.write_text(made[path])
    return [path.name for path in changed]
