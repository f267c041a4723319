"""Pipes: pipe(7), fs/pipe.c of Linux 6.1 (read).

A pipe is a ring of pages, 16 at first.  A write that does not fill a page is added to the last page only if it fits
there whole, so that writes of up to PIPE_BUF are atomic; and how much a pipe holds depends on how it was written.
"""

from __future__ import annotations

from collections import deque

from syscalls import abi
from syscalls.errno import EBUSY, EINVAL, ENOTTY, EPERM, EPIPE, SyscallError
from syscalls.files.kept import Kept
from syscalls.files.pollable import READABLE, WRITABLE, Pollable, Source
from syscalls.guest import GuestFault
from syscalls.light import TYPE_CHECKING
from syscalls.sending import send
from syscalls.siginfo import from_process
from syscalls.waits import INTERRUPTED

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

PAGE = 4096
SLOTS = 16
MOST_SLOTS = 256  # /proc/sys/fs/pipe-max-size: 1 MiB
FLAGS = abi.O_CLOEXEC | abi.O_NONBLOCK | abi.O_DIRECT


class Slot(Kept):
    """A page of a pipe: its bytes, how many were read of them, and whether it is a packet (O_DIRECT)."""

    __slots__ = ("data", "packet", "start")

    def __init__(self, data: bytes, packet: bool) -> None:
        self.data, self.packet, self.start = bytearray(data), packet, 0

    @property
    def size(self) -> int:
        return len(self.data) - self.start


class Pipe(Kept):
    """What two ends share."""

    __slots__ = ("ends", "most", "number", "slots")

    def __init__(self) -> None:
        self.slots: deque[Slot] = deque()
        self.ends: list[PipeEnd] = []  # the open ones
        self.most = SLOTS
        self.number = 0

    @property
    def full(self) -> bool:
        return len(self.slots) >= self.most

    @property
    def size(self) -> int:
        return sum(slot.size for slot in self.slots)

    @property
    def readers(self) -> int:
        return sum(end.readable for end in self.ends)

    @property
    def writers(self) -> int:
        return sum(end.writable for end in self.ends)

    def peek(self, size: int) -> bytes:
        """Return the next bytes, which stay."""
        data = b""
        for slot in self.slots:
            if len(data) == size:
                break
            data += slot.data[slot.start : slot.start + size - len(data)]
        return data

    def tell(self, k: Kernel, events: int, readers: bool = True, writers: bool = True) -> None:
        """Notify the ends that can be read, or written."""
        for end in list(self.ends):
            if (readers and end.readable) or (writers and end.writable):
                end.notify(k, events)

    def resize(self, k: Kernel, size: int) -> int:
        """Make room for *size* bytes, rounded up to a power of two of pages; F_SETPIPE_SZ of fcntl(2)."""
        if not 0 <= size <= 1 << 31:
            raise SyscallError(EINVAL)
        slots = 1 << (max(size + PAGE - 1, PAGE) // PAGE - 1).bit_length()
        if slots > self.most and slots > MOST_SLOTS and k.world.process.euid:
            raise SyscallError(EPERM)
        if slots < len(self.slots):
            raise SyscallError(EBUSY)
        was_full, self.most = self.full, slots
        if was_full and not self.full:
            self.tell(k, WRITABLE, readers=False)
        return slots * PAGE


class PipeEnd(Pollable):
    """One end of a pipe, or both of a FIFO that was opened for reading and writing."""

    __slots__ = ("pipe",)

    def __init__(self, k: Kernel, pipe: Pipe, flags: int) -> None:
        super().__init__(k, "pipe", flags, abi.S_IFIFO | 0o600, pipe.number)
        self.pipe = pipe
        pipe.number = pipe.number or self.number
        pipe.ends.append(self)

    def ready(self, k: Kernel) -> int:
        pipe, events = self.pipe, 0
        if self.readable:
            events |= READABLE if pipe.slots else 0
            events |= 0 if pipe.writers else abi.POLLHUP
        if self.writable:
            events |= 0 if pipe.full else WRITABLE
            events |= 0 if pipe.readers else abi.POLLERR
        return events

    def take(self, k: Kernel, t: Task, size: int) -> bytes:
        pipe = self.pipe
        if not size:
            return b""
        if not pipe.slots:
            if not pipe.writers:
                return b""
            self.wait_in()
        was_full, data = pipe.full, b""
        while pipe.slots and len(data) < size:
            slot = pipe.slots[0]
            part = slot.data[slot.start : slot.start + size - len(data)]
            data += part
            slot.start += len(part)
            if slot.packet:
                pipe.slots.popleft()
                break
            if not slot.size:
                pipe.slots.popleft()
        if was_full and not pipe.full:
            pipe.tell(k, WRITABLE, readers=False)
        return data

    def untake(self, k: Kernel, data: bytes) -> None:
        self.pipe.slots.appendleft(Slot(data, False))

    def give(self, k: Kernel, t: Task, source: Source) -> int:
        pipe, done = self.pipe, t.wait.data if t.woken and t.wait else 0
        if t.woken == INTERRUPTED or not source.size:
            return done
        was_empty, before = not pipe.slots, done
        try:
            while done < source.size:
                part, merge = self._room(k, t, source.size - done, first=not done)
                if not part:
                    self.wait_out(done=done)
                done += self._put(source.read(done, part), merge)
        except (SyscallError, GuestFault):
            if not done:
                raise
        finally:
            if done > before:
                # Each write is an edge for an epoll instance, also when there was something to read already.
                for end in list(pipe.ends):
                    if end.readable and (was_empty or end.watchers):
                        end.notify(k, READABLE)
        return done

    def space(self) -> int:
        return (self.pipe.most - len(self.pipe.slots)) * PAGE

    def _room(self, k: Kernel, t: Task, left: int, first: bool) -> tuple[int, bool]:
        # How much of *left* bytes goes into a page now, and whether that is the last page: where a write begins.
        pipe = self.pipe
        if not pipe.readers:
            send(k, t, abi.SIGPIPE, from_process(abi.SIGPIPE, t.pid, t.process.ids.uid))
            raise SyscallError(EPIPE)
        odd = left % PAGE
        if first and odd and pipe.slots:
            last = pipe.slots[-1]
            if not last.packet and len(last.data) + odd <= PAGE:
                return odd, True
        return 0 if pipe.full else min(left, PAGE), False

    def _put(self, data: bytes, merge: bool) -> int:
        if merge:
            self.pipe.slots[-1].data += data
        else:
            self.pipe.slots.append(Slot(data, bool(self.flags & abi.O_DIRECT)))
        return len(data)

    def released(self, k: Kernel) -> None:
        super().released(k)
        pipe = self.pipe
        pipe.ends.remove(self)
        if bool(pipe.readers) != bool(pipe.writers):
            pipe.tell(k, READABLE | WRITABLE | abi.POLLERR | abi.POLLHUP)

    def ioctl(self, k: Kernel, request: int, arg: int) -> int:
        if request != abi.FIONREAD:
            raise SyscallError(ENOTTY)
        k.mem.write(arg, abi.U32.pack(self.pipe.size))
        return 0


def pipe2(k: Kernel, t: Task, addr: int, flags: int) -> int:
    """Make a pipe and store the descriptors of its ends, the one for reading first; pipe(2)."""
    if flags & ~FLAGS:
        raise SyscallError(EINVAL)
    shared = Pipe()
    kept, on_exec = flags & (abi.O_NONBLOCK | abi.O_DIRECT), bool(flags & abi.O_CLOEXEC)
    reader = PipeEnd(k, shared, abi.O_RDONLY | kept)
    writer = PipeEnd(k, shared, abi.O_WRONLY | kept)
    k.files.put_pair(k, addr, reader, writer, on_exec)
    return 0


def pipe(k: Kernel, t: Task, addr: int) -> int:
    """Make a pipe; pipe(2)."""
    return pipe2(k, t, addr, 0)
