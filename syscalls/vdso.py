"""The vDSO: a small shared object that tells the time in guest code, and the older vsyscall page.

The object is made here from nothing: ELF headers, dynamic section, both symbol hash tables, a symbol version
``LINUX_2.6``, and hand-assembled functions that read the time stamp counter and a data page (*vvar*) just below the
image.  They do the arithmetic of :class:`syscalls.time.Clock`, so that they and the system calls agree to the
nanosecond.  Clock ids that they do not serve go to the system call.

Sources: the gABI (dynamic section, hash table, symbol versions), arch/x86/entry/vdso of Linux 6.1 (which functions
there are; read), runtime/vdso_linux.go of Go 1.27 (what a program asks of it; read).
"""

from __future__ import annotations

import functools
import struct

from syscalls.guest import PAGE
from syscalls.light import NamedTuple
from syscalls.time import multiplier
from syscalls.vdsocode import FUNCTIONS, GETCPU_PLAIN, VVAR_FIELDS, assemble
from syscalls.world import World

IMAGE_SIZE = 2 * PAGE  # as Linux's; nothing else fits between it and the top of the mmap area
VVAR_SIZE = PAGE
VERSION, SONAME = "LINUX_2.6", "linux-vdso.so.1"

EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
PHDR = struct.Struct("<IIQQQQQQ")
SHDR = struct.Struct("<IIQQQQIIQQ")
SYM = struct.Struct("<IBBHQQ")
DYN = struct.Struct("<qQ")
VERDEF = struct.Struct("<HHHHIII")
VERDAUX = struct.Struct("<II")

ET_DYN, EM_X86_64 = 3, 62
PT_LOAD, PT_DYNAMIC, PT_NOTE, PF_X, PF_R = 1, 2, 4, 1, 4
SHT_PROGBITS, SHT_STRTAB, SHT_HASH, SHT_DYNAMIC, SHT_NOTE, SHT_DYNSYM = 1, 3, 5, 6, 7, 11
SHT_GNU_HASH, SHT_GNU_VERDEF, SHT_GNU_VERSYM = 0x6FFFFFF6, 0x6FFFFFFD, 0x6FFFFFFF
SHF_ALLOC, SHF_EXECINSTR = 2, 4
DT_NULL, DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT, DT_SONAME = 0, 4, 5, 6, 10, 11, 14
DT_GNU_HASH, DT_VERSYM, DT_VERDEF, DT_VERDEFNUM = 0x6FFFFEF5, 0x6FFFFFF0, 0x6FFFFFFC, 0x6FFFFFFD
STT_OBJECT, STT_FUNC, STB_GLOBAL, STB_WEAK, SHN_ABS = 1, 2, 1, 2, 0xFFF1
VER_FLG_BASE, VER_NDX_VERSION = 1, 2


class Vdso(NamedTuple):
    """The image, and the data page to map just below it."""

    image: bytes
    vvar: bytes
    symbols: dict[str, int]  # function -> offset in the image


def elf_hash(name: str) -> int:
    """Return the System V hash of a symbol name (gABI, "Hash Table")."""
    value = 0
    for byte in name.encode():
        value = (value << 4) + byte
        high = value & 0xF000_0000
        value = (value ^ high >> 24) & ~high & 0xFFFF_FFFF
    return value


def gnu_hash(name: str) -> int:
    """Return the GNU hash of a symbol name."""
    value = 5381
    for byte in name.encode():
        value = (value * 33 + byte) & 0xFFFF_FFFF
    return value


def vvar_page(world: World) -> bytes:
    """Return the data page: the clock's constants, in the order that the code expects."""
    clock = world.clock
    values = {
        "tsc": clock.tsc,
        "multiplier": multiplier(clock.tsc_hz),
        "realtime": clock.realtime,
        "monotonic": clock.monotonic,
    }
    return struct.pack("<4Q", *(values[name] for name in VVAR_FIELDS)).ljust(VVAR_SIZE, b"\0")


def build(world: World) -> Vdso:
    """Return the vDSO of *world*."""
    image, symbols = _image("rdtscp" in world.cpuid.features)
    return Vdso(image, vvar_page(world), dict(symbols))


class _Strings:
    # A string table that is filled while it is referred to.

    def __init__(self) -> None:
        self.data = b"\0"

    def add(self, text: str) -> int:
        offset = len(self.data)
        self.data += text.encode() + b"\0"
        return offset


def _sysv_table(names: list[str]) -> bytes:
    # names[0] belongs to the null symbol; one bucket for about two symbols.
    n_buckets = max(len(names) // 2, 1)
    buckets, chains = [0] * n_buckets, [0] * len(names)
    for index, name in enumerate(names[1:], 1):
        slot = elf_hash(name) % n_buckets
        chains[index], buckets[slot] = buckets[slot], index
    return struct.pack(f"<{2 + n_buckets + len(names)}I", n_buckets, len(names), *buckets, *chains)


N_GNU_BUCKETS, GNU_SHIFT = 3, 6


def _gnu_table(names: list[str]) -> bytes:
    # The names after names[0] are in order of bucket already; one word of Bloom filter.
    bloom, buckets, chain = 0, [0] * N_GNU_BUCKETS, []
    for index, name in enumerate(names[1:], 1):
        value = gnu_hash(name)
        bloom |= 1 << value % 64 | 1 << (value >> GNU_SHIFT) % 64
        slot = value % N_GNU_BUCKETS
        buckets[slot] = buckets[slot] or index
        last = index + 1 == len(names) or gnu_hash(names[index + 1]) % N_GNU_BUCKETS != slot
        chain.append(value & ~1 | last)
    head = struct.pack("<4IQ", N_GNU_BUCKETS, 1, 1, GNU_SHIFT, bloom)
    return head + struct.pack(f"<{N_GNU_BUCKETS + len(chain)}I", *buckets, *chain)


def _version_definitions(strings: _Strings) -> bytes:
    # Two definitions: the object itself (base), and LINUX_2.6.
    base = VERDEF.pack(1, VER_FLG_BASE, 1, 1, elf_hash(SONAME), VERDEF.size, VERDEF.size + VERDAUX.size)
    version = VERDEF.pack(1, 0, VER_NDX_VERSION, 1, elf_hash(VERSION), VERDEF.size, 0)
    return base + VERDAUX.pack(strings.add(SONAME), 0) + version + VERDAUX.pack(strings.add(VERSION), 0)


def _note() -> bytes:
    # The kernel's own note: LINUX_VERSION_CODE, owner "Linux", type 0.
    return struct.pack("<III8sI", 6, 4, 0, b"Linux", 0x060100)


@functools.lru_cache(maxsize=2)
def _image(rdtscp: bool) -> tuple[bytes, tuple[tuple[str, int], ...]]:
    """Return the ELF image and its functions; *rdtscp* says whether the CPU can tell where it runs."""
    functions = FUNCTIONS if rdtscp else {**FUNCTIONS, "__vdso_getcpu": GETCPU_PLAIN}
    names = ["", VERSION, *functions, *(name.removeprefix("__vdso_") for name in functions)]
    names[1:] = sorted(names[1:], key=lambda name: gnu_hash(name) % N_GNU_BUCKETS)
    strings = _Strings()
    definitions = _version_definitions(strings)
    name_offsets = [strings.add(name) if name else 0 for name in names]
    soname = strings.data.index(SONAME.encode())
    n_dynamic = 11
    headers = EHDR.size + 3 * PHDR.size
    layout = _Layout(headers)
    layout.place(".hash", SHT_HASH, _sysv_table(names), link=3)
    layout.place(".gnu.hash", SHT_GNU_HASH, _gnu_table(names), link=3)
    layout.place(".dynsym", SHT_DYNSYM, bytes(SYM.size * len(names)), link=4, info=1, entry=SYM.size)
    layout.place(".dynstr", SHT_STRTAB, strings.data)
    versions = [0, *(VER_NDX_VERSION for _ in names[1:])]
    layout.place(".gnu.version", SHT_GNU_VERSYM, struct.pack(f"<{len(names)}H", *versions), link=3, entry=2)
    layout.place(".gnu.version_d", SHT_GNU_VERDEF, definitions, link=4, info=2)
    layout.place(".dynamic", SHT_DYNAMIC, bytes(DYN.size * n_dynamic), link=4, entry=DYN.size)
    layout.place(".note", SHT_NOTE, _note(), align=4)
    text, starts = assemble(functions, layout.next(16), -VVAR_SIZE)
    layout.place(".text", SHT_PROGBITS, text, align=16, flags=SHF_ALLOC | SHF_EXECINSTR)
    layout.fill(".dynsym", _symbols(names, name_offsets, starts))
    layout.fill(".dynamic", _dynamic(layout, soname, len(strings.data)))
    image = layout.finish()
    return image, tuple((name, start) for name, (start, _) in starts.items())


def _symbols(names: list[str], offsets: list[int], starts: dict[str, tuple[int, int]]) -> bytes:
    # Functions are global under their __vdso_ names and weak without, as in Linux's; the version is an absolute object.
    table = bytes(SYM.size)
    for name, offset in list(zip(names, offsets, strict=True))[1:]:
        if name == VERSION:
            table += SYM.pack(offset, STB_GLOBAL << 4 | STT_OBJECT, 0, SHN_ABS, 0, 0)
            continue
        bind = STB_GLOBAL if name in starts else STB_WEAK
        start, size = starts[name if name in starts else f"__vdso_{name}"]
        table += SYM.pack(offset, bind << 4 | STT_FUNC, 0, _Layout.TEXT_INDEX, start, size)
    return table


def _dynamic(layout: _Layout, soname: int, strings_size: int) -> bytes:
    at = layout.offset
    entries = (
        (DT_SONAME, soname),
        (DT_HASH, at(".hash")),
        (DT_GNU_HASH, at(".gnu.hash")),
        (DT_STRTAB, at(".dynstr")),
        (DT_SYMTAB, at(".dynsym")),
        (DT_STRSZ, strings_size),
        (DT_SYMENT, SYM.size),
        (DT_VERDEF, at(".gnu.version_d")),
        (DT_VERDEFNUM, 2),
        (DT_VERSYM, at(".gnu.version")),
        (DT_NULL, 0),
    )
    return b"".join(DYN.pack(tag, value) for tag, value in entries)


class _Layout:
    """Sections placed one after the other; an address is an offset into the image, which is linked at 0."""

    TEXT_INDEX = 9  # the section header that functions belong to: the ninth section placed, after the null one

    def __init__(self, start: int) -> None:
        self.end = start
        self.sections: list[tuple[str, int, int, int, bytes, int, int, int, int]] = []

    def next(self, align: int) -> int:
        return (self.end + align - 1) & -align

    def place(
        self, name: str, kind: int, data: bytes, *, link: int = 0, info: int = 0, entry: int = 0, align: int = 8,
        flags: int = SHF_ALLOC,
    ) -> None:  # fmt: skip
        offset = self.next(align)
        self.sections.append((name, kind, flags, offset, data, link, info, align, entry))
        self.end = offset + len(data)

    def fill(self, name: str, data: bytes) -> None:
        index = next(i for i, section in enumerate(self.sections) if section[0] == name)
        old = self.sections[index]
        assert len(old[4]) == len(data), name
        self.sections[index] = (*old[:4], data, *old[5:])

    def offset(self, name: str) -> int:
        return next(section[3] for section in self.sections if section[0] == name)

    def size(self, name: str) -> int:
        return next(len(section[4]) for section in self.sections if section[0] == name)

    def finish(self) -> bytes:
        """Return the image: headers, sections, section headers, padding."""
        names = _Strings()
        name_offsets = [names.add(section[0]) for section in self.sections]
        own = names.add(".shstrtab")
        image = bytearray(IMAGE_SIZE)
        for _, _, _, offset, data, *_ in self.sections:
            image[offset : offset + len(data)] = data
        strings_at = self.end
        image[strings_at : strings_at + len(names.data)] = names.data
        headers_at = (strings_at + len(names.data) + 7) & -8
        rows = [bytes(SHDR.size)]
        for name, (_, kind, flags, offset, data, link, info, align, entry) in zip(
            name_offsets, self.sections, strict=True
        ):
            rows.append(SHDR.pack(name, kind, flags, offset, offset, len(data), link, info, align, entry))
        rows.append(SHDR.pack(own, SHT_STRTAB, 0, 0, strings_at, len(names.data), 0, 0, 1, 0))
        table = b"".join(rows)
        image[headers_at : headers_at + len(table)] = table
        ident = b"\x7fELF" + bytes((2, 1, 1, 0)) + bytes(8)
        image[: EHDR.size] = EHDR.pack(
            ident, ET_DYN, EM_X86_64, 1, self.offset(".text"), EHDR.size, headers_at, 0, EHDR.size, PHDR.size, 3,
            SHDR.size, len(rows), len(rows) - 1,
        )  # fmt: skip
        for index, row in enumerate(self._program_headers(headers_at + len(table))):
            start = EHDR.size + index * PHDR.size
            image[start : start + PHDR.size] = row
        if headers_at + len(table) > IMAGE_SIZE:
            raise AssertionError("the vDSO has outgrown its pages")
        return bytes(image)

    def _program_headers(self, size: int) -> list[bytes]:
        dynamic, note = self.offset(".dynamic"), self.offset(".note")
        return [
            PHDR.pack(PT_LOAD, PF_R | PF_X, 0, 0, 0, size, size, PAGE),
            PHDR.pack(PT_DYNAMIC, PF_R, dynamic, dynamic, dynamic, *(self.size(".dynamic"),) * 2, 8),
            PHDR.pack(PT_NOTE, PF_R, note, note, note, *(self.size(".note"),) * 2, 4),
        ]


def vsyscall_page() -> bytes:
    """Return the page at 0xffffffffff600000: gettimeofday at +0, time at +0x400, getcpu at +0x800.

    Each is ``mov rax, nr; syscall; ret``, and the rest is ``int3``, as in arch/x86/entry/vsyscall/vsyscall_emu_64.S.
    """
    page = bytearray(b"\xcc" * PAGE)
    for offset, nr in ((0, 96), (0x400, 201), (0x800, 309)):
        code = b"\x48\xc7\xc0" + struct.pack("<I", nr) + b"\x0f\x05\xc3"
        page[offset : offset + len(code)] = code
    return bytes(page)
