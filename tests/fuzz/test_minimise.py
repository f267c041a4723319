"""Plans are made small without losing what they are for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from emu.fuzz.minimise import minimise
from emu.fuzz.plan import ARGUMENT, DATA, ERRNO, RESULT, Answer, Plan, signed

NOISE = tuple(Answer(row, 3, 2, bytes(range(row, row + 12))) for row in range(10))


def test_only_the_answers_that_matter_are_left() -> None:
    """Three of ten answers are needed: three are left."""
    small = minimise(Plan(NOISE), lambda plan: {answer.row for answer in plan.answers} >= {1, 4, 9})

    assert [answer.row for answer in small.answers] == [1, 4, 9]
    assert all(answer.payload == b"" and answer.nth == 1 for answer in small.answers)


def test_a_value_that_matters_stays() -> None:
    """A payload that must begin with a word and be eight bytes long keeps both, and nothing else of itself."""

    def same(plan: Plan) -> bool:
        return any(one.payload.startswith(b"go") and len(one.payload) >= 8 for one in plan.answers)

    small = minimise(Plan((*NOISE, Answer(1, 5, DATA, b"go away, please"))), same)

    assert small == Plan((Answer(1, 1, DATA, b"go" + bytes(6)),))


@pytest.mark.parametrize(
    ("answer", "needs", "small"),
    [
        (Answer(1, 3, RESULT, signed(1000)), lambda one: int.from_bytes(one.payload, "little") >= 100, signed(112)),
        (Answer(1, 3, ARGUMENT, b"\x02" + signed(77)), lambda one: one.payload[:1] == b"\x02", b"\x02"),
        (Answer(1, 3, ERRNO, signed(4)), lambda _one: True, signed(4)),
        (Answer(1, 3, DATA, b"1048576\n"), lambda one: one.payload.endswith(b"\n"), b"\n"),
    ],
)
def test_each_kind_has_its_own_simple_values(answer: Answer, needs: Callable[[Answer], bool], small: bytes) -> None:
    """Numbers become smaller, texts shorter; an errno stays what it is, and an argument keeps its number."""
    found = minimise(Plan((answer,)), lambda plan: any(needs(one) for one in plan.answers))

    assert found == Plan((answer._replace(nth=1, payload=small),))


def test_it_ends_after_its_runs() -> None:
    """A budget of runs is kept, and what was reached is returned."""
    runs = 0

    def same(plan: Plan) -> bool:
        nonlocal runs
        runs += 1
        return len(plan.answers) >= 2

    small = minimise(Plan(NOISE), same, 7)

    assert runs == 7
    assert 2 <= len(small.answers) < 10


def test_nothing_at_all_may_be_enough() -> None:
    """A program that fails by itself has a finding without answers."""
    assert minimise(Plan(NOISE), lambda _plan: True) == Plan()
