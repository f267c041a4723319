"""Who is bound where: the ports of TCP and UDP, and the names of AF_UNIX.

Ports that nobody asked for are given in order, from 32,768 on; so are the names that autobind makes.
"""

from __future__ import annotations

from syscalls.errno import EACCES, EADDRINUSE, EADDRNOTAVAIL, EAGAIN, SyscallError
from syscalls.files.kept import Kept
from syscalls.light import TYPE_CHECKING
from syscalls.net.address import Endpoint, is_any, is_local, is_v4

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.net.inet import InetSocket
    from syscalls.net.unix import UnixSocket
    from syscalls.tree import Node

FIRST_PORT, LAST_PORT = 32_768, 60_999  # /proc/sys/net/ipv4/ip_local_port_range
FIRST_UNPRIVILEGED = 1024


class Network(Kept):
    """The sockets that can be found by an address."""

    __slots__ = ("abstract", "autobound", "paths", "ports", "sockets", "start")

    def __init__(self) -> None:
        self.ports: dict[tuple[int, int], list[InetSocket]] = {}  # (SOCK_STREAM or SOCK_DGRAM, port)
        self.start = FIRST_PORT  # where the search for a free port begins
        self.abstract: dict[bytes, UnixSocket] = {}
        self.autobound = 0
        self.paths: list[tuple[Node, UnixSocket]] = []
        self.sockets: list[UnixSocket] = []  # of datagrams, connected: who may wait for room

    # Ports

    def bound(self, kind: int, port: int) -> list[InetSocket]:
        """Return the sockets of *kind* that are bound to *port*."""
        return self.ports.get((kind, port), [])

    def free_port(self, socket: InetSocket, ip: bytes) -> int:
        """Return a port that *socket* can be bound to at *ip*, without sharing it; EADDRINUSE when there is none."""
        count = LAST_PORT - FIRST_PORT + 1
        for step in range(count):
            port = FIRST_PORT + (self.start - FIRST_PORT + step) % count
            if not any(overlap(other.local[0], ip, other.v6only, socket.v6only)
                       for other in self.bound(socket.kind, port)):  # fmt: skip
                self.start = FIRST_PORT + (port + 1 - FIRST_PORT) % count
                return port
        raise SyscallError(EADDRINUSE)

    def bind(self, k: Kernel, socket: InetSocket, where: Endpoint) -> None:
        """Bind *socket*; port 0 is any that is free.  EADDRNOTAVAIL, EACCES or EADDRINUSE."""
        ip, port = where
        if not is_any(ip) and not is_local(ip):
            raise SyscallError(EADDRNOTAVAIL)
        if 0 < port < FIRST_UNPRIVILEGED and k.world.process.euid:
            raise SyscallError(EACCES)
        if not port:
            port = self.free_port(socket, ip)
        elif any(conflicts(socket, ip, other) for other in self.bound(socket.kind, port)):
            raise SyscallError(EADDRINUSE)
        self.add(socket, (ip, port))

    def add(self, socket: InetSocket, where: Endpoint) -> None:
        """Let *socket* be bound to *where*."""
        socket.local = where
        self.ports.setdefault((socket.kind, where[1]), []).append(socket)

    def remove(self, socket: InetSocket) -> None:
        """Let *socket* be bound to nothing."""
        key = socket.kind, socket.local[1]
        sockets = self.ports.get(key)
        if sockets and socket in sockets:
            sockets.remove(socket)
            if not sockets:
                del self.ports[key]

    def find(self, kind: int, to: Endpoint, source: Endpoint | None = None) -> InetSocket | None:
        """Return who receives what is sent to *to*: one that is connected to *source*, else the nearest."""
        best: InetSocket | None = None
        highest = -1
        for socket in self.bound(kind, to[1]):
            score = socket.matches(to[0], source)
            if score > highest:
                best, highest = socket, score
        return best

    # Names

    def new_name(self) -> bytes:
        """Return an abstract name that nobody has: five hexadecimal digits, as autobind gives; unix(7)."""
        for _ in range(1 << 20):
            self.autobound = (self.autobound + 1) & 0xF_FFFF
            name = b"\0%05x" % self.autobound
            if name not in self.abstract:
                return name
        raise SyscallError(EAGAIN)

    def at_node(self, node: Node) -> UnixSocket | None:
        """Return the socket that is bound to *node*."""
        return next((socket for there, socket in self.paths if there is node), None)

    def forget(self, socket: UnixSocket) -> None:
        """Let nobody find *socket*."""
        self.abstract = {name: other for name, other in self.abstract.items() if other is not socket}
        self.paths = [(node, other) for node, other in self.paths if other is not socket]
        if socket in self.sockets:
            self.sockets.remove(socket)


def overlap(one: bytes, other: bytes, one_v6only: bool, other_v6only: bool) -> bool:
    """Say whether two addresses, each bound by a socket that is for IPv6 only or not, have one in common."""
    if is_v4(one) == is_v4(other):
        return one == other or is_any(one) or is_any(other)
    six, only = (other, other_v6only) if is_v4(one) else (one, one_v6only)
    return is_any(six) and not only


def conflicts(socket: InetSocket, ip: bytes, other: InetSocket) -> bool:
    """Say whether *other* keeps *socket* from being bound to its port at *ip*; inet_csk_get_port, udp_lib_get_port."""
    if not overlap(ip, other.local[0], socket.v6only, other.v6only):
        return False
    if socket.reuse_port and other.reuse_port:
        return False
    return not (socket.reuse_address and other.reuse_address and not other.listening)
