"""Dynamically linked programs: the loader and the libraries of this machine, shown to the guest, run in it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.programs.sides import RT0

SCRIPT = """
echo "$0 $# $1"
for word in c a b; do echo $word; done | sort | tr a-z A-Z
status=$(sh -c 'exit 7'; echo $?)
(echo sub; exit 3) && echo no || echo "shell $status"
cat <<END > file
three
lines
here
END
wc -l < file
false | true; echo $?
kill -TERM $$
"""
ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


def both(command: Sequence[str | Path], folder: Path) -> list[tuple[int, bytes, bytes]]:
    """What *command* leaves in an empty folder natively, and in rt0: exit status, output and error."""
    sides = []
    for prefix in ([], [RT0, "run", "--sysroot", "/", "--cwd", "/tmp", "--env", "PATH=/usr/bin:/bin"]):
        done = subprocess.run(
            [*prefix, *command], capture_output=True, stdin=subprocess.DEVNULL, cwd=folder, check=False, timeout=120,
            env={**os.environ, **ENVIRONMENT} if prefix else ENVIRONMENT,
        )  # fmt: skip
        status = 128 - done.returncode if done.returncode < 0 else done.returncode
        sides.append((status, done.stdout, done.stderr))
    return sides


def test_a_dynamic_go_program_runs_with_this_machines_loader(binary: Callable[[str], Path], tmp_path: Path) -> None:
    """Its start-up is emulated, ld.so's and then Go's."""
    native, emulated = both([binary("hello-1.27.3-dynamic"), "an argument"], tmp_path)

    assert native[1] + native[2]
    assert emulated == native


def test_a_shell_script_does_what_it_does_natively(tmp_path: Path) -> None:
    """Pipelines of programs in C, subshells, here documents, and a signal that the shell sends itself."""
    native, emulated = both(["/bin/sh", "-c", SCRIPT, "name", "argument"], tmp_path)

    assert native[0] == 128 + 15
    assert native[1].splitlines()[1:4] == [b"A", b"B", b"C"]
    assert emulated == native


@pytest.mark.parametrize("options", [[], ["--bind", "/etc"]])
def test_without_its_loader_a_program_is_refused(binary: Callable[[str], Path], options: list[str]) -> None:
    """The one line says what to do."""
    command = [RT0, "run", *options, str(binary("hello-1.27.3-dynamic"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "needs the loader /lib64/ld-linux-x86-64.so.2" in done.stderr
    assert "--sysroot" in done.stderr


def test_frames_are_used_again_and_code_is_what_it_is_now(tmp_path: Path) -> None:
    """Sixty children load their libraries into memory that has room for a few: the same record from both engines.

    What is loaded in all is several times what there is, so that code comes into frames that held other code.
    """
    script = "i=0; while [ $i -lt 60 ]; do /bin/true || exit 9; i=$((i+1)); done; echo $i"
    options = ["--sysroot", "/", "--set", "memory.limit=30000000"]
    records = []
    for accel in ("1", "0"):
        record = tmp_path / accel
        command = [RT0, "run", *options, "--record", str(record), "/bin/sh", "-c", script]
        done = subprocess.run(
            command, env={**os.environ, "RT0_ACCEL": accel}, capture_output=True, stdin=subprocess.DEVNULL, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"60\n", b"")
        records.append(record.read_bytes())

    assert records[0] == records[1]
