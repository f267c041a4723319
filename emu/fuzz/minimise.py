"""A plan made as small as it can be while it still leads to the same: the fewest answers, the simplest values.

Answers are dropped by delta debugging (Zeller and Hildebrandt, 2002: ddmin), then each one that is left is simplified.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from emu.fuzz.plan import Answer, Plan

Same = Callable[[Plan], bool]
MAX_RUNS = 1500
"""Runs that one finding may cost: about a second."""


class _Spent(Exception):
    """All runs are used up."""


def minimise(plan: Plan, same: Same, max_runs: int = MAX_RUNS) -> Plan:
    """Return the smallest plan found for which *same* holds, as it does for *plan*; after at most *max_runs* runs."""
    best = plan
    left = max_runs

    def still(candidate: Plan) -> bool:
        nonlocal best, left
        if left == 0:
            raise _Spent
        left -= 1
        if not same(candidate):
            return False
        best = candidate
        return True

    try:
        _fewest(best, still)
        while any(_simplify(best, index, still) for index in range(len(best.answers))):
            _fewest(best, still)
    except _Spent:
        return best
    return best


def _fewest(plan: Plan, still: Same) -> None:
    # ddmin over the answers; `still` keeps the best.
    answers, size = plan.answers, max(len(plan.answers) // 2, 1)
    while answers and size:
        for start in range(0, len(answers), size):
            shorter = answers[:start] + answers[start + size :]
            if still(Plan(shorter)):
                answers = shorter
                break
        else:
            size //= 2
            continue
        size = min(size, max(len(answers), 1))


def _simplify(plan: Plan, index: int, still: Same) -> bool:
    answers = plan.answers
    for simpler in simpler_answers(answers[index]):
        if still(Plan((*answers[:index], simpler, *answers[index + 1 :]))):
            return True
    return False


def simpler_answers(answer: Answer) -> Iterator[Answer]:
    """Yield answers that are simpler than *answer*: an earlier call, a lower kind, fewer and plainer bytes."""
    if answer.nth > 1:
        yield answer._replace(nth=1)
        yield answer._replace(nth=answer.nth - 1)
    payload = answer.payload
    size = len(payload)
    while size:
        size //= 2
        yield answer._replace(payload=payload[:size])
    for at in range(len(payload)):
        yield answer._replace(payload=payload[:at] + payload[at + 1 :])
    for at, byte in enumerate(payload):
        for plain in (0, 0x30, byte >> 1):
            if plain < byte:
                yield answer._replace(payload=payload[:at] + bytes((plain,)) + payload[at + 1 :])
