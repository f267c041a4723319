"""What a dynamic loader would have to do before a program's entry point: libraries and relocations.

A pure Go program built with ``-buildmode=pie`` (internal linking, 1.19 to 1.27 looked at) names a loader in
PT_INTERP, needs no library, and carries nothing but R_X86_64_RELATIVE in DT_RELA: the loader adds the load bias to
each place, and jumps.  A static PIE linked by a C toolchain has no PT_INTERP and relocates itself; the kernel never
does.
Specification: gABI chapter 5, "Dynamic Section"; x86-64 psABI 4.4, "Relocation".
"""

import struct

from emu.image.elf import PT_DYNAMIC, Elf
from emu.image.errors import Unreadable
from syscalls.light import NamedTuple

DYN = struct.Struct("<qQ")  # Elf64_Dyn: tag, value
RELA = struct.Struct("<QQq")  # Elf64_Rela: offset, info, addend
DT_NULL, DT_NEEDED, DT_PLTRELSZ, DT_STRTAB, DT_RELA, DT_RELASZ, DT_JMPREL, DT_RELR = 0, 1, 2, 5, 7, 8, 23, 36
R_X86_64_RELATIVE = 8
TYPE_MASK = 0xFFFFFFFF
MAX_NAME = 4096


class Dynamic(NamedTuple):
    """The loader's work.  Adding the load bias to *addend* and storing the 8 bytes at *addr* + bias is a relocation."""

    needed: tuple[str, ...] = ()  # shared libraries
    relocations: tuple[tuple[int, int], ...] = ()  # R_X86_64_RELATIVE: (addr, addend), both link-time
    others: int = 0  # relocations of types that need a symbol table, or a packed form: a real loader's work


def read(elf: Elf) -> Dynamic:
    """Return what the dynamic section of *elf* asks for; raise Unreadable if it points outside the file."""
    program = next((p for p in elf.programs if p.type == PT_DYNAMIC), None)
    if program is None:
        return Dynamic()
    raw = elf.data[program.offset : program.offset + program.filesz]
    tags: dict[int, int] = {}
    needed: list[int] = []
    for tag, value in DYN.iter_unpack(raw[: len(raw) - len(raw) % DYN.size]):
        if tag == DT_NULL:
            break
        tags[tag] = value
        if tag == DT_NEEDED:
            needed.append(value)
    relative, others = [], int(DT_RELR in tags)
    for table, size in ((DT_RELA, DT_RELASZ), (DT_JMPREL, DT_PLTRELSZ)):
        entries = elf.read(tags[table], tags[size]) if tags.get(table) and tags.get(size) else b""
        for addr, info, addend in RELA.iter_unpack(entries[: len(entries) - len(entries) % RELA.size]):
            if info & TYPE_MASK == R_X86_64_RELATIVE:
                relative.append((addr, addend))
            else:
                others += 1
    names = tuple(_name(elf, tags.get(DT_STRTAB, 0) + at) for at in needed)
    return Dynamic(names, tuple(relative), others)


def _name(elf: Elf, addr: int) -> str:
    at = elf.offset_of(addr)
    end = elf.data.find(b"\0", at, at + MAX_NAME)
    if end < 0:
        raise Unreadable(f"a library's name at {addr:#x} does not end")
    return elf.data[at:end].decode("utf-8", "replace")
