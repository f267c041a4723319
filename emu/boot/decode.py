"""Typed values out of raw guest bytes, in the form the record's JSON has.

Integers are integers, booleans booleans, floats floats; pointers, funcs, maps and channels are ``"0x..."``; a string
is ``{"len", "text"}``, a slice ``{"len", "cap", "data", "elements"}``, an interface ``{"type", "data"}``, an array
of bytes a list of integers, a buffer (of more than 256 bytes) ``{"len", "hex"}`` without its trailing zeros.  What
cannot be read says so in place of its content; nothing is guessed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from emu.image.types import Layouts, Type
from syscalls.guest import GuestFault
from syscalls.light import Any

Read = Callable[[int, int], bytes]

FORMATS = {
    name: struct.Struct(f"<{code}")
    for name, code in (
        ("int8", "b"),
        ("int16", "h"),
        ("int32", "i"),
        ("int64", "q"),
        ("int", "q"),
        ("uint8", "B"),
        ("uint16", "H"),
        ("uint32", "I"),
        ("uint64", "Q"),
        ("uint", "Q"),
        ("uintptr", "Q"),
        ("float32", "f"),
        ("float64", "d"),
    )
}
ADDRESSES = frozenset(("pointer", "func", "chan", "map", "unsafe.Pointer"))
MAX_TEXT = 4096  # bytes of a string that are shown
MAX_ELEMENTS = 256  # elements of a slice that are shown
MAX_BYTES = 256  # of an array of bytes that is shown as a list
SLICE = struct.Struct("<Qqq")
U64 = struct.Struct("<Q")


class Decoder:
    """Decodes values of *layouts*' types; *read* returns guest memory or raises GuestFault."""

    def __init__(self, layouts: Layouts, read: Read) -> None:
        self.layouts = layouts
        self.read = read

    def value(self, kind: Type, raw: bytes, depth: int = 4) -> Any:
        """The JSON value of a *kind* whose bytes are *raw*; *depth* bounds how far slices of slices are followed."""
        name = kind.kind
        number = FORMATS.get(name)
        if number is not None:
            return number.unpack_from(raw)[0]
        if name in ADDRESSES:
            return hex(U64.unpack_from(raw)[0])
        if name == "bool":
            return raw[0] != 0
        return self._composite(kind, raw, depth)

    def _composite(self, kind: Type, raw: bytes, depth: int) -> Any:
        match kind.kind:
            case "string":
                return self.string(*struct.unpack("<Qq", raw[:16]))
            case "slice":
                return self._slice(kind, raw, depth)
            case "eface" | "iface":
                tab, data = struct.unpack("<QQ", raw[:16])
                return {"type": hex(tab), "data": hex(data)}
            case "array":
                return self._array(kind, raw, depth)
            case "struct":
                return self.struct(kind, raw, depth)
            case "complex64" | "complex128":
                return list(struct.unpack("<ff" if kind.size == 8 else "<dd", raw[: kind.size]))
        return list(raw)

    def string(self, data: int, size: int) -> dict[str, Any]:
        """A Go string by content; bytes that are not UTF-8 are shown by backslash escapes."""
        if size < 0:
            return {"len": size, "text": None}
        try:
            text = self.read(data, min(size, MAX_TEXT)).decode("utf-8", "backslashreplace") if size else ""
        except GuestFault:
            return {"len": size, "text": None}
        return {"len": size, "text": text}

    def _slice(self, kind: Type, header: bytes, depth: int) -> dict[str, Any]:
        data, size, capacity = SLICE.unpack_from(header)
        shown: dict[str, Any] = {"len": size, "cap": capacity, "data": hex(data)}
        if kind.elem is None or depth <= 0 or not 0 <= size <= capacity:
            return shown
        elem = self.layouts.type(kind.elem)
        count = min(size, MAX_ELEMENTS)
        if elem.kind == "struct":
            return shown  # a table, such as ftab: its length says enough, and views show what matters
        try:
            raw = self.read(data, count * elem.size)
        except GuestFault:
            return shown
        shown["elements"] = self._each(elem, raw, count, depth - 1)
        return shown

    def _each(self, elem: Type, raw: bytes, count: int, depth: int) -> list[Any]:
        # Many values of one type; numbers and addresses all at once, for that is what long slices hold.
        number = FORMATS.get(elem.kind)
        if number is not None:
            return list(struct.unpack_from(f"<{count}{number.format[1:]}", raw))
        if elem.kind in ADDRESSES:
            return [hex(addr) for addr in struct.unpack_from(f"<{count}Q", raw)]
        parts = (raw[i * elem.size : (i + 1) * elem.size] for i in range(count))
        return [self.value(elem, part, depth) for part in parts]

    def _array(self, kind: Type, raw: bytes, depth: int) -> Any:
        assert kind.elem is not None
        elem = self.layouts.type(kind.elem)
        if elem.kind == "uint8":
            return list(raw) if len(raw) <= MAX_BYTES else {"len": len(raw), "hex": raw.rstrip(b"\0").hex()}
        return self._each(elem, raw, kind.length, depth)

    def struct(self, kind: Type, raw: bytes, depth: int = 4) -> dict[str, Any]:
        """Every named field of a struct."""
        fields = {}
        for name, offset, type_id in kind.members:
            member = self.layouts.type(type_id)
            if name != "_":
                fields[name] = self.value(member, raw[offset : offset + member.size], depth)
        return fields
