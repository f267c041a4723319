"""The cases of the rows for pipes, event counters and waiting; see :mod:`tests.syscalls.test_calls`."""

# Every part of a case is handed the guest, whether it needs it or not.
# ruff: noqa: ARG005

from __future__ import annotations

import struct

from syscalls import abi
from syscalls.errno import EAGAIN, EBADF, EINVAL, EPERM
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


def signals(g: Guest, signum: int) -> int:
    """Block *signum*, and return the address of the set of it."""
    addr = g.put(struct.pack("<Q", 1 << signum - 1), IN)
    assert g.call(14, abi.SIG_BLOCK, addr, 0, 8) == 0
    return addr


def usr1_is_read(g: Guest, fd: int) -> bool:
    """Nothing can be read of *fd* before SIGUSR1 was sent, then that, from the guest itself."""
    before = g.call(0, fd, BUFFER, 128)
    assert g.call(62, 1000, abi.SIGUSR1) == 0
    return (before, g.call(0, fd, BUFFER, 128)) == (-EAGAIN, 128) and g.get(16) == struct.pack("<4i", 10, 0, 0, 1000)


def filled(g: Guest, data: bytes) -> int:
    """A pipe that holds *data*; return the descriptor for reading."""
    reader, writer = pipe(g)
    assert g.call(1, writer, g.put(data, 3000), len(data)) == len(data)
    return reader


def fired(g: Guest) -> int:
    """An epoll instance that watches an event counter which is not 0."""
    return watching(g, g.call(EVENTFD2, 1, 0))


def ds(g: Guest) -> tuple[int, ...]:
    return struct.unpack("<ii", g.get(8))


def got_event(g: Guest) -> bool:
    return g.get(12) == abi.EPOLL_EVENT.pack(abi.POLLIN, 7)


def pollfds(g: Guest, *entries: tuple[int, int]) -> int:
    """Store an array of struct pollfd and return its address."""
    return g.put(b"".join(abi.POLLFD.pack(fd, events, 0x55) for fd, events in entries), IN)


def itimerspec(g: Guest, *parts: int) -> int:
    return g.put(abi.ITIMERSPEC.pack(*parts), IN)


def timer(g: Guest, *parts: int) -> int:
    """Make a timer on the monotonic clock, armed with *parts*, if any."""
    fd = g.call(283, abi.CLOCK_MONOTONIC, 0)
    assert not parts or g.call(286, fd, 0, itimerspec(g, *parts), 0) == 0
    return fd


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
    "signalfd": Case(
        lambda g: ((MINUS, signals(g, abi.SIGUSR1), 8), 3), lambda g: (MINUS, BAD, 8),
        lambda g: ((MINUS, signals(g, abi.SIGUSR1), 4), EINVAL),
        lambda g: g.call(0, 3, BUFFER, 100) == -EINVAL,
    ),
    "signalfd4": Case(
        lambda g: ((MINUS, signals(g, abi.SIGUSR1), 8, abi.O_NONBLOCK), 3), lambda g: (MINUS, BAD, 8, 0),
        lambda g: ((MINUS, signals(g, abi.SIGUSR1), 8, 2), EINVAL),
        lambda g: usr1_is_read(g, 3),
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
    "poll": Case(
        lambda g: ((pollfds(g, (1, abi.POLLOUT), (-1, 1), (9, 1)), 3, MINUS), 2), lambda g: (BAD, 1, 0),
        lambda g: ((BUFFER, 9999, 0), EINVAL),
        lambda g: struct.unpack("<2xhi2xhi2xh", g.get(24, IN)[4:]) == (abi.POLLOUT, -1, 0, 9, abi.POLLNVAL),
    ),
    "ppoll": Case(
        lambda g: ((pollfds(g, (0, abi.POLLOUT)), 1, g.put(struct.pack("<qq", 0, 5000)), 0, 8), 0),
        lambda g: (pollfds(g, (0, 0)), 1, BAD, 0, 8),
        lambda g: ((pollfds(g, (0, 0)), 1, 0, BUFFER, 7), EINVAL),
        lambda g: g.get(16) == bytes(16),
    ),
    "select": Case(
        lambda g: ((3, g.put(b"\1".ljust(8, b"\0"), IN), g.put(b"\6".ljust(8, b"\0")), 0, 0), 3),
        lambda g: (3, BAD, 0, 0, 0), lambda g: ((MINUS, 0, 0, 0, 0), EINVAL),
        lambda g: (g.get(8), g.get(8, IN)) == (b"\6".ljust(8, b"\0"), b"\1".ljust(8, b"\0")),
    ),
    "pselect6": Case(
        lambda g: ((0, 0, 0, 0, g.put(struct.pack("<qq", 1, 0)), 0), 0),
        lambda g: (0, 0, 0, 0, BAD, 0), lambda g: ((9, g.put(b"\x80" + bytes(7)), 0, 0, 0, 0), EBADF),
        lambda g: g.get(16) == bytes(16) and g.kernel.clock.slept_ns >= 1_000_000_000,
    ),
    "timerfd_create": Case(
        lambda g: ((abi.CLOCK_MONOTONIC, abi.O_CLOEXEC), 3), None, lambda g: ((abi.CLOCK_TAI, 0), EINVAL)
    ),
    "timerfd_settime": Case(
        lambda g: ((timer(g), 0, itimerspec(g, 0, 0, 2, 5), 0), 0), lambda g: (timer(g), 0, BAD, 0),
        lambda g: ((timer(g), 0, itimerspec(g, 0, 0, 0, 1_000_000_000), 0), EINVAL),
        lambda g: g.call(0, 3, BUFFER, 8) == 8 and g.get(1) == b"\1" and g.kernel.clock.slept_ns >= 2_000_000_005,
    ),
    "timerfd_gettime": Case(
        lambda g: ((timer(g, 1, 0, 3, 0), BUFFER), 0), lambda g: (timer(g), BAD), lambda g: ((1, BUFFER), EINVAL),
        lambda g: struct.unpack("<4q", g.get(32)) == (1, 0, 3, 0),
    ),
    "splice": Case(
        lambda g: ((filled(g, b"hello"), 0, pipe(g)[1], 0, 9, 0), 5), None,
        lambda g: ((1, 0, 1, 0, 9, 0), EBADF),
        lambda g: g.call(0, 5, BUFFER, 9) == 5 and g.get(5) == b"hello",
    ),
    "epoll_pwait2": Case(
        lambda g: ((fired(g), BUFFER, 8, g.put(struct.pack("<qq", 1, 0), IN), 0, 8), 1),
        lambda g: (fired(g), BUFFER, 8, BAD, 0, 8),
        lambda g: ((1, BUFFER, 8, 0, 0, 8), EINVAL), got_event,
    ),
}  # fmt: skip
