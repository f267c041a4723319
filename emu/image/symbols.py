"""The ELF symbol table: names to addresses and back.  Decoded once, when first asked for.

Assembly functions and ABI wrappers carry the suffix ``.abi0`` from Go 1.17 on; names are kept as the table spells
them.  Specification: gABI chapter 4, "Symbol Table".
"""

import struct
from bisect import bisect_right
from functools import cached_property

from emu.image.elf import SHT_SYMTAB, Elf
from emu.image.errors import Unreadable
from syscalls.light import NamedTuple

SYM = struct.Struct("<IBBHQQ")  # Elf64_Sym: name, info, other, shndx, value, size
STT_OBJECT, STT_FUNC, STT_FILE = 1, 2, 4
TYPE_MASK = 15
SHN_UNDEF = 0
MADE_BY_US = "rt0 symbolize"  # the name of a "file": marks a table that emu.image.symbolize made for a stripped program


class Symbol(NamedTuple):
    """One symbol: a function (kind STT_FUNC), an object (STT_OBJECT) or something else, at a link-time address."""

    name: str
    addr: int
    size: int
    kind: int


class SymbolTable:
    """The symbols of one file; empty for a stripped one."""

    def __init__(self, elf: Elf) -> None:
        self._elf = elf
        self._section = next((s for s in elf.sections if s.type == SHT_SYMTAB), None)

    def __bool__(self) -> bool:
        return self._section is not None and self._section.file_size > SYM.size

    @property
    def is_partial(self) -> bool:
        """True if no linker made the table: that it lacks a name does not say that the program lacks the thing."""
        return MADE_BY_US in self._by_name

    @cached_property
    def all(self) -> tuple[Symbol, ...]:
        """Every defined, named symbol, in the order of the table; a damaged entry is left out."""
        section = self._section
        if section is None or not 0 < section.link <= len(self._elf.sections):
            return ()
        try:
            strings = self._elf.contents(self._elf.sections[section.link - 1])
            raw = self._elf.contents(section)
        except Unreadable:
            return ()
        symbols = []
        for name, info, _, shndx, value, size in SYM.iter_unpack(raw[: len(raw) - len(raw) % SYM.size]):
            end = strings.find(b"\0", name)
            if shndx != SHN_UNDEF and end > name:
                symbols.append(Symbol(strings[name:end].decode("utf-8", "replace"), value, size, info & TYPE_MASK))
        return tuple(symbols)

    @cached_property
    def _by_name(self) -> dict[str, Symbol]:
        return {s.name: s for s in reversed(self.all)}

    @cached_property
    def _by_addr(self) -> tuple[list[int], list[Symbol]]:
        sized = sorted((s for s in self.all if s.size), key=lambda s: s.addr)
        return [s.addr for s in sized], sized

    def get(self, name: str) -> Symbol | None:
        """Return the symbol called exactly *name*."""
        return self._by_name.get(name)

    def at(self, addr: int) -> Symbol | None:
        """Return the symbol that covers *addr*: the last one that starts at or before it, if it reaches that far."""
        addrs, symbols = self._by_addr
        i = bisect_right(addrs, addr) - 1
        return symbols[i] if i >= 0 and addr < symbols[i].addr + symbols[i].size else None
