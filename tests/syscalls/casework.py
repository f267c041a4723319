"""What the cases of calls are made of: arguments in the argument page, descriptors, a mapping."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from syscalls import abi
from tests.syscalls.bytememory import Guest

AT = abi.AT_FDCWD
IN, OUT = 1024, 0  # where arguments and results stand in the argument page
MINUS = -1
MAPPED = 0x2000_0000

Args = tuple[int, ...]


class Case(NamedTuple):
    """What a call answers; each part is made for a fresh guest.  None: the call cannot fail in that way."""

    good: Callable[[Guest], tuple[Args, int]]
    fault: Callable[[Guest], Args] | None = None
    bad: Callable[[Guest], tuple[Args, int]] | None = None
    check: Callable[[Guest], bool] = lambda _: True


def path(g: Guest, text: str) -> int:
    return g.put(text.encode() + b"\0", IN)


def opened(g: Guest, text: str, flags: int = 0) -> int:
    fd = g.call(257, AT, path(g, text), flags)
    assert fd >= 0, text
    return fd


def mapped(g: Guest, n_pages: int = 4) -> int:
    assert g.call(9, MAPPED, n_pages * 4096, 3, 0x32, MINUS) == MAPPED
    return MAPPED


def iovec(g: Guest, *pairs: tuple[int, int]) -> int:
    return g.put(b"".join(struct.pack("<QQ", *pair) for pair in pairs), IN)


def u64(g: Guest, offset: int = OUT) -> int:
    return int.from_bytes(g.get(8, offset), "little")
