"""How soon the search finds five planted defects, beside plans of random bytes.

``python -m bench.planted [--seeds N] [--seconds S] [--engine NAME...] [--json FILE] [--check]``.  Each campaign is one
process, from an empty folder; a defect's time is the CPU time of that process until its finding's file is there,
minimised and explained.  ``--check`` exits 1 when a defect was found in fewer than four seeds of five.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.pairs import warn
from emu.fuzz.finding import About, about_of
from fixtures import store

PROGRAM = "planted-1.24.11"
TIER = "hostile"  # two of the defects need what no kernel writes: a word in that file, and twenty digits
BLIND = "blind"
POLL_SECONDS = 0.1
ENOUGH = 0.8  # of the seeds


def _wrong(function: str) -> Callable[[About], bool]:
    return lambda about: about.kind == "wrong-value" and about.function == function


def _within(function: str, kind: str) -> Callable[[About], bool]:
    return lambda about: about.kind == kind and about.function == function


DEFECTS: dict[str, Callable[[About], bool]] = {
    "one": _wrong("runtime.getproccount"),  # any error of sched_getaffinity
    "two": _within("runtime.plantedSpin", "hang"),  # a failed open, and an interrupted read of what the next one opened
    "three": _within("runtime.plantedThree", "signal"),  # three CPUs, huge pages of 4 MiB, an arena elsewhere
    "magic": _within("runtime.plantedMagic", "signal"),  # a file that begins with "huge"
    "length": _within("runtime.plantedTerminate", "signal"),  # a read that fills the buffer
}
"""From a defect of fixtures/overlay/planted/planted.go to how its finding is known."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign's result: CPU seconds until each defect was found, None for never, and runs in how many."""

    engine: str
    seed: int
    found: dict[str, float | None]
    executions: int
    seconds: float


def defect_of(about: About) -> str | None:
    """Which planted defect a finding is; None for Go's own behaviour."""
    return next((name for name, matches in DEFECTS.items() if matches(about)), None)


def found_in(folder: Path) -> set[str]:
    """The planted defects that the campaign in *folder* has found."""
    paths = [path for path in folder.glob("findings/*/world.toml") if not path.parent.name.startswith(".")]
    return {name for path in paths if (name := defect_of(about_of(path)))}


def cpu_seconds(pid: int) -> float:
    """User and system time of the process *pid*, which was not waited for, and of its children; proc_pid_stat(5)."""
    spent = 0.0
    for each in [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]:
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        spent += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return spent


def campaign(engine: str, seed: int, seconds: float) -> Campaign:
    """Search until all defects are found or *seconds* of CPU time have passed."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        out = Path(temporary)
        how = ["--blind"] if engine == BLIND else ["--engine", engine]
        rt0 = [str(Path(sys.executable).with_name("rt0")), "fuzz", str(store.path(PROGRAM)), "--quiet", "--tier", TIER]
        found, spent = dict[str, float | None].fromkeys(DEFECTS), 0.0
        process = subprocess.Popen([*rt0, "--out", temporary, "--seed", str(seed), *how], start_new_session=True)
        while spent < seconds and any(at is None for at in found.values()):
            time.sleep(POLL_SECONDS)
            if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                raise RuntimeError(f"{engine}, seed {seed}: the campaign ended by itself")
            spent = cpu_seconds(process.pid)
            for name in found_in(out):
                found[name] = found[name] or spent
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        summary = json.loads((out / "summary.json").read_bytes())
    return Campaign(engine, seed, found, summary["executions"], spent)


def report(campaigns: list[Campaign]) -> str:
    """The table that a person reads."""
    lines = [f"{'engine':8} {'seed':>4} {'runs/s':>7}  " + "".join(f"{name:>9}" for name in DEFECTS)]
    for one in campaigns:
        times = "".join(f"{'-' if at is None else f'{at:.1f} s':>9}" for at in one.found.values())
        rate = one.executions / one.seconds if one.seconds else 0.0
        lines.append(f"{one.engine:8} {one.seed:4} {rate:7.0f}  {times}")
    return "\n".join(lines)


def missed(campaigns: list[Campaign]) -> list[str]:
    """A sentence for each defect that an engine found in too few of its campaigns; the baseline may miss all."""
    found = []
    for engine in sorted({one.engine for one in campaigns} - {BLIND}):
        of_engine = [one for one in campaigns if one.engine == engine]
        for name in DEFECTS:
            hits = sum(one.found[name] is not None for one in of_engine)
            if hits < ENOUGH * len(of_engine):
                found.append(f"{engine}: {name} was found in {hits} of {len(of_engine)} campaigns")
    return found


def main(argv: list[str]) -> int:
    """Run all campaigns and report."""
    parser = argparse.ArgumentParser(prog="python -m bench.planted", description="Search for planted defects.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=120.0, help="of CPU time, for each campaign")
    parser.add_argument("--engine", nargs="+", default=["plain", BLIND], help="plain, atheris, blind")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--check", action="store_true", help="exit 1 when a defect is found in too few campaigns")
    options = parser.parse_args(argv)
    pairs = [(engine, seed) for seed in range(options.seeds) for engine in options.engine]
    campaigns = [campaign(engine, seed, options.seconds) for engine, seed in pairs]
    print(report(campaigns))
    if options.json:
        rows = [{name: getattr(one, name) for name in Campaign.__slots__} for one in campaigns]
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")
    problems = missed(campaigns)
    for problem in problems:
        warn(problem)
    return 1 if options.check and problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
