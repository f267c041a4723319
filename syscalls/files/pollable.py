"""Readiness, one mechanism for all: what can be waited for says what it is ready for, and tells when that changes.

A pollable file has a number, and two channels that tasks wait on: ("in", number) for what can be read or has ended,
("out", number) for room to write.  :meth:`Pollable.notify` wakes them, and puts the file on the ready lists of the
epoll instances that watch it.  Reading and writing happen through :meth:`Pollable.take` and :meth:`Pollable.give`,
which raise Blocked where the task has to wait and the file is not O_NONBLOCK.
"""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import EAGAIN, EINVAL, ESPIPE, SyscallError
from syscalls.files.kept import Kept
from syscalls.files.opened import Facts, OpenFile
from syscalls.guest import GuestFault
from syscalls.light import TYPE_CHECKING, NoReturn
from syscalls.waits import Blocked, Channel, Wait

if TYPE_CHECKING:
    from syscalls.files.epoll import Epoll
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

ANON_DEVICE = (0, 15)  # of the file system of anonymous inodes
FIRST_NUMBER = 1000  # inode numbers from here on are pollable files'

READABLE = abi.POLLIN | abi.POLLRDNORM
WRITABLE = abi.POLLOUT | abi.POLLWRNORM
WAKES_IN = READABLE | abi.POLLPRI | abi.POLLERR | abi.POLLHUP | abi.POLLRDHUP | abi.POLLRDBAND
WAKES_OUT = WRITABLE | abi.POLLERR | abi.POLLHUP | abi.POLLWRBAND


class Watch(Kept):
    """What one epoll instance asked to be told of one descriptor."""

    __slots__ = ("data", "epoll", "events", "fd", "file", "queued")

    def __init__(self, epoll: Epoll, fd: int, file: OpenFile, events: int, data: int) -> None:
        self.epoll, self.fd, self.file, self.events, self.data = epoll, fd, file, events, data
        self.queued = False  # it is on the ready list


class Source:
    """The bytes that a task writes: read from guest memory as they are needed."""

    __slots__ = ("_k", "_spans", "size")

    def __init__(self, k: Kernel, spans: list[tuple[int, int]]) -> None:
        self._k, self._spans = k, spans
        self.size = sum(size for _, size in spans)

    def read(self, offset: int, size: int) -> bytes:
        """Return *size* bytes from *offset* on, or those before memory that cannot be read; GuestFault if none."""
        data = b""
        for addr, length in self._spans:
            part = min(length - offset, size - len(data))
            if part > 0:
                data += self._readable(addr + offset, part, bool(data))
                if len(data) < size and part < length - offset:
                    break
            offset = max(offset - length, 0)
            if len(data) == size:
                break
        return data

    def _readable(self, addr: int, size: int, some: bool) -> bytes:
        try:
            return self._k.mem.read(addr, size)
        except GuestFault as fault:
            if fault.addr > addr:
                return self._k.mem.read(addr, fault.addr - addr)
            if some:
                return b""
            raise


class Pollable(OpenFile):
    """An open file that tasks wait for."""

    __slots__ = ("number",)

    seekable = False
    packets = False  # what is written arrives as a whole, and a read takes one

    def __init__(self, k: Kernel, name: str, flags: int, mode: int = 0o600, number: int = 0) -> None:
        """Make one called *name*; with *number* another end of what has that number already."""
        self.number = k.new_number()
        inode = number or self.number
        place = name if ":" in name else f"{name}:[{inode}]"
        super().__init__(place.encode(), flags, Facts(place, mode, 0, inode, ANON_DEVICE))

    @property
    def pollable(self) -> bool:
        return True

    def ready(self, k: Kernel) -> int:
        raise NotImplementedError

    def notify(self, k: Kernel, events: int) -> None:
        """Tell whoever waits that *events* may have become true."""
        if events & WAKES_IN:
            k.wake(("in", self.number))
        if events & WAKES_OUT:
            k.wake(("out", self.number))
        for watch in self.watchers:
            watch.epoll.told(k, watch, events)

    def channels(self, events: int) -> tuple[Channel, ...]:
        """Return what to wait on for *events*."""
        found: tuple[Channel, ...] = (("in", self.number),) if events & WAKES_IN else ()
        return (*found, ("out", self.number)) if events & (WRITABLE | abi.POLLWRBAND) else found

    def wait_in(self, why: str = "read from", deadline: int | None = None) -> NoReturn:
        """Wait until there may be something to read; EAGAIN if the file is O_NONBLOCK."""
        self.wait_on("in", why, 0, deadline)

    def wait_out(self, why: str = "write to", done: int = 0, deadline: int | None = None) -> NoReturn:
        """Wait until there may be room, *done* bytes having gone already."""
        self.wait_on("out", why, done, deadline)

    def wait_on(self, side: str, why: str, done: int, deadline: int | None, nonblocking: bool = False) -> NoReturn:
        """Wait on one of the channels."""
        if self.flags & abi.O_NONBLOCK or nonblocking:
            raise SyscallError(EAGAIN)
        what = f"{why} {self.facts.place}"
        raise Blocked(Wait(what, ((side, self.number),), deadline, deadline is None, finishes=done > 0, data=done))

    # What read and write do

    def take(self, k: Kernel, t: Task, size: int) -> bytes:
        """Return up to *size* bytes for a task that reads."""
        raise SyscallError(EINVAL)

    def untake(self, k: Kernel, data: bytes) -> None:
        """Take *data* back, which was read last and had no place in guest memory."""

    def give(self, k: Kernel, t: Task, source: Source) -> int:
        """Take what a task writes, and return how many bytes that was."""
        raise SyscallError(EINVAL)

    def space(self) -> int:
        """Return how many bytes can be given at once without waiting; 0 is none, or nobody knows."""
        return 0

    def seek(self, offset: int, whence: int) -> int:
        if self.facts.place.startswith("anon_inode"):
            return self.position  # noop_llseek
        raise SyscallError(ESPIPE)


def scatter(k: Kernel, t: Task, file: Pollable, spans: list[tuple[int, int]]) -> int:
    """Read *file* into the (address, size) *spans*; return how many bytes came."""
    data = file.take(k, t, sum(size for _, size in spans))
    done = 0
    for addr, size in spans:
        part = data[done : done + size]
        try:
            if part:
                k.mem.write(addr, part)
        except GuestFault as fault:
            fits = max(fault.addr - addr, 0)
            if fits:
                k.mem.write(addr, part[:fits])
            file.untake(k, data[done + fits :])
            if not done + fits:
                raise
            return done + fits
        done += len(part)
    return done


def gather(k: Kernel, t: Task, file: Pollable, spans: list[tuple[int, int]]) -> int:
    """Write the (address, size) *spans* to *file*; return how many bytes went."""
    return file.give(k, t, Source(k, spans))
