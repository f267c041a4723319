"""Event counters: eventfd(2), fs/eventfd.c of Linux 6.1 (read)."""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import EINVAL, SyscallError
from syscalls.files.pollable import READABLE, WRITABLE, Pollable, Source
from syscalls.light import TYPE_CHECKING

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

MOST = 2**64 - 1
FLAGS = abi.EFD_SEMAPHORE | abi.O_CLOEXEC | abi.O_NONBLOCK


class EventFd(Pollable):
    """A 64-bit counter that is added to by writes, and taken by reads: whole, or by one (a semaphore)."""

    __slots__ = ("count", "semaphore")

    def __init__(self, k: Kernel, count: int, flags: int) -> None:
        super().__init__(k, "anon_inode:[eventfd]", abi.O_RDWR | flags & abi.O_NONBLOCK)
        self.count, self.semaphore = count, bool(flags & abi.EFD_SEMAPHORE)

    def ready(self, k: Kernel) -> int:
        # eventfd_poll knows POLLIN, POLLOUT and POLLERR only.
        events = abi.POLLIN if self.count else 0
        if self.count == MOST:
            events |= abi.POLLERR
        return events | (abi.POLLOUT if self.count < MOST - 1 else 0)

    def take(self, k: Kernel, t: Task, size: int) -> bytes:
        if size < 8:
            raise SyscallError(EINVAL)
        if not self.count:
            self.wait_in()
        taken = 1 if self.semaphore else self.count
        self.count -= taken
        self.notify(k, WRITABLE)
        return abi.U64.pack(taken)

    def give(self, k: Kernel, t: Task, source: Source) -> int:
        if source.size < 8:
            raise SyscallError(EINVAL)
        (added,) = abi.U64.unpack(source.read(0, 8).ljust(8, b"\0"))
        if added == MOST:
            raise SyscallError(EINVAL)
        if self.count + added >= MOST:
            self.wait_out()
        self.count += added
        self.notify(k, READABLE)
        return 8


def eventfd2(k: Kernel, t: Task, count: int, flags: int) -> int:
    """Make an event counter that begins with *count*; eventfd(2)."""
    if flags & ~FLAGS:
        raise SyscallError(EINVAL)
    return k.files.put(k.files.lowest(), EventFd(k, count, flags), bool(flags & abi.O_CLOEXEC))


def eventfd(k: Kernel, t: Task, count: int) -> int:
    """Make an event counter; eventfd(2)."""
    return eventfd2(k, t, count, 0)
