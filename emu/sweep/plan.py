"""What a sweep boots: the product of binaries, Worlds and what varies between them.

A plan is small and travels whole; a point of it is a number, from which each side makes the same World.  The last
knob varies fastest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from syscalls.world import World, WorldError
from syscalls.worldfile import apply, apply_all

Settings = tuple[tuple[str, str], ...]
"""Keys of the World and the text of their values, to be applied in order."""
Axis = tuple[Settings, ...]
"""The alternatives of one factor of the product."""

BINARY, WORLD = "binary", "world"  # knobs that are no key of the World


class PlanError(ValueError):
    """A sweep that cannot be; the message is one line."""


class Plan(NamedTuple):
    """The whole of it.  *names* are the values that each row shows."""

    binaries: tuple[str, ...]
    worlds: tuple[tuple[str, World], ...]
    axes: tuple[Axis, ...]
    names: tuple[str, ...]
    until: str
    several_worlds: bool = False  # the World's name is a knob

    @property
    def shape(self) -> tuple[int, ...]:
        """How many alternatives each factor has."""
        return len(self.binaries), len(self.worlds), *map(len, self.axes)

    @property
    def size(self) -> int:
        """How many points there are."""
        return math.prod(self.shape)

    def place(self, index: int) -> list[int]:
        """The number of the alternative of each factor at point *index*."""
        numbers = []
        for count in reversed(self.shape):
            index, number = divmod(index, count)
            numbers.append(number)
        return numbers[::-1]

    def binary(self, index: int) -> int:
        """The number of the binary at point *index*."""
        return index // (self.size // len(self.binaries))

    def vary(self, index: int) -> dict[str, str]:
        """What the knobs say at point *index*."""
        binary, world, *numbers = self.place(index)
        found = {}
        if len(self.binaries) > 1:
            found[BINARY] = self.binaries[binary]
        if self.several_worlds:
            found[WORLD] = self.worlds[world][0]
        for axis, number in zip(self.axes, numbers, strict=True):
            found.update(axis[number])
        return found

    def world(self, index: int) -> World:
        """The World of point *index*; raises WorldError for one that cannot be."""
        _, number, *numbers = self.place(index)
        settings = (each for axis, choice in zip(self.axes, numbers, strict=True) for each in axis[choice])
        return apply_all(self.worlds[number][1], (f"{key}={text}" for key, text in settings))

    def knobs(self) -> list[str]:
        """Every knob, in the order of the columns."""
        found = [BINARY] if len(self.binaries) > 1 else []
        found += [WORLD] if self.several_worlds else []
        keys = [key for axis in self.axes for settings in axis for key, _ in settings]
        return list(dict.fromkeys(found + keys))


def check(plan: Plan) -> None:
    """Raise PlanError for a knob none of whose values is possible, or one that is given in two places.

    A single impossible value only makes a row that says so.
    """
    seen: dict[str, int] = {}
    for number, axis in enumerate(plan.axes):
        problems: dict[str, WorldError] = {}
        possible: set[str] = set()
        for key, text in {setting: None for settings in axis for setting in settings}:
            if seen.setdefault(key, number) != number:
                raise PlanError(f"{key} varies in two places")
            try:
                apply(plan.worlds[0][1], f"{key}={text}")
                possible.add(key)
            except WorldError as error:
                problems.setdefault(key, error)
        for key, problem in problems.items():
            if key not in possible:
                raise PlanError(str(problem))


def chunks(indices: Sequence[int], workers: int) -> Iterator[list[int]]:
    """*indices* in pieces: a fair share for each of *workers* at least, and none so large that it takes a second."""
    size = max(1, min(64, math.ceil(len(indices) / (4 * workers))))
    for start in range(0, len(indices), size):
        yield list(indices[start : start + size])
