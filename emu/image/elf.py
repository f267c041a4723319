"""ELF64 x86-64 executables: headers, segments and sections, every size checked against the file before use.

Reads what is needed to load and to look up, and nothing else: no symbol versions, no dynamic linking.  The section
table is a convenience that the kernel never looks at, so a damaged one costs its sections and leaves a note; a
damaged segment refuses the file.  Specification: System V ABI, gABI chapters 4 and 5; elf(5).

The modules of this package that every run imports do not postpone their annotations: a NamedTuple would compile each
of them again, which doubles the time it takes to make one.
"""

import mmap
import struct
import zlib
from collections.abc import Iterator
from itertools import pairwise

from emu.image.errors import ImageError, Unreadable
from syscalls.light import NamedTuple, TypeAlias

Data: TypeAlias = bytes | mmap.mmap

EM_X86_64 = 62
ET_EXEC, ET_DYN = 2, 3
ET_NAMES = {0: "a file of no type", 1: "a relocatable object", 4: "a core dump"}
MACHINES = {
    2: "SPARC", 3: "32-bit x86", 8: "MIPS", 20: "PowerPC", 21: "64-bit PowerPC", 22: "S/390", 40: "32-bit ARM",
    183: "ARM64", 243: "RISC-V", 258: "LoongArch",
}  # fmt: skip
PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE, PT_PHDR, PT_TLS = 1, 2, 3, 4, 6, 7
PF_X, PF_W, PF_R = 1, 2, 4
PROT_READ, PROT_WRITE, PROT_EXEC = 1, 2, 4
SHT_SYMTAB, SHT_NOBITS = 2, 8
SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR, SHF_COMPRESSED = 1, 2, 4, 0x800
ELFCOMPRESS_ZLIB = 1

MACH_O = {bytes.fromhex(magic) for magic in ("cffaedfe", "cefaedfe", "feedfacf", "feedface", "cafebabe")}

PAGE = 4096
ADDRESS_END = 1 << 47  # first address above user space
MAX_IMAGE = 16 << 30  # bytes of all segments together; far above any linker's output
MAX_SECTION = 512 << 20  # bytes that one compressed section may grow to
MAX_INTERP = 4096  # PATH_MAX, as the kernel's fs/binfmt_elf.c checks


class Ehdr(NamedTuple):
    """Elf64_Ehdr."""

    ident: bytes
    type: int
    machine: int
    version: int
    entry: int
    phoff: int
    shoff: int
    flags: int
    ehsize: int
    phentsize: int
    phnum: int
    shentsize: int
    shnum: int
    shstrndx: int


class Phdr(NamedTuple):
    """Elf64_Phdr."""

    type: int
    flags: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int
    align: int


class Shdr(NamedTuple):
    """Elf64_Shdr."""

    name: int
    type: int
    flags: int
    addr: int
    offset: int
    size: int
    link: int
    info: int
    addralign: int
    entsize: int


EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
PHDR = struct.Struct("<IIQQQQQQ")
SHDR = struct.Struct("<IIQQQQIIQQ")
CHDR = struct.Struct("<IIQQ")  # Elf64_Chdr: type, reserved, size, addralign
ZDEBUG = struct.Struct(">4sQ")  # GNU's older form: "ZLIB" and the size, big-endian


class Segment(NamedTuple):
    """A PT_LOAD: *size* bytes at *addr*, the first *file_size* of them from *offset* in the file, the rest zero."""

    addr: int
    size: int
    offset: int
    file_size: int
    prot: int  # PROT_READ 1, PROT_WRITE 2, PROT_EXEC 4, as mmap(2) has them

    @property
    def end(self) -> int:
        """The first address after the segment."""
        return self.addr + self.size


class Section(NamedTuple):
    """A section as linked; *addr* is 0 for one that is not loaded, *file_size* is 0 if the file holds nothing of it."""

    name: str
    type: int
    flags: int
    addr: int
    size: int
    offset: int
    file_size: int
    link: int
    info: int

    @property
    def allocated(self) -> bool:
        """True if the section occupies memory at run time."""
        return bool(self.flags & SHF_ALLOC)


class Elf(NamedTuple):
    """What the headers of one file say."""

    data: Data
    header: Ehdr
    programs: tuple[Phdr, ...]
    segments: tuple[Segment, ...]  # by rising address
    sections: tuple[Section, ...]  # in file order, without the null section
    interpreter: str | None
    notes: tuple[str, ...]  # what was damaged but not needed

    @property
    def kind(self) -> str:
        """What it is as a program: "exec", "pie" (static or self-relocating) or "dynamic" (names a loader)."""
        return "dynamic" if self.interpreter else "exec" if self.header.type == ET_EXEC else "pie"

    @property
    def program_headers(self) -> tuple[int, int, int]:
        """Where AT_PHDR, AT_PHENT and AT_PHNUM point: (link-time address or 0, bytes each, count)."""
        return self.address_of(self.header.phoff) or 0, self.header.phentsize, self.header.phnum

    def section(self, *names: str) -> Section | None:
        """Return the first section that has one of *names*, tried in order."""
        return next((s for name in names for s in self.sections if s.name == name), None)

    def segment_at(self, addr: int) -> Segment | None:
        """Return the segment that holds *addr*."""
        return next((s for s in self.segments if s.addr <= addr < s.end), None)

    def offset_of(self, addr: int, size: int = 1) -> int:
        """Return the file offset of *size* bytes loaded at *addr*; raise Unreadable if the file does not hold them."""
        segment = self.segment_at(addr)
        if segment is None or size < 0 or addr + size > segment.addr + segment.file_size:
            raise Unreadable(f"{size} bytes at {addr:#x} are not in the file")
        return addr - segment.addr + segment.offset

    def address_of(self, offset: int) -> int | None:
        """Return the address at which the byte at file *offset* is loaded, or None."""
        for s in self.segments:
            if s.offset <= offset < s.offset + s.file_size:
                return offset - s.offset + s.addr
        return None

    def read(self, addr: int, size: int) -> bytes:
        """Return *size* bytes that the file loads at *addr*; raise Unreadable if it does not hold them all."""
        offset = self.offset_of(addr, size)
        return self.data[offset : offset + size]

    def search(self, wanted: bytes, segment: Segment) -> Iterator[int]:
        """Yield the file offset of every occurrence of *wanted* in what *segment* loads, by rising offset."""
        raw = self.data[segment.offset : segment.offset + segment.file_size]  # a copy: mmap.find is 10 times as slow
        at = raw.find(wanted)
        while at >= 0:
            yield segment.offset + at
            at = raw.find(wanted, at + 1)

    def contents(self, section: Section) -> bytes:
        """Return the bytes of *section*, decompressed; raise Unreadable if they do not decompress.

        Nothing larger than MAX_SECTION is ever produced.
        """
        raw = self.data[section.offset : section.offset + section.file_size]
        if section.flags & SHF_COMPRESSED:
            if len(raw) < CHDR.size:
                raise Unreadable(f"section {section.name}: too short for its compression header")
            kind, _, size, _ = CHDR.unpack_from(raw)
            if kind != ELFCOMPRESS_ZLIB:
                raise Unreadable(f"section {section.name}: compression type {kind} is not zlib")
            return _inflate(section.name, raw[CHDR.size :], size)
        if section.name.startswith(".zdebug_") and raw[:4] == b"ZLIB" and len(raw) >= ZDEBUG.size:
            return _inflate(section.name, raw[ZDEBUG.size :], ZDEBUG.unpack_from(raw)[1])
        return raw


def _inflate(name: str, raw: bytes, size: int) -> bytes:
    if size > MAX_SECTION:
        raise Unreadable(f"section {name}: claims {size} bytes decompressed")
    decompressor = zlib.decompressobj()
    try:
        out = decompressor.decompress(raw, size + 1)  # one more than claimed, so that too many are noticed
    except zlib.error as error:
        raise Unreadable(f"section {name}: {error}") from error
    if len(out) != size or not decompressor.eof:
        raise Unreadable(f"section {name}: {len(out)} bytes decompressed where its header says {size}")
    return out


def parse(data: Data) -> Elf:
    """Read the headers of *data*; raise ImageError for anything but a whole x86-64 executable or shared object."""
    header = _header(data)
    programs = _programs(data, header)
    segments = _segments(data, programs)
    _check_entry(header.entry, segments)
    interpreter = _interpreter(data, programs)
    notes: list[str] = []
    sections = _sections(data, header, notes)
    return Elf(data, header, programs, segments, sections, interpreter, tuple(notes))


def _header(data: Data) -> Ehdr:
    start = data[:16]
    if start[:4] != b"\x7fELF":
        raise ImageError(f"not an ELF file{_what_else(start)}")
    if len(data) < EHDR.size:
        raise ImageError(f"truncated: {len(data)} bytes, an ELF header has {EHDR.size}")
    header = Ehdr(*EHDR.unpack_from(data))
    bits, order, ident_version = header.ident[4:7]
    if bits != 2:
        raise ImageError("a 32-bit ELF file; only 64-bit x86-64 is supported" if bits == 1 else f"ELF class {bits}")
    if order != 1:
        raise ImageError("a big-endian ELF file; x86-64 is little-endian")
    if ident_version != 1 or header.version != 1:
        raise ImageError(f"ELF version {max(ident_version, header.version)}; only 1 exists")
    if header.machine != EM_X86_64:
        machine = MACHINES.get(header.machine, f"machine {header.machine}")
        raise ImageError(f"an ELF file for {machine}; only x86-64 is supported")
    if header.type not in (ET_EXEC, ET_DYN):
        raise ImageError(f"{ET_NAMES.get(header.type, f'ELF type {header.type}')}, not an executable")
    return header


def _what_else(start: bytes) -> str:
    # Magic numbers as file(1) knows them.
    if not start.strip(b"\0"):
        return " (starts with zero bytes)"
    if start[:2] == b"#!":
        return " (a script)"
    if start[:2] == b"MZ":
        return " (a Windows program)"
    if start[:4] in MACH_O:
        return " (a Mach-O program)"
    return f" (starts with {start[:4].hex(' ')})"


def _programs(data: Data, header: Ehdr) -> tuple[Phdr, ...]:
    if header.phnum == 0:
        raise ImageError("no program headers: nothing to load")
    if header.phentsize != PHDR.size:
        raise ImageError(f"program headers of {header.phentsize} bytes; ELF64 has {PHDR.size}")
    end = header.phoff + header.phnum * PHDR.size
    if end > len(data):
        raise ImageError(f"truncated: program headers end at {end:#x}, the file at {len(data):#x}")
    return tuple(Phdr(*fields) for fields in PHDR.iter_unpack(data[header.phoff : end]))


def _segments(data: Data, programs: tuple[Phdr, ...]) -> tuple[Segment, ...]:
    segments = []
    for i, p in enumerate(programs):
        if p.type == PT_LOAD and p.memsz:
            _check_load(f"segment {i}", p, len(data))
            prot = (p.flags & PF_R and PROT_READ) | (p.flags & PF_W and PROT_WRITE) | (p.flags & PF_X and PROT_EXEC)
            segments.append(Segment(p.vaddr, p.memsz, p.offset, p.filesz, prot))
    if not segments:
        raise ImageError("no PT_LOAD segment: nothing to load")
    segments.sort(key=lambda s: s.addr)
    for a, b in pairwise(segments):
        if a.end > b.addr:
            raise ImageError(f"segments overlap: {a.addr:#x}-{a.end:#x} and {b.addr:#x}-{b.end:#x}")
    total = sum(s.size for s in segments)
    if total > MAX_IMAGE:
        raise ImageError(f"segments of {total} bytes; more than {MAX_IMAGE} are not loaded")
    return tuple(segments)


def _check_load(what: str, p: Phdr, file_size: int) -> None:
    if p.offset + p.filesz > file_size:
        raise ImageError(f"truncated: {what} ends at {p.offset + p.filesz:#x}, the file at {file_size:#x}")
    if p.filesz > p.memsz:
        raise ImageError(f"{what}: {p.filesz} bytes in the file for {p.memsz} in memory")
    if p.vaddr + p.memsz > ADDRESS_END:
        raise ImageError(f"{what}: {p.vaddr:#x} + {p.memsz:#x} is outside the 47-bit user address space")
    if (p.vaddr - p.offset) % PAGE:
        raise ImageError(f"{what}: address {p.vaddr:#x} and file offset {p.offset:#x} differ within a page")


def _check_entry(entry: int, segments: tuple[Segment, ...]) -> None:
    if not any(s.addr <= entry < s.end and s.prot & PROT_EXEC for s in segments):
        raise ImageError(f"the entry point {entry:#x} is not in an executable segment")


def _interpreter(data: Data, programs: tuple[Phdr, ...]) -> str | None:
    for p in programs:
        if p.type == PT_INTERP:
            raw = data[p.offset : p.offset + min(p.filesz, MAX_INTERP)]
            if len(raw) < 2 or len(raw) != p.filesz or raw[-1]:
                raise ImageError(f"PT_INTERP at {p.offset:#x}: not a path")
            return raw[:-1].decode("utf-8", "backslashreplace")
    return None


def _shown(name: str) -> str:
    return name if name.isprintable() else repr(name)


def _sections(data: Data, header: Ehdr, notes: list[str]) -> tuple[Section, ...]:
    if header.shoff == 0 or header.shnum == 0:
        notes.append("no section headers")
        return ()
    end = header.shoff + header.shnum * SHDR.size
    if header.shentsize != SHDR.size or end > len(data) or header.shstrndx >= header.shnum:
        notes.append("section headers are damaged")
        return ()
    raw = [Shdr(*fields) for fields in SHDR.iter_unpack(data[header.shoff : end])]
    names = raw[header.shstrndx]
    strings = data[names.offset : names.offset + names.size] if names.offset + names.size <= len(data) else b""
    sections = []
    for i, s in enumerate(raw[1:], 1):
        name = strings[s.name : max(s.name, strings.find(b"\0", s.name))].decode("utf-8", "backslashreplace")
        file_size = 0 if s.type == SHT_NOBITS else s.size
        if file_size and s.offset + file_size > len(data):
            notes.append(f"section {_shown(name or str(i))} goes past the end of the file")
            file_size = 0  # kept, so that numbers in other headers still count right
        sections.append(Section(name, s.type, s.flags, s.addr, s.size, s.offset, file_size, s.link, s.info))
    return tuple(sections)
