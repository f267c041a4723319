"""What the linker wrote down about the build: Go release, module, settings, build IDs.

The blob starts with a 14-byte magic, 16-aligned, in ``.go.buildinfo`` or at the start of the first writable segment;
up to Go 1.17 it points at two Go strings, from 1.18 on they follow it inline (debug/buildinfo/buildinfo.go, Go
1.27).  Releases before 1.13 have none: there the release is the string that ``runtime.buildVersion`` points at.
"""

import re
import struct

from emu.image.elf import PROT_WRITE, PT_NOTE, Elf, Segment
from emu.image.errors import Unreadable
from emu.image.symbols import SymbolTable
from syscalls.light import NamedTuple

MAGIC = b"\xff Go buildinf:"
ALIGN = 16
HEADER = struct.Struct("<14sBBQQ")  # magic, pointer size, flags, version and module pointers (old format)
FLAG_INLINE = 2
STRING = struct.Struct("<QQ")  # a Go string: data, length
FRAME = 16  # cmd/go/internal/modload wraps the module text in two 16-byte sentinels
NOTE = struct.Struct("<III")  # Elf64_Nhdr: name size, descriptor size, type
NT_GO_BUILD_ID, NT_GNU_BUILD_ID = 4, 3
MAX_TEXT = 16 << 20  # bytes of module text that are believed

RELEASE = re.compile(r"go(\d+)\.(\d+)")
VERSION_BYTES = re.compile(rb"go1\.\d{1,2}(?:\.\d{1,3})?(?:(?:beta|rc)\d{1,2})?")
MIN_VERSION, MAX_VERSION = len("go1.9"), len("go1.99.999")


class BuildInfo(NamedTuple):
    """How the program was built; empty texts where the file does not say."""

    go: str = ""  # "go1.27.3"; may carry suffixes ("go1.24.11 X:nocoverageredesign")
    found_by: str = ""  # "buildinfo", "runtime.buildVersion" or "search"
    path: str = ""  # the main package
    module: str = ""  # the main module's path
    settings: tuple[tuple[str, str], ...] = ()  # ("GOAMD64", "v1"), ... in the file's order
    dependencies: tuple[tuple[str, str], ...] = ()  # (module, version)
    go_build_id: str = ""
    gnu_build_id: str = ""  # hexadecimal

    @property
    def release(self) -> tuple[int, int]:
        """The language release, (1, 27) for "go1.27.3"; (0, 0) if the version is not of that form ("devel ...")."""
        match = RELEASE.search(self.go)
        return (int(match[1]), int(match[2])) if match else (0, 0)


def read(elf: Elf, symbols: SymbolTable) -> BuildInfo:
    """Return what *elf* says about its build; ``go`` is empty if nothing shows a Go release."""
    go, text, found_by = "", "", ""
    offset = _find_blob(elf)
    if offset is not None:
        try:
            go, text = _decode_blob(elf, offset)
            found_by = "buildinfo" if go else ""
        except Unreadable:
            go, text = "", ""  # damaged: fall through to the other places
    if not go:
        go, found_by = _version_without_blob(elf, symbols)
    path, module, settings, dependencies = _parse_module_text(text)
    return BuildInfo(go, found_by, path, module, settings, dependencies, *_build_ids(elf))


def _find_blob(elf: Elf) -> int | None:
    section = elf.section(".go.buildinfo")
    first = next((s for s in elf.segments if s.prot & PROT_WRITE and s.file_size), None)
    where = Segment(0, 0, section.offset, section.file_size, 0) if section is not None else first
    found = () if where is None else elf.search(MAGIC, where)
    return next((at for at in found if at % ALIGN == 0 and at + HEADER.size <= len(elf.data)), None)


def _decode_blob(elf: Elf, offset: int) -> tuple[str, str]:
    _, pointer_size, flags, version_at, module_at = HEADER.unpack_from(elf.data, offset)
    if flags & FLAG_INLINE:
        version, offset = _inline_string(elf, offset + HEADER.size)
        module, _ = _inline_string(elf, offset)
    elif pointer_size == 8:
        version = _go_string(elf, version_at)
        try:
            module = _go_string(elf, module_at)
        except Unreadable:  # a program built without modules: runtime.modinfo is empty and in .bss
            module = b""
    else:
        raise Unreadable(f"build info with pointers of {pointer_size} bytes")
    framed = len(module) > 2 * FRAME and module[-FRAME - 1 : -FRAME] == b"\n"
    text = module[FRAME:-FRAME] if framed else b""
    return version.decode("utf-8", "replace"), text.decode("utf-8", "replace")


def _inline_string(elf: Elf, offset: int) -> tuple[bytes, int]:
    size = shift = 0
    for byte in elf.data[offset : offset + 5]:
        offset += 1
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if size > MAX_TEXT or offset + size > len(elf.data):
        raise Unreadable(f"build info text of {size} bytes")
    return elf.data[offset : offset + size], offset + size


def _go_string(elf: Elf, addr: int) -> bytes:
    data, size = STRING.unpack(elf.read(addr, STRING.size))
    if size > MAX_TEXT:
        raise Unreadable(f"string of {size} bytes at {addr:#x}")
    return elf.read(data, size) if size else b""


def _version_without_blob(elf: Elf, symbols: SymbolTable) -> tuple[str, str]:
    symbol = symbols.get("runtime.buildVersion")
    if symbol is not None:
        try:
            version = _go_string(elf, symbol.addr)
        except Unreadable:
            version = b""
        if VERSION_BYTES.fullmatch(version) or version.startswith(b"devel"):
            return version.decode("utf-8", "replace"), "runtime.buildVersion"
    found = _version_strings(elf)
    return (found.pop(), "search") if len(found) == 1 else ("", "")


def _version_strings(elf: Elf) -> set[str]:
    # A Go string header in writable data that points at such a text: that is runtime.buildVersion, since nothing
    # else in the runtime holds the release.  Strings in read-only data run together ("go1.12.9goroutine"), so only
    # the header says where one ends.
    found = set()
    for text in elf.segments:
        for at in () if text.prot & PROT_WRITE else elf.search(b"go1.", text):
            longest = VERSION_BYTES.match(elf.data, at, at + MAX_VERSION)
            for size in range(MIN_VERSION, longest.end() - at + 1) if longest else ():
                header = STRING.pack(at - text.offset + text.addr, size)
                if _in_writable(elf, header) and VERSION_BYTES.fullmatch(elf.data, at, at + size):
                    found.add(elf.data[at : at + size].decode())
    return found


def _in_writable(elf: Elf, wanted: bytes) -> bool:
    return any(True for s in elf.segments if s.prot & PROT_WRITE for _ in elf.search(wanted, s))


def _parse_module_text(
    text: str,
) -> tuple[str, str, tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    # Lines of tab-separated fields: "path", "mod", "dep", "build key=value" (runtime/debug/mod.go).
    path = module = ""
    settings, dependencies = [], []
    for line in text.splitlines():
        kind, _, rest = line.partition("\t")
        if kind == "path":
            path = rest
        elif kind == "mod":
            module = rest.partition("\t")[0]
        elif kind == "dep":
            name, _, version = rest.partition("\t")
            dependencies.append((name, version.partition("\t")[0]))
        elif kind == "build":
            key, _, value = rest.partition("=")
            settings.append((key, _unquote(value)))
    return path, module, tuple(settings), tuple(dependencies)


def _unquote(value: str) -> str:
    # cmd/go quotes values with strconv.Quote when they hold spaces, quotes or backslashes.
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value.strip("`")


def _build_ids(elf: Elf) -> tuple[str, str]:
    go_id = gnu_id = ""
    for program in elf.programs:
        if program.type == PT_NOTE:
            for name, kind, descriptor in _notes(elf.data[program.offset : program.offset + program.filesz]):
                if (name, kind) == (b"Go", NT_GO_BUILD_ID):
                    go_id = descriptor.decode("utf-8", "replace")
                elif (name, kind) == (b"GNU", NT_GNU_BUILD_ID):
                    gnu_id = descriptor.hex()
    section = elf.section(".note.gnu.build-id")  # the linker gives it no PT_NOTE of its own
    if section is not None and not gnu_id:
        gnu_id = next((d.hex() for n, k, d in _notes(elf.contents(section)) if k == NT_GNU_BUILD_ID), "")
    return go_id, gnu_id


def _notes(raw: bytes) -> list[tuple[bytes, int, bytes]]:
    found, at = [], 0
    while at + NOTE.size <= len(raw):
        name_size, size, kind = NOTE.unpack_from(raw, at)
        name_at = at + NOTE.size
        at = name_at + (name_size + 3 & ~3)
        found.append((raw[name_at : name_at + name_size].rstrip(b"\0"), kind, raw[at : at + size]))
        at += size + 3 & ~3
    return found
