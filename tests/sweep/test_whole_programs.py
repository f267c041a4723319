"""Sweeps of whole programs: each row is what ``rt0 run`` does in that World."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from emu.cli.main import main
from tests.run.test_run import rt0


def test_rows_are_runs(binary: Callable[[str], Path], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Instructions, end and last words, for each number of CPUs, each order of threads, and a World that fails."""
    path = binary("hello-1.24.11")
    knobs = ["--vary", "cpus=1,4", "--vary", "schedule-seed=0,3", "--vary", "page-size=4096,1024"]
    assert main(["sweep", str(path), "--run", "--no-store", "--jobs", "1", "--json", *knobs]) == 0
    rows = json.loads(capsys.readouterr().out)

    assert len(rows) == 8
    for number, row in enumerate(rows):
        settings = [text for key, value in row["vary"].items() for text in ("--set", f"{key}={value}")]
        record = tmp_path / f"{number}.json"
        done = rt0(
            "--record", record, *settings, "--set", f"argv=['{path.name}']", "--set", f"exe=/bin/{path.name}", path
        )
        assert json.loads(record.read_text())["totals"]["instructions"] == row["totals"]["instructions"]
        assert done.returncode == row["outcome"]["exit_status"]
        good = row["vary"]["page-size"] == "4096"
        expected = ("exit", "exit status 0: test", b"test\n") if good else ("throw", "bad system page size", b"")
        assert (row["outcome"]["kind"], row["outcome"]["message"], done.stdout) == expected
    assert len({row["totals"]["instructions"] for row in rows}) > 4
