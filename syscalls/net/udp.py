"""UDP over the loopback device: udp(7), net/ipv4/udp.c of Linux 6.1 (read).

A datagram for which nobody is bound is answered with ICMP's port unreachable, which a connected sender learns of as
ECONNREFUSED.  One for which the receiver has no room is lost.
"""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import (
    ECONNREFUSED,
    EDESTADDRREQ,
    EINVAL,
    EMSGSIZE,
    ENOTCONN,
    EOPNOTSUPP,
    EPIPE,
    SyscallError,
)  # fmt: skip
from syscalls.files.pollable import READABLE, WRITABLE
from syscalls.light import TYPE_CHECKING
from syscalls.net.address import ANY4, ANY6, Endpoint, family_of, packed
from syscalls.net.constants import AF_INET, AF_UNSPEC, MSG_OOB, MSG_PEEK
from syscalls.net.inet import InetSocket
from syscalls.net.sockets import BOTH, RECEIVE, SEND, Outgoing, Packet, Received

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

MOST = 65_507  # bytes of a datagram: what an IPv4 packet leaves
OVERHEAD = 768  # of a small packet's buffer (SKB_TRUESIZE)


class UdpSocket(InetSocket):
    """A UDP socket."""

    __slots__ = ("auto",)

    packets = True

    def __init__(self, k: Kernel, family: int, kind: int, protocol: int) -> None:
        super().__init__(k, family, kind, protocol)
        self.auto = False  # its address was chosen by connect, and goes with the connection

    def ready(self, k: Kernel) -> int:
        events = WRITABLE | abi.POLLWRBAND | (abi.POLLERR if self.error else 0)
        if self.shut == BOTH:
            events |= abi.POLLHUP
        if self.shut & RECEIVE:
            events |= READABLE | abi.POLLRDHUP
        return events | (READABLE if self.inbox else 0)

    def connect(self, k: Kernel, t: Task, raw: bytes) -> None:
        if family_of(raw) == AF_UNSPEC:
            self.remote = None
            if self.auto:
                self.network.remove(self)
                self.local, self.auto = (ANY4 if self.family == AF_INET else ANY6, 0), False
            return
        self.remote = to = self.way_to(raw)
        self.auto = self.auto or not self.is_bound
        self.bind_for(k, to)
        self.local = self.source_for(to)

    def shutdown(self, k: Kernel, how: int) -> None:
        self.shut |= how  # also of one that is not connected: inet_shutdown
        self.notify(k, READABLE | WRITABLE | abi.POLLRDHUP | (abi.POLLHUP if self.shut == BOTH else 0))
        if self.remote is None:
            raise SyscallError(ENOTCONN)

    def send(self, k: Kernel, t: Task, out: Outgoing) -> int:
        if out.flags & MSG_OOB:
            raise SyscallError(EOPNOTSUPP)
        if out.source.size > MOST:
            raise SyscallError(EMSGSIZE)
        to = self.way_to(out.to) if out.to else self.remote
        if to is None:
            raise SyscallError(EDESTADDRREQ)
        if not to[1]:
            raise SyscallError(EINVAL)
        self.take_error()
        if self.shut & SEND:
            raise SyscallError(EPIPE)
        data = out.source.read(0, out.source.size) if out.source.size else b""
        self.bind_for(k, to)
        source = self.source_for(to)
        target = self.network.find(self.kind, to, source)
        if not isinstance(target, UdpSocket):
            if self.remote is not None:
                self.error = ECONNREFUSED
                self.notify(k, abi.POLLERR)
        elif target.queued + len(data) + OVERHEAD <= target.receiving and not target.shut & RECEIVE:
            target.put(k, Packet(data, len(data) + OVERHEAD, packed(target.family, source)))
        return len(data)

    def receive(self, k: Kernel, t: Task, size: int, flags: int) -> Received:
        if flags & MSG_OOB:
            raise SyscallError(EOPNOTSUPP)
        self.take_error()
        if self.inbox:
            packet = self.inbox[0] if flags & MSG_PEEK else self.pop(k)
            return Received(bytes(packet.data[:size]), len(packet.data), packet.source)
        if self.shut & RECEIVE:
            return Received(b"")
        return self.sleep(k, t, "receive from", flags)

    def released(self, k: Kernel) -> None:
        super().released(k)
        self.empty(k)

    def peer_name(self) -> bytes:
        if self.remote is None:
            raise SyscallError(ENOTCONN)
        return packed(self.family, self.remote)

    def matches(self, ip: bytes, source: Endpoint | None) -> int:
        score = super().matches(ip, source)
        if score < 0 or self.remote is None:
            return score
        return score + 4 if self.remote == source else -1
