"""Build info, symbols and module data against readelf, the manifest and the symbol table."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from emu.image import Image, parse
from emu.image.buildinfo import MAGIC
from emu.image.elf import parse as parse_elf
from emu.image.moduledata import LAYOUTS, Moduledata, locate, offsets
from emu.image.symbols import SymbolTable
from fixtures import store
from tests.image.samples import EVERY, HELLOS, OLD, PIES, STRIPPED, TYPED

READELF = shutil.which("readelf")


@pytest.mark.parametrize("name", EVERY)
def test_the_release_is_the_manifests(name: str, image: Callable[[str], Image]) -> None:
    fixture = store.fixtures()[name]

    found = image(name)

    assert found.go == f"go{fixture.go}"
    assert found.release == tuple(int(x) for x in fixture.go.split(".")[:2])
    assert (found.kind, found.dwarf, found.stripped) == (fixture.kind, fixture.dwarf, fixture.stripped)
    assert found.sha256 == fixture.sha256


@pytest.mark.parametrize("name", HELLOS)
def test_build_settings_are_read(name: str, image: Callable[[str], Image]) -> None:
    build = image(name).build

    settings = dict(build.settings)
    assert build.found_by == "buildinfo"
    assert (settings["GOARCH"], settings["GOOS"], settings["CGO_ENABLED"]) == ("amd64", "linux", "0")
    assert settings["GOAMD64"] == "v1"
    assert build.module == "hello"


def test_settings_of_a_cgo_build_keep_their_spaces(image: Callable[[str], Image]) -> None:
    assert dict(image("hello-1.27.3-pie").build.settings)["CGO_ENABLED"] == "1"


def test_releases_without_a_blob_are_found_by_symbol_or_search(
    image: Callable[[str], Image], binary: Callable[[str], Path]
) -> None:
    assert image("esbuild-0.0.2").build.found_by == "runtime.buildVersion"
    data = binary("esbuild-0.0.2").read_bytes()
    without_sections = data[:60] + struct.pack("<H", 0) + data[62:]

    found = parse(without_sections, "esbuild").build

    assert (found.go, found.found_by) == ("go1.12.9", "search")


@pytest.mark.skipif(READELF is None, reason="readelf is not installed")
@pytest.mark.parametrize("name", EVERY)
def test_build_ids_are_readelfs(name: str, image: Callable[[str], Image], binary: Callable[[str], Path]) -> None:
    assert READELF
    out = subprocess.run([READELF, "-nW", binary(name)], capture_output=True, text=True, check=True).stdout
    gnu = re.search(r"Build ID: ([0-9a-f]+)", out)
    go = re.search(
        r"^\s+Go\s+0x\w+\s+(?:GO BUILDID|Unknown note type: \(0x00000004\))\s+description data: (.*?)\s*$",
        out,
        re.MULTILINE,
    )

    build = image(name).build

    assert build.gnu_build_id == (gnu[1] if gnu else "")
    assert go
    assert build.go_build_id.encode() == bytes.fromhex(go[1])


def test_a_damaged_blob_falls_back_to_the_runtimes_own_string(binary: Callable[[str], Path]) -> None:
    data = bytearray(binary("hello-1.27.3").read_bytes())
    at = data.index(MAGIC)
    data[at] ^= 1

    found = parse(bytes(data), "hello").build

    assert (found.go, found.found_by, found.settings) == ("go1.27.3", "runtime.buildVersion", ())


@pytest.mark.skipif(READELF is None, reason="readelf is not installed")
@pytest.mark.parametrize("name", ["hello-1.27.3", "esbuild-0.1.0", "hello-1.24.11-pie"])
def test_symbols_are_readelfs(name: str, image: Callable[[str], Image], binary: Callable[[str], Path]) -> None:
    assert READELF
    out = subprocess.run([READELF, "-sW", binary(name)], capture_output=True, text=True, check=True).stdout
    out = out[out.index("'.symtab'") :]
    rows = re.findall(r"^\s*\d+: ([0-9a-f]{16})\s+(\w+) (\w+)\s+\w+\s+\w+\s+(\w+) (\S.*)$", out, re.MULTILINE)
    wanted = {(n, int(a, 16), int(s, 0)) for a, s, _, index, n in rows if index != "UND"}

    found = image(name).symbols

    # readelf marks absolute symbols and shows section symbols by their section's name: compare by what both name
    mine = {(s.name, s.addr, s.size) for s in found.all}
    assert mine
    assert mine <= {(n.split("@")[0], a, s) for n, a, s in wanted} | wanted
    assert len(mine) > 0.99 * len({w for w in wanted if not w[0].startswith(".")})


def test_symbols_are_found_by_address(image: Callable[[str], Image]) -> None:
    found = image("hello-1.27.3").symbols
    sched = found.get("runtime.sched")
    assert sched

    assert found.at(sched.addr) == found.at(sched.addr + sched.size - 1) == sched
    assert found.at(0x10) is None


@pytest.mark.parametrize("name", TYPED)
def test_moduledata_agrees_with_the_linkers_symbols(name: str, image: Callable[[str], Image]) -> None:
    found = image(name)
    module = found.moduledata
    assert module
    names = [
        "noptrdata",
        "enoptrdata",
        "data",
        "edata",
        "bss",
        "ebss",
        "noptrbss",
        "enoptrbss",
        "types",
        "etypes",
        "end",
    ]
    if name not in PIES:  # external linking keeps the names for its own start-up code
        names += ["text", "etext"]

    symbols = {field: symbol for field in names if (symbol := found.symbol(f"runtime.{field}")) is not None}
    assert len(symbols) >= 9, symbols.keys()
    for field, symbol in symbols.items():
        assert getattr(module, field) == symbol.addr, field
    assert module.addr == found.symbol("runtime.firstmoduledata").addr  # type: ignore[union-attr]
    assert module.ftab_len == found.pclntab.count + 1


@pytest.mark.parametrize("name", TYPED)
def test_every_layout_is_the_dwarfs(name: str, image: Callable[[str], Image]) -> None:
    """Fields by name and offset; the table says which release introduced each layout."""
    found = image(name)
    described = found.layouts.named("runtime.moduledata")
    assert described
    assert found.moduledata
    members = {member: offset for member, offset, _ in described.members}

    expected = offsets(dict(LAYOUTS)[found.moduledata.layout])

    assert {field: members.get(field) for field in expected} == expected
    assert found.moduledata.layout == max(first for first, _ in LAYOUTS if first <= found.release)


@pytest.mark.parametrize("name", STRIPPED)
def test_a_stripped_twin_has_the_same_moduledata(name: str, image: Callable[[str], Image]) -> None:
    twin = image(name.removesuffix("-stripped")).moduledata
    found = image(name).moduledata

    assert found
    assert twin
    # -s moves the itab pointers a little: .gosymtab beside them is smaller.
    assert found._replace(itabs=0) == twin._replace(itabs=0)


@pytest.mark.parametrize("release", [(0, 0), (1, 9), (1, 16), (1, 20), (1, 27), (1, 99)])
@pytest.mark.parametrize("name", ["esbuild-0.1.0", "hello-1.19.8", "hello-1.25.5", "hello-1.26.6", "hello-1.27.3"])
def test_structure_wins_over_the_stated_release(
    name: str, release: tuple[int, int], image: Callable[[str], Image]
) -> None:
    found = image(name)

    table, module = locate(found.elf, SymbolTable(found.elf), release)

    assert module == found.moduledata
    assert table.text == found.pclntab.text


@pytest.mark.parametrize("field", ["pcHeader", "minpc", "maxpc", "etext", "noptrdata", "bss", "types", "ftab", "end"])
def test_a_wrong_word_makes_no_moduledata(field: str, image: Callable[[str], Image]) -> None:
    found = image("hello-1.24.11")
    assert found.moduledata
    at = found.elf.offset_of(found.moduledata.addr) + offsets(dict(LAYOUTS)[(1, 21)])[field]
    data = bytearray(found.data[:])
    data[at + 4] ^= 0x55
    elf = parse_elf(bytes(data))

    table, module = locate(elf, SymbolTable(elf), (1, 24))

    assert module is None
    assert table.count == found.pclntab.count


def test_itabs_are_counted_in_bytes_where_they_lie_in_place(image: Callable[[str], Image]) -> None:
    old, new = image("hello-1.26.6").moduledata, image("hello-1.27.3").moduledata
    assert isinstance(old, Moduledata)
    assert isinstance(new, Moduledata)

    symbol = image("hello-1.26.6").symbol("runtime.itablink")
    assert symbol is None or (old.itabs, old.itabs_len * 8) == (symbol.addr, symbol.size or old.itabs_len * 8)
    assert (new.types <= new.itabs < new.etypes, new.typelinks_len) == (True, 0)
    assert old.typelinks_len > 0


def test_every_release_of_the_old_layout_is_covered() -> None:
    assert {store.fixtures()[name].go for name in OLD} == {"1.12.9", "1.13.8", "1.14.2", "1.15.3"}
