"""What is assumed of Go's runtime, by release, against the programs themselves: functions, variables, fields, kinds."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from emu.boot import layout, reader
from emu.boot.boot import boot
from emu.boot.catalogue import ROWS, Row, expected
from emu.boot.layout import ASSUMED, Assumed, problems
from emu.boot.values import VALUES
from emu.image import Image
from fixtures import store
from syscalls.world import World
from tests.booted import image_of

EXACT = tuple(
    name for name, f in store.fixtures().items() if f.dwarf and f.kind == "exec" and not name.startswith("planted")
)
FOUND = (
    "ibazel-0.1.1", "ibazel-0.5.0", "ibazel-0.6.0", "ibazel-0.7.0", "ibazel-0.8.1", "buildifier-3.3.0",
    "esbuild-0.8.0", "esbuild-0.11.0", "esbuild-0.14.30", "esbuild-0.15.18", "esbuild-0.21.0",
    "esbuild-0.25.0", "esbuild-0.28.2",
)  # fmt: skip
"""Programs without DWARF, of releases and patch releases that EXACT has not."""

INLINED = {
    "runtime.mpreinit": {(1, 12), (1, 13)},  # into mcommoninit
    "runtime.(*gcControllerState).init": {(1, 18)},  # into gcinit
}
"""Functions that a release has in its source but not in its programs."""
SOME = {
    "main": "there where the C library starts the program, and up to 1.9",
    "_rt0_amd64_linux": "not there where the C library starts the program",
    "_rt0_amd64": "not there where the C library starts the program",
    "runtime.secure": "from 1.19.10 and 1.20.5 on",
    "runtime.lock": "later a wrapper of lock2, which small programs do without",
    "runtime.nanotime": "later a wrapper of nanotime1",
}
"""Functions that some programs of a release have and others have not."""


def wrong_rows(image: Image, rows: tuple[Row, ...] = ROWS) -> list[str]:
    """Return a sentence for each function that *image* should have and has not, or has and should not."""
    release = image.release
    due = {row.name for row in rows if row.since <= release <= row.until}
    found = []
    for row in rows:
        there = bool(image.functions_named(row.name))
        if row.name in SOME or release in INLINED.get(row.name, ()):
            continue
        if row.name in due and not there:
            found.append(f"{image.go}: {row.name} is not there")
        if row.name not in due and there and not row.within:
            found.append(f"{image.go}: {row.name} is there")
    return found


def checked(name: str, binary: Callable[[str], Path]) -> Image:
    """The fixture *name*."""
    return image_of(binary(name))


@pytest.mark.parametrize("name", EXACT)
def test_every_assumption_holds_by_dwarf(name: str, binary: Callable[[str], Path]) -> None:
    """Each variable and field of the table is there in its releases, with its kind, and in no other."""
    assert problems(checked(name, binary)) == []


@pytest.mark.parametrize("name", FOUND)
def test_no_program_without_dwarf_contradicts(name: str, binary: Callable[[str], Path]) -> None:
    """The same, as far as code and type descriptors prove it."""
    assert problems(checked(name, binary)) == []


@pytest.mark.parametrize("name", [*EXACT, *FOUND])
def test_every_function_of_the_catalogue_is_there_in_its_releases(name: str, binary: Callable[[str], Path]) -> None:
    """By the pclntab, which every program has."""
    assert wrong_rows(checked(name, binary)) == []


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (Assumed("runtime.sched.maxmcounts", "int32", (1, 9), (1, 27)), "is not there, expected int32"),
        (Assumed("runtime.schedd", "struct", (1, 9), (1, 27)), "is not there, expected struct"),
        (Assumed("runtime.sched.maxmcount", "int64", (1, 9), (1, 27)), "is int32, expected int64"),
        (Assumed("runtime.ncpu", "int32", (1, 9), (1, 25)), "runtime.ncpu is not there, expected int32"),
        (Assumed("runtime.numCPUStartup", "int32", (1, 26), (1, 27)), "runtime.numCPUStartup is int32, expected none"),
        (Assumed("runtime.p:state", "uint32", (1, 9), (1, 27)), "runtime.p:state is not there, expected uint32"),
        (Assumed("runtime.pp:status", "uint32", (1, 9), (1, 27)), "runtime.pp:status is stripped, expected uint32"),
    ],
)
def test_a_wrong_assumption_is_found(row: Assumed, sentence: str, binary: Callable[[str], Path]) -> None:
    """A name, a type, a kind or a release that is not so fails the check, with a sentence that says what is so."""
    found = problems(checked("hello-1.25.5", binary), (row,))

    assert len(found) == 1
    assert found[0].startswith("go1.25.5: ")
    assert sentence in found[0]


def test_a_wrong_function_is_found(binary: Callable[[str], Path]) -> None:
    """A name that no release has, and one that stands under the wrong releases."""
    image = checked("hello-1.25.5", binary)
    rows = (Row("runtime.shedinit", ""), Row("runtime.osinit", "", until=(1, 24)), Row("runtime.schedinit", ""))

    assert wrong_rows(image, rows) == ["go1.25.5: runtime.shedinit is not there", "go1.25.5: runtime.osinit is there"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What is looked for by name while it is in use, as the table spells it."""
    names: set[str] = set()
    locate, find = reader.locate, reader.Reader.find

    def note_place(image: Image, path: str) -> object:
        names.add(re.sub(r"\[\d+\]", "[0]", path))
        return locate(image, path)

    def note_field(self: reader.Reader, type_name: str, path: str) -> object:
        names.add(f"{type_name}:{path}")
        return find(self, type_name, path)

    monkeypatch.setattr(reader, "locate", note_place)
    monkeypatch.setattr(reader.Reader, "find", note_field)
    return names


@pytest.mark.parametrize("name", ["esbuild-0.0.2", "buildifier-4.2.5", "hello-1.24.11", "hello-1.27.3"])
def test_all_that_a_record_looks_for_is_in_the_table(name: str, binary: Callable[[str], Path], asked: set[str]) -> None:
    """Whatever a view or a value reads by name has its row, so that it is checked."""
    boot(checked(name, binary), World())

    assert len(asked) > 100
    assert asked - {row.path for row in ASSUMED} == set()


def test_every_row_is_used_and_every_value_has_rows() -> None:
    """No row repeats another, none is of no release, and no declared variable is without one."""
    paths = {row.path for row in ASSUMED}
    spans = sorted((row.path, row.since, row.until) for row in ASSUMED)

    assert all(since <= until for _, since, until in spans)
    assert [a for a, b in pairwise(spans) if a[0] == b[0] and a[2] >= b[1]] == []
    assert {source for value in VALUES for source in value.sources if not source.endswith("*")} <= paths
    assert layout.TABLE.strip().splitlines() == sorted(layout.TABLE.strip().splitlines())


@pytest.mark.parametrize("minor", range(9, 28))
def test_every_release_has_its_functions(minor: int) -> None:
    """What the catalogue expects of a release is most of what it has."""
    assert 40 <= len(expected((1, minor))) <= len(ROWS)
