"""The cases of the rows for sockets; see :mod:`tests.syscalls.test_calls`."""

# Every part of a case is handed the guest, whether it needs it or not.
# ruff: noqa: ARG005

from __future__ import annotations

import struct

from syscalls.errno import (
    EADDRNOTAVAIL,
    EAFNOSUPPORT,
    EBADF,
    ECONNREFUSED,
    EINVAL,
    ENOPROTOOPT,
    ENOTCONN,
    ENOTSOCK,
    EOPNOTSUPP,
)  # fmt: skip
from syscalls.net import constants as c
from tests.syscalls.bytememory import BAD, BUFFER, Guest
from tests.syscalls.casework import IN, Case

SOCKET, CONNECT, ACCEPT, SENDTO, BIND, LISTEN, SOCKETPAIR = 41, 42, 43, 44, 49, 50, 53
HOST = bytes((127, 0, 0, 1))
NAME, SPAN = 2048, 2560  # where an address, and an I/O vector stand in the argument page


def address(g: Guest, port: int, host: bytes = HOST, family: int = c.AF_INET) -> int:
    """Store a sockaddr_in and return its address."""
    return g.put(c.SOCKADDR_IN.pack(family, port.to_bytes(2, "big"), host), NAME)


def tcp(g: Guest, kind: int = c.SOCK_STREAM) -> int:
    fd = g.call(SOCKET, c.AF_INET, kind, 0)
    assert fd >= 0
    return fd


def listening(g: Guest, port: int = 8000) -> int:
    """A TCP socket that listens at 127.0.0.1:*port*."""
    fd = tcp(g)
    assert g.call(BIND, fd, address(g, port), 16) == 0
    assert g.call(LISTEN, fd, 5) == 0
    return fd


def connected(g: Guest, port: int = 8000) -> int:
    """A TCP socket that is connected to :func:`listening`, whose descriptor is one less."""
    listening(g, port)
    fd = tcp(g)
    assert g.call(CONNECT, fd, address(g, port), 16) == 0
    return fd


def pair(g: Guest, kind: int = c.SOCK_STREAM, data: bytes = b"") -> int:
    """Connected sockets of AF_UNIX; return the first, whose peer is one more and has sent *data*."""
    assert g.call(SOCKETPAIR, c.AF_UNIX, kind, 0, BUFFER + 3000) == 0
    one, other = struct.unpack("<ii", g.get(8, 3000))
    assert other == one + 1
    if data:
        assert g.call(1, other, g.put(data, 3000), len(data)) == len(data)
    return int(one)


def msghdr(g: Guest, data: bytes | int, control: bytes = b"", name: int = 0) -> int:
    """Store a struct msghdr with one span of *data*, or for that many bytes, and return its address."""
    size = data if isinstance(data, int) else len(data)
    where = BUFFER if isinstance(data, int) else g.put(data, 3000)
    span = g.put(struct.pack("<QQ", where, size), SPAN)
    beside = g.put(control, 3500) if control else 0
    return g.put(c.MSGHDR.pack(name, 16 if name else 0, span, 1, beside, len(control), 0), IN)


def socklen(g: Guest, size: int) -> int:
    return g.put(struct.pack("<i", size), IN)


def many(g: Guest, data: bytes | int) -> int:
    """Store an array of one struct mmsghdr and return its address."""
    return msghdr(g, data)


CASES: dict[str, Case] = {
    "socket": Case(
        lambda g: ((c.AF_INET6, c.SOCK_DGRAM | c.SOCK_CLOEXEC, 0), 3), None, lambda g: ((99, 1, 0), EAFNOSUPPORT),
        lambda g: g.kernel.files.closes_on_exec(3),
    ),
    "connect": Case(
        lambda g: ((listening(g) + 0 * tcp(g) + 1, address(g, 8000), 16), 0), lambda g: (tcp(g), BAD, 16),
        lambda g: ((tcp(g), address(g, 1), 16), ECONNREFUSED),
    ),
    "accept": Case(
        lambda g: ((connected(g) - 1, BUFFER, socklen(g, 16)), 5), lambda g: (connected(g) - 1, BUFFER, BAD),
        lambda g: ((tcp(g), 0, 0), EINVAL),
        lambda g: g.get(8) == struct.pack("<H", c.AF_INET) + (32768).to_bytes(2, "big") + HOST,
    ),
    "accept4": Case(
        lambda g: ((connected(g) - 1, 0, 0, c.SOCK_CLOEXEC), 5), lambda g: (connected(g) - 1, BUFFER, BAD, 0),
        lambda g: ((listening(g), 0, 0, 1), EINVAL), lambda g: g.kernel.files.closes_on_exec(5),
    ),
    "sendto": Case(
        lambda g: ((pair(g), g.put(b"hello"), 5, 0, 0, 0), 5), lambda g: (pair(g), BAD, 5, 0, 0, 0),
        lambda g: ((1, BUFFER, 5, 0, 0, 0), ENOTSOCK),
        lambda g: g.call(0, 4, BUFFER, 9) == 5 and g.get(5) == b"hello",
    ),
    "recvfrom": Case(
        lambda g: ((pair(g, data=b"hello"), BUFFER, 9, c.MSG_PEEK, 0, 0), 5),
        lambda g: (pair(g, data=b"hello"), BAD, 9, 0, 0, 0),
        lambda g: ((99, BUFFER, 9, 0, 0, 0), EBADF),
        lambda g: g.get(5) == b"hello" and g.call(0, 3, BUFFER, 9) == 5,
    ),
    "sendmsg": Case(
        lambda g: ((pair(g), msghdr(g, b"hello"), 0), 5), lambda g: (pair(g), BAD, 0),
        lambda g: ((pair(g), msghdr(g, b"hello", c.CMSGHDR.pack(3, c.SOL_SOCKET, c.SCM_RIGHTS)), 0), EINVAL),
        lambda g: g.call(0, 4, BUFFER, 9) == 5 and g.get(5) == b"hello",
    ),
    "recvmsg": Case(
        lambda g: ((pair(g, c.SOCK_DGRAM, b"hello"), msghdr(g, 4), c.MSG_TRUNC), 5), lambda g: (pair(g), BAD, 0),
        lambda g: ((tcp(g), msghdr(g, 4), 0), ENOTCONN),
        lambda g: g.get(4) == b"hell" and g.get(4, IN + 48) == struct.pack("<I", c.MSG_TRUNC),
    ),
    "shutdown": Case(
        lambda g: ((pair(g), c.SHUT_WR), 0), None, lambda g: ((pair(g), 3), EINVAL),
        lambda g: g.call(0, 4, BUFFER, 9) == 0,
    ),
    "bind": Case(
        lambda g: ((tcp(g), address(g, 80), 16), 0), lambda g: (tcp(g), BAD, 16),
        lambda g: ((tcp(g), address(g, 80, bytes((192, 0, 2, 1))), 16), EADDRNOTAVAIL),
    ),
    "listen": Case(lambda g: ((tcp(g), 5), 0), None, lambda g: ((tcp(g, c.SOCK_DGRAM), 5), EOPNOTSUPP)),
    "getsockname": Case(
        lambda g: ((listening(g), BUFFER, socklen(g, 128)), 0), lambda g: (listening(g), BUFFER, BAD),
        lambda g: ((listening(g), BUFFER, socklen(g, -1)), EINVAL),
        lambda g: g.get(16) == c.SOCKADDR_IN.pack(c.AF_INET, (8000).to_bytes(2, "big"), HOST),
    ),
    "getpeername": Case(
        lambda g: ((connected(g), BUFFER, socklen(g, 4)), 0), lambda g: (connected(g), BUFFER, BAD),
        lambda g: ((tcp(g), BUFFER, socklen(g, 16)), ENOTCONN),
        lambda g: (g.get(4), g.get(4, IN)) == (struct.pack("<H", c.AF_INET) + b"\x1f\x40", b"\x10\0\0\0"),
    ),
    "socketpair": Case(
        lambda g: ((c.AF_UNIX, c.SOCK_SEQPACKET, 0, BUFFER), 0), lambda g: (c.AF_UNIX, c.SOCK_STREAM, 0, BAD),
        lambda g: ((c.AF_INET, c.SOCK_STREAM, 0, BUFFER), EOPNOTSUPP),
        lambda g: struct.unpack("<ii", g.get(8)) == (3, 4),
    ),
    "setsockopt": Case(
        lambda g: ((tcp(g), c.SOL_SOCKET, c.SO_RCVTIMEO, g.put(struct.pack("<qq", 1, 5), IN), 16), 0),
        lambda g: (tcp(g), c.SOL_SOCKET, c.SO_REUSEADDR, BAD, 4),
        lambda g: ((tcp(g), c.SOL_SOCKET, 999, g.put(bytes(4), IN), 4), ENOPROTOOPT),
        lambda g: g.kernel.files.get(3).receive_timeout == 1_000_005_000,  # type: ignore[attr-defined]  # a socket
    ),
    "getsockopt": Case(
        lambda g: ((tcp(g), c.SOL_SOCKET, c.SO_TYPE, BUFFER, socklen(g, 8)), 0),
        lambda g: (tcp(g), c.SOL_SOCKET, c.SO_TYPE, BUFFER, BAD),
        lambda g: ((tcp(g), c.SOL_SOCKET, 999, BUFFER, socklen(g, 4)), ENOPROTOOPT),
        lambda g: (g.get(4), g.get(4, IN)) == (b"\1\0\0\0", b"\4\0\0\0"),
    ),
    "recvmmsg": Case(
        lambda g: ((pair(g, c.SOCK_DGRAM, b"hello"), many(g, 9), 1, 0, 0), 1), lambda g: (pair(g), BAD, 1, 0, 0),
        lambda g: ((1, many(g, 9), 1, 0, 0), ENOTSOCK),
        lambda g: g.get(5) == b"hello" and g.get(4, IN + 56) == b"\5\0\0\0",
    ),
    "sendmmsg": Case(
        lambda g: ((pair(g), many(g, b"hello"), 1, 0), 1), lambda g: (pair(g), BAD, 1, 0),
        lambda g: ((99, many(g, b"hello"), 1, 0), EBADF), lambda g: g.get(4, IN + 56) == b"\5\0\0\0",
    ),
}  # fmt: skip
