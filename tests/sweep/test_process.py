"""Sweeps as processes: killed, interrupted, gone on with; no larger for the last World than for the first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emu.cli.main import main
from emu.sweep.store import StoreError, ask
from tests.booted import BUNDLED

COUNT = 1500
VARY = ("--vary", f"seed=1..{COUNT // 3}", "--vary", "cpus=1,2,3", "--show", "ncpu,heapRandSeed")


def start(store: Path) -> subprocess.Popen[str]:
    """A sweep of COUNT rows into *store*, as the leader of a process group of its own."""
    run = "import sys; from emu.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", run, "sweep", str(BUNDLED), *VARY, "--store", str(store), "--quiet"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def stored(store: Path) -> int:
    """How many rows are in *store*; 0 while there is none."""
    try:
        ((count,),) = ask(store, "SELECT count(*) FROM runs")[1]
    except StoreError:
        return 0
    return int(count)


def wait_for_rows(store: Path, sweep: subprocess.Popen[str]) -> None:
    """Wait until some rows are stored, while the sweep goes on."""
    while not stored(store):
        assert sweep.poll() is None, "the sweep ended before it could be stopped"
        time.sleep(0.05)


def is_gone(group: int) -> bool:
    """Tell whether no process of the group is left; those of a pool need a moment."""
    for _ in range(200):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def finish(store: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Go on with the same sweep, to its end; only what is missing is computed, and nothing twice."""
    before = stored(store)
    assert 0 < before < COUNT
    assert main(["sweep", str(BUNDLED), *VARY, "--store", str(store), "--json"]) == 0
    assert capfd.readouterr().out.count('"kind": "reached"') == COUNT
    assert ask(store, "SELECT count(*), count(DISTINCT world) FROM runs")[1] == [(COUNT, COUNT)]
    wrong = ask(store, "SELECT count(*) FROM runs WHERE results->>'ncpu' <> vary->>'cpus'")[1]
    assert wrong == [(0,)]


def test_killed_sweep_goes_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """SIGKILL leaves a sound store and no process behind; the same command then computes the rest."""
    store = tmp_path / "s.duckdb"
    with start(store) as sweep:
        wait_for_rows(store, sweep)
        sweep.kill()
        sweep.wait()

        assert is_gone(sweep.pid)
    finish(store, capfd)


def test_interrupted_sweep_goes_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C, which every process of the group gets, ends it with one line and status 130."""
    store = tmp_path / "s.duckdb"
    with start(store) as sweep:
        wait_for_rows(store, sweep)
        os.killpg(sweep.pid, signal.SIGINT)
        _, errors = sweep.communicate(timeout=60)

        assert (sweep.returncode, errors) == (130, "rt0: interrupted\n")
        assert is_gone(sweep.pid)
    finish(store, capfd)


MEASURE = """
import sys
from emu.image.image import load
from emu.sweep import points
from emu.sweep.plan import Plan
from emu.sweep.shown import declared
from emu.sweep.sweep import Table
from emu.sweep.work import Bench, Shipment
from syscalls.world import World

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

texts = ["cpus=1..40", "page-size=4096,65536,1", "thp=absent,2097152", "vdso=true,false", "memory.limit=64M,2G"]
plan = Plan(("hello",), (("", World()),), tuple(points.from_options(texts)), declared(), "runtime.mstart")
bench, table = Bench(Shipment(plan, (load(sys.argv[1]),))), Table(plan)
begin = plan.size // 3  # what is allocated once comes before
for number in range(plan.size):
    if number == begin:
        before = resident()
    table.put(bench.row(number))
print(plan.size - begin, resident() - before)
"""


def test_memory_is_flat() -> None:
    """Worlds of many kinds, throws among them, leave nothing behind but their row in the table: 3 KiB at most."""
    done = subprocess.run([sys.executable, "-c", MEASURE, str(BUNDLED)], check=True, capture_output=True, text=True)
    count, growth = map(int, done.stdout.split())

    assert count == 640
    assert growth < count * 3 * 1024
