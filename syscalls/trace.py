"""System calls as text: ``openat(AT_FDCWD, "/sys/...", O_RDONLY, 0) = 3``, from the rows of the table.

Only for showing; nothing here is needed to run.  Numbers become names where a row's kind says which constants they
are made of; pointers show what was behind them when the call was made.
"""

from __future__ import annotations

import functools

from syscalls import abi
from syscalls.events import DETAIL_LIMIT, SyscallEvent
from syscalls.kinds import Kind
from syscalls.row import ADDRESS, Syscall
from syscalls.table import ROWS

BY_NR: dict[int, Syscall] = {row.nr: row for row in ROWS}
SHOWN = 64  # bytes of a buffer
# Kinds whose constants share a prefix with constants of another meaning, or have none of their own.
EXTRA_NAMES = {
    "R_OK": {0: "F_OK", 1: "X_OK", 2: "W_OK", 4: "R_OK"},
    "SIG_": {0: "SIG_BLOCK", 1: "SIG_UNBLOCK", 2: "SIG_SETMASK"},
    "CLONE_": {},
    "AT_": {0x100: "AT_SYMLINK_NOFOLLOW", 0x200: "AT_EACCESS", 0x800: "AT_NO_AUTOMOUNT", 0x1000: "AT_EMPTY_PATH"},
}


@functools.cache
def constants(prefix: str) -> dict[int, str]:
    """Return value -> name for the constants of *prefix*."""
    found = EXTRA_NAMES.get(prefix)
    return abi.names(prefix) if found is None else found


def quote(data: bytes, limit: int = SHOWN) -> str:
    """Return *data* as a C string, cut to *limit* bytes."""
    text = "".join(
        {9: "\\t", 10: "\\n", 13: "\\r", 34: '\\"', 92: "\\\\"}.get(
            byte, chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}"
        )
        for byte in data[:limit]
    )
    return f'"{text}"' + ("..." if len(data) > limit else "")


def narrowed(kind: Kind, value: int) -> int:
    """Return *value* as the kernel sees it."""
    value &= (1 << kind.bits) - 1
    return value - (1 << kind.bits) if kind.signed and value >> (kind.bits - 1) else value


def flag_names(kind: Kind, value: int) -> str:
    """Return *value* as names joined by ``|``; what has no name stays a number."""
    known = constants(kind.prefix)
    if kind.prefix == "O_":
        access = value & abi.O_ACCMODE
        rest = value & ~abi.O_ACCMODE & ~abi.O_LARGEFILE
        parts = [("O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE")[access]]
    else:
        rest = value
        parts = [known[0]] if not value and 0 in known else []
    if kind.prefix == "MAP_":
        parts = [known.get(value & abi.MAP_TYPE, str(value & abi.MAP_TYPE))]
        rest = value & ~abi.MAP_TYPE
    for bit, name in known.items():
        if bit.bit_count() == 1 and rest & bit:
            parts.append(name)
            rest &= ~bit
    if rest or not parts:
        parts.append(f"{rest:#x}" if rest else "0")
    return "|".join(parts)


def argument(kind: Kind, value: int, detail: bytes | None) -> str:
    """Return one argument as text; *detail* is what its pointer showed."""
    number = narrowed(kind, value)
    if detail is not None and kind.strings:
        return f"[{', '.join([quote(word) for word in detail.split(bytes(1))[:-1]])}]"
    if detail is not None:
        return quote(detail, DETAIL_LIMIT) if kind.path else f"{quote(detail)}" if detail else '""'
    if kind.prefix and kind.is_mask:
        return flag_names(kind, number)
    if kind.prefix and number in constants(kind.prefix):
        return constants(kind.prefix)[number]
    if kind.direction or kind.name == "addr":
        return f"{number:#x}" if number else "NULL"
    return str(number)


def result(row: Syscall | None, event: SyscallEvent) -> str:
    """Return the result as text."""
    if event.errno:
        return f"-1 {event.errno}"
    return f"{event.result:#x}" if row and row.result == ADDRESS else str(event.result)


def line(event: SyscallEvent) -> str:
    """Return *event* as one line of text."""
    row = BY_NR.get(event.nr)
    if row is None:
        arguments = ", ".join(f"{value:#x}" for value in event.args)
    else:
        arguments = ", ".join(
            argument(kind, value, event.detail.get(index))
            for index, (kind, value) in enumerate(zip(row.kinds, event.args, strict=True))
        )
    mark = "  (by the World's rule)" if event.overridden else ""
    return f"{event.name}({arguments}) = {result(row, event)}{mark}"
