"""Sets of CPUs, as masks, lists and counts write them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CpuSet:
    """An immutable set of CPU numbers, kept as a mask: bit *n* is CPU *n*."""

    mask: int

    @classmethod
    def first(cls, count: int) -> CpuSet:
        """Return CPUs 0 to *count* - 1."""
        return cls((1 << count) - 1)

    def __len__(self) -> int:
        return self.mask.bit_count()

    @property
    def highest(self) -> int:
        """The largest CPU number; -1 for the empty set."""
        return self.mask.bit_length() - 1
