"""Sending and receiving: send(2), recv(2) and their kin, with what comes beside the bytes (cmsg(3))."""

from __future__ import annotations

from collections.abc import Callable

from syscalls import abi
from syscalls.errno import EINVAL, EMFILE, EMSGSIZE, ENOBUFS, ENOTSOCK, EPERM, SyscallError
from syscalls.files.opened import OpenFile
from syscalls.files.pollable import Source
from syscalls.files.transfer import vectors
from syscalls.guest import GuestFault
from syscalls.light import TYPE_CHECKING
from syscalls.net import address
from syscalls.net.constants import (
    AF_UNIX,
    CMSGHDR,
    MMSGHDR_SIZE,
    MSG_CMSG_CLOEXEC,
    MSG_CTRUNC,
    MSG_DONTWAIT,
    MSG_TRUNC,
    MSG_WAITFORONE,
    MSGHDR,
    SCM_CREDENTIALS,
    SCM_RIGHTS,
    SO_PASSCRED,
    SOL_SOCKET,
    UCRED,
)  # fmt: skip
from syscalls.net.sockets import Outgoing, Received, Socket, is_truncated
from syscalls.net.unix import credentials
from syscalls.time import NS, read_timespec
from syscalls.waits import INTERRUPTED, Blocked

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

MOST_FILES = 253  # SCM_MAX_FD
MOST_CONTROL = 1 << 20  # net.core.optmem_max, generously
NAME_SIZE_AT, CONTROL_SIZE_AT, FLAGS_AT = 8, 40, 48  # of struct msghdr


def socket_of(k: Kernel, fd: int) -> Socket:
    """Return the socket behind *fd*; EBADF or ENOTSOCK."""
    file = k.files.usable(fd)
    if not isinstance(file, Socket):
        raise SyscallError(ENOTSOCK)
    return file


def sendto(k: Kernel, t: Task, fd: int, addr: int, size: int, flags: int, to: int, to_size: int) -> int:
    """Send *size* bytes, to the address at *to* or to the peer; send(2)."""
    socket = socket_of(k, fd)
    raw = address.read(k, to, to_size) if to else b""
    spans = [(addr, min(size, abi.MAX_RW_COUNT))]
    return socket.send(k, t, with_credentials(k, socket, Outgoing(Source(k, spans), flags, raw)))


def recvfrom(k: Kernel, t: Task, fd: int, addr: int, size: int, flags: int, source: int, source_size: int) -> int:
    """Receive up to *size* bytes, and store where they came from; recv(2)."""
    socket = socket_of(k, fd)
    received = socket.receive(k, t, min(size, abi.MAX_RW_COUNT), flags)
    drop_files(k, received)
    keep_or_return(k, socket, received, [(addr, size)])
    if source and received.source is not None:
        address.store(k, received.source, source, source_size)
    elif source and source_size:
        k.mem.write(source_size, bytes(4))
    return received.length if flags & MSG_TRUNC and socket.packets else len(received.data)


def keep_or_return(k: Kernel, socket: Socket, received: Received, spans: list[tuple[int, int]]) -> None:
    """Store what was received into the (address, size) *spans*; what has no place there is not lost to a stream."""
    done = 0
    for addr, size in spans:
        part = received.data[done : done + size]
        try:
            if part:
                k.mem.write(addr, part)
        except GuestFault:
            socket.untake(k, received.data[done:])
            if not done or socket.packets:
                raise
            received.data = received.data[:done]
            return
        done += len(part)


def drop_files(k: Kernel, received: Received) -> None:
    """Let go of files that nobody takes."""
    for file in received.files:
        k.files.let_go(file)
    received.files = []


def with_credentials(k: Kernel, socket: Socket, out: Outgoing) -> Outgoing:
    """Let who sends go with *out* where the receiver asked for it; unix(7), SO_PASSCRED."""
    asks = socket.family == AF_UNIX and (passes(socket) or socket.peer is None or passes(socket.peer))
    if asks and out.credentials is None:
        out.credentials = credentials(k)
    return out


def passes(socket: Socket) -> bool:
    """Say whether SO_PASSCRED is set."""
    return any(socket.options.get((SOL_SOCKET, SO_PASSCRED), b""))


def sendmsg(k: Kernel, t: Task, fd: int, addr: int, flags: int) -> int:
    """Send what a struct msghdr describes; sendmsg(2)."""
    socket = socket_of(k, fd)
    name, name_size, iov, count, control, control_size, _ = MSGHDR.unpack(k.mem.read(addr, MSGHDR.size))
    if count > abi.IOV_MAX:
        raise SyscallError(EMSGSIZE)
    raw = address.read(k, name, min(name_size, address.MOST)) if name and name_size else b""
    out = Outgoing(Source(k, vectors(k, iov, count)), flags, raw)
    if control_size > MOST_CONTROL:
        raise SyscallError(ENOBUFS)
    if control and control_size:
        read_control(k, socket, out, k.mem.read(control, control_size))
    return socket.send(k, t, with_credentials(k, socket, out))


def read_control(k: Kernel, socket: Socket, out: Outgoing, data: bytes) -> None:
    """Take what comes beside the bytes: descriptors and credentials of AF_UNIX; other families' is not needed here."""
    at = 0
    while at + CMSGHDR.size <= len(data):
        length, level, kind = CMSGHDR.unpack_from(data, at)
        if not CMSGHDR.size <= length <= len(data) - at:
            raise SyscallError(EINVAL)
        body = data[at + CMSGHDR.size : at + length]
        at += (length + 7) & ~7
        if level != SOL_SOCKET or socket.family != AF_UNIX:
            continue
        if kind == SCM_RIGHTS:
            fds = [int.from_bytes(body[i : i + 4], "little", signed=True) for i in range(0, len(body) & ~3, 4)]
            if len(out.files) + len(fds) > MOST_FILES:
                raise SyscallError(EINVAL)
            out.files += [k.files.get(fd) for fd in fds]
        elif kind == SCM_CREDENTIALS:
            if len(body) != UCRED.size:
                raise SyscallError(EINVAL)
            out.credentials = UCRED.unpack(body)
            if out.credentials != credentials(k) and k.world.process.euid:
                raise SyscallError(EPERM)
        else:
            raise SyscallError(EINVAL)


def recvmsg(k: Kernel, t: Task, fd: int, addr: int, flags: int) -> int:
    """Receive as a struct msghdr describes; recvmsg(2)."""
    socket = socket_of(k, fd)
    name, name_size, iov, count, control, room, _ = MSGHDR.unpack(k.mem.read(addr, MSGHDR.size))
    if count > abi.IOV_MAX:
        raise SyscallError(EMSGSIZE)
    if name_size < 0:
        raise SyscallError(EINVAL)
    spans = vectors(k, iov, count)
    received = socket.receive(k, t, sum(size for _, size in spans), flags)
    keep_or_return(k, socket, received, spans)
    found = MSG_TRUNC if socket.packets and is_truncated(received) else 0
    source = received.source or b""
    if name:
        k.mem.write(name, source[: min(name_size, len(source))])
        k.mem.write(addr + NAME_SIZE_AT, abi.U32.pack(len(source)))
    data, cut = control_data(k, socket, received, room if control else 0, bool(flags & MSG_CMSG_CLOEXEC))
    if data:
        k.mem.write(control, data)
    k.mem.write(addr + CONTROL_SIZE_AT, abi.U64.pack(len(data)))
    shown = found | cut | (flags & MSG_CMSG_CLOEXEC)
    k.mem.write(addr + FLAGS_AT, abi.U32.pack(shown))
    return received.length if flags & MSG_TRUNC and socket.packets else len(received.data)


def control_data(k: Kernel, socket: Socket, received: Received, room: int, on_exec: bool) -> tuple[bytes, int]:
    """Return what comes beside the bytes, for *room* bytes, and MSG_CTRUNC if that is not all; opens descriptors."""
    data, cut = b"", 0
    if received.credentials is not None and passes(socket):
        one = cmsg(SCM_CREDENTIALS, UCRED.pack(*received.credentials))
        if len(one) <= room:
            data = one
        else:
            cut = MSG_CTRUNC
    if received.files:
        fits = max(room - len(data) - CMSGHDR.size, 0) // 4
        fds = install(k, received.files[:fits], on_exec)
        if len(fds) < len(received.files):
            cut = MSG_CTRUNC
        drop_files(k, received)
        if fds:
            data += cmsg(SCM_RIGHTS, b"".join(abi.U32.pack(fd) for fd in fds))[: room - len(data)]
    return data, cut


def cmsg(kind: int, body: bytes) -> bytes:
    """Return one control message, padded."""
    return (CMSGHDR.pack(CMSGHDR.size + len(body), SOL_SOCKET, kind) + body).ljust(
        (CMSGHDR.size + len(body) + 7) & ~7, b"\0"
    )


def install(k: Kernel, files: list[OpenFile], on_exec: bool) -> list[int]:
    """Open descriptors for *files*, as many as the limit allows."""
    fds = []
    for file in files:
        try:
            fds.append(k.files.put(k.files.lowest(), file, on_exec))
        except SyscallError as error:
            if error.errno != EMFILE:
                raise
            break
    return fds


def sendmmsg(k: Kernel, t: Task, fd: int, addr: int, count: int, flags: int) -> int:
    """Send several messages, and store how much went of each; sendmmsg(2)."""
    socket_of(k, fd)
    return each(k, t, fd, addr, count, sendmsg, flags, flags)


def recvmmsg(k: Kernel, t: Task, fd: int, addr: int, count: int, flags: int, timeout: int) -> int:
    """Receive several messages, and store how much came of each; recvmmsg(2).

    The timeout is looked at after each message only, as Linux does (BUGS): it never ends a wait.
    """
    end = None
    if timeout:
        end = t.wait.end if t.woken and t.wait else k.clock.monotonic_ns() + read_timespec(k, timeout)
    socket = socket_of(k, fd)
    socket.take_error()
    first = flags & ~MSG_WAITFORONE
    later = first | MSG_DONTWAIT if flags & MSG_WAITFORONE else first
    done = each(k, t, fd, addr, count, recvmsg, first, later, end)
    if end is not None and done:
        left = max(end - k.clock.monotonic_ns(), 0)
        k.mem.write(timeout, abi.TIMESPEC.pack(left // NS, left % NS))
    return done


def each(
    k: Kernel, t: Task, fd: int, addr: int, count: int, act: Callable[[Kernel, Task, int, int, int], int],
    flags: int, later: int, end: int | None = None,
) -> int:  # fmt: skip
    """Let *act* send or receive what each struct mmsghdr at *addr* describes, and store how much it was.

    *flags* are of the first, *later* of the others.  Returns how many there were before one that failed, before a
    signal, or before *end* (on the monotonic clock) had come.
    """
    waited, interrupted = t.wait if t.woken else None, t.woken == INTERRUPTED
    done = waited.before if waited else 0
    if interrupted and waited and not waited.data:  # nothing of the one that it waited in
        return done
    for at in range(addr + done * MMSGHDR_SIZE, addr + min(count, abi.IOV_MAX) * MMSGHDR_SIZE, MMSGHDR_SIZE):
        try:
            size = act(k, t, fd, at, later if done else flags)
            k.mem.write(at + MSGHDR.size, abi.U32.pack(size))
        except Blocked as blocked:
            wait = blocked.wait
            raise Blocked(wait._replace(before=done, end=end, finishes=wait.finishes or done > 0)) from None
        except (SyscallError, GuestFault):
            if not done:
                raise
            break
        done += 1
        t.woken = t.wait = None  # the next one waits for itself
        if interrupted or (end is not None and k.clock.monotonic_ns() >= end):
            break
    return done
