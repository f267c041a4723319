"""runtime.firstmoduledata: where the linker put code, data and tables.

It is found by its symbol or, in a stripped file, by its first word: in every release that is the address of the
pclntab, and no other aligned word of initialised writable data equals it.  Which release's layout it has is then
proven: minpc and maxpc must be those of the pclntab's own function table, every range must rise and lie in one
segment, every slice must be a full table inside the image.  The order of the fields is that of runtime/symtab.go in
the releases named below; tests compare it with the DWARF of real binaries.
"""

import struct
from collections.abc import Iterator

from emu.image.elf import PROT_EXEC, Elf, Segment
from emu.image.errors import Unreadable
from emu.image.pclntab import GO12, MAGIC, Pclntab, candidates
from emu.image.symbols import SymbolTable
from syscalls.light import NamedTuple

WORD = struct.Struct("<Q")
SYMBOL = "runtime.firstmoduledata"
MAX_TEXT = 4096  # bytes of a module name that are believed

# Fields in order: a plain name is a word, "[]" a slice (3 words), "$" a string (2 words).
_HEAD_115 = "pclntable[] ftab[] filetab[] findfunctab minpc maxpc text etext"
_HEAD_116 = "pcHeader funcnametab[] cutab[] filetab[] pctab[] pclntable[] ftab[] findfunctab minpc maxpc text etext"
_DATA = "noptrdata enoptrdata data edata bss ebss noptrbss enoptrbss"
_LINKS = "textsectmap[] typelinks[] itablinks[] ptab[] pluginpath$ pkghashes[]"
_TAIL = "modulename$ modulehashes[] hasmain"
_120 = f"{_HEAD_116} {_DATA} covctrs ecovctrs end gcdata gcbss"
_127 = (
    "types typedesclen etypes itaboffset itabsize rodata gofunc epclntab textsectmap[] ptab[] pluginpath$ pkghashes[]"
)
LAYOUTS: tuple[tuple[tuple[int, int], str], ...] = (  # (first release, fields), newest first
    ((1, 27), f"{_120} {_127} inittasks[] {_TAIL}"),
    ((1, 26), f"{_120} types etypes rodata gofunc epclntab {_LINKS} inittasks[] {_TAIL}"),
    ((1, 21), f"{_120} types etypes rodata gofunc {_LINKS} inittasks[] {_TAIL}"),
    ((1, 20), f"{_120} types etypes rodata gofunc {_LINKS} {_TAIL}"),
    ((1, 18), f"{_HEAD_116} {_DATA} end gcdata gcbss types etypes rodata gofunc {_LINKS} {_TAIL}"),
    ((1, 16), f"{_HEAD_116} {_DATA} end gcdata gcbss types etypes {_LINKS} {_TAIL}"),
    ((1, 9), f"{_HEAD_115} {_DATA} end gcdata gcbss types etypes {_LINKS} {_TAIL}"),
)


def offsets(fields: str) -> dict[str, int]:
    """Return the byte offset of every field of a layout as written above."""
    found, at = {}, 0
    for name in fields.split():
        words = {"[": 3, "$": 2}.get(name.rstrip("]")[-1], 1)
        found[name.rstrip("[]$")] = at
        at += words * WORD.size
    return found


class Moduledata(NamedTuple):
    """The fields that matter of firstmoduledata, at *addr*; addresses are link-time, lengths are items."""

    addr: int
    layout: tuple[int, int]  # the first release that has the layout which was proven
    text: int
    etext: int
    minpc: int
    maxpc: int
    noptrdata: int
    enoptrdata: int
    data: int
    edata: int
    bss: int
    ebss: int
    noptrbss: int
    enoptrbss: int
    end: int
    types: int
    etypes: int
    ftab_len: int  # functions plus the end entry
    typelinks_len: int  # 0 from Go 1.27 on
    itabs: int  # address of the itab pointers (to 1.26) or of the itabs themselves
    itabs_len: int  # how many pointers (to 1.26), or bytes of itabs (1.27)
    modulename: str


def locate(elf: Elf, symbols: SymbolTable, release: tuple[int, int]) -> tuple[Pclntab, Moduledata | None]:
    """Find the pclntab and the moduledata that points at it; raise Unreadable if there is no pclntab.

    Each proves the other: from Go 1.26 on the table's entries are relative to a text start that only moduledata holds.
    A table without moduledata is believed if its header, or the symbol runtime.text, says where the code starts.
    """
    reason = "no pclntab"
    alone: Pclntab | None = None
    text = symbols.get("runtime.text")
    for offset, size in candidates(elf):
        for addr in _references(elf, symbols, elf.address_of(offset)):
            try:
                return _pair(elf, offset, size, addr, release)
            except Unreadable as error:
                reason = str(error)
        try:
            alone = alone or Pclntab(elf, offset, size, text.addr if text else 0)
        except Unreadable as error:
            reason = str(error)
    if alone is None:
        raise Unreadable(reason)
    return alone, None


def _references(elf: Elf, symbols: SymbolTable, table: int | None) -> Iterator[int]:
    symbol = symbols.get(SYMBOL)
    if symbol is not None:
        yield symbol.addr
    if table is None:
        return
    wanted = WORD.pack(table)
    for s in elf.segments:
        if s.prot & PROT_EXEC:
            continue
        yield from (at - s.offset + s.addr for at in elf.search(wanted, s) if at % WORD.size == 0)


def _pair(elf: Elf, offset: int, size: int, addr: int, release: tuple[int, int]) -> tuple[Pclntab, Moduledata]:
    # Layouts of the stated release first, then every other: a file that lies about its release is still read right.
    magic = MAGIC.unpack_from(elf.data, offset)[0]
    reason = "moduledata: no layout fits"
    for first, fields in sorted(LAYOUTS, key=lambda row: row[0] > release):
        if (first < (1, 16)) != (magic == GO12):
            continue
        where = offsets(fields)
        try:
            raw = elf.read(addr, max(where.values()) + WORD.size)
            table = Pclntab(elf, offset, size, WORD.unpack_from(raw, where["text"])[0])
            return table, _decode(elf, table, addr, (first, fields), raw)
        except Unreadable as error:
            reason = str(error)
    raise Unreadable(reason)


def _decode(elf: Elf, table: Pclntab, addr: int, layout: tuple[tuple[int, int], str], raw: bytes) -> Moduledata:
    where = offsets(layout[1])

    def word(name: str, index: int = 0) -> int:
        value: int = WORD.unpack_from(raw, where[name] + index * WORD.size)[0]
        return value

    if word("pclntable" if "pcHeader" not in where else "pcHeader") != elf.address_of(table.offset):
        raise Unreadable(f"moduledata at {addr:#x}: does not point at the pclntab")
    if (word("minpc"), word("maxpc")) != (table.minpc, table.maxpc):
        raise Unreadable(f"moduledata at {addr:#x}: its pc range is not the pclntab's")
    ranges = [(word(name), word(f"e{name}")) for name in ("text", "noptrdata", "data", "bss", "noptrbss", "types")]
    for low, high in ranges:
        if not low <= high or not _within_one(elf.segments, low, high):
            raise Unreadable(f"moduledata at {addr:#x}: the range {low:#x}-{high:#x} is not in a segment")
    if word("ftab", 1) != table.count + 1:
        raise Unreadable(f"moduledata at {addr:#x}: its function table has {word('ftab', 1)} entries")
    for name in (n.removesuffix("[]") for n in layout[1].split() if n.endswith("[]")):
        start, length, capacity = (word(name, i) for i in range(3))
        if length != capacity or (length and not _within_one(elf.segments, start, start + length)):
            raise Unreadable(f"moduledata at {addr:#x}: {name} is not a table in the image")
    if not word("enoptrbss") <= word("end") or not _within_one(elf.segments, word("noptrbss"), word("end")):
        raise Unreadable(f"moduledata at {addr:#x}: its end {word('end'):#x} is not after its data")
    in_place = "itaboffset" in where
    if in_place and not _within_one(elf.segments, word("types"), word("types") + word("itaboffset") + word("itabsize")):
        raise Unreadable(f"moduledata at {addr:#x}: its itabs are not in the image")
    values = {n: word(n) for n in Moduledata._fields if n in where and n != "modulename"}
    return Moduledata(
        addr=addr,
        layout=layout[0],
        ftab_len=word("ftab", 1),
        typelinks_len=0 if in_place else word("typelinks", 1),
        itabs=word("types") + word("itaboffset") if in_place else word("itablinks"),
        itabs_len=word("itabsize") if in_place else word("itablinks", 1),
        modulename=_string(elf, word("modulename"), word("modulename", 1)),
        **values,
    )


def _within_one(segments: tuple[Segment, ...], low: int, high: int) -> bool:
    return low == high or any(s.addr <= low and high <= s.end for s in segments)


def _string(elf: Elf, addr: int, size: int) -> str:
    # Empty but in plugins and shared libraries.  What is not text shows that the layout is another release's.
    if size > MAX_TEXT:
        raise Unreadable(f"moduledata: a module name of {size} bytes")
    text = elf.read(addr, size).decode("utf-8", "replace") if size else ""
    if not text.isprintable():
        raise Unreadable("moduledata: the module name is not text")
    return text
