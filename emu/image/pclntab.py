"""The pclntab: which function, file and line every pc belongs to.  It survives stripping.

All four formats of Go 1.2 to 1.27 are read, told apart by magic.  Nothing is decoded before it is asked for: a
lookup by pc is a binary search in the file itself.  Addresses are link-time.  A table is accepted on structure: magic,
pad bytes, quantum 1, pointer size 8, offsets inside the data, and a function table that starts in an executable
segment and rises.  Sources: runtime/symtab.go and debug/gosym/pclntab.go of Go 1.15, 1.17, 1.19, 1.21 and 1.27.
"""

import struct
from collections.abc import Iterator
from functools import cached_property

from emu.image.elf import PROT_EXEC, Data, Elf
from emu.image.errors import Unreadable
from syscalls.light import NamedTuple

GO12, GO116, GO118, GO120 = 0xFFFFFFFB, 0xFFFFFFFA, 0xFFFFFFF0, 0xFFFFFFF1
SECTIONS = (".gopclntab", ".data.rel.ro.gopclntab")

MAGIC = struct.Struct("<IBBBB")  # magic, two pad bytes, quantum (minLC), pointer size
PROLOGUES = {magic: MAGIC.pack(magic, 0, 0, 1, 8) for magic in (GO12, GO116, GO118, GO120)}
HEAD12 = struct.Struct("<Q")  # nfunc; the function table follows
HEAD116 = struct.Struct("<7Q")  # nfunc, nfiles, offsets of: names, compilation units, files, pc tables, functions
HEAD118 = struct.Struct("<8Q")  # the same with textStart after nfiles (0 from Go 1.26 on)
ENTRY64 = struct.Struct("<QQ")  # to 1.17: absolute pc, offset of the _func
ENTRY32 = struct.Struct("<II")  # from 1.18: pc relative to text, offset of the _func
U32 = struct.Struct("<I")

MAX_FUNCTIONS = 8 << 20
MAX_NAME = 1 << 16  # bytes; generic instantiations grow long


class Func(NamedTuple):
    """runtime._func up to the fields that are used; *entry* is absolute to 1.17 and relative to text after."""

    entry: int
    name: int
    args: int
    deferreturn: int
    pcsp: int
    pcfile: int
    pcln: int
    npcdata: int
    cu: int = 0  # from 1.16
    start_line: int = 0  # from 1.20


FUNCS = {
    GO12: struct.Struct("<QiiIiiii"),
    GO116: struct.Struct("<QiiIIIIII"),
    GO118: struct.Struct("<IiiIIIIII"),
    GO120: struct.Struct("<IiiIIIIIIi"),
}


class Function(NamedTuple):
    """A function of the program: code from *entry* up to *end* (link-time addresses), declared at *file*:*line*."""

    name: str
    entry: int
    end: int
    file: str
    line: int


class TextUnknown(Unreadable):
    """The header is sound, but what the entries are relative to must come from elsewhere."""


MAX_KEPT = 10_000  # answers of Pclntab.find


class Pclntab:
    """One pclntab at *offset* of the file.  Raises Unreadable when made over anything else."""

    def __init__(self, elf: Elf, offset: int, size: int, text: int) -> None:
        self._found: dict[int, Function | None] = {}  # what find() was asked: a boot's few entries and call sites
        """Read the header; *text* is the start of the code where the header itself does not say (0: unknown)."""
        self._data: Data = elf.data
        self.offset = offset
        self.end = min(offset + size, len(elf.data))
        if offset + MAGIC.size + HEAD118.size > self.end:
            raise Unreadable("pclntab: too short")
        self.magic = MAGIC.unpack_from(self._data, offset)[0]
        if self._data[offset : offset + MAGIC.size] != PROLOGUES.get(self.magic):
            raise Unreadable(f"pclntab: no header at file offset {offset:#x}")
        self.text = 0  # what entries are relative to
        self._names = self._units = self._files = self._pctab = self._funcs = offset
        self._read_header(text)
        self._entry = ENTRY64 if self.magic in (GO12, GO116) else ENTRY32
        if not 0 < self.count <= MAX_FUNCTIONS or self._table + (self.count + 1) * self._entry.size > self.end:
            raise Unreadable(f"pclntab: {self.count} functions in {size} bytes")
        if max(self._names, self._units, self._files, self._pctab, self._funcs) >= self.end:
            raise Unreadable("pclntab: an offset of its header is outside the table")
        self._check_text(elf)

    def _read_header(self, text: int) -> None:
        at = self.offset + MAGIC.size
        if self.magic == GO12:
            (self.count,) = HEAD12.unpack_from(self._data, at)
            self._table = at + HEAD12.size
            return
        if self.magic == GO116:
            self.count, _, names, units, files, pctab, funcs = HEAD116.unpack_from(self._data, at)
        else:
            self.count, _, start, names, units, files, pctab, funcs = HEAD118.unpack_from(self._data, at)
            self.text = start or text
        self._names, self._units, self._files = self.offset + names, self.offset + units, self.offset + files
        self._pctab, self._funcs = self.offset + pctab, self.offset + funcs
        self._table = self._funcs

    def _check_text(self, elf: Elf) -> None:
        if self._entry is ENTRY32 and not self.text:
            raise TextUnknown("pclntab: relative to a text start that neither it nor a moduledata gives")
        first, last = self._pc(0), self._pc(self.count)
        segment = elf.segment_at(first)
        if segment is None or not segment.prot & PROT_EXEC or not first < last <= segment.end:
            raise Unreadable(f"pclntab: code {first:#x}-{last:#x} is not in an executable segment")

    def _pc(self, i: int) -> int:
        pc: int = self._entry.unpack_from(self._data, self._table + i * self._entry.size)[0]
        return pc + self.text

    @property
    def minpc(self) -> int:
        """The entry of the first function."""
        return self._pc(0)

    @property
    def maxpc(self) -> int:
        """The end of the last function."""
        return self._pc(self.count)

    def _func(self, i: int) -> Func:
        at = self._funcs + self._entry.unpack_from(self._data, self._table + i * self._entry.size)[1]
        layout = FUNCS[self.magic]
        if at + layout.size > self.end:
            raise Unreadable(f"pclntab: function {i} at {at:#x} is outside the table")
        return Func(*layout.unpack_from(self._data, at))

    def _text_at(self, at: int) -> str:
        end = self._data.find(b"\0", at, min(at + MAX_NAME, self.end)) if self.offset <= at < self.end else -1
        if end < 0:
            raise Unreadable(f"pclntab: no name at {at:#x}")
        return self._data[at:end].decode("utf-8", "replace")

    def index(self, pc: int) -> int | None:
        """Return the number of the function that *pc* is in, or None."""
        if not self.minpc <= pc < self.maxpc:
            return None
        low, high = 0, self.count
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._pc(middle) <= pc else (low, middle)
        return low

    def function(self, i: int) -> Function:
        """Return function number *i*; raise Unreadable if its record is damaged."""
        func, entry = self._func(i), self._pc(i)
        file, line = self._line(func, entry, entry)
        return Function(self._text_at(self._names + func.name), entry, self._pc(i + 1), file, func.start_line or line)

    def name(self, i: int) -> str:
        """Return the name of function number *i*; raise Unreadable if its record is damaged."""
        return self._text_at(self._names + self._func(i).name)

    def bounds(self, i: int) -> tuple[int, int]:
        """Return the entry of function number *i* and the entry of the next: padding may lie before that."""
        return self._pc(i), self._pc(i + 1)

    def find(self, pc: int) -> Function | None:
        """Return the function that *pc* is in; None outside the code or where the table is damaged."""
        if pc not in self._found:
            if len(self._found) >= MAX_KEPT:
                self._found.clear()
            self._found[pc] = self._find(pc)
        return self._found[pc]

    def _find(self, pc: int) -> Function | None:
        i = self.index(pc)
        try:
            return None if i is None else self.function(i)
        except Unreadable:
            return None

    def line_of(self, pc: int) -> tuple[str, int]:
        """Return file and line of the instruction at *pc* (innermost inlined call); ("", 0) where unknown."""
        i = self.index(pc)
        try:
            return ("", 0) if i is None else self._line(self._func(i), self._pc(i), pc)
        except Unreadable:
            return "", 0

    def _line(self, func: Func, entry: int, pc: int) -> tuple[str, int]:
        line = self._value(func.pcln, entry, pc)
        number = self._value(func.pcfile, entry, pc)
        if number < 0 or line < 0:
            return "", 0
        if self.magic == GO12:
            # The file table's offset follows the function table; entry n of it is the offset of a name.
            table = self.offset + self._u32(self._table + self.count * ENTRY64.size + HEAD12.size)
            return self._text_at(self.offset + self._u32(table + number * U32.size)), line
        offset = self._u32(self._units + (func.cu + number) * U32.size)
        return self._text_at(self._files + offset), line

    def _u32(self, at: int) -> int:
        if not self.offset <= at <= self.end - U32.size:
            raise Unreadable(f"pclntab: offset {at:#x} is outside the table")
        value: int = U32.unpack_from(self._data, at)[0]
        return value

    def _value(self, table: int, pc: int, target: int) -> int:
        # A pc-value table: pairs of (zig-zag value delta, pc delta) as varints; runtime/symtab.go, step.
        at = self._pctab + table
        value, first = -1, True
        while table and self.offset <= at < self.end:
            delta, at = self._varint(at)
            if delta == 0 and not first:
                break
            first = False
            value += -(delta >> 1) - 1 if delta & 1 else delta >> 1
            step, at = self._varint(at)
            pc += step
            if target < pc:
                return value
        return -1

    def _varint(self, at: int) -> tuple[int, int]:
        value = shift = 0
        while at < self.end and shift < 35:
            byte = self._data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
            shift += 7
        raise Unreadable(f"pclntab: bad varint before {at:#x}")

    def names(self) -> Iterator[tuple[str, int]]:
        """Yield (name, entry) of every function whose record can be read, by rising address."""
        for i in range(self.count):
            try:
                yield self.name(i), self._pc(i)
            except Unreadable:
                continue

    @cached_property
    def by_name(self) -> dict[str, list[int]]:
        """Every function's name and its entries, lowest first: from Go 1.17 on a wrapper and its body share a name."""
        found: dict[str, list[int]] = {}
        for name, entry in self.names():
            found.setdefault(name, []).append(entry)
        return found

    @cached_property
    def by_entry(self) -> dict[int, str]:
        """The names of the functions by their entries."""
        return {entry: name for name, entries in self.by_name.items() for entry in entries}


def candidates(elf: Elf) -> Iterator[tuple[int, int]]:
    """Yield (offset, size) of every place that has the header of a pclntab: the named section, then magics."""
    section = elf.section(*SECTIONS)
    if section is not None and section.file_size and _plausible(elf, section.offset, section.file_size):
        yield section.offset, section.file_size
    for segment in elf.segments:
        if segment.prot & PROT_EXEC and len(elf.segments) > 1:
            continue
        end = segment.offset + segment.file_size
        for prologue in PROLOGUES.values():
            yield from ((at, end - at) for at in elf.search(prologue, segment) if _plausible(elf, at, end - at))


def _plausible(elf: Elf, offset: int, size: int) -> bool:
    try:
        Pclntab(elf, offset, size, 0)
    except TextUnknown:
        return True
    except Unreadable:
        return False
    return True
