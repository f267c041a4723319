"""Snapshots along one run, so that another run that begins like it starts late.

Two plans that answer the first calls alike make the same calls until then: what a run of one has passed by, a run of
the other need not do again.  A trail holds moments of a run before some of its calls, and knows the last one up to
which another plan does the same.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from typing import NamedTuple

from emu.fuzz.plan import Answer, Plan
from emu.fuzz.sites import NEVER, NOWHERE, Sites
from emu.machine.snapshot import Snapshot


class Step(NamedTuple):
    """A moment of a run: how many calls of the fuzzed stretch came before it, and how many of each name in all."""

    moment: Snapshot
    done: int
    made: Counter[str]


class Trail:
    """The run of *plan*, which had *sites*: its *steps* in order, the first before any call that can be answered."""

    def __init__(self, plan: Plan, steps: list[Step], sites: Sites = NOWHERE) -> None:
        self.plan, self.steps, self._sites = plan, steps, sites
        self._own = self._placed(plan)
        self._set = frozenset(self._own)
        self._dones = [step.done for step in steps]

    def parting(self, plan: Plan) -> int:
        """The number of the first call that *plan* answers in another way; :data:`emu.fuzz.sites.NEVER` for none."""
        return self._parting(self._placed(plan))

    def _parting(self, theirs: list[tuple[int, Answer]]) -> int:
        return min((at for at, _ in self._set.symmetric_difference(theirs)), default=NEVER)

    @property
    def last(self) -> Step:
        """The last step."""
        return self.steps[-1]

    def _placed(self, plan: Plan) -> list[tuple[int, Answer]]:
        return [(self._sites.first_call(answer), answer) for answer in plan.answers]

    def start_of(self, plan: Plan) -> Step:
        """The last step up to which *plan* answers as this run's does."""
        theirs = self._placed(plan)
        same = self._parting(theirs)
        at = bisect_right(self._dones, same)
        # The order matters too: of two answers to a call the first one counts.
        if _before(same, self._own) == _before(same, theirs):
            return self.steps[max(at - 1, 0)]
        for step in reversed(self.steps[:at]):
            if _before(step.done, self._own) == _before(step.done, theirs):
                return step
        return self.steps[0]

    def until(self, step: Step) -> list[Step]:
        """The steps up to *step*, with it."""
        return self.steps[: self.steps.index(step) + 1]


def _before(done: int, placed: list[tuple[int, Answer]]) -> list[tuple[int, Answer]]:
    return [one for one in placed if one[0] < done]
