"""docs/history.md, its chart and docs/bench.md are current, and so are the recordings that they show."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import history
from bench.history import LARGER, RELEASES, recorded
from docs.generate import chart, pages
from docs.generate.template import PageError, Verbs, render
from emu.bench.cost import MEANING, METRICS
from fixtures import store

SMALL = [name for name in RELEASES if name.startswith("hello")]


@pytest.mark.parametrize("name", [*SMALL, "esbuild-0.1.0"])
def test_recording_is_current(name: str, golden: Callable[[str, str], None], binary: Callable[[str], Path]) -> None:
    """What is recorded is what the program costs now; ``python -m bench.history`` renews the larger ones too."""
    assert binary(name).is_file()
    golden(f"bench/history/{name}.json", history.record(name))


def test_history_is_current(golden: Callable[[str, str], None]) -> None:
    """Page and chart are made of the recordings."""
    golden("docs/history.md", pages.of_records("history"))
    golden("docs/history.svg", chart.svg())


def test_screens_of_bench_are_current(golden: Callable[[str, str], None]) -> None:
    """What docs/bench.md shows is what the commands print, and its table has every metric."""
    text = pages.bench()
    golden("docs/bench.md", text)

    assert all(f"| `{name}` | {MEANING[name]} |" in text for name in METRICS)


def test_recordings_are_of_the_fixtures() -> None:
    """Every release from 1.9 on has one, but 1.10; each is of the very binary that the manifest pins."""
    files = {path.stem for path in history.FOLDER.glob("*.json")}
    releases = [store.fixtures()[name].go.split(".")[1] for name in RELEASES]

    assert files == {*RELEASES, *LARGER}
    assert [int(release) for release in releases] == [9, *range(11, 28)]
    assert all(recorded(name).sha256 == store.fixtures()[name].sha256 for name in files)


def test_bars_add_up_and_have_their_size() -> None:
    """The parts of each bar are as high as their instructions; groups name functions that some release has."""
    root = ET.fromstring(chart.svg())
    svg = "{http://www.w3.org/2000/svg}"
    bars: dict[str, float] = {}
    for rect in root.iter(f"{svg}rect"):
        title = rect.find(f"{svg}title")
        if title is not None and title.text:
            bars[title.text.split(":")[0]] = bars.get(title.text.split(":")[0], 0) + float(rect.get("height", 0))
    scale = (chart.BOTTOM - chart.TOP) / chart.CEILING

    assert len(bars) == len(RELEASES)
    for name, (label, height) in zip(RELEASES, bars.items(), strict=True):
        total = recorded(name).totals.instructions
        assert label.endswith(name)
        assert sum(chart.shares(recorded(name))) == total
        assert height == pytest.approx(min(total, chart.CEILING) * scale, abs=1)
    seen = {row.name for name in RELEASES for row in recorded(name).functions}
    assert all(set(group.functions) & seen for group in chart.GROUPS if group.functions)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{{rt0.never 1.9 runtime.additab}}", "runtime.additab runs in 1.9"),
        ("{{rt0.part 1.11 runtime.itabsinit runtime.additab}}", "does not run within"),
        ("{{rt0.own 1.24 runtime.defaultGOMAXPROCSInit}}", "does not run in 1.24"),
        ("{{rt0.total 1.10}}", "no recording 1.10"),
        ("{{rt0.variable 1.22 runtime.nonesuch}}", "has no symbol"),
    ],
)
def test_claim_that_the_recordings_do_not_show_is_refused(text: str, complaint: str) -> None:
    """A sentence of the page whose figure is not there makes no page."""
    from docs.generate.history import FACTS

    with pytest.raises(PageError, match=complaint):
        render(text, {}, Verbs(one={}, both={}, project=FACTS))
