"""Types for the reference data of a release of which only programs with a symbol table were found, and no DWARF.

A symbol gives a variable's name, place and size, and no type.  That comes from the program's own type descriptors or,
for numbers, pointers, strings and arrays of such, from the variable of the same name in the nearest release that has
reference data; then what the program itself says must bear it out:

- the size is the symbol's;
- every word that its garbage collector takes for a pointer is one in the type, and no other (:mod:`pointermap`);
- every instruction of the program that reads or writes a part of the variable touches whole values there, whole words
  of one, or the low bytes of a number that others touch as a whole.

A variable that fails has its name and place, and no type.  Held against DWARF, in 15 programs of Go 1.12 to 1.27 whose
debugging information was kept from this, each of the 39,000 fields and elements that it gave a type has that type.  Of
the 96 borrowed types of Go 1.9 and 1.11 that the DWARF of Go 1.7.3 has as well (ibazel 0.0.1, read with gdb), 91 are
the same there; the others have another size or, as size_to_class8 and size_to_class128 of int8, another sign than code
of 1.9 says, which extends them with zeros.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from emu.image import golayout
from emu.image.recover import Program, recover, with_symbols
from emu.image.recover.settings import TABLE
from emu.image.reference import format as fmt
from emu.image.reference.code import Decoder, trimmed
from emu.image.reference.pointermap import PointerMap
from emu.image.types import SIZES, Global, Layouts, LayoutTables, Leaf, Type

if TYPE_CHECKING:
    from collections.abc import Iterable

    from emu.image.image import Image
    from emu.image.reference.format import Reference

WORD = 8
BY_LINKER = "runtime.firstmoduledata"  # not in the collector's map, although it holds pointers
Accesses = dict[str, set[tuple[int, int]]]  # of each variable: byte offset and size


class Typed(NamedTuple):
    """A program with a symbol table, and types without DWARF."""

    image: Image
    borrowed: dict[str, str]  # variables whose type is not the program's own -> the release that it is taken from
    unproven: tuple[str, ...]  # variables and fields that the neighbours have and the program too, without proof


def typed(image: Image, neighbours: list[Reference]) -> Typed:
    """Return *image* with what types *neighbours* and its descriptors give its variables."""
    assert image.moduledata
    program = Program(image.elf, image.symbols, image.pclntab, image.moduledata, image.go)
    recovered = recover(program, (neighbours, False))
    found = recovered.tables
    untyped, _ = golayout.build(image.elf, image.symbols)
    layouts = Layouts(found)
    wrong = {v.name for v in layouts.globals() if not _is_borne_out(image, layouts, v)}
    touched = accesses(image, layouts)
    wrong |= {v.name for v in layouts.globals() if not fits(layouts, v.type, touched.get(v.name, set()))}
    layouts = Layouts(with_symbols(_without(found, wrong), untyped))
    releases = " or ".join(reference.go for reference in neighbours)
    own = {name for name, proof in recovered.evidence.items() if proof.startswith(f"what {TABLE}")}
    borrowed = {v.name: releases for v in layouts.globals() if v.name not in own and _is_borrowed(layouts, v.type)}
    unproven = {name for name, proof in recovered.evidence.items() if not proof or name in wrong}
    return Typed(replace(image, layouts=layouts), borrowed, tuple(sorted(unproven)))


def donors(go: str, made: Iterable[Reference]) -> list[Reference]:
    """Return the nearest release on either side of *go*, made from DWARF, of those *made* and those shipped."""
    here = {reference.go: reference for reference in made}
    mine = fmt.version(go)
    known = sorted((v, name) for name in {*here, *fmt.index()} if (v := fmt.version(name)))
    below = [name for v, name in reversed(known) if mine and v[:2] < mine[:2]]
    above = [name for v, name in known if mine and v[:2] > mine[:2]]
    sides = ((here.get(name) or fmt.load(name) for name in names) for names in (below, above))
    return [found for side in sides if (found := next((r for r in side if not r.borrowed), None))]


def accesses(image: Image, layouts: Layouts) -> Accesses:
    """Return which parts of each variable of *layouts* the instructions of *image* read and write."""
    decoder, table = Decoder(), image.pclntab
    found: defaultdict[str, set[tuple[int, int]]] = defaultdict(set)
    for i in range(table.count):
        entry, end = table.bounds(i)
        decoded = decoder.references(trimmed(image.elf.read(entry, end - entry)), entry)
        for r in decoded[0] if decoded else ():
            variable = next(layouts.globals_in(r.target, r.target + 1), None) if r.data and r.size else None
            if variable is not None:
                found[variable.name].add((r.target - variable.addr, r.size))
    return found


def _is_borne_out(image: Image, layouts: Layouts, variable: Global) -> bool:
    assert image.moduledata
    pointers = PointerMap(image.elf, image.moduledata)
    return variable.name == BY_LINKER or pointers.agrees(layouts, variable.addr, variable.type)


def fits(layouts: Layouts, t: Type, touched: set[tuple[int, int]]) -> bool:
    """Tell whether every one of the parts *touched*, (byte offset, size), is one that code touches of a *t*."""
    return all(
        at + size <= t.size and all(_is_part(leaf, at, size, touched) for leaf in layouts.leaves(t, at, at + size))
        for at, size in touched
    )


def _is_part(leaf: Leaf, at: int, size: int, touched: set[tuple[int, int]]) -> bool:
    low, high = max(at - leaf.offset, 0), min(at + size - leaf.offset, leaf.type.size)
    if leaf.type.kind in ("array", "opaque") or (low, high) == (0, leaf.type.size):
        return True
    if leaf.type.size > WORD:
        return low % WORD == high % WORD == 0
    return low == 0 and (leaf.offset, leaf.type.size) in touched


def _is_borrowed(layouts: Layouts, t: Type) -> bool:
    if t.kind == "array" and t.elem is not None:
        return _is_borrowed(layouts, layouts.type(t.elem))
    return t.kind in SIZES


def _without(found: LayoutTables, names: set[str]) -> LayoutTables:
    rows = [row for row in zip(*found.globals, strict=True) if row[0] not in names]
    columns = tuple(map(list, zip(*rows, strict=True))) if rows else ([], [], [])
    return LayoutTables(found.types, columns, found.signatures)  # type: ignore[arg-type]
