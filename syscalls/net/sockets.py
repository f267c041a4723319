"""What all sockets have: a queue of what came, two halves that can be shut, an error, options, timeouts.

Calls go through the methods of :class:`Socket`; each family's class fills them in.
"""

from __future__ import annotations

from collections import deque

from syscalls import abi
from syscalls.errno import EAGAIN, EINVAL, ENOTTY, EOPNOTSUPP, EPIPE, SyscallError
from syscalls.files.kept import Kept
from syscalls.files.opened import OpenFile
from syscalls.files.pollable import Pollable, Source
from syscalls.light import TYPE_CHECKING, NoReturn
from syscalls.net.constants import MSG_DONTWAIT, MSG_NOSIGNAL, SOCK_DGRAM
from syscalls.sending import send
from syscalls.siginfo import from_process
from syscalls.waits import TIMEOUT, Blocked, Wait, deadline_of

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.net.network import Network
    from syscalls.tasks import Task

NEW, LISTENING, CONNECTING, CONNECTED, CLOSED = "new", "listening", "connecting", "connected", "closed"
RECEIVE, SEND = 1, 2  # halves that are shut
BOTH = RECEIVE | SEND
Credentials = tuple[int, int, int]  # pid, user, group


class Packet(Kept):
    """What was sent at once: its bytes, how many were taken, from whom (a packed address), and what came with it."""

    __slots__ = ("charge", "credentials", "data", "files", "source", "start")

    def __init__(self, data: bytes, charge: int, source: bytes = b"") -> None:
        self.data, self.charge, self.source = bytearray(data), charge, source
        self.start = 0
        self.files: list[OpenFile] = []
        self.credentials: Credentials | None = None

    @property
    def left(self) -> int:
        return len(self.data) - self.start


class Received(Kept):
    """What a call that receives got: bytes, the whole length of a packet, its source, and what came with it."""

    __slots__ = ("credentials", "data", "files", "length", "source")

    def __init__(self, data: bytes, length: int | None = None, source: bytes | None = None) -> None:
        self.data, self.length, self.source = data, len(data) if length is None else length, source
        self.files: list[OpenFile] = []
        self.credentials: Credentials | None = None


class Outgoing:
    """What a call that sends hands over: bytes, where to (a raw address, empty for the peer), what goes with them."""

    __slots__ = ("credentials", "files", "flags", "source", "to")

    def __init__(self, source: Source, flags: int = 0, to: bytes = b"") -> None:
        self.source, self.flags, self.to = source, flags, to
        self.files: list[OpenFile] = []
        self.credentials: Credentials | None = None


class Socket(Pollable):
    """A socket; *kind* is SOCK_STREAM or another."""

    __slots__ = (
        "backlog", "error", "family", "inbox", "kind", "network", "options", "peer", "protocol", "queue", "queued",
        "receive_timeout", "receiving", "send_timeout", "sending", "shut", "state", "waiting",
    )  # fmt: skip

    def __init__(self, k: Kernel, family: int, kind: int, protocol: int) -> None:
        super().__init__(k, "socket", abi.O_RDWR, abi.S_IFSOCK | 0o777)
        self.family, self.kind, self.protocol = family, kind, protocol
        self.network: Network = k.net
        self.inbox: deque[Packet] = deque()
        self.queued = 0  # what the packets of the inbox are charged for
        self.shut = self.error = 0
        self.state = NEW
        self.peer: Socket | None = None
        self.backlog = 0
        self.queue: deque[Socket] = deque()  # of one that listens: connections to be accepted
        self.waiting: deque[Socket] = deque()  # those that connect, for which there was no room in the queue
        self.options: dict[tuple[int, int], bytes] = {}
        self.receive_timeout = self.send_timeout = 0  # nanoseconds; 0: for ever
        self.sending = self.receiving = 212_992  # SO_SNDBUF, SO_RCVBUF: net.core.wmem_default, rmem_default

    @property
    def listening(self) -> bool:
        return self.state == LISTENING

    # Waiting and failing

    def sleep(
        self, k: Kernel, t: Task, why: str, flags: int = 0, done: int = 0, side: str = "in", at: int = 0
    ) -> NoReturn:
        """Wait for data or connections ("in") or room ("out") of this socket, or of the one with number *at*.

        EAGAIN where the call or the socket does not wait, or has waited long enough.
        """
        if self.flags & abi.O_NONBLOCK or flags & MSG_DONTWAIT or t.woken == TIMEOUT:
            raise SyscallError(EAGAIN)
        timeout = (self.receive_timeout if side == "in" else self.send_timeout) or None
        deadline = deadline_of(t, k.clock.monotonic_ns(), timeout)
        what = f"{why} {self.facts.place}"
        raise Blocked(Wait(what, ((side, at or self.number),), deadline, timeout is None, done > 0, data=done))

    def take_error(self) -> None:
        """Raise the error that is pending, once."""
        if self.error:
            error, self.error = self.error, 0
            raise SyscallError(error)

    def broken(self, k: Kernel, t: Task, flags: int) -> NoReturn:
        """Fail as a write to a broken pipe does: EPIPE, and SIGPIPE unless MSG_NOSIGNAL."""
        if not flags & MSG_NOSIGNAL:
            send(k, t, abi.SIGPIPE, from_process(abi.SIGPIPE, t.pid, t.process.ids.uid))
        raise SyscallError(EPIPE)

    def sent_before(self, t: Task) -> int:
        """Return what an earlier turn of this call has sent."""
        return t.wait.data if t.woken and t.wait else 0

    # The queue

    def put(self, k: Kernel, packet: Packet) -> None:
        """Let *packet* be the next to be received, and tell whoever waits."""
        self.inbox.append(packet)
        self.queued += packet.charge
        self.notify(k, abi.POLLIN | abi.POLLRDNORM | abi.POLLRDBAND)

    def pop(self, k: Kernel) -> Packet:
        """Take the first packet off the queue."""
        packet = self.inbox.popleft()
        self.queued -= packet.charge
        return packet

    def empty(self, k: Kernel) -> None:
        """Throw away what nobody will receive, with the files that came with it."""
        while self.inbox:
            for file in self.pop(k).files:
                k.files.let_go(file)

    @property
    def size(self) -> int:
        """Bytes that can be received: FIONREAD.  Of datagrams those of the first."""
        if self.packets:
            return self.inbox[0].left if self.inbox else 0
        return sum(packet.left for packet in self.inbox)

    # What read, write and ioctl do

    def take(self, k: Kernel, t: Task, size: int) -> bytes:
        if not size and not self.packets:
            return b""
        received = self.receive(k, t, size, 0)
        for file in received.files:
            k.files.let_go(file)
        return received.data

    def give(self, k: Kernel, t: Task, source: Source) -> int:
        return self.send(k, t, Outgoing(source))

    def untake(self, k: Kernel, data: bytes) -> None:
        if data and not self.packets:
            self.inbox.appendleft(Packet(data, 0))

    def ioctl(self, k: Kernel, request: int, arg: int) -> int:
        if request != abi.FIONREAD:
            raise SyscallError(ENOTTY)
        if self.listening:
            raise SyscallError(EINVAL)
        k.mem.write(arg, abi.U32.pack(self.size))
        return 0

    # What each family does

    def bind(self, k: Kernel, raw: bytes) -> None:
        """Give it the address *raw*."""
        raise SyscallError(EOPNOTSUPP)

    def listen(self, k: Kernel, backlog: int) -> None:
        """Let others connect."""
        raise SyscallError(EOPNOTSUPP)

    def accept(self, k: Kernel, t: Task) -> Socket:
        """Return the socket of the next connection."""
        raise SyscallError(EINVAL if self.kind != SOCK_DGRAM else EOPNOTSUPP)

    def connect(self, k: Kernel, t: Task, raw: bytes) -> None:
        """Connect it to *raw*."""
        raise SyscallError(EOPNOTSUPP)

    def shutdown(self, k: Kernel, how: int) -> None:
        """Shut the halves *how*: RECEIVE, SEND."""
        raise SyscallError(EOPNOTSUPP)

    def send(self, k: Kernel, t: Task, out: Outgoing) -> int:
        """Send, and return how many bytes went."""
        raise SyscallError(EOPNOTSUPP)

    def receive(self, k: Kernel, t: Task, size: int, flags: int) -> Received:
        """Receive up to *size* bytes."""
        raise SyscallError(EOPNOTSUPP)

    def own_name(self) -> bytes:
        """Return what getsockname stores."""
        raise SyscallError(EOPNOTSUPP)

    def peer_name(self) -> bytes:
        """Return what getpeername stores; ENOTCONN."""
        raise SyscallError(EOPNOTSUPP)


def is_truncated(received: Received) -> bool:
    """Say whether a packet was longer than the room for it."""
    return received.length > len(received.data)
