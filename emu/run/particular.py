"""Calls whose arguments say together how they are to be shown, and results that strace(1) explains."""

from __future__ import annotations

from collections.abc import Callable

from emu.run import names, structures
from emu.run.decoded import Call, Texts
from emu.run.names import pointer
from emu.run.socketcalls import SOCKET_CALLS
from syscalls import abi

FCNTL_PLAIN = (abi.F_GETFD, abi.F_GETFL, abi.F_GETPIPE_SZ, abi.F_GET_SEALS)
FCNTL_LOCKS = (abi.F_GETLK, abi.F_SETLK, abi.F_SETLKW, abi.F_OFD_GETLK, abi.F_OFD_SETLK, abi.F_OFD_SETLKW)
REQUESTS = {
    value: name
    for value, name in (*abi.names("TC").items(), *abi.names("TIOC").items(), *abi.names("FIO").items())
    if value > 0x5400
}
WITHOUT_ARGUMENT = (abi.FIOCLEX, abi.FIONCLEX, abi.TIOCNOTTY)
NUMBERS_OUT = (abi.FIONREAD, abi.TIOCGPGRP, abi.TIOCGSID, abi.TIOCOUTQ)
SETTINGS = dict.fromkeys((abi.TCGETS, abi.TCSETS, abi.TCSETSW, abi.TCSETSF), abi.TERMIOS.size) | dict.fromkeys(
    (abi.TCGETS2, abi.TCSETS2, abi.TCSETSW2, abi.TCSETSF2), abi.TERMIOS.size + 8
)
NUMBERS_IN = (abi.FIONBIO, abi.TIOCSPGRP, abi.FIOASYNC)
FLUSHES = {0: "TCIFLUSH", 1: "TCOFLUSH", 2: "TCIOFLUSH"}
MREMAP_TO = abi.MREMAP_FIXED | abi.MREMAP_DONTUNMAP


def _openat(call: Call, texts: Texts) -> Texts:
    return _opened(call, texts, 2)


def _open(call: Call, texts: Texts) -> Texts:
    return _opened(call, texts, 1)


def _opened(call: Call, texts: Texts, at: int) -> Texts:
    if not call.args[at] & (abi.O_CREAT | 0o20000000):  # no file is made: the mode is not looked at
        return texts[: at + 1]
    return [*texts[: at + 1], names.octal(call.args[at + 1] & 0xFFFF)]


def _mknod(call: Call, texts: Texts) -> Texts:
    at = 2 if call.event.name == "mknodat" else 1
    mode, device = call.args[at] & 0xFFFF, call.args[at + 1]
    shown = [*texts[:at], names.mode(mode)]
    if mode & abi.S_IFMT in (abi.S_IFCHR, abi.S_IFBLK):
        shown.append(f"makedev({device >> 8 & 0xFFF:#x}, {device & 0xFF | device >> 12 & 0xFFF00:#x})")
    return shown


def _fcntl(call: Call, texts: Texts) -> Texts:
    command, value = call.args[1], call.event.args[2]
    if command in FCNTL_PLAIN:
        return texts[:2]
    if command == abi.F_SETFL:
        return [*texts[:2], names.opening(value & 0xFFFF_FFFF)]
    if command == abi.F_SETFD:
        return [*texts[:2], names.bits(value, names.FD_FLAGS)]
    if command == abi.F_ADD_SEALS:
        return [*texts[:2], names.bits(value, names.SEALS)]
    if command in FCNTL_LOCKS:
        asked = command in (abi.F_GETLK, abi.F_OFD_GETLK)
        shown = call.behind(2, abi.FLOCK.size, lambda data: structures.flock(data, asked), out=asked)
        return [*texts[:2], shown]
    return texts


def _ioctl(call: Call, texts: Texts) -> Texts:
    request = call.args[1]
    shown = [texts[0], REQUESTS.get(request, f"{request:#x}")]
    if request in WITHOUT_ARGUMENT:
        return shown
    if request == abi.TCFLSH:
        return [*shown, names.one(call.args[2], FLUSHES)]
    if request in (abi.TCSBRK, abi.TCSBRKP, abi.TCXONC, abi.TIOCSCTTY):
        return [*shown, str(call.args[2])]
    if request in NUMBERS_OUT or request in NUMBERS_IN:
        return [*shown, call.behind(2, 4, structures.number, out=request in NUMBERS_OUT)]
    if request in (abi.TIOCGWINSZ, abi.TIOCSWINSZ):
        return [*shown, call.behind(2, 8, structures.winsize, out=request == abi.TIOCGWINSZ)]
    if request in SETTINGS:
        shows = request in (abi.TCGETS, abi.TCGETS2)
        return [*shown, call.behind(2, SETTINGS[request], structures.termios, out=shows)]
    return [*shown, pointer(call.event.args[2])]


def _mremap(call: Call, texts: Texts) -> Texts:
    return texts if call.args[3] & MREMAP_TO else texts[:4]


def _prctl(call: Call, texts: Texts) -> Texts:
    option = call.args[0]
    if option == abi.PR_SET_NAME:
        name = call.peek(call.event.args[1], 16)
        return [texts[0], texts[1] if name is None else names.quoted(name.partition(b"\0")[0])]
    if call.event.args[:2] != (abi.PR_SET_VMA, abi.PR_SET_VMA_ANON_NAME):
        return texts
    return [texts[0], "PR_SET_VMA_ANON_NAME", f"{call.event.args[2]:#x}", texts[3], f"{call.event.args[4]:#x}"]


def _futex(call: Call, texts: Texts) -> Texts:
    operation, value = call.args[1], str(call.args[2])
    kind = operation & 0x7F
    name = names.FUTEX.get(kind)
    if name is None or operation & ~0x1FF:
        return texts
    shown = [texts[0], f"FUTEX_{name}{'_PRIVATE' if operation & 0x80 else ''}"]
    if operation & abi.FUTEX_CLOCK_REALTIME:
        shown[1] += "|FUTEX_CLOCK_REALTIME"
    shown.append(value)
    if kind in (abi.FUTEX_WAIT, abi.FUTEX_WAIT_BITSET):
        shown.append(call.behind(3, 16, structures.timespec))
    if kind in (abi.FUTEX_WAIT_BITSET, abi.FUTEX_WAKE_BITSET):
        mask = call.args[5]
        if kind == abi.FUTEX_WAIT_BITSET and not call.event.args[3]:
            shown[3] = "NULL"
        shown.append("FUTEX_BITSET_MATCH_ANY" if mask == 0xFFFF_FFFF else f"{mask:#x}")
    if kind in (abi.FUTEX_REQUEUE, abi.FUTEX_CMP_REQUEUE, abi.FUTEX_WAKE_OP):
        shown += [str(call.event.args[3]), pointer(call.event.args[4])]
        if kind == abi.FUTEX_CMP_REQUEUE:
            shown.append(str(call.args[5]))
        elif kind == abi.FUTEX_WAKE_OP:
            shown.append(f"{call.args[5]:#x}")
    return shown


def _clone(call: Call, _: Texts) -> Texts:
    flags, child_stack, parent, child, tls = call.event.args[:5]
    shown = [f"child_stack={pointer(child_stack)}"]
    texts = [names.bits(flags & ~0xFF, names.CLONE, "")] if flags & ~0xFF else []
    if flags & 0xFF:
        texts.append(names.full_signal(flags & 0xFF))
    shown.append(f"flags={'|'.join(texts) or '0'}")
    if flags & 0x101000:
        new = "" if call.failed or not flags & abi.CLONE_PARENT_SETTID else f"[{call.event.result}]"
        shown.append(f"parent_tid={new or f'{parent:#x}'}")
    if flags & abi.CLONE_SETTLS:
        shown.append(f"tls={tls:#x}")
    if flags & 0x1200000:
        shown.append(f"child_tidptr={child:#x}")
    return shown


def _wait4(call: Call, texts: Texts) -> Texts:
    status = call.event.args[1]
    texts[1] = pointer(status) if call.event.result <= 0 else call.behind(1, 4, structures.wait_status)
    if call.event.result <= 0:  # no child has ended: nothing is stored
        texts[3] = pointer(call.event.args[3])
    return texts


def _epoll_ctl(call: Call, texts: Texts) -> Texts:
    return [*texts[:3], pointer(call.event.args[3])] if call.args[1] == abi.EPOLL_CTL_DEL else texts


def _epoll_wait(call: Call, texts: Texts) -> Texts:
    count = call.event.result
    data = None if call.failed else call.peek(call.event.args[1], count * 12)
    if data is not None:
        found = [structures.epoll_event(data[at : at + 12]) for at in range(0, len(data), 12)]
        texts[1] = f"[{', '.join(found)}]"
    if call.event.name != "epoll_wait":
        texts[4] = call.behind(4, 8, structures.signal_set)
    if call.event.name == "epoll_pwait2":
        texts[3] = call.behind(3, 16, structures.timespec)
    return texts


def _polled(call: Call) -> list[tuple[int, int, int]] | None:
    count = call.args[1]
    data = call.peek(call.event.args[0], count * abi.POLLFD.size) if count <= 4096 else None
    return None if data is None else list(abi.POLLFD.iter_unpack(data))


def _poll(call: Call, texts: Texts) -> Texts:
    found = _polled(call)
    if found is not None:
        shown = [f"{{fd={fd}" + (f", events={names.bits(events & 0xFFFF, names.POLL)}" if fd >= 0 else "") + "}"
                 for fd, events, _ in found]  # fmt: skip
        texts[0] = f"[{', '.join(shown)}]"
    if call.event.name == "ppoll":
        texts[2] = call.behind(2, 16, structures.timespec)
        texts[3] = call.behind(3, 8, structures.signal_set)
    return texts


def _set(data: bytes | None, count: int) -> list[int] | None:
    if data is None:
        return None
    mask = int.from_bytes(data, "little")
    return [fd for fd in range(min(count, mask.bit_length())) if mask >> fd & 1]


def _numbers(found: list[int] | None, addr: int) -> str:
    return pointer(addr) if found is None else f"[{' '.join(map(str, found))}]"


def _select(call: Call, texts: Texts) -> Texts:
    count = call.args[0]
    for index in (1, 2, 3):
        addr = call.event.args[index]
        kept = call.event.detail.get(index)
        texts[index] = _numbers(_set(kept if addr else None, count), addr)
    if call.event.name == "select":
        texts[4] = call.behind(4, 16, structures.timeval)
        return texts
    texts[4] = call.behind(4, 16, structures.timespec)
    masks = call.peek(call.event.args[5], 16) if call.event.args[5] else None
    if masks is not None:
        where, size = abi.IOVEC.unpack(masks)
        data = call.peek(where, 8) if where else None
        shown = pointer(where) if data is None else structures.signal_set(data)
        texts[5] = f"{{sigmask={shown}, sigsetsize={size}}}"
    return texts


CALLS: dict[str, Callable[[Call, Texts], Texts]] = {
    "clone": _clone, "epoll_ctl": _epoll_ctl, "epoll_pwait": _epoll_wait, "epoll_pwait2": _epoll_wait,
    "epoll_wait": _epoll_wait, "fcntl": _fcntl, "futex": _futex, "ioctl": _ioctl, "mknod": _mknod, "mknodat": _mknod,
    "mremap": _mremap, "open": _open, "openat": _openat, "poll": _poll, "ppoll": _poll, "prctl": _prctl,
    "pselect6": _select, "select": _select, "wait4": _wait4, **SOCKET_CALLS,
}  # fmt: skip


# Results


def _fcntl_result(call: Call, shown: str) -> str:
    value, command = call.event.result, call.args[1]
    if command == abi.F_GETFL:
        return f"{value:#x} (flags {names.opening(value)})"
    if command == abi.F_GETFD:
        return f"{value:#x} (flags {names.bits(value, names.FD_FLAGS)})" if value else "0"
    if command == abi.F_GET_SEALS:
        return f"{value:#x} (seals {names.bits(value, names.SEALS)})" if value else "0"
    return shown


def _umask_result(call: Call, _: str) -> str:
    return f"0{call.event.result:o}" if call.event.result else "0"


def _left(call: Call, index: int) -> str:
    # What is left of a timeout, which the kernel stores.
    addr = call.event.args[index]
    data = call.peek(addr, 16) if addr else None
    if data is None:
        return ""
    return f"left {structures.timeval(data) if call.event.name == 'select' else structures.timespec(data)}"


def _poll_result(call: Call, shown: str) -> str:
    found = _polled(call)
    if not call.event.result or found is None:
        return f"{shown} (Timeout)"
    ready = [f"{{fd={fd}, revents={names.bits(got & 0xFFFF, names.POLL)}}}" for fd, _, got in found if got]
    left = _left(call, 2) if call.event.name == "ppoll" else ""
    return f"{shown} ([{', '.join(ready)}]{f', {left}' if left else ''})"


def _select_result(call: Call, shown: str) -> str:
    if not call.event.result:
        return f"{shown} (Timeout)"
    parts = []
    for index, name in ((1, "in"), (2, "out"), (3, "except")):
        addr = call.event.args[index]
        size = min(max(-(-call.args[0] // 64), 0) * 8, 128)
        found = _set(call.peek(addr, size) if addr else None, call.args[0])
        if found:
            parts.append(f"{name} {_numbers(found, addr)}")
    left = _left(call, 4)
    return f"{shown} ({', '.join([*parts, *([left] if left else [])])})"


def _signal_result(call: Call, shown: str) -> str:
    return f"{shown} ({names.full_signal(call.event.result)})"


RESULTS: dict[str, Callable[[Call, str], str]] = {
    "fcntl": _fcntl_result, "poll": _poll_result, "ppoll": _poll_result, "pselect6": _select_result,
    "rt_sigtimedwait": _signal_result, "select": _select_result, "umask": _umask_result,
}  # fmt: skip
