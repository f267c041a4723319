"""Layouts: the types and globals of a program as a compact table, and the leaves of any byte range of them.

Built from lines of JSON (:mod:`emu.image.golayout` makes them from DWARF, the cache keeps them), and decoded one
line at a time when asked for, so that loading costs nothing for what a run does not touch.  Kinds are Go's, with
``int`` and ``uint`` as the 64-bit types they are on amd64.  All addresses are link-time.
"""

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import cached_property

from syscalls.light import Any, NamedTuple

SIZES = {
    "bool": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8, "uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8,
    "uintptr": 8, "float32": 4, "float64": 8, "complex64": 8, "complex128": 16,
    "pointer": 8, "func": 8, "chan": 8, "map": 8, "string": 16, "slice": 24, "eface": 16, "iface": 16,
}  # fmt: skip
"""Bytes of every kind whose size does not depend on the type; "array", "struct" and "opaque" have their own."""


RUNTIME_PACKAGE = re.compile(r"(?:runtime|internal)(?:/[^.\[]*)?\.|main\.main$")
"""Names whose details are kept: of the runtime, of internal/ packages, and main.main."""


MAX_KEPT = 10_000
"""Ranges whose leaves are kept; a boot asks for some 500."""

FLAT = 1024
"""Bytes up to which a struct's leaves are listed once; larger ones are walked, where a range asks for little."""


class Type(NamedTuple):
    """One type.  *elem* is a type id: what a pointer points at, a slice or an array holds; None where not followed."""

    id: int
    name: str  # as Go spells it: "runtime.g", "*runtime.p", "[]string", "[6]uintptr"
    kind: str  # a key of SIZES, or "array", "struct", "opaque"
    size: int  # bytes
    elem: int | None = None
    length: int = 0  # elements of an array
    members: tuple[tuple[str, int, int], ...] = ()  # of a struct: (name, byte offset, type id)


class Global(NamedTuple):
    """A package-level variable (or a symbol of the data segments that has no type: kind "opaque")."""

    name: str
    addr: int
    type: Type


class Leaf(NamedTuple):
    """A value that is read as a whole: a number, string, pointer, slice header, interface or array of bytes."""

    path: str  # "runtime.sched.maxmcount", "runtime.stackpool[0].item.span.first"
    offset: int  # bytes from the start of the type that was asked about
    type: Type


class Signature(NamedTuple):
    """What a function takes and returns, in order; and the line of its declaration (0: unknown)."""

    name: str
    parameters: tuple[tuple[str, Type], ...]
    results: tuple[tuple[str, Type], ...]  # unnamed results are "~r0", "~r1", ... as the compiler calls them
    line: int


class LayoutTables(NamedTuple):
    """The serialised form: what the builder makes and the cache stores.  Texts start with a newline."""

    types: str  # a line a type, its number being its id: a JSON array [name, kind, size, elem, length, members],
    # of which the tail may be missing; members are flat: name, byte offset, type id, name, ...
    globals: tuple[list[str], list[int], list[int]]  # names, addresses (rising), type ids
    signatures: str  # a line a function: name, tab, JSON array [line, [name, type id, ...], [name, type id, ...]]


class Layouts:
    """Typed lookups over :class:`LayoutTables`."""

    def __init__(self, tables: LayoutTables) -> None:
        self._text = tables.types
        self._names, self._addrs, self._type_ids = tables.globals
        self._signatures = tables.signatures
        self._types: dict[int, Type] = {}
        self._between: dict[tuple[int, int], list[Leaf]] = {}
        self._offsets: dict[int, list[int]] = {}
        self._flat: dict[int, tuple[list[int], list[Leaf]]] = {}

    @cached_property
    def _rows(self) -> list[str]:
        return self._text.split("\n")[1:]

    @cached_property
    def _is_typed(self) -> bool:
        return any(self.type(i).kind != "opaque" for i in range(len(self._rows)))

    def __bool__(self) -> bool:
        """True if there is any type beyond the bare sizes of symbols."""
        return self._is_typed

    @property
    def count(self) -> int:
        """How many types there are; ids count from 0."""
        return len(self._rows)

    def type(self, type_id: int) -> Type:
        """Return the type with this id; raise IndexError if there is none."""
        found = self._types.get(type_id)
        if found is None:
            row: list[Any] = json.loads(self._rows[type_id])
            flat = row[5] if len(row) > 5 else ()
            members = tuple(zip(flat[::3], flat[1::3], flat[2::3], strict=True))
            name, kind, size, elem, length = [*row, *(None, 0)[len(row) - 3 :]][:5]
            found = self._types[type_id] = Type(type_id, name, kind, size, elem, length, members)
        return found

    @cached_property
    def _global_ids(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self._names)}

    def named(self, name: str) -> Type | None:
        """Return the type that Go calls *name*, or None."""
        start = f"[{json.dumps(name, ensure_ascii=False)},"
        found = self._ids.get(start[: start.find('",')])
        if found is not None and self._rows[found].startswith(start):
            return self.type(found)
        at = self._text.find(f"\n{start}")  # a name with a quote and a comma in it, which several may share up to there
        return None if at < 0 else self.type(self._text.count("\n", 0, at))

    @cached_property
    def _ids(self) -> dict[str, int]:
        # The start of a row, up to the end of its name -> the first row that starts so.
        return {row[: row.find('",')]: i for i, row in reversed(list(enumerate(self._rows)))}

    def global_(self, name: str) -> Global | None:
        """Return the package-level variable *name* ("runtime.sched"), or None."""
        found = self._global_ids.get(name)
        return None if found is None else self._global(found)

    def _global(self, i: int) -> Global:
        return Global(self._names[i], self._addrs[i], self.type(self._type_ids[i]))

    def globals(self) -> Iterator[Global]:
        """Yield every global by rising address."""
        return (self._global(i) for i in range(len(self._names)))

    def globals_in(self, low: int, high: int) -> Iterator[Global]:
        """Yield the globals with a byte at addresses *low* to *high* (exclusive), by rising address."""
        i = bisect_right(self._addrs, low)
        # Globals do not overlap, and of those at one address an empty one comes first: only the nearest one before
        # `low` can reach into the range.
        if i:
            before = self._global(i - 1)
            if low < before.addr + before.type.size:
                i -= 1
        for j in range(i, bisect_left(self._addrs, high)):
            found = self._global(j)
            if found.type.size:
                yield found

    def signature(self, name: str) -> Signature | None:
        """Return what function *name* takes and returns; None without DWARF or outside the packages that are kept."""
        row = self._signature_rows.get(name)
        if row is None:
            return None
        line, parameters, results = json.loads(row)
        return Signature(name, self._named_types(parameters), self._named_types(results), line)

    def signature_names(self) -> list[str]:
        """Return the functions that have a signature."""
        return list(self._signature_rows)

    @cached_property
    def _signature_rows(self) -> dict[str, str]:
        return {
            name: row for name, _, row in (line.partition("\t") for line in self._signatures.split("\n")[1:]) if row
        }

    def _named_types(self, flat: list[str | int]) -> tuple[tuple[str, Type], ...]:
        return tuple((str(n), self.type(int(t))) for n, t in zip(flat[::2], flat[1::2], strict=True))

    def field(self, type_name: str, path: str) -> tuple[int, Type] | None:
        """Return (byte offset, type) of the field *path* ("stack.lo", "tls[1]") of the type *type_name*, or None."""
        current, offset = self.named(type_name), 0
        for step in path.replace("[", ".[").split("."):
            if current is None:
                return None
            current, offset = self._step(current, offset, step)
        return None if current is None else (offset, current)

    def _step(self, current: Type, offset: int, step: str) -> tuple[Type | None, int]:
        if step.startswith("["):
            index = int(step[1:-1])
            if current.kind != "array" or current.elem is None or not 0 <= index < current.length:
                return None, 0
            elem = self.type(current.elem)
            return elem, offset + index * elem.size
        for name, at, type_id in current.members:
            if name == step:
                return self.type(type_id), offset + at
        return None, 0

    def leaves(self, root: Type, low: int = 0, high: int | None = None, path: str = "") -> Iterator[Leaf]:
        """Yield the leaves of *root* that overlap its bytes *low* to *high* (exclusive), by rising offset.

        *path* is what their paths start with.  Blank fields, padding and empty types are left out.  Time is in the
        size of the range and the depth of the type, not in the size of the type.
        """
        high = root.size if high is None else high
        if low < high:
            yield from self._leaves(root, 0, low, high, path)

    def leaves_between(self, low: int, high: int) -> list[Leaf]:
        """Return the leaves of all globals that overlap addresses *low* to *high*, each with its address as its offset.

        Kept: every boot of a program changes much the same few ranges.
        """
        found = self._between.get((low, high))
        if found is None:
            if len(self._between) >= MAX_KEPT:
                self._between.clear()
            found = self._between[low, high] = [
                Leaf(leaf.path, variable.addr + leaf.offset, leaf.type)
                for variable in self.globals_in(low, high)
                for leaf in self.leaves(variable.type, max(low - variable.addr, 0), high - variable.addr, variable.name)
            ]
        return found

    def _leaves(self, t: Type, at: int, low: int, high: int, path: str) -> Iterator[Leaf]:
        if t.kind == "struct" and t.size <= FLAT:
            offsets, flat = self._flattened(t)
            for i in range(max(bisect_right(offsets, low - at) - 1, 0), bisect_left(offsets, high - at)):
                tail, offset, kind = flat[i]
                if at + offset + kind.size > low:
                    yield Leaf(path + tail if path else tail.removeprefix("."), at + offset, kind)
        elif t.kind == "struct":
            for name, offset, type_id in t.members[self._first_member(t, low - at) :]:
                start = at + offset
                if start >= high:
                    break
                member = self.type(type_id)
                if start + member.size > low and name != "_":
                    yield from self._leaves(member, start, low, high, f"{path}.{name}" if path else name)
        elif t.kind == "array" and t.elem is not None and not self._is_bytes(t):
            elem = self.type(t.elem)
            if elem.size:
                first = max(0, (low - at) // elem.size)
                last = min(t.length, -((at - high) // elem.size))
                for i in range(first, last):
                    yield from self._leaves(elem, at + i * elem.size, low, high, f"{path}[{i}]")
        elif t.size and at < high and at + t.size > low:
            yield Leaf(path, at, t)

    def _first_member(self, t: Type, low: int) -> int:
        # The number of the first member of a struct that can have a byte at offset *low* or later.
        offsets = self._offsets.get(t.id)
        if offsets is None:
            offsets = self._offsets[t.id] = [offset for _, offset, _ in t.members]
        first = max(bisect_right(offsets, low) - 1, 0)
        return bisect_left(offsets, offsets[first]) if offsets else 0  # empty members share an offset with the next

    def _flattened(self, t: Type) -> tuple[list[int], list[Leaf]]:
        # Every leaf of a small struct, with paths to be appended to the struct's own; many variables share such types.
        found = self._flat.get(t.id)
        if found is None:
            leaves = [
                leaf
                for name, offset, type_id in t.members
                if name != "_"
                for leaf in self._leaves(self.type(type_id), offset, 0, t.size, f".{name}")
            ]
            found = self._flat[t.id] = [leaf.offset for leaf in leaves], leaves
        return found

    def _is_bytes(self, t: Type) -> bool:
        return t.elem is not None and self.type(t.elem).kind == "uint8"
