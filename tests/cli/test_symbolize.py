"""``rt0 symbolize``: what it prints, and its one line for what it will not do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from emu.cli.main import main
from emu.image import load

Capture = pytest.CaptureFixture[str]


def test_it_says_what_was_added(binary: Callable[[str], Path], tmp_path: Path, capsys: Capture) -> None:
    """How many of each, and where they are from; the file has just as many symbols."""
    copy = tmp_path / "copy"

    assert main(["symbolize", str(binary("hello-1.27.3-stripped")), str(copy)]) == 0

    first, functions, variables, bounds, *notes = capsys.readouterr().out.replace("\n    ", " ").splitlines()
    made = load(copy).symbols.all
    counts = [int(line.split()[0].replace(",", "")) for line in (functions, variables, bounds)]
    assert first == f"{copy}: a copy of hello-1.27.3-stripped (go1.27.3) with symbols"
    assert functions == "  1,796 functions, from the pclntab, 27 as NAME.abi0 beside a NAME"
    assert sum(counts) + 1 == len(made)  # the first says who made the table
    assert any("no DWARF" in note for note in notes)


def test_quiet_prints_nothing(binary: Callable[[str], Path], tmp_path: Path, capsys: Capture) -> None:
    assert main(["symbolize", "--quiet", str(binary("hello-1.27.3-stripped")), str(tmp_path / "copy")]) == 0

    assert capsys.readouterr().out == ""


def test_bad_input_is_one_line(binary: Callable[[str], Path], tmp_path: Path, capsys: Capture) -> None:
    """Status 2, and nothing is left behind."""
    program = tmp_path / "program"
    program.write_bytes(binary("hello-1.27.3-stripped").read_bytes())
    text, copy = tmp_path / "text", tmp_path / "copy"
    text.write_text("no program")
    before = sorted(tmp_path.iterdir())
    cases = {
        (str(tmp_path / "nothing"), str(copy)): "nothing: no such file or directory",
        (str(text), str(copy)): "text: not an ELF file (starts with 6e 6f 20 70)",
        (str(program), str(program)): "program: is the program itself; the copy needs another name",
        (str(program), str(text)): "text: exists already (--force overwrites it)",
        (str(program), str(tmp_path), "--force"): ": is a directory",
        (str(program), "/dev/null", "--force"): "/dev/null: not a regular file",
        (str(program), str(tmp_path / "no" / "copy")): f"copy: no such directory as {tmp_path / 'no'}",
        (
            str(program),
            str(copy),
            "--",
            "x",
        ): "arguments after --: the program is not run (rt0 symbolize --help lists what there is)",
        (str(program),): "the following arguments are required: OUT (rt0 symbolize --help lists what there is)",
    }
    for arguments, line in cases.items():
        assert main(["symbolize", *arguments]) == 2
        out, error = capsys.readouterr()
        assert out == ""
        assert error.startswith("rt0: ")
        assert error.endswith(f"{line}\n")
        assert error.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before
