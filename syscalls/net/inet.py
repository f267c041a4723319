"""What TCP and UDP sockets share: addresses, and the way to others, which leads to this machine or nowhere."""

from __future__ import annotations

from syscalls.errno import EINVAL, ENETUNREACH, SyscallError
from syscalls.light import TYPE_CHECKING
from syscalls.net.address import (
    ANY4,
    ANY6,
    LOCAL4,
    LOCAL6,
    Endpoint,
    endpoint,
    is_any,
    is_local,
    is_v4,
    packed,
)  # fmt: skip
from syscalls.net.constants import AF_INET, IPPROTO_IPV6, IPV6_V6ONLY, SO_REUSEADDR, SO_REUSEPORT, SOL_SOCKET
from syscalls.net.network import overlap
from syscalls.net.sockets import Socket

if TYPE_CHECKING:
    from syscalls.kernel import Kernel


class InetSocket(Socket):
    """A socket of AF_INET or AF_INET6; *local* has port 0 while it is not bound."""

    __slots__ = ("announced", "local", "remote")

    def __init__(self, k: Kernel, family: int, kind: int, protocol: int) -> None:
        super().__init__(k, family, kind, protocol)
        self.local: Endpoint = (ANY4 if family == AF_INET else ANY6, 0)
        self.remote: Endpoint | None = None
        self.announced = True  # connect has told that there is a connection

    def is_set(self, level: int, name: int) -> bool:
        """Say whether an option is on."""
        return any(self.options.get((level, name), b""))

    @property
    def v6only(self) -> bool:
        return self.is_set(IPPROTO_IPV6, IPV6_V6ONLY)

    @property
    def reuse_address(self) -> bool:
        return self.is_set(SOL_SOCKET, SO_REUSEADDR)

    @property
    def reuse_port(self) -> bool:
        return self.is_set(SOL_SOCKET, SO_REUSEPORT)

    @property
    def is_bound(self) -> bool:
        return bool(self.local[1])

    def bind(self, k: Kernel, raw: bytes) -> None:
        where = endpoint(raw, self.family, binding=True)
        if self.is_bound:
            raise SyscallError(EINVAL)
        if self.family != AF_INET and is_v4(where[0]) and self.v6only:
            raise SyscallError(EINVAL)
        self.network.bind(k, self, where)

    def way_to(self, raw: bytes) -> Endpoint:
        """Return where *raw* leads: every address of this machine to it, any other nowhere (ENETUNREACH)."""
        ip, port = endpoint(raw, self.family)
        if is_any(ip):
            ip = LOCAL4 if is_v4(ip) or is_v4(self.local[0]) else LOCAL6
        if not is_local(ip) or (is_v4(ip) and self.v6only and self.family != AF_INET):
            raise SyscallError(ENETUNREACH)
        if not is_any(self.local[0]) and is_v4(ip) != is_v4(self.local[0]):
            raise SyscallError(ENETUNREACH)
        return ip, port

    def source_for(self, to: Endpoint) -> Endpoint:
        """Return the address that *to* sees this socket at; its port is still 0 if it is not bound."""
        ip, port = self.local
        return ((LOCAL4 if is_v4(to[0]) else LOCAL6) if is_any(ip) else ip), port

    def bind_for(self, k: Kernel, to: Endpoint) -> None:
        """Bind it to any port, if it is not bound, in order to send to *to*."""
        if not self.is_bound:
            ip = self.source_for(to)[0] if self.remote else self.local[0]
            self.network.add(self, (ip, self.network.free_port(self, ip)))

    def matches(self, ip: bytes, source: Endpoint | None) -> int:
        """Return how near this socket is to what *source* sends to *ip*: -1 not at all, and more is nearer."""
        own = self.local[0]
        if not overlap(own, ip, self.v6only, other_v6only=True):
            return -1
        return 0 if own == ANY6 and is_v4(ip) else 1 if is_any(own) else 2

    def own_name(self) -> bytes:
        return packed(self.family, self.local)

    def released(self, k: Kernel) -> None:
        super().released(k)
        self.network.remove(self)
