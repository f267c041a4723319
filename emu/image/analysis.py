"""All that is learned about a program beyond its headers, computed once and kept in the cache."""

import json

from emu.image import buildinfo, cache, dynamic, moduledata
from emu.image.buildinfo import BuildInfo
from emu.image.dynamic import Dynamic
from emu.image.elf import Elf
from emu.image.errors import Unreadable
from emu.image.moduledata import Moduledata
from emu.image.pclntab import Pclntab
from emu.image.symbols import SymbolTable
from emu.image.types import RUNTIME_PACKAGE, Layouts, LayoutTables
from syscalls.light import Any, NamedTuple


class Analysis(NamedTuple):
    """What :class:`~emu.image.image.Image` is made of, next to the headers."""

    build: BuildInfo
    pclntab: Pclntab
    moduledata: Moduledata | None
    dynamic: Dynamic
    layouts: LayoutTables
    untyped: str | None  # why `layouts` holds no types
    entries: str  # lines of name, tab, entries in hexadecimal; starts and ends with a newline
    recovered: str | None = None  # how types and variables were had without DWARF; None: not at all, or not needed
    evidence: str = ""  # JSON object: of each recovered variable, what proves its place


def cached(elf: Elf, symbols: SymbolTable, sha256: str) -> Analysis:
    """Return the analysis of *elf*, from the cache if it is there; raise Unreadable if it is not a Go program."""
    parts = cache.load(sha256)
    if parts is not None:
        return from_parts(elf, parts)
    found = analyse(elf, symbols)
    cache.store(sha256, to_parts(found))
    return found


def analyse(elf: Elf, symbols: SymbolTable) -> Analysis:
    """Analyse *elf*; raise Unreadable if it is not a Go program, or if its pclntab cannot be read."""
    from emu.image import golayout  # the DWARF reader: not wanted when the cache has the answer

    build = buildinfo.read(elf, symbols)
    table, module = moduledata.locate(elf, symbols, build.release)
    layouts, untyped = golayout.build(elf, symbols)
    try:
        loading = dynamic.read(elf)
    except Unreadable:
        loading = Dynamic(others=1)  # damaged: nobody but a real loader may try
    found = Analysis(build, table, module, loading, layouts, untyped, _entries(table))
    return found if untyped is None or Layouts(layouts) else _recovered(elf, symbols, found)


def _recovered(elf: Elf, symbols: SymbolTable, found: Analysis) -> Analysis:
    # Without DWARF: what the program's code and its type descriptors tell, and then what symbols name.
    if found.moduledata is None:
        return found
    from emu.image.recover import Program, recover, with_itabs, with_symbols  # not wanted when the cache has the answer

    try:
        program = Program(elf, symbols, found.pclntab, found.moduledata, found.build.go)
        recovered = with_itabs(recover(program), program, found.build.release)
    except Unreadable as error:
        return found._replace(untyped=f"{found.untyped}; {error}")
    return found._replace(
        layouts=with_symbols(recovered.tables, found.layouts),
        recovered=recovered.note,
        evidence=json.dumps(recovered.evidence, ensure_ascii=False),
    )


def stated_version(elf: Elf, symbols: SymbolTable) -> str:
    """Return the Go version that *elf* states, or an empty string."""
    return buildinfo.read(elf, symbols).go


def is_listed(name: str) -> bool:
    """Tell whether ``entries`` has the function *name*: of the runtime, internal/ and main, or of no package."""
    return "." not in name or RUNTIME_PACKAGE.match(name) is not None


def _entries(table: Pclntab) -> str:
    kept = ((n, e) for n, e in table.by_name.items() if is_listed(n) and n.isprintable())
    lines = (f"{name}\t{' '.join(f'{entry:x}' for entry in entries)}\n" for name, entries in kept)
    return "\n" + "".join(lines)


def to_parts(found: Analysis) -> dict[str, str]:
    """Return *found* as the texts that the cache keeps."""
    facts = {
        "build": found.build._asdict(),
        "pclntab": [found.pclntab.offset, found.pclntab.end - found.pclntab.offset, found.pclntab.text],
        "moduledata": found.moduledata and found.moduledata._asdict(),
        "dynamic": found.dynamic._asdict(),
        "untyped": found.untyped,
        "recovered": found.recovered,
    }
    return {
        "facts": json.dumps(facts),
        "globals": json.dumps(found.layouts.globals),
        "types": found.layouts.types,
        "signatures": found.layouts.signatures,
        "entries": found.entries,
        "evidence": found.evidence,
    }


def from_parts(elf: Elf, parts: dict[str, str]) -> Analysis:
    """Return what :func:`to_parts` made texts of, over the same file."""
    facts = json.loads(parts["facts"])
    build, module, loading = facts["build"], facts["moduledata"], facts["dynamic"]
    for name in ("settings", "dependencies"):
        build[name] = _pairs(build[name])
    if module:
        module["layout"] = tuple(module["layout"])
    names, addrs, types = json.loads(parts["globals"])
    return Analysis(
        build=BuildInfo(**build),
        pclntab=Pclntab(elf, *facts["pclntab"]),
        moduledata=Moduledata(**module) if module else None,
        dynamic=Dynamic(tuple(loading["needed"]), _pairs(loading["relocations"]), loading["others"]),
        layouts=LayoutTables(parts["types"], (names, addrs, types), parts["signatures"]),
        untyped=facts["untyped"],
        entries=parts["entries"],
        recovered=facts["recovered"],
        evidence=parts["evidence"],
    )


def _pairs(rows: list[list[Any]]) -> tuple[tuple[Any, Any], ...]:
    return tuple((a, b) for a, b in rows)
