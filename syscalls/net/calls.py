"""Making, naming, connecting and shutting sockets: socket(2), bind(2), listen(2), accept(2), connect(2) and so on."""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import (
    EAFNOSUPPORT,
    EINVAL,
    EOPNOTSUPP,
    EPERM,
    EPROTONOSUPPORT,
    ESOCKTNOSUPPORT,
    SyscallError,
)  # fmt: skip
from syscalls.guest import FAILURES
from syscalls.light import TYPE_CHECKING
from syscalls.net import address
from syscalls.net.constants import (
    AF_INET,
    AF_INET6,
    AF_NETLINK,
    AF_UNIX,
    IPPROTO_IP,
    IPPROTO_MPTCP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    SOCK_CLOEXEC,
    SOCK_DGRAM,
    SOCK_NONBLOCK,
    SOCK_RAW,
    SOCK_SEQPACKET,
    SOCK_STREAM,
    SOMAXCONN,
)  # fmt: skip
from syscalls.net.messages import socket_of
from syscalls.net.netlink import NetlinkSocket
from syscalls.net.sockets import RECEIVE, SEND, Socket
from syscalls.net.tcp import TcpSocket
from syscalls.net.udp import UdpSocket
from syscalls.net.unix import UnixSocket, credentials, join

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

KIND = 0xF


def make(k: Kernel, family: int, kind: int, protocol: int) -> Socket:
    """Return a new socket; raise what socket(2) fails with."""
    if not 0 <= family < 46 or not 0 <= kind < 11:
        raise SyscallError(EAFNOSUPPORT if not 0 <= family < 46 else EINVAL)
    if family == AF_UNIX:
        if protocol not in (0, AF_UNIX):
            raise SyscallError(EPROTONOSUPPORT)
        if kind not in (SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_RAW):
            raise SyscallError(ESOCKTNOSUPPORT)
        return UnixSocket(k, family, SOCK_DGRAM if kind == SOCK_RAW else kind, 0)
    if family == AF_NETLINK:
        if kind not in (SOCK_RAW, SOCK_DGRAM):
            raise SyscallError(ESOCKTNOSUPPORT)
        if protocol:
            raise SyscallError(EPROTONOSUPPORT)  # NETLINK_ROUTE is 0
        return NetlinkSocket(k, family, kind, protocol)
    if family not in (AF_INET, AF_INET6):
        raise SyscallError(EAFNOSUPPORT)
    if not 0 <= protocol <= IPPROTO_MPTCP:  # one less than IPPROTO_MAX
        raise SyscallError(EINVAL)
    if kind == SOCK_STREAM and protocol in (IPPROTO_IP, IPPROTO_TCP):
        return TcpSocket(k, family, kind, IPPROTO_TCP)
    if kind == SOCK_DGRAM and protocol in (IPPROTO_IP, IPPROTO_UDP):
        return UdpSocket(k, family, kind, IPPROTO_UDP)
    if kind == SOCK_RAW and protocol:
        raise SyscallError(EPERM)  # a process without CAP_NET_RAW
    raise SyscallError(EPROTONOSUPPORT if kind in (SOCK_STREAM, SOCK_DGRAM, SOCK_RAW) else ESOCKTNOSUPPORT)


def opened(k: Kernel, socket: Socket, flags: int) -> int:
    """Return a descriptor for *socket*; *flags* are SOCK_NONBLOCK and SOCK_CLOEXEC."""
    fd = k.files.lowest()
    socket.flags |= abi.O_NONBLOCK if flags & SOCK_NONBLOCK else 0
    return k.files.put(fd, socket, bool(flags & SOCK_CLOEXEC))


def check_flags(flags: int) -> None:
    """Raise EINVAL for flags that socket and accept4 do not know."""
    if flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC):
        raise SyscallError(EINVAL)


def socket(k: Kernel, t: Task, family: int, kind: int, protocol: int) -> int:
    """Make a socket; socket(2)."""
    check_flags(kind & ~KIND)
    return opened(k, make(k, family, kind & KIND, protocol), kind)


def socketpair(k: Kernel, t: Task, family: int, kind: int, protocol: int, addr: int) -> int:
    """Make two sockets that are connected to each other, and store their descriptors; socketpair(2)."""
    check_flags(kind & ~KIND)
    one, other = make(k, family, kind & KIND, protocol), make(k, family, kind & KIND, protocol)
    if not isinstance(one, UnixSocket) or not isinstance(other, UnixSocket):
        raise SyscallError(EOPNOTSUPP)
    join(one, other)
    for end in (one, other):
        end.credentials = credentials(k)
        end.flags |= abi.O_NONBLOCK if kind & SOCK_NONBLOCK else 0
        if end.kind == SOCK_DGRAM:
            end.network.sockets.append(end)
    try:
        k.files.put_pair(k, addr, one, other, bool(kind & SOCK_CLOEXEC))
    except FAILURES:
        for end in (one, other):
            end.network.forget(end)
        raise
    return 0


def bind(k: Kernel, t: Task, fd: int, addr: int, size: int) -> int:
    """Give a socket an address; bind(2)."""
    found = socket_of(k, fd)
    found.bind(k, address.read(k, addr, size))
    return 0


def listen(k: Kernel, t: Task, fd: int, backlog: int) -> int:
    """Let others connect to a socket; listen(2)."""
    most = SOMAXCONN if k.release >= (5, 4) else 128  # net.core.somaxconn
    socket_of(k, fd).listen(k, min(backlog & 0xFFFF_FFFF, most))
    return 0


def accept4(k: Kernel, t: Task, fd: int, addr: int, size: int, flags: int) -> int:
    """Return a descriptor of the next connection, waiting for it; accept(2)."""
    check_flags(flags)
    found = socket_of(k, fd)
    k.files.lowest()  # EMFILE comes before anything else
    connection = found.accept(k, t)
    new = opened(k, connection, flags)
    if addr:
        try:
            address.store(k, connection.peer_name(), addr, size)
        except SyscallError:
            k.mem.write(size, bytes(4))  # it is gone already: Linux's ECONNABORTED is for other protocols
    return new


def accept(k: Kernel, t: Task, fd: int, addr: int, size: int) -> int:
    """Return a descriptor of the next connection; accept(2)."""
    return accept4(k, t, fd, addr, size, 0)


def connect(k: Kernel, t: Task, fd: int, addr: int, size: int) -> int:
    """Connect a socket to an address; connect(2)."""
    socket_of(k, fd).connect(k, t, address.read(k, addr, size))
    return 0


def shutdown(k: Kernel, t: Task, fd: int, how: int) -> int:
    """Shut one half of a connection or both; shutdown(2)."""
    found = socket_of(k, fd)
    if not 0 <= how <= 2:
        raise SyscallError(EINVAL)
    found.shutdown(k, (RECEIVE, SEND, RECEIVE | SEND)[how])
    return 0


def getsockname(k: Kernel, t: Task, fd: int, addr: int, size: int) -> int:
    """Store a socket's own address; getsockname(2)."""
    address.store(k, socket_of(k, fd).own_name(), addr, size)
    return 0


def getpeername(k: Kernel, t: Task, fd: int, addr: int, size: int) -> int:
    """Store the address of a socket's peer; getpeername(2)."""
    address.store(k, socket_of(k, fd).peer_name(), addr, size)
    return 0
