"""Go source lines, from a GOROOT that matches or does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from emu.report import boot as report
from emu.report.paper import Paper
from emu.report.source import Sources, find
from tests.booted import booted

CODE = """package runtime

import "unsafe"

// osinit asks.
//
//go:nosplit
func osinit() {
\tncpu = getproccount()
}

func next() {
}
"""


@pytest.fixture
def goroot(tmp_path: Path) -> Path:
    """A GOROOT with one source file."""
    (tmp_path / "src" / "runtime").mkdir(parents=True)
    (tmp_path / "src" / "runtime" / "os_linux.go").write_text(CODE)
    (tmp_path / "VERSION").write_text("go1.27.3\ntime 2026-01-01T00:00:00Z\n")
    return tmp_path


def test_comment_declaration_and_body(goroot: Path) -> None:
    """From the comment above the declaration to the end of a short function."""
    found = find("go1.27.3", str(goroot), {})

    assert isinstance(found, Sources)
    assert found.warning == ""
    assert found.around("runtime/os_linux.go", 8) == [
        (5, "// osinit asks."),
        (6, "//"),
        (7, "//go:nosplit"),
        (8, "func osinit() {"),
        (9, "    ncpu = getproccount()"),
        (10, "}"),
    ]


@pytest.mark.parametrize("file", ["/usr/lib/go-1.19/src/runtime/os_linux.go", "/build/go/src/runtime/os_linux.go"])
def test_an_untrimmed_path_is_mapped(goroot: Path, file: str) -> None:
    """What stands behind /src/ counts, wherever the program was built."""
    found = find("go1.27.3", str(goroot), {})

    assert isinstance(found, Sources)
    assert found.around(file, 12)[0] == (12, "func next() {")


@pytest.mark.parametrize(
    ("file", "line"),
    [("runtime/none.go", 1), ("runtime/os_linux.go", 0), ("runtime/os_linux.go", 99), ("../x.go", 1), ("/x.go", 1)],
)
def test_what_is_not_there_is_not_shown(goroot: Path, file: str, line: int) -> None:
    """A missing file, a line beyond the end, a path out of the tree."""
    assert Sources(goroot).around(file, line) == []


def test_another_release_is_used_with_a_warning(goroot: Path) -> None:
    """Lines may be off: the reader is told."""
    found = find("go1.21.13", str(goroot), {})

    assert isinstance(found, Sources)
    assert found.warning == f"the sources at {goroot} are go1.27.3, the program was built by go1.21.13"


def test_the_environment_is_second(goroot: Path) -> None:
    """$GOROOT counts where nothing was chosen."""
    found = find("go1.27.3", None, {"GOROOT": str(goroot)})

    assert isinstance(found, Sources)
    assert found.root == goroot


def test_no_sources_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is none, and nothing at all."""
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find("go1.27.3", str(tmp_path), {}) == f"no Go sources: {tmp_path} has no src/runtime"
    assert find("go1.27.3", None, {}) == "no Go sources: no --goroot, no GOROOT, no go command"


def test_sources_on_the_screen(goroot: Path) -> None:
    """Lines stand below the function that they declare; without them the screen says why."""
    lines = [line.strip("│ ") for line in report.lines(booted(), Paper(120), sources=Sources(goroot, "other release"))]

    assert "note     other release" in lines
    assert "note     no Go sources" in list(report.lines(booted(), Paper(120), sources="no Go sources"))
