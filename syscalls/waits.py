"""Waiting: how a system call says that its task cannot go on yet, and what it is told when it can.

A handler that has to wait raises :class:`Blocked` with a :class:`Wait`.  The kernel keeps the call, other tasks run,
and when something happens the *same handler is called again* with the same arguments and ``task.woken`` set: it then
returns its result, fails, or waits once more.  So a wait is data (what for, until when) and can be saved and restored;
no handler keeps a frame of its own alive.

``task.woken`` is one of

- None: the first call; nothing was waited for;
- WOKEN: somebody called :meth:`Kernel.wake` on one of the channels;
- TIMEOUT: the deadline has passed;
- AGAIN: for nothing (the signal that was to interrupt it is gone): look again, and wait on until the same deadline;
- INTERRUPTED: a signal is to be delivered.  A handler is called with it only when its wait says ``finishes`` (it has
  something left to do, as nanosleep has); otherwise the kernel fails the call with EINTR, or restarts it after the
  signal's handler, by itself.
"""

from __future__ import annotations

from syscalls.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from syscalls.files.opened import OpenFile
    from syscalls.tasks import Task

    Held = tuple[tuple[int, OpenFile], ...]

WOKEN, TIMEOUT, INTERRUPTED, AGAIN = "woken", "timeout", "interrupted", "again"

Channel = tuple[str | int, ...]
"""What can be waited for, by name: ``("futex", space, address)``, ``("pipe", number, "data")``."""


class Wait(NamedTuple):
    """What a task waits for.

    *what* says it for people ("futex 0xc000102148").  *deadline* is on the monotonic clock, in nanoseconds; None is for
    ever.  *restarts*: after a handler with SA_RESTART the call is made again (signal(7)), else it fails with EINTR.
    *data* is the handler's own, for whoever looks at the waiters of a channel.  *fds* are the arguments that are
    descriptors, where that depends on others: see :mod:`syscalls.holding`.  *before* is how many messages are done of a
    call that has several, *end* when no more are begun.
    """

    what: str
    channels: tuple[Channel, ...] = ()
    deadline: int | None = None
    restarts: bool = True
    finishes: bool = False
    killable_only: bool = False  # no signal but a fatal one ends it: vfork's wait
    data: int = 0
    fds: tuple[int, ...] = ()
    before: int = 0
    end: int | None = None


class Blocked(Exception):
    """Raised by a handler whose task has to wait."""

    def __init__(self, wait: Wait) -> None:
        super().__init__(wait.what)
        self.wait = wait


class PendingCall(NamedTuple):
    """A system call that waits: its number, raw and narrowed arguments, when it began, what the log keeps of it.

    *held* are the descriptors among the arguments, with the files that they named then: see :mod:`syscalls.holding`.
    """

    nr: int
    args: tuple[int, ...]
    values: tuple[int | bytes, ...]
    ticks: int
    detail: tuple[tuple[int, bytes], ...] = ()
    held: Held = ()


def deadline_of(t: Task, now_ns: int, timeout_ns: int | None) -> int | None:
    """Return when a wait of *timeout_ns* from the call's beginning ends: the first time's deadline is kept."""
    if t.woken is not None and t.wait is not None:
        return t.wait.deadline
    return None if timeout_ns is None else now_ns + max(timeout_ns, 0)
