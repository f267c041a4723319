"""Arguments and results of Go functions, by the calling convention of the release.

Up to Go 1.16 everything is on the stack (ABI0): arguments from 8(SP) at entry, results after them.  From 1.17 Go
functions use ABIInternal: a value goes whole into registers, else whole onto the stack (cmd/compile/abi-internal.md,
the assignment algorithm).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from emu.image.types import Layouts, Type
from syscalls.light import dataclass

INTEGER_REGISTERS = ("rax", "rbx", "rcx", "rdi", "rsi", "r8", "r9", "r10", "r11")
N_FLOAT_REGISTERS = 15
REGISTERS_SINCE = (1, 17)
WORD = 8
WORDS = {"string": 2, "slice": 3, "eface": 2, "iface": 2}


@dataclass(frozen=True, slots=True)
class Place:
    """Where one argument or result lies: pieces of (byte offset in the value, size, integer register or stack offset).

    *stack*: byte offset from the first argument's place (8(SP) at entry); None when it is in *registers*.
    """

    name: str
    type: Type
    registers: tuple[tuple[int, int, int], ...] | None  # (offset in the value, size, index of the register)
    stack: int | None

    def raw(self, registers: Sequence[int], read_stack: Callable[[int, int], bytes]) -> bytes:
        """The value's bytes, given the integer registers' values and a reader of argument space."""
        if self.registers is None:
            assert self.stack is not None
            return read_stack(self.stack, self.type.size)
        value = bytearray(self.type.size)
        for offset, size, register in self.registers:
            value[offset : offset + size] = registers[register].to_bytes(WORD, "little")[:size]
        return bytes(value)


def _align(offset: int, size: int) -> int:
    return (offset + size - 1) // size * size


def alignment(layouts: Layouts, kind: Type) -> int:
    """The alignment of a type, in bytes."""
    if kind.kind == "struct":
        return max((alignment(layouts, layouts.type(type_id)) for _, _, type_id in kind.members), default=1)
    if kind.kind == "array" and kind.elem is not None:
        return alignment(layouts, layouts.type(kind.elem))
    return max(1, min(kind.size, WORD))


def pieces(layouts: Layouts, kind: Type, at: int = 0) -> list[tuple[int, int]] | None:
    """The (offset, size) of each integer register that a value takes; None if it cannot go into integer registers.

    Floating-point values are left to the stack reader's caller: no function of the bootstrap takes one.
    """
    if kind.kind in WORDS:
        return [(at + WORD * i, WORD) for i in range(WORDS[kind.kind])]
    if kind.kind == "struct":
        found: list[tuple[int, int]] = []
        for _, offset, type_id in kind.members:
            part = pieces(layouts, layouts.type(type_id), at + offset)
            if part is None:
                return None
            found += part
        return found
    if kind.kind == "array":
        if kind.length == 0:
            return []
        return pieces(layouts, layouts.type(kind.elem), at) if kind.length == 1 and kind.elem is not None else None
    if kind.kind.startswith(("float", "complex")) or kind.kind == "opaque":
        return None
    return [(at, kind.size)]


def _places(
    layouts: Layouts, values: Sequence[tuple[str, Type]], stack: int, in_registers: bool
) -> tuple[list[Place], int]:
    places = []
    used = 0
    for name, kind in values:
        parts = pieces(layouts, kind) if in_registers else None
        if parts is not None and used + len(parts) <= len(INTEGER_REGISTERS):
            registers = tuple((offset, size, used + i) for i, (offset, size) in enumerate(parts))
            places.append(Place(name, kind, registers, None))
            used += len(parts)
        else:
            stack = _align(stack, alignment(layouts, kind))
            places.append(Place(name, kind, None, stack))
            stack += kind.size
    return places, _align(stack, WORD)


def assign(
    layouts: Layouts,
    release: tuple[int, int],
    parameters: Sequence[tuple[str, Type]],
    results: Sequence[tuple[str, Type]],
) -> tuple[list[Place], list[Place]]:
    """Where a Go function of *release* takes its parameters and leaves its results."""
    in_registers = release >= REGISTERS_SINCE
    taken, end = _places(layouts, parameters, 0, in_registers)
    given, _ = _places(layouts, results, end, in_registers)
    return taken, given
