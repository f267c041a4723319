"""What calls made of a list of areas, remembered, so that the same call of the same areas is a look-up.

A fuzzer restores a snapshot a thousand times a second, and nearly every run then maps and names what others mapped and
named: with this, mmap takes two thirds of its time.  Only lists that come from a snapshot know of it.
"""

from __future__ import annotations

from collections.abc import Hashable

from syscalls.light import TYPE_CHECKING

if TYPE_CHECKING:
    from syscalls.vma import VmaList

MOST = 1024
"""Moments that follow from one snapshot; a list of 40 areas is a KiB."""


class Moment:
    """*areas*, which stay as they are, and what calls make of them: their result, and the moment that follows."""

    __slots__ = ("_left", "areas", "known")

    def __init__(self, areas: VmaList, left: list[int] | None = None) -> None:
        self.areas = areas
        areas.moment = self
        self.known: dict[Hashable, tuple[int, Moment]] = {}
        self._left = [MOST] if left is None else left  # of all that follow from the same snapshot

    def learn(self, call: Hashable, result: int, areas: VmaList) -> None:
        """Remember that *call* has this *result*, and makes *areas* of these."""
        if self._left[0]:
            self._left[0] -= 1
            following = Moment(areas.copy(), self._left)
            areas.moment = following
            self.known[call] = result, following


def moment_of(areas: VmaList) -> Moment:
    """Return the moment of *areas*; from now on, what calls make of them is remembered."""
    if areas.moment is None:
        areas.moment = Moment(areas.copy())
    return areas.moment
