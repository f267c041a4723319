"""The program's own map of the pointers in its variables, by which its garbage collector goes.

The linker writes, for .data and .bss, a program that makes a bitmap of one bit a word; what lies in .noptrdata and
.noptrbss holds no pointers at all.  Encoding: runGCProg in runtime/mbitmap.go, Go 1.5 and later.
"""

import struct
from collections.abc import Iterator

from emu.image.elf import Elf
from emu.image.errors import Unreadable
from emu.image.moduledata import LAYOUTS, Moduledata, offsets
from emu.image.types import Layouts, Type

WORD = 8
MAX_BITS = 1 << 24  # 128 MiB of variables
REPEAT = 0x80  # of the previous bits; without it, literal bits
POINTERS = {
    "pointer": (0,), "func": (0,), "chan": (0,), "map": (0,), "string": (0,), "slice": (0,),
    "iface": (8,), "eface": (8,),
}  # fmt: skip
"""At which bytes of a leaf there are pointers."""
INTERFACES = ("iface", "eface")
"""Their first word is a pointer to a type, which counts up to Go 1.9 and not since."""


class PointerMap:
    """Tells of each word of the program's variables whether it holds a pointer."""

    def __init__(self, elf: Elf, module: Moduledata) -> None:
        where = offsets(dict(LAYOUTS)[module.layout])
        self._parts: list[tuple[int, int, bytearray]] = []
        for part, field in (("data", "gcdata"), ("bss", "gcbss")):
            low, high = getattr(module, part), getattr(module, f"e{part}")
            (program,) = struct.unpack("<Q", elf.read(module.addr + where[field], WORD))
            self._parts.append((low, high, _run(elf, program, (high - low) // WORD)))
        self._bare = ((module.noptrdata, module.enoptrdata), (module.noptrbss, module.enoptrbss))

    def is_pointer(self, addr: int) -> bool | None:
        """Tell whether the word at *addr* holds a pointer; None outside the program's variables."""
        for low, high, bits in self._parts:
            if low <= addr < high:
                return bool(bits[(addr - low) // WORD])
        return False if any(low <= addr < high for low, high in self._bare) else None

    def agrees(self, layouts: Layouts, addr: int, t: Type) -> bool:
        """Tell whether a variable of type *t* at *addr* has its pointers where the map has them, and no others."""
        wanted = {addr + leaf.offset + at for leaf in layouts.leaves(t) for at in POINTERS.get(leaf.type.kind, ())}
        blank = _either(layouts, addr, t)
        first = addr // WORD * WORD
        for word in range(first, addr + t.size, WORD):
            found = self.is_pointer(max(word, addr))
            if word not in blank and found is not None and found != (word in wanted):
                return False
        return True


def _either(layouts: Layouts, addr: int, t: Type) -> set[int]:
    # Words that may hold a pointer or not: of leaves of which not even the kind is known, and the first of interfaces.
    found: set[int] = set()
    for leaf in layouts.leaves(t):
        if leaf.type.kind == "opaque":
            found.update(range((addr + leaf.offset) // WORD * WORD, addr + leaf.offset + leaf.type.size, WORD))
        elif leaf.type.kind in INTERFACES:
            found.add(addr + leaf.offset)
    return found


def _run(elf: Elf, addr: int, count: int) -> bytearray:
    # The bits of the program at *addr*, a byte each.
    code = elf.read(addr, min(MAX_BITS // 8, elf.segment_at(addr).end - addr))  # type: ignore[union-attr]
    bits = bytearray()
    stream = iter(code)
    try:
        while op := next(stream):
            size = op & ~REPEAT
            if not op & REPEAT:
                literal = [next(stream) for _ in range((size + 7) // 8)]
                bits += bytes(literal[i // 8] >> i % 8 & 1 for i in range(size))
                continue
            size = size or _varint(stream)
            repeats = _varint(stream)
            if not 0 < size <= len(bits) or size * repeats > MAX_BITS:
                raise Unreadable("a pointer map that repeats what is not there")
            bits += bits[-size:] * repeats
    except StopIteration:
        raise Unreadable("a pointer map without an end") from None
    if len(bits) > count:
        raise Unreadable("a pointer map longer than what it maps")
    return bits.ljust(count, b"\0")


def _varint(stream: Iterator[int]) -> int:
    value = shift = 0
    while True:
        byte = next(stream)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
        shift += 7
