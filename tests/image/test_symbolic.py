"""Types for releases of which only programs with a symbol table were found: none is given that DWARF would not give."""

from __future__ import annotations

import lzma
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from emu.image import Image, Layouts
from emu.image.recover import Program, Recovered, with_itabs
from emu.image.recover.descriptors import Descriptors
from emu.image.recover.itabs import itabs
from emu.image.reference import build, symbolic
from emu.image.reference import format as fmt
from emu.image.reference.pointermap import PointerMap
from emu.image.types import LayoutTables
from tests.image.samples import leaves
from tests.image.test_recovery import NEIGHBOURS

WITHOUT_DWARF = ("ibazel-0.1.1", "ibazel-0.7.0")  # Go 1.9.2 and 1.11.2
MAPPED = ("esbuild-0.0.2", "esbuild-0.1.0")  # with DWARF, of 1.12 and 1.13, whose collector minds every pointer


def blind(image: Image) -> Image:
    """The program as if the linker had left its debugging information out."""
    return replace(
        image, elf=image.elf._replace(sections=tuple(s for s in image.elf.sections if "debug" not in s.name))
    )


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_no_type_is_given_that_dwarf_would_not_give(name: str, image: Callable[[str], Image]) -> None:
    """With symbols and the references of other releases: place, kind and size of each leaf are those of DWARF."""
    whole = image(name)
    known = leaves(whole.layouts)

    found = symbolic.typed(blind(whole), [fmt.load(go) for go in NEIGHBOURS[name]]).image

    typed = {path: place for path, place in leaves(found.layouts).items() if place[1] != "opaque"}
    assert {path: place for path, place in typed.items() if known.get(path) != place} == {}
    assert len(typed) >= 900


@pytest.mark.parametrize("name", WITHOUT_DWARF)
def test_what_is_shipped_is_what_the_builder_makes(name: str, image: Callable[[str], Image]) -> None:
    """From a program without DWARF, and the reference data of Go 1.12 for the types of its numbers and pointers."""
    made = build.build([image(name)])

    assert fmt.pack(made) == lzma.decompress((fmt.DATA / f"{made.go}.xz").read_bytes())
    assert {go for _, go in made.borrowed} == {"go1.12.9"}


@pytest.mark.parametrize("name", MAPPED)
def test_the_collectors_map_has_the_pointers_that_dwarf_has(name: str, image: Callable[[str], Image]) -> None:
    """In every variable but the one that the linker itself writes."""
    whole = image(name)
    assert whole.moduledata
    pointers = PointerMap(whole.elf, whole.moduledata)
    typed = [v for v in whole.layouts.globals() if v.type.size and v.type.kind != "opaque"]

    others = [v.name for v in typed if not pointers.agrees(whole.layouts, v.addr, v.type)]

    assert others == [symbolic.BY_LINKER]
    assert len(typed) >= 400


@pytest.mark.parametrize(("name", "wrong"), [("runtime.allm", "uintptr"), ("runtime.allglen", "pointer")])
def test_a_pointer_is_told_from_a_number(name: str, wrong: str, image: Callable[[str], Image]) -> None:
    """Of the same size: the map says which it is."""
    whole = image("ibazel-0.1.1")
    variable = whole.layouts.global_(name)
    assert whole.moduledata
    assert variable
    pointers = PointerMap(whole.elf, whole.moduledata)

    assert pointers.agrees(whole.layouts, variable.addr, variable.type)
    assert not pointers.agrees(whole.layouts, variable.addr, variable.type._replace(kind=wrong))


@pytest.mark.parametrize(
    ("touched", "right"),
    [
        (set(), True),
        ({(0, 8), (8, 4), (12, 1)}, True),
        ({(16, 8), (24, 8), (16, 16)}, True),  # words of a string
        ({(0, 4)}, False),  # half of a number, which nothing touches as a whole
        ({(0, 8), (0, 4)}, True),  # the low half of one that others do
        ({(4, 4)}, False),
        ({(8, 8)}, True),  # two values, and padding
        ({(12, 8)}, False),  # a value, and half a word of what follows
        ({(8, 1), (12, 1)}, False),
        ({(20, 8)}, False),  # across the words of a string
        ({(28, 8)}, False),  # past the end
    ],
)
def test_code_refutes_a_layout(touched: set[tuple[int, int]], right: bool) -> None:
    """A struct of uintptr, int32, bool, string, by the parts of it that instructions read and write."""
    rows = ['["a.t","struct",32,null,0,["n",0,1,"i",8,2,"b",12,3,"s",16,4]]', '["uintptr","uintptr",8]',
            '["int32","int32",4]', '["bool","bool",1]', '["string","string",16]']  # fmt: skip
    layouts = Layouts(LayoutTables("".join(f"\n{row}" for row in rows), ([], [], []), ""))

    assert symbolic.fits(layouts, layouts.type(0), touched) is right


@pytest.mark.parametrize("name", ["ibazel-0.1.1", "ibazel-0.5.0"])
def test_itabs_are_named_as_the_linker_names_them(name: str, image: Callable[[str], Image]) -> None:
    """All of them, by their type descriptors alone: name, address and size are those of the symbol table."""
    whole = image(name)
    assert whole.moduledata
    symbols = {s.name: s for s in whole.symbols.all if s.name.startswith("go.itab.") and s.size}

    found = list(itabs(whole.elf, whole.moduledata, Descriptors(whole.elf, whole.moduledata, whole.release)))

    assert {i.name: i.addr for i in found} == {s.name: s.addr for s in symbols.values()}
    assert {i.name: 32 + 8 * i.methods for i in found} == {s.name: s.size for s in symbols.values()}
    assert len(found) >= 337


def test_itabs_that_nothing_writes_are_left_alone(image: Callable[[str], Image]) -> None:
    """Those of Go 1.11, even if the program says that it is of 1.9: they have no field for a list of them."""
    whole = image("ibazel-0.7.0")
    assert whole.moduledata
    program = Program(whole.elf, whole.symbols, whole.pclntab, whole.moduledata, "go1.9")
    found = Recovered(LayoutTables("", ([], [], []), ""), {}, "")

    assert with_itabs(found, program, (1, 9)) == found


def test_settings_have_the_names_that_the_program_gives_them(image: Callable[[str], Image]) -> None:
    """Go 1.9: the fields of runtime.debug, by the table that GODEBUG is read with, within the variable's symbol."""
    whole = image("ibazel-0.1.1")
    symbol = whole.symbol("runtime.debug")
    found = [v for v in whole.layouts.globals() if v.name.startswith("runtime.debug.")]
    assert symbol

    assert {"runtime.debug.gctrace", "runtime.debug.invalidptr", "runtime.debug.cgocheck"} <= {v.name for v in found}
    assert all(symbol.addr <= v.addr < symbol.addr + symbol.size for v in found)
    assert {v.type.kind for v in found} == {"int32"}
    assert all(b.addr - a.addr >= 4 for a, b in pairwise(found))


def test_the_nearest_releases_with_dwarf_give_the_types() -> None:
    """Not one whose own types are another's; of what was just made, rather than what is shipped."""
    made = fmt.load("go1.12.9")._replace(go="go1.12.10")

    assert [r.go for r in symbolic.donors("go1.9.2", ())] == ["go1.12.9"]
    assert [r.go for r in symbolic.donors("go1.18.2", ())] == ["go1.17.2", "go1.19.8"]
    assert [r.go for r in symbolic.donors("go1.13.8", ())] == ["go1.12.9", "go1.14.2"]
    assert [r.go for r in symbolic.donors("go1.13.8", [made])] == ["go1.12.10", "go1.14.2"]
