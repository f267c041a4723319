"""The ELF reader: what readelf says, and a sentence for everything that is not a Go program for x86-64 Linux."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from emu.image import Image, ImageError, load, parse
from emu.image.elf import CHDR, PT_INTERP, PT_LOAD, PT_NOTE, SHDR, SHF_COMPRESSED
from emu.image.elf import parse as parse_elf
from emu.image.errors import Unreadable
from tests.image.samples import EVERY, decompressed, patched, with_program

READELF = shutil.which("readelf")
SECTION = re.compile(r"\s*\[\s*\d+\] (\S+)\s+(\S+)\s+([0-9a-f]{16}) ([0-9a-f]+) ([0-9a-f]+)")
LOAD = re.compile(r"\s*LOAD\s+(0x\w+) (0x\w+) 0x\w+ (0x\w+) (0x\w+) ([R ][W ][E ])")

# Offsets of header fields, gABI chapter 4
E_CLASS, E_DATA, E_VERSION, E_TYPE, E_MACHINE, E_ENTRY, E_PHOFF, E_SHOFF = 4, 5, 6, 16, 18, 24, 32, 40
E_PHENTSIZE, E_PHNUM, E_SHENTSIZE, E_SHNUM = 54, 56, 58, 60


@pytest.fixture(scope="module")
def hello(binary: Callable[[str], Path]) -> bytes:
    return binary("hello-1.27.3").read_bytes()


@pytest.mark.skipif(READELF is None, reason="readelf is not installed")
@pytest.mark.parametrize("name", [*EVERY, "hello-1.27.3-dynamic"])
def test_segments_and_sections_are_what_readelf_shows(
    name: str, image: Callable[[str], Image], binary: Callable[[str], Path]
) -> None:
    assert READELF
    out = subprocess.run([READELF, "-lSW", binary(name)], capture_output=True, text=True, check=True).stdout
    sections = [(m[1], int(m[3], 16), int(m[4], 16), int(m[5], 16)) for m in SECTION.finditer(out)]
    loads = [(*(int(x, 16) for x in m.groups()[:4]), m[5]) for m in LOAD.finditer(out)]

    found = image(name)

    assert [(s.name, s.addr, s.offset, s.size) for s in found.sections] == sections
    assert [
        (
            s.offset,
            s.addr,
            s.file_size,
            s.size,
            "".join(c if s.prot & bit else " " for c, bit in zip("RWE", (1, 2, 4), strict=True)),
        )
        for s in found.segments
    ] == loads
    assert int(re.search(r"Entry point (0x\w+)", out)[1], 16) == found.entry  # type: ignore[index]


@pytest.mark.parametrize(
    ("offset", "code", "value", "message"),
    [
        (E_CLASS, "<B", 1, "a 32-bit ELF file"),
        (E_CLASS, "<B", 7, "ELF class 7"),
        (E_DATA, "<B", 2, "big-endian"),
        (E_VERSION, "<B", 3, "ELF version 3"),
        (E_TYPE, "<H", 1, "a relocatable object, not an executable"),
        (E_TYPE, "<H", 4, "a core dump, not an executable"),
        (E_TYPE, "<H", 0xFE00, "ELF type 65024"),
        (E_MACHINE, "<H", 183, "an ELF file for ARM64"),
        (E_MACHINE, "<H", 3, "an ELF file for 32-bit x86"),
        (E_MACHINE, "<H", 4711, "machine 4711"),
        (E_ENTRY, "<Q", 0x10, "the entry point 0x10 is not in an executable segment"),
        (E_PHOFF, "<Q", 1 << 63, "truncated: program headers end at"),
        (E_PHENTSIZE, "<H", 32, "program headers of 32 bytes"),
        (E_PHNUM, "<H", 0, "no program headers"),
        (E_PHNUM, "<H", 0xFFFF, "truncated: program headers end at"),
        (E_PHNUM, "<H", 2, "no PT_LOAD segment"),
    ],
)
def test_a_wrong_header_field_is_refused_by_name(
    hello: bytes, offset: int, code: str, value: int, message: str
) -> None:
    with pytest.raises(ImageError, match=re.escape(message)):
        parse(patched(hello, offset, code, value), "hello")


@pytest.mark.parametrize(
    ("which", "fields", "message"),
    [
        (0, {"filesz": 1 << 40, "memsz": 1 << 40}, "truncated: segment"),
        (0, {"offset": (1 << 64) - 4096}, "truncated: segment"),
        (0, {"memsz": 16}, "16 in memory"),
        (2, {"memsz": 1 << 62}, "outside the 47-bit user address space"),
        (2, {"vaddr": (1 << 64) - 4096}, "outside the 47-bit user address space"),
        (2, {"memsz": 17 << 30}, "bytes; more than"),
        (1, {"vaddr": 0x401000}, "segments overlap"),
        (1, {"vaddr": 0x49A010}, "differ within a page"),
    ],
)
def test_a_wrong_segment_is_refused(hello: bytes, which: int, fields: dict[str, int], message: str) -> None:
    with pytest.raises(ImageError, match=re.escape(message)):
        parse(with_program(hello, PT_LOAD, which, **fields), "hello")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\x7fEL", "not an ELF file"),
        (b"\x7fELF\x02\x01\x01", "truncated: 7 bytes"),
        (b"#!/bin/sh\necho\n", "not an ELF file (a script)"),
        (b"MZ" + bytes(100), "(a Windows program)"),
        (bytes.fromhex("cffaedfe") + bytes(100), "(a Mach-O program)"),
        (bytes(4096), "(starts with zero bytes)"),
        (bytes(range(1, 256)) * 16, "not an ELF file (starts with 01 02 03 04)"),
    ],
)
def test_other_files_are_refused_with_a_sentence(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)

    with pytest.raises(ImageError, match=re.escape(message)) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    cases = {tmp_path / "none": "no such file", tmp_path: "is a directory", tmp_path / "fifo": "not a regular file"}
    for path, message in cases.items():
        with pytest.raises(ImageError, match=message):
            load(path)
    with pytest.raises(ImageError, match="null byte"):
        load("a\0b")


def test_a_newline_in_the_name_does_not_break_the_line(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"'.*a\\nb': no such file"):
        load(tmp_path / "a\nb")


def test_programs_that_are_not_go_are_refused() -> None:
    with pytest.raises(ImageError, match=r"not a Go program.*needs the loader /lib64/ld-linux-x86-64.so.2"):
        load("/bin/true")


def test_a_loader_is_named_and_refused_unless_asked_for(binary: Callable[[str], Path]) -> None:
    path = binary("hello-1.27.3-dynamic")

    with pytest.raises(ImageError, match=r"needs the loader /lib64/ld-linux-x86-64\.so\.2: .*go1\.27\.3"):
        load(path)
    assert load(path, dynamic=True).kind == "dynamic"


def test_the_loaders_relocations_are_those_of_readelf(binary: Callable[[str], Path]) -> None:
    if READELF is None:
        pytest.skip("readelf is not installed")
    path = binary("hello-1.27.3-dynamic")
    out = subprocess.run([READELF, "-rW", path], capture_output=True, text=True, check=True).stdout
    rows = re.findall(r"^([0-9a-f]{16})\s+0{15}8 R_X86_64_RELATIVE\s+([0-9a-f]+)$", out, re.MULTILINE)

    found = load(path, dynamic=True).dynamic

    assert rows
    assert sorted(found.relocations) == sorted((int(a, 16), int(b, 16)) for a, b in rows)
    assert (found.needed, found.others) == ((), 0)


def test_a_damaged_interpreter_is_refused(hello: bytes) -> None:
    # PT_NOTE made into PT_INTERP: no NUL at its end
    bad = with_program(hello, PT_NOTE, type=PT_INTERP, filesz=5)
    with pytest.raises(ImageError, match="PT_INTERP"):
        parse(bad, "hello")


def test_packed_programs_are_told_apart(hello: bytes) -> None:
    """UPX leaves no Go marks readable, and its own magic after the program headers."""
    elf = parse_elf(hello)
    text = next(s for s in elf.segments if s.prot & 4)
    packed = bytearray(hello[: text.offset + text.file_size])
    end = elf.header.phoff + elf.header.phnum * 56
    packed[end : end + 4] = b"UPX!"
    struct.pack_into("<H", packed, E_PHNUM, 3)  # the first PT_LOAD is all that is left
    struct.pack_into("<Q", packed, E_SHOFF, 0)

    with pytest.raises(ImageError, match="packed by UPX"):
        parse(bytes(packed), "packed")


@pytest.mark.parametrize(
    ("offset", "code", "value"), [(E_SHOFF, "<Q", 1 << 60), (E_SHENTSIZE, "<H", 10), (E_SHNUM, "<H", 0)]
)
def test_a_damaged_section_table_costs_only_the_sections(hello: bytes, offset: int, code: str, value: int) -> None:
    found = parse(patched(hello, offset, code, value), "hello")

    assert found.sections == ()
    assert any("section headers" in note for note in found.notes)
    assert found.function("runtime.schedinit") is not None
    assert found.moduledata is not None


def test_compressed_sections_cannot_grow_without_bound(hello: bytes) -> None:
    elf = parse_elf(hello)
    section = next(s for s in elf.sections if s.flags & SHF_COMPRESSED)
    huge = parse_elf(hello[: section.offset] + CHDR.pack(1, 0, 1 << 40, 1) + hello[section.offset + CHDR.size :])
    zstd = parse_elf(hello[: section.offset] + CHDR.pack(2, 0, 100, 1) + hello[section.offset + CHDR.size :])
    wrong = parse_elf(hello[: section.offset] + CHDR.pack(1, 0, 100, 1) + hello[section.offset + CHDR.size :])

    for bad, message in ((huge, "claims"), (zstd, "not zlib"), (wrong, "101 bytes decompressed")):
        with pytest.raises(Unreadable, match=message):
            bad.contents(section)


def test_the_decompressing_helper_changes_nothing_but_the_form(hello: bytes) -> None:
    before, after = parse_elf(hello), parse_elf(decompressed(hello))

    assert len(before.sections) == len(after.sections)
    for a, b in zip(before.sections, after.sections, strict=True):
        assert before.contents(a) == after.contents(b)
    assert SHDR.size == 64
