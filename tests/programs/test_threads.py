"""Programs of many goroutines: they say what they say natively, the same bytes each time, and a seed is a schedule.

``RT0_REPEAT=50 pytest tests/programs`` runs each fifty times, and in fifty schedules.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.programs.sides import Said, comparable, emulated, natively

REPEAT = int(os.environ.get("RT0_REPEAT", "2"))
SEEDS = max(REPEAT, 3)
NAME = "threads-1.27.3"
ENDS = {
    "channels": 0, "select": 0, "mutexes": 0, "timers": 0, "gc": 0, "pprof": 0, "panic": 2, "deadlock": 2, "spin": 0,
}  # fmt: skip
"""The exit status of each program whose words no schedule changes."""
SOME = (
    "select",
    "gc",
    "panic",
    "deadlock",
    "racy",
    *(() if REPEAT < 3 else ("channels", "mutexes", "timers", "pprof", "spin")),
)
"""Those of which every run, and every seed's, is looked at in each test run; the others, too, when asked."""


def recorded(folder: Path, program: str, *options: str) -> tuple[Said, bytes]:
    """What *program* says in rt0, and the record of it."""
    record = folder / "record.json"
    said = emulated(NAME, program, options=["--record", str(record), *options])
    return said, record.read_bytes()


@pytest.mark.parametrize("release", ["1.27.3", "1.24.11"])
@pytest.mark.parametrize("program", ENDS)
def test_it_says_what_it_says_natively(program: str, release: str) -> None:
    """Output, exit status, and the stack of the goroutine that ended it."""
    name = f"threads-{release}"
    here, there = emulated(name, program), natively(name, program)

    assert there.status == ENDS[program]
    assert (here.status, here.out) == (there.status, there.out)
    assert comparable(here.err) == comparable(there.err)


@pytest.mark.parametrize("program", SOME)
def test_every_run_is_the_same(program: str, tmp_path: Path) -> None:
    """Output and record of one World, byte for byte."""
    runs = {recorded(tmp_path, program) for _ in range(REPEAT)}

    assert len(runs) == 1


def test_a_seed_is_a_schedule(tmp_path: Path) -> None:
    """Other seeds show other orders, each of which is the same when its seed is given again."""
    options = [["--set", f"schedule-seed={seed}"] for seed in range(SEEDS)]
    runs = [recorded(tmp_path, "racy", *option) for option in options]
    again = [recorded(tmp_path, "racy", *option) for option in options]

    assert runs == again
    assert {len(said.out) for said, _ in runs} == {4 * 12 + 1}
    assert len({said.out for said, _ in runs}) > 1


@pytest.mark.parametrize("program", [program for program in SOME if program != "racy"])
def test_no_schedule_changes_what_it_says(program: str, tmp_path: Path) -> None:
    """What holds for all schedules natively holds for all seeds."""
    if program in ("panic", "deadlock"):
        outs = {comparable(recorded(tmp_path, program, "--set", f"schedule-seed={n}")[0].err) for n in range(SEEDS)}
    else:
        outs = {recorded(tmp_path, program, "--set", f"schedule-seed={seed}")[0].out for seed in range(SEEDS)}

    assert len(outs) == 1


def test_the_record_is_json(tmp_path: Path) -> None:
    """It names the outcome."""
    _, record = recorded(tmp_path, "deadlock")

    assert json.loads(record)["outcome"]["exit_status"] == 2
