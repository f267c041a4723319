"""A plan made as small as it can be while it still leads to the same: the fewest answers, the simplest values.

Answers are dropped by delta debugging (Zeller and Hildebrandt, 2002: ddmin), then each one that is left is simplified.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from emu.fuzz.plan import ARGUMENT, ERRNO, RESULT, Answer, Plan, signed

Same = Callable[[Plan], bool]
MAX_RUNS = 200
"""Runs that one finding may cost: a second at worst."""
FEW = 24  # bytes of which each is looked at


class _Spent(Exception):
    """All runs are used up."""


def minimise(plan: Plan, same: Same, max_runs: int = MAX_RUNS) -> Plan:
    """Return the smallest plan found for which *same* holds, as it does for *plan*; after at most *max_runs* runs."""
    best = plan
    left = max_runs
    tried: set[Plan] = set()

    def still(candidate: Plan) -> bool:
        nonlocal best, left
        if candidate in tried:  # and it was no good, or it is the best
            return False
        if left == 0:
            raise _Spent
        left -= 1
        tried.add(candidate)
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
    """Yield answers that are simpler than *answer*, of the same kind: an earlier call, a plainer value, fewer bytes."""
    if answer.nth > 1:
        yield answer._replace(nth=1)
        yield answer._replace(nth=answer.nth // 2)
    payload = answer.payload
    if answer.kind == ERRNO:
        return  # one errno is as simple as another
    if answer.kind == ARGUMENT:
        index, payload = payload[:1], payload[1:]
        yield from (answer._replace(payload=index + value) for value in _simpler_numbers(payload))
    elif answer.kind == RESULT:
        yield from (answer._replace(payload=value) for value in _simpler_numbers(payload))
    else:
        yield from (answer._replace(payload=value) for value in simpler_bytes(payload))


def _simpler_numbers(payload: bytes) -> Iterator[bytes]:
    value = int.from_bytes(payload[:8], "little")
    for plain in (0, 1, value // 2, value & value - 1):
        if plain < value:
            yield signed(plain)


def simpler_bytes(payload: bytes) -> Iterator[bytes]:
    """Yield what is shorter than *payload*, then what is as long and plainer."""
    size = len(payload)
    for cut in sorted({size - size // 2, size // 4, 8, 1} & set(range(1, size + 1)), reverse=True):
        yield payload[: size - cut]
        yield payload[cut:]
    for plain in (b"\0", b"0"):
        if payload.strip(plain):
            yield plain * size
    if size <= FEW:
        for at, byte in enumerate(payload):
            for value in (0, ord("0")):
                if value < byte and byte not in b"0":
                    yield payload[:at] + bytes((value,)) + payload[at + 1 :]
