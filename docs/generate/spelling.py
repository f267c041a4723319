"""How figures are written on a page: numbers, addresses, Go values, system calls, source positions."""

from __future__ import annotations

from typing import Any

from emu.boot.record import Syscall
from emu.report import calls

UNITS = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))
MAX_WORDS = 6  # elements of a slice
FIRST_ADDRESS = 0x400000  # a uintptr below is a count or a size, not an address


def number(value: int) -> str:
    """An integer with thin grouping, as prose has it: 137,725."""
    return f"{value:,}"


def size(value: int) -> str:
    """Bytes in the largest binary unit that divides them."""
    for unit, scale in UNITS:
        if value and value % scale == 0:
            return f"{value // scale} {unit}"
    return f"{number(value)} bytes"


def plain(value: Any) -> str:
    """A value of the record, as Go's %v would have it where that is short."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or value == "0x0":
        return "nil"
    if isinstance(value, dict):
        return _composite(value)
    if isinstance(value, list):
        shown = " ".join(plain(item) for item in value[:MAX_WORDS])
        return f"[{shown}{' …' if len(value) > MAX_WORDS else ''}]"
    return str(value)


def _composite(value: dict[str, Any]) -> str:
    if "text" in value:
        return f'"{value["text"]}"'
    if value.get("elements"):
        return plain(value["elements"])
    if "len" in value:
        return "nil" if value.get("data") == "0x0" else f"len {number(value['len'])}"
    return "{" + ", ".join(f"{name}: {plain(item)}" for name, item in value.items()) + "}"


def position(call: dict[str, Any]) -> str:
    """Source file and line without the folder that the program was built in: ``os_linux.go:289``."""
    file = str(call["file"])
    for root in ("/src/runtime/", "/src/"):
        if root in file:
            file = file.partition(root)[2]
            break
    return f"{file.removeprefix('runtime/')}:{call['line']}"


def syscall(call: dict[str, Any]) -> str:
    """One system call as the screen of ``rt0 boot`` writes it."""
    return calls.text(Syscall(**call))


def typed(value: Any, kind: str) -> str:
    """A value of Go type *kind*: addresses in hexadecimal."""
    if isinstance(value, int) and value >= FIRST_ADDRESS and kind.lower().endswith("uintptr"):
        return hex(value)
    return plain(value)
