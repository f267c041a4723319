"""docs/releases.md and docs/matrix.md are current, and what they are made of is what programs do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.history import RELEASES, WORLD, recorded
from docs.generate import matrix, pages, releases, survey
from docs.generate.inputs import heeded
from docs.generate.template import PageError, Verbs, render
from emu.boot.boot import boot
from emu.boot.catalogue import NEWEST
from emu.image import load
from fixtures import store
from fixtures.cells import COLUMNS, cells

SMALL = [name for name in RELEASES if name.startswith("hello")]
COMMITTED = [
    cell for cell in cells() if cell.how == "manifest" and isinstance(cell.fixture.origin, store.Built)
]  # the others take their time, and stay as `make matrix` saw them
ROWS: dict[str, Any] = matrix.recorded()
SURVEYED: dict[str, Any] = json.loads(survey.FILE.read_text())


@pytest.mark.parametrize("name", pages.RECORDED)
def test_page_is_current(name: str, golden: Callable[[str, str], None]) -> None:
    """Made of what is kept; no boot."""
    golden(f"docs/{name}.md", pages.of_records(name))


@pytest.mark.parametrize("name", SMALL)
def test_survey_is_current(name: str, binary: Callable[[str], Path]) -> None:
    """What releases.json says of the small programs is what they do; `make releases` renews it."""
    made = survey.survey(load(binary(name)))

    assert {key: SURVEYED[name][key] for key in made} == json.loads(json.dumps(made))


@pytest.mark.parametrize("name", ["hello-1.21.13"])
def test_inputs_are_current(name: str, binary: Callable[[str], Path]) -> None:
    """What makes a difference, tried anew; the tags are those that sysauxv of 1.21 reads in the sources."""
    made = heeded(load(binary(name)))

    assert made == {key: SURVEYED[name][key] for key in made}
    assert made["auxv"] == ["AT_SYSINFO_EHDR", "AT_PAGESZ", "AT_SECURE", "AT_RANDOM"]


def test_survey_is_of_every_release_and_agrees_with_the_history() -> None:
    """The same programs in the same World, counted by another observer, to the same instruction."""
    assert tuple(SURVEYED) == RELEASES
    for name, row in SURVEYED.items():
        one = recorded(name)
        assert row["sha256"] == store.fixtures()[name].sha256 == one.sha256
        assert row["instructions"] == one.totals.instructions
        assert len(row["syscalls"]) == one.totals.syscalls
        assert {call[0] for call in row["calls"]} == {function.name for function in one.functions}


@pytest.mark.parametrize("cell", COMMITTED, ids=lambda cell: cell.name)
def test_matrix_is_current(cell: Any, binary: Callable[[str], Path]) -> None:
    """What matrix.json says of the boots of committed programs; `make matrix` renews it."""
    image = load(binary(cell.name))
    made = json.loads(json.dumps(survey.summary(image, boot(image, WORLD))))

    assert {key: ROWS[cell.name][key] for key in made} == made


def test_every_program_of_the_matrix_boots_and_agrees() -> None:
    """All reach mstart in their release's order; those with symbols do natively what they do emulated."""
    assert set(ROWS) == {cell.name for cell in cells()}
    for cell in cells():
        row = ROWS[cell.name]
        assert row["outcome"]["at"] == "runtime.mstart", cell.name
        assert row["out of order"] == [], cell.name
        assert row["functions"]["in order"] == row["functions"]["wanted"] >= 42, cell.name
        assert (cell.fixture.sha256 or row["sha256"]) == row["sha256"] or cell.how == "cut", cell.name
        assert ("verify" in row) == (not cell.stripped), cell.name
        if "verify" in row:
            assert (row["verify"]["ok"], row["verify"]["end"]) == (True, "runtime.mstart"), cell.name
            assert row["verify"]["compared"]["leaves"] > 6000, cell.name
    leaves = ROWS["hello-1.27.3"]["verify"]
    plain = "leaves without an address"
    assert leaves["equal"][plain] >= 0.99 * leaves["compared"][plain]


def test_releases_without_a_program_say_why() -> None:
    """Each release from 1.9 on has a program but 1.10, and each empty cell its reason."""
    have = {(cell.release, cell.column) for cell in cells()}
    empty = [(1, minor) for minor in range(9, NEWEST[1] + 1) if not any(((1, minor), c) in have for c in COLUMNS)]
    text = matrix.absent()

    assert empty == [(1, 10)]
    for minor in range(9, NEWEST[1] + 1):
        for column in COLUMNS:
            assert (f"1.{minor} {column}" in text) == (((1, minor), column) not in have)


def test_the_page_tells_what_the_facts_tell() -> None:
    """A few of the changes that Go's sources and release notes tell of, release by release."""
    for release, words in {
        "1.11": "new: `cpuinit`",
        "1.13": "new: `getHugePageSize`, after `getproccount`",
        "1.14": "`uname` 0 to 1",
        "1.18": "`cpuinit` moved: now after `mallocinit`, before after `mcommoninit`",
        "1.19": "environment variables: also `GOMEMLIMIT`",
        "1.22": "new: `checkfds`, after `goenvs_unix`",
        "1.25": "`parsedebugvars` was split into `parseRuntimeDebugVars` and `finishDebugVarsSetup`",
        "1.26": "`randinit` moved: now after `moduledataverify1`",
        "1.27": "`alginit` became `internal/runtime/maps.AlgInit`",
    }.items():
        assert words in releases.changed(release), release


@pytest.mark.parametrize("text", ["{{rt0.changed 1.9}}", "{{rt0.changed 1.10}}", "{{rt0.details 1.28}}"])
def test_release_that_was_not_surveyed_is_refused(text: str) -> None:
    """A placeholder that names nothing makes no page."""
    with pytest.raises(PageError):
        render(text, {}, Verbs(one={}, both={}, project=releases.FACTS))
