"""AF_UNIX: streams, sequenced packets and datagrams between the guest's tasks; unix(7), net/unix/af_unix.c (read).

How much a queue takes is counted in what the kernel's buffers would take, so that a writer blocks where Linux's does.
"""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import (
    EACCES,
    EADDRINUSE,
    ECONNREFUSED,
    ECONNRESET,
    EEXIST,
    EINVAL,
    EISCONN,
    EMSGSIZE,
    ENOTCONN,
    EOPNOTSUPP,
    EPERM,
    EPIPE,
    EPROTOTYPE,
    SyscallError,
)  # fmt: skip
from syscalls.files import entries, paths
from syscalls.files.pollable import READABLE, WRITABLE
from syscalls.light import TYPE_CHECKING
from syscalls.net.address import family_of, packed, unix_name
from syscalls.net.constants import AF_UNIX, AF_UNSPEC, MSG_PEEK, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM
from syscalls.net.sockets import (
    BOTH,
    CLOSED,
    CONNECTED,
    LISTENING,
    NEW,
    RECEIVE,
    SEND,
    Credentials,
    Outgoing,
    Packet,
    Received,
    Socket,
)  # fmt: skip
from syscalls.net.stream import Stream

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

LARGEST = 48_832  # bytes of one buffer of a stream: SKB_MAX_ALLOC + UNIX_SKB_FRAGS_SZ
LINEAR, HEAD, OVERHEAD = 3776, 320, 256  # SKB_MAX_HEAD(0), and what comes with each buffer
MOST_DATAGRAMS = 512  # /proc/sys/net/unix/max_dgram_qlen, as distributions set it
ROOM = "room"


def truesize(size: int) -> int:
    """Return what a buffer for *size* bytes takes: its first part in a power of two, the rest in pages."""
    paged = min(size, (max(size - LINEAR, 0) + 4095) // 4096 * 4096)
    linear = max(size - paged + HEAD, 512)
    return (1 << (linear - 1).bit_length()) + OVERHEAD + (paged + 4095) // 4096 * 4096


class UnixSocket(Stream):
    """A socket of AF_UNIX; *local* is its name, *remote* that of its peer."""

    __slots__ = ("credentials", "local", "remote")

    def __init__(self, k: Kernel, family: int, kind: int, protocol: int) -> None:
        super().__init__(k, family, kind, protocol)
        self.local, self.remote = b"", b""
        self.credentials: Credentials | None = None  # of the peer: SO_PEERCRED

    @property
    def packets(self) -> bool:  # type: ignore[override]  # of the kind of socket, where other classes are all alike
        return self.kind != SOCK_STREAM

    @property
    def merges(self) -> bool:
        return False

    # Room

    def room(self) -> int:
        if self.kind == SOCK_STREAM:
            return min(LARGEST, self.sending // 2 - 64) if self._used() < self.sending else 0
        return self.sending - 32 if self._used() < self.sending else 0

    def _used(self) -> int:
        return self.peer.queued if self.peer is not None else 0

    def charge(self, size: int) -> int:
        return truesize(size)

    @property
    def roomy(self) -> bool:
        return self._used() * 4 <= self.sending

    def ready(self, k: Kernel) -> int:
        events = abi.POLLERR if self.error else 0
        if self.shut == BOTH or (self.kind != SOCK_DGRAM and self.state in (NEW, CLOSED)):
            events |= abi.POLLHUP
        if self.shut & RECEIVE:
            events |= READABLE | abi.POLLRDHUP
        if self.inbox or self.queue:
            events |= READABLE
        full = isinstance(self.peer, UnixSocket) and self.kind == SOCK_DGRAM and self.peer.is_full
        return events | (WRITABLE | abi.POLLWRBAND if self.roomy and not full and not self.listening else 0)

    # Names

    def bind(self, k: Kernel, raw: bytes) -> None:
        name = unix_name(raw)
        if self.local:
            raise SyscallError(EINVAL)
        net = self.network
        if not name:
            name = net.new_name()
        elif not name.startswith(b"\0"):
            self._bind_path(k, name)
        elif name in net.abstract:
            raise SyscallError(EADDRINUSE)
        self.local = name
        if name.startswith(b"\0"):
            net.abstract[name] = self

    def _bind_path(self, k: Kernel, name: bytes) -> None:
        try:
            place = entries.new_entry(k, abi.AT_FDCWD, name, EPERM, EPERM)
        except SyscallError as error:
            if error.errno == EEXIST:
                raise SyscallError(EADDRINUSE) from None
            raise
        node = entries.folder_of(place).new_socket(place.name, paths.permissions(k, 0o777))
        self.network.paths.append((node, self))

    def _find(self, k: Kernel, raw: bytes) -> UnixSocket:
        # The socket that is bound to the name *raw*.
        name = unix_name(raw)
        if name.startswith(b"\0"):
            found = self.network.abstract.get(name)
        else:
            node = paths.find(k, abi.AT_FDCWD, name)
            if not paths.may(k, node, abi.W_OK):
                raise SyscallError(EACCES)
            found = self.network.at_node(node)
        if found is None:
            raise SyscallError(ECONNREFUSED)
        if found.kind != self.kind:
            raise SyscallError(EPROTOTYPE)
        return found

    # Connecting

    def listen(self, k: Kernel, backlog: int) -> None:
        if self.kind == SOCK_DGRAM:
            raise SyscallError(EOPNOTSUPP)
        if not self.local or self.state not in (NEW, LISTENING):
            raise SyscallError(EINVAL)
        self.state, self.backlog, self.credentials = LISTENING, backlog, credentials(k)
        k.wake((ROOM, self.number))

    def connect(self, k: Kernel, t: Task, raw: bytes) -> None:
        if self.kind == SOCK_DGRAM:
            self._connect_datagrams(k, raw)
            return
        if self.state == CONNECTED:
            raise SyscallError(EISCONN)
        listener = self._find(k, raw)
        if not listener.listening:
            raise SyscallError(ECONNREFUSED)
        if self.state != NEW:
            raise SyscallError(EINVAL)
        if len(listener.queue) > listener.backlog:
            self.sleep(k, t, "connect", side=ROOM, at=listener.number)
        server = UnixSocket(k, self.family, self.kind, self.protocol)
        server.local, server.remote, self.remote = listener.local, self.local, listener.local
        server.credentials, self.credentials = credentials(k), listener.credentials
        join(server, self)
        listener.queue.append(server)
        listener.notify(k, READABLE)

    def _connect_datagrams(self, k: Kernel, raw: bytes) -> None:
        net = self.network
        if family_of(raw) == AF_UNSPEC:
            self.peer, self.remote, self.state = None, b"", NEW
        else:
            other = self._find(k, raw)
            if other.peer is not None and other.peer is not self:
                raise SyscallError(EPERM)
            self.peer, self.remote, self.state = other, other.local, CONNECTED
            if self not in net.sockets:
                net.sockets.append(self)

    def accept(self, k: Kernel, t: Task) -> Socket:
        if self.kind == SOCK_DGRAM:
            raise SyscallError(EOPNOTSUPP)
        if not self.listening:
            raise SyscallError(EINVAL)
        if not self.queue:
            if self.shut & RECEIVE:
                raise SyscallError(EINVAL)
            self.sleep(k, t, "accept on")
        k.wake((ROOM, self.number))
        return self.queue.popleft()

    # Sending and receiving

    @property
    def is_full(self) -> bool:
        """Whether there are so many datagrams in the queue that senders wait."""
        return len(self.inbox) > MOST_DATAGRAMS

    def ended(self) -> None:
        if self.kind == SOCK_SEQPACKET and self.state != CLOSED:
            raise SyscallError(ENOTCONN)
        if self.state != CLOSED:
            raise SyscallError(EINVAL)

    def send(self, k: Kernel, t: Task, out: Outgoing) -> int:
        if self.kind == SOCK_DGRAM:
            return self._send_datagram(k, t, out)
        if out.to:
            raise SyscallError(EISCONN if self.state == CONNECTED else EOPNOTSUPP)
        if self.packets and out.source.size > self.sending - 32:
            raise SyscallError(EMSGSIZE)
        return super().send(k, t, out)

    def _send_datagram(self, k: Kernel, t: Task, out: Outgoing) -> int:
        size = out.source.size
        if size > self.sending - 32:
            raise SyscallError(EMSGSIZE)
        target = self._find(k, out.to) if out.to else self.peer
        if target is None:
            self.take_error()
            raise SyscallError(ENOTCONN if self.state == NEW else ECONNREFUSED)
        assert isinstance(target, UnixSocket)
        if target.peer is not None and target.peer is not self:
            raise SyscallError(EPERM)
        if target.state == CLOSED:
            if self.peer is target:
                self.peer, self.state = None, NEW
            raise SyscallError(ECONNREFUSED)
        if self.shut & SEND or target.shut & RECEIVE:
            raise SyscallError(EPIPE)
        if target.is_full or target.queued >= self.sending:
            self.sleep(k, t, "send to", out.flags, side=ROOM, at=target.number)
        data = out.source.read(0, size) if size else b""
        packet = Packet(data, truesize(size), packed(AF_UNIX, self.local) if self.local else b"")
        packet.files, packet.credentials = out.files, out.credentials
        for file in out.files:
            file.refs += 1
        target.put(k, packet)
        return size

    def receive(self, k: Kernel, t: Task, size: int, flags: int) -> Received:
        if self.kind != SOCK_DGRAM:
            return super().receive(k, t, size, flags)
        if not self.inbox:
            self.take_error()
            if self.shut & RECEIVE:
                return Received(b"")
            self.sleep(k, t, "receive from", flags)
        peek = bool(flags & MSG_PEEK)
        packet = self.inbox[0] if peek else self.pop(k)
        received = Received(bytes(packet.data[:size]), len(packet.data), packet.source)
        received.files, received.credentials = [] if peek else packet.files, packet.credentials
        if not peek:
            self._made_room(k)
        return received

    def _made_room(self, k: Kernel) -> None:
        k.wake((ROOM, self.number))
        for other in self.network.sockets:
            if other.peer is self:
                other.notify(k, WRITABLE | abi.POLLWRBAND)

    # Ending

    def shutdown(self, k: Kernel, how: int) -> None:
        self.shut |= how
        self.notify(k, READABLE | WRITABLE | abi.POLLRDHUP | abi.POLLHUP)
        peer = self.peer
        if isinstance(peer, UnixSocket) and self.kind != SOCK_DGRAM:
            peer.shut |= (SEND if how & RECEIVE else 0) | (RECEIVE if how & SEND else 0)
            peer.notify(k, READABLE | WRITABLE | abi.POLLRDHUP | abi.POLLHUP)

    def released(self, k: Kernel) -> None:
        super().released(k)
        self.network.forget(self)
        while self.queue:
            connection = self.queue.popleft()
            assert isinstance(connection, UnixSocket)
            connection._leave(k, abort=True)
        if self.kind == SOCK_DGRAM:
            self.state = CLOSED
            for other in self.network.sockets:
                if other.peer is self:
                    other.notify(k, WRITABLE)
        self._leave(k, abort=bool(self.inbox))
        k.wake((ROOM, self.number))

    def _leave(self, k: Kernel, abort: bool) -> None:
        # Let the peer know that nobody is there any more.
        peer, self.peer, self.state = self.peer, None, CLOSED
        if isinstance(peer, UnixSocket) and self.kind != SOCK_DGRAM:
            peer.peer, peer.shut = None, BOTH
            if abort:
                peer.error = ECONNRESET
            peer.notify(k, READABLE | WRITABLE | abi.POLLERR | abi.POLLHUP | abi.POLLRDHUP)
        elif isinstance(peer, UnixSocket) and peer.peer is self:
            # Of a pair of datagram sockets: the other one learns of it when it sends.
            peer.error = ECONNRESET if abort else 0
        self.empty(k)

    def own_name(self) -> bytes:
        return packed(AF_UNIX, self.local)

    def peer_name(self) -> bytes:
        if self.state != CONNECTED:
            raise SyscallError(ENOTCONN)
        return packed(AF_UNIX, self.remote)


def join(one: UnixSocket, other: UnixSocket) -> None:
    """Make two sockets each other's peers."""
    one.peer, other.peer = other, one
    one.state = other.state = CONNECTED


def credentials(k: Kernel) -> Credentials:
    """Return those of the current process."""
    return k.process.pid, k.world.process.euid, k.world.process.egid
