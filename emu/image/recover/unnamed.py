"""Keeps the names that a symbol table gives to memory about which nothing else is known.

A symbol of the data segments that a recovered variable covers is that variable; one of which only some fields were
recovered keeps its name for the rest, with the byte offset: "runtime.sched+0x40".
"""

from collections.abc import Iterator

from emu.image.types import Layouts, LayoutTables


def with_symbols(found: LayoutTables, symbols: LayoutTables) -> LayoutTables:
    """Return *found* and, between its variables, what is left of the untyped ones of *symbols*."""
    typed = Layouts(found)
    rows = sorted(
        [(g.addr, g.type.size, g.name, g.type.id) for g in typed.globals()]
        + [(addr, size, name, -1) for name, addr, size in _gaps(typed, Layouts(symbols))]
    )
    sizes = sorted({size for _, size, _, type_id in rows if type_id < 0})
    ids = {size: typed.count + i for i, size in enumerate(sizes)}
    types = found.types + "".join(f'\n["","opaque",{size}]' for size in sizes)
    columns = [name for _, _, name, _ in rows], [addr for addr, _, _, _ in rows]
    return LayoutTables(types, (*columns, [ids[size] if t < 0 else t for _, size, _, t in rows]), found.signatures)


def _gaps(typed: Layouts, untyped: Layouts) -> Iterator[tuple[str, int, int]]:
    # (name, addr, size) of what the typed variables leave of each symbol.
    for symbol in untyped.globals():
        at, end = symbol.addr, symbol.addr + symbol.type.size
        for variable in [*typed.globals_in(at, end), None]:
            low = variable.addr if variable else end
            if at < low:
                offset = at - symbol.addr
                yield f"{symbol.name}+{offset:#x}" if offset else symbol.name, at, low - at
            at = max(at, variable.addr + variable.type.size if variable else end)
