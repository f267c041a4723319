"""What coverage was seen so far: for each block, in which of eight ranges its counts have been.

The ranges are AFL's: a loop that runs twice instead of once is news, one that runs 130 times instead of 129 is not.
"""

from __future__ import annotations

_RANGES = ((1, 1), (2, 2), (3, 3), (4, 7), (8, 15), (16, 31), (32, 127), (128, 255))
BITS = bytes(
    next((1 << bit for bit, (low, high) in enumerate(_RANGES) if low <= count <= high), 0) for count in range(256)
)
"""From a count to the bit of its range."""


def ranges(coverage: bytes) -> bytes:
    """Return *coverage*, a count for each block, with the bit of its range for each."""
    return coverage.translate(BITS)


def traits(coverage: bytes) -> int:
    """Return *coverage*, a count for each block, as one integer with a bit for each block and range."""
    return int.from_bytes(ranges(coverage), "little")


def new_blocks(news: int, before: int) -> list[int]:
    """Return the number of each block that *news*, traits, tell of and that the traits *before* had not."""
    size = -(-max(news.bit_length(), before.bit_length()) // 8)
    pairs = zip(news.to_bytes(size, "little"), before.to_bytes(size, "little"), strict=True)
    return [number for number, (new, old) in enumerate(pairs) if new and not old]


class Seen:
    """The union of all traits; blocks are numbered for the life of a process, so it is never stored."""

    def __init__(self) -> None:
        self.union = 0

    def learn(self, found: int) -> int:
        """Add the traits *found*; return those that are new."""
        new = found & ~self.union
        self.union |= new
        return new

    def blocks(self) -> int:
        """How many blocks were ever executed."""
        raw = self.union.to_bytes(-(-self.union.bit_length() // 8), "little")
        return len(raw) - raw.count(0)


class Tally:
    """In how many of some runs each trait was: the counters of all traits side by side, one bit of each an integer."""

    def __init__(self) -> None:
        self._digits: list[int] = []  # the lowest first

    def add(self, found: int) -> None:
        """Count a run with the traits *found*."""
        for place, digit in enumerate(self._digits):
            self._digits[place], found = digit ^ found, digit & found
            if not found:
                return
        if found:
            self._digits.append(found)

    def of(self, trait: int) -> int:
        """How many runs had the trait with that number."""
        return sum((digit >> trait & 1) << place for place, digit in enumerate(self._digits))


def cover(items: list[tuple[bytes, int]]) -> list[bytes]:
    """Choose few of *items* (input, traits) that together have all traits: shortest first, each that adds something.

    Going backwards over the chosen ones then drops those that later ones made superfluous.
    """
    chosen: list[tuple[bytes, int]] = []
    union = 0
    for data, found in sorted(items, key=lambda item: (len(item[0]), item[0])):
        if found | union != union:
            union |= found
            chosen.append((data, found))
    kept: list[bytes] = []
    covered = 0
    for index in range(len(chosen) - 1, -1, -1):
        before = 0
        for _, found in chosen[:index]:
            before |= found
        if chosen[index][1] & ~(covered | before):
            covered |= chosen[index][1]
            kept.append(chosen[index][0])
    return kept[::-1]
