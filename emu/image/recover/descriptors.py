"""Type descriptors: what a program's own run-time type information says about the runtime's types.

The runtime allocates its g, m and p on the heap, so the compiler writes descriptors of them, and of every type that
they reach by value or by pointer, into each program, stripped or not.  They hold sizes, field names and byte offsets.
Layout: type._type, ptrtype, slicetype, arraytype and structtype of runtime/type.go, Go 1.9 to 1.20, and
internal/abi/type.go from 1.21; names as in (name).data of the same files.  Addresses are link-time.
"""

import struct
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

from emu.image import dynamic
from emu.image.elf import Elf
from emu.image.errors import Unreadable
from emu.image.golayout import GO_KINDS, KIND_MASK
from emu.image.moduledata import Moduledata

HEAD = struct.Struct(
    "<QQIBBBBQQii"
)  # size, ptrdata, hash, tflag, align, fieldAlign, kind, equal, gcdata, str, ptrToThis
STR_AT = 40  # byte offset of str, an offset from moduledata.types
WORD = struct.Struct("<Q")
SLICE = struct.Struct("<QQQ")
FIELD = struct.Struct("<QQQ")  # name, type, offset
NAME_VARINT_SINCE = (1, 17)  # before, a name's length is two bytes, big-endian
PLAIN_OFFSET_SINCE = (1, 19)  # before, the lowest bit of a field's offset says "embedded" (runtime/type.go)
TFLAG_EXTRA_STAR = 2
MAX_FIELDS, MAX_NAME, MAX_SIZE = 1024, 1024, 1 << 40
MAX_EMPTY = 1024  # elements of an array that takes no space


class Descriptor(NamedTuple):
    """One type as the program describes it; *elem* and the members' types are addresses of descriptors."""

    name: str  # with the package's name, not its path: "atomic.Uint32"
    kind: str  # as emu.image.types has it
    size: int
    elem: int = 0
    length: int = 0
    members: tuple[tuple[str, int, int], ...] = ()  # name, byte offset, descriptor


class Descriptors:
    """The descriptors of one program, found by name and read one at a time."""

    def __init__(self, elf: Elf, module: Moduledata, release: tuple[int, int]) -> None:
        self._elf, self._low, self._high = elf, module.types, module.etypes
        self._varint = release >= NAME_VARINT_SINCE
        self._shift = 0 if release >= PLAIN_OFFSET_SINCE else 1
        self._known: dict[int, Descriptor] = {}

    @cached_property
    def _region(self) -> bytes:
        return self._elf.read(self._low, self._high - self._low)

    @cached_property
    def _relocated(self) -> dict[int, int]:
        # In a position-independent program the words of pointers may be left to the loader.
        return dict(dynamic.read(self._elf).relocations)

    def find(self, package: str, name: str) -> int | None:
        """Return the descriptor of the struct type *name* ("cpu.x86") of the package with the path *package*."""
        for spelled in (f"*{name}", name):
            for offset in self._names(spelled.encode()):
                at = self._region.find(offset.to_bytes(4, "little"))
                while at >= 0:
                    addr = self._low + at - STR_AT
                    if addr % WORD.size == 0 and self._is(addr, package, name):
                        return addr
                    at = self._region.find(offset.to_bytes(4, "little"), at + 1)
        return None

    def _names(self, text: bytes) -> Iterator[int]:
        # Offsets of names (of their flag byte) that spell text.
        size = bytes((len(text),)) if self._varint else len(text).to_bytes(2, "big")
        at = self._region.find(size + text)
        while at > 0:
            yield at - 1
            at = self._region.find(size + text, at + 1)

    def _is(self, addr: int, package: str, name: str) -> bool:
        try:
            found = self.read(addr)
            return found.kind == "struct" and found.name == name and self._package(addr) == package
        except Unreadable:
            return False

    def _package(self, addr: int) -> str:
        return self._name(self._pointer(addr + HEAD.size))

    def read(self, addr: int) -> Descriptor:
        """Return the type that the descriptor at *addr* describes; raise Unreadable if there is none."""
        found = self._known.get(addr)
        if found is None:
            found = self._known[addr] = self._read(addr)
        return found

    def _read(self, addr: int) -> Descriptor:
        if not self._low <= addr < self._high or addr % WORD.size:
            raise Unreadable(f"no type descriptor at {addr:#x}")
        size, ptrdata, _, tflag, align, field_align, kind, _, _, text, _ = HEAD.unpack(self._elf.read(addr, HEAD.size))
        word = GO_KINDS.get(kind & KIND_MASK)
        if word is None or ptrdata > size or size > MAX_SIZE or align not in (1, 2, 4, 8) or field_align > 8:
            raise Unreadable(f"no type descriptor at {addr:#x}")
        name = self._name(self._low + text)
        if tflag & TFLAG_EXTRA_STAR:
            name = name.removeprefix("*")
        after = addr + HEAD.size
        if word == "struct":
            return Descriptor(name, word, size, members=self._members(after, size))
        if word == "array":
            length = self._word(after + 2 * WORD.size)
            if length > max(size, MAX_EMPTY):
                raise Unreadable(f"a type descriptor of an array of {length} in {size} bytes")
            return Descriptor(name, word, size, self._pointer(after), length)
        if word in ("pointer", "slice") and kind & KIND_MASK != 26:  # an unsafe.Pointer points at nothing known
            return Descriptor(name, word, size, self._pointer(after))
        return Descriptor(name, word, size)

    def _members(self, at: int, size: int) -> tuple[tuple[str, int, int], ...]:
        # structtype: the package's name, then a slice of fields.
        fields, length = self._pointer(at + WORD.size), self._word(at + 2 * WORD.size)
        if length > MAX_FIELDS:
            raise Unreadable(f"a type descriptor with {length} fields")
        found = []
        for i in range(length):
            field = fields + i * FIELD.size
            offset = self._word(field + 2 * WORD.size) >> self._shift
            if offset > size:
                raise Unreadable("a type descriptor whose field lies outside")
            found.append((self._name(self._pointer(field)), offset, self._pointer(field + WORD.size)))
        return tuple(found)

    def text(self, offset: int) -> str:
        """Return the name at *offset* from moduledata.types; raise Unreadable if there is none."""
        return self._name(self._low + offset)

    def _name(self, addr: int) -> str:
        if not self._low <= addr < self._high:
            raise Unreadable(f"no name at {addr:#x}")
        at = addr - self._low + 1  # past the flags
        first, second = self._region[at : at + 2].ljust(2, b"\0")
        if not self._varint:
            size, at = first << 8 | second, at + 2
        elif first < 0x80:
            size, at = first, at + 1
        else:
            size, at = first & 0x7F | second << 7, at + 2
        text = self._region[at : at + size]
        if size > MAX_NAME or len(text) != size:
            raise Unreadable(f"no name at {addr:#x}")
        return text.decode("utf-8", "replace")

    def _word(self, addr: int) -> int:
        value: int = WORD.unpack(self._elf.read(addr, WORD.size))[0]
        return value

    def _pointer(self, addr: int) -> int:
        return self._word(addr) or self._relocated.get(addr, 0)
