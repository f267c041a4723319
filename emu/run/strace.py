"""System calls as strace(1) shows them, and what of them rt0 lacks."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable

from emu.machine.outcome import SIGNALS, Outcome
from emu.run.decoded import Peek, arguments
from emu.run.decoded import result as explained
from syscalls.errno import NUMBERS
from syscalls.events import SyscallEvent
from syscalls.row import ABSENT, NEVER, PARTIAL
from syscalls.trace import BY_NR, line

COLUMN = 39  # strace puts the result no further left: -a 40
LACKING = ("ENOSYS", "EINVAL", "EOPNOTSUPP", "ENOPROTOOPT")
"""What a call that is not there, or not that far, fails with."""


class Strace:
    """Writes a line for each call that returned; with the thread's id before it as soon as there are two threads."""

    def __init__(self, write: Callable[[str], None], first: int, peek: Peek) -> None:
        """Write to *write*; *first* is the first thread, *peek* reads the memory of the one that made the last call."""
        self._write, self._first, self._several, self._peek = write, first, False, peek

    def call(self, event: SyscallEvent) -> None:
        """Show *event*."""
        self._several = self._several or event.tid != self._first
        call, equals, shown = line(event).rpartition(" = ")
        row = BY_NR.get(event.nr)
        if row is not None:
            call = f"{event.name}({arguments(event, row, self._peek)})"
            shown = explained(event, row, self._peek, shown)
        if row is not None and row.result == NEVER:
            shown = "?"
        elif event.errno:
            shown += f" ({os.strerror(NUMBERS[event.errno])})"
        mark = f"[pid {event.tid:5}] " if self._several else ""
        self._write(f"{f'{mark}{call}'.ljust(COLUMN)}{equals}{shown}\n")

    def end(self, outcome: Outcome) -> None:
        """Show how the program ended."""
        if outcome.kind == "exit":
            self._write(f"+++ exited with {outcome.exit_status} +++\n")
        elif outcome.signal is not None:
            self._write(f"+++ killed by {SIGNALS.get(outcome.signal, outcome.signal)} +++\n")


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
