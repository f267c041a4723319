"""System calls and signals as strace(1) shows them, and what of the calls rt0 lacks."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable

from emu.run.decoded import Peek, arguments
from emu.run.decoded import result as explained
from emu.run.names import full_signal
from emu.run.restarts import FRAME_SIZE, interrupted, returned
from emu.run.siginfos import siginfo
from emu.run.structures import signal_set
from syscalls.abi import SIGCHLD
from syscalls.errno import NUMBERS
from syscalls.events import SyscallEvent
from syscalls.outcome import Exit, Killed, Stopped
from syscalls.row import ABSENT, NEVER, PARTIAL
from syscalls.siginfo import Info
from syscalls.tasks import Task
from syscalls.trace import BY_NR, line

MAKING = ("clone", "clone3", "fork", "vfork")
COLUMN = 39  # strace puts the result no further left: -a 40
LACKING = ("ENOSYS", "EINVAL", "EOPNOTSUPP", "ENOPROTOOPT")
"""What a call that is not there, or not that far, fails with."""


class Strace:
    """Writes a line for each call that returned, each signal that a thread took, and each end of a thread.

    The thread's id stands before it while there are several.  What a thread is told of while it is in a call comes
    behind the call, as it is told on its way back.
    """

    def __init__(self, write: Callable[[str], None], first: int, peek: Peek) -> None:
        """Write to *write*; *first* is the first thread, *peek* reads the memory of the one that made the last call."""
        self._write, self._peek, self._living = write, peek, {first}
        self._inside: Task | None = None  # who began a call, until it returns
        self._later: dict[int, list[tuple[int, str]]] = {}  # by thread: what follows its call, each with its thread

    def begins(self, task: Task) -> bool:
        """Learn that *task* makes a call; False, as nothing is to stop it (:attr:`Machine.before_call`)."""
        self._inside = task
        return False

    def told(self, task: Task, what: Info | Exit | Killed | Stopped) -> None:
        """Show what happened to *task*, after the call that it came of."""
        event = task.tid, happening(what)
        if task.call is not None and isinstance(what, Info) and what.signum == SIGCHLD:
            self._later.setdefault(task.tid, []).append(event)  # what it waits for is there, most likely
        elif self._inside is not None and self._inside.call is None:
            self._later.setdefault(self._inside.tid, []).append(event)
        else:
            self._show(*self._later.pop(task.tid, ()), event)

    def _show(self, *events: tuple[int, str]) -> None:
        for tid, text in events:
            self._write(f"{self._mark(tid)}{text}\n")
            if text.startswith("+++"):
                self._living.discard(tid)

    def _mark(self, tid: int) -> str:
        self._living.add(tid)
        return f"[pid {tid:5}] " if len(self._living) > 1 else ""

    def call(self, event: SyscallEvent) -> None:
        """Show *event*."""
        call, equals, shown = line(event).rpartition(" = ")
        row = BY_NR.get(event.nr)
        if row is not None:
            call = f"{event.name}({arguments(event, row, self._peek)})"
            shown = explained(event, row, self._peek, shown)
        broken = interrupted(event)
        frame = self._peek(self._inside.sp, FRAME_SIZE) if self._inside and event.name == "rt_sigreturn" else None
        if broken is not None:
            shown = f"? {broken}"
        elif frame is not None:
            shown, errno, mask = returned(frame)
            shown += f" {errno} ({os.strerror(NUMBERS[errno])})" if errno else ""
            call = f"rt_sigreturn({{mask={signal_set(mask)}}})"
        elif row is not None and row.result == NEVER:
            shown = "?"
        elif event.errno:
            shown += f" ({os.strerror(NUMBERS[event.errno])})"
        self._write(f"{f'{self._mark(event.tid)}{call}'.ljust(COLUMN)}{equals}{shown}\n")
        if event.name in MAKING and event.result > 0:
            self._living.add(event.result)
        if self._inside is not None and event.tid == self._inside.tid:
            self._inside = None
        self._show(*self._later.pop(event.tid, ()))

    def end(self) -> None:
        """Show what is left: of those who were in a call when the run ended."""
        for events in self._later.values():
            self._show(*events)
        self._later.clear()


def happening(what: Info | Exit | Killed | Stopped) -> str:
    """The line of a signal, or of an end."""
    if isinstance(what, Info):
        return f"--- {full_signal(what.signum)} {siginfo(what)} ---"
    if isinstance(what, Stopped):
        return f"--- stopped by {full_signal(what.signal)} ---"
    if isinstance(what, Killed):
        return f"+++ killed by {full_signal(what.signal)} +++"
    return f"+++ exited with {what.status} +++"


class Census:
    """Counts the calls that rt0 does not have, or failed where it has only part of them."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[str, str]] = Counter()
        self._calls: Counter[str] = Counter()
        self._notes: dict[str, str] = {}

    def call(self, event: SyscallEvent) -> None:
        """Take note of *event*."""
        self._calls[event.name] += 1
        row = BY_NR.get(event.nr)
        if row is None or row.level == ABSENT:
            self._seen[event.name, "not there"] += 1
            self._notes[event.name] = row.note if row else "no row in the table of system calls"
        elif row.level == PARTIAL and event.errno in LACKING and not event.overridden:
            self._seen[event.name, event.errno or ""] += 1
            self._notes[event.name] = row.note

    def lines(self) -> list[str]:
        """Return the result as lines of text."""
        total = sum(self._calls.values())
        shown = [f"{total} system calls, {len(self._calls)} different ones"]
        if not self._seen:
            return [*shown, "none that rt0 lacks"]
        for (name, how), count in sorted(self._seen.items()):
            shown.append(f"{count:>8}  {name}  {how}: {self._notes[name]}")
        return shown
