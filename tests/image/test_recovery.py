"""Programs without DWARF: what their own code tells is what the DWARF of their unstripped twins says."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from emu.image import Image, Layouts, parse
from emu.image.recover import Program, Recovered, recover
from emu.image.reference import format as fmt
from emu.image.symbols import SymbolTable
from tests.image.samples import HELLOS, OLD_WITH_DWARF, PIES, leaves, patched, without_sections

JUDGES = (*OLD_WITH_DWARF, *HELLOS)  # Go 1.12 to 1.27 without 1.18
TWINS = ("hello-1.21.13", "hello-1.24.11", "hello-1.27.3")
NEIGHBOURS = {
    "esbuild-0.0.2": ("go1.13.8",),
    "esbuild-0.1.0": ("go1.12.9", "go1.14.2"),
    "esbuild-0.5.0": ("go1.13.8", "go1.15.3"),
    "buildifier-4.0.1": ("go1.14.2", "go1.16.5"),
    "buildifier-4.2.1": ("go1.15.3", "go1.17.2"),
    "buildifier-4.2.5": ("go1.16.5", "go1.19.8"),
    "hello-1.19.8": ("go1.17.2", "go1.20.3"),
    "buildifier-6.3.3": ("go1.19.8", "go1.21.13"),
    "hello-1.21.13": ("go1.20.3", "go1.22.10"),
    "hello-1.22.10": ("go1.21.13", "go1.23.9"),
    "hello-1.23.9": ("go1.22.10", "go1.24.11"),
    "hello-1.24.11": ("go1.23.9", "go1.25.5"),
    "hello-1.25.5": ("go1.24.11", "go1.26.6"),
    "hello-1.26.6": ("go1.25.5", "go1.27.3"),
    "hello-1.27.3": ("go1.26.6",),
}
"""What a program would be looked at with if its own release had no reference data."""


def variables(image: Image) -> set[str]:
    """Return the typed variables of the runtime that a running program may change."""
    module = image.moduledata
    assert module
    return {
        variable.name
        for variable in image.layouts.globals()
        if variable.name.startswith("runtime.") and module.noptrdata <= variable.addr < module.enoptrbss
        if variable.type.kind != "opaque" and variable.type.size
    }


def recovered_by(image: Image, releases: tuple[str, ...]) -> Recovered:
    """Return what is found in *image* with the references of other *releases* only, and without its symbols."""
    assert image.moduledata
    nameless = SymbolTable(image.elf._replace(sections=()))
    program = Program(image.elf, nameless, image.pclntab, image.moduledata, image.go)
    return recover(program, ([fmt.load(go) for go in releases], False))


@pytest.mark.parametrize("name", JUDGES)
def test_what_is_recovered_is_what_dwarf_says(
    name: str, binary: Callable[[str], Path], image: Callable[[str], Image]
) -> None:
    """Nearly every variable of the runtime is found, each at its place, with all its fields."""
    whole = image(name)

    bare = parse(without_sections(binary(name).read_bytes()), name)

    assert (bare.dwarf, bare.stripped, bare.typed) == (False, True, True)
    assert bare.recovered == f"recovered from the code of {whole.go.partition(' ')[0]}"
    assert leaves(bare.layouts).items() <= leaves(whole.layouts).items()
    assert len(variables(bare)) >= 0.9 * len(variables(whole))


@pytest.mark.parametrize("name", TWINS)
def test_the_linkers_own_stripping_leaves_as_much(name: str, image: Callable[[str], Image]) -> None:
    """The same program linked with -s -w, where addresses of data may differ."""
    twin = image(f"{name}-stripped")
    found, known = leaves(twin.layouts), leaves(image(name).layouts)

    assert set(found) <= set(known)
    assert {path: place[1:] for path, place in found.items()} == {path: known[path][1:] for path in found}
    assert len(variables(twin)) >= 0.9 * len(variables(image(name)))


@pytest.mark.parametrize("name", PIES)
def test_a_position_independent_program_is_recovered_too(
    name: str, binary: Callable[[str], Path], image: Callable[[str], Image]
) -> None:
    """Linked by gcc against the C library: other code where thread-local storage is used, the same elsewhere."""
    bare = parse(without_sections(binary(name).read_bytes()), name)

    assert leaves(bare.layouts).items() <= leaves(image(name).layouts).items()
    assert len(variables(bare)) >= 0.9 * len(variables(image(name)))


@pytest.mark.parametrize(("name", "releases"), NEIGHBOURS.items(), ids=NEIGHBOURS)
def test_another_releases_code_shows_nothing_wrong(
    name: str, releases: tuple[str, ...], image: Callable[[str], Image]
) -> None:
    """With neighbouring releases' references only: less is found, and of that, every leaf is where DWARF has it."""
    whole = image(name)

    found = recovered_by(whole, releases)

    known = leaves(whole.layouts)
    assert {path: place for path, place in leaves(Layouts(found.tables)).items() if known.get(path) != place} == {}
    assert len(found.tables.globals[0]) >= 80


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_types_from_descriptors_are_those_of_dwarf(name: str, image: Callable[[str], Image]) -> None:
    """Of g, m and p, which every program allocates: size, and place and kind of every leaf."""
    whole = image(name).layouts
    found = Layouts(recovered_by(image(name), NEIGHBOURS[name]).tables)

    for wanted in ("runtime.g", "runtime.m", "runtime.p"):
        described, known = found.named(wanted), whole.named(wanted)
        assert described
        assert known
        assert described.size == known.size
        assert [(x.path, x.offset, x.type.kind) for x in found.leaves(described)] == [
            (x.path, x.offset, x.type.kind) for x in whole.leaves(known)
        ]


def test_a_contradiction_costs_the_variable(binary: Callable[[str], Path], image: Callable[[str], Image]) -> None:
    """One instruction of osinit is made to store elsewhere: the variable is no longer shown, the others still are."""
    whole = image("hello-1.27.3")
    reference = fmt.load("go1.27.3")
    number = [name for name, _, _ in reference.globals].index("runtime.numCPUStartup")
    code = next(
        c for c in reference.functions if c.name == "runtime.osinit" and any(s.target == number for s in c.sites)
    )
    site = next(s for s in code.sites if s.target == number)
    entry = next(f.entry for f in whole.functions_named("runtime.osinit") if f.end - f.entry >= code.size)
    data = without_sections(binary("hello-1.27.3").read_bytes())
    at = whole.elf.offset_of(entry + site.at)
    old = int.from_bytes(data[at : at + 4], "little", signed=True)

    damaged = parse(patched(data, at, "<i", old + 64), "hello")

    assert parse(data, "hello").layouts.global_("runtime.numCPUStartup")
    assert damaged.layouts.global_("runtime.numCPUStartup") is None
    assert damaged.is_unproven("runtime.numCPUStartup")
    assert damaged.layouts.global_("runtime.sched")


def test_a_changed_function_proves_nothing(binary: Callable[[str], Path], image: Callable[[str], Image]) -> None:
    """With another constant in its code, a function is no longer the reference's, and its sites do not count."""
    whole = image("hello-1.27.3")
    function = whole.function("runtime.schedinit")
    assert function
    data = without_sections(binary("hello-1.27.3").read_bytes())
    at = whole.elf.offset_of(function.entry)
    store = data.index((10000).to_bytes(4, "little"), at)  # sched.maxmcount = 10000

    changed = parse(patched(data, store, "<I", 10001), "hello")

    assert "runtime.schedinit" not in (changed.evidence("runtime.sched") or "")
    assert changed.layouts.global_("runtime.sched")  # others prove it
    assert leaves(changed.layouts).items() <= leaves(whole.layouts).items()


def test_every_variable_says_what_proves_it(image: Callable[[str], Image]) -> None:
    """By name of a function and byte offset, or by a pointer; nothing is claimed for what was not found."""
    found = image("hello-1.27.3-stripped")

    assert found.source_of("runtime.sched.maxmcount") == "recovered"
    variables = [*found.layouts.globals()]
    assert len(variables) > 100
    for variable in variables:
        proof = found.evidence(variable.name)
        assert proof
        place = proof.split(" and ")[0]
        name, _, offset = place.partition("+0x")
        if place.startswith("the pointer in "):
            assert found.layouts.global_(place.removeprefix("the pointer in "))
        else:
            function = found.function(name)
            assert function
            assert any(int(offset, 16) < f.end - f.entry for f in found.functions_named(name))


def test_a_release_without_reference_data_is_looked_at_with_its_neighbours(image: Callable[[str], Image]) -> None:
    """Go 1.18, of which only stripped programs were to be had."""
    found = image("esbuild-0.14.30")

    assert found.release == (1, 18)
    assert "go1.17.2 and go1.19.8" in (found.recovered or "")
    assert found.layouts.global_("runtime.ncpu")
    assert found.layouts.global_("runtime.sched.maxmcount")
    assert found.layouts.global_("runtime.sched") is None
    assert found.is_unproven("runtime.stealOrder.count")


@pytest.mark.parametrize("name", ["ibazel-0.1.1", "ibazel-0.5.0", "ibazel-0.7.0", "ibazel-0.8.1", "buildifier-3.3.0"])
def test_symbols_and_code_agree(name: str, image: Callable[[str], Image]) -> None:
    """Programs with a symbol table and no DWARF: no recovered variable is elsewhere than its symbol."""
    found = image(name)
    named = [(variable, found.symbol(variable.name)) for variable in found.layouts.globals()]

    assert [v.name for v, symbol in named if symbol is not None and symbol.addr != v.addr] == []
    assert sum(v.type.kind != "opaque" for v, _ in named) >= 100
    assert found.source_of("runtime.ncpu") == "symbol"
    ncpu = found.layouts.global_("runtime.ncpu")
    assert ncpu
    assert (ncpu.type.kind, ncpu.type.size) == ("int32", 4)


@pytest.mark.parametrize(
    "name", ["ibazel-0.1.1", "ibazel-0.5.0", "ibazel-0.6.0", "ibazel-0.7.0", "ibazel-0.8.1", "buildifier-3.3.0"]
)
def test_without_the_symbols_they_are_still_right(
    name: str, binary: Callable[[str], Path], image: Callable[[str], Image]
) -> None:
    """The same programs cut to what is loaded: whatever is found has the symbol's address, or lies in the symbol."""
    whole = image(name)
    bare = parse(without_sections(binary(name).read_bytes()), name)

    assert len([*bare.layouts.globals()]) > 100
    for variable in bare.layouts.globals():
        symbol = whole.symbols.at(variable.addr)
        assert symbol, variable.name
        spelled = variable.name.replace("\N{MIDDLE DOT}", ".")  # as the linker spells names of old assembly
        parts = (f"{symbol.name}.", f"{symbol.name}+0x")
        assert spelled == symbol.name or spelled.startswith(parts), (variable.name, symbol.name)
        if spelled == symbol.name:
            rest = variable.type.kind == "opaque"  # what is left of one of which only parts have a type
            assert variable.addr == symbol.addr
            assert variable.type.size == symbol.size or (rest and variable.type.size < symbol.size)


def test_symbols_keep_their_names_where_no_type_is_known(image: Callable[[str], Image]) -> None:
    """Every byte that a symbol of writable memory covers belongs to exactly one named variable."""
    found = image("ibazel-0.7.0")
    spans = [(v.addr, v.addr + v.type.size) for v in found.layouts.globals() if v.type.size]

    assert len(spans) > 100
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    module = found.moduledata
    assert module
    placed = [s for s in found.symbols.all if s.size and module.noptrdata <= s.addr < module.enoptrbss]
    assert len(placed) > 100
    for symbol in placed:
        covered = found.layouts.globals_in(symbol.addr, symbol.addr + symbol.size)
        assert sum(v.type.size for v in covered) >= symbol.size, symbol.name
