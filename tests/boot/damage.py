"""Boots damaged and cut copies of a program through the command, in a process of its own under a memory limit.

``python -m tests.boot.damage FILE bytes SEED COUNT`` changes one byte at a time; ``... FILE cuts STEP BEHIND`` cuts the
file short at every STEP bytes of what is loaded and at every BEHIND bytes of what follows.  Prints a JSON object: how
often each exit status was met, the slowest boot in seconds, and what was wrong with the first that was neither a clean
outcome nor one line on standard error.  Seconds are those of the CPU.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from emu.cli.main import main
from emu.image import elf
from emu.image.image import parse

MEMORY = 2 << 30  # bytes of address space for everything; the engine alone reserves 1 GiB for its translations
OPTIONS = ("--set", "memory.limit=256MiB", "--max-instructions", "400000", "--set", "limits.traps=2000")
BAD_INPUT, ENDS = 2, (0, 3, 4, 5)
SCREEN_EVERY = 10  # boots; the others print nothing


def parts(data: bytes) -> list[tuple[str, int, range]]:
    """(name, weight, file offsets) of what is damaged: the headers, the function table, the module's description."""
    file = elf.parse(data)
    header, image = file.header, parse(data, "whole")
    table = file.section(".gopclntab", ".data.rel.ro.gopclntab")
    module = image.moduledata
    assert table is not None
    assert module is not None
    pclntab = range(table.offset, table.offset + table.file_size)
    described = file.offset_of(module.addr)
    return [
        ("file header", 2, range(64)),
        ("program headers", 3, range(header.phoff, header.phoff + header.phnum * header.phentsize)),
        ("section headers", 2, range(header.shoff, header.shoff + header.shnum * header.shentsize)),
        ("pclntab header", 2, pclntab[:72]),
        ("pclntab", 4, pclntab),
        ("moduledata", 5, range(described, described + 560)),
        ("code", 2, range(file.offset_of(header.entry), file.offset_of(header.entry) + 4096)),
    ]


def one_boot(path: Path, number: int) -> tuple[int, str]:
    """Exit status of the command for the file at *path*, and what was wrong ("" if nothing)."""
    out, err = io.StringIO(), io.StringIO()
    quiet = [] if number % SCREEN_EVERY == 0 else ["--quiet"]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(["boot", str(path), *OPTIONS, *quiet])
        except Exception:  # noqa: BLE001 - RT0_DEBUG=1 lets bugs through; the test fails on them
            return -1, traceback.format_exc()
    lines = err.getvalue().splitlines()
    if status == BAD_INPUT:
        wrong = "" if len(lines) == 1 and lines[0].startswith(f"rt0: {path}: ") else f"said {lines}"
    elif status in ENDS:
        wrong = f"status {status}, and said {lines}" if lines else ""
    else:
        wrong = f"status {status}, and said {lines}"
    return status, wrong


def damaged(path: Path, data: bytes, seed: int, count: int) -> Iterator[str]:
    """Damage the file at *path*, which holds *data*, in *count* ways, one after the other; yields what was done."""
    draw = random.Random(seed)
    places = parts(data)
    weights = [weight for _, weight, _ in places]
    with path.open("r+b", buffering=0) as file:
        for _ in range(count):
            name, _, where = draw.choices(places, weights)[0]
            at = draw.choice(where)
            new = draw.choice([data[at] ^ 1 << draw.randrange(8), 0, 0xFF, draw.randrange(256)])
            os.pwrite(file.fileno(), bytes((new,)), at)
            yield f"{name}: byte {at:#x} from {data[at]:#x} to {new:#x}"
            os.pwrite(file.fileno(), data[at : at + 1], at)


def cut(path: Path, data: bytes, step: int, behind: int) -> Iterator[str]:
    """Cut the file at *path*, which holds *data*, shorter and shorter; yields what was done."""
    loaded = max(segment.offset + segment.file_size for segment in elf.parse(data).segments)
    for size in sorted({*range(0, loaded, step), *range(loaded, len(data), behind)}, reverse=True):
        os.truncate(path, size)
        yield f"cut to {size} bytes"


def run(source: str, kind: str, *numbers: str) -> dict[str, object]:
    """Do what the module's text says."""
    os.environ["RT0_CACHE"] = "off"
    os.environ["RT0_DEBUG"] = "1"
    data = Path(source).read_bytes()
    statuses: Counter[str] = Counter()
    slowest, slowest_at, wrong = 0.0, "", ""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program"
        path.write_bytes(data)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        first, second = map(int, numbers)
        ways = damaged(path, data, first, second) if kind == "bytes" else cut(path, data, first, second)
        for number, what in enumerate(ways):
            start = time.process_time()  # not the time that other processes took
            status, problem = one_boot(path, number)
            took = time.process_time() - start
            statuses[str(status)] += 1
            if problem and not wrong:
                wrong = f"{what}: {problem}"
            if took > slowest:
                slowest, slowest_at = took, what
    return {"statuses": statuses, "slowest": slowest, "slowest at": slowest_at, "wrong": wrong}


if __name__ == "__main__":
    json.dump(run(*sys.argv[1:]), sys.stdout)
