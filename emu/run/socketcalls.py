"""Socket calls as strace(1) shows them: each with what its other arguments say of its pointers."""

from __future__ import annotations

from collections.abc import Callable

from emu.run import names, socketargs, structures
from emu.run.decoded import Call, Texts, vectors
from emu.run.names import pointer
from syscalls import abi
from syscalls.net import constants as c

MOST = 128  # bytes of an address (struct sockaddr_storage), or shown of an option


def _socket(call: Call, _: Texts) -> Texts:
    family, kind, protocol = call.args[:3]
    shown = [names.one(family, socketargs.FAMILIES), socketargs.kind(kind), socketargs.protocol(family, protocol)]
    if call.event.name == "socketpair":
        shown.append(call.behind(3, 8, structures.pair, out=True))
    return shown


def _address(call: Call, index: int, size: int, out: bool = False) -> str:
    return (
        call.behind(index, min(max(size, 0), MOST), socketargs.address, out)
        if size
        else pointer(call.event.args[index])
    )


def _given(call: Call, texts: Texts) -> Texts:
    # connect and bind: the address and its size.
    return [texts[0], _address(call, 1, call.args[2]), str(call.args[2])]


def _learnt(call: Call, texts: Texts) -> Texts:
    # The address that the call stores, and how long it is: getsockname, accept, recvfrom.
    at = 4 if call.event.name == "recvfrom" else 1
    where = call.event.args[at + 1]
    data = None if call.failed or not where else call.peek(where, 4)
    if data is None:
        texts[at], texts[at + 1] = pointer(call.event.args[at]), pointer(where)
    else:
        size = int.from_bytes(data, "little")
        before = call.event.detail.get(at + 1, data)
        room = int.from_bytes(before[:4], "little")
        texts[at] = _address(call, at, min(size, 128))
        texts[at + 1] = f"[{room} => {size}]" if room != size else f"[{size}]"
    if call.event.name == "recvfrom":
        texts[3] = names.bits(call.args[3], socketargs.MESSAGE)
    if call.event.name == "accept4":
        texts[3] = names.bits(call.args[3], socketargs.CREATION)
    return texts


def _sendto(call: Call, texts: Texts) -> Texts:
    texts[3] = names.bits(call.args[3], socketargs.MESSAGE)
    texts[4] = _address(call, 4, call.args[5])
    return texts


def _message(call: Call, texts: Texts) -> Texts:
    data = call.peek(call.event.args[1], c.MSGHDR.size)
    texts[2] = names.bits(call.args[2], socketargs.MESSAGE)
    received = call.event.name == "recvmsg"
    if data is None or (received and call.failed):
        texts[1] = pointer(call.event.args[1])
        return texts
    name, name_size, iov, count, control, control_size, flags = c.MSGHDR.unpack(data)
    where = call.peek(name, min(name_size, 128)) if name and name_size else None
    parts = call.peek(iov, min(count, 1024) * abi.IOVEC.size) if iov else None
    shown = [f"msg_name={pointer(name) if where is None else socketargs.address(where)}", f"msg_namelen={name_size}"]
    filled = call.event.result if received else None
    shown.append(f"msg_iov={pointer(iov) if parts is None else vectors(call, parts, filled)}")
    shown.append(f"msg_iovlen={count}")
    if control_size:
        shown.append(f"msg_control={pointer(control)}")
    shown += [f"msg_controllen={control_size}", f"msg_flags={names.bits(flags & 0xFFFF_FFFF, socketargs.MESSAGE)}"]
    texts[1] = f"{{{', '.join(shown)}}}"
    return texts


def _option(call: Call, texts: Texts) -> Texts:
    level, name = call.args[1], call.args[2]
    shown = [texts[0], *socketargs.option(level, name)]
    if call.event.name == "setsockopt":
        size = call.args[4]
        value = call.behind(3, min(max(size, 0), MOST), lambda data: socketargs.option_value(level, name, data))
        return [*shown, value, str(size)]
    data = None if call.failed else call.peek(call.event.args[4], 4)
    if data is None:
        return [*shown, pointer(call.event.args[3]), pointer(call.event.args[4])]
    size = int.from_bytes(data, "little")
    value = call.behind(3, min(size, MOST), lambda data: socketargs.option_value(level, name, data))
    return [*shown, value, f"[{size}]"]


def _shutdown(call: Call, texts: Texts) -> Texts:
    return [texts[0], names.one(call.args[1], socketargs.SHUT)]


SOCKET_CALLS: dict[str, Callable[[Call, Texts], Texts]] = {
    "accept": _learnt, "accept4": _learnt, "bind": _given, "connect": _given, "getpeername": _learnt,
    "getsockname": _learnt, "getsockopt": _option, "recvfrom": _learnt, "recvmsg": _message, "sendmsg": _message,
    "sendto": _sendto, "setsockopt": _option, "shutdown": _shutdown, "socket": _socket, "socketpair": _socket,
}  # fmt: skip
