"""AF_NETLINK, as far as it tells of the network's devices and addresses: rtnetlink(7), NETLINK_ROUTE.

There is one device, ``lo``, with 127.0.0.1 and ::1.  Each request is answered at once; anything but a dump of devices,
addresses or routes (of which there are none) is EOPNOTSUPP.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from syscalls import abi
from syscalls.errno import EINVAL, EOPNOTSUPP, SyscallError
from syscalls.files.pollable import READABLE, WRITABLE
from syscalls.net.address import family_of
from syscalls.net.constants import AF_INET, AF_INET6, AF_NETLINK, MSG_PEEK, SOCKADDR_NL
from syscalls.net.sockets import Outgoing, Packet, Received, Socket

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

HEADER = Struct("<IHHII")  # struct nlmsghdr: length, type, flags, sequence number, port id
IFINFO, IFADDR = Struct("<BxHiII"), Struct("<BBBBI")
NLMSG_ERROR, NLMSG_DONE, NLM_F_MULTI = 2, 3, 2
RTM_NEWLINK, RTM_GETLINK, RTM_NEWADDR, RTM_GETADDR, RTM_GETROUTE = 16, 18, 20, 22, 26
NLM_F_DUMP = 0x300
LOOPBACK, INDEX, MTU = 772, 1, 65_536  # ARPHRD_LOOPBACK
LO_FLAGS = 0x10049  # IFF_UP, IFF_LOOPBACK, IFF_RUNNING, IFF_LOWER_UP
IFLA_ADDRESS, IFLA_BROADCAST, IFLA_IFNAME, IFLA_MTU, IFLA_QDISC, IFLA_TXQLEN = 1, 2, 3, 4, 6, 13
IFA_ADDRESS, IFA_LOCAL, IFA_LABEL = 1, 2, 3
PERMANENT, HOST = 0x80, 254  # IFA_F_PERMANENT, RT_SCOPE_HOST


def attribute(kind: int, data: bytes) -> bytes:
    """Return one struct rtattr with *data*, padded."""
    return ((4 + len(data)).to_bytes(2, "little") + kind.to_bytes(2, "little") + data).ljust(
        (len(data) + 7) & ~3, b"\0"
    )


def links() -> list[bytes]:
    """Return the bodies of RTM_NEWLINK messages."""
    return [
        IFINFO.pack(0, LOOPBACK, INDEX, LO_FLAGS, 0)
        + attribute(IFLA_IFNAME, b"lo\0")
        + attribute(IFLA_TXQLEN, abi.U32.pack(1000))
        + attribute(IFLA_MTU, abi.U32.pack(MTU))
        + attribute(IFLA_QDISC, b"noqueue\0")
        + attribute(IFLA_ADDRESS, bytes(6))
        + attribute(IFLA_BROADCAST, bytes(6))
    ]


def addresses(family: int) -> list[bytes]:
    """Return the bodies of RTM_NEWADDR messages; those of one *family*, or 0 for all."""
    four, six = bytes((127, 0, 0, 1)), bytes(15) + b"\1"
    found = []
    if family in (0, AF_INET):
        body = attribute(IFA_ADDRESS, four) + attribute(IFA_LOCAL, four) + attribute(IFA_LABEL, b"lo\0")
        found.append(IFADDR.pack(AF_INET, 8, PERMANENT, HOST, INDEX) + body)
    if family in (0, AF_INET6):
        found.append(IFADDR.pack(AF_INET6, 128, PERMANENT, HOST, INDEX) + attribute(IFA_ADDRESS, six))
    return found


class NetlinkSocket(Socket):
    """A socket of NETLINK_ROUTE; *port* is its port id, 0 while it has none."""

    __slots__ = ("port",)

    packets = True

    def __init__(self, k: Kernel, family: int, kind: int, protocol: int) -> None:
        super().__init__(k, family, kind, protocol)
        self.port = 0

    def ready(self, k: Kernel) -> int:
        return WRITABLE | (READABLE if self.inbox else 0)

    def bind(self, k: Kernel, raw: bytes) -> None:
        if len(raw) < SOCKADDR_NL.size or family_of(raw) != AF_NETLINK:
            raise SyscallError(EINVAL)
        self._take_port(k, SOCKADDR_NL.unpack_from(raw)[2])

    def connect(self, k: Kernel, t: Task, raw: bytes) -> None:
        self.bind(k, raw[:4] + bytes(4) + raw[8:])

    def _take_port(self, k: Kernel, port: int = 0) -> None:
        if not self.port:
            self.port = port or k.process.pid  # of several sockets too: they answer nobody but themselves

    def own_name(self) -> bytes:
        return SOCKADDR_NL.pack(AF_NETLINK, 0, self.port, 0)

    def peer_name(self) -> bytes:
        return SOCKADDR_NL.pack(AF_NETLINK, 0, 0, 0)  # the kernel

    def send(self, k: Kernel, t: Task, out: Outgoing) -> int:
        self._take_port(k)
        data = out.source.read(0, out.source.size) if out.source.size else b""
        at = 0
        while at + HEADER.size <= len(data):
            length, kind, flags, sequence, _ = HEADER.unpack_from(data, at)
            if not HEADER.size <= length <= len(data) - at:
                break
            self._answer(k, data[at : at + length], kind, flags, sequence)
            at += (length + 3) & ~3
        return len(data)

    def _answer(self, k: Kernel, request: bytes, kind: int, flags: int, sequence: int) -> None:
        family = request[HEADER.size] if len(request) > HEADER.size else 0
        known = {RTM_GETLINK: RTM_NEWLINK, RTM_GETADDR: RTM_NEWADDR, RTM_GETROUTE: 0}
        if kind not in known or flags & NLM_F_DUMP != NLM_F_DUMP:
            body = (-EOPNOTSUPP & 0xFFFF_FFFF).to_bytes(4, "little") + request[: HEADER.size]
            self._put(k, [self._message(NLMSG_ERROR, 0, sequence, body)])
            return
        bodies = links() if kind == RTM_GETLINK else addresses(family) if kind == RTM_GETADDR else []
        self._put(k, [self._message(known[kind], NLM_F_MULTI, sequence, body) for body in bodies])
        self._put(k, [self._message(NLMSG_DONE, NLM_F_MULTI, sequence, bytes(4))])

    def _message(self, kind: int, flags: int, sequence: int, body: bytes) -> bytes:
        message = HEADER.pack(HEADER.size + len(body), kind, flags, sequence, self.port) + body
        return message.ljust((len(message) + 3) & ~3, b"\0")

    def _put(self, k: Kernel, messages: list[bytes]) -> None:
        if messages:
            self.put(k, Packet(b"".join(messages), 0, self.peer_name()))

    def receive(self, k: Kernel, t: Task, size: int, flags: int) -> Received:
        if not self.inbox:
            return self.sleep(k, t, "receive from", flags)
        packet = self.inbox[0] if flags & MSG_PEEK else self.pop(k)
        return Received(bytes(packet.data[:size]), len(packet.data), packet.source)

    def shutdown(self, k: Kernel, how: int) -> None:
        raise SyscallError(EOPNOTSUPP)
