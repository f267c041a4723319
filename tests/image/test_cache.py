"""The cache: the same answers with and without it, and nothing but sound entries believed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from emu.image import Image, analysis, cache, load
from fixtures import store
from tests.image.samples import EVERY

SHA = "0" * 64


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RT0_CACHE", str(tmp_path))
    return tmp_path


def the_entry(folder: Path) -> Path:
    (entry,) = (folder / "images").iterdir()
    return entry


@pytest.mark.parametrize("name", [*EVERY, "hello-1.27.3-dynamic"])
def test_a_cached_analysis_is_the_computed_one(name: str, image: Callable[[str], Image]) -> None:
    elf, symbols = image(name).elf, image(name).symbols
    computed = analysis.analyse(elf, symbols)

    read = analysis.from_parts(elf, analysis.to_parts(computed))

    assert read._replace(pclntab=computed.pclntab) == computed
    assert (read.pclntab.offset, read.pclntab.end, read.pclntab.text) == (
        computed.pclntab.offset,
        computed.pclntab.end,
        computed.pclntab.text,
    )


def test_parts_come_back(own: Path) -> None:
    parts = {"a": "käse\n", "b": "", "c": "x" * 1000}

    assert cache.store(SHA, parts)
    assert cache.load(SHA) == parts
    assert cache.load("1" * 64) is None
    assert [p.name for p in (own / "images").iterdir()] == [the_entry(own).name]  # no temporary file is left


@pytest.mark.parametrize("at", [0, 12, 80, 200, 260, -1])
def test_a_damaged_entry_is_no_entry(own: Path, at: int) -> None:
    cache.store(SHA, {"a": "b" * 100})
    raw = bytearray(the_entry(own).read_bytes())
    raw[at] ^= 1
    the_entry(own).write_bytes(raw)

    assert cache.load(SHA) is None


@pytest.mark.parametrize("size", [0, 10, 150, 300])
def test_a_cut_entry_is_no_entry(own: Path, size: int) -> None:
    cache.store(SHA, {"a": "b" * 100})
    the_entry(own).write_bytes(the_entry(own).read_bytes()[:size])

    assert cache.load(SHA) is None


def test_an_entry_of_another_image_or_other_code_is_no_entry(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.store(SHA, {"a": "b"})
    entry = the_entry(own)
    entry.rename(entry.with_name(entry.name.replace(SHA, "1" * 64)))
    assert cache.load("1" * 64) is None

    cache.store(SHA, {"a": "b"})
    monkeypatch.setattr(cache, "code_version", lambda: "f" * 64)
    assert cache.load(SHA) is None


def test_a_damaged_entry_is_made_again(own: Path, binary: Callable[[str], Path]) -> None:
    path = binary("hello-1.24.11-stripped")
    first = load(path)
    sound = the_entry(own).read_bytes()
    the_entry(own).write_bytes(sound[:-1] + b"?")

    again = load(path)

    assert the_entry(own).read_bytes() == sound
    assert again.entries == first.entries


def test_the_folder_is_chosen_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for rt0, xdg, folder in (
        ("off", "", None),
        (str(tmp_path / "mine"), "/xdg", tmp_path / "mine" / "images"),
        ("", "/xdg", Path("/xdg/rt0/images")),
        ("", "relative", tmp_path / ".cache/rt0/images"),
        ("", "", tmp_path / ".cache/rt0/images"),
    ):
        monkeypatch.setenv("RT0_CACHE", rt0)
        monkeypatch.setenv("XDG_CACHE_HOME", xdg)
        assert cache.folder() == (folder and str(folder))


def test_a_folder_that_cannot_be_written_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, binary: Callable[[str], Path]
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("RT0_CACHE", str(tmp_path / "file"))

    assert not cache.store(SHA, {"a": "b"})
    assert cache.load(SHA) is None
    assert load(binary("hello-1.24.11-stripped")).go == "go1.24.11"


def test_a_boot_of_a_known_image_imports_nothing_heavy(own: Path, binary: Callable[[str], Path]) -> None:
    load(binary("hello-1.27.3"))
    code = (
        "import sys, json; from emu.image import load; image = load(sys.argv[1]);"
        "image.function('runtime.osinit'), image.layouts.global_('runtime.sched'), image.moduledata;"
        "print(json.dumps(sorted(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, binary("hello-1.27.3")],
        capture_output=True, text=True, check=True, cwd=store.ROOT, env={**os.environ, "RT0_CACHE": str(own)},
    ).stdout  # fmt: skip
    modules = {name.split(".")[0] for name in json.loads(out)}

    assert not modules & {"lief", "capstone", "drgn", "rich", "elftools", "msgspec", "unicorn", "tempfile", "random"}
    assert "emu.image.dwarf" not in json.loads(out)


def test_an_image_survives_pickling(image: Callable[[str], Image]) -> None:
    import pickle

    there = pickle.loads(pickle.dumps(image("hello-1.24.11-stripped")))

    assert there.sha256 == image("hello-1.24.11-stripped").sha256
    assert there.function("runtime.schedinit") == image("hello-1.24.11-stripped").function("runtime.schedinit")
