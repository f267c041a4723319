"""Code that runs on to the end of a page behind which nothing can be executed: as natively, with either engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from emu.image import elf
from emu.machine.decode import whole
from emu.machine.machine import Machine
from fixtures import store
from fixtures.native import compile_program
from tests.machine.test_native_programs import Program, host_world

ENGINES = pytest.mark.parametrize("accelerated", ["1", "0"], ids=["accelerated", "plain"])
PAGE, SECOND = 4096, 0x1000_0000_1000  # where in the program nothing can be executed


def compiled(*flags: str, name: str = "pageend") -> Path:
    return compile_program(store.ROOT / "tests" / "native" / f"{name}.c", flags, base=("-static", "-O1", "-w"))


def run(path: Path) -> dict[str, Any]:
    """Run *path* on a machine of this process: how it ended, what it printed, what was counted."""
    machine = Machine(Program(path.name, elf.parse(path.read_bytes())), host_world(), profiled=True)  # type: ignore[arg-type]
    outcome = machine.run()
    blocks = [entry for entry in machine.counter.profile() if entry[0] // PAGE == SECOND // PAGE - 1]
    return {
        "signal": outcome.signal,
        "pc": outcome.pc,
        "addr": outcome.addr,
        "said": b"".join(data for _, data in machine.kernel.output).decode(),
        "total": machine.total(),
        "blocks": sorted((pc, instructions, times) for pc, instructions, _, times in blocks),
    }


def told(path: Path, accelerated: str) -> dict[str, Any]:
    """The same with the engine that *accelerated* chooses, in a process of its own."""
    command = [sys.executable, "-m", "tests.machine.test_page_end", str(path)]
    environment = {**os.environ, "RT0_ACCEL": accelerated}
    done = subprocess.run(command, cwd=store.ROOT, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@ENGINES
def test_the_handler_is_told_what_it_is_natively(accelerated: str) -> None:
    """Every register, count and address, however the code comes to the page's end and whatever comes behind it."""
    path = compiled()
    there = subprocess.run([str(path)], check=False, capture_output=True, text=True)

    here = told(path, accelerated)

    assert there.returncode == -11
    assert len(there.stdout.splitlines()) > 150
    assert here["said"].splitlines() == there.stdout.splitlines()
    assert (here["signal"], here["pc"], here["addr"]) == (11, SECOND, SECOND)


@ENGINES
def test_the_instructions_before_the_end_count(accelerated: str) -> None:
    """One more of them is one more in all; blocks are at most 64 of them."""
    found = {n: told(compiled(f"-DALONE={n}"), accelerated) for n in (1, 2, 63, 64, 65, 200, 4000)}

    assert {n: ended["total"] - found[1]["total"] for n, ended in found.items()} == {n: n - 1 for n in found}
    assert {(ended["signal"], ended["pc"], ended["addr"]) for ended in found.values()} == {(11, SECOND, SECOND)}
    for n, ended in found.items():
        starts = range(SECOND - n, SECOND, 64)
        assert ended["blocks"] == [[start, min(64, SECOND - start), 1] for start in starts]


def test_both_engines_count_alike() -> None:
    """In all, through some hundred faults."""
    assert told(compiled(), "1")["total"] == told(compiled(), "0")["total"]


@pytest.mark.parametrize("begin", [1000, 4000])
def test_random_code_that_ends_at_a_page_s_end(begin: int) -> None:
    """200 programs, each twice, through all kinds of faults: as natively, and the same blocks with either engine."""
    path = compiled(f"-DFROM={begin}", "-DCOUNT=200", name="randomcode")
    there = subprocess.run([str(path)], check=True, capture_output=True, text=True, timeout=60).stdout

    here = told(path, "1")

    assert there.count(" 100000001000 rip ") > 100
    assert there.count("back") > 100
    assert here["said"].splitlines() == there.splitlines()
    assert len(here["blocks"]) > 1000
    assert told(path, "0") == here


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("", 0),
        ("90 90", 2),
        ("90 48", 1),
        ("48ffc0 f048ff07", 7),
        ("48ffc0 f048ff", 3),
        ("90 48b80102030405060708", 11),
        ("90 48b801020304050607", 1),
        ("662e480f1f840001020304", 11),
        ("662e480f1f8400010203", 0),
        ("0f", 0),
        ("90 c5f8", 1),
    ],
)
def test_whole_instructions(code: str, expected: int) -> None:
    """An instruction of which a byte is missing is none."""
    assert whole(bytes.fromhex(code)) == expected


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]))))
