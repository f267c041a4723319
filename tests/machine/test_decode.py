"""Lengths of instructions, against a disassembler over a Go program's whole text and against bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import capstone
import pytest
from elftools.elf.elffile import ELFFile

from emu.machine.decode import ends_block, lengths, repeats, rewrites


def test_lengths_agree_with_a_disassembler(binary: Callable[[str], Path]) -> None:
    """Each of the first instructions of a Go binary's text has the length that Capstone gives it."""
    with binary("hello-1.27.3").open("rb") as file:
        text = ELFFile(file).get_section_by_name(".text").data()[: 400 << 10]
    disassembler = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    disassembler.skipdata = True
    wrong, checked = [], 0
    for at, size, name, _ in disassembler.disasm_lite(text, 0):
        code = text[at : at + size]
        if name == ".byte" or code[0] == 0x62:  # EVEX is not for user code that the engine runs
            continue
        checked += 1
        if lengths(code + bytes(4))[0] != size:
            wrong.append(code.hex())

    assert wrong == []
    assert checked > 50_000


def test_last_instruction_takes_what_is_left() -> None:
    """Lengths add up to what was given, even if it ends within an instruction."""
    assert lengths(bytes.fromhex("90 b80100")) == [1, 3]
    assert lengths(b"") == []


@pytest.mark.parametrize("code", ["f3aa", "f2ae", "f348ab", "67f3aa", "f366a5"])
def test_string_instructions_with_rep_repeat(code: str) -> None:
    """A REP prefix in any place before a string instruction."""
    assert repeats(bytes.fromhex(code))
    assert ends_block(bytes.fromhex(code))


@pytest.mark.parametrize("code", ["aa", "f390", "f30f1ec0", "f30f10c0", "a8f3"])
def test_other_instructions_do_not_repeat(code: str) -> None:
    """No prefix, or a prefix that means something else."""
    assert not repeats(bytes.fromhex(code))
    assert not ends_block(bytes.fromhex(code))


@pytest.mark.parametrize(
    "code", ["eb00", "0f8500000000", "c3", "ffe0", "ff10", "41ffd3", "0f05", "0f0b", "e800000000", "cc"]
)
def test_transfers_end_a_block(code: str) -> None:
    """Jumps, calls, returns, system calls and deliberate faults."""
    assert ends_block(bytes.fromhex(code))


@pytest.mark.parametrize("code", ["ffc0", "ff30", "0f1f00", "0fa2", "90", "4889c3"])
def test_others_do_not_end_a_block(code: str) -> None:
    """INC, PUSH, NOP, CPUID, MOV."""
    assert not ends_block(bytes.fromhex(code))


def test_what_rewrites_memory_agrees_with_a_disassembler(binary: Callable[[str], Path]) -> None:
    """Each of the first instructions of a Go binary's text, by what Capstone says it does to its operand."""
    with binary("hello-1.27.3").open("rb") as file:
        text = ELFFile(file).get_section_by_name(".text").data()[: 400 << 10]
    disassembler = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    disassembler.skipdata = disassembler.detail = True
    both = capstone.CS_AC_READ | capstone.CS_AC_WRITE
    found, wrong = 0, []
    for instruction in disassembler.disasm(text, 0):
        if not instruction.id or instruction.bytes[0] in (0x62, 0xC4, 0xC5):
            continue
        operands = [operand for operand in instruction.operands if operand.type == capstone.x86.X86_OP_MEM]
        # Capstone has CMPXCHG as one that only reads.
        expected = any(operand.access == both for operand in operands) or instruction.mnemonic.endswith("cmpxchg")
        found += expected
        if rewrites(bytes(instruction.bytes)) != expected:
            wrong.append(str(instruction))

    assert wrong == []
    assert found > 100
