"""The same table from a Dask cluster: a real scheduler and two workers on this machine, one killed midway."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from emu.sweep.store import StoreError, ask
from tests.booted import BUNDLED

COUNT = 1200
VARY = ("--vary", f"seed=1..{COUNT // 4}", "--vary", "cpus=1,2", "--vary", "page-size=4096,1024")
SHOW = ("--show", "ncpu,physPageSize,heapRandSeed,auxv")
MAIN = "import sys; from emu.cli.main import main; sys.exit(main())"
Worker = subprocess.Popen[bytes]


def wait_until(ready: Any, what: str) -> None:
    """Wait, for a minute at most, until *ready* returns something true."""
    end = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[Worker]]]:
    """A scheduler's address, and two workers without nannies that would replace them."""
    where = tmp_path / "scheduler.json"
    quiet = {**os.environ, "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "error"}

    def dask(stack: ExitStack, what: str, *arguments: str) -> Worker:
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", "--no-dashboard", *arguments]
        process = subprocess.Popen(command, env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.kill)
        return process

    with ExitStack() as stack:
        dask(stack, "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(where))
        # It is made first and filled then.
        wait_until(lambda: where.exists() and where.read_text().endswith("}"), "the scheduler")
        address = str(json.loads(where.read_text())["address"])
        local = ("--local-directory", str(tmp_path), "--memory-limit", "0")
        workers = [dask(stack, "worker", address, "--no-nanny", "--nthreads", "2", *local) for _ in range(2)]
        count = "import distributed, sys; distributed.Client(sys.argv[1]).wait_for_workers(2, 60)"
        subprocess.run([sys.executable, "-c", count, address], check=True, env=quiet)
        yield address, workers


def sweep(store: Path, *argv: str) -> subprocess.Popen[str]:
    """The sweep as a process that prints its rows."""
    command = [sys.executable, "-c", MAIN, "sweep", str(BUNDLED), *VARY, *SHOW, "--store", str(store), "--json", *argv]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def rows(process: subprocess.Popen[str]) -> Any:
    """What it prints, once it has ended well."""
    out, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (0, "")
    return json.loads(out)


def has_rows(store: Path) -> bool:
    """Tell whether anything is stored."""
    try:
        return bool(ask(store, "SELECT 1 FROM runs LIMIT 1")[1])
    except StoreError:
        return False


def test_cluster_gives_the_same_table(tmp_path: Path, cluster: tuple[str, list[Worker]]) -> None:
    """Row for row that of a local pool, also when one of the workers is killed at work; stored once each."""
    address, workers = cluster
    expected = rows(sweep(tmp_path / "local.duckdb"))
    store = tmp_path / "cluster.duckdb"

    process = sweep(store, "--cluster", address)
    wait_until(lambda: has_rows(store) or process.poll() is not None, "the first rows")
    assert process.poll() is None, "the sweep ended before a worker could be killed"
    workers[0].send_signal(signal.SIGKILL)
    found = rows(process)

    assert len(found) == COUNT
    assert found == expected
    assert ask(store, "SELECT count(*), count(DISTINCT world) FROM runs")[1] == [(COUNT, COUNT)]
    assert workers[1].poll() is None


def test_cluster_without_workers(tmp_path: Path, cluster: tuple[str, list[Worker]]) -> None:
    """A scheduler alone is an error of one line."""
    address, workers = cluster
    for worker in workers:
        worker.kill()
        worker.wait()
    count = "import distributed, sys; c = distributed.Client(sys.argv[1]); print(len(c.scheduler_info()['workers']))"

    def gone() -> bool:
        done = subprocess.run([sys.executable, "-c", count, address], capture_output=True, text=True, check=True)
        return done.stdout.strip() == "0"

    wait_until(gone, "the workers' end")
    process = sweep(tmp_path / "s.duckdb", "--cluster", address)
    out, errors = process.communicate(timeout=120)

    assert (process.returncode, out) == (2, "")
    assert errors == f"rt0: the scheduler at {address} has no workers\n"
