"""What strace(1) shows of the arguments of socket calls: addresses, options, messages."""

from __future__ import annotations

import socket
import struct

from emu.run import names
from syscalls.net import constants as c

FAMILIES = {0: "AF_UNSPEC", 1: "AF_UNIX", 2: "AF_INET", 10: "AF_INET6", 16: "AF_NETLINK", 17: "AF_PACKET"}
KINDS = {1: "SOCK_STREAM", 2: "SOCK_DGRAM", 3: "SOCK_RAW", 5: "SOCK_SEQPACKET"}
CREATION = ((c.SOCK_CLOEXEC, "SOCK_CLOEXEC"), (c.SOCK_NONBLOCK, "SOCK_NONBLOCK"))
PROTOCOLS = {
    0: "IPPROTO_IP",
    1: "IPPROTO_ICMP",
    6: "IPPROTO_TCP",
    17: "IPPROTO_UDP",
    58: "IPPROTO_ICMPV6",
    262: "IPPROTO_MPTCP",
}
LEVELS = {0: "SOL_IP", 1: "SOL_SOCKET", 6: "SOL_TCP", 17: "SOL_UDP", 41: "SOL_IPV6"}
PREFIXES = {0: "IP_", 1: "SO_", 6: "TCP_", 41: "IPV6_"}
OPTIONS = {
    level: {value: name for name, value in vars(c).items() if name.startswith(prefix) and isinstance(value, int)}
    for level, prefix in PREFIXES.items()
}
OPTIONS[1] |= {20: "SO_RCVTIMEO_OLD", 21: "SO_SNDTIMEO_OLD", 29: "SO_TIMESTAMP_OLD"}
MESSAGE = (
    (1, "MSG_OOB"), (2, "MSG_PEEK"), (4, "MSG_DONTROUTE"), (8, "MSG_CTRUNC"), (0x10, "MSG_PROBE"), (0x20, "MSG_TRUNC"),
    (0x40, "MSG_DONTWAIT"), (0x80, "MSG_EOR"), (0x100, "MSG_WAITALL"), (0x200, "MSG_FIN"), (0x400, "MSG_SYN"),
    (0x800, "MSG_CONFIRM"), (0x1000, "MSG_RST"), (0x2000, "MSG_ERRQUEUE"), (0x4000, "MSG_NOSIGNAL"),
    (0x8000, "MSG_MORE"), (0x10000, "MSG_WAITFORONE"), (0x40000, "MSG_BATCH"), (0x2000_0000, "MSG_FASTOPEN"),
    (0x4000_0000, "MSG_CMSG_CLOEXEC"),
)  # fmt: skip
SHUT = {0: "SHUT_RD", 1: "SHUT_WR", 2: "SHUT_RDWR"}


def kind(value: int) -> str:
    """A type of sockets with its flags."""
    rest = names.bits(value & ~0xF, CREATION, "")
    return names.one(value & 0xF, KINDS) + (f"|{rest}" if rest else "")


def protocol(family: int, value: int) -> str:
    """A protocol of *family*."""
    return names.one(value, PROTOCOLS) if family in (c.AF_INET, c.AF_INET6) else str(value)


def address(data: bytes) -> str:
    """A socket address, of as many bytes as there are."""
    if len(data) < 2:
        return names.quoted(data)
    family = int.from_bytes(data[:2], "little")
    name = FAMILIES.get(family, f"{family:#x}")
    if family == c.AF_INET and len(data) >= 16:
        port, host = int.from_bytes(data[2:4], "big"), socket.inet_ntoa(data[4:8])
        return f'{{sa_family={name}, sin_port=htons({port}), sin_addr=inet_addr("{host}")}}'
    if family == c.AF_INET6 and len(data) >= 28:
        port, flow = int.from_bytes(data[2:4], "big"), int.from_bytes(data[4:8], "big")
        host = f'inet_pton(AF_INET6, "{socket.inet_ntop(socket.AF_INET6, data[8:24])}", &sin6_addr)'
        where = f"sin6_port=htons({port}), sin6_flowinfo=htonl({flow}), {host}"
        return f"{{sa_family={name}, {where}, sin6_scope_id={int.from_bytes(data[24:28], 'little')}}}"
    if family == c.AF_UNIX:
        path = data[2:]
        if not path:
            return f"{{sa_family={name}}}"
        if path[0]:
            return f"{{sa_family={name}, sun_path={names.quoted(path.partition(bytes(1))[0], 108)}}}"
        return f"{{sa_family={name}, sun_path=@{names.quoted(path[1:], 108)}}}"
    if family == c.AF_NETLINK and len(data) >= 12:
        _, _, port, groups = c.SOCKADDR_NL.unpack(data[:12])
        return f"{{sa_family={name}, nl_pid={port}, nl_groups={f'{groups:08x}' if groups else '00000000'}}}"
    return f"{{sa_family={name}, sa_data={names.quoted(data[2:])}}}"


def option(level: int, name: int) -> tuple[str, str]:
    """The names of an option's level and of the option."""
    return names.one(level, LEVELS), OPTIONS.get(level, {}).get(name) or f"{name:#x}"


def option_value(level: int, name: int, data: bytes) -> str:
    """The value of an option."""
    if (level, name) == (c.SOL_SOCKET, c.SO_LINGER) and len(data) == c.LINGER.size:
        return "{{l_onoff={}, l_linger={}}}".format(*c.LINGER.unpack(data))
    if (level, name) == (c.SOL_SOCKET, c.SO_PEERCRED) and len(data) == c.UCRED.size:
        return "{{pid={}, uid={}, gid={}}}".format(*c.UCRED.unpack(data))
    if len(data) == 4:
        return "[{}]".format(*struct.unpack("<i", data))
    return names.quoted(data)
