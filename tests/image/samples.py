"""Which fixtures the image tests go over, and small ways to make damaged files of them."""

from __future__ import annotations

import struct

from emu.image import Layouts
from emu.image.elf import PHDR, SHDR, SHF_COMPRESSED, parse

HELLOS = tuple(
    f"hello-{release}"
    for release in ("1.19.8", "1.21.13", "1.22.10", "1.23.9", "1.24.11", "1.25.5", "1.26.6", "1.27.3")
)
OLD = ("esbuild-0.0.2", "esbuild-0.1.0", "esbuild-0.5.0", "buildifier-4.0.1")  # Go 1.12.9, 1.13.8, 1.14.2, 1.15.3
PIES = ("hello-1.21.13-pie", "hello-1.24.11-pie", "hello-1.27.3-pie")
STRIPPED = ("hello-1.21.13-stripped", "hello-1.24.11-stripped", "hello-1.27.3-stripped")
OLD_WITH_DWARF = (*OLD, "buildifier-4.2.1", "buildifier-4.2.5", "buildifier-6.3.3")  # and Go 1.16.5, 1.17.2, 1.20.3
TYPED = (*OLD, *HELLOS, *PIES)
EVERY = (*TYPED, *STRIPPED)

SHOFF_AT, SHNUM_AT = 40, 60  # byte offsets in Elf64_Ehdr: e_shoff; e_shnum, and e_shstrndx after it
Place = tuple[int, str, int]  # of a leaf: address, kind, size
PHDR_FIELDS = ("type", "flags", "offset", "vaddr", "paddr", "filesz", "memsz", "align")


def patched(data: bytes, offset: int, code: str, *values: int) -> bytes:
    """Return *data* with *values* stored at *offset* in the struct code *code* ("<H", "<Q", ...)."""
    out = bytearray(data)
    struct.pack_into(code, out, offset, *values)
    return bytes(out)


def with_program(data: bytes, kind: int, which: int = 0, **fields: int) -> bytes:
    """Return *data* with fields of the *which*-th program header of type *kind* replaced."""
    elf = parse(data)
    index = [i for i, p in enumerate(elf.programs) if p.type == kind][which]
    header = elf.programs[index]._replace(**fields)
    at = elf.header.phoff + index * PHDR.size
    return data[:at] + PHDR.pack(*header) + data[at + PHDR.size :]


def without_sections(data: bytes) -> bytes:
    """Return *data* without its section table: no symbols and no debugging information, as after `sstrip`."""
    return patched(patched(data, SHOFF_AT, "<Q", 0), SHNUM_AT, "<HH", 0, 0)


def decompressed(data: bytes) -> bytes:
    """Return *data* with its compressed sections appended in plain form, so that damage reaches what they hold."""
    elf = parse(data)
    out = bytearray(data)
    for i, section in enumerate(elf.sections, 1):
        if section.flags & SHF_COMPRESSED:
            plain = elf.contents(section)
            at = elf.header.shoff + i * SHDR.size
            header = list(SHDR.unpack_from(out, at))
            header[2] &= ~SHF_COMPRESSED
            header[4:6] = len(out), len(plain)
            SHDR.pack_into(out, at, *header)
            out += plain
    return bytes(out)


def leaves(layouts: Layouts) -> dict[str, Place]:
    """Return address, kind and size of every leaf of every typed variable."""
    return {
        leaf.path: (variable.addr + leaf.offset, leaf.type.kind, leaf.type.size)
        for variable in layouts.globals()
        if variable.type.kind != "opaque"
        for leaf in layouts.leaves(variable.type, path=variable.name)
    }
