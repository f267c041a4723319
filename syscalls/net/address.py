"""Socket addresses: between the guest's structures and what sockets hold.

An internet address is (16 bytes, port), an IPv4 one mapped into IPv6 as ::ffff:a.b.c.d; which structure the guest is
shown depends on its socket.  A name of AF_UNIX is bytes: a path, or a null and an abstract name; none is unnamed.
"""

from __future__ import annotations

from syscalls.abi import U32
from syscalls.errno import EAFNOSUPPORT, EINVAL, SyscallError
from syscalls.light import TYPE_CHECKING
from syscalls.net.constants import AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC, SOCKADDR_IN, SOCKADDR_IN6, SOCKADDR_UN_SIZE

if TYPE_CHECKING:
    from syscalls.kernel import Kernel

Endpoint = tuple[bytes, int]
"""An address and a port."""

MAPPED = bytes(10) + b"\xff\xff"
ANY4, ANY6 = MAPPED + bytes(4), bytes(16)
LOCAL4, LOCAL6 = MAPPED + bytes((127, 0, 0, 1)), bytes(15) + b"\1"
MOST = 128  # sizeof(struct sockaddr_storage)


def is_v4(ip: bytes) -> bool:
    """Say whether *ip* is an IPv4 address, mapped."""
    return ip.startswith(MAPPED)


def is_any(ip: bytes) -> bool:
    """Say whether *ip* stands for every address of its family."""
    return ip in (ANY4, ANY6)


def is_local(ip: bytes) -> bool:
    """Say whether *ip* is an address of this machine: of the loopback device, which is the only one."""
    return ip == LOCAL6 or (is_v4(ip) and ip[12] == 127)


def read(k: Kernel, addr: int, size: int) -> bytes:
    """Return the guest's address structure; EINVAL for an impossible size."""
    if not 0 <= size <= MOST:
        raise SyscallError(EINVAL)
    return k.mem.read(addr, size) if size else b""


def family_of(data: bytes) -> int:
    """Return the family that a structure names."""
    if len(data) < 2:
        raise SyscallError(EINVAL)
    return int.from_bytes(data[:2], "little")


def endpoint(data: bytes, family: int, binding: bool = False) -> Endpoint:
    """Return the internet address in *data*, for a socket of *family*; EINVAL or EAFNOSUPPORT."""
    if family == AF_INET:
        if len(data) < SOCKADDR_IN.size:
            raise SyscallError(EINVAL)
        found, port, ip = SOCKADDR_IN.unpack_from(data)
        if found != AF_INET and not (found == AF_UNSPEC and (not binding or ip == bytes(4))):
            raise SyscallError(EAFNOSUPPORT)
        return MAPPED + ip, int.from_bytes(port, "big")
    if len(data) >= SOCKADDR_IN.size and family_of(data) == AF_INET and not binding:
        return endpoint(data, AF_INET)
    if len(data) < 24:  # SIN6_LEN_RFC2133: without the scope
        raise SyscallError(EINVAL)
    found, port, _, ip, _ = SOCKADDR_IN6.unpack(data[:28].ljust(28, b"\0"))
    if found != AF_INET6:
        raise SyscallError(EAFNOSUPPORT)
    return ip, int.from_bytes(port, "big")


def unix_name(data: bytes) -> bytes:
    """Return the name in a sockaddr_un; empty for autobind."""
    if not 2 <= len(data) <= SOCKADDR_UN_SIZE or family_of(data) != AF_UNIX:
        raise SyscallError(EINVAL)
    name = data[2:]
    return name if name.startswith(b"\0") else name.partition(b"\0")[0]


def packed(family: int, where: Endpoint | bytes | None) -> bytes:
    """Return the structure that a socket of *family* shows for *where*."""
    if family == AF_UNIX:
        name = where if isinstance(where, bytes) else b""
        ending = b"\0" if name and not name.startswith(b"\0") else b""
        return AF_UNIX.to_bytes(2, "little") + name + ending
    ip, port = where if isinstance(where, tuple) else (ANY4 if family == AF_INET else ANY6, 0)
    if family == AF_INET:
        return SOCKADDR_IN.pack(AF_INET, port.to_bytes(2, "big"), ip[12:])
    return SOCKADDR_IN6.pack(AF_INET6, port.to_bytes(2, "big"), 0, ip, 0)


def store(k: Kernel, data: bytes, addr: int, size_addr: int) -> None:
    """Store an address structure where a call asked for it, cut to the room that there is; move_addr_to_user."""
    (room,) = U32.unpack(k.mem.read(size_addr, 4))
    if room > 0x7FFF_FFFF:
        raise SyscallError(EINVAL)
    if room:
        k.mem.write(addr, data[:room])
    k.mem.write(size_addr, U32.pack(len(data)))
