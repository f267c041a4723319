"""Where answers can go: the calls that a run made and the files that it looked for, by the rows of the grammar."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from emu.fuzz.grammar import CALL_ROWS, FILE_ROWS
from emu.fuzz.plan import CONTENTS, EVERY, LAST, SETTING, Answer
from syscalls.events import SyscallEvent
from syscalls.kernel import COMPILED

NEVER = 1 << 30  # the number of a call that was not made


class Site(NamedTuple):
    """The *nth* call of a *row* (0: the file of a row), met first by the call with the number *at* of the run."""

    row: int
    nth: int
    at: int


class Sites:
    """The sites of a run, in order: *rows* of those, and the sites of each."""

    def __init__(self, calls: Sequence[SyscallEvent] = ()) -> None:
        self.calls = calls
        self.of_row: dict[int, list[Site]] = {}
        counts: Counter[str] = Counter()
        for at, event in enumerate(calls):
            counts[event.name] += 1
            row = CALL_ROWS.get(event.name)
            if row is not None and counts[event.name] <= LAST:
                self.of_row.setdefault(row, []).append(Site(row, counts[event.name], at))
            file = FILE_ROWS.get(path_of(event)) if event.name in ("open", "openat") else None
            if file is not None:
                self.of_row.setdefault(file, [Site(file, 0, at)])
        self.rows = sorted(self.of_row)
        self._calls = {(site.row, site.nth): site.at for site in self}

    def since(self, call: int) -> Sites:
        """Those of them that are met by no call before the one with that number."""
        later = Sites()
        later.calls, later._calls = self.calls, self._calls
        for row, sites in self.of_row.items():
            kept = [site for site in sites if site.at >= call]
            if kept:
                later.of_row[row] = kept
        later.rows = sorted(later.of_row)
        return later

    def first_call(self, answer: Answer) -> int:
        """The number of the first call of the run that *answer* bears on."""
        if answer.kind == SETTING:
            return 0
        nth = 1 if answer.nth == EVERY and answer.kind != CONTENTS else answer.nth
        return self._calls.get((answer.row, nth), NEVER)

    def __iter__(self) -> Iterator[Site]:
        for row in self.rows:
            yield from self.of_row[row]


NOWHERE = Sites()


def path_of(event: SyscallEvent) -> str:
    """The path that *event* was made with, as the rows of files have theirs; empty if it has none."""
    index = COMPILED[event.nr].path_index if event.nr in COMPILED else -1
    return event.detail.get(index, b"").decode("utf-8", "replace").replace("//", "/") if index >= 0 else ""


def paths_opened(events: Sequence[SyscallEvent]) -> frozenset[str]:
    """The paths that *events* opened, or tried to."""
    return frozenset(path for path in map(path_of, events) if path)
