"""The parent's side: hands chunks of points to workers and yields their rows, each exactly once.

Written against ``concurrent.futures``: a :class:`Crew` makes the executor and submits to it.  When a worker dies, its
chunk comes back without rows, and so may others that were under way.  From then on these *suspects* are tried again one
at a time, nothing else beside them, so that a chunk which takes its worker along a second time is known for certain; it
is halved until one point is left, and that becomes a row that says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol

from emu.sweep.plan import chunks
from emu.sweep.work import Row, failed

LOST: tuple[type[Exception], ...] = (BrokenProcessPool, CancelledError)
AHEAD = 2  # chunks under way for each worker, so that none waits for us
CHECK_EVERY = 5  # seconds
DIED = "the worker died"


class Crew(Protocol):
    """Workers that are ready for one shipment."""

    lost: tuple[type[Exception], ...]
    """What a future raises, beside BrokenProcessPool and CancelledError, when its worker died."""

    def workers(self) -> int:
        """How many there are."""
        ...

    def submit(self, indices: Sequence[int]) -> Future[list[Row]]:
        """Have the rows of *indices* computed."""
        ...

    def check(self) -> None:
        """Raise an error when nothing can be expected any more; asked now and then while nothing is done."""
        ...

    def renew(self) -> None:
        """Have new workers, or what the dead ones held, before anything else is submitted."""
        ...

    def close(self) -> None:
        """End at once; nothing that is under way is wanted."""
        ...


def rows(crew: Crew, indices: Sequence[int]) -> Iterator[list[Row]]:
    """The rows of *indices* in chunks, as they are done."""
    todo = deque(chunks(indices, crew.workers()))
    suspects: deque[list[int]] = deque()
    alone = False  # the chunk under way is a suspect that nothing runs beside
    under_way: dict[Future[list[Row]], list[int]] = {}
    while todo or suspects or under_way:
        if suspects and not under_way:
            alone = True
            chunk = suspects.popleft()
            under_way[crew.submit(chunk)] = chunk
        elif not suspects and not alone:
            _fill(crew, todo, under_way)
        done, _ = wait(under_way, CHECK_EVERY, FIRST_COMPLETED)
        if not done:
            crew.check()
        lost = []
        for future in done:
            chunk = under_way.pop(future)
            try:
                yield future.result()
            except LOST + crew.lost:
                lost.append(chunk)
        if not lost:
            alone = alone and bool(under_way)
            continue
        yield from _drained(crew, under_way, lost)
        crew.renew()
        if alone:
            alone = False
            (chunk,) = lost
            if len(chunk) == 1:
                yield [failed(chunk[0], DIED)]
            else:
                middle = len(chunk) // 2
                suspects.extendleft((chunk[middle:], chunk[:middle]))
        else:
            suspects.extend(lost)


def _fill(crew: Crew, todo: deque[list[int]], under_way: dict[Future[list[Row]], list[int]]) -> None:
    while todo and len(under_way) < AHEAD * crew.workers():
        chunk = todo.popleft()
        try:
            under_way[crew.submit(chunk)] = chunk
        except BrokenProcessPool:  # seen at the futures that are under way
            todo.appendleft(chunk)
            if not under_way:
                crew.renew()
            return


def _drained(crew: Crew, under_way: dict[Future[list[Row]], list[int]], lost: list[list[int]]) -> Iterator[list[Row]]:
    # What else was under way when a worker died: a broken pool loses it, a cluster goes on with it.
    for future, chunk in under_way.items():
        try:
            yield future.result()
        except LOST + crew.lost:
            lost.append(chunk)
    under_way.clear()
