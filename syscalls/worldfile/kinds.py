"""The kinds of single values that a World's keys take: how each is read from TOML and from text, and written back.

Every kind reads a TOML value (:meth:`Kind.read`) and a command line's text (:meth:`Kind.parse`), both into the same
Python value, and writes that as a TOML value which reads back equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from syscalls import cpuset
from syscalls.cpuset import CpuSet
from syscalls.light import Any

MAX_SHOWN = 60
U64 = (1 << 64) - 1
UNITS = {"": 1, "B": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}
UNITS |= {name[0]: factor for name, factor in UNITS.items() if name.endswith("IB")}


class Bad(ValueError):
    """A value that a key does not take: the problem, and what is allowed where that is not the kind's own text.

    *place* says where below the key, in the way an error goes on after it: " 2: path".
    """

    def __init__(self, problem: str, allowed: str = "", place: str = "") -> None:
        super().__init__(problem)
        self.problem, self.allowed, self.place = problem, allowed, place


def show(value: object) -> str:
    """*value* as an error message quotes it: on one line and not too long."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an integer of {value.bit_length()} bits"
    text = value if isinstance(value, str) else repr(value)
    if len(text) > MAX_SHOWN:
        return f"{text[: MAX_SHOWN - 20]!r}... ({len(text)} characters)"
    return repr(value)


def nearest(word: str, known: Iterable[str]) -> str:
    """`` (did you mean "x"?)`` for the known name closest to *word*, or nothing."""
    import difflib  # only a mistake needs it

    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f' (did you mean "{found[0]}"?)' if found else ""


class Kind:
    """One kind of value.  ``type`` names it for documentation, ``allowed`` says what it takes."""

    def __init__(self, type_: str, allowed: str) -> None:
        self.type, self.allowed = type_, allowed

    def read(self, value: Any) -> Any:
        """Turn a TOML value into the World's; raise :class:`Bad`."""
        raise NotImplementedError

    def parse(self, text: str) -> Any:
        """Turn a command line's text into the World's value; raise :class:`Bad`."""
        return self.read(text)

    def write(self, value: Any) -> Any:
        """Turn the World's value into a TOML value (None: leave the key out)."""
        return value


class Boolean(Kind):
    """True or false."""

    def __init__(self) -> None:
        super().__init__("boolean", "true or false")

    def read(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise Bad(f"{show(value)} is not a boolean")
        return value

    def parse(self, text: str) -> bool:
        if text.lower() not in ("true", "false"):
            raise Bad(f"{show(text)} is not a boolean")
        return text.lower() == "true"


class Integer(Kind):
    """An integer in a range; as text also in hexadecimal and, for sizes, with a binary unit."""

    def __init__(self, low: int, high: int, size: bool = False, step: int = 1) -> None:
        self.low, self.high, self.size, self.step = low, high, size, step
        what = "a size in bytes, such as 65536 or 64MiB," if size else "an integer"
        multiple = "" if step == 1 else f", a multiple of {step}"
        super().__init__("size" if size else "integer", f"{what} from {low} to {high}{multiple}")

    def read(self, value: Any) -> int:
        if isinstance(value, str):
            return self.parse(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise Bad(f"{show(value)} is not an integer")
        if not self.low <= value <= self.high:
            raise Bad(f"{show(value)} is out of range")
        if value % self.step:
            raise Bad(f"{show(value)} is not a multiple of {self.step}")
        return value

    def parse(self, text: str) -> int:
        match = re.fullmatch(r"\s*([+-]?)(0[xX][0-9a-fA-F]+|0o[0-7]+|[0-9][0-9_]*)\s*([a-zA-Z]*)\s*", text)
        if match is None:
            raise Bad(f"{show(text)} is not an integer")
        unit = match[3].upper()
        if unit and (not self.size or unit not in UNITS):
            raise Bad(f"{show(text)} has an unknown unit")
        digits = match[2].replace("_", "")
        if len(digits) > 40:
            raise Bad(f"{show(text)} is out of range")
        base = {"0x": 16, "0X": 16, "0o": 8}.get(digits[:2], 10)
        number = int(digits, base) * UNITS[unit]
        return self.read(-number if match[1] == "-" else number)


class Hex(Integer):
    """An integer that is an address or a mask, written in hexadecimal."""

    def __init__(self, low: int, high: int, step: int = 1) -> None:
        super().__init__(low, high, step=step)
        multiple = "" if step == 1 else f", a multiple of {step}"
        self.type, self.allowed = "hexadecimal integer", f"an integer from {low:#x} to {high:#x}{multiple}"

    def write(self, value: Any) -> str:
        return f"{value:#x}"


class Mode(Integer):
    """Permission bits, written in octal."""

    def __init__(self) -> None:
        super().__init__(0, 0o7777)
        self.allowed = "permission bits from 0 to 0o7777"

    def write(self, value: Any) -> str:
        return f"{value:#o}"


class Text(Kind):
    """Text without NUL, of at most *limit* bytes of UTF-8; of one character at least unless *empty*."""

    def __init__(self, limit: int, allowed: str = "", ascii_only: bool = False, empty: bool = True) -> None:
        self.limit, self.ascii_only, self.empty = limit, ascii_only, empty
        letters = "ASCII text" if ascii_only else "text"
        super().__init__("text", allowed or f"{letters} of at most {limit} bytes, without NUL")

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise Bad(f"{show(value)} is not text")
        if "\0" in value:
            raise Bad(f"{show(value)} holds a NUL")
        try:
            encoded = value.encode("ascii" if self.ascii_only else "utf-8")
        except UnicodeEncodeError as error:
            raise Bad(f"{show(value)} is not valid {'ASCII' if self.ascii_only else 'UTF-8'}") from error
        if len(encoded) > self.limit:
            raise Bad(f"{show(value)} is {len(encoded)} bytes long")
        if not encoded and not self.empty:
            raise Bad("the text is empty")
        return value


class Path(Text):
    """A path of the guest; absolute unless *relative*."""

    def __init__(self, empty: bool = False) -> None:
        super().__init__(4095, "an absolute path of the guest, of at most 4095 bytes", empty=empty)

    def read(self, value: Any) -> str:
        path = super().read(value)
        if path and not path.startswith("/"):
            raise Bad(f"{show(value)} is not an absolute path")
        return path


class OneOf(Kind):
    """One of a few words."""

    def __init__(self, *words: str) -> None:
        self.words = words
        super().__init__("word", ", ".join(words[:-1]) + " or " + words[-1])

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.words:
            raise Bad(f"{show(value)} is not one of them")
        return value


class Cpus(Kind):
    """A set of CPUs."""

    def __init__(self) -> None:
        super().__init__("CPU set", cpuset.ALLOWED)

    def read(self, value: Any) -> CpuSet:
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise Bad(f"{show(value)} is not a set of CPUs")
        try:
            return CpuSet.parse(value) if isinstance(value, str) else CpuSet.counted(value)
        except ValueError as error:
            raise Bad(str(error)) from error

    def write(self, value: Any) -> str:
        spelled: str = value.spelled()
        return spelled


class Bytes(Kind):
    """Bytes, written as text; ``hex:`` starts bytes in hexadecimal and ``text:`` literal text, which escapes both."""

    def __init__(self, allowed: str = "", exactly: int | None = None) -> None:
        self.exactly = exactly
        super().__init__("bytes", allowed or "text, or hex: and hexadecimal digits, or text: and any text")

    def read(self, value: Any) -> bytes:
        if not isinstance(value, str):
            raise Bad(f"{show(value)} is not text")
        content = self._decode(value)
        if self.exactly is not None and len(content) != self.exactly:
            raise Bad(f"{show(value)} is {len(content)} bytes long")
        return content

    def _decode(self, value: str) -> bytes:
        if value.startswith("hex:"):
            return unhex(value[4:])
        try:
            return value.removeprefix("text:").encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise Bad(f"{show(value)} is not valid UTF-8") from error

    def write(self, value: Any) -> Any:
        return spell(value)


class HexBytes(Bytes):
    """Bytes that are always written in hexadecimal, without a prefix."""

    def _decode(self, value: str) -> bytes:
        return unhex(value.removeprefix("hex:"))

    def write(self, value: Any) -> str:
        hexadecimal: str = value.hex()
        return hexadecimal


class Argument(Bytes):
    """A string that the program gets (argv, env): as :class:`Bytes`, kept as text with surrogates for bad UTF-8."""

    def __init__(self) -> None:
        super().__init__()
        self.type = "text"

    def read(self, value: Any) -> Any:
        content = super().read(value)
        if b"\0" in content:
            raise Bad(f"{show(value)} holds a NUL")
        return content.decode("utf-8", "surrogateescape")

    def write(self, value: Any) -> str:
        return spell(value.encode("utf-8", "surrogateescape"))


class HugePageSize(Bytes):
    """The content of hpage_pmd_size: a number *n* is short for ``n`` and a newline."""

    def __init__(self) -> None:
        super().__init__('a number n (for "n\\n"), any text, hex: and digits, text: and literal text, or absent')

    def read(self, value: Any) -> bytes:
        if isinstance(value, int) and not isinstance(value, bool):
            value = show(value) if value.bit_length() > 4096 else str(value)
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]+", value):
            return value.encode() + b"\n"
        return super().read(value)

    def write(self, value: Any) -> Any:
        if re.fullmatch(rb"0\n|-?[1-9][0-9]{0,17}\n", value):
            return int(value)
        text = spell(value)
        return f"text:{text}" if re.fullmatch(r"-?[0-9]+", text) else text


class Optional(Kind):
    """Another kind, or one *word* for None."""

    def __init__(self, kind: Kind, word: str) -> None:
        self.kind, self.word = kind, word
        mentions = kind.allowed.endswith(f"or {word}")
        super().__init__(kind.type, kind.allowed if mentions else f"{kind.allowed}, or {word}")

    def read(self, value: Any) -> Any:
        return None if value == self.word else self.kind.read(value)

    def parse(self, text: str) -> Any:
        return None if text == self.word else self.kind.parse(text)

    def write(self, value: Any) -> Any:
        if value is None:
            return self.word
        written = self.kind.write(value)
        return f"text:{written}" if written == self.word else written


def unhex(digits: str) -> bytes:
    """The bytes of hexadecimal *digits*; raise :class:`Bad`."""
    try:
        return bytes.fromhex(digits)
    except ValueError as error:
        raise Bad(f"{show(digits)} is not hexadecimal digits in pairs") from error


def spell(content: bytes) -> str:
    """*content* as :class:`Bytes` reads it: text where it is readable text, else ``hex:``."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return f"hex:{content.hex()}"
    if not all(c.isprintable() or c in "\n\t" for c in text):
        return f"hex:{content.hex()}"
    return f"text:{text}" if text.startswith(("hex:", "text:")) else text
