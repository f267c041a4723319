"""Which fixtures the image tests go over, and small ways to make damaged files of them."""

from __future__ import annotations

import struct

from emu.image.elf import PHDR, SHDR, SHF_COMPRESSED, parse

HELLOS = tuple(
    f"hello-{release}"
    for release in ("1.19.8", "1.21.13", "1.22.10", "1.23.9", "1.24.11", "1.25.5", "1.26.6", "1.27.3")
)
OLD = ("esbuild-0.0.2", "esbuild-0.1.0", "esbuild-0.5.0", "buildifier-4.0.1")  # Go 1.12.9, 1.13.8, 1.14.2, 1.15.3
PIES = ("hello-1.21.13-pie", "hello-1.24.11-pie", "hello-1.27.3-pie")
STRIPPED = ("hello-1.21.13-stripped", "hello-1.24.11-stripped", "hello-1.27.3-stripped")
TYPED = (*OLD, *HELLOS, *PIES)
EVERY = (*TYPED, *STRIPPED)

PHDR_FIELDS = ("type", "flags", "offset", "vaddr", "paddr", "filesz", "memsz", "align")


def patched(data: bytes, offset: int, code: str, value: int) -> bytes:
    """Return *data* with *value* stored at *offset* in the struct code *code* ("<H", "<Q", ...)."""
    out = bytearray(data)
    struct.pack_into(code, out, offset, value)
    return bytes(out)


def with_program(data: bytes, kind: int, which: int = 0, **fields: int) -> bytes:
    """Return *data* with fields of the *which*-th program header of type *kind* replaced."""
    elf = parse(data)
    index = [i for i, p in enumerate(elf.programs) if p.type == kind][which]
    header = elf.programs[index]._replace(**fields)
    at = elf.header.phoff + index * PHDR.size
    return data[:at] + PHDR.pack(*header) + data[at + PHDR.size :]


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
