"""Itabs: the method tables of Go 1.9, which start-up links into runtime.hash and so changes, one by one.

They are no package's variables, and no code of the runtime holds their addresses; the program's moduledata lists
them, and each says by its type descriptors which type it is of and for which interface, which is what the linker calls
it by: "go.itab.*os.File,io.Reader".  From Go 1.10 on they are read-only.  Layouts: itab in runtime/runtime2.go,
uncommontype and the types before it in runtime/type.go; names as typesymname in cmd/compile makes them.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from emu.image.elf import Elf
from emu.image.errors import Unreadable
from emu.image.golayout import Row
from emu.image.moduledata import Moduledata
from emu.image.recover.descriptors import HEAD, Descriptors
from emu.image.recover.recovery import Program, Recovered, apart, inside
from emu.image.recover.table import TypeTable
from emu.image.recover.votes import SYMBOL, Found
from emu.image.types import Layouts, LayoutTables

WRITTEN_UNTIL = (1, 9)
MAIN = "main"
LINKED = "inhash"  # the field that says that an itab is in runtime.hash
WORD = 8
MAX_ITABS, MAX_METHODS = 1 << 16, 1 << 10
METHODS_AT = HEAD.size + 2 * WORD  # of an interface's descriptor: the length of its slice of methods
POINTERS = struct.Struct("<QQ")  # inter, _type
TFLAG_AT, TFLAG_UNCOMMON = 20, 1
PLAIN = re.compile(r"\w+(?:\.\w+)?")  # "error", "os.File"; not "struct { ... }"
# Bytes of a descriptor before what follows the type's own fields: abi's uncommontype.
SIZES = {"struct": 80, "pointer": 56, "func": 56, "slice": 56, "array": 72, "chan": 64, "map": 88, "iface": 80}


class Itab(NamedTuple):
    """One itab: what the linker calls it, where it is, which one of moduledata's list, how many methods it has."""

    name: str
    addr: int
    number: int
    methods: int


def itabs(elf: Elf, module: Moduledata, types: Descriptors) -> Iterator[Itab]:
    """Yield the itabs of *module* that can be named; raise Unreadable if the list lies outside the program."""
    listed = min(module.itabs_len, MAX_ITABS)
    for number, (addr,) in enumerate(struct.iter_unpack("<Q", elf.read(module.itabs, WORD * listed))):
        try:
            inter, concrete = POINTERS.unpack(elf.read(addr, POINTERS.size))
            name = f"go.itab.{_spelled(elf, types, concrete)},{_spelled(elf, types, inter)}"
            methods = int.from_bytes(elf.read(inter + METHODS_AT, WORD), "little")
            if types.read(inter).kind == "iface" and methods <= MAX_METHODS:
                yield Itab(name, addr, number, max(methods, 1))
        except Unreadable:
            continue


def _spelled(elf: Elf, types: Descriptors, addr: int) -> str:
    # As the linker spells the type: with the path of its package.
    found = types.read(addr)
    if found.kind == "pointer" and found.name.startswith("*") and found.elem:
        return f"*{_spelled(elf, types, found.elem)}"
    if not PLAIN.fullmatch(found.name):
        raise Unreadable(f"a type without a name of its own: {found.name}")
    package, dot, short = found.name.rpartition(".")
    if not dot:
        return found.name
    if not elf.read(addr + TFLAG_AT, 1)[0] & TFLAG_UNCOMMON:
        raise Unreadable(f"a type that does not say its package: {found.name}")
    (at,) = struct.unpack("<i", elf.read(addr + SIZES.get(found.kind, HEAD.size), 4))
    path = types.text(at)
    # Whatever path the main package was built as, the linker calls it main.
    return f"{package if package == MAIN else _escaped(path or package)}.{short}"


def _escaped(path: str) -> str:
    # PathToPrefix in cmd/internal/objabi: what would be taken for something else in a symbol's name.
    slash = path.rfind("/")
    return "".join(
        f"%{byte:02x}" if byte <= 0x20 or byte >= 0x7F or byte in b'%"' or (byte == 0x2E and i > slash) else chr(byte)
        for i, byte in enumerate(path.encode())
    )


def with_itabs(found: Recovered, program: Program, release: tuple[int, int]) -> Recovered:
    """Return *found* with the itabs of *program* as variables."""
    if release > WRITTEN_UNTIL:
        return found
    types = Descriptors(program.elf, program.module, release)
    known = Layouts(found.tables)
    rows = _Rows(TypeTable(types), known.count)
    if rows.plain is None:
        return found
    fresh = list(_named(program, types, rows))
    sizes = {row.number: row.size for row in rows.made.values()}
    fresh = [i for i in apart(fresh, sizes) if not any(known.globals_in(i.addr, i.addr + sizes[i.type]))]
    fresh = [i for i in fresh if inside(program, i, sizes[i.type], "")]
    names, addrs, kinds = found.tables.globals
    columns = sorted([*zip(addrs, names, kinds, strict=True), *((i.addr, i.name, i.type) for i in fresh)])
    tables = LayoutTables(
        found.tables.types + rows.text(),
        ([name for _, name, _ in columns], [addr for addr, _, _ in columns], [kind for _, _, kind in columns]),
        found.tables.signatures,
    )
    return found._replace(tables=tables, evidence=found.evidence | {i.name: i.evidence for i in fresh})


class _Made(NamedTuple):
    number: int
    size: int


class _Rows:
    """The types of itabs: runtime.itab as the program describes it, with as many methods as each has."""

    def __init__(self, table: TypeTable, first: int) -> None:
        described = table.descriptor("runtime.itab")
        self.made: dict[int, _Made] = {}  # by the number of methods
        self._rows: list[Row] = []
        self.plain: Row | None = None
        if described is not None:
            number = table.describe(described)
            self._rows = [row.shifted(first) for row in table.rows()]
            self.plain = self._rows[number]
            fields = [name for name, _, _ in self.plain.members]
            if LINKED not in fields or fields[-1] != "fun":  # not of the release that it states
                self.plain = None
        self._first = first

    def of(self, methods: int) -> int:
        """Return the id of the type of an itab with *methods*."""
        if methods not in self.made:
            assert self.plain
            *members, (name, at, kind) = self.plain.members
            fun = self._rows[kind - self._first]
            array = self._first + len(self._rows)
            self._rows.append(Row(f"[{methods}]uintptr", "array", methods * WORD, fun.elem, methods))
            size = at + methods * WORD
            self.made[methods] = _Made(array + 1, size)
            self._rows.append(Row(self.plain.name, "struct", size, members=(*members, (name, at, array))))
        return self.made[methods].number

    def text(self) -> str:
        """Return the rows as LayoutTables has them."""
        return "".join(f"\n{row.line()}" for row in self._rows)


def _named(program: Program, types: Descriptors, rows: _Rows) -> Iterator[Found]:
    # Those whose names are their own, and that are where the symbol table, if any, says.
    try:
        named = list(itabs(program.elf, program.module, types))
    except Unreadable:
        return
    often = Counter(itab.name for itab in named)
    for itab in named:
        symbol = program.symbols.get(itab.name)
        if often[itab.name] == 1 and (symbol is None or symbol.addr == itab.addr):
            place = f"number {itab.number} of moduledata's itabs, and the type descriptors that it names"
            yield Found(itab.name, itab.addr, rows.of(itab.methods), f"{SYMBOL}, and {place}" if symbol else place)
