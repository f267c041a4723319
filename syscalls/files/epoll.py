"""epoll: which of many descriptors are ready; epoll(7), fs/eventpoll.c of Linux 6.1 (read).

A file that something happens to is put on the ready lists of the instances that watch it.  epoll_wait asks each file on
the list what it is ready for now; one that was reported stays on the list, at its end, unless it is edge-triggered.  So
an edge is what happened, not a change of level: a second write to a pipe that holds data already is one.
"""

from __future__ import annotations

from collections import deque

from syscalls import abi
from syscalls.delivery import use_mask
from syscalls.errno import EEXIST, EFAULT, EINVAL, ELOOP, ENOENT, EPERM, SyscallError
from syscalls.files.opened import OpenFile, Stream
from syscalls.files.pollable import READABLE, Pollable, Watch
from syscalls.light import TYPE_CHECKING
from syscalls.time import NS, read_timespec
from syscalls.waits import TIMEOUT, Blocked, Channel, Wait, deadline_of

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

PRIVATE = abi.EPOLLWAKEUP | abi.EPOLLONESHOT | abi.EPOLLET | abi.EPOLLEXCLUSIVE
WITH_EXCLUSIVE = (
    abi.POLLIN | abi.POLLOUT | abi.POLLERR | abi.POLLHUP | abi.EPOLLWAKEUP | abi.EPOLLET | abi.EPOLLEXCLUSIVE
)
MOST_EVENTS = 0x7FFF_FFFF // abi.EPOLL_EVENT.size
MOST_NESTS = 4


class Epoll(Pollable):
    """An epoll instance: what it watches, and what of that may be ready, in the order in which it became so."""

    __slots__ = ("list", "outside", "watched")

    def __init__(self, k: Kernel) -> None:
        super().__init__(k, "anon_inode:[eventpoll]", abi.O_RDWR)
        self.watched: dict[tuple[int, OpenFile], Watch] = {}
        self.list: deque[Watch] = deque()
        self.outside = 0  # how many of those watched are streams of the host

    def ready(self, k: Kernel) -> int:
        return READABLE if any(events_of(k, watch) for watch in self.list) else 0

    def told(self, k: Kernel, watch: Watch, events: int) -> None:
        """Learn that *events* happened to a file that is watched."""
        if not watch.events & ~PRIVATE or not watch.events & events:
            return
        if not watch.queued:
            watch.queued = True
            self.list.append(watch)
        self.notify(k, READABLE)

    def look(self, k: Kernel, watch: Watch) -> None:
        """Put a watch that is new or was changed on the list if its file is ready now."""
        if events_of(k, watch) and not watch.queued:
            watch.queued = True
            self.list.append(watch)
            self.notify(k, READABLE)

    def add(self, k: Kernel, fd: int, file: OpenFile, events: int, data: int) -> None:
        """Watch *file*, known as *fd*."""
        watch = self.watched[fd, file] = Watch(self, fd, file, events, data)
        file.watchers.append(watch)
        if isinstance(file, Stream):
            self.outside += 1
            k.wake(("in", self.number))  # who waits already has to wait for it, too
        self.look(k, watch)

    def forget(self, watch: Watch) -> None:
        """Watch it no more."""
        del self.watched[watch.fd, watch.file]
        watch.file.watchers.remove(watch)
        self.outside -= isinstance(watch.file, Stream)
        if watch.queued:
            self.list.remove(watch)

    def collect(self, k: Kernel, most: int) -> list[tuple[int, int, Watch]]:
        """Return the (events, data, watch) of up to *most* ready files; what is not ready leaves the list."""
        found: list[tuple[int, int, Watch]] = []
        for watch in list(self.list):
            if len(found) == most:
                break
            events = events_of(k, watch)
            if events:
                found.append((events, watch.data, watch))
            else:
                self.list.remove(watch)
                watch.queued = False
        return found

    def reported(self, found: list[tuple[int, int, Watch]]) -> None:
        """Do with what was reported what its flags say."""
        for _, _, watch in found:
            self.list.remove(watch)
            watch.queued = False
            if watch.events & abi.EPOLLONESHOT:
                watch.events &= PRIVATE
            elif not watch.events & abi.EPOLLET:
                watch.queued = True
                self.list.append(watch)

    def released(self, k: Kernel) -> None:
        super().released(k)
        for watch in list(self.watched.values()):
            self.forget(watch)

    def depth_to(self, other: Epoll) -> int:
        """Return how deep instances are nested below this one; ELOOP where *other* is one of them."""
        deepest = 0
        for watch in self.watched.values():
            if watch.file is other:
                raise SyscallError(ELOOP)
            if isinstance(watch.file, Epoll):
                deepest = max(deepest, 1 + watch.file.depth_to(other))
        return deepest


def events_of(k: Kernel, watch: Watch) -> int:
    """Return what of the events that *watch* is for holds now."""
    return watch.file.ready(k) & watch.events if watch.events & ~PRIVATE else 0


def epoll_create1(k: Kernel, t: Task, flags: int) -> int:
    """Make an epoll instance; epoll_create(2)."""
    if flags & ~abi.EPOLL_CLOEXEC:
        raise SyscallError(EINVAL)
    return k.files.put(k.files.lowest(), Epoll(k), bool(flags))


def epoll_create(k: Kernel, t: Task, size: int) -> int:
    """Make an epoll instance; *size* is a hint that must be positive.  epoll_create(2)."""
    if size <= 0:
        raise SyscallError(EINVAL)
    return epoll_create1(k, t, 0)


def epoll_ctl(k: Kernel, t: Task, epfd: int, op: int, fd: int, addr: int) -> int:
    """Add, change or remove a descriptor that is watched; epoll_ctl(2)."""
    events, data = (0, 0) if op == abi.EPOLL_CTL_DEL else abi.EPOLL_EVENT.unpack(k.mem.read(addr, 12))
    epoll, file = k.files.get(epfd), k.files.get(fd)
    if not file.pollable:
        raise SyscallError(EPERM)
    if file is epoll or not isinstance(epoll, Epoll):
        raise SyscallError(EINVAL)
    if events & abi.EPOLLEXCLUSIVE and (op != abi.EPOLL_CTL_ADD or isinstance(file, Epoll) or events & ~WITH_EXCLUSIVE):
        raise SyscallError(EINVAL)
    watch = epoll.watched.get((fd, file))
    events |= abi.POLLERR | abi.POLLHUP
    if op == abi.EPOLL_CTL_ADD:
        if isinstance(file, Epoll) and file.depth_to(epoll) >= MOST_NESTS:
            raise SyscallError(ELOOP)
        if watch is not None:
            raise SyscallError(EEXIST)
        epoll.add(k, fd, file, events, data)
    elif op not in (abi.EPOLL_CTL_DEL, abi.EPOLL_CTL_MOD):
        raise SyscallError(EINVAL)
    elif watch is None:
        raise SyscallError(ENOENT)
    elif op == abi.EPOLL_CTL_DEL:
        epoll.forget(watch)
    else:
        if watch.events & abi.EPOLLEXCLUSIVE:
            raise SyscallError(EINVAL)
        watch.events, watch.data = events, data
        epoll.look(k, watch)
    return 0


def look_outside(k: Kernel, epoll: Epoll) -> None:
    """Tell those that watch streams of the host if there is some input now, unless they know already."""
    for watch in list(epoll.watched.values()):
        file = watch.file
        if isinstance(file, Stream) and not file.ready(k) & abi.POLLIN:
            file.look(k)
            if file.ready(k) & abi.POLLIN:
                k.input_arrived(file.channels(abi.POLLIN)[0])


def _wait(k: Kernel, t: Task, epfd: int, addr: int, most: int, timeout_ns: int | None) -> int:
    if not 0 < most <= MOST_EVENTS:
        raise SyscallError(EINVAL)
    if addr + most * abi.EPOLL_EVENT.size > abi.TASK_SIZE:
        raise SyscallError(EFAULT)
    epoll = k.files.get(epfd)
    if not isinstance(epoll, Epoll):
        raise SyscallError(EINVAL)
    found = epoll.collect(k, most)
    if not found and timeout_ns == 0 and epoll.outside:
        look_outside(k, epoll)
        found = epoll.collect(k, most)
    if found:
        k.mem.write(addr, b"".join(abi.EPOLL_EVENT.pack(events, data) for events, data, _ in found))
        epoll.reported(found)
        return len(found)
    if timeout_ns == 0 or t.woken == TIMEOUT:
        return 0
    deadline = deadline_of(t, k.clock.monotonic_ns(), timeout_ns)
    channels: dict[Channel, None] = {("in", epoll.number): None}
    if epoll.outside:
        for watch in epoll.watched.values():
            if isinstance(watch.file, Stream):
                channels.update(dict.fromkeys(watch.file.channels(watch.events)))
    raise Blocked(Wait(f"epoll_wait on {epfd}", tuple(channels), deadline, restarts=False))


def epoll_wait(k: Kernel, t: Task, epfd: int, addr: int, most: int, timeout: int) -> int:
    """Wait up to *timeout* milliseconds (negative: for ever) until something is ready; epoll_wait(2)."""
    return _wait(k, t, epfd, addr, most, None if timeout < 0 else timeout * (NS // 1000))


def epoll_pwait(k: Kernel, t: Task, epfd: int, addr: int, most: int, timeout: int, mask: int, size: int) -> int:
    """Like epoll_wait, with the signal mask at *mask* meanwhile; epoll_wait(2)."""
    put_mask(k, t, mask, size)
    return epoll_wait(k, t, epfd, addr, most, timeout)


def epoll_pwait2(k: Kernel, t: Task, epfd: int, addr: int, most: int, timeout: int, mask: int, size: int) -> int:
    """Like epoll_pwait, with a timespec (null: for ever); epoll_wait(2)."""
    timeout_ns = read_timespec(k, timeout) if timeout else None
    put_mask(k, t, mask, size)
    return _wait(k, t, epfd, addr, most, timeout_ns)


def put_mask(k: Kernel, t: Task, mask: int, size: int) -> None:
    """Let *t* block the signals at *mask*, where it is not null, until the call returns."""
    if mask and t.woken is None:
        if size != abi.SIGSET_SIZE:
            raise SyscallError(EINVAL)
        (signals,) = abi.U64.unpack(k.mem.read(mask, size))
        use_mask(t, signals)
