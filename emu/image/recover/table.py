"""The table of types that a recovery ends with: rows taken over from references, rows made from type descriptors."""

from __future__ import annotations

import re
from collections.abc import Callable

from emu.image.errors import Unreadable
from emu.image.golayout import ATOMICS, Row, sound
from emu.image.recover.descriptors import Descriptor, Descriptors
from emu.image.types import RUNTIME_PACKAGE, SIZES, Layouts, Type

BLANK = ("_", "pad")  # fields that hold nothing
NOTHING = Row("", "opaque", 0)
POINTERS = re.compile(r"^(?:\*|\[\d*\])+")


class TypeTable:
    """Collects types under new ids.

    With *descriptors* (a program of another release than the references), a struct type is taken from the program's
    own descriptor of it or not at all; without them, all types of the reference are taken as they are.
    """

    def __init__(self, descriptors: Descriptors | None) -> None:
        self._descriptors = descriptors
        self._rows: list[Row] = []
        self._pending: list[tuple[int, Callable[[], Row]]] = []
        self._copied: dict[tuple[int, int], int] = {}  # (id of the Layouts object, type id there) -> id
        self._described: dict[int, int] = {}  # address of a descriptor -> id
        self._found: dict[str, int | None] = {}  # name of a struct type -> its descriptor
        self.full_names: dict[int, str] = {}  # descriptor -> name with the package's path

    def descriptor(self, name: str) -> int | None:
        """Return the address of the program's descriptor of the struct type *name* ("internal/cpu.x86"), if any."""
        if name not in self._found:
            package, _, short = name.rpartition(".")
            addr = None
            if self._descriptors and package and "{" not in name:
                addr = self._descriptors.find(package, f"{package.rpartition('/')[2]}.{short}")
            self._found[name] = addr
            if addr is not None:
                self.full_names[addr] = name
        return self._found[name]

    def offset_of(self, addr: int, path: str) -> int | None:
        """Return the byte offset of the field *path* ("tls[1]", "a.b") of the type described at *addr*, or None."""
        assert self._descriptors
        offset = 0
        try:
            for step in path.replace("[", ".[").split("."):
                d = self._descriptors.read(addr)
                if step.startswith("["):
                    index = int(step[1:-1])
                    if d.kind != "array" or index >= d.length:
                        return None
                    addr = d.elem
                    offset += index * self._descriptors.read(addr).size
                    continue
                field = next(((at, member) for name, at, member in d.members if name == step), None)
                if field is None:
                    return None
                offset, addr = offset + field[0], field[1]
        except Unreadable:
            return None
        return offset

    def size_of_described(self, addr: int) -> int:
        """Return the bytes of the type described at *addr*; raise Unreadable if there is none."""
        assert self._descriptors
        return self._descriptors.read(addr).size

    def pointed_at(self, addr: int, field: str) -> str | None:
        """Return the kind of what the pointer *field* of the struct described at *addr* points at, or None."""
        assert self._descriptors
        try:
            member = next((m for name, _, m in self._descriptors.read(addr).members if name == field), 0)
            pointer = self._descriptors.read(member)
            return self._descriptors.read(pointer.elem).kind if pointer.kind == "pointer" and pointer.elem else None
        except Unreadable:
            return None

    def is_known(self, layouts: Layouts, t: Type) -> bool:
        """Tell whether values of *t* can be read: nothing in it is a struct of which only another release tells."""
        if self._descriptors is None or t.kind not in ("struct", "array", "opaque"):
            return True
        if t.kind == "array":
            return t.elem is not None and self.is_known(layouts, layouts.type(t.elem))
        return t.kind == "struct" and self.descriptor(t.name) is not None

    def is_of(self, layouts: Layouts, t: Type, package: str) -> bool:
        """Tell whether every struct in *t* is of *package*, or unnamed, or described by the program, or empty."""
        if t.kind == "array" and t.elem is not None:
            return self.is_of(layouts, layouts.type(t.elem), package)
        if t.kind != "struct" or not t.size or self.descriptor(t.name) is not None:
            return True
        named = [member for name, _, member in t.members if name not in BLANK]
        own = not named or t.name.startswith("struct {") or t.name.rpartition(".")[0] == package
        return own and all(self.is_of(layouts, layouts.type(m), package) for m in named)

    def size_of(self, layouts: Layouts, t: Type) -> int | None:
        """Return the bytes of *t*, a type of *layouts*, in the program; None if it is not known."""
        if not self.is_known(layouts, t):
            return None
        described = self.descriptor(t.name) if t.kind == "struct" else None
        return t.size if described is None or self._descriptors is None else self._descriptors.read(described).size

    def has_layout(self, addr: int, layouts: Layouts, t: Type) -> bool:
        """Tell whether the struct described at *addr* has the size of *t*, a type of *layouts*, and its leaves."""
        assert self._descriptors
        return self._descriptors.read(addr).size == t.size and all(
            self.offset_of(addr, leaf.path) == leaf.offset for leaf in layouts.leaves(t) if leaf.path
        )

    def take(self, layouts: Layouts, t: Type) -> int:
        """Return the id of *t*, a type of *layouts* that is known, or else proven otherwise."""
        described = self.descriptor(t.name) if t.kind == "struct" else None
        if described is not None:
            return self.describe(described)
        key = id(layouts), t.id
        if key not in self._copied:
            self._copied[key] = number = self._reserve()
            self._pending.append((number, lambda: self._copy(layouts, t)))
        return self._copied[key]

    def _copy(self, layouts: Layouts, t: Type) -> Row:
        elem = None
        if t.elem is not None and (t.kind == "array" or self.is_known(layouts, layouts.type(t.elem))):
            elem = self.take(layouts, layouts.type(t.elem))
        members = tuple((n, at, self.take(layouts, layouts.type(m))) for n, at, m in t.members)
        return Row(t.name, t.kind, t.size, elem, t.length, members)

    def plain(self, kind: str) -> int:
        """Return the id of the unnamed type of *kind*, one of those that have a size of their own."""
        number = self._reserve()
        self._rows[number] = Row(kind, kind, SIZES[kind])
        return number

    def _reserve(self) -> int:
        self._rows.append(NOTHING)
        return len(self._rows) - 1

    def describe(self, addr: int) -> int:
        """Return the id of the type whose descriptor is at *addr*; opaque where it cannot be read."""
        if addr not in self._described:
            self._described[addr] = number = self._reserve()
            self._pending.append((number, lambda: self._row(addr)))
        return self._described[addr]

    def _row(self, addr: int) -> Row:
        assert self._descriptors
        try:
            d = self._descriptors.read(addr)
            flat = self._flattened(d) if d.kind == "struct" else None
        except Unreadable:
            return NOTHING
        if flat is not None:
            return flat
        name = self.full_names.get(addr, d.name)
        kind = "eface" if d.kind == "iface" and d.name == "interface {}" else d.kind
        if d.kind == "struct":
            return Row(name, kind, d.size, members=tuple((n, at, self.describe(m)) for n, at, m in d.members))
        if d.kind in ("array", "slice") or (d.kind == "pointer" and self._follows(d)):
            return Row(name, kind, d.size, self.describe(d.elem), d.length)
        return Row(name, kind, d.size)

    def _follows(self, pointer: Descriptor) -> bool:
        target = POINTERS.sub("", pointer.name)
        return bool(pointer.elem) and ("." not in target or bool(RUNTIME_PACKAGE.match(target)))

    def _flattened(self, d: Descriptor) -> Row | None:
        # atomic.Int64 and friends are shown as the value that they hold, as emu.image.golayout does.
        assert self._descriptors
        inner = d
        while inner.kind == "struct":
            if not inner.name.startswith("atomic."):
                return None
            fields = [self._descriptors.read(m) for n, _, m in inner.members if n != "_"]
            fields = [f for f in fields if f.size]
            if len(fields) != 1 or fields[0].size != d.size or fields[0] == inner:
                return None
            inner = fields[0]
        if inner.kind == "array":
            return None
        kind = "bool" if d.name == "atomic.Bool" and d.size == 1 else inner.kind
        return Row(f"{ATOMICS[0]}{d.name.removeprefix('atomic.')}", kind, d.size)

    def rows(self) -> list[Row]:
        """Return all rows, safe to walk."""
        while (
            self._pending
        ):  # rows are made here rather than where ids are given, so that no chain of types nests calls
            number, make = self._pending.pop()
            self._rows[number] = make()
        return sound(self._rows)
