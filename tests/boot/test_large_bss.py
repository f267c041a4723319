"""Programs with large globals: what they do not touch costs nothing, what they touch is seen as ever."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from emu.boot.boot import boot
from emu.boot.globals import spans
from emu.image.elf import PT_LOAD
from emu.image.elf import parse as parse_elf
from emu.image.image import parse
from emu.machine import base
from emu.machine.entries import SLICE
from emu.machine.paging import PageTables
from emu.machine.ram import Ram
from fixtures import store
from syscalls.guest import PAGE, PROT_READ, PROT_WRITE
from syscalls.worldfile import load as load_world
from tests.booted import booted, image_of
from tests.image.samples import with_program

GIB = 1 << 30
PROGRAM = """
import sys
from emu.cli.main import main
status = main(["boot", sys.argv[1], "--quiet"])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")))
sys.exit(status)
"""
"""Boots a file and prints the most memory that it took, in KiB; ru_maxrss would count what its parent held, too."""


def enlarged(data: bytes) -> bytes:
    """The program *data* with a GiB more of .bss."""
    loads = [p for p in parse_elf(data).programs if p.type == PT_LOAD]
    last = max(range(len(loads)), key=lambda i: loads[i].vaddr)
    return with_program(data, PT_LOAD, last, memsz=loads[last].memsz + GIB)


def test_a_gib_of_zeros_boots_in_little_memory(binary: Callable[[str], Path]) -> None:
    """Every value is what it is without them, though the guest may touch 64 MiB only."""
    path = binary("hello-1.24.11")
    record = boot(parse(enlarged(path.read_bytes()), path.name), load_world(None, ("memory.limit=64MiB",)))
    small = booted(path, "memory.limit=64MiB")

    assert record.outcome["kind"] == "reached"
    assert record.globals.keys() == small.globals.keys()
    for name in ("runtime.ncpu", "runtime.physPageSize", "runtime.gomaxprocs", "runtime.sched.maxmcount"):
        assert record.globals[name] == small.globals[name]


def test_nor_does_the_host_pay_for_them(binary: Callable[[str], Path], tmp_path: Path) -> None:
    """A process that boots it holds a tenth of it at most."""
    (tmp_path / "large").write_bytes(enlarged(binary("hello-1.24.11").read_bytes()))
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "large"], capture_output=True, text=True, check=True, cwd=store.ROOT
    )

    assert int(run.stdout) << 10 < GIB // 10


@pytest.mark.parametrize("name", ["esbuild-0.1.0", "hello-1.24.11", "hello-1.27.3", "hello-1.27.3-pie"])
def test_touching_late_changes_nothing(
    binary: Callable[[str], Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no .bss in place from the start, each part of it comes when it is touched, and the record is the same."""
    expected = booted(binary(name)).to_json()
    monkeypatch.setattr(base, "EAGER", 0)

    assert boot(image_of(binary(name)), load_world(None)).to_json() == expected


def test_spans_tell_touched_from_untouched() -> None:
    """Runs of pages with and without frames, across page tables."""
    pages = PageTables(Ram(16 << 20), 2048, lambda: None)
    low, high = 16 * SLICE, 20 * SLICE
    pages.map(low + SLICE - PAGE, 3 * PAGE, PROT_READ | PROT_WRITE)

    assert spans(pages, [(low, high)]) == [
        (low, low + SLICE - PAGE, False),
        (low + SLICE - PAGE, low + SLICE + 2 * PAGE, True),
        (low + SLICE + 2 * PAGE, high, False),
    ]
