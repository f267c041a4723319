"""The cases of the rows for pipes, event counters and waiting; see :mod:`tests.syscalls.test_calls`."""

# Every part of a case is handed the guest, whether it needs it or not.
# ruff: noqa: ARG005

from __future__ import annotations

import struct

from syscalls import abi
from syscalls.errno import EINVAL, EPERM
from tests.syscalls.bytememory import BAD, BUFFER, Guest
from tests.syscalls.casework import IN, MINUS, Case

PIPE2, EVENTFD2, EPOLL_CREATE1, EPOLL_CTL = 293, 290, 291, 233


def pipe(g: Guest, flags: int = 0) -> tuple[int, int]:
    """Make a pipe; return its descriptors for reading and for writing."""
    assert g.call(PIPE2, BUFFER + 3000, flags) == 0
    reader, writer = struct.unpack("<ii", g.get(8, 3000))
    return reader, writer


def watching(g: Guest, fd: int, events: int = abi.POLLIN, data: int = 7) -> int:
    """Make an epoll instance that watches *fd*; return its descriptor."""
    epfd = g.call(EPOLL_CREATE1, 0)
    assert g.call(EPOLL_CTL, epfd, abi.EPOLL_CTL_ADD, fd, event(g, events, data)) == 0
    return epfd


def event(g: Guest, events: int, data: int = 7) -> int:
    """Store a struct epoll_event and return its address."""
    return g.put(abi.EPOLL_EVENT.pack(events, data), IN)


def fired(g: Guest) -> int:
    """An epoll instance that watches an event counter which is not 0."""
    return watching(g, g.call(EVENTFD2, 1, 0))


def ds(g: Guest) -> tuple[int, ...]:
    return struct.unpack("<ii", g.get(8))


def got_event(g: Guest) -> bool:
    return g.get(12) == abi.EPOLL_EVENT.pack(abi.POLLIN, 7)


CASES: dict[str, Case] = {
    "pipe": Case(lambda g: ((BUFFER,), 0), lambda g: (BAD,), None, lambda g: ds(g) == (3, 4)),
    "pipe2": Case(
        lambda g: ((BUFFER, abi.O_CLOEXEC), 0), lambda g: (BAD, 0), lambda g: ((BUFFER, 1), EINVAL),
        lambda g: ds(g) == (3, 4) and g.kernel.files.closes_on_exec(4),
    ),
    "eventfd": Case(lambda g: ((5,), 3), None, None),
    "eventfd2": Case(
        lambda g: ((5, abi.O_NONBLOCK), 3), None, lambda g: ((5, 2), EINVAL),
        lambda g: g.call(0, 3, BUFFER, 8) == 8 and g.get(8) == struct.pack("<Q", 5),
    ),
    "epoll_create": Case(lambda g: ((1,), 3), None, lambda g: ((0,), EINVAL)),
    "epoll_create1": Case(
        lambda g: ((abi.EPOLL_CLOEXEC,), 3), None, lambda g: ((1,), EINVAL),
        lambda g: g.kernel.files.closes_on_exec(3),
    ),
    "epoll_ctl": Case(
        lambda g: ((g.call(EPOLL_CREATE1, 0), abi.EPOLL_CTL_ADD, pipe(g)[0], event(g, abi.POLLIN)), 0),
        lambda g: (g.call(EPOLL_CREATE1, 0), abi.EPOLL_CTL_ADD, pipe(g)[0], BAD),
        lambda g: ((g.call(EPOLL_CREATE1, 0), abi.EPOLL_CTL_ADD, g.call(2, g.put(b"/dev/null\0"), 0),
                    event(g, abi.POLLIN)), EPERM),
    ),
    "epoll_wait": Case(
        lambda g: ((fired(g), BUFFER, 8, MINUS), 1), lambda g: (fired(g), BAD, 8, MINUS),
        lambda g: ((fired(g), BUFFER, 0, MINUS), EINVAL), got_event,
    ),
    "epoll_pwait": Case(
        lambda g: ((fired(g), BUFFER, 8, MINUS, 0, 8), 1), lambda g: (fired(g), BUFFER, 8, MINUS, BAD, 8),
        lambda g: ((fired(g), BUFFER, 8, MINUS, BUFFER, 4), EINVAL), got_event,
    ),
    "epoll_pwait2": Case(
        lambda g: ((fired(g), BUFFER, 8, g.put(struct.pack("<qq", 1, 0), IN), 0, 8), 1),
        lambda g: (fired(g), BUFFER, 8, BAD, 0, 8),
        lambda g: ((1, BUFFER, 8, 0, 0, 8), EINVAL), got_event,
    ),
}  # fmt: skip
