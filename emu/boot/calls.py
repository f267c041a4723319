"""System calls as the record has them: arguments by the kinds that the table declares.

Integers are integers, as wide and as signed as the call takes them; a path is text; a pointer is ``"0x..."``.  A
pointer whose bytes the kernel read or wrote is ``{"addr", "size", "text"}``, or ``"hex"`` for bytes that are no text:
``size`` bytes in all, of which at most :data:`syscalls.events.DETAIL_LIMIT` are shown (of a set of CPUs, all).
"""

from __future__ import annotations

from emu.boot.record import Syscall
from syscalls.events import SyscallEvent
from syscalls.kernel import COMPILED
from syscalls.kinds import Kind
from syscalls.light import Any


def syscall(event: SyscallEvent, after_call: int | None) -> Syscall:
    """The record's form of *event*; *after_call* is the index of the function call that was entered last before it."""
    return Syscall(
        event.name, arguments(event), event.result, event.errno, event.function, event.overridden, after_call
    )


def arguments(event: SyscallEvent) -> list[Any]:
    """The arguments of *event*; of a call that the table does not know, the six registers."""
    row = COMPILED.get(event.nr)
    if row is None:
        return list(event.args)
    return [_argument(event, index, kind) for index, kind in enumerate(row.row.kinds)]


def _argument(event: SyscallEvent, index: int, kind: Kind) -> Any:
    value = event.args[index]
    shown = event.detail.get(index)
    if shown is None:
        return hex(value) if kind.direction or kind.name == "addr" else narrowed(value, kind)
    if kind.path:
        return shown.decode("utf-8", "backslashreplace")
    return {"addr": hex(value), "size": _size(event, kind, len(shown)), **_content(shown)}


def narrowed(value: int, kind: Kind) -> int:
    """The register's *value* as a C variable of *kind* holds it."""
    value &= (1 << kind.bits) - 1
    return value - (1 << kind.bits) if kind.signed and value >> (kind.bits - 1) else value


def _size(event: SyscallEvent, kind: Kind, shown: int) -> int:
    if kind.by_result:
        return max(event.result, shown)
    if kind.vector or not (kind.size or kind.size_arg is not None):
        return shown
    return kind.size if kind.size_arg is None else event.args[kind.size_arg]


def _content(data: bytes) -> dict[str, str]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return {"hex": data.hex()}
    return {"text": text} if all(c.isprintable() or c in "\n\t\r" for c in text) else {"hex": data.hex()}
