"""The files of a call that waits: those that its descriptors named when it began, whatever they name by now.

A handler that waits is called again and looks its descriptors up again.  Linux does not: another thread may have closed
one meanwhile, and opened something else under its number.  So the pending call keeps its files open, and where a number
names another file when the call goes on, the handler sees a table in which it does not.  poll(2) and select(2) look
their descriptors up each time on Linux too.
"""

from __future__ import annotations

from syscalls.files.opened import OpenFile
from syscalls.files.table import FileTable
from syscalls.light import TYPE_CHECKING
from syscalls.row import Handler
from syscalls.waits import Blocked, PendingCall

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task
    from syscalls.waits import Held


class Lent(FileTable):
    """The table of a process, for one call, with some of its files as they were when the call began."""

    __slots__ = ("_held",)

    def __init__(self, table: FileTable, held: Held) -> None:
        for name in FileTable.__slots__:
            setattr(self, name, getattr(table, name))
        self._held = dict(held)

    def get(self, fd: int) -> OpenFile:
        return self._held.get(fd) or super().get(fd)


def hold(k: Kernel, fds: tuple[int, ...], call: PendingCall) -> PendingCall:
    """Return *call*, which begins to wait, with the files of its arguments *fds*, kept open."""
    held = []
    for index in fds:
        fd = call.values[index]
        if isinstance(fd, int) and k.files.is_open(fd):
            file = k.files.get(fd)
            file.refs += 1
            held.append((fd, file))
    return PendingCall(*call[:5], tuple(held))


def drop_held(task: Task) -> None:
    """Let go of the files of the call that *task* is in."""
    if task.call is not None:
        for _, file in task.call.held:
            task.process.files.let_go(file)


def with_held(handler: Handler, held: Held) -> Handler:
    """Return *handler* for a call that goes on with the files *held*, which it lets go of when it is over."""

    def go_on(k: Kernel, t: Task, *values: int | bytes) -> int:
        if any(not k.files.is_open(fd) or k.files.get(fd) is not file for fd, file in held):
            k.files = Lent(k.files, held)
        waits = False
        try:
            return handler(k, t, *values)
        except Blocked:
            waits = True
            raise
        finally:
            k.files = k.process.files
            if not waits and not t.ended:  # the end of a task does that
                drop_held(t)

    return go_on
