"""The GODEBUG settings of the runtime: a table of the program's own that gives names to the fields of runtime.debug.

runtime.dbgvars is a slice of {name, pointer to the field}, from which schedinit reads GODEBUG: so the place of each
field, and its type, stand in the program, whatever its release.  The name of a setting is that of its field, in every
release whose debugging information was looked at (1.12 to 1.20; later tables are others); one that no reference knows
is left out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from emu.image.elf import Elf
from emu.image.errors import Unreadable
from emu.image.recover.match import go_string
from emu.image.recover.table import TypeTable
from emu.image.recover.votes import Source, Vote

TABLE, ENTRY, OWNER = "runtime.dbgvars", "runtime.dbgVar", "runtime.debug"
MAX_SETTINGS = 256


def of_settings(elf: Elf, source: Source, types: TypeTable, tables: set[int]) -> Iterator[Vote]:
    """Yield the fields that the settings at *tables*, where runtime.dbgvars is said to be, point at."""
    described = types.descriptor(ENTRY)
    variables = {variable.name: variable.type for variable in source.variables if variable.name in (OWNER, TABLE)}
    if described is None or len(variables) != 2 or len(tables) != 1:
        return
    elem = variables[TABLE].elem
    if elem is None or source.layouts.type(elem).kind != "struct":  # from Go 1.21 on, of pointers
        return
    name, value = (types.offset_of(described, field) for field in ("name", "value"))
    known = {leaf.path: leaf.type for leaf in source.layouts.leaves(variables[OWNER])}
    if name is None or value is None:
        return
    try:
        first, count = struct.unpack("<QQ", elf.read(min(tables), 16))
        for i in range(min(count, MAX_SETTINGS)):
            at = first + i * types.size_of_described(described)
            setting = go_string(elf, at + name)
            if setting in known and known[setting].kind == types.pointed_at(described, "value"):
                addr = int.from_bytes(elf.read(at + value, 8), "little")
                place = f"what {TABLE} calls {setting}"
                yield Vote(f"{OWNER}.{setting}", addr, known[setting], place, OWNER, source.layouts)
    except Unreadable:
        return
