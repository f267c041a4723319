"""Plans: what the kernel shall answer in one run, as a value, as bytes, and as rules of a World."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from syscalls.events import SyscallEvent
from syscalls.world import World


class Answer(NamedTuple):
    """What the *nth* call (from 1, since the fuzzed stretch began) that *row* of the grammar describes is answered."""

    row: int
    nth: int
    kind: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """What is answered in one run; in order, the first answer to a call wins."""

    answers: tuple[Answer, ...] = ()

    def encode(self) -> bytes:
        """Return the bytes that :func:`decode` makes this plan of."""
        raise NotImplementedError

    def to_world(self, world: World, calls_before: Sequence[SyscallEvent] = ()) -> World:
        """Return *world* with the rules (and files) of this plan; *calls_before* were made before it begins."""
        raise NotImplementedError


def decode(data: bytes) -> Plan:
    """Return the plan that *data* means: every byte string is one."""
    raise NotImplementedError


def mutate(
    plan: Plan, rng: Random, tier: str, calls: Sequence[SyscallEvent] = (), hints: Sequence[int] = ()
) -> Plan:
    """Return a changed *plan*; *calls* are those that its run made, *hints* what the program compares with."""
    raise NotImplementedError
