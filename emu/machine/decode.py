"""Lengths of x86-64 instructions, and the kinds of them that matter to counting and to faults.

Where a disassembler's import would cost more than the run: for counting without the native module, and for faults.
Covers what runs in user mode in 64-bit mode: the one-byte, 0F, 0F 38 and 0F 3A maps and VEX; an instruction it does not
know is taken to reach to the end of the code given.  Source: Intel SDM vol. 2, chapter 2 and appendix A.
"""

from __future__ import annotations

_LEGACY = frozenset((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3))
_REX = range(0x40, 0x50)
_PREFIXES = _LEGACY.union(_REX)
_STRING = frozenset((*range(0x6C, 0x70), *range(0xA4, 0xA8), *range(0xAA, 0xB0)))
_PORTS = frozenset((*range(0x6C, 0x70), *range(0xE4, 0xE8), *range(0xEC, 0xF0)))  # IN, OUT, INS, OUTS
# Opcodes after which the engine ends a block.
_ENDS = frozenset((*range(0x70, 0x80), 0x8E, 0x9D, 0xC2, 0xC3, *range(0xCA, 0xD0), *range(0xE0, 0xE4), 0xE8, 0xE9))
_ENDS |= {0xEB, 0xF4}
_ENDS_0F = frozenset((0x05, 0x07, 0x0B, 0x34, 0x35, 0xB9, 0xFF, *range(0x80, 0x90)))

_arithmetic = [block + column for block in range(0, 0x40, 8) for column in range(4)]
_MODRM = frozenset(
    (*_arithmetic, 0x63, 0x69, 0x6B, *range(0x80, 0x90), 0xC0, 0xC1, 0xC6, 0xC7, *range(0xD0, 0xD4), *range(0xD8, 0xE0))
) | {0xF6, 0xF7, 0xFE, 0xFF}
_IMMEDIATE_8 = frozenset(
    (
        *range(0x04, 0x40, 8),
        0x6A,
        0x6B,
        *range(0x70, 0x80),
        0x80,
        0x82,
        0x83,
        0xA8,
        *range(0xB0, 0xB8),
        0xC0,
        0xC1,
        0xC6,
    )
) | {0xCD, *range(0xE0, 0xE8), 0xEB}
_IMMEDIATE_32 = frozenset((*range(0x05, 0x40, 8), 0x68, 0x69, 0x81, 0xA9, 0xC7))  # 16 bits with prefix 66
_NO_MODRM_0F = frozenset(
    (*range(0x05, 0x0A), 0x0B, 0x0E, *range(0x30, 0x38), 0x77, *range(0x80, 0x90), 0xA0, 0xA1, 0xA2, 0xA8, 0xA9, 0xAA)
) | frozenset(range(0xC8, 0xD0))
_IMMEDIATE_8_0F = frozenset((0x70, 0x71, 0x72, 0x73, 0xA4, 0xAC, 0xBA, 0xC2, 0xC4, 0xC5, 0xC6))
# Those that change what is in memory: opcode -> for which of the values of ModRM.reg, as bits.
_REWRITES = {
    **{opcode + width: 0xFF for opcode in range(0, 0x38, 8) for width in (0, 1)},  # ADD to XOR; CMP is not among them
    **dict.fromkeys((0x80, 0x81, 0x83), 0x7F),
    **dict.fromkeys((0x86, 0x87, 0xC0, 0xC1, 0xD0, 0xD1, 0xD2, 0xD3), 0xFF),  # XCHG; shifts
    **dict.fromkeys((0xF6, 0xF7), 0x0C),  # NOT, NEG
    **dict.fromkeys((0xFE, 0xFF), 0x03),  # INC, DEC
}
_REWRITES_0F = {
    **dict.fromkeys((0xA4, 0xA5, 0xAB, 0xAC, 0xAD, 0xB0, 0xB1, 0xB3, 0xBB, 0xC0, 0xC1), 0xFF),
    0xBA: 0xE0,  # BTS, BTR, BTC
    0xC7: 0x02,  # CMPXCHG8B, CMPXCHG16B
}
LONGEST = 15  # bytes of an instruction


def _opcode_at(code: bytes, at: int) -> int:
    while code[at] in _PREFIXES:
        at += 1
    return at


def _operand(code: bytes, at: int) -> int:
    # Bytes of the ModRM byte at *at*, SIB and displacement.
    mode, rm = code[at] >> 6, code[at] & 7
    if mode == 3:
        return 1
    size = 1
    if rm == 4:
        size = 2
        rm = code[at + 1] & 7
    return size + (1 if mode == 1 else 4 if mode == 2 or rm == 5 else 0)


def _one_byte(code: bytes, start: int, at: int) -> int:
    # Bytes from the opcode at *at* on; the prefixes stand from *start* on.
    opcode = code[at]
    wide = code[at - 1] in range(0x48, 0x50) if at > start else False
    word = 2 if 0x66 in code[start:at] and not wide else 4
    size = 1 + (_operand(code, at + 1) if opcode in _MODRM else 0)
    if opcode in _IMMEDIATE_8 or (opcode == 0xF6 and code[at + 1] & 0x38 < 0x10):
        return size + 1
    if opcode in _IMMEDIATE_32 or (opcode == 0xF7 and code[at + 1] & 0x38 < 0x10):
        return size + word
    if 0xB8 <= opcode <= 0xBF:
        return size + (8 if wide else word)
    if opcode in (0xE8, 0xE9):
        return size + 4
    if 0xA0 <= opcode <= 0xA3:
        return size + (4 if 0x67 in code[start:at] else 8)
    return size + {0xC2: 2, 0xCA: 2, 0xC8: 3}.get(opcode, 0)


def _two_byte(code: bytes, at: int) -> int:
    # The same for an opcode of map 0F, whose first byte is at *at*.
    opcode = code[at + 1]
    if opcode in (0x38, 0x3A):
        return 3 + _operand(code, at + 3) + (opcode == 0x3A)
    if opcode in _NO_MODRM_0F:
        return 6 if 0x80 <= opcode <= 0x8F else 2
    return 2 + _operand(code, at + 2) + (opcode in _IMMEDIATE_8_0F)


def _vex(code: bytes, at: int) -> int:
    long = code[at] == 0xC4
    space = code[at + 1] & 0x1F if long else 1
    opcode_at = at + (3 if long else 2)
    size = opcode_at - at + 1
    if space == 1 and code[opcode_at] == 0x77:
        return size
    return size + _operand(code, opcode_at + 1) + (space == 3 or (space == 1 and code[opcode_at] in _IMMEDIATE_8_0F))


def lengths(code: bytes) -> list[int]:
    """Return the length of each instruction of *code*, in bytes; they add up to ``len(code)``."""
    found = []
    start = 0
    end = len(code)
    code += bytes(16)  # so that a cut last instruction can be looked at
    while start < end:
        at = _opcode_at(code, start)
        opcode = code[at]
        if opcode == 0x0F:
            size = _two_byte(code, at)
        elif opcode in (0xC4, 0xC5):
            size = _vex(code, at)
        elif opcode == 0x62:
            size = end
        else:
            size = _one_byte(code, start, at)
        size = min(at + size, end) - start
        found.append(size)
        start += size
    return found


def whole(code: bytes) -> int:
    """How many bytes of *code* are whole instructions, where the last one may go on behind it."""
    end = 0
    for size in lengths(code + bytes(LONGEST)):
        if end + size > len(code):
            break
        end += size
    return end


def repeats(code: bytes) -> bool:
    """Tell whether the instruction *code* is a string instruction with a REP prefix."""
    at = _opcode_at(code, 0)
    return code[at] in _STRING and not {0xF2, 0xF3}.isdisjoint(code[:at])


def ends_block(code: bytes) -> bool:
    """Tell whether the engine ends a block after the instruction *code*."""
    at = _opcode_at(code, 0)
    if code[at] == 0x0F:
        return code[at + 1] in _ENDS_0F
    if code[at] == 0xFF:
        return code[at + 1] >> 3 & 7 in (2, 3, 4, 5)  # CALL and JMP, near and far
    return code[at] in _ENDS or repeats(code)


def rewrites(code: bytes) -> bool:
    """Tell whether the instruction *code* reads its one place in memory and writes it."""
    code += bytes(LONGEST)
    at = _opcode_at(code, 0)
    two = code[at] == 0x0F
    opcode, operand = code[at + two], code[at + two + 1]
    if operand >> 6 == 3:
        return False
    digit = 1 << (operand >> 3 & 7)
    return bool(digit & (_REWRITES_0F if two else _REWRITES).get(opcode, 0))


def branch(code: bytes) -> tuple[str, int]:
    """What the instruction *code* is of "ret", "call" and "jmp", near and not to a fixed place, and what RET drops."""
    at = _opcode_at(code, 0)
    if code[at] in (0xC2, 0xC3):
        return "ret", int.from_bytes(code[at + 1 : at + 3], "little")
    kind = code[at + 1] >> 3 & 7 if code[at] == 0xFF else 0
    return {2: "call", 4: "jmp"}.get(kind, ""), 0


def first_port_instruction(code: bytes) -> int:
    """The offset of the first IN, OUT, INS or OUTS of *code*; 0 if there is none."""
    at = 0
    padded = code + bytes(16)  # as above
    for length in lengths(code):
        if padded[_opcode_at(padded, at)] in _PORTS:
            return at
        at += length
    return 0
