"""A program that asks for standard input without waiting: it sees what comes, and what is given in full at once."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from fixtures import store
from fixtures.native import compile_program

RT0 = [sys.executable, "-c", "from emu.cli.main import entry; entry()", "run"]
WAYS = ["poll", "select", "epoll", "read"]


@pytest.fixture
def program() -> Path:
    """``tests/native/polling.c``."""
    return compile_program(store.ROOT / "tests" / "native" / "polling.c", base=("-static", "-O1", "-w"))


@pytest.mark.parametrize("way", WAYS)
def test_input_that_comes_later_is_seen(program: Path, way: str) -> None:
    """As natively: the program polls, hears a word, polls on, and sees the end."""
    said = []
    for command in ([str(program), way], [*RT0, str(program), way]):
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            lines = [process.stdout.readline()]
            for _ in range(2):
                time.sleep(0.3)
                process.stdin.write(b"word!")
                process.stdin.flush()
                lines.append(process.stdout.readline())
            process.stdin.close()
            said.append((lines, process.stdout.read().partition(b",")[0], process.wait(60)))

    assert said[0][0][1:] == [b"heard, after asking for nothing: 1\n"] * 2
    assert said[1] == said[0]


@pytest.mark.parametrize("way", WAYS)
def test_input_given_in_full_is_never_missing(program: Path, tmp_path: Path, way: str) -> None:
    """A file, nothing, and more than a pipe holds: the same bytes of record, whenever the writer comes to write."""
    data, given = b"x" * 300_000, tmp_path / "input"
    given.write_bytes(data)
    records = []
    for number in range(4):
        record = tmp_path / f"{number}.json"
        command = [*RT0, "--record", str(record), str(program), way]
        if number == 0:
            with given.open("rb") as file:
                if way == "epoll":  # natively epoll_ctl refuses a file; here every stream is a pipe
                    continue
                done = subprocess.run(command, stdin=file, capture_output=True, check=True, timeout=60)
        elif number == 1:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=60)
            assert done.stdout == b"type\n0 bytes, asked for nothing: 0\n"
            continue
        else:
            done = subprocess.run(command, input=data, capture_output=True, check=True, timeout=60)
        assert done.stdout == b"type\n300000 bytes, asked for nothing: 0\n"
        records.append(record.read_bytes())

    assert len(set(records)) == 1


@pytest.mark.parametrize("pause", [0, 0.002], ids=["as fast as it can", "in pieces"])
def test_how_a_writer_is_scheduled_changes_nothing(program: Path, tmp_path: Path, pause: float) -> None:
    """Large reads of a pipe bring what large reads of a file do, however the writer comes to write."""
    data, given, record = bytes(range(256)) * 4000, tmp_path / "input", tmp_path / "record.json"
    given.write_bytes(data)
    command = [*RT0, "--record", str(record), str(program), "wait"]
    with given.open("rb") as file:
        done = subprocess.run(command, stdin=file, capture_output=True, check=True, timeout=60).stdout
    assert b"1024000 bytes" in done
    whole, pieces = record.read_bytes(), []
    for _ in range(4):  # a writer that has to wait for the CPU longer than rt0 waits for it has paused
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for start in range(0, len(data), 10_000):
                process.stdin.write(data[start : start + 10_000])
                process.stdin.flush()
                time.sleep(pause)
            process.stdin.close()
            assert process.stdout.read() == done
        pieces.append(record.read_bytes())
        if pieces[-1] == whole:
            break

    assert whole in pieces


def test_a_stream_that_is_watched_while_another_waits(program: Path) -> None:
    """Who sits in epoll_wait already is told of input that comes after it."""
    for command in ([str(program), "added"], [*RT0, str(program), "added"]):
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == b"type\n"
            time.sleep(0.3)
            process.stdin.write(b"word")
            process.stdin.close()
            assert (process.stdout.read(), process.wait(60)) == (b"1 1\n", 0)
