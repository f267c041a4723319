"""TCP over the loopback device: connections that are there at once, FIN and RST; tcp(7), net/ipv4/tcp*.c (read).

A closed socket is gone at once: nothing waits for its last segments, and there is no TIME_WAIT.
"""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import (
    EADDRINUSE,
    EALREADY,
    ECONNABORTED,
    ECONNREFUSED,
    ECONNRESET,
    EINPROGRESS,
    EINVAL,
    EISCONN,
    ENOTCONN,
    EPIPE,
    SyscallError,
)  # fmt: skip
from syscalls.files.pollable import READABLE, WRITABLE
from syscalls.light import TYPE_CHECKING
from syscalls.net.address import Endpoint, family_of, packed
from syscalls.net.constants import AF_UNSPEC, LINGER, SO_LINGER, SO_SNDBUF, SOL_SOCKET
from syscalls.net.inet import InetSocket
from syscalls.net.network import overlap
from syscalls.net.sockets import BOTH, CLOSED, CONNECTED, CONNECTING, LISTENING, NEW, RECEIVE, SEND, Socket
from syscalls.net.stream import Stream

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

SENDING, RECEIVING, CONNECTED_SENDING = 16_384, 131_072, 3_939_840
"""SO_SNDBUF and SO_RCVBUF at first, and SO_SNDBUF of a connection over the loopback device (native)."""


class TcpSocket(Stream, InetSocket):
    """A TCP socket."""

    __slots__ = ()

    def __init__(self, k: Kernel, family: int, kind: int, protocol: int) -> None:
        super().__init__(k, family, kind, protocol)
        self.sending, self.receiving = SENDING, RECEIVING

    # Room

    def room(self) -> int:
        return max(self._capacity() - self.peer.queued, 0) if self.peer is not None else self.sending

    def _capacity(self) -> int:
        peer = self.peer
        beyond = peer.receiving if peer is not None and (SOL_SOCKET, SO_SNDBUF) in self.options else 0
        return self.sending + beyond

    @property
    def roomy(self) -> bool:
        return self.peer is None or self.peer.queued * 3 <= self._capacity() * 2

    def ready(self, k: Kernel) -> int:
        if self.listening:
            return READABLE if self.queue else 0
        events = abi.POLLERR if self.error else 0
        if self.shut == BOTH or self.state in (NEW, CLOSED):
            events |= abi.POLLHUP
        if self.shut & RECEIVE:
            events |= READABLE | abi.POLLRDHUP
        if self.state == CONNECTING and self.shut != BOTH:
            return events
        if self.inbox:
            events |= READABLE
        if self.shut & SEND or self.roomy:
            events |= WRITABLE
        return events

    # Connecting

    def listen(self, k: Kernel, backlog: int) -> None:
        if self.state not in (NEW, LISTENING):
            raise SyscallError(EINVAL)
        if not self.is_bound:
            self.network.bind(k, self, (self.local[0], 0))
        for other in self.network.bound(self.kind, self.local[1]):
            shared = self.reuse_port and other.reuse_port
            same = overlap(self.local[0], other.local[0], self.v6only, other.v6only)
            if other is not self and other.listening and same and not shared:
                raise SyscallError(EADDRINUSE)
        self.state, self.backlog = LISTENING, backlog

    def connect(self, k: Kernel, t: Task, raw: bytes) -> None:
        if family_of(raw) == AF_UNSPEC:
            self.disconnect(k)
            return
        if self.state == CONNECTING:
            self._connecting(k, t)
            return
        if self.state == CONNECTED and not self.announced:
            self.announced = True
            return
        if self.state in (CONNECTED, LISTENING, CLOSED):
            raise SyscallError(EISCONN)
        to = self.way_to(raw)
        self.remote = to
        self.bind_for(k, to)
        if self.local[0] != (source := self.source_for(to))[0]:
            self.local = source
        listener = self.network.find(self.kind, to)
        if not isinstance(listener, TcpSocket) or not listener.listening:
            self._refused(k)
        elif len(listener.queue) > listener.backlog:
            self.state = CONNECTING
            listener.waiting.append(self)
        else:
            listener.establish(k, self)
        self.announced = self.state == CONNECTED and not self.flags & abi.O_NONBLOCK
        if self.flags & abi.O_NONBLOCK:
            raise SyscallError(EINPROGRESS)
        if self.state == CONNECTING:
            self._connecting(k, t)

    def _refused(self, k: Kernel) -> None:
        self.state, self.error, self.shut = CONNECTING, ECONNREFUSED, BOTH
        self.notify(k, READABLE | WRITABLE | abi.POLLERR | abi.POLLHUP)

    def _connecting(self, k: Kernel, t: Task) -> None:
        # Connecting still, or it was refused.
        if self.shut == BOTH:
            error = self.error or ECONNABORTED
            self.disconnect(k)
            raise SyscallError(error)
        if self.flags & abi.O_NONBLOCK:
            raise SyscallError(EALREADY)
        try:
            self.sleep(k, t, "connect", side="out")
        except SyscallError:
            raise SyscallError(EINPROGRESS) from None  # SO_SNDTIMEO: socket(7)

    def disconnect(self, k: Kernel) -> None:
        """Be as new, but bound: connect to AF_UNSPEC, and after a failure."""
        peer, self.peer = self.peer, None
        if isinstance(peer, TcpSocket):
            peer.reset(k)
        self.state, self.error, self.shut, self.remote = NEW, 0, 0, None
        self.empty(k)

    def establish(self, k: Kernel, client: TcpSocket) -> None:
        """Let *client* be connected to this socket, which listens."""
        assert client.remote is not None
        server = TcpSocket(k, self.family, self.kind, self.protocol)
        server.options = dict(self.options)
        server.remote, server.peer, client.peer = client.local, client, server
        for end in (server, client):
            end.state = CONNECTED
            if (SOL_SOCKET, SO_SNDBUF) not in end.options:
                end.sending = CONNECTED_SENDING
        server.receiving = self.receiving
        if (SOL_SOCKET, SO_SNDBUF) in self.options:
            server.sending = self.sending
        self.network.add(server, client.remote)
        self.queue.append(server)
        self.notify(k, READABLE)
        client.notify(k, WRITABLE)

    def accept(self, k: Kernel, t: Task) -> Socket:
        if not self.listening:
            raise SyscallError(EINVAL)
        if not self.queue:
            self.sleep(k, t, "accept on")
        connection = self.queue.popleft()
        while self.waiting and len(self.queue) <= self.backlog:
            client = self.waiting.popleft()
            assert isinstance(client, TcpSocket)
            self.establish(k, client)
        return connection

    # Ending

    def ended(self) -> None:
        if self.state in (NEW, LISTENING, CONNECTING) and not self.shut:
            raise SyscallError(ENOTCONN)

    def take_error_to_send(self, k: Kernel, t: Task, flags: int) -> None:
        if self.error == EPIPE:
            self.error = 0
            self.broken(k, t, flags)
        self.take_error()

    def unconnected(self, k: Kernel, t: Task, flags: int) -> None:
        if self.state == CONNECTING:
            self.sleep(k, t, "connect", flags, side="out")
        self.broken(k, t, flags)

    def lost(self, k: Kernel) -> None:
        self.reset(k)

    def reset(self, k: Kernel) -> None:
        """Learn that the other end knows of no connection: RST."""
        self.error = EPIPE if self.shut & RECEIVE else ECONNRESET  # tcp_reset: CLOSE_WAIT
        self.shut, self.state, self.peer = BOTH, CLOSED, None
        self.network.remove(self)
        self.notify(k, READABLE | WRITABLE | abi.POLLERR | abi.POLLHUP | abi.POLLRDHUP)

    def shutdown(self, k: Kernel, how: int) -> None:
        if self.listening and how & RECEIVE:
            self._stop_listening(k)
            self.state = NEW
            self.notify(k, READABLE | abi.POLLHUP)
            return
        if self.state != CONNECTED:
            self.shut |= how if self.state == NEW else 0  # inet_shutdown: for those who poll
            raise SyscallError(ENOTCONN)
        new = how & ~self.shut
        self.shut |= how
        if how & SEND and isinstance(self.peer, TcpSocket):
            self.peer.end_of_data(k)
        if new:
            self.notify(k, READABLE | WRITABLE | abi.POLLRDHUP | (abi.POLLHUP if self.shut == BOTH else 0))

    def _stop_listening(self, k: Kernel) -> None:
        waiting, self.waiting = list(self.waiting), type(self.waiting)()
        for client in waiting:
            assert isinstance(client, TcpSocket)
            client._refused(k)
        while self.queue:
            connection = self.queue.popleft()
            assert isinstance(connection, TcpSocket)
            connection.close(k, abort=True)

    def close(self, k: Kernel, abort: bool) -> None:
        """End the connection: with RST if that is asked for, or something was not read; else with FIN."""
        peer, self.peer = self.peer, None
        if isinstance(peer, TcpSocket):
            peer.peer = None
            if abort or self.inbox:
                peer.reset(k)
            else:
                peer.end_of_data(k)
        self.empty(k)
        self.state = CLOSED
        self.network.remove(self)

    def released(self, k: Kernel) -> None:
        super().released(k)
        if self.listening:
            self._stop_listening(k)
        for other in self.network.bound(self.kind, self.remote[1]) if self.remote else ():
            if self in other.waiting:
                other.waiting.remove(self)
        linger = self.options.get((SOL_SOCKET, SO_LINGER))
        self.close(k, abort=linger is not None and LINGER.unpack(linger)[0] != 0 and LINGER.unpack(linger)[1] == 0)

    def peer_name(self) -> bytes:
        if self.state != CONNECTED or self.remote is None:
            raise SyscallError(ENOTCONN)
        return packed(self.family, self.remote)

    def matches(self, ip: bytes, source: Endpoint | None) -> int:
        return super().matches(ip, source) if self.listening else -1
