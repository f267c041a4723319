"""Judges of a run: how it ended, and whether what it computed is what Go's documentation promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from emu.fuzz.target import Result

# Kinds.  The first group is the record's outcome; "wrong-value" reached its end with a value that a model contradicts.
OK, REFUSED = "ok", "throw"
KINDS = (OK, REFUSED, "exit", "signal", "hang", "memory", "deadlock", "unsupported", "wrong-value", "defect")


class Verdict(NamedTuple):
    """What one run amounts to.  *kind* is one of :data:`KINDS`; a *defect* is ours."""

    kind: str
    message: str
    function: str
    stack: tuple[str, ...]  # functions, innermost first, down to the bootstrap's first
    tier: str

    @property
    def key(self) -> str:
        """What makes two verdicts the same finding: kind, message without its numbers, function and stack."""
        raise NotImplementedError


def verdict(result: Result) -> Verdict:
    """Judge *result*."""
    raise NotImplementedError
