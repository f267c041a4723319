"""Connected sockets, whatever their family: sending into the peer's queue, receiving from one's own.

A receiver is told of every arrival, a sender when there is much room again: when its share of the peer's queue has
fallen below what POLLOUT stands for.  Sources: tcp_recvmsg, tcp_sendmsg, unix_stream_sendmsg of Linux 6.1 (read).
"""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import ENOTCONN, EOPNOTSUPP, SyscallError
from syscalls.files.pollable import READABLE, WRITABLE
from syscalls.guest import GuestFault
from syscalls.light import TYPE_CHECKING
from syscalls.net.constants import MSG_OOB, MSG_PEEK, MSG_WAITALL
from syscalls.net.sockets import BOTH, CONNECTED, RECEIVE, SEND, Outgoing, Packet, Received, Socket
from syscalls.waits import INTERRUPTED

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

MERGED = 1 << 16  # a stream's packets without anything beside their bytes become one up to this


class Stream(Socket):
    """A socket that has a peer, or had one."""

    __slots__ = ()

    def room(self) -> int:
        """Return how many bytes can be sent now."""
        raise NotImplementedError

    def space(self) -> int:
        return self.room() if self.state == CONNECTED and not self.error and not self.shut & SEND else 0

    @property
    def roomy(self) -> bool:
        """Whether there is so much room that POLLOUT says so."""
        raise NotImplementedError

    def charge(self, size: int) -> int:
        """Return what a packet of *size* bytes takes of the room."""
        return size

    def ended(self) -> None:
        """Raise what receiving fails with where there is no connection; return where that is an end."""

    def lost(self, k: Kernel) -> None:
        """Send to nobody: the peer is closed."""

    # Receiving

    def receive(self, k: Kernel, t: Task, size: int, flags: int) -> Received:
        if flags & MSG_OOB:
            raise SyscallError(EOPNOTSUPP)
        if self.state != CONNECTED:
            self.ended()
        if self.inbox and not (flags & MSG_WAITALL and self._more_comes(size)):
            return self._taken(k, size, flags)
        if not self.inbox:
            self.take_error()
            if self.shut & RECEIVE or self.state != CONNECTED:
                return Received(b"")
        return self.sleep(k, t, "receive from", flags)

    def _more_comes(self, size: int) -> bool:
        # For MSG_WAITALL: whether it makes sense to wait.  Where the peer has no room left it does not.
        open_ = self.state == CONNECTED and not self.shut & RECEIVE and not self.error and not self.packets
        return open_ and self.size < size and isinstance(self.peer, Stream) and self.peer.roomy

    def _taken(self, k: Kernel, size: int, flags: int) -> Received:
        was_roomy = self.peer.roomy if isinstance(self.peer, Stream) else True
        received = Received(b"")
        parts: list[bytes] = []
        got = 0
        for packet in list(self.inbox):
            special = bool(packet.files or packet.credentials)
            if parts and (special or received.files):
                break
            part = bytes(packet.data[packet.start : packet.start + size - got])
            parts.append(part)
            got += len(part)
            if special or received.credentials is None:
                received.credentials = packet.credentials
            received.files = received.files or packet.files
            if self.packets:
                received.length = packet.left
            if not flags & MSG_PEEK:
                self._consume(k, packet, len(part))
            if got >= size or self.packets:
                break
        received.data = b"".join(parts)
        if not self.packets:
            received.length = got
        if flags & MSG_PEEK:
            received.files = []
        elif isinstance(self.peer, Stream) and not was_roomy and self.peer.roomy:
            self.peer.notify(k, WRITABLE | abi.POLLWRBAND)
        return received

    def _consume(self, k: Kernel, packet: Packet, size: int) -> None:
        packet.start += size
        if self.packets or not packet.left:
            self.pop(k)
            return
        packet.files = []  # they go with the first bytes
        less = packet.charge - min(packet.charge, self.charge(packet.left))
        packet.charge -= less
        self.queued -= less
        if packet.start > MERGED:
            del packet.data[: packet.start]
            packet.start = 0

    # Sending

    def send(self, k: Kernel, t: Task, out: Outgoing) -> int:
        if out.flags & MSG_OOB:
            raise SyscallError(EOPNOTSUPP)
        done = self.sent_before(t)
        if t.woken == INTERRUPTED and done:
            return done
        try:
            while True:
                self._check_send(k, t, out, done)
                if done >= out.source.size and (done or not self.packets):
                    return done
                room = self.room()
                if self.packets and room < out.source.size:
                    room = 0
                if not room:
                    self.sleep(k, t, "send to", out.flags, done, "out")
                done += self._pass(k, out, done, min(room, out.source.size - done))
                if self.packets:
                    return done
        except (SyscallError, GuestFault):
            if not done:
                raise
            return done

    def _check_send(self, k: Kernel, t: Task, out: Outgoing, done: int) -> None:
        if done and (self.error or self.shut & SEND):
            raise SyscallError(ENOTCONN)  # what went before is reported, the next call meets the cause
        self.take_error_to_send(k, t, out.flags)
        if self.shut & SEND:
            self.broken(k, t, out.flags)
        if self.state != CONNECTED:
            self.unconnected(k, t, out.flags)

    def take_error_to_send(self, k: Kernel, t: Task, flags: int) -> None:
        """Raise the pending error, if this family's send does."""
        self.take_error()

    def unconnected(self, k: Kernel, t: Task, flags: int) -> None:
        """Fail as sending does before there is a connection."""
        raise SyscallError(ENOTCONN)

    def _pass(self, k: Kernel, out: Outgoing, done: int, size: int) -> int:
        data = out.source.read(done, size) if size else b""
        peer = self.peer
        if peer is None:
            self.lost(k)
            return len(data)
        special = not done and bool(out.files or out.credentials)
        last = peer.inbox[-1] if peer.inbox else None
        mergeable = last is not None and not (special or self.packets or last.files or last.credentials)
        if last is not None and mergeable and self.merges and len(last.data) < MERGED:
            last.data += data
            last.charge += len(data)
            peer.queued += len(data)
            peer.notify(k, READABLE | abi.POLLRDBAND)
            return len(data)
        packet = Packet(data, self.charge(len(data)), self.own_name() if self.packets else b"")
        if special:
            packet.files, packet.credentials = out.files, out.credentials
            for file in out.files:
                file.refs += 1
        peer.put(k, packet)
        return len(data)

    @property
    def merges(self) -> bool:
        """Whether what is sent by several calls becomes one packet in the queue."""
        return True

    def end_of_data(self, k: Kernel) -> None:
        """Learn that the peer sends no more."""
        if not self.shut & RECEIVE:
            self.shut |= RECEIVE
            both = abi.POLLHUP if self.shut == BOTH else 0
            self.notify(k, READABLE | abi.POLLRDHUP | both)
