"""Builds reference data from unstripped programs: ``python -m emu.image.reference.build [--out FOLDER] BINARY...``.

Each binary needs a symbol table and DWARF.  Of several that state the same Go version, the first gives types and
names, and the others are witnesses: a function stays only if its code is the same in all that have it, and a site only
if it means the same variable in all.  The linker does not say in its output which variable an address was written
for, and "one past the end of A" looks like "the start of B"; in another program, other things lie side by side.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from emu.image.errors import Unreadable
from emu.image.image import Image, load
from emu.image.moduledata import Moduledata
from emu.image.pclntab import Pclntab
from emu.image.recover.match import callee
from emu.image.reference import format as fmt
from emu.image.reference.code import Decoder, trimmed
from emu.image.reference.format import MASK, Code, Pointer, Site
from emu.image.types import RUNTIME_PACKAGE, Global, Layouts, Leaf

ENTRY_POINTS = ("_rt0_amd64_linux", "_rt0_amd64")
MAX_ELEMENTS = 256  # of a slice that is looked into
BY_LINKER = frozenset({"runtime.firstmoduledata", "runtime.runtime_inittasks"})
"""Variables whose content differs from program to program of one release."""
PARTS = ("noptrdata", "data", "bss", "noptrbss")


def kept(name: str) -> bool:
    """Tell whether reference data are kept of the variable or function *name*."""
    return name in ENTRY_POINTS or (bool(RUNTIME_PACKAGE.match(name)) and name != "main.main")


def part_of(module: Moduledata, addr: int) -> str:
    """Return which part of a module's data *addr* is in."""
    for part in PARTS:
        if getattr(module, part) <= addr < getattr(module, f"e{part}"):
            return part
    return "rodata"


def build(images: Iterable[Image]) -> fmt.Reference:
    """Return the reference data of the release that all of *images* state; the first is the source of types."""
    primary, *witnesses = images
    if primary.moduledata is None or not primary.dwarf or primary.stripped:
        raise SystemExit(f"{primary.name}: reference data need a symbol table, DWARF and moduledata")
    variables = [g for g in primary.layouts.globals() if kept(g.name) and g.type.size]
    found = _functions(primary, {g.name: i for i, g in enumerate(variables)})
    for witness in witnesses:
        confirm(found, _functions(witness, {g.name: i for i, g in enumerate(variables)}))
    rows, ids = _types(primary.layouts, variables)
    return fmt.Reference(
        go=primary.go.partition(" ")[0],
        types="".join(f"\n{json.dumps(row, separators=(',', ':'), ensure_ascii=False)}" for row in rows),
        signatures=_signatures(primary.layouts, ids),
        globals=tuple((g.name, ids[g.type.id], part_of(primary.moduledata, g.addr)) for g in variables),
        functions=tuple(code for _, code in sorted(found.items())),
        pointers=tuple(_pointers(primary, variables)),
    )


def _functions(image: Image, targets: dict[str, int]) -> dict[tuple[str, str], Code]:
    # Every function that is kept, by name and digest: a wrapper and its body differ in their code.
    decoder, table = Decoder(), image.pclntab
    found = {}
    for i in range(table.count):
        if kept(table.name(i)):
            code = _code(image, table, i, decoder, targets)
            if code is not None:
                found[code.name, code.digest] = code
    return found


def _code(image: Image, table: Pclntab, i: int, decoder: Decoder, targets: dict[str, int]) -> Code | None:
    entry, end = table.bounds(i)
    raw = trimmed(image.elf.read(entry, end - entry))
    references = decoder.references(raw, entry)
    if references is None:
        return None
    masked, masks, sites, calls, called = bytearray(raw), [], [], [], []
    for r in references:
        masked[r.at : r.at + len(MASK)] = MASK
        masks.append(r.at)
        if not r.data:
            calls.append(r.at)
            called.append(callee(table, r.target))
        variable = variable_at(image.layouts, r.target) if r.data else None
        if variable is not None and variable.name in targets:
            sites.append(Site(r.at, r.end, targets[variable.name], r.target - variable.addr, r.size))
    return Code(table.name(i), len(raw), fmt.digest(masked, called), tuple(masks), tuple(calls), tuple(sites))


def variable_at(layouts: Layouts, addr: int) -> Global | None:
    """Return the variable that *addr* is in."""
    return next(layouts.globals_in(addr, addr + 1), None)


def confirm(found: dict[tuple[str, str], Code], other: dict[tuple[str, str], Code]) -> None:
    """Drop from *found* what the witness *other* contradicts."""
    names = {name for name, _ in other}
    for key, code in list(found.items()):
        if key in other:
            found[key] = code._replace(sites=tuple(s for s in code.sites if s in other[key].sites))
        elif code.name in names:
            del found[key]


def _pointers(image: Image, variables: list[Global]) -> Iterator[Pointer]:
    # Of initialised variables: pointers to other variables, directly and in the structs of a slice (vdsoSymbolKeys).
    layouts, targets = image.layouts, {g.name: i for i, g in enumerate(variables)}
    for source, variable in enumerate(variables):
        if variable.name not in BY_LINKER and variable.type.kind != "opaque":
            for leaf in layouts.leaves(variable.type):
                if leaf.type.kind == "pointer":
                    yield from _pointer(image, source, (variable.addr, leaf.offset), (), targets)
                elif leaf.type.kind == "slice" and leaf.type.elem is not None:
                    yield from _behind_slice(image, source, (variable.addr, leaf), targets)


def _behind_slice(image: Image, source: int, place: tuple[int, Leaf], targets: dict[str, int]) -> Iterator[Pointer]:
    addr, leaf = place
    elem = image.layouts.type(leaf.type.elem or 0)
    try:
        data, length = struct.unpack("<QQ", image.elf.read(addr + leaf.offset, 16))
    except Unreadable:
        return  # in .bss
    for i in range(min(length, MAX_ELEMENTS)):
        for inner in image.layouts.leaves(elem):
            if inner.type.kind == "pointer":
                yield from _pointer(image, source, (data, i * elem.size + inner.offset), (leaf.offset,), targets)


def _pointer(
    image: Image, source: int, place: tuple[int, int], before: tuple[int, ...], targets: dict[str, int]
) -> Iterator[Pointer]:
    try:
        target = int.from_bytes(image.elf.read(sum(place), 8), "little")
    except Unreadable:
        return  # in .bss
    variable = variable_at(image.layouts, target)
    if variable is not None and variable.name in targets:
        yield Pointer(source, (*before, place[1]), targets[variable.name], target - variable.addr)


def _types(layouts: Layouts, variables: list[Global]) -> tuple[list[list[Any]], dict[int, int]]:
    # The types that the variables and the signatures reach, renumbered in order of first use.
    ids: dict[int, int] = {}
    pending = [g.type.id for g in variables]
    for name in layouts.signature_names():
        signature = layouts.signature(name)
        if signature is not None and kept(name):
            pending += [t.id for _, t in (*signature.parameters, *signature.results)]
    order: list[int] = []
    for type_id in pending:
        if type_id not in ids:
            ids[type_id] = len(order)
            order.append(type_id)
    for type_id in order:  # grows while it is walked
        t = layouts.type(type_id)
        for reached in (*(() if t.elem is None else (t.elem,)), *(m for _, _, m in t.members)):
            if reached not in ids:
                ids[reached] = len(order)
                order.append(reached)
    return [_row(layouts, type_id, ids) for type_id in order], ids


def _row(layouts: Layouts, type_id: int, ids: dict[int, int]) -> list[Any]:
    t = layouts.type(type_id)
    row: list[Any] = [t.name, t.kind, t.size]
    elem = None if t.elem is None else ids[t.elem]
    if t.members:
        return [*row, elem, t.length, [x for name, at, m in t.members for x in (name, at, ids[m])]]
    return row if elem is None else [*row, elem, t.length]


def _signatures(layouts: Layouts, ids: dict[int, int]) -> str:
    lines = []
    for name in layouts.signature_names():
        signature = layouts.signature(name)
        if signature is not None and kept(name):
            sides = ([x for n, t in side for x in (n, ids[t.id])] for side in (signature.parameters, signature.results))
            text = json.dumps([signature.line, *sides], separators=(",", ":"), ensure_ascii=False)
            lines.append(f"\n{name}\t{text}")
    return "".join(lines)


def main(argv: list[str]) -> int:
    """Build the reference data of every release that the named binaries state."""
    parser = argparse.ArgumentParser(prog="python -m emu.image.reference.build", description=__doc__)
    parser.add_argument("binaries", nargs="+", metavar="BINARY", type=Path)
    parser.add_argument("--out", type=Path, default=fmt.DATA, metavar="FOLDER")
    options = parser.parse_args(argv)
    by_release: dict[str, list[Image]] = {}
    for path in options.binaries:
        image = load(path, dynamic=True)
        by_release.setdefault(image.go.partition(" ")[0], []).append(image)
    references = [build(images) for _, images in sorted(by_release.items())]
    fmt.store(references, options.out)
    for reference in references:
        size = (options.out / f"{reference.go}.xz").stat().st_size
        print(f"{reference.go}: {len(reference.globals)} variables, {len(reference.functions)} functions, {size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
