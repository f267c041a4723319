"""Types and globals: drgn and gdb on the same DWARF, the Go sources' own signatures, and the arithmetic of leaves."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import drgn
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emu.image import Image, Layouts, Type
from emu.image.types import SIZES, LayoutTables
from tests.image.judge import program
from tests.image.samples import EVERY, HELLOS, OLD, PIES, STRIPPED, TYPED

GDB = shutil.which("gdb")


def layouts(*rows: list[object], variables: tuple[tuple[str, int, int], ...] = ()) -> Layouts:
    """Return Layouts over hand-written rows."""
    columns = [v[0] for v in variables], [v[1] for v in variables], [v[2] for v in variables]
    return Layouts(LayoutTables("".join(f"\n{json.dumps(row)}" for row in rows), columns, ""))


SAMPLE = layouts(
    ["uint8", "uint8", 1],
    ["int32", "int32", 4],
    ["[16]uint8", "array", 16, 0, 16],
    ["main.pair", "struct", 24, None, 0, ["a", 0, 1, "_", 4, 1, "bytes", 8, 2]],
    ["[1000]main.pair", "array", 24000, 3, 1000],
    ["main.big", "struct", 24008, None, 0, ["n", 0, 1, "pairs", 8, 4]],
    ["main.empty", "struct", 0],
    ["main.odd", "struct", 8, None, 0, ["nothing", 0, 6, "n", 0, 1]],
    variables=(("main.x", 0x1000, 5), ("main.y", 0x8000, 1), ("main.z", 0x8004, 1)),
)


def test_leaves_have_paths_as_go_spells_them() -> None:
    big = SAMPLE.named("main.big")
    assert big

    found = [(leaf.path, leaf.offset, leaf.type.name) for leaf in SAMPLE.leaves(big, 0, 40, "main.x")]

    assert found == [
        ("main.x.n", 0, "int32"),
        ("main.x.pairs[0].a", 8, "int32"),
        ("main.x.pairs[0].bytes", 16, "[16]uint8"),
        ("main.x.pairs[1].a", 32, "int32"),
    ]


def test_blank_and_empty_fields_are_no_leaves() -> None:
    odd = SAMPLE.named("main.odd")
    assert odd

    assert [leaf.path for leaf in SAMPLE.leaves(odd, path="v")] == ["v.n"]


@settings(deadline=None)
@given(st.integers(0, 24008), st.integers(0, 100))
def test_a_range_gives_the_leaves_that_overlap_it(low: int, size: int) -> None:
    big = SAMPLE.named("main.big")
    assert big
    every = list(SAMPLE.leaves(big))

    some = list(SAMPLE.leaves(big, low, low + size))

    assert some == [leaf for leaf in every if leaf.offset < low + size and leaf.offset + leaf.type.size > low and size]


def test_a_small_range_of_a_large_type_does_not_look_at_the_rest() -> None:
    huge = layouts(["int64", "int64", 8], ["[n]int64", "array", 8 << 50, 0, 1 << 50])
    array = huge.named("[n]int64")
    assert array

    assert [leaf.path for leaf in huge.leaves(array, 8 << 40, (8 << 40) + 16, "a")] == [
        f"a[{1 << 40}]",
        f"a[{(1 << 40) + 1}]",
    ]


def test_globals_are_found_by_name_and_range() -> None:
    assert SAMPLE.global_("main.nothing") is None
    assert [g.name for g in SAMPLE.globals_in(0x1000 + 24007, 0x8004)] == ["main.x", "main.y"]
    assert [g.name for g in SAMPLE.globals_in(0x1000 + 24008, 0x8000)] == []
    assert [g.name for g in SAMPLE.globals_in(0x8003, 0x8005)] == ["main.y", "main.z"]


def test_fields_are_found_by_path() -> None:
    assert SAMPLE.field("main.big", "pairs[3].a") == (80, SAMPLE.named("int32"))
    for wrong in ("pairs[1000].a", "pairs.a", "n.a", "nothing"):
        assert SAMPLE.field("main.big", wrong) is None
    assert SAMPLE.field("main.none", "a") is None


class Comparison:
    """Walks our type and drgn's in step, and counts what was compared."""

    def __init__(self, found: Layouts) -> None:
        self.found = found
        self.seen: set[int] = set()
        self.members = 0

    def compare(self, mine: Type, theirs: drgn.Type) -> None:
        if mine.id in self.seen or mine.kind == "opaque":
            return
        self.seen.add(mine.id)
        while theirs.kind == drgn.TypeKind.TYPEDEF:
            theirs = theirs.type
        if mine.kind == "struct":
            assert theirs.kind == drgn.TypeKind.STRUCT
            assert mine.size == theirs.size
            members = [(m.name, m.bit_offset // 8) for m in theirs.members]
            assert [(name, offset) for name, offset, _ in mine.members] == members, mine.name
            for (_, _, type_id), member in zip(mine.members, theirs.members, strict=True):
                self.members += 1
                self.child(type_id, partial(getattr, member, "type"))
        elif mine.kind == "array":
            assert theirs.kind == drgn.TypeKind.ARRAY
            assert mine.length == theirs.length, mine.name
            assert mine.elem is not None
            self.child(mine.elem, lambda: theirs.type)
        elif mine.kind == "pointer" and mine.elem is not None and theirs.kind == drgn.TypeKind.POINTER:
            self.child(mine.elem, lambda: theirs.type)

    def child(self, type_id: int, get: Callable[[], drgn.Type]) -> None:
        try:
            theirs = get()
        except (ValueError, LookupError, TypeError):
            return  # drgn cannot read func types, nor DW_TAG_unspecified_type
        self.compare(self.found.type(type_id), theirs)


@pytest.mark.parametrize("name", TYPED)
def test_every_global_and_struct_is_drgns(
    name: str, image: Callable[[str], Image], binary: Callable[[str], Path]
) -> None:
    found = image(name)
    judge = program(binary(name), found)
    comparison = Comparison(found.layouts)

    variables = 0
    for mine in found.layouts.globals():
        if mine.type.kind == "opaque" or not re.match(r"\w[\w/]*\.", mine.name):
            continue
        try:
            theirs = judge.variable(mine.name)
            kind, size = theirs.type_, drgn.sizeof(theirs)
        except (ValueError, LookupError, TypeError):
            continue
        assert theirs.address_ == mine.addr, mine.name
        assert size == mine.type.size, mine.name
        comparison.compare(mine.type, kind)
        variables += 1

    assert variables > 300
    assert comparison.members > 800


@pytest.mark.skipif(GDB is None, reason="gdb is not installed")
@pytest.mark.parametrize("name", ["esbuild-0.0.2", "hello-1.19.8", "hello-1.24.11"])
def test_sizes_and_offsets_are_gdbs(name: str, image: Callable[[str], Image], binary: Callable[[str], Path]) -> None:
    assert GDB
    found = image(name).layouts
    fields = [
        ("runtime.sched", "runtime.schedt", "maxmcount"),
        ("runtime.m0", "runtime.m", "procid"),
        ("runtime.g0", "runtime.g", "sched"),
        ("runtime.mheap_", "runtime.mheap", "arenaHints"),
        ("runtime.memstats", "runtime.mstats", "enablegc"),
    ]
    commands = [f"print (long)&'{v}'.{field} - (long)&'{v}'" for v, _, field in fields]
    commands += [f"print sizeof('{v}')" for v, _, _ in fields]
    commands += [f"print (long)&'{v}'" for v, _, _ in fields]
    arguments = [x for command in commands for x in ("-ex", command)]
    # Values differ by how gdb prints them in the program's language; C has no dots in names, so they are quoted.
    out = subprocess.run(
        [GDB, "-nx", "-batch", "-iex", "set auto-load off", "-ex", "set language c", *arguments, binary(name)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    theirs = [int(x) for x in re.findall(r"^\$\d+ = (\d+)$", out, re.MULTILINE)]

    mine = [found.field(t, field)[0] for _, t, field in fields]  # type: ignore[index]
    variables = [found.global_(v) for v, _, _ in fields]
    mine += [v.type.size for v in variables if v] + [v.addr for v in variables if v]

    assert mine == theirs


@pytest.mark.parametrize("name", TYPED)
def test_no_byte_of_the_data_segments_that_has_a_symbol_is_nameless(name: str, image: Callable[[str], Image]) -> None:
    found = image(name)
    module = found.moduledata
    assert module
    placed = [s for s in found.symbols.all if s.size and module.noptrdata <= s.addr < module.enoptrbss]
    assert len(placed) > 100
    for symbol in placed:
        assert list(found.layouts.globals_in(symbol.addr, symbol.addr + symbol.size)), symbol.name


@pytest.mark.parametrize("name", TYPED)
def test_globals_do_not_overlap_and_stay_in_memory(name: str, image: Callable[[str], Image]) -> None:
    found = image(name)
    end = 0
    variables = [*found.layouts.globals()]
    assert len(variables) > 100
    for variable in variables:
        assert variable.addr >= end, variable.name
        end = variable.addr + variable.type.size
        segment = found.elf.segment_at(variable.addr)
        assert segment
        assert end <= segment.end
        for leaf in found.layouts.leaves(variable.type, path=variable.name):
            assert leaf.path.startswith(variable.name)
            assert SIZES.get(leaf.type.kind, leaf.type.size) == leaf.type.size
            assert leaf.offset + leaf.type.size <= variable.type.size


# What the Go sources say: runtime/{os_linux,proc,env_posix,mheap,runtime1}.go of the releases named.
SIGNATURES = [
    ("esbuild-0.0.2", "runtime.sysauxv", ["[]uintptr"], ["int"]),
    ("esbuild-0.0.2", "runtime.getproccount", [], ["int32"]),
    ("esbuild-0.1.0", "runtime.args", ["int32", "**uint8"], []),
    ("esbuild-0.1.0", "runtime.mcommoninit", ["*runtime.m"], []),
    ("buildifier-4.0.1", "runtime.mcommoninit", ["*runtime.m", "int64"], []),
    ("hello-1.19.8", "runtime.procresize", ["int32"], ["*runtime.p"]),
    ("hello-1.21.13", "runtime.getHugePageSize", [], ["uintptr"]),
    ("hello-1.24.11", "runtime.gogetenv", ["string"], ["string"]),
    ("hello-1.27.3", "runtime.sysauxv", ["[]uintptr"], ["int"]),
    ("hello-1.27.3", "runtime.getCPUCount", [], ["int32"]),
    ("hello-1.27.3", "runtime.(*mheap).init", ["*runtime.mheap"], []),
    ("hello-1.27.3", "internal/cpu.Initialize", ["string"], []),
    ("hello-1.27.3", "main.main", [], []),
]


@pytest.mark.parametrize(("name", "function", "parameters", "results"), SIGNATURES)
def test_results_are_told_from_parameters(
    name: str, function: str, parameters: list[str], results: list[str], image: Callable[[str], Image]
) -> None:
    signature = image(name).layouts.signature(function)

    assert signature
    assert [t.name for _, t in signature.parameters] == parameters
    assert [t.name for _, t in signature.results] == results


def test_a_named_result_keeps_its_name(image: Callable[[str], Image]) -> None:
    """runtime.sysauxv(auxv []uintptr) (pairs int), os_linux.go:298 of Go 1.27.3."""
    signature = image("hello-1.27.3").layouts.signature("runtime.sysauxv")

    assert signature
    assert (signature.parameters[0][0], signature.results[0][0], signature.line) == ("auxv", "pairs", 298)
    assert image("hello-1.27.3").layouts.signature("runtime.no_such_function") is None


@pytest.mark.parametrize("name", HELLOS)
def test_declared_lines_agree_with_the_pclntab(name: str, image: Callable[[str], Image]) -> None:
    """DWARF's decl_line (from Go 1.20) and the pclntab's startLine are written by different parts of the linker."""
    found = image(name)
    checked = 0
    for function in ("runtime.schedinit", "runtime.osinit", "runtime.mallocinit", "runtime.procresize"):
        signature, table = found.layouts.signature(function), found.function(function)
        assert signature
        assert table
        if signature.line:
            assert table.line == signature.line
            checked += 1
    assert checked == (4 if found.release >= (1, 20) else 0)


@pytest.mark.parametrize("name", [*HELLOS, *OLD])
def test_kinds_are_gos(name: str, image: Callable[[str], Image]) -> None:
    found = image(name).layouts
    kinds = {
        "runtime.argc": "int32", "runtime.argv": "pointer", "runtime.envs": "slice", "runtime.iscgo": "bool",
        "runtime.buildVersion": "string", "runtime.physPageSize": "uintptr", "runtime.allp": "slice",
        "runtime.sched": "struct", "os.Args": "slice", "io.EOF": "iface",
    }  # fmt: skip
    for variable, kind in kinds.items():
        found_global = found.global_(variable)
        assert found_global
        assert found_global.type.kind == kind, variable
    pointer = found.global_("runtime.argv")
    assert pointer
    assert pointer.type.elem is not None
    assert found.type(pointer.type.elem).name == "*uint8"


def test_atomics_are_the_value_that_they_hold(image: Callable[[str], Image]) -> None:
    for name, kind in (("esbuild-0.1.0", "uint64"), ("hello-1.27.3", "int64")):
        found = image(name).layouts.field("runtime.schedt", "lastpoll")
        assert found
        assert (found[0], found[1].kind) == (8, kind)
    assert image("hello-1.27.3").layouts.field("runtime.schedt", "lastpoll")[1].name.endswith("atomic.Int64")  # type: ignore[index]


@pytest.mark.parametrize("name", STRIPPED)
def test_a_stripped_program_has_no_debugging_information_and_says_so(name: str, image: Callable[[str], Image]) -> None:
    found = image(name)

    assert not found.dwarf
    assert [note.partition(";")[0] for note in found.notes] == ["types: no DWARF"]


def test_symbols_alone_still_name_the_globals(image: Callable[[str], Image]) -> None:
    from emu.image import golayout

    elf = image("hello-1.24.11").elf
    without = elf._replace(sections=tuple(s._replace(name=s.name.replace(".debug", ".gone")) for s in elf.sections))
    from emu.image.symbols import SymbolTable

    tables, why = golayout.build(without, SymbolTable(without))
    found = Layouts(tables).global_("runtime.sched")

    assert why == "no DWARF"
    assert found
    full = image("hello-1.24.11").layouts.global_("runtime.sched")
    assert full
    assert (found.addr, found.type.kind, found.type.size) == (full.addr, "opaque", full.type.size)


def test_every_typed_fixture_is_covered() -> None:
    assert set(EVERY) == {*OLD, *HELLOS, *PIES, *STRIPPED}
