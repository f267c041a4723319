"""Reads machine code for the reference builder: where an instruction holds an address that the linker put in.

On amd64 the Go toolchain addresses globals relative to the program counter and calls by 32-bit displacement, in
position-independent programs too; so a linker's address in code is the 4 bytes of such a displacement, and everything
else is the compiler's.  Jumps within a function are the compiler's as well.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

RIP_RELATIVE, RIP_MASK = 0x05, 0xC7  # ModRM: mod 00, r/m 101 (Intel SDM volume 2, table 2-7)
CONSTANT = re.compile(r"(?<= )-?(?:0x[0-9a-f]+|\d+)$")  # a last operand that is a number: "rax, 0x44"
PADDING = b"\xcc"  # INT3, what the linker fills up with between functions


class Reference(NamedTuple):
    """A linker's address at byte *at* of a function, counted from byte *end*: it means the address *target*."""

    at: int
    end: int
    target: int
    size: int  # bytes of memory that are read or written there; 0: the address is only taken, or called
    data: bool  # False: a call or a jump


class Decoder:
    """Disassembles functions; one serves any number of them."""

    def __init__(self) -> None:
        import capstone  # 0.15 s, and only the builder needs it
        from capstone import x86

        self._fast: Any = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        self._exact: Any = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        self._exact.detail = True  # five times slower, so only asked about the few that may hold an address
        self._jumps = frozenset({capstone.CS_GRP_JUMP, capstone.CS_GRP_CALL})
        self._lea, self._immediate, self._memory = x86.X86_INS_LEA, x86.X86_OP_IMM, x86.X86_OP_MEM

    def references(self, code: bytes, entry: int) -> tuple[list[Reference], set[int]] | None:
        """Return every linker's address in the function *code* at *entry*, and every constant that stands in its code.

        None if it holds what is no instruction.
        """
        found: list[Reference] = []
        constants: set[int] = set()
        end = entry
        for address, size, mnemonic, operands in self._fast.disasm_lite(code, entry):
            end = address + size
            # Without its sign: "sub rcx, -0x80" is shorter than "add rcx, 0x80".
            constants |= {abs(int(text, 0)) for text in CONSTANT.findall(operands)}
            if "rip" in operands or (mnemonic[0] in "jc" and operands.startswith("0x")):
                (instruction,) = self._exact.disasm(code[address - entry : end - entry], address)
                reference = self._reference(instruction, entry, len(code))
                if reference is not None:
                    found.append(reference)
        return (found, constants) if end == entry + len(code) else None

    def _reference(self, instruction: Any, entry: int, size: int) -> Reference | None:
        start = instruction.address - entry
        end = start + instruction.size
        if instruction.disp_offset and instruction.modrm & RIP_MASK == RIP_RELATIVE:
            memory = [o for o in instruction.operands if o.type == self._memory]
            width = 0 if instruction.id == self._lea or not memory else memory[0].size
            return Reference(start + instruction.disp_offset, end, entry + end + instruction.disp, width, True)
        if instruction.imm_size == 4 and not self._jumps.isdisjoint(instruction.groups):
            target = instruction.operands[0]
            if target.type == self._immediate and not entry <= target.imm < entry + size:
                return Reference(start + instruction.imm_offset, end, target.imm, 0, False)
        return None


def trimmed(code: bytes) -> bytes:
    """Return *code* without the linker's padding behind it."""
    return code.rstrip(PADDING)
