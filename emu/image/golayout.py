"""Builds the layout tables of :mod:`emu.image.types` from DWARF, or from the symbol table alone.

Every global with a fixed address is kept with its type, and every type that those reach by value, through slices and
arrays, and through pointers to types of the runtime and of ``internal/`` packages (others stay bare pointers, so that a
large program's own types do not all come along).  Of the functions, the signatures of the same packages are kept.
A global of the data segments that has a symbol but no type is kept with kind "opaque", so that no changed byte is
nameless.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator

from emu.image import dwarf as dw
from emu.image.dwarf import Dwarf, Entry
from emu.image.elf import PROT_WRITE, Elf
from emu.image.errors import Unreadable
from emu.image.symbols import Symbol, SymbolTable
from emu.image.types import RUNTIME_PACKAGE, SIZES, LayoutTables
from syscalls.light import NamedTuple

# reflect.Kind, as DW_AT_go_kind gives it (cmd/internal/dwarf; internal/abi/type.go)
GO_KINDS = {
    1: "bool", 2: "int64", 3: "int8", 4: "int16", 5: "int32", 6: "int64", 7: "uint64", 8: "uint8", 9: "uint16",
    10: "uint32", 11: "uint64", 12: "uintptr", 13: "float32", 14: "float64", 15: "complex64", 16: "complex128",
    17: "array", 18: "chan", 19: "func", 20: "iface", 21: "map", 22: "pointer", 23: "slice", 24: "string",
    25: "struct", 26: "pointer",
}  # fmt: skip
KIND_MASK = 31  # up to Go 1.23 the linker left flag bits above the kind
ENCODINGS = {2: "bool", 4: "float", 5: "int", 6: "int", 7: "uint", 8: "uint"}  # DW_ATE_* of base types without a kind
TAG_KINDS = {
    dw.TAG_ARRAY: "array", dw.TAG_STRUCT: "struct", dw.TAG_POINTER: "pointer", dw.TAG_SUBROUTINE_TYPE: "func",
}  # fmt: skip
ALIASES = frozenset({dw.TAG_TYPEDEF, dw.TAG_CONST, dw.TAG_VOLATILE})
MAX_ALIASES = 32  # longest chain of typedefs that is believed

ATOMICS = ("internal/runtime/atomic.", "runtime/internal/atomic.", "sync/atomic.")
PREFIXES = re.compile(r"^(?:\*|\[\d*\])+")
CLOSURE = re.compile(r"\.func\d|\.\d+$|-fm$|\.gowrap\d")


class _Shape(NamedTuple):
    """A type as its entry describes it; *elem* and the members' types are offsets of entries."""

    key: tuple[int, str]  # offset of the entry behind all typedefs, and the outermost name
    kind: str
    size: int
    elem: int | None = None
    length: int = 0
    members: tuple[tuple[str, int, int], ...] = ()


def build(elf: Elf, symbols: SymbolTable) -> tuple[LayoutTables, str | None]:
    """Return the layout tables of *elf*, and why types are missing from them (None if none is)."""
    try:
        builder = _Builder(Dwarf(elf), elf, symbols)
    except Unreadable as error:
        builder = _Builder(None, elf, symbols)
        builder.damage = str(error)
    return builder.build(), builder.damage


class Row(NamedTuple):
    """A type as the table has it; *elem* and the members' types are ids."""

    name: str
    kind: str
    size: int
    elem: int | None = None
    length: int = 0
    members: tuple[tuple[str, int, int], ...] = ()

    def holds(self) -> list[int]:
        """Return the types that this one holds by value."""
        return [self.elem] if self.kind == "array" and self.elem is not None else [t for _, _, t in self.members]

    def shifted(self, by: int) -> Row:
        """Return the row for a table in which every id is *by* higher."""
        members = tuple((name, at, t + by) for name, at, t in self.members)
        return self._replace(elem=None if self.elem is None else self.elem + by, members=members)

    def line(self) -> str:
        """Return the row as :class:`~emu.image.types.LayoutTables` has it."""
        row: list[object] = [self.name, self.kind, self.size]
        if self.members:
            row += [self.elem, self.length, [x for member in self.members for x in member]]
        elif self.elem is not None:
            row += [self.elem, self.length]
        return _compact(row)


class _Found(NamedTuple):
    name: str
    addr: int
    type: int  # id


class _Builder:
    def __init__(self, dwarf: Dwarf | None, elf: Elf, symbols: SymbolTable) -> None:
        self.dwarf = dwarf
        self.elf = elf
        self.symbols = symbols
        self.shapes: dict[int, _Shape] = {}
        self.ids: dict[tuple[int, str], int] = {}
        self.pending: list[_Shape] = []
        self.rows: list[Row] = []
        self.damage: str | None = None  # the first thing that could not be read

    def build(self) -> LayoutTables:
        variables, functions = self.find() if self.dwarf else ([], [])
        found = [_Found(name, addr, self.type_id(offset)) for name, addr, offset in variables]
        signatures = [self.signature(name, entry) for name, entry in functions]
        self.finish()
        self.rows = sound(self.rows)
        found = self.sized(found)
        found += self.untyped(found)
        found.sort(key=lambda g: (g.addr, self.rows[g.type].size, g.name))
        columns = [g.name for g in found], [g.addr for g in found], [g.type for g in found]
        return LayoutTables(_lines([row.line() for row in self.rows]), columns, _lines(signatures))

    def find(self) -> tuple[list[tuple[str, int, int]], list[tuple[str, Entry]]]:
        """Return (name, address, type) of the variables and (name, entry) of the functions that are kept.

        Where a unit is damaged, what stands before the damage is still found.
        """
        assert self.dwarf
        variables: dict[tuple[int, str], tuple[str, int, int]] = {}
        functions: dict[str, Entry] = {}
        for unit in self.dwarf.units:
            try:
                for entry in self.dwarf.top_level(unit, frozenset({dw.TAG_VARIABLE, dw.TAG_SUBPROGRAM})):
                    name = entry.text(dw.AT_NAME)
                    addr = self.dwarf.address_in(entry.attributes.get(dw.AT_LOCATION), unit)
                    if entry.tag == dw.TAG_VARIABLE and name and addr is not None:
                        variables[addr, name] = (name, addr, entry.number(dw.AT_TYPE))
                    elif entry.tag == dw.TAG_SUBPROGRAM and _kept(name):
                        functions.setdefault(name, entry)
            except Unreadable as error:
                self.damage = self.damage or str(error)
        return list(variables.values()), sorted(functions.items())

    def signature(self, name: str, entry: Entry) -> str:
        assert self.dwarf
        parameters: list[str | int] = []
        results: list[str | int] = []
        for child in self.children(entry, dw.TAG_FORMAL_PARAMETER):
            side = results if child.number(dw.AT_VARIABLE_PARAMETER) else parameters
            side += [child.text(dw.AT_NAME), self.type_id(child.number(dw.AT_TYPE))]
        return f"{name}\t{_compact([entry.number(dw.AT_DECL_LINE), parameters, results])}"

    def children(self, entry: Entry, tag: int) -> list[Entry]:
        """Return the children of *entry* that have *tag*; or none if one is damaged: half-read is not whole."""
        assert self.dwarf
        try:
            return list(self.dwarf.children(entry, frozenset({tag})))
        except Unreadable as error:
            self.damage = self.damage or str(error)
            return []

    def type_id(self, offset: int) -> int:
        """Return the id of the type whose entry is at *offset*; its row is made by :meth:`finish`."""
        shape = self.shape(offset)
        found = self.ids.get(shape.key)
        if found is None:
            found = self.ids[shape.key] = len(self.ids)
            self.pending.append(shape)
        return found

    def finish(self) -> None:
        """Make the rows of all types that have an id, which gives ids to those that they reach."""
        done = 0
        while done < len(self.pending):
            shape = self.pending[done]
            done += 1
            elem = None if shape.elem is None else self.type_id(shape.elem)
            members = tuple((n, at, self.type_id(t)) for n, at, t in shape.members)
            self.rows.append(Row(shape.key[1], shape.kind, shape.size, elem, shape.length, members))

    def shape(self, offset: int) -> _Shape:
        found = self.shapes.get(offset)
        if found is None:
            try:
                found = self.shapes[offset] = self._read_shape(offset)
            except Unreadable as error:
                self.damage = self.damage or str(error)
                found = self.shapes[offset] = _Shape((offset, ""), "opaque", 0)
            if found.key[1].startswith(ATOMICS) and found.kind == "struct":
                found = self.shapes[offset] = self._atomic(found)
        return found

    def _read_shape(self, offset: int) -> _Shape:
        assert self.dwarf
        name, kind, entry = "", 0, None
        for _ in range(MAX_ALIASES):
            entry = self.dwarf.entry(offset)
            if entry is None:
                raise Unreadable(f"DWARF: no type at {offset:#x}")
            name = name or entry.text(dw.AT_NAME)
            kind = kind or entry.number(dw.AT_GO_KIND) & KIND_MASK
            if entry.tag not in ALIASES or dw.AT_TYPE not in entry.attributes:
                break
            offset = entry.number(dw.AT_TYPE)
        else:
            raise Unreadable(f"DWARF: typedefs without end at {offset:#x}")
        key = (offset, name)
        word = GO_KINDS.get(kind) or _kind_without_go(entry)
        size = SIZES.get(word, entry.number(dw.AT_BYTE_SIZE))
        if word == "iface":
            return _Shape(key, "eface" if entry.text(dw.AT_NAME) == "runtime.eface" else "iface", size)
        if word == "slice":
            return _Shape(key, word, size, self._slice_element(entry))
        if word == "pointer":
            return _Shape(key, word, size, self._followed(entry.number(dw.AT_TYPE)))
        if word == "array":
            return _Shape(key, word, size, entry.number(dw.AT_TYPE), self._array_length(entry))
        if word == "struct":
            return _Shape(key, word, size, members=tuple(_member(c) for c in self.children(entry, dw.TAG_MEMBER)))
        return _Shape(key, word, size)

    def _followed(self, offset: int) -> int | None:
        # The target's name alone decides, so that nothing is built for types that are left out.
        target = self.dwarf.entry(offset) if self.dwarf and offset else None
        if target is None or target.tag == dw.TAG_UNSPECIFIED_TYPE:
            return None
        name = PREFIXES.sub("", target.text(dw.AT_NAME))
        return offset if name.startswith("struct {") or "." not in name or RUNTIME_PACKAGE.match(name) else None

    def _slice_element(self, entry: Entry) -> int | None:
        assert self.dwarf
        for member in self.children(entry, dw.TAG_MEMBER):
            if member.text(dw.AT_NAME) == "array":
                pointer = self.dwarf.entry(member.number(dw.AT_TYPE))
                return pointer.number(dw.AT_TYPE) or None if pointer else None
        return None

    def _array_length(self, entry: Entry) -> int:
        for child in self.children(entry, dw.TAG_SUBRANGE):
            return child.number(dw.AT_COUNT, child.number(dw.AT_UPPER_BOUND, -1) + 1)
        return 0

    def _atomic(self, shape: _Shape) -> _Shape:
        # atomic.Int64 and friends wrap one value in blank markers: the type is shown as that value.
        inner = [self.shape(t) for n, _, t in shape.members if n != "_"]
        inner = [s for s in inner if s.size]
        if len(inner) != 1 or inner[0].size != shape.size or inner[0].kind in ("struct", "array"):
            return shape
        kind = "bool" if shape.key[1].endswith("atomic.Bool") and shape.size == 1 else inner[0].kind
        return shape._replace(kind=kind, elem=inner[0].elem, members=())

    def sized(self, found: list[_Found]) -> list[_Found]:
        """Make globals opaque whose type has no size (DW_TAG_unspecified_type) or reaches past their segment.

        Their size is then their symbol's; without one, or outside every segment, they are left out.
        """
        out = []
        for g in found:
            segment, size = self.elf.segment_at(g.addr), self.rows[g.type].size
            symbol = self.symbols.get(g.name)
            if segment is None:
                continue
            if g.addr + size <= segment.end and (size or symbol is None or not symbol.size):
                out.append(g)
            elif symbol and symbol.addr == g.addr and g.addr + symbol.size <= segment.end:
                out.append(g._replace(type=self.opaque(symbol.size)))
        return out

    def untyped(self, found: list[_Found]) -> list[_Found]:
        """Return the symbols of writable memory that no typed global covers."""
        typed = sorted((g.addr, g.addr + self.rows[g.type].size) for g in found)
        starts = [low for low, _ in typed]
        extra: list[_Found] = []
        end = 0
        for symbol in sorted(self._writable_symbols(), key=lambda s: (s.addr, -s.size)):
            i = bisect_right(starts, symbol.addr) - 1
            covered = (i >= 0 and typed[i][1] > symbol.addr) or symbol.addr < end
            if covered or (i + 1 < len(starts) and starts[i + 1] < symbol.addr + symbol.size):
                continue
            extra.append(_Found(symbol.name, symbol.addr, self.opaque(symbol.size)))
            end = symbol.addr + symbol.size
        return extra

    def _writable_symbols(self) -> Iterator[Symbol]:
        writable = [s for s in self.elf.segments if s.prot & PROT_WRITE]
        for symbol in self.symbols.all:
            if symbol.size and any(s.addr <= symbol.addr and symbol.addr + symbol.size <= s.end for s in writable):
                yield symbol

    def opaque(self, size: int) -> int:
        """Return the id of the type of *size* bytes about which nothing is known."""
        key = (-size, "")
        if key not in self.ids:
            self.ids[key] = len(self.rows)
            self.rows.append(Row("", "opaque", size))
        return self.ids[key]


def sound(rows: list[Row]) -> list[Row]:
    """Return *rows* with every type made opaque that damaged bytes could have made: too long, or holding itself.

    Whoever walks a type by value can then neither leave its bytes nor fail to come to an end.
    """
    rows = [row if _fits(row, rows) else Row(row.name, "opaque", row.size) for row in rows]
    state = [0] * len(rows)  # 0: not seen, 1: being walked, 2: sound
    for root in range(len(rows)):
        stack = [(root, False)]
        while stack:
            i, done = stack.pop()
            if done:
                state[i] = 2
            elif state[i] == 1:
                rows[i] = Row(rows[i].name, "opaque", rows[i].size)
            elif state[i] == 0:
                state[i] = 1
                stack.append((i, True))
                stack += [(j, False) for j in rows[i].holds() if state[j] != 2]
    return rows


def _fits(row: Row, rows: list[Row]) -> bool:
    if row.kind == "array":
        return row.elem is not None and row.length >= 0 and row.length * rows[row.elem].size == row.size
    return all(at >= 0 and at + rows[t].size <= row.size for _, at, t in row.members)


def _member(entry: Entry) -> tuple[str, int, int]:
    # Up to DWARF 3 the place is an expression: DW_OP_consts or DW_OP_plus_uconst and a number.
    place = entry.attributes.get(dw.AT_DATA_MEMBER_LOCATION, 0)
    if isinstance(place, bytes):
        place = sum((b & 0x7F) << 7 * i for i, b in enumerate(place[1:]))
    return entry.text(dw.AT_NAME), place, entry.number(dw.AT_TYPE)


def _kept(name: str) -> bool:
    return bool(RUNTIME_PACKAGE.match(name)) and name.isprintable() and not CLOSURE.search(name)


def _kind_without_go(entry: Entry) -> str:
    if entry.tag in (dw.TAG_BASE_TYPE, dw.TAG_ENUMERATION):
        word = ENCODINGS.get(entry.number(dw.AT_ENCODING, 7), "opaque")
        kind = word if word in ("bool", "opaque") else f"{word}{8 * entry.number(dw.AT_BYTE_SIZE)}"
        return kind if SIZES.get(kind) == entry.number(dw.AT_BYTE_SIZE) else "opaque"
    return TAG_KINDS.get(entry.tag, "opaque")


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _lines(rows: list[str]) -> str:
    return "".join(f"\n{row}" for row in rows)
