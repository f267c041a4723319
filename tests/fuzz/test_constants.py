"""Constants: what code compares with, by hand-assembled instructions."""

from __future__ import annotations

import pytest

from emu.fuzz.constants import compared


@pytest.mark.parametrize(
    ("code", "numbers"),
    [
        ("3d e8030000", {1000, 1001}),  # cmp eax, 1000
        ("4881fb e8030000", {1000, 1001}),  # cmp rbx, 1000
        ("6681fb e803", {1000, 1001}),  # cmp bx, 1000
        ("83f8 64", {100, 101}),  # cmp eax, 100
        ("83f8 f5", {0xFFFF_FFF5, 0xFFFF_FFFF_FFFF_FFF5}),  # cmp eax, -11
        ("80 7c 24 08 2f", {47, 48}),  # cmp byte [rsp + 8], '/'
        ("3c 0a", {10, 11}),  # cmp al, 10
        ("83e8 05", {5, 6}),  # sub eax, 5
        ("f7c3 00100000", {4096, 4097}),  # test ebx, 4096
        ("48b8 8877665544332211", {0x1122334455667788, 0x1122334455667789}),  # mov rax, imm64
        ("b8 e8030000", set()),  # mov eax, 1000
        ("83c0 05", set()),  # add eax, 5
        ("39d8", set()),  # cmp eax, ebx
        ("83f8 01", set()),  # cmp eax, 1: tried anyway
        ("3d e8030000 7404 4883f8 09", {1000, 1001, 9, 10}),  # cmp; je; cmp
        ("", set()),
    ],
)
def test_operands_that_are_compared(code: str, numbers: set[int]) -> None:
    """Of CMP, SUB, TEST and the long MOV, and of nothing else."""
    assert compared(bytes.fromhex(code)) == numbers
