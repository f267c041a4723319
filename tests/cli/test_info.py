"""``rt0 info``: against gdb's own listing, and against the boot of the same program."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emu.cli.main import main
from emu.report.info import gather, lines
from emu.report.paper import Paper
from tests.booted import BUNDLED, booted
from tests.conftest import ON_CI
from tests.untyped import untyped

Capture = pytest.CaptureFixture[str]
SECTION = re.compile(r"^\s*(0x[0-9a-f]{16}) - (0x[0-9a-f]{16}) is (\S+)$", re.MULTILINE)


def info(capsys: Capture, path: Path) -> Any:
    assert main(["info", str(path), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", ["hello-1.19.8", "hello-1.27.3", "esbuild-0.1.0", "hello-1.27.3-stripped"])
def test_sections_and_entry_are_those_of_gdb(capsys: Capture, binary: Callable[[str], Path], name: str) -> None:
    """The lines of `info files`, one for one, and its entry point."""
    if shutil.which("gdb") is None and not ON_CI:
        pytest.skip("gdb is not installed")
    path = binary(name)
    command = ["gdb", "-nx", "-batch", "-iex", "set auto-load off", "-ex", "info files", str(path)]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert main(["info", str(path)]) == 0
    out = capsys.readouterr().out

    assert SECTION.findall(out) == SECTION.findall(listing) != []
    assert re.search(r"Entry point: (0x\w+)", listing)[1] == re.search(r"^entry +(0x\w+)", out, re.MULTILINE)[1]  # type: ignore[index]


def test_the_functions_are_those_that_a_boot_enters(capsys: Capture, binary: Callable[[str], Path]) -> None:
    """In the same order, at the same addresses, files and lines; mstart is where the boot ends."""
    path = binary("hello-1.27.3")
    listed = info(capsys, path)["functions"]
    entered = dict.fromkeys((call.name, hex(call.pc), call.file, call.line) for call in booted(path).functions)

    assert [(f["name"], f["pc"], f["file"], f["line"]) for f in listed] == [
        *entered,
        ("runtime.mstart", booted(path).outcome["pc"], "runtime/asm_amd64.s", listed[-1]["line"]),
    ]


def test_what_was_inlined_is_told(capsys: Capture, binary: Callable[[str], Path]) -> None:
    """1.13's mpreinit is part of mcommoninit."""
    found = info(capsys, binary("esbuild-0.1.0"))

    assert {"name": "runtime.mpreinit", "reason": "inlined into its callers, or not linked"} in found["absent"]
    assert "runtime.mpreinit" not in [f["name"] for f in found["functions"]]


def test_build_and_capture(capsys: Capture, binary: Callable[[str], Path]) -> None:
    """Release, settings and types; a value of a later release is told as such."""
    new, old = info(capsys, binary("hello-1.27.3")), info(capsys, binary("hello-1.19.8"))

    assert new["build"]["go"] == "go1.27.3"
    assert new["build"]["settings"]["GOARCH"] == "amd64"
    assert new["entry"]["function"] == "_rt0_amd64_linux"
    assert new["capture"]["types"] == "dwarf"
    assert new["capture"]["values"]["ncpu"] is None
    assert old["capture"]["values"]["globalRand.init"] == "not in this release"
    assert next(f for f in new["functions"] if f["name"] == "runtime.args")["arguments"] == ["c", "v"]


def test_a_program_without_types_says_why_there_are_no_values(binary: Callable[[str], Path]) -> None:
    """Functions are known all the same."""
    found = json.loads(json.dumps(gather(untyped(binary("hello-1.27.3-stripped")))))
    text = "\n".join(lines(found, Paper(200)))

    assert found["binary"]["stripped"]
    assert found["capture"]["values"]["ncpu"] == "stripped"
    assert len(found["functions"]) > 50
    assert "note      types: they were taken away" in text
    assert "\n  stripped: g0.stack.hi, " in text


def test_the_engine_in_use_is_told(capsys: Capture, binary: Callable[[str], Path]) -> None:
    """With the accelerator, or without it and why."""
    engine = info(capsys, binary("hello-1.27.3"))["engine"]

    assert engine["name"].startswith("Unicorn 2.1")
    assert (engine["reason"] is None) == engine["accelerated"]


def test_usage(capsys: Capture, tmp_path: Path) -> None:
    """Arguments of the program are refused, and a file can take the JSON."""
    assert main(["info", "x", "--", "y"]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    target = tmp_path / "info.json"

    assert main(["info", str(BUNDLED), "--json", str(target), "--quiet"]) == 0
    assert json.loads(target.read_text())["schema"] == "rt0.info/1"
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("command", ["info", "verify"])
def test_a_program_is_not_taken_for_the_file_of_json(capsys: Capture, command: str) -> None:
    """`--json hello` means the program, and is answered by how to say that."""
    assert main([command, "--json", str(BUNDLED)]) == 2
    assert capsys.readouterr().err == (
        f"rt0: --json: {BUNDLED} is a program, not to be overwritten; for standard output write --json=-\n"
    )


def test_the_bundled_program_and_the_names_of_its_values(capsys: Capture) -> None:
    """Without a program the bundled hello; its values are called as the screen of a boot calls them."""
    assert main(["info"]) == 0
    text = " ".join(capsys.readouterr().out.split())

    assert text.startswith("program hello: static executable")
    assert "values: runtime.g0.stack.hi," in text
    assert "runtime.numCPUStartup," in text
