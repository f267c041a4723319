"""Reading typed values of a stopped guest by name: ``runtime.sched.maxmcount``, or a field behind a pointer."""

from __future__ import annotations

from emu.boot.decode import U64, Decoder
from emu.image.image import Image
from emu.image.types import Layouts, Type
from emu.machine.machine import Machine
from syscalls.guest import GuestFault
from syscalls.light import Any

# The reasons for which a declared value can be missing; there are no others.
NOT_IN_RELEASE = "not in this release"
STRIPPED = "stripped"
NOT_REACHED = "not reached"
UNREADABLE = "unreadable"

MAX_LENGTH = 1 << 13  # elements of a slice that a view goes through: the most CPUs that Linux has on x86-64 (NR_CPUS)


class Missing(LookupError):
    """A declared value cannot be had; *reason* is one of the four above."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def locate(image: Image, path: str) -> tuple[int, Type]:
    """Link-time address and type of a variable or of a field within one; raises Missing."""
    if not image.typed:
        raise Missing(STRIPPED)
    name = path
    steps: list[str] = []
    while (variable := image.layouts.global_(name)) is None:
        cut = max(name.rfind("."), name.rfind("["))
        if cut <= name.rfind("/"):
            # With proofs instead of DWARF: the release has it, but nothing in the program proves where.
            raise Missing(STRIPPED if image.is_unproven(path) else NOT_IN_RELEASE)
        steps.insert(0, name[cut:].strip(".[]"))
        name = name[:cut]
    addr, kind = variable.addr, variable.type
    if kind.kind == "opaque" and not image.dwarf:  # a symbol of which nothing tells the type
        raise Missing(STRIPPED)
    for step in steps:
        offset, kind = _step(image.layouts, kind, step)
        addr += offset
    return addr, kind


def _step(layouts: Layouts, kind: Type, step: str) -> tuple[int, Type]:
    # Byte offset and type of one field or element; raises Missing.
    if kind.kind == "array" and kind.elem is not None and step.isdecimal() and int(step) < kind.length:
        elem = layouts.type(kind.elem)
        return int(step) * elem.size, elem
    for name, offset, type_id in kind.members:
        if name == step:
            return offset, layouts.type(type_id)
    raise Missing(NOT_IN_RELEASE)


class Reader:
    """Typed access to the memory of *machine*, which runs *image*."""

    def __init__(self, machine: Machine, image: Image) -> None:
        self.machine, self.image = machine, image
        self.layouts = image.layouts
        self.bias = machine.loaded.bias
        self.decoder = Decoder(image.layouts, machine.pages.peek)
        self._fields: dict[tuple[str, str], tuple[int, Type] | None] = {}
        self._places: dict[str, tuple[int, Type] | str] = {}  # or why there is none

    def raw(self, addr: int, size: int) -> bytes:
        """Guest memory; raises Missing(UNREADABLE)."""
        try:
            return self.machine.pages.peek(addr, size)
        except GuestFault:
            raise Missing(UNREADABLE) from None

    def has(self, path: str) -> bool:
        """Tell whether the program has the variable or field *path*, with a type."""
        try:
            self.place(path)
        except Missing:
            return False
        return True

    def place(self, path: str) -> tuple[int, Type]:
        """Run-time address and type of a variable or of a field within one; raises Missing."""
        found = self._places.get(path)
        if found is None:
            found = self._places[path] = self._located(path)
        if isinstance(found, str):
            raise Missing(found)
        return found

    def _located(self, path: str) -> tuple[int, Type] | str:
        try:
            addr, kind = locate(self.image, path)
        except Missing as absence:
            return absence.reason
        return addr + self.bias, kind

    def value(self, path: str) -> Any:
        """The JSON value of a variable or of a field within one; raises Missing."""
        addr, kind = self.place(path)
        return self.decoder.value(kind, self.raw(addr, kind.size))

    def parts(self, path: str) -> dict[str, Any]:
        """The JSON values of those fields of the variable *path* whose places were recovered one by one."""
        found = {}
        for variable in self.layouts.globals():
            if variable.name.startswith(f"{path}."):
                raw = self.raw(variable.addr + self.bias, variable.type.size)
                found[variable.name.removeprefix(f"{path}.")] = self.decoder.value(variable.type, raw)
        return found

    def word(self, addr: int) -> int:
        """The 64-bit word at *addr*."""
        value: int = U64.unpack(self.raw(addr, 8))[0]
        return value

    def pointer(self, path: str) -> int:
        """The address that a pointer variable holds; raises Missing(NOT_REACHED) for nil."""
        addr = self.word(self.place(path)[0])
        if not addr:
            raise Missing(NOT_REACHED)
        return addr

    def find(self, type_name: str, path: str) -> tuple[int, Type] | None:
        """Byte offset and type of field *path* of *type_name*; None if this release has no such field."""
        key = type_name, path
        if key not in self._fields:
            self._fields[key] = self.layouts.field(type_name, path)
        return self._fields[key]

    def field(self, type_name: str, addr: int, path: str) -> Any:
        """The JSON value of field *path* of the *type_name* at *addr*; raises Missing."""
        found = self.find(type_name, path)
        if found is None:
            raise Missing(NOT_IN_RELEASE)
        offset, kind = found
        return self.decoder.value(kind, self.raw(addr + offset, kind.size))

    def fields(self, type_name: str, addr: int, *paths: str) -> dict[str, Any]:
        """Those of *paths* that the type has in this release."""
        found = {}
        for path in paths:
            if self.find(type_name, path) is not None:
                found[path] = self.field(type_name, addr, path)
        return found

    def slice(self, path: str) -> tuple[int, int, Type | None]:
        """(address, length, element type) of a slice variable; no longer than :data:`MAX_LENGTH`."""
        addr, kind = self.place(path)
        elem = self.layouts.type(kind.elem) if kind.elem is not None else None
        return self.word(addr), min(self.word(addr + 8), MAX_LENGTH), elem

    def chain(self, type_name: str, addr: int, link: str, limit: int = 4096) -> list[int]:
        """Addresses of a linked list that begins at *addr* and goes on through field *link*; at most *limit*."""
        found = self.find(type_name, link)
        if found is None:
            raise Missing(NOT_IN_RELEASE)
        seen: list[int] = []
        while addr and len(seen) < limit:
            seen.append(addr)
            addr = self.word(addr + found[0])
        return seen
