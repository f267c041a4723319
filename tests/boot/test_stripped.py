"""Stripped programs boot to the same record as their unstripped twins, and those of every release reach mstart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emu.boot.boot import boot
from emu.boot.order import order, out_of_order
from emu.boot.reader import Missing, locate
from emu.boot.record import BootRecord, FunctionCall
from emu.image import Image, load, parse
from emu.image.types import RUNTIME_PACKAGE
from syscalls.cpuset import CpuSet
from syscalls.world import World
from tests.booted import UNSTRIPPED, booted, image_of
from tests.image.samples import without_sections

LINKED = ("hello-1.21.13", "hello-1.24.11", "hello-1.27.3")  # fixtures that were linked a second time with -s -w
CUT = (*UNSTRIPPED, "buildifier-4.2.1", "buildifier-4.2.5", "buildifier-6.3.3", "hello-1.27.3-pie")
SYMBOLS = {
    "ibazel-0.1.1": 1,
    "ibazel-0.5.0": 1,
    "ibazel-0.6.0": 5,
    "ibazel-0.7.0": 0,
    "ibazel-0.8.1": 0,
    "buildifier-3.3.0": 5,
}
"""Programs with a symbol table and no DWARF, of Go 1.9, 1.11 and 1.13: how many leaves are lost with the symbols.

Reference data were made of ibazel 0.1.1 and 0.7.0; 0.5.0 and 0.8.1 are other programs of the same releases, 0.6.0 and
buildifier of others.
"""
FOUND = (
    "ibazel-0.1.1", "ibazel-0.5.0", "ibazel-0.6.0", "ibazel-0.7.0", "ibazel-0.8.1", "buildifier-3.3.0",
    "buildifier-4.2.1", "buildifier-4.2.5", "buildifier-6.3.3", "esbuild-0.8.0", "esbuild-0.11.0", "esbuild-0.14.0",
    "esbuild-0.14.30", "esbuild-0.14.40", "esbuild-0.15.18", "esbuild-0.17.0", "esbuild-0.19.0", "esbuild-0.21.0",
    "esbuild-0.25.0", "esbuild-0.28.2",
)  # fmt: skip
"""Programs as npm has them: Go 1.9, 1.11, 1.13, 1.15 to 1.20, 1.23 and 1.26; most of them stripped."""
SHARE = 0.9  # of the leaves that the twin shows
ALWAYS = ("argc", "argv", "argslice", "envs", "physPageSize", "ncpu", "gomaxprocs")
"""Variables of the runtime that are found in a program of any release."""


def twin_of(path: Path) -> Image:
    """The program at *path* without its section table, under the same name: the record holds argv."""
    return parse(without_sections(path.read_bytes()), path.name)


def assert_same(image: Image, whole: BootRecord, bare: BootRecord) -> None:
    """Assert that *bare* shows nearly all that *whole*, the record of *image*, does; and nothing else."""
    assert [call.name for call in bare.functions] == [call.name for call in whole.functions]
    assert [shape(call) for call in bare.functions] == [shape(call) for call in whole.functions]
    assert bare.globals.items() <= whole.globals.items()
    assert len(bare.globals) >= SHARE * sum(is_typed(image, name) for name in whole.globals)
    assert bare.views.items() <= whole.views.items()
    assert len(bare.views) >= SHARE * len(whole.views)
    assert bare.syscalls == whole.syscalls
    assert bare.outcome == whole.outcome
    for mine, theirs in zip(bare.functions, whole.functions, strict=True):
        assert changes(mine) <= changes(theirs)
        assert {write.source for write in mine.writes} <= {"recovered"}
    written = [write.name for call in whole.functions for write in call.writes if is_typed(image, write.name)]
    assert sum(len(call.writes) for call in bare.functions) >= SHARE * len(written)


def is_typed(image: Image, leaf: str) -> bool:
    """Whether *leaf* is of the runtime, and not the linker's own: start code that relocates writes all data."""
    try:
        return bool(RUNTIME_PACKAGE.match(leaf)) and locate(image, leaf)[1].kind != "opaque"
    except Missing:
        return False


def shape(call: FunctionCall) -> Any:
    """What a call is, besides what it wrote."""
    return call.caller, call.depth, call.pc, call.file, call.line, call.instructions, call.arguments, call.results


def changes(call: FunctionCall) -> set[str]:
    """The writes of a call, comparable; types are spelled as the program's tables have them."""
    return {f"{write.name}: {write.before} -> {write.after}" for write in call.writes}


@pytest.mark.parametrize("name", LINKED)
def test_a_program_linked_without_symbols_boots_the_same(name: str, binary: Callable[[str], Path]) -> None:
    """`go build -ldflags="-s -w"`, against the same build without it."""
    whole = parse(binary(name).read_bytes(), "hello")
    bare = parse(binary(f"{name}-stripped").read_bytes(), "hello")

    assert_same(whole, boot(whole, World()), boot(bare, World()))


@pytest.mark.parametrize("name", CUT)
def test_a_program_cut_to_what_is_loaded_boots_the_same(name: str, binary: Callable[[str], Path]) -> None:
    """The same file without its section table, release by release."""
    path = binary(name)

    assert_same(image_of(path), booted(path), boot(twin_of(path), World()))


@pytest.mark.parametrize(("name", "lost"), SYMBOLS.items(), ids=SYMBOLS)
def test_a_program_without_dwarf_shows_as_much_without_its_symbols(
    name: str, lost: int, binary: Callable[[str], Path]
) -> None:
    """All leaves count here, those without a type and the itabs of Go 1.9 too; what is shown is equal."""
    path = binary(name)
    whole, bare = booted(path), boot(twin_of(path), World())

    assert [shape(call) for call in bare.functions] == [shape(call) for call in whole.functions]
    assert bare.globals.items() <= whole.globals.items()
    assert len(bare.globals) == len(whole.globals) - lost
    assert len(bare.globals) >= SHARE * len(whole.globals)
    assert bare.views.items() <= whole.views.items()
    assert len(bare.views) >= SHARE * len(whole.views)
    assert {write.source for call in bare.functions for write in call.writes} <= {"recovered"}
    for mine, theirs in zip(bare.functions, whole.functions, strict=True):
        assert changes(mine) <= changes(theirs)


@pytest.mark.parametrize("name", FOUND)
def test_programs_as_they_are_found_boot_in_the_order_of_their_release(
    name: str, binary: Callable[[str], Path]
) -> None:
    """Each function of the release's order that the binary has is entered in that order, up to mstart."""
    path = binary(name)
    image, record = image_of(path), booted(path)
    wanted = tuple(function for function in order(image.release) if image.function(function) is not None)
    entered = [call.name for call in record.functions]

    assert record.outcome["at"] == "runtime.mstart"
    assert out_of_order([*entered, "runtime.mstart"], wanted) == []
    assert len(wanted) >= 42
    assert set(entered) - set(order(image.release)) == set()


@pytest.mark.parametrize("name", FOUND)
def test_programs_as_they_are_found_show_their_values(name: str, binary: Callable[[str], Path]) -> None:
    """The World's answers are where the release keeps them; what is missing says why."""
    record = boot(load(binary(name)), World(cpus=CpuSet.of((0, 2, 5))))
    release = image_of(binary(name)).release
    shown = record.globals

    for variable in ALWAYS:
        alias = "numCPUStartup" if variable == "ncpu" and release >= (1, 25) else variable
        assert f"runtime.{alias}" in shown, variable
    assert shown.get("runtime.ncpu", shown.get("runtime.numCPUStartup")) == 3
    assert shown["runtime.gomaxprocs"] == 3
    assert shown["runtime.physPageSize"] == 4096
    assert shown["runtime.sched.maxmcount"] == 10000
    if release == (1, 9):  # an array there, of a length that no other release and no descriptor tells
        assert record.missing["runtime.allp"] == "stripped"
    else:
        assert [view["id"] for view in record.views["runtime.allp"]] == [0, 1, 2]
    assert record.views["runtime.argslice"] == [name]
    assert set(record.missing.values()) <= {"not in this release", "stripped", "not reached"}


def test_the_number_of_cpus_says_what_proves_its_place(binary: Callable[[str], Path]) -> None:
    """A value of a stripped program is "recovered", by a function that uses it."""
    record = boot(load(binary("hello-1.27.3-stripped")), World())
    (osinit,) = record.calls("runtime.osinit")

    assert [(w.name, w.source) for w in osinit.writes if "CPU" in w.name] == [("runtime.numCPUStartup", "recovered")]
    assert "recovered from the code of go1.27.3" in " ".join(record.notes)
    assert "runtime." in record.evidence["runtime.numCPUStartup"]
    written = {write.name for call in record.functions for write in call.writes}
    assert len(written) > 100
    assert all(
        any(name == owner or name.startswith((f"{owner}.", f"{owner}[")) for owner in record.evidence)
        for name in written
    )
    assert booted(binary("hello-1.27.3")).evidence == {}
