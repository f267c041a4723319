"""Socket options: getsockopt(2), setsockopt(2), socket(7), tcp(7), ip(7), ipv6(7).

Those that change what this network does are acted on; what only tunes a real one (keep-alive times, TTL) is remembered,
so that it can be asked for, and changes nothing here; others are ENOPROTOOPT.
"""

from __future__ import annotations

from struct import Struct

from syscalls import abi
from syscalls.errno import EDOM, EINVAL, ENODEV, ENOPROTOOPT, EOPNOTSUPP, EPERM, SyscallError
from syscalls.light import TYPE_CHECKING
from syscalls.net import constants as c
from syscalls.net.constants import AF_INET, AF_INET6, AF_UNIX, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, SOL_SOCKET
from syscalls.net.inet import InetSocket
from syscalls.net.messages import socket_of
from syscalls.net.sockets import LISTENING, Socket
from syscalls.net.unix import UnixSocket
from syscalls.time import NS

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

INT = Struct("<i")
LEAST_BUFFER, MOST_BUFFER = 2304, 212_992  # SOCK_MIN_RCVBUF, net.core.wmem_max
LEAST_SENDING = 4608

FLAGS = {
    SOL_SOCKET: (
        c.SO_DEBUG, c.SO_REUSEADDR, c.SO_DONTROUTE, c.SO_BROADCAST, c.SO_KEEPALIVE, c.SO_OOBINLINE, c.SO_REUSEPORT,
        c.SO_PASSCRED, c.SO_TIMESTAMP, c.SO_ZEROCOPY,
    ),
    IPPROTO_TCP: (c.TCP_NODELAY, c.TCP_CORK, c.TCP_QUICKACK, c.TCP_FASTOPEN_CONNECT),
    IPPROTO_IP: (c.IP_PKTINFO, c.IP_RECVERR, c.IP_FREEBIND, c.IP_MULTICAST_LOOP),
    IPPROTO_IPV6: (c.IPV6_V6ONLY, c.IPV6_RECVPKTINFO, c.IPV6_RECVERR, c.IPV6_MULTICAST_LOOP),
}  # fmt: skip
"""Options that are on or off."""

NUMBERS = {
    (SOL_SOCKET, c.SO_PRIORITY): 0, (SOL_SOCKET, c.SO_RCVLOWAT): 1, (SOL_SOCKET, c.SO_MARK): 0,
    (SOL_SOCKET, c.SO_INCOMING_CPU): 0, (IPPROTO_TCP, c.TCP_MAXSEG): 536, (IPPROTO_TCP, c.TCP_KEEPIDLE): 7200,
    (IPPROTO_TCP, c.TCP_KEEPINTVL): 75, (IPPROTO_TCP, c.TCP_KEEPCNT): 9, (IPPROTO_TCP, c.TCP_SYNCNT): 6,
    (IPPROTO_TCP, c.TCP_LINGER2): 60, (IPPROTO_TCP, c.TCP_DEFER_ACCEPT): 0, (IPPROTO_TCP, c.TCP_USER_TIMEOUT): 0,
    (IPPROTO_TCP, c.TCP_FASTOPEN): 0, (IPPROTO_TCP, c.TCP_NOTSENT_LOWAT): 0, (IPPROTO_IP, c.IP_TOS): 0,
    (IPPROTO_IP, c.IP_TTL): 64, (IPPROTO_IP, c.IP_MTU_DISCOVER): 1, (IPPROTO_IP, c.IP_MULTICAST_TTL): 1,
    (IPPROTO_IPV6, c.IPV6_UNICAST_HOPS): 64, (IPPROTO_IPV6, c.IPV6_MULTICAST_HOPS): 1,
    (IPPROTO_IPV6, c.IPV6_MULTICAST_IF): 0, (IPPROTO_IPV6, c.IPV6_MTU_DISCOVER): 1, (IPPROTO_IPV6, c.IPV6_TCLASS): 0,
}  # fmt: skip
"""Options that are numbers, with what they are at first."""

ON_AT_FIRST = ((IPPROTO_IP, c.IP_MULTICAST_LOOP), (IPPROTO_IPV6, c.IPV6_MULTICAST_LOOP), (IPPROTO_TCP, c.TCP_QUICKACK))
READ_ONLY = (c.SO_TYPE, c.SO_ERROR, c.SO_ACCEPTCONN, c.SO_PROTOCOL, c.SO_DOMAIN, c.SO_PEERCRED)
GROUPS = (
    (IPPROTO_IP, c.IP_ADD_MEMBERSHIP), (IPPROTO_IP, c.IP_DROP_MEMBERSHIP), (IPPROTO_IP, c.IP_MULTICAST_IF),
    (IPPROTO_IPV6, c.IPV6_JOIN_GROUP), (IPPROTO_IPV6, c.IPV6_LEAVE_GROUP),
)  # fmt: skip
TCP_STATES = {"new": 7, "closed": 7, "listening": 10, "connecting": 2, "connected": 1}


def check_level(socket: Socket, level: int, otherwise: int) -> None:
    """Raise *otherwise* for a level that is not this socket's; EOPNOTSUPP of AF_UNIX."""
    fits = {
        SOL_SOCKET: True,
        IPPROTO_TCP: socket.protocol == IPPROTO_TCP,
        IPPROTO_IP: socket.family in (AF_INET, AF_INET6),
        IPPROTO_IPV6: socket.family == AF_INET6,
    }.get(level, False)
    if not fits:
        raise SyscallError(EOPNOTSUPP if socket.family == AF_UNIX else otherwise)


def setsockopt(k: Kernel, t: Task, fd: int, level: int, name: int, addr: int, size: int) -> int:
    """Set an option; setsockopt(2)."""
    socket = socket_of(k, fd)
    if size < 0:
        raise SyscallError(EINVAL)
    check_level(socket, level, ENOPROTOOPT)
    if level == SOL_SOCKET and name in (c.SO_LINGER, c.SO_RCVTIMEO, c.SO_SNDTIMEO):
        _set_struct(k, socket, name, addr, size)
        return 0
    if level == SOL_SOCKET and name == c.SO_BINDTODEVICE:
        if k.mem.read(addr, min(size, 16)).rstrip(b"\0") not in (b"", b"lo"):
            raise SyscallError(ENODEV)
        return 0
    if (level, name) == (IPPROTO_TCP, c.TCP_CONGESTION):
        socket.options[level, name] = k.mem.read(addr, min(size, 16))
        return 0
    if (level, name) in GROUPS:
        raise SyscallError(ENODEV)  # the loopback device is in no group
    if size < 4:
        raise SyscallError(EINVAL)
    (value,) = INT.unpack(k.mem.read(addr, 4))
    _set_number(k, socket, level, name, value)
    return 0


def _set_struct(k: Kernel, socket: Socket, name: int, addr: int, size: int) -> None:
    if size < (c.LINGER.size if name == c.SO_LINGER else abi.TIMEVAL.size):
        raise SyscallError(EINVAL)
    if name == c.SO_LINGER:
        socket.options[SOL_SOCKET, name] = k.mem.read(addr, c.LINGER.size)
        return
    seconds, micros = abi.TIMEVAL.unpack(k.mem.read(addr, abi.TIMEVAL.size))
    if not 0 <= micros < 1_000_000:
        raise SyscallError(EDOM)
    timeout = max(seconds * NS + micros * 1000, 0)
    if name == c.SO_RCVTIMEO:
        socket.receive_timeout = timeout
    else:
        socket.send_timeout = timeout


def _set_number(k: Kernel, socket: Socket, level: int, name: int, value: int) -> None:
    key = level, name
    if level == SOL_SOCKET and name in (c.SO_SNDBUF, c.SO_RCVBUF, c.SO_SNDBUFFORCE, c.SO_RCVBUFFORCE):
        forced = name in (c.SO_SNDBUFFORCE, c.SO_RCVBUFFORCE)
        if forced and k.world.process.euid:
            raise SyscallError(EPERM)
        doubled = 2 * (min(value & 0xFFFF_FFFF, 1 << 30) if forced else min(value & 0xFFFF_FFFF, MOST_BUFFER))
        if name in (c.SO_SNDBUF, c.SO_SNDBUFFORCE):
            socket.sending = max(doubled, LEAST_SENDING)
            socket.options[SOL_SOCKET, c.SO_SNDBUF] = INT.pack(socket.sending)
        else:
            socket.receiving = max(doubled, LEAST_BUFFER)
    elif level == SOL_SOCKET and name in READ_ONLY:
        raise SyscallError(ENOPROTOOPT)
    elif name in FLAGS.get(level, ()):
        if key == (IPPROTO_IPV6, c.IPV6_V6ONLY) and isinstance(socket, InetSocket) and socket.is_bound:
            raise SyscallError(EINVAL)
        socket.options[key] = INT.pack(value != 0)
    elif key in NUMBERS:
        if key in ((IPPROTO_TCP, c.TCP_KEEPIDLE), (IPPROTO_TCP, c.TCP_KEEPINTVL)) and not 1 <= value <= 32_767:
            raise SyscallError(EINVAL)
        if key == (IPPROTO_TCP, c.TCP_KEEPCNT) and not 1 <= value <= 127:
            raise SyscallError(EINVAL)
        if value == -1 and key in ((IPPROTO_IP, c.IP_TTL), (IPPROTO_IPV6, c.IPV6_UNICAST_HOPS)):
            value = NUMBERS[key]
        socket.options[key] = INT.pack(value)
    else:
        raise SyscallError(ENOPROTOOPT)


def getsockopt(k: Kernel, t: Task, fd: int, level: int, name: int, addr: int, size_addr: int) -> int:
    """Store an option, cut to the room that there is; getsockopt(2)."""
    socket = socket_of(k, fd)
    (room,) = INT.unpack(k.mem.read(size_addr, 4))
    if room < 0:
        raise SyscallError(EINVAL)
    check_level(socket, level, EOPNOTSUPP)
    data = _value(k, socket, level, name)[:room]
    k.mem.write(addr, data)
    k.mem.write(size_addr, INT.pack(len(data)))
    return 0


def _value(k: Kernel, socket: Socket, level: int, name: int) -> bytes:
    key = level, name
    if level == SOL_SOCKET and (own := _own(socket, name)) is not None:
        return own
    if key == (IPPROTO_TCP, c.TCP_INFO):
        return bytes((TCP_STATES[socket.state],)).ljust(104, b"\0")  # the state; there is nothing to be measured
    if key == (IPPROTO_TCP, c.TCP_CONGESTION):
        return socket.options.get(key, b"cubic").ljust(16, b"\0")
    if key == (IPPROTO_TCP, c.TCP_MAXSEG) and socket.peer is not None:
        return INT.pack(65_483)
    if name in FLAGS.get(level, ()):
        return socket.options.get(key, INT.pack(key in ON_AT_FIRST))
    if key in NUMBERS:
        return socket.options.get(key, INT.pack(NUMBERS[key]))
    raise SyscallError(ENOPROTOOPT)


def _own(socket: Socket, name: int) -> bytes | None:
    # What the socket itself says; None where its options do.
    if name == c.SO_ERROR:
        error, socket.error = socket.error, 0
        return INT.pack(error)
    if name == c.SO_LINGER:
        return socket.options.get((SOL_SOCKET, name), bytes(c.LINGER.size))
    if name in (c.SO_RCVTIMEO, c.SO_SNDTIMEO):
        timeout = socket.receive_timeout if name == c.SO_RCVTIMEO else socket.send_timeout
        return abi.TIMEVAL.pack(timeout // NS, timeout % NS // 1000)
    if name == c.SO_PEERCRED:
        peer = socket.credentials if isinstance(socket, UnixSocket) else None
        return c.UCRED.pack(*(peer or (0, 0xFFFF_FFFF, 0xFFFF_FFFF)))
    numbers = {
        c.SO_TYPE: socket.kind, c.SO_DOMAIN: socket.family, c.SO_PROTOCOL: socket.protocol,
        c.SO_ACCEPTCONN: int(socket.state == LISTENING), c.SO_SNDBUF: socket.sending, c.SO_RCVBUF: socket.receiving,
    }  # fmt: skip
    return INT.pack(numbers[name]) if name in numbers else None
