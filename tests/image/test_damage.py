"""Damaged and cut files: an image or one of our refusals, within time and memory, whatever the byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emu.image import Image, ImageError, analysis, parse
from fixtures import store
from tests.image.samples import patched

DEADLINE = 10  # seconds of CPU time that one file may take
THOROUGH = bool(os.environ.get("RT0_TEST_DAMAGE"))  # `make test-damage`
SHARE = 0.5 if THOROUGH else 0.01
FORMATS = ("buildifier-4.0.1", "buildifier-4.2.1", "hello-1.19.8", "hello-1.27.3")  # of Go 1.15, 1.16, 1.19 and 1.27


@pytest.mark.parametrize("name", ["hello-1.27.3", "hello-1.24.11-stripped", "hello-1.21.13-pie"])
def test_every_cut_of_a_loaded_byte_is_refused(
    name: str, binary: Callable[[str], Path], image: Callable[[str], Image]
) -> None:
    """In steps of 1 KiB up to the last byte that is loaded; the file ends in debugging information after it."""
    data = binary(name).read_bytes()
    loaded = max(s.offset + s.file_size for s in image(name).segments)

    for size in [*range(0, loaded, 1024), loaded - 1]:
        with pytest.raises(ImageError):
            parse(data[:size], name)


def test_every_cut_behind_what_is_loaded_still_boots(
    binary: Callable[[str], Path], image: Callable[[str], Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the kernel would still run is still read; the sections' names stand last, so a cut costs the types."""
    monkeypatch.setenv("RT0_CACHE", "off")
    monkeypatch.setattr(analysis, "_recovered", lambda _elf, _symbols, found: found)  # 0.2 s each time, and the same
    data = binary("hello-1.27.3").read_bytes()
    whole = image("hello-1.27.3")
    loaded = max(s.offset + s.file_size for s in whole.segments)

    assert len(data) - loaded > 100 * 1024
    for size in range(loaded, len(data), 1024):
        found = parse(data[:size], "cut")
        assert found.moduledata == whole.moduledata
        assert found.function("runtime.schedinit") == whole.function("runtime.schedinit")
        assert any(note.startswith("types: no DWARF") for note in found.notes)


def damages(module: str, path: Path, seed: int, amount: float) -> Any:
    """What *module* says that *amount* of its damages of the program at *path* did; none unexpected, and none slow."""
    run = subprocess.run(
        [sys.executable, "-m", f"tests.image.{module}", path, str(seed), str(amount)],
        capture_output=True, text=True, check=False, cwd=store.ROOT, env={**os.environ, "PYTHONPATH": str(store.ROOT)},
    )  # fmt: skip

    assert run.returncode == 0, f"seed {seed}: {run.stderr[-2000:]}"
    report = json.loads(run.stdout)
    assert report["unexpected"] == "", f"seed {seed}: {report['unexpected']}"
    assert report["slowest"] < DEADLINE
    return report


@pytest.mark.parametrize("name", FORMATS)
def test_damages_of_each_pclntab_format(name: str, binary: Callable[[str], Path]) -> None:
    """`make test-damage` tries 20,000 over these four."""
    report = damages("damage", binary(name), 2, SHARE)

    assert sum(sum(o.values()) for o in report["outcomes"].values()) >= 10_000 * SHARE
    assert report["outcomes"]["headers"]["refused"] > 0
    assert report["outcomes"]["pclntab"]["image"] > 0
    if THOROUGH:
        print(f"{name}: {report['outcomes']}, the slowest {report['slowest']:.1f} s")


@pytest.mark.parametrize("seed", [1])
def test_ten_thousand_damages(seed: int, binary: Callable[[str], Path]) -> None:
    report = damages("damage", binary("hello-1.27.3"), seed, 1)

    assert sum(sum(o.values()) for o in report["outcomes"].values()) == 10_000
    # The damage is real: a fair share of it is noticed, and a fair share of it does not matter.
    assert report["outcomes"]["headers"]["refused"] > 100
    assert report["outcomes"]["pclntab header"]["unreadable"] > 100
    assert report["outcomes"]["pclntab"]["image"] > 1000


def test_a_type_that_holds_itself_does_not_hang() -> None:
    """A damaged reference could make a struct its own member: it becomes opaque."""
    from emu.image.golayout import Row, sound

    rows = [
        Row("int64", "int64", 8),
        Row("a", "struct", 8, members=(("b", 0, 2),)),
        Row("b", "struct", 8, members=(("a", 0, 1),)),
        Row("[2]int64", "array", 16, 0, 2),
        Row("[9]int64", "array", 16, 0, 9),
        Row("c", "struct", 8, members=(("x", 4, 0),)),
    ]

    kinds = [row.kind for row in sound(rows)]

    assert kinds[0] == "int64"
    assert "opaque" in kinds[1:3]
    assert kinds[3:] == ["array", "opaque", "opaque"]


def test_a_pclntab_that_repeats_its_magic_is_searched_in_linear_time(image: Callable[[str], Image]) -> None:
    """The search by magic meets a file full of magics."""
    found = image("hello-1.27.3")
    data = bytearray(found.data[:])
    rodata = found.elf.section(".rodata")
    assert rodata
    data[rodata.offset : rodata.offset + rodata.size // 8 * 8] = bytes.fromhex("f1ffffff00000108") * (rodata.size // 8)
    without = patched(bytes(data), 60, "<H", 0)

    again = parse(without, "magics")

    assert again.pclntab.offset == found.pclntab.offset
