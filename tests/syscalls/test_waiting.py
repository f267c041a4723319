"""Pipes, epoll and sockets beyond one call: edges, ends, capacity, what is passed along, and saving all of it.

Expected values are Linux's (native runs on 6.18), or the manual's where a line says so.
"""

from __future__ import annotations

import json
import struct

import pytest

from syscalls import abi, statefile
from syscalls.errno import EAGAIN, ECONNREFUSED, ECONNRESET, ELOOP, ENETUNREACH, EPIPE
from syscalls.net import constants as c
from syscalls.saved import restore, save
from tests.syscalls.bytememory import BUFFER, Guest, guest
from tests.syscalls.netcases import CONNECT, SENDTO, SOCKET, address, connected, msghdr, pair, tcp
from tests.syscalls.pollcases import EPOLL_CREATE1, EPOLL_CTL, EVENTFD2, event, pipe, watching

READ, WRITE, CLOSE, POLL, FCNTL, SHUTDOWN, GETSOCKOPT, SETSOCKOPT = 0, 1, 3, 7, 72, 48, 55, 54
SENDMSG, RECVMSG, EPOLL_WAIT = 46, 47, 232
ET = abi.POLLIN | abi.EPOLLET


def write(g: Guest, fd: int, data: bytes) -> int:
    return g.call(WRITE, fd, g.put(data), len(data))


def read(g: Guest, fd: int, size: int = 4096) -> bytes | int:
    """Read; the error number, negative, if that fails."""
    count = g.call(READ, fd, BUFFER, size)
    return g.get(count) if count >= 0 else count


def ready(g: Guest, epfd: int) -> list[int]:
    """The events that an instance has now."""
    count = g.call(EPOLL_WAIT, epfd, BUFFER, 8, 0)
    assert count >= 0
    return [events for events, _ in abi.EPOLL_EVENT.iter_unpack(g.get(12 * count))]


def polled(g: Guest, fd: int) -> int:
    """What poll says of *fd*, whatever it is asked for."""
    assert g.call(POLL, g.put(abi.POLLFD.pack(fd, 0x7FFF, 0)), 1, 0) >= 0
    return int.from_bytes(g.get(2, 6), "little")


def quiet(g: Guest) -> None:
    """Let SIGPIPE be ignored."""
    assert g.call(13, abi.SIGPIPE, g.put(struct.pack("<4Q", abi.SIG_IGN, 0, 0, 0)), 0, 8) == 0


def test_each_write_is_an_edge_and_a_level_stays() -> None:
    """EPOLLET reports a second write without a read between; a level is reported until nothing is left."""
    g = guest()
    reader, writer = pipe(g)
    edge, level = watching(g, reader, ET), watching(g, reader)
    write(g, writer, b"one")
    assert (ready(g, edge), ready(g, edge), ready(g, level), ready(g, level)) == ([1], [], [1], [1])
    write(g, writer, b"two")
    assert ready(g, edge) == [1]
    assert read(g, reader) == b"onetwo"
    assert (ready(g, edge), ready(g, level)) == ([], [])
    g.call(CLOSE, writer)
    assert (ready(g, edge), ready(g, level)) == ([abi.POLLHUP], [abi.POLLHUP])


def test_oneshot_is_quiet_until_it_is_armed_again() -> None:
    """EPOLLONESHOT; closing the last descriptor removes a file from every instance."""
    g = guest()
    counter = g.call(EVENTFD2, 1, 0)
    epfd = watching(g, counter, abi.POLLIN | abi.EPOLLONESHOT)
    assert (ready(g, epfd), ready(g, epfd)) == ([1], [])
    g.call(EPOLL_CTL, epfd, abi.EPOLL_CTL_MOD, counter, event(g, abi.POLLIN))
    assert ready(g, epfd) == [1]
    other = g.call(32, counter)
    g.call(CLOSE, counter)
    assert ready(g, epfd) == [1]
    g.call(CLOSE, other)
    assert ready(g, epfd) == []


def test_instances_nest_and_do_not_loop() -> None:
    """An instance is readable when it has something to report; ELOOP where it would watch itself."""
    g = guest()
    inner = watching(g, g.call(EVENTFD2, 1, 0))
    outer = watching(g, inner)
    assert ready(g, outer) == [1]
    assert g.call(EPOLL_CTL, inner, abi.EPOLL_CTL_ADD, outer, event(g, abi.POLLIN)) == -ELOOP


def test_what_a_pipe_holds_depends_on_how_it_was_written() -> None:
    """16 pages: 65,536 bytes at once, 16 writes of 3,000 bytes, and F_SETPIPE_SZ makes room.  Native."""
    g = guest()
    reader, writer = pipe(g, abi.O_NONBLOCK)
    g.mem.map(0x2000_0000, 0x20000, 3)
    assert g.call(WRITE, writer, 0x2000_0000, 0x20000) == 65_536
    assert write(g, writer, b"x") == -EAGAIN
    assert g.call(FCNTL, writer, abi.F_SETPIPE_SZ, 65_537) == 131_072
    assert write(g, writer, b"x") == 1
    reader, writer = pipe(g, abi.O_NONBLOCK)
    assert [write(g, writer, bytes(3000)) for _ in range(17)] == [3000] * 16 + [-EAGAIN]
    assert read(g, reader, 3001) == bytes(3001)  # the first page is free
    assert write(g, writer, bytes(3000)) == 3000


def test_a_broken_pipe() -> None:
    """EPIPE for the writer without readers, the end for the reader without writers; SIGPIPE kills by default."""
    g = guest()
    quiet(g)
    reader, writer = pipe(g)
    g.call(CLOSE, reader)
    assert write(g, writer, b"x") == -EPIPE
    assert polled(g, writer) == abi.POLLERR | abi.POLLOUT | abi.POLLWRNORM
    reader, writer = pipe(g)
    g.call(CLOSE, writer)
    assert read(g, reader) == b""


def test_reset_and_end_of_a_connection() -> None:
    """Data, then ECONNRESET once, then the end; a write after the peer's close succeeds once.  Native."""
    g = guest()
    quiet(g)
    client = connected(g)
    server = g.call(43, client - 1, 0, 0)
    write(g, client, b"unread")
    write(g, server, b"data")
    g.call(CLOSE, server)
    assert polled(g, client) == 0x215D
    assert [read(g, client) for _ in range(3)] == [b"data", -ECONNRESET, b""]
    assert write(g, client, b"x") == -EPIPE
    client = connected(g, 8001)
    server = g.call(43, client - 1, 0, 0)
    g.call(CLOSE, server)
    assert polled(g, client) == 0x2145
    assert (write(g, client, b"x"), polled(g, client)) == (1, 0x215D)
    assert (write(g, client, b"x"), polled(g, client), read(g, client)) == (-EPIPE, 0x2155, b"")


def test_refusals() -> None:
    """ECONNREFUSED at once, or by SO_ERROR; elsewhere there is no network."""
    g = guest()
    fd = tcp(g, c.SOCK_STREAM | c.SOCK_NONBLOCK)
    assert (g.call(CONNECT, fd, address(g, 1), 16), polled(g, fd)) == (-115, 0x215D)
    assert g.call(GETSOCKOPT, fd, c.SOL_SOCKET, c.SO_ERROR, BUFFER, g.put(struct.pack("<i", 4), 8)) == 0
    assert struct.unpack("<i", g.get(4)) == (ECONNREFUSED,)
    assert g.call(CONNECT, tcp(g), address(g, 80, bytes((192, 0, 2, 1))), 16) == -ENETUNREACH
    udp = tcp(g, c.SOCK_DGRAM)
    assert g.call(CONNECT, udp, address(g, 9), 16) == 0
    assert g.call(SENDTO, udp, BUFFER, 1, 0, 0, 0) == 1
    assert g.call(SENDTO, udp, BUFFER, 1, 0, 0, 0) == -ECONNREFUSED


@pytest.mark.parametrize(("size", "total"), [(1, 278), (4096, 180_224)])
def test_what_a_unix_stream_holds(size: int, total: int) -> None:
    """A writer blocks where the kernel's buffers are full, not the bytes in them.  Native."""
    g = guest()
    fd = pair(g, c.SOCK_STREAM | c.SOCK_NONBLOCK)
    sent = 0
    while (count := g.call(WRITE, fd, BUFFER, size)) > 0:
        sent += count
    assert (count, sent, polled(g, fd)) == (-EAGAIN, total, 0)


def test_a_descriptor_is_passed() -> None:
    """SCM_RIGHTS: the receiver has the same open file, which lives on when the sender closes it."""
    g = guest()
    one = pair(g)
    reader, writer = pipe(g)
    rights = c.CMSGHDR.pack(20, c.SOL_SOCKET, c.SCM_RIGHTS) + struct.pack("<i4x", writer)
    assert g.call(SENDMSG, one, msghdr(g, b"take this", rights), 0) == 9
    g.call(CLOSE, writer)
    assert g.call(RECVMSG, one + 1, msghdr(g, 64, bytes(24)), c.MSG_CMSG_CLOEXEC) == 9
    length, level, kind = c.CMSGHDR.unpack(g.get(16, 3500))
    (got,) = struct.unpack("<i", g.get(4, 3516))
    assert (length, level, kind, got) == (20, c.SOL_SOCKET, c.SCM_RIGHTS, writer)
    assert write(g, got, b"through") == 7
    assert read(g, reader) == b"through"
    g.call(CLOSE, got)
    assert read(g, reader) == b""


def test_everything_open_is_saved() -> None:
    """Pipes, counters, instances, connections, and a descriptor under way: put back as they were, also from JSON."""
    g = guest()
    reader, writer = pipe(g)
    write(g, writer, b"in the pipe")
    epfd = watching(g, reader, ET)
    client = connected(g)
    write(g, client, b"for the server")
    one = pair(g)
    rights = c.CMSGHDR.pack(20, c.SOL_SOCKET, c.SCM_RIGHTS) + struct.pack("<i4x", writer)
    assert g.call(SENDMSG, one, msghdr(g, b"m", rights), 0) == 1
    g.call(CLOSE, writer)
    state = save(g.kernel)
    text = json.dumps(statefile.to_json(state))

    def outcome(g: Guest) -> list[object]:
        found: list[object] = [ready(g, epfd), read(g, reader, 6), ready(g, epfd)]
        server = g.call(43, client - 1, 0, 0)
        found += [server, read(g, server), g.call(SOCKET, c.AF_INET, 1, 0), g.call(CLOSE, server), read(g, client)]
        g.call(RECVMSG, one + 1, msghdr(g, 64, bytes(24)), 0)
        (got,) = struct.unpack("<i", g.get(4, 3516))
        found += [got, write(g, got, b" and more"), ready(g, epfd), read(g, reader)]
        return found

    first = outcome(g)
    assert first[0:2] == [[1], b"in the"]
    assert first[-1] == b" pipe and more"
    restore(g.kernel, state)
    assert outcome(g) == first
    other = guest()
    restore(other.kernel, statefile.from_json(json.loads(text), other.kernel))
    other.task = other.kernel.tasks[g.task.tid]
    assert outcome(other) == first


def test_options_are_remembered() -> None:
    """What is set is what is asked for; SO_SNDBUF is doubled."""
    g = guest()
    fd = tcp(g)
    for level, name, value, shown in (
        (c.IPPROTO_TCP, c.TCP_NODELAY, 5, 1), (c.IPPROTO_TCP, c.TCP_KEEPIDLE, 15, 15),
        (c.SOL_SOCKET, c.SO_SNDBUF, 10_000, 20_000), (c.SOL_SOCKET, c.SO_KEEPALIVE, 1, 1),
    ):  # fmt: skip
        assert g.call(SETSOCKOPT, fd, level, name, g.put(struct.pack("<i", value)), 4) == 0
        assert g.call(GETSOCKOPT, fd, level, name, BUFFER, g.put(struct.pack("<i", 4), 8)) == 0
        assert struct.unpack("<i", g.get(4)) == (shown,)


def test_shut_halves() -> None:
    """SHUT_WR is the peer's end of data; the other direction goes on."""
    g = guest()
    client = connected(g)
    server = g.call(43, client - 1, 0, 0)
    epfd = g.call(EPOLL_CREATE1, 0)
    g.call(EPOLL_CTL, epfd, abi.EPOLL_CTL_ADD, server, event(g, ET | abi.POLLRDHUP))
    assert g.call(SHUTDOWN, client, c.SHUT_WR) == 0
    assert ready(g, epfd) == [abi.POLLIN | abi.POLLRDHUP]
    assert (read(g, server), write(g, server, b"answer"), read(g, client)) == (b"", 6, b"answer")


def test_standard_input_is_watched_without_reading_it() -> None:
    """Poll and epoll wait until the host has something; none of it is taken by asking."""
    g = guest()
    k, there = g.kernel, [b""]
    k.has_input = lambda _: bool(there[0])
    k.stdin = lambda _: there.pop() if there[0] else None
    epfd = watching(g, 0, ET)
    assert (ready(g, epfd), polled(g, 0)) == ([], 0)

    def idle(_: int | None) -> bool:
        there[0] = b"typed"
        k.input_arrived()
        return True

    k.idle = idle
    assert g.call(EPOLL_WAIT, epfd, BUFFER, 8, -1 & 0xFFFF_FFFF) == 1
    assert ready(g, epfd) == []
    assert polled(g, 0) == abi.POLLIN | abi.POLLRDNORM
    assert read(g, 0) == b"typed"
