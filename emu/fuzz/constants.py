"""Numbers that a program's code compares with: what a search should try, because chance would not.

Read off the code, block by block: the immediate operands of CMP and SUB (a switch is compiled to both), and of the MOV
of 64 bits that stands before a comparison of as many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emu.image.image import Image

COMPARING = ("cmp", "sub", "test", "movabs")
SMALLEST = 2  # 0 and 1 are tried anyway


class Constants:
    """Finds them in *image*; each block is looked at once."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._seen: set[tuple[int, int]] = set()
        self._found: set[int] = set()
        self._engine: Any = None

    def of(self, blocks: Sequence[tuple[int, int]]) -> tuple[int, ...]:
        """Return those of all blocks so far and *blocks*, (link-time address, bytes), sorted."""
        for block in blocks:
            if block not in self._seen:
                self._seen.add(block)
                self._look(*block)
        return tuple(sorted(self._found))

    def _look(self, addr: int, size: int) -> None:
        if self._image.function_at(addr) is None:  # the vDSO's, or our own
            return
        code = self._image.elf.read(addr, size)
        for name, operands in self._instructions(code, addr):
            last = operands.rpartition(",")[2].strip()
            if name not in COMPARING or not last.lstrip("-").startswith(("0x", *"0123456789")):
                continue
            value = int(last, 0)
            if abs(value) >= SMALLEST:
                self._found |= {value & (1 << 64) - 1, value & 0xFFFF_FFFF} if value < 0 else {value, value + 1}

    def _instructions(self, code: bytes, addr: int) -> list[tuple[str, str]]:
        if self._engine is None:
            import capstone  # 0.15 s

            self._engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        return [(name, operands) for _, _, name, operands in self._engine.disasm_lite(code, addr)]
