"""The rows of the table for sockets."""

from __future__ import annotations

from syscalls.kinds import ADDR, FD, INT, SIZE, UINT, in_buf, in_struct, inout_struct, out_buf, out_struct
from syscalls.row import COUNT, NEW_FD, PARTIAL, ZERO, Handler, Syscall, later


def calls(name: str) -> Handler:
    """Return a handler of syscalls.net.calls."""
    return later("syscalls.net.calls", name)


def messages(name: str) -> Handler:
    """Return a handler of syscalls.net.messages."""
    return later("syscalls.net.messages", name)


def options(name: str) -> Handler:
    """Return a handler of syscalls.net.options."""
    return later("syscalls.net.options", name)


LOOPBACK = "AF_UNIX, and TCP and UDP of AF_INET and AF_INET6 over the loopback device; NETLINK_ROUTE lists it."
LENGTH = inout_struct("socklen", 4)
MSG = in_struct("msghdr", 56)
BESIDE = "Beside the bytes: descriptors and credentials of AF_UNIX; MSG_OOB and MSG_ERRQUEUE are not there."

ROWS: tuple[Syscall, ...] = (
    Syscall(41, "socket", (INT, INT, INT), NEW_FD, calls("socket"), PARTIAL, LOOPBACK),
    Syscall(42, "connect", (FD, in_buf(2), INT), ZERO, calls("connect"), PARTIAL,
            "Every address of the loopback device and every wildcard is this machine; all others are ENETUNREACH."),
    Syscall(43, "accept", (FD, ADDR, ADDR), NEW_FD, calls("accept")),
    Syscall(44, "sendto", (FD, in_buf(2), SIZE, UINT, ADDR, INT), COUNT, messages("sendto"), PARTIAL, BESIDE),
    Syscall(45, "recvfrom", (FD, out_buf(2), SIZE, UINT, ADDR, ADDR), COUNT, messages("recvfrom"), PARTIAL, BESIDE),
    Syscall(46, "sendmsg", (FD, MSG, UINT), COUNT, messages("sendmsg"), PARTIAL, BESIDE),
    Syscall(47, "recvmsg", (FD, MSG, UINT), COUNT, messages("recvmsg"), PARTIAL, BESIDE),
    Syscall(48, "shutdown", (FD, INT), ZERO, calls("shutdown")),
    Syscall(49, "bind", (FD, in_buf(2), INT), ZERO, calls("bind"), PARTIAL,
            "There is no TIME_WAIT: a port is free as soon as its sockets are closed."),
    Syscall(50, "listen", (FD, INT), ZERO, calls("listen")),
    Syscall(51, "getsockname", (FD, ADDR, LENGTH), ZERO, calls("getsockname")),
    Syscall(52, "getpeername", (FD, ADDR, LENGTH), ZERO, calls("getpeername")),
    Syscall(53, "socketpair", (INT, INT, INT, out_struct("int[2]", 8)), ZERO, calls("socketpair")),
    Syscall(54, "setsockopt", (FD, INT, INT, in_buf(4), INT), ZERO, options("setsockopt"), PARTIAL,
            "What only tunes a real network is remembered and changes nothing; unknown options are ENOPROTOOPT."),
    Syscall(55, "getsockopt", (FD, INT, INT, ADDR, LENGTH), ZERO, options("getsockopt"), PARTIAL,
            "TCP_INFO has the state only."),
    Syscall(288, "accept4", (FD, ADDR, ADDR, INT), NEW_FD, calls("accept4")),
    Syscall(299, "recvmmsg", (FD, ADDR, UINT, UINT, ADDR), COUNT, messages("recvmmsg"), PARTIAL, BESIDE),
    Syscall(307, "sendmmsg", (FD, ADDR, UINT, UINT), COUNT, messages("sendmmsg"), PARTIAL, BESIDE),
)  # fmt: skip
