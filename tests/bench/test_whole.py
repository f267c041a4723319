"""Whole runs: init by package adds up, and its packages are those that Go's own inittrace lists."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from emu.bench import whole
from emu.bench.measure import measure
from emu.bench.recording import from_json, to_json
from emu.cli.main import main
from emu.image.image import load
from syscalls.world import Limits, World

Binary = Callable[[str], Path]
TRACED = re.compile(r"^init (\S+) @", re.MULTILINE)
RUNS = [("hello-1.27.3", ()), ("hello-1.24.11-stripped", ()), ("esbuild-0.21.0", ("--version",))]


@pytest.mark.parametrize(("name", "arguments"), RUNS, ids=[name for name, _ in RUNS])
def test_init_by_package_adds_up(binary: Binary, name: str, arguments: tuple[str, ...]) -> None:
    """To the instructions between mstart and main.main; the packages are those of GODEBUG=inittrace=1 (Go 1.16+)."""
    path = binary(name)
    image, world = load(path), World(argv=(name, *arguments), limits=Limits(0, 0, 0))
    _, _, found = whole.run(image, world)
    run = found.whole
    assert run is not None
    traced = subprocess.run(
        [path, *arguments], env={**os.environ, "GODEBUG": "inittrace=1"}, capture_output=True, text=True, check=True
    ).stderr
    packages = {init.package for init in run.inits} - {whole.RUNTIME, whole.OTHERS}

    assert sum(init.instructions for init in run.inits) == run.to_main - run.to_mstart > 0
    assert run.to_mstart == found.totals.instructions == measure(image, world).totals.instructions
    assert run.to_main < run.to_end
    # The linker leaves out an init that does nothing, which the trace then lists without having called anything.
    assert {package.replace("%2e", ".") for package in packages} == set(TRACED.findall(traced))
    assert from_json(to_json([found])) == [found]


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("os.init", "os"),
        ("os.init.0", "os"),
        ("html.map.init.1", "html"),
        ("internal/runtime/gc/scan.init", "internal/runtime/gc/scan"),
        ("gopkg.in/yaml%2ev3.init", "gopkg.in/yaml%2ev3"),
        ("example.com/a.b/c.init.12", "example.com/a.b/c"),
    ],
)
def test_names_of_init_functions(name: str, package: str) -> None:
    """Packages whose paths hold dots and slashes, and every kind of init."""
    assert whole.package_of(name) == package


@pytest.mark.parametrize("name", ["runtime.(*mheap).init", "main.main", "main.initialise", "os.init.func1"])
def test_names_of_others(name: str) -> None:
    """Methods, closures and functions whose names only begin alike are none."""
    assert whole.INIT.fullmatch(name) is None


def test_two_recordings_are_identical(binary: Binary, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON and profile, byte for byte; the screen shows the packages."""
    path = str(binary("hello-1.27.3"))
    for number in (1, 2):
        files = ["-o", str(tmp_path / f"{number}.json"), "--pprof", str(tmp_path / f"{number}.pb.gz")]
        assert main(["bench", "record", "--run", path, *files]) == 0
    shown = capsys.readouterr().out

    for kind in ("json", "pb.gz"):
        assert (tmp_path / f"1.{kind}").read_bytes() == (tmp_path / f"2.{kind}").read_bytes()
    recorded = json.loads((tmp_path / "1.json").read_text())["programs"][0]["run"]
    assert f"to the end {recorded['to_end']:,}: exit status 0" in shown
    assert re.search(r"^ +[\d,]+ +[\d.]+ %  unicode$", shown, re.MULTILINE)
