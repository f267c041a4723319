"""The screen of a comparison: what a reader learns from it, and that it fits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from emu.boot.record import BootRecord
from emu.compare.diff import diff
from emu.report.diff import lines
from emu.report.paper import Paper
from tests.booted import booted

Golden = Callable[[str, str], None]


def screen(a: BootRecord, b: BootRecord, width: int = 100, show_all: bool = False) -> str:
    return "\n".join(lines(diff(a, b), Paper(width), show_all)) + "\n"


def test_two_worlds(golden: Golden, binary: Callable[[str], Path]) -> None:
    """2 and 3 CPUs, Go 1.27.3; a change of the screen is reviewed as one."""
    path = binary("hello-1.27.3")
    golden("tests/report/diff-cpus.txt", screen(booted(path), booted(path, "cpus=3")))


def test_two_releases(golden: Golden, binary: Callable[[str], Path]) -> None:
    """Go 1.24.11 and 1.25.5, on 80 columns."""
    golden(
        "tests/report/diff-releases.txt", screen(booted(binary("hello-1.24.11")), booted(binary("hello-1.25.5")), 80)
    )


def test_nothing_differs() -> None:
    text = screen(booted(), booted())

    assert text.endswith("the same program in the same World\n\nnothing differs\n")


def test_the_key_stands_beside_the_value() -> None:
    """Ncpu before and after, and the World's key that decides it; what was asked, and both answers."""
    text = screen(booted(), booted(None, "cpus=3"), 200)

    assert "  ncpu  2 CPUs -> 3 CPUs  <- World: cpus  # CPUs that the program may run on" in text
    assert "all that differs comes from cpus, possible-cpus of the World" in text
    assert "> sched_getaffinity(0, 8192, [CPUs 0-1]) = 8\n        -> sched_getaffinity(0, 8192, [CPUs 0-2]) = 8" in text
    assert "= runtime.numCPUStartup: becomes 2 CPUs -> 3 CPUs" in text


def test_a_throw_is_shown() -> None:
    text = screen(booted(), booted(None, "page-size=1024"))

    assert "B  hello (go1.27.3): throw: " in text
    assert "fatal error" in text


def test_lines_fit_and_all_shows_more() -> None:
    """No line is wider than the screen, and --all folds nothing."""
    a, b = booted(), booted(None, "cpus=3")
    for width in (60, 100):
        assert max(len(line) for line in screen(a, b, width).splitlines()) <= width
        assert max(len(line) for line in screen(a, b, width, show_all=True).splitlines()) <= width
    shown = screen(a, b, 100, show_all=True)
    assert "(--all)" not in shown
    changed = [row["name"] for row in diff(a, b)["globals"]["changed"]]
    assert "runtime.numCPUStartup" in changed
    assert [name for name in changed if name not in shown] == []
