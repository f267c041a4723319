"""Executions a second of a fuzzing campaign, against native runs of the same program under ``strace -e inject``.

``python -m bench.fuzzing [--rounds N] [--json FILE] [--check]``.  Everything runs on one CPU, and what is counted is
CPU time, which a busy machine disturbs least: of this process for a number of the search's steps, with all oracles on,
from ``runtime.osinit`` to ``runtime.mstart``; of strace and the program under it for whole runs.  Rounds alternate
between the two, and the rate is the median of theirs.  Beside it: whole runs, from the first function to the last one,
all with the one answer that strace injects; and what taking and restoring a snapshot costs.

An execution of a campaign begins behind the last call that is answered as in the run that it is a change of, where a
snapshot was taken (:mod:`emu.fuzz.trail`); what it shows is what a whole run shows.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.pairs import Command, installed, run, warn
from bench.rates import one_cpu
from emu.boot.boot import entry_of
from emu.fuzz import plan as plans
from emu.fuzz.corpus import Corpus
from emu.fuzz.grammar import CALL_ROWS, CONTRACT, HOSTILE
from emu.fuzz.oracles import verdict
from emu.fuzz.plan import Answer, Plan
from emu.fuzz.search import Search
from emu.fuzz.target import Target, settle
from emu.image.image import load
from emu.machine import snapshot
from emu.machine.machine import Machine
from fixtures import store
from syscalls.world import World

PROGRAMS = {"hello-1.27.3": (), "esbuild-0.1.0": ("--version",)}
"""Fixtures, of Go 1.27.3 and 1.13.8, and the arguments with which they end at once when they run natively."""
AT_LEAST = 10.0
WARM_UP = 5000  # steps that are not counted, of four seconds: the code is translated, and there is a corpus
STEPS, STRACED = 1000, 20  # of a round
INJECTED = "inject=sched_getaffinity:retval=0"
SNAPSHOTS = 200  # times that each is taken and restored


@dataclass(frozen=True, slots=True)
class Rate:
    """The rates of one program, in executions a CPU second: of each round."""

    program: str
    tier: str
    campaign: list[float]
    whole: list[float]
    strace: list[float]

    @property
    def ratio(self) -> float:
        """How many times strace's rate the campaign's is: the median of the rounds."""
        return statistics.median(self.ratios(self.campaign))

    def ratios(self, ours: list[float]) -> list[float]:
        """How many times strace's rate each of *ours* is, in order of size."""
        return sorted(one / theirs for one, theirs in zip(ours, self.strace, strict=True))


def rate_of(count: int, work: Callable[[], object]) -> float:
    """Do *work*, *count* times; return how often a second of this process's CPU time."""
    begin = time.process_time()
    for _ in range(count):
        work()
    return count / (time.process_time() - begin)


def traced(command: Command) -> float:
    """The same for whole runs of *command*, by the CPU time of all that it started."""

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = spent()
    for _ in range(STRACED):
        run(command)
    return STRACED / (spent() - before)


def measure(program: str, tier: str, rounds: int) -> Rate:
    """Rate a campaign of *tier* on *program*."""
    path = store.path(program)
    strace = Command("strace", ("strace", "-f", "-o", os.devnull, "-e", INJECTED, str(path), *PROGRAMS[program]), {})
    found = Rate(program, tier, [], [], [])
    with one_cpu(), tempfile.TemporaryDirectory() as folder:
        target = Target(load(path), World(), tier=tier)
        search = Search(target, Corpus(Path(folder)), lambda _result, _verdict: None, tier)
        search.begin()
        rate_of(WARM_UP, search.step)
        settle()  # as a campaign does
        answer = Plan((Answer(CALL_ROWS["sched_getaffinity"], 1, plans.RESULT, b""),))
        one = Target(load(path), World(), tier=HOSTILE)
        for _ in range(rounds):
            found.campaign.append(rate_of(STEPS, search.step))
            found.whole.append(rate_of(STEPS // 10, lambda: verdict(one.run(answer))))
            found.strace.append(traced(strace))
    return found


def snapshots(program: str) -> list[str]:
    """What it takes to take and restore a snapshot of *program*, in a sentence for each of two moments."""
    image = load(store.path(program))
    machine = Machine(image, World(), profiled=True)
    stop = entry_of(image, "runtime.mstart") + machine.loaded.bias
    said, moments = [], {}
    for name in ("runtime.osinit", "runtime.mstart"):
        machine.run(entry_of(image, name) + machine.loaded.bias, name)
        moments[name] = (
            snapshot.take(machine),
            [_timed(functools.partial(snapshot.take, machine)) for _ in range(SNAPSHOTS)],
        )
    for name, (moment, taken) in moments.items():
        restored = []
        for _ in range(SNAPSHOTS):
            machine.run(stop, "runtime.mstart")
            restored.append(_timed(functools.partial(snapshot.restore, machine, moment)))
        said.append(
            f"at {name}, {moment.n_pages} pages: {statistics.median(taken) * 1e6:.0f} us to take, "
            f"{statistics.median(restored) * 1e6:.0f} us to restore"
        )
    return said


def _timed(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def report(rates: list[Rate]) -> str:
    """The table that a person reads."""
    lines = [f"{'program':14} {'tier':9} {'':10} {'a second':>8} {'strace':>7}   times strace's rate"]
    for one in rates:
        for name, ours in (("campaign", one.campaign), ("whole runs", one.whole)):
            each = one.ratios(ours)
            rated = f"{name:10} {statistics.median(ours):8.0f} {statistics.median(one.strace):7.1f}"
            times = f"{statistics.median(each):.1f} ({each[0]:.1f} to {each[-1]:.1f})"
            lines.append(f"{one.program:14} {one.tier:9} {rated}   {times}")
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    """Measure, print, and with --check judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.fuzzing", description="Rate rt0 fuzz against strace.")
    parser.add_argument("--rounds", type=int, default=9, help="measured rounds (default: 9)")
    parser.add_argument("--tier", nargs="+", default=[CONTRACT, HOSTILE], choices=(CONTRACT, HOSTILE))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every rate")
    parser.add_argument("--check", action="store_true", help="exit 1 when a campaign is not fast enough")
    options = parser.parse_args(argv)
    if not installed("strace"):
        warn("strace is not installed: nothing to compare with")
        return 1
    rates = [measure(program, tier, options.rounds) for program in PROGRAMS for tier in options.tier]
    print(report(rates), flush=True)
    for program in PROGRAMS:
        print("\n".join(f"{program}, {sentence}" for sentence in snapshots(program)))
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in rates], indent=1) + "\n")
    slow = [one for one in rates if one.ratio < AT_LEAST]
    for one in slow:
        warn(f"{one.program}, {one.tier}: {one.ratio:.1f} times strace's rate; expected {AT_LEAST:g}")
    return 1 if options.check and slow else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
