"""Programs that run other programs, as os/exec does, and programs that ask for more processes than there can be."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from fixtures import store
from fixtures.native import compile_program
from tests.programs.sides import RT0, emulated, natively

OTHER = "hello-1.27.3"
NAME = "processes-1.27.3"
BOMBS = ("processes", "threads", "mappings", "everybody")


@pytest.mark.parametrize("release", ["1.27.3", "1.24.11"])
def test_os_exec_does_what_it_does_natively(release: str) -> None:
    """Output, pipes, exit statuses, signals, groups, eight children at once, and a program in place of the first."""
    other = str(store.path(OTHER))
    name = f"processes-{release}"

    here, there = emulated(name, other, options=["--bind", other]), natively(name, other)

    assert there.out.endswith("\nexec\n")
    assert here == there


def test_two_programs_at_the_same_addresses_are_counted_alike_by_both_engines(tmp_path: Path) -> None:
    """Each process's code is its own, wherever it lies: the record does not depend on how instructions are counted."""
    other, records = str(store.path(OTHER)), []
    for accel in ("1", "0"):
        record = tmp_path / accel
        command = [RT0, "run", "--record", str(record), "--bind", other, str(store.path(NAME)), other]
        done = subprocess.run(
            command, env={**os.environ, "RT0_ACCEL": accel}, capture_output=True, stdin=subprocess.DEVNULL, check=True
        )
        records.append((done.stdout, record.read_bytes()))

    assert records[0] == records[1]


@pytest.mark.parametrize("kind", BOMBS)
def test_more_than_there_can_be_is_refused(kind: str) -> None:
    """A million processes, threads or mappings end in an error number; forking for ever, in a limit's name."""
    flags = ("-static", "-O1", "-w", "-pthread")
    path = compile_program(store.ROOT / "tests" / "native" / "bombs.c", base=flags)
    children = Path("/proc/self/task", str(os.getpid()), "children")
    before = children.read_text()
    most = 1_000_000 if kind == "everybody" else 12_000_000
    command = [RT0, "run", "--max-instructions", str(most), str(path), str(BOMBS.index(kind))]

    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)

    assert children.read_text() == before
    assert (done.stdout, done.returncode, done.stderr) == {
        "processes": ("fork after more than 1000 ENOMEM\n", 9, ""),
        "threads": ("thread after more than 1000 EAGAIN\n", 9, ""),
        "mappings": ("an exabyte ENOMEM\nmapping after more than 1000 ENOMEM\n", 9, ""),
        "everybody": ("", 5, "rt0: bombs: more than 1000000 instructions\n"),
    }[kind]
