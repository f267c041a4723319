"""Judges of a run: how it ended, and whether what it computed is what Go's documentation promises."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from emu.fuzz import models, unwind

if TYPE_CHECKING:
    from emu.fuzz.target import Result

OK, REFUSED = "ok", "throw"
KINDS = (OK, REFUSED, "exit", "signal", "hang", "memory", "deadlock", "unsupported", "wrong-value", "defect")
"""What a run can amount to: most as the record's outcome has it.

``hang``, ``memory`` and ``deadlock`` are its limits, told apart; ``wrong-value`` reached its end with a value that a
model contradicts; ``defect`` is a bug of ours.
"""
CHANGING = re.compile(r"(?<=from )/.*?(?=, and|$)|0x[0-9a-f]+|\d+|b'.*'", re.DOTALL)
"""What differs in the message from run to run of the same finding: paths, addresses, numbers, contents."""
LIMITS = {"memory": "memory", "deadlock": "deadlock"}


class Verdict(NamedTuple):
    """What one run amounts to.  *kind* is one of :data:`KINDS`."""

    kind: str
    message: str
    function: str
    stack: tuple[str, ...]  # functions of the bootstrap, the innermost first
    tier: str

    @property
    def key(self) -> str:
        """What makes two verdicts the same finding: kind, message without its numbers, function and stack.

        The message says nothing of where a limit was met.
        """
        message = CHANGING.sub("N", self.message) if self.kind in ("throw", "wrong-value") else ""
        return " | ".join((self.kind, message, self.function, " < ".join(self.stack)))


def verdict(result: Result) -> Verdict:
    """Judge *result*."""
    kind, message = str(result.outcome["kind"]), str(result.outcome["message"])
    if result.defect:
        return Verdict("defect", result.defect, str(result.outcome["function"]), (), result.tier)
    if kind == "reached":
        wrong = models.wrong_values(result)
        if wrong:
            return Verdict("wrong-value", wrong[0].message, wrong[0].function, (), result.tier)
    if kind in ("reached", "slow"):
        return Verdict(OK, message, "", (), result.tier)
    if kind == "limit":
        kind = LIMITS.get(str(result.outcome["at"]), "hang")
    names = list(result.stack)
    return Verdict(kind, message, unwind.culprit(names), unwind.bootstrap(names), result.tier)
