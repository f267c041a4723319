"""Moving bytes between a pipe and another file, and from a file into whatever takes them when it has room: splice(2).

Pages are not moved, bytes are copied.  No more is taken than there is room for, so that a call which has to wait has
moved nothing yet.
"""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import EAGAIN, EINVAL, ESPIPE, SyscallError
from syscalls.files import transfer
from syscalls.files.opened import Directory, OpenFile
from syscalls.files.pipes import PAGE, PipeEnd
from syscalls.files.pollable import Pollable, Source
from syscalls.light import TYPE_CHECKING
from syscalls.waits import Blocked

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

CHUNK = 1 << 16
FLAGS = abi.SPLICE_F_MOVE | abi.SPLICE_F_NONBLOCK | abi.SPLICE_F_MORE | abi.SPLICE_F_GIFT


class Held(Source):
    """Bytes that are at hand, as what a task writes."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data, self.size = data, len(data)

    def read(self, offset: int, size: int) -> bytes:
        return self._data[offset : offset + size]


def send_file(k: Kernel, t: Task, source: OpenFile, start: int, target: Pollable, size: int) -> int:
    """Move bytes of *source* from *start* on to *target*, as many as it has room for; wait for room for the first."""
    done = 0
    while done < size:
        data = source.read(k, start + done, min(CHUNK, size - done, target.space() or 1))
        if not data:
            break
        try:
            done += target.give(k, t, Held(data))
        except (SyscallError, Blocked):
            if not done:
                raise
            break
    return done


def splice(k: Kernel, t: Task, in_fd: int, in_at: int, out_fd: int, out_at: int, size: int, flags: int) -> int:
    """Move bytes between two files of which one is a pipe; splice(2)."""
    if flags & ~FLAGS:
        raise SyscallError(EINVAL)
    if not size:
        return 0
    source, target = transfer.source(k, in_fd), transfer.target(k, out_fd)
    if (isinstance(source, PipeEnd) and in_at) or (isinstance(target, PipeEnd) and out_at):
        raise SyscallError(ESPIPE)
    waits = not flags & abi.SPLICE_F_NONBLOCK
    size = min(size, abi.MAX_RW_COUNT)
    if isinstance(source, PipeEnd):
        if isinstance(target, PipeEnd) and source.pipe is target.pipe:
            raise SyscallError(EINVAL)
        return _from_pipe(k, t, source, target, out_at, size, waits)
    if not isinstance(target, PipeEnd) or isinstance(source, Directory):
        raise SyscallError(EINVAL)
    return _into_pipe(k, t, source, in_at, target, size, waits)


def _from_pipe(k: Kernel, t: Task, source: PipeEnd, target: OpenFile, at: int, size: int, waits: bool) -> int:
    pipe = source.pipe
    if not pipe.slots:
        if not pipe.writers:
            return 0
        if not waits:
            raise SyscallError(EAGAIN)
        source.wait_in()
    if isinstance(target, Pollable):
        if at:
            raise SyscallError(ESPIPE)
        data = pipe.peek(min(size, target.space() or 1))
        went = target.give(k, t, Held(data))
    else:
        if target.flags & abi.O_APPEND:
            raise SyscallError(EINVAL)
        start = int.from_bytes(k.mem.read(at, 8), "little") if at else target.position
        try:
            went = target.write_at(k, start, pipe.peek(min(size, CHUNK)))
        except SyscallError as error:
            transfer.tell_broken(k, t, target, error)
            raise
        _advance(k, target, at, start + went)
    source.take(k, t, went)
    return went


def _into_pipe(k: Kernel, t: Task, source: OpenFile, at: int, target: PipeEnd, size: int, waits: bool) -> int:
    room = target.space()
    if not room and target.pipe.readers:
        if not waits:
            raise SyscallError(EAGAIN)
        target.wait_out()
    size = min(size, max(room, PAGE))
    if isinstance(source, Pollable):
        if at:
            raise SyscallError(ESPIPE)
        data = source.take(k, t, size) if target.pipe.readers else b"\0"  # nobody reads: give fails as it should
        return target.give(k, t, Held(data)) if data else 0
    if at and not source.seekable:
        raise SyscallError(ESPIPE)
    start = int.from_bytes(k.mem.read(at, 8), "little") if at else source.position
    data = source.read(k, start, min(size, CHUNK))
    went = target.give(k, t, Held(data)) if data else 0
    _advance(k, source, at, start + went)
    return went


def _advance(k: Kernel, file: OpenFile, at: int, position: int) -> None:
    # Store the position where the call had it from.
    if at:
        k.mem.write(at, position.to_bytes(8, "little"))
    elif file.seekable:
        file.position = position
