"""The file format of reference data, and the index of what is there.

A file is XZ-compressed JSON: one object with the fields of :class:`Reference`, the functions as flat lists.  It is
read whole, in about 15 ms; nothing of it is believed that does not have the digest in the index.
"""

import hashlib
import json
import lzma
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

FORMAT = 1
DATA = Path(__file__).parent / "data"
INDEX = DATA / "index.json"
VERSION = re.compile(r"go(\d+)\.(\d+)(?:\.(\d+))?(?:(?:beta|rc)\d+)?(?: X:(\S+))?")
DIGEST_SIZE = 8  # bytes: a chance match among a few thousand functions of one name each is out of reach
MASK = bytes(4)  # what stands in masked code in place of an address


class Version(NamedTuple):
    """A Go version.  *experiments*: what follows "X:", which may change types."""

    major: int
    minor: int
    patch: int
    experiments: str = ""


class Site(NamedTuple):
    """The place of a global's address in code: the displacement at byte *at* of the function means *target* + *addend*.

    The displacement counts from byte *end* of the function, the first after the instruction.
    """

    at: int
    end: int
    target: int  # index into Reference.globals
    addend: int
    size: int  # bytes that the instruction reads or writes there; 0 if it only takes the address
    bounded: bool = False  # the target is an array, and its length stands in the function's code


class Code(NamedTuple):
    """A function's machine code of *size* bytes.

    *digest* is that of the code with the 4 bytes at each of *masks* set to zero, and of what those at *calls*, which
    are some of *masks*, call or jump to: counted from the next byte on, as a name and a byte offset.
    """

    name: str
    wrapper: bool  # made by the compiler to call the function of the same name by another convention
    size: int
    digest: str  # hexadecimal
    masks: tuple[int, ...]
    calls: tuple[int, ...]
    sites: tuple[Site, ...]


class Pointer(NamedTuple):
    """A pointer that the linker wrote into a variable's initial value, or behind a slice there.

    Starting at the variable *source*, add the first of *path* and read the word there; if *path* goes on, go on from
    that word in the same way.  The last word is the address of *target* + *addend*.  Where *key* is not empty, the Go
    string *key_at* bytes from the last place of the path is *key*: the element of a slice is told by its name.
    """

    source: int  # index into Reference.globals
    path: tuple[int, ...]
    target: int
    addend: int
    key: str = ""
    key_at: int = 0


class Reference(NamedTuple):
    """All that is kept of one release."""

    go: str  # "go1.27.3"
    types: str  # as in emu.image.types.LayoutTables
    signatures: str
    globals: tuple[tuple[str, int, str], ...]  # name, type id, part: "data", "noptrdata", "bss", "noptrbss", "rodata"
    functions: tuple[Code, ...]
    pointers: tuple[Pointer, ...]
    borrowed: tuple[tuple[str, str], ...] = ()  # variables whose types another release's reference gave, and which one
    unproven: tuple[str, ...] = ()  # what that release has too, and of whose place or type nothing is known here

    @property
    def version(self) -> Version:
        """The version that the data were taken from."""
        found = version(self.go)
        assert found is not None  # the builder refuses others
        return found


def version(go: str) -> Version | None:
    """Return the parsed form of a version such as "go1.24.11 X:nocoverageredesign", or None ("devel ...")."""
    match = VERSION.match(go)
    if match is None:
        return None
    return Version(int(match[1]), int(match[2]), int(match[3] or 0), match[4] or "")


def digest(code: bytes | bytearray, called: list[str]) -> str:
    """Return the digest of masked *code* that calls the functions *called*, in this order."""
    whole = bytes(code) + "\0".join(called).encode()
    return hashlib.blake2b(whole, digest_size=DIGEST_SIZE).hexdigest()


def pack(reference: Reference) -> bytes:
    """Return the content of *reference*'s file, uncompressed; the same bytes on every machine."""
    functions = [[f.name, int(f.wrapper), f.size, f.digest, _deltas(f), _flat_sites(f)] for f in reference.functions]
    fields = {**reference._asdict(), "format": FORMAT, "functions": functions}
    for name in ("borrowed", "unproven"):  # only where there is no DWARF
        if not fields[name]:
            del fields[name]
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False, sort_keys=True).encode()


def _deltas(code: Code) -> list[int]:
    # For each mask the bytes from the one before, times two, and one more if it is a call's.
    calls = frozenset(code.calls)
    return [2 * (b - a) + (b in calls) for a, b in zip((0, *code.masks), code.masks, strict=False)]


def _flat_sites(code: Code) -> list[int]:
    # For each site: which mask, bytes from it to the instruction's end, target, addend, size times two plus bounded.
    index = {at: i for i, at in enumerate(code.masks)}
    return [x for s in code.sites for x in (index[s.at], s.end - s.at, s.target, s.addend, 2 * s.size + s.bounded)]


def unpack(content: bytes) -> Reference:
    """Return what :func:`pack` made bytes of."""
    fields: dict[str, Any] = json.loads(content)
    if fields.pop("format") != FORMAT:
        raise ValueError("reference data of another format")
    fields["globals"] = tuple(tuple(row) for row in fields["globals"])
    fields["functions"] = tuple(_code(row) for row in fields["functions"])
    fields["pointers"] = tuple(Pointer(s, tuple(path), *rest) for s, path, *rest in fields["pointers"])
    fields["borrowed"] = tuple(tuple(row) for row in fields.get("borrowed", ()))
    fields["unproven"] = tuple(fields.get("unproven", ()))
    return Reference(**fields)


def _code(row: list[Any]) -> Code:
    name, wrapper, size, code_digest, deltas, flat = row
    masks, calls, at = [], [], 0
    for delta in deltas:
        at += delta >> 1
        masks.append(at)
        if delta & 1:
            calls.append(at)
    sites = tuple(
        Site(masks[i], masks[i] + after, target, addend, width >> 1, bool(width & 1))
        for i, after, target, addend, width in zip(*(flat[k::5] for k in range(5)), strict=True)
    )
    return Code(name, bool(wrapper), size, code_digest, tuple(masks), tuple(calls), sites)


@cache
def index() -> dict[str, str]:
    """Return the releases of which there are data, with the SHA-256 of their files."""
    found: dict[str, str] = json.loads(INDEX.read_text())
    return found


def load(go: str) -> Reference:
    """Return the reference data of the release *go*; raise ValueError if the file is not the one of the index."""
    raw = (DATA / f"{go}.xz").read_bytes()
    if hashlib.sha256(raw).hexdigest() != index()[go]:
        raise ValueError(f"reference data of {go} are damaged")
    return unpack(lzma.decompress(raw))


def store(references: list[Reference], folder: Path = DATA) -> None:
    """Write *references* and the index into *folder*; of a release whose content is unchanged, the file stays."""
    digests = {}
    for reference in references:
        path, content = folder / f"{reference.go}.xz", pack(reference)
        if not path.exists() or lzma.decompress(path.read_bytes()) != content:
            path.write_bytes(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))
        digests[reference.go] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "index.json").write_text(json.dumps(digests, indent=1, sort_keys=True) + "\n")
