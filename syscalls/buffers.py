"""The bytes behind pointer arguments, found by their kinds: kept for the log, or stored by a response rule."""

from __future__ import annotations

from syscalls import abi
from syscalls.events import DETAIL_LIMIT, WHOLE_LIMIT
from syscalls.guest import PAGE, GuestFault, GuestMemory
from syscalls.kinds import Kind
from syscalls.light import Protocol


class Readable(Protocol):
    """Memory that can be read: the guest's, or a native process's that is being watched."""

    def read(self, addr: int, size: int) -> bytes:
        """Return *size* bytes at *addr*; raise GuestFault."""
        ...


def spans(mem: Readable, kind: Kind, index: int, args: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return (address, size) of each stretch of guest memory that argument *index* points at.

    Raises GuestFault when an I/O vector itself cannot be read.
    """
    addr = args[index]
    if not addr:
        return []
    if not kind.vector:
        return [(addr, kind.size if kind.size_arg is None else args[kind.size_arg])]
    assert kind.size_arg is not None
    count = min(args[kind.size_arg] & 0xFFFF_FFFF, abi.IOV_MAX)
    return list(abi.IOVEC.iter_unpack(mem.read(addr, count * abi.IOVEC.size)))


def capture(mem: Readable, kind: Kind, index: int, args: tuple[int, ...], result: int | None) -> dict[int, bytes]:
    """Return {index: bytes} of what the buffer holds, up to DETAIL_LIMIT, or WHOLE_LIMIT if its kind is whole.

    Nothing when it cannot be read.

    *result* is what the call returned, or None before it ran.
    """
    limit = WHOLE_LIMIT if kind.whole else DETAIL_LIMIT
    if result is not None and kind.by_result:
        limit = min(result, limit)
    found = b""
    if kind.strings:
        return strings(mem, args[index], limit, index)
    try:
        if not kind.vector:  # the common case
            addr = args[index]
            size = min(kind.size if kind.size_arg is None else args[kind.size_arg], limit)
            found = mem.read(addr, size) if addr and size > 0 else b""
            return {index: found} if addr else {}
        for addr, size in spans(mem, kind, index, args):
            part = min(size, limit - len(found))
            if part > 0:
                found += mem.read(addr, part)
    except GuestFault:
        return {}  # the call itself fails with EFAULT, or the pointer was not followed
    return {index: found} if found or args[index] else {}


def strings(mem: Readable, addr: int, limit: int, index: int) -> dict[int, bytes]:
    """Return {index: the strings of the vector at *addr*, each with its null}; nothing when one cannot be read."""
    found = b""
    try:
        while addr and len(found) < limit:
            (at,) = abi.U64.unpack(mem.read(addr, 8))
            if not at:
                return {index: found}
            found += _string(mem, at)
            addr += 8
    except GuestFault:
        return {}
    return {index: found} if addr else {}


def _string(mem: Readable, addr: int) -> bytes:
    text = b""
    while b"\0" not in text:
        part = mem.read(addr, PAGE - addr % PAGE)
        text += part
        addr += len(part)
    return text[: text.index(b"\0") + 1]


def store(mem: GuestMemory, kind: Kind, index: int, args: tuple[int, ...], data: bytes) -> int:
    """Store *data*, cut to its size, into the buffer of argument *index*; return the bytes stored."""
    done = 0
    for addr, size in spans(mem, kind, index, args):
        part = data[done : done + size]
        if part:
            mem.write(addr, part)
            done += len(part)
    return done
