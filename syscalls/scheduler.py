"""Which task runs next, for how long, and when virtual time jumps: a function of the World alone.

One task runs at a time.  With schedule seed 0 the tasks that can run take turns, each for :data:`QUANTUM` instructions;
with any other seed a random one is picked, for a random part of that, so that other interleavings are seen, and the
same seed gives the same again.  When none can run, time jumps to the next deadline; when there is none either, nothing
can ever happen.

What wakes tasks is named by channels (:mod:`syscalls.waits`); tasks are woken in the order in which they began to wait.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable

from syscalls.light import TYPE_CHECKING, NamedTuple
from syscalls.waits import WOKEN, Channel

if TYPE_CHECKING:
    from syscalls.tasks import Task

QUANTUM = 50_000
"""Instructions that a task runs while others could: 25 us of virtual time at the World's default pace."""

SHORTEST = 500
MASK = 2**64 - 1


class SchedulerState(NamedTuple):
    """What :meth:`Scheduler.state` returns."""

    ready: tuple[int, ...]
    waiting: tuple[tuple[Channel, tuple[int, ...]], ...]
    alarms: tuple[tuple[int, int, int, int], ...]
    sequence: int
    random: int


class Scheduler:
    """The run queue, the waiters of each channel, and the alarms of one kernel.  Tasks are known by their ids."""

    __slots__ = ("_alarms", "_random", "_seeded", "_waiting", "ready", "sequence")

    def __init__(self, seed: int) -> None:
        self.ready: deque[int] = deque()
        self._waiting: dict[Channel, list[int]] = {}
        # (deadline, number, task or 0, timer or 0), a heap; one that is out of date is skipped when it comes up.
        self._alarms: list[tuple[int, int, int, int]] = []
        self.sequence = 0  # of the last alarm
        self._seeded = seed != 0
        self._random = seed & MASK

    def _draw(self, below: int) -> int:
        # SplitMix64 (Steele, Lea, Flood 2014): the same numbers on every host and in every Python.
        self._random = (self._random + 0x9E37_79B9_7F4A_7C15) & MASK
        mixed = self._random
        mixed = (mixed ^ mixed >> 30) * 0xBF58_476D_1CE4_E5B9 & MASK
        mixed = (mixed ^ mixed >> 27) * 0x94D0_49BB_1331_11EB & MASK
        return (mixed ^ mixed >> 31) % below

    def quantum(self) -> int:
        """Return for how many instructions the next task runs, if others can run too."""
        return SHORTEST + self._draw(QUANTUM - SHORTEST) if self._seeded else QUANTUM

    def add(self, task: Task) -> None:
        """Let *task* run when its turn comes."""
        self.ready.append(task.tid)

    def pick(self) -> int | None:
        """Take the task that runs next out of the queue; None when there is none."""
        if not self.ready:
            return None
        if self._seeded and len(self.ready) > 1:
            self.ready.rotate(-self._draw(len(self.ready)))
        return self.ready.popleft()

    # Waiting

    def block(self, task: Task) -> None:
        """Let *task* wait for what its ``wait`` says."""
        wait = task.wait
        assert wait is not None
        for channel in wait.channels:
            self._waiting.setdefault(channel, []).append(task.tid)
        if wait.deadline is not None:
            task.alarm = self.set_alarm(wait.deadline, task=task.tid)

    def forget(self, task: Task) -> None:
        """Let *task* wait for nothing, and run no more."""
        if task.wait is not None:
            for channel in task.wait.channels:
                waiters = self._waiting.get(channel)
                if waiters and task.tid in waiters:
                    waiters.remove(task.tid)
                    if not waiters:
                        del self._waiting[channel]
        task.alarm = 0
        if task.tid in self.ready:
            self.ready.remove(task.tid)

    def rouse(self, task: Task, why: str) -> None:
        """Let *task*, which waits, go on with its call."""
        self.forget(task)
        task.woken = why
        self.ready.append(task.tid)

    def waiters(self, channel: Channel) -> list[int]:
        """Return who waits on *channel*, the first one first."""
        return list(self._waiting.get(channel, ()))

    def wake(self, tasks: dict[int, Task], channel: Channel, most: int | None = None) -> int:
        """Wake the first *most* waiters of *channel* (None: all), and return how many there were."""
        if channel not in self._waiting:
            return 0
        chosen = self._waiting[channel][:most]
        for tid in chosen:
            self.rouse(tasks[tid], WOKEN)
        return len(chosen)

    def move(self, task: Task, channel: Channel) -> None:
        """Let *task* wait on *channel* in place of all others, its deadline kept: FUTEX_REQUEUE."""
        alarm = task.alarm
        self.forget(task)
        assert task.wait is not None
        task.wait = task.wait._replace(channels=(channel,))
        task.alarm = alarm
        self._waiting.setdefault(channel, []).append(task.tid)

    # Alarms

    @property
    def has_alarms(self) -> bool:
        """Whether any was set and has not gone off."""
        return bool(self._alarms)

    def set_alarm(self, deadline: int, task: int = 0, timer: int = 0) -> int:
        """Let something happen at *deadline* (monotonic nanoseconds); return a number that names it, never 0."""
        self.sequence += 1
        heapq.heappush(self._alarms, (deadline, self.sequence, task, timer))
        return self.sequence

    def next_deadline(self, current: Callable[[int, int, int], bool]) -> int | None:
        """Return when the next alarm goes off, those dropped for which *current* (number, task, timer) is False."""
        while self._alarms:
            deadline, number, task, timer = self._alarms[0]
            if current(number, task, timer):
                return deadline
            heapq.heappop(self._alarms)
        return None

    def due(self, now: int) -> tuple[int, int, int] | None:
        """Take the first alarm whose time has come off the list: (number, task, timer)."""
        if self._alarms and self._alarms[0][0] <= now:
            return heapq.heappop(self._alarms)[1:]
        return None

    # Saving

    def state(self) -> SchedulerState:
        """Return everything that can change."""
        waiting = tuple((channel, tuple(tids)) for channel, tids in self._waiting.items())
        return SchedulerState(tuple(self.ready), waiting, tuple(self._alarms), self.sequence, self._random)

    def restore(self, state: SchedulerState) -> None:
        """Put back what :meth:`state` returned."""
        self.ready = deque(state.ready)
        self._waiting = {channel: list(tids) for channel, tids in state.waiting}
        self._alarms = list(state.alarms)
        self.sequence, self._random = state.sequence, state.random
