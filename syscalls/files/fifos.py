"""Named pipes: opening one waits until the other end is opened, and then it is a pipe.  fifo(7).

The pipe belongs to the ends that are open: the last one takes it with it.
"""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import EINTR, ENXIO, SyscallError
from syscalls.files.opened import Facts
from syscalls.files.pipes import Pipe, PipeEnd
from syscalls.light import TYPE_CHECKING
from syscalls.waits import INTERRUPTED, Blocked, Channel, Wait

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task
    from syscalls.tree import Fifo


class FifoEnd(PipeEnd):
    """An end of a named pipe."""

    __slots__ = ()

    def __init__(self, k: Kernel, pipe: Pipe, flags: int, path: bytes, facts: Facts, node: Fifo) -> None:
        super().__init__(k, pipe, flags)
        self.path, self._facts, self.node = path, facts, node


def channel(pipe: Pipe) -> Channel:
    """Return what those wait on who open *pipe* and are alone."""
    return "fifo", pipe.number


def open_end(k: Kernel, path: bytes, flags: int, facts: Facts, node: Fifo) -> FifoEnd:
    """Open an end of *node*, and wake whoever waits for it."""
    files = (file for process in k.processes.values() for file in process.files.open_files())
    pipe = next((file.pipe for file in files if isinstance(file, FifoEnd) and file.node is node), None) or Pipe()
    if flags & abi.O_ACCMODE == abi.O_WRONLY and flags & abi.O_NONBLOCK and not pipe.readers:
        raise SyscallError(ENXIO)
    end = FifoEnd(k, pipe, flags, path, facts, node)
    k.wake(channel(pipe))
    return end


def met(k: Kernel, t: Task, fd: int, end: FifoEnd) -> int:
    """Return *fd* when the other end of *end* is open, or need not be; else wait."""
    alone = not (end.pipe.writers if end.readable else end.pipe.readers)
    if alone and not end.flags & abi.O_NONBLOCK:
        raise Blocked(Wait("the other end of a named pipe", (channel(end.pipe),), finishes=True, data=fd))
    return fd


def opened(k: Kernel, t: Task) -> int:
    """Go on with an open that waited: the other end was opened, or a signal came."""
    assert t.wait is not None
    if t.woken == INTERRUPTED:
        k.files.drop(t.wait.data)
        raise SyscallError(EINTR)
    return t.wait.data
