"""Recovery of types and variables of programs without DWARF, from their code and reference data.

What is shown is proven: functions whose machine code is that of a reference say where each variable is
(:mod:`emu.image.recover.match`), all of them agree, nothing overlaps, and everything lies where variables lie.  The
layout of a struct is the reference's if that is of the very release, else the program's own type descriptor's; a
struct of which neither tells is known as far as unchanged code uses it (:mod:`emu.image.recover.neighbours`).  Of a
name that only one of two neighbouring releases has, nothing is said.

Names do not stand in code.  What another release's reference proves has the name that this release gives it, which the
evidence says ("as in go1.24.11"); of four patch releases that were compared with their DWARF (1.23.1, 1.24.3, 1.26.0,
1.27.0; 60,000 leaves), one variable was called otherwise: isWaitingForGC in 1.24.3, later isWaitingForSuspendG.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from emu.image.elf import Elf
from emu.image.moduledata import Moduledata
from emu.image.pclntab import Pclntab
from emu.image.recover.descriptors import Descriptors
from emu.image.recover.match import match
from emu.image.recover.neighbours import of_other_release
from emu.image.recover.settings import OWNER, TABLE, of_settings
from emu.image.recover.table import TypeTable
from emu.image.recover.votes import (
    Found,
    Source,
    Vote,
    count,
    of_same_release,
    of_symbols,
)
from emu.image.reference import format as fmt
from emu.image.reference.format import Reference, Version
from emu.image.symbols import Symbol, SymbolTable
from emu.image.types import SIZES, LayoutTables

SAME_SHARE = 0.5  # of the functions that both have: 0.83 if position-independent, 0.89 for GOAMD64=v3, 0.35 for -N -l
NEWEST = (1, 99)  # for a program that does not state its release
PARTS = ("noptrdata", "data", "bss", "noptrbss")
VIEWED = ("runtime.g", "runtime.m", "runtime.p", "runtime.mcache", "runtime.itabTableType", "runtime.arenaHint",
          "runtime.moduledata")  # fmt: skip
"""Types that are reached through pointers only, and looked at all the same."""


class Program(NamedTuple):
    """What is recovered from."""

    elf: Elf
    symbols: SymbolTable
    table: Pclntab
    module: Moduledata
    go: str  # the version that it states


class Recovered(NamedTuple):
    """What a recovery found."""

    tables: LayoutTables
    evidence: dict[str, str]  # of each variable: "runtime.schedinit+0x4c and 12 more places"; "" if it was not found
    note: str  # by which reference, and what that leaves out


def references_for(version: Version | None) -> tuple[list[str], bool]:
    """Return which releases' reference data apply to *version*, and whether it is the very release.

    Without the very release: the nearest patch release of the same minor one, or else the neighbours on either side.
    Without a version: the newest.
    """
    known = {go: parsed for go in fmt.index() if (parsed := fmt.version(go))}
    if version is None:
        return [max(known, key=lambda go: known[go])], False
    same = [go for go, v in known.items() if v[:3] == version[:3]]
    if same:
        return same, True
    minor = [go for go, v in known.items() if v[:2] == version[:2]]
    if minor:
        return [min(minor, key=lambda go: abs(known[go].patch - version.patch))], False
    below = [go for go, v in known.items() if v[:2] < version[:2]]
    above = [go for go, v in known.items() if v[:2] > version[:2]]
    sides = [max(below, key=lambda go: known[go])] if below else []
    return sides + ([min(above, key=lambda go: known[go])] if above else []), False


def recover(program: Program, references: tuple[list[Reference], bool] | None = None) -> Recovered:
    """Return what can be proven about *program*.

    *references*: what to use instead of the shipped ones for its version, and whether they are of the very release.
    """
    if references is None:
        names, exact = references_for(fmt.version(program.go))
        references = [fmt.load(name) for name in names], exact
    sources = [Source(match(program.elf, program.table, reference)) for reference in references[0]]
    if references[1] and sources[0].matches.share >= SAME_SHARE and _types_agree(program, sources[0]):
        return _by_same_release(program, sources[0])
    return _by_other_releases(program, sources)


def _types_agree(program: Program, source: Source) -> bool:
    # An experiment may change types of a release, such as the mutex of GOEXPERIMENT=staticlockranking, which every p
    # holds: then the program's own descriptors differ from the reference.
    types = TypeTable(Descriptors(program.elf, program.module, source.reference.version[:2]))
    for name in VIEWED:
        described, known = types.descriptor(name), source.layouts.named(name)
        if described is not None and known is not None and not types.has_layout(described, source.layouts, known):
            return False
    return True


def _by_same_release(program: Program, source: Source) -> Recovered:
    reference = source.reference
    votes = chain(of_same_release(program.elf, source), of_symbols(program.symbols, source, TypeTable(None)))
    found = [Found(name, addr, by[0].type.id, text) for name, by, addr, text in _agreed(votes)]
    parts = {name: part for name, _, part in reference.globals}
    sizes = [source.layouts.type(i).size for i in range(source.layouts.count)]
    found = apart([f for f in found if inside(program, f, sizes[f.type], parts[f.name])], sizes)
    note = f"recovered from the code of {reference.go}"
    tables = LayoutTables(reference.types, _columns(found), reference.signatures)
    return Recovered(tables, _evidence(program, found, [source]), note)


def _by_other_releases(program: Program, sources: list[Source]) -> Recovered:
    version = fmt.version(program.go)
    release = version[:2] if version else NEWEST
    types = TypeTable(Descriptors(program.elf, program.module, release))
    common = set.intersection(*(source.names for source in sources))
    votes: list[Vote] = []
    for source in sources:
        same_minor = source.reference.version[:2] == release
        votes += of_other_release(program.elf, source, types, same_minor)
        votes += of_symbols(program.symbols, source, types)
    votes = [vote for vote in votes if vote.variable in common and not _is_refuted(program.symbols, vote)]
    if not any(name == OWNER for name, *_ in _agreed(votes)):
        tables = {vote.addr for vote in votes if vote.name == TABLE}
        votes += [vote for source in sources for vote in of_settings(program.elf, source, types, tables)]
    found = [Found(name, addr, _type_of(by, types), text) for name, by, addr, text in _agreed(votes)]
    for name in VIEWED:
        viewed = types.descriptor(name)
        if viewed is not None:
            types.describe(viewed)
    signatures = _signatures(sources, types)
    rows = types.rows()
    sizes = [row.size for row in rows]
    found = apart([f for f in found if inside(program, f, sizes[f.type], "")], sizes)
    names = " and ".join(source.reference.go for source in sources)
    return Recovered(
        LayoutTables(_lines([row.line() for row in rows]), _columns(found), signatures),
        _evidence(program, found, sources),
        f"recovered from code that is the same in {names}, and from type descriptors",
    )


def _is_refuted(symbols: SymbolTable, vote: Vote) -> bool:
    # A linker's symbol table has the last word: the same code may use another variable in another release, as that of
    # memmove does, which asked runtime.support_erms before there was internal/cpu.X86.
    if not symbols or symbols.is_partial:
        return False
    symbol = _symbol_of(symbols, vote.variable.replace("\N{MIDDLE DOT}", "."))  # which old assembly has in some names
    return symbol is None or not symbol.addr <= vote.addr < symbol.addr + symbol.size


def _symbol_of(symbols: SymbolTable, name: str) -> Symbol | None:
    # Of a part, "runtime.work+0x10", that of the whole.
    while name and symbols.get(name) is None:
        name = name[: max(name.rfind("."), name.rfind("["), name.rfind("+"), 0)]
    return symbols.get(name)


def _type_of(votes: list[Vote], types: TypeTable) -> int:
    # Where two neighbouring releases spell a type differently, only its kind is known.
    first = votes[0].type
    if first.kind in SIZES and len({vote.type.name for vote in votes}) > 1:
        return types.plain(first.kind)
    return types.take(votes[0].layouts, first)


def _agreed(votes: Iterable[Vote]) -> Iterator[tuple[str, list[Vote], int, str]]:
    by_name: defaultdict[str, list[Vote]] = defaultdict(list)
    for vote in votes:
        by_name[vote.name].append(vote)
    for name, cast in sorted(by_name.items()):
        counted = count(cast)
        if counted is not None:
            yield name, cast, *counted


def inside(program: Program, found: Found, size: int, part: str) -> bool:
    """Tell whether *found*, of *size* bytes, lies in the *part* of the module ("": any; "rodata": outside its data)."""
    ranges = [(p, getattr(program.module, p), getattr(program.module, f"e{p}")) for p in PARTS]
    for name, low, high in ranges:
        if low <= found.addr and found.addr + size <= high:
            return part in ("", name)
    if any(low < found.addr + size and found.addr < high for _, low, high in ranges):
        return False
    segment = program.elf.segment_at(found.addr)
    return part in ("", "rodata") and segment is not None and found.addr + size <= segment.end


def apart(found: list[Found], sizes: Sequence[int] | Mapping[int, int]) -> list[Found]:
    """Return *found* by rising address, without any two that overlap: at least one of those is wrong.

    *sizes*: of their types, by id.
    """
    found = sorted(found, key=lambda f: (f.addr, sizes[f.type], f.name))
    wrong = set()
    furthest = None
    for f in found:
        if furthest is not None and f.addr < furthest.addr + sizes[furthest.type]:
            wrong |= {f, furthest}
        if furthest is None or f.addr + sizes[f.type] > furthest.addr + sizes[furthest.type]:
            furthest = f
    return [f for f in found if f not in wrong]


def _columns(found: list[Found]) -> tuple[list[str], list[int], list[int]]:
    return [f.name for f in found], [f.addr for f in found], [f.type for f in found]


def _evidence(program: Program, found: list[Found], sources: list[Source]) -> dict[str, str]:
    borrowed = {name: go for source in sources for name, go in source.reference.borrowed}
    proven = {f.name: f.evidence + (f"; type of {borrowed[f.name]}" if f.name in borrowed else "") for f in found}
    unproven: dict[str, str] = {}
    complete = program.symbols and not program.symbols.is_partial
    for source in sources:
        for variable in source.variables:
            # A symbol table without the name says that the release does not have it.
            if variable.name not in proven and (not complete or program.symbols.get(variable.name)):
                unproven |= dict.fromkeys((variable.name, *source.fields(variable.type, variable.name)), "")
        for name in source.reference.unproven:
            if not complete or _symbol_of(program.symbols, name):
                unproven[name] = ""
    return unproven | proven


def _signatures(sources: list[Source], types: TypeTable) -> str:
    # Of functions with the same code, as far as the types of what they take and return are known.
    texts: dict[str, str] = {}
    for source in sources:
        for name in dict.fromkeys(code.name for code, _ in source.matches.same):
            signature = source.layouts.signature(name)
            if signature is None or name in texts:
                continue
            sides = (signature.parameters, signature.results)
            if all(types.is_known(source.layouts, t) for side in sides for _, t in side):
                flat = [[x for n, t in side for x in (n, types.take(source.layouts, t))] for side in sides]
                texts[name] = f"{name}\t{json.dumps([0, *flat], separators=(',', ':'), ensure_ascii=False)}"
    return _lines([text for _, text in sorted(texts.items())])


def _lines(rows: list[str]) -> str:
    return "".join(f"\n{row}" for row in rows)
