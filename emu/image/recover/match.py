"""Finds the functions of a program whose code is the same as in a reference, and what their sites say.

A function is the same if some function of its name, a wrapper or a body, has the reference's code once the linker's
addresses are taken out of both.  That is a proof: of what its code does, of where it finds each variable, of the
fields it touches.  No instruction is decoded here.
"""

from collections.abc import Iterator
from typing import NamedTuple

from emu.image.elf import Elf
from emu.image.errors import Unreadable
from emu.image.pclntab import Pclntab
from emu.image.reference.format import MASK, Code, Reference, Site, digest

PADDING = 0xCC  # INT3, between functions
MAX_KEY = 64  # bytes of a string that names an element
MAX_PADDING = 63  # bytes; functions start on multiples of 16 to 64


class Matches(NamedTuple):
    """What of *reference* the program has."""

    reference: Reference
    same: tuple[tuple[Code, int], ...]  # functions of the same code, with their entries
    differing: tuple[Code, ...]  # those of which the program has the name, but no code that the reference knows
    absent: tuple[Code, ...]  # those of which it does not have the name

    @property
    def share(self) -> float:
        """Which part of the functions that both have is the same."""
        return len(self.same) / max(1, len(self.same) + len({(code.name, code.wrapper) for code in self.differing}))

    def others(self, absent: bool) -> Iterator[Code]:
        """Yield the functions whose code the program does not have; with *absent*, also those not there by name."""
        yield from self.differing
        if absent:
            yield from self.absent

    def sites(self, elf: Elf) -> Iterator[tuple[Site, int, str]]:
        """Yield every site, the address that it holds in the program *elf*, and where it stands: "runtime.args+0x4"."""
        for code, entry in self.same:
            for site in code.sites:
                yield site, address(elf, entry, site), f"{code.name}+{site.at:#x}"


def match(elf: Elf, table: Pclntab, reference: Reference) -> Matches:
    """Return which functions of *reference* the program has."""
    same: list[tuple[Code, int]] = []
    others: list[Code] = []
    for code in reference.functions:
        entries = table.by_name.get(code.name, ())
        found = next((entry for entry in entries if is_same(elf, table, code, entry)), None)
        if found is None:
            others.append(code)
        else:
            same.append((code, found))
    # A reference may know several codes of one function, for several build modes.
    known = {(code.name, code.wrapper) for code, _ in same}
    differing = tuple(c for c in others if c.name in table.by_name and (c.name, c.wrapper) not in known)
    absent = tuple(c for c in others if c.name not in table.by_name)
    return Matches(reference, tuple(same), differing, absent)


def is_same(elf: Elf, table: Pclntab, code: Code, entry: int) -> bool:
    """Tell whether the function at *entry* has the code that the reference says, and nothing but padding after it."""
    i = table.index(entry)
    if i is None:
        return False
    start, end = table.bounds(i)
    if start != entry or not code.size <= end - entry <= code.size + MAX_PADDING:
        return False
    try:
        raw = bytearray(elf.read(entry, end - entry))
    except Unreadable:
        return False
    if any(byte != PADDING for byte in raw[code.size :]):
        return False
    del raw[code.size :]
    called = [callee(table, _target(raw, entry, at)) for at in code.calls]
    for at in code.masks:
        raw[at : at + len(MASK)] = MASK
    return digest(raw, called) == code.digest


def callee(table: Pclntab, target: int) -> str:
    """Return what a call of the address *target* calls: "runtime.mallocgc", or with an offset "runtime.duffzero+32"."""
    name = table.by_entry.get(target)
    if name is None:
        function = table.find(target)
        name = f"{function.name}+{target - function.entry}" if function else ""
    return name


def go_string(elf: Elf, addr: int) -> str:
    """Return the Go string whose header is at *addr*, if it is a short one; raise Unreadable if it is not there."""
    data, size = (int.from_bytes(elf.read(addr + i, 8), "little") for i in (0, 8))
    return elf.read(data, size).decode("utf-8", "replace") if 0 < size <= MAX_KEY else ""


def _target(code: bytearray, entry: int, at: int) -> int:
    return entry + at + len(MASK) + int.from_bytes(code[at : at + len(MASK)], "little", signed=True)


def address(elf: Elf, entry: int, site: Site) -> int:
    """Return the address that *site* of the function at *entry* holds; the function is one that :func:`match` found."""
    return entry + site.end + int.from_bytes(elf.read(entry + site.at, len(MASK)), "little", signed=True)
