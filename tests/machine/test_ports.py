"""The first I/O instruction of a block: what the machine has to find by itself."""

from __future__ import annotations

import pytest

from emu.machine.decode import first_port_instruction


@pytest.mark.parametrize(
    ("code", "offset"),
    [
        ("ec", 0),  # in al, dx
        ("9090ef", 2),  # nop; nop; out dx, eax
        ("b8ec000000e670", 5),  # mov eax, 0xec; out 0x70, al: the immediate is no instruction
        ("66ed", 0),  # in ax, dx
        ("4889e66e", 3),  # mov rsi, rsp; outsb
        ("31c0c3", 0),  # none
        ("ffffffffffff", 0),
        ("48", 0),
    ],
)
def test_the_first_one_is_found(code: str, offset: int) -> None:
    """By its opcode, behind prefixes, and not within another instruction."""
    assert first_port_instruction(bytes.fromhex(code)) == offset
