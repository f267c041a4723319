"""Numbers that a program's code compares with: what a search should try, because chance would not.

Read off the code, block by block: the immediate operands of CMP, SUB and TEST (a switch is compiled to the first two),
and of the MOV of 64 bits that stands before a comparison of as many (Intel SDM vol. 2).
"""

from __future__ import annotations

from collections.abc import Sequence

from emu.image.image import Image
from emu.machine.decode import lengths

PREFIXES = frozenset((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3))
SUB, CMP = 5, 7  # of the group in ModRM's reg, opcodes 80, 81 and 83
SMALLEST = 2  # 0 and 1 are tried anyway


class Constants:
    """Finds them in *image*; each block is looked at once."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._known: dict[tuple[int, int], set[int]] = {}

    def of(self, blocks: Sequence[tuple[int, int]]) -> tuple[int, ...]:
        """Return those of *blocks*, (link-time address, bytes), sorted."""
        found: set[int] = set()
        for block in blocks:
            if block not in self._known:
                inside = self._image.function_at(block[0]) is not None  # else the vDSO's, or our own
                self._known[block] = compared(self._image.elf.read(*block)) if inside else set()
            found |= self._known[block]
        return tuple(sorted(found))


def compared(code: bytes) -> set[int]:
    """Return the numbers that the instructions of *code* compare with, each also as what lies just above it."""
    found: set[int] = set()
    at = 0
    for length in lengths(code):
        size = immediate(code[at : at + length])
        if size:
            value = int.from_bytes(code[at + length - size : at + length], "little", signed=size < 8)
            if value < 0:
                found |= {value & (1 << 32) - 1, value & (1 << 64) - 1}
            elif value >= SMALLEST:
                found |= {value, value + 1}
        at += length
    return found


def immediate(instruction: bytes) -> int:
    """How many bytes at the end of *instruction* are an operand that something is compared with; 0: none."""
    at, narrow, wide = 0, False, False
    while at < len(instruction) and instruction[at] in PREFIXES:
        narrow = narrow or instruction[at] == 0x66
        at += 1
    if at < len(instruction) and instruction[at] & 0xF0 == 0x40:  # REX
        wide = bool(instruction[at] & 8)
        at += 1
    opcode, modrm = instruction[at : at + 2].ljust(2, b"\0")
    group = modrm >> 3 & 7
    full = 2 if narrow and not wide else 4
    if (opcode in (0x80, 0x83) and group in (SUB, CMP)) or opcode in (0x2C, 0x3C, 0xA8) or (opcode, group) == (0xF6, 0):
        return 1
    if (opcode == 0x81 and group in (SUB, CMP)) or opcode in (0x2D, 0x3D, 0xA9) or (opcode, group) == (0xF7, 0):
        return full
    return 8 if wide and 0xB8 <= opcode <= 0xBF else 0
