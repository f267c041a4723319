"""The entry reader on hand-made bytes: forms, numbers, and refusals."""

from __future__ import annotations

import struct

import pytest

from emu.image.dwarf import (
    AT_CONST_VALUE,
    AT_NAME,
    FORM_IMPLICIT_CONST,
    FORM_SDATA,
    FORM_STRING,
    TAG_COMPILE_UNIT,
    TAG_STRUCT,
    TAG_VARIABLE,
    Dwarf,
)
from emu.image.elf import Ehdr, Elf, Section
from emu.image.errors import Unreadable


def made(info: bytes, abbreviations: bytes, version: int = 4) -> Dwarf:
    """Return a Dwarf over one unit that holds *info*."""
    rest = struct.pack("<HIB", version, 0, 8) if version < 5 else struct.pack("<HBBI", version, 1, 8, 0)
    unit = struct.pack("<I", len(rest) + len(info)) + rest + info
    data = abbreviations + unit
    sections = (
        Section(".debug_abbrev", 1, 0, 0, len(abbreviations), 0, len(abbreviations), 0, 0),
        Section(".debug_info", 1, 0, 0, len(unit), len(abbreviations), len(unit), 0, 0),
    )
    return Dwarf(Elf(data, Ehdr(b"", *[0] * 13), (), (), sections, None, ()))


def row(code: int, tag: int, children: bool, *attributes: bytes) -> bytes:
    return bytes([code, tag, children]) + b"".join(attributes) + b"\0\0"


UNIT = row(1, TAG_COMPILE_UNIT, True)
NAMED = row(2, TAG_VARIABLE, False, bytes([AT_NAME, FORM_STRING, AT_CONST_VALUE, FORM_SDATA]))


@pytest.mark.parametrize("version", [2, 3, 4, 5])
@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        (b"\x02", 2),
        (b"\x7e", -2),
        (b"\xff\x00", 127),
        (b"\x81\x7f", -127),
        (b"\x80\x01", 128),
        (b"\x80\x7f", -128),
        (b"\0", 0),
    ],
)
def test_signed_numbers_are_the_standards(version: int, encoded: bytes, value: int) -> None:
    """DWARF 5, table 7.8: examples of signed LEB128."""
    dwarf = made(b"\1\2x\0" + encoded + b"\0", UNIT + NAMED + b"\0", version)

    (entry,) = dwarf.top_level(dwarf.units[0], frozenset({TAG_VARIABLE}))

    assert (entry.text(AT_NAME), entry.number(AT_CONST_VALUE)) == ("x", value)


def test_constants_may_stand_in_the_abbreviation() -> None:
    constant = row(3, TAG_VARIABLE, False, bytes([AT_CONST_VALUE, FORM_IMPLICIT_CONST, 0x7E]))
    dwarf = made(b"\1\3\0", UNIT + constant + b"\0", 5)

    (entry,) = dwarf.top_level(dwarf.units[0], frozenset({TAG_VARIABLE}))

    assert entry.number(AT_CONST_VALUE) == -2


def test_children_of_children_are_jumped_over() -> None:
    inner = row(3, TAG_STRUCT, True, bytes([AT_NAME, FORM_STRING]))
    dwarf = made(
        b"\1" + b"\3a\0" + b"\3b\0" + b"\2c\0\1" + b"\0" + b"\0" + b"\2d\0\1" + b"\0", UNIT + NAMED + inner + b"\0"
    )

    found = list(dwarf.top_level(dwarf.units[0], frozenset({TAG_STRUCT, TAG_VARIABLE})))

    assert [e.text(AT_NAME) for e in found] == ["a", "d"]
    assert [e.text(AT_NAME) for e in dwarf.children(found[0], frozenset({TAG_STRUCT}))] == ["b"]


@pytest.mark.parametrize(
    ("info", "abbreviations", "message"),
    [
        (b"\1\7", UNIT + b"\0", "no abbreviation 7"),
        (b"\1\2endless", UNIT + NAMED + b"\0", "cut short"),
        (b"\1\2x\0\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\0", UNIT + NAMED + b"\0", "cut short"),
        (b"\1", UNIT + row(2, TAG_VARIABLE, False, bytes([AT_NAME, 0x7F])) + b"\0", "form 0x7f"),
        (b"\1", UNIT[:2], "bad LEB128|cut short"),
    ],
)
def test_bytes_that_make_no_sense_are_unreadable(info: bytes, abbreviations: bytes, message: str) -> None:
    def walk() -> None:
        dwarf = made(info, abbreviations)
        list(dwarf.top_level(dwarf.units[0], frozenset({TAG_VARIABLE})))

    with pytest.raises(Unreadable, match=message):
        walk()


@pytest.mark.parametrize(
    ("change", "message"),
    [({0: 0xFF}, "bad unit header"), ({4: 9}, "bad unit header|unit type"), ({10: 4}, "bad unit header")],
)
def test_a_damaged_unit_header_is_unreadable(change: dict[int, int], message: str) -> None:
    unit = bytearray(struct.pack("<IHIB", 9, 4, 0, 8) + b"\1\0")
    for at, value in change.items():
        unit[at] = value
    abbreviations = UNIT + b"\0"
    sections = (
        Section(".debug_abbrev", 1, 0, 0, len(abbreviations), 0, len(abbreviations), 0, 0),
        Section(".debug_info", 1, 0, 0, len(unit), len(abbreviations), len(unit), 0, 0),
    )
    with pytest.raises(Unreadable, match=message):
        Dwarf(Elf(abbreviations + bytes(unit), Ehdr(b"", *[0] * 13), (), (), sections, None, ()))
