"""What counts as a regression: ``1%``, ``pages:2``, ``runtime.schedinit=500``, ``syscalls:osinit=0``.

A threshold allows a count to grow by a number or by a part of what it was; more than that is a regression.  Counts are
exact, so that 0 is a sensible one, and the default.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from emu.bench.compare import Comparison
from emu.bench.cost import METRICS

SHAPE = re.compile(rf"(?:({'|'.join(METRICS)}):)?(?:(.+)=)?(\d+(?:\.\d+)?)(%?)")
ALLOWED = "[METRIC:][FUNCTION=]NUMBER[%]"
OF_SHARES = ("instructions", "blocks")  # what is counted of any function of the program


class BadThreshold(ValueError):
    """No threshold, or of a function that neither recording has; the message says which."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """How much more of *metric* is allowed: in all, or for *function* with what it calls."""

    metric: str
    function: str | None
    amount: Fraction
    percent: bool
    text: str  # as it was given

    def exceeded(self, old: int, new: int) -> bool:
        """Tell whether growing from *old* to *new* is more than allowed; a per cent of nothing is nothing."""
        return new - old > (self.amount * old / 100 if self.percent else self.amount)


@dataclass(frozen=True, slots=True)
class Regression:
    """A count that grew more than a threshold allows.  *function* is None for the whole of start-up."""

    threshold: Threshold
    function: str | None
    old: int
    new: int


DEFAULT = Threshold("instructions", None, Fraction(0), False, "0")


def parse(text: str) -> Threshold:
    """Read a threshold; raises BadThreshold."""
    found = SHAPE.fullmatch(text)
    if found is None:
        raise BadThreshold(f"{text!r} is not {ALLOWED}; metrics: {', '.join(METRICS)}")
    metric, function, amount, percent = found.groups()
    return Threshold(metric or "instructions", function, Fraction(amount), bool(percent), text)


def regressions(found: Comparison, thresholds: Sequence[Threshold]) -> list[Regression]:
    """Return what of *found* is more than *thresholds* allow; raises BadThreshold."""
    grown = []
    for one in thresholds:
        if one.metric == "writes" and not found.typed:
            raise BadThreshold(f"{one.text!r}: {found.new.name} has no types, so that writes were not counted")
        name, old, new = _counts(found, one)
        if one.exceeded(old, new):
            grown.append(Regression(one, name, old, new))
    return grown


def _counts(found: Comparison, one: Threshold) -> tuple[str | None, int, int]:
    # The function's whole name, and the count in both recordings.
    if one.function is None:
        return None, getattr(found.old.totals, one.metric), getattr(found.new.totals, one.metric)
    for name in (one.function, f"runtime.{one.function}"):
        for row, other in found.pairs:
            if name in ((row and row.name), (other and other.name)):
                return (
                    name,
                    getattr(row.total, one.metric) if row else 0,
                    getattr(other.total, one.metric) if other else 0,
                )
        old, new = found.old.program.get(name), found.new.program.get(name)
        if old or new:
            if one.metric not in OF_SHARES:
                raise BadThreshold(f"{one.text!r}: only {' and '.join(OF_SHARES)} are counted of {name}")
            return name, getattr(old, one.metric) if old else 0, getattr(new, one.metric) if new else 0
    raise BadThreshold(f"{one.text!r}: neither recording of {found.new.name} has a function {one.function}")
