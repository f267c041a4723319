"""Values as words: numbers with units, addresses in hexadecimal, long lists and bytes cut to what a reader needs."""

from __future__ import annotations

import json

from syscalls.light import Any

MAX_ITEMS = 4  # of a list
MAX_BYTES = 16
MAX_TEXT = 60  # characters of a string
ADDRESS_FROM = 1 << 32  # an unsigned 64-bit number this large is shown as an address would be
SIZES = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
HEX_UNITS = ("address", "hex")  # shown in hexadecimal, the unit itself left out
UNSIGNED = ("uintptr", "uint64", "internal/runtime/atomic.Uintptr", "internal/runtime/atomic.Uint64")
MAX_INT64 = (1 << 63) - 1


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 call``, ``2 calls``, ``198,506 instructions``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def quoted(text: str, limit: int = MAX_TEXT) -> str:
    """*text* in quotes, its control characters escaped, cut to *limit* characters."""
    shown = json.dumps(text[:limit], ensure_ascii=False)
    return shown + "..." if len(text) > limit else shown


def size(number: int) -> str:
    """Bytes with their round form: ``2097152 bytes (2 MiB)``."""
    if number == MAX_INT64:
        return f"{number} bytes (no limit)"
    for unit, name in SIZES:
        if number >= unit and number % (unit // 4 or 1) == 0:
            amount = f"{number / unit:g}"
            return f"{number} bytes ({amount} {name})"
    return f"{number} bytes"


def short_size(number: int) -> str:
    """Bytes in the largest unit that gives at least 1, to three digits: ``1.13 GiB``."""
    for unit, name in SIZES:
        if number >= unit:
            return f"{number / unit:.3g} {name}"
    return f"{number} bytes"


def value(shown: Any, kind: str = "", unit: str = "") -> str:
    """A JSON value of the record as words; *kind* is its Go type, if known."""
    if isinstance(shown, bool):
        return "true" if shown else "false"
    if isinstance(shown, int):
        return number(shown, kind, unit)
    if isinstance(shown, str):
        return "nil" if shown == "0x0" else shown
    if isinstance(shown, list):
        return array(shown, kind)
    if isinstance(shown, dict):
        return composite(shown, kind)
    return "unreadable" if shown is None else str(shown)


def number(shown: int, kind: str, unit: str) -> str:
    """An integer in the way its unit or its type is read."""
    if unit == "bytes":
        return size(shown)
    if unit in HEX_UNITS or (kind in UNSIGNED and not unit and shown >= ADDRESS_FROM):
        return hex(shown) if shown else "0"
    if shown == 1 and unit.endswith("s") and unit != "ns":
        unit = unit[:-1]
    return f"{shown} {unit}" if unit and unit != "%" else f"{shown}{unit}"


def array(items: list[Any], kind: str) -> str:
    """A list: bytes as one hexadecimal number of digits, others by their first elements."""
    if kind.endswith("]uint8") or (len(items) > MAX_BYTES and all(isinstance(x, int) and 0 <= x < 256 for x in items)):
        return some_bytes(bytes(items))
    elem = kind.rpartition("]")[2]
    parts = [value(item, elem) for item in items[:MAX_ITEMS]]
    more = len(items) - len(parts)
    return "[" + ", ".join(parts) + (f", and {more} more" if more > 0 else "") + "]"


def some_bytes(data: bytes) -> str:
    """Bytes as hexadecimal digits, cut; a run of zeros by its length."""
    if len(data) > MAX_BYTES and not any(data):
        return f"{len(data)} zero bytes"
    shown = data[:MAX_BYTES].hex()
    return f"{shown}... ({len(data)} bytes)" if len(data) > MAX_BYTES else shown or "no bytes"


def composite(shown: dict[str, Any], kind: str) -> str:
    """A string, slice, interface or struct by content."""
    if "text" in shown and "len" in shown:
        return "unreadable" if shown["text"] is None else quoted(shown["text"])
    if "cap" in shown and "data" in shown:
        return slice_(shown, kind)
    if set(shown) == {"type", "data"}:
        return "nil" if shown["type"] == "0x0" else f"interface {shown['type']}, data {shown['data']}"
    fields = [f"{name}={field(item)}" for name, item in shown.items() if item not in (0, False, "0x0")]
    return "{" + ", ".join(fields[:MAX_ITEMS]) + (", ..." if len(fields) > MAX_ITEMS else "") + "}"


def field(item: Any) -> str:
    """A field whose type is not known: a large integer is most likely an address."""
    if isinstance(item, int) and not isinstance(item, bool) and ADDRESS_FROM <= item != MAX_INT64:
        return hex(item)
    return value(item)


def slice_(shown: dict[str, Any], kind: str) -> str:
    """A slice: nil, or its length with its first elements."""
    if shown["data"] == "0x0":
        return "nil"
    elements = shown.get("elements")
    if not elements:
        return f"len {shown['len']} at {shown['data']}"
    return f"len {shown['len']} {array(elements, kind)}"
