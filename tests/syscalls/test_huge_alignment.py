"""Where mmap puts large anonymous mappings: aligned for huge pages by newer kernels, packed by older ones."""

from __future__ import annotations

import pytest

from syscalls.numbers import NUMBERS
from syscalls.world import Thp, Uname, World
from tests.syscalls.bytememory import guest

MMAP, PRIVATE, SHARED = NUMBERS["mmap"], 0x22, 0x21  # MAP_ANONYMOUS with MAP_PRIVATE or MAP_SHARED
MIB = 1 << 20
NEW = World(uname=Uname(release="6.18.0"))
MIDDLE = World(uname=Uname(release="6.7.0"))


def starts(world: World, *sizes: int, flags: int = PRIVATE, hint: int = 0) -> list[int]:
    """Map *sizes* one after the other and return each start's distance below the first mapping's end."""
    g = guest(world)
    found = [g.call(MMAP, hint, size, 3, flags, -1, 0) for size in sizes]
    top = found[0] + sizes[0]
    return [top - start for start in found]


def test_old_kernels_pack() -> None:
    """Linux 6.1, the default World's, puts each mapping right below the last one."""
    assert starts(World(), 4096, 4 * MIB, 2 * MIB) == [4096, 4096 + 4 * MIB, 4096 + 6 * MIB]


def test_whole_huge_pages_are_aligned() -> None:
    """From Linux 6.7 on they start at a multiple of 2 MiB, and later small mappings fill what was left free above."""
    g = guest(NEW)
    small = g.call(MMAP, 0, 4096, 3, PRIVATE, -1, 0)
    large = g.call(MMAP, 0, 4 * MIB, 3, PRIVATE, -1, 0)

    assert large == (small - 4 * MIB) // (2 * MIB) * (2 * MIB)
    assert g.call(MMAP, 0, 4096, 3, PRIVATE, -1, 0) == small - 4096


def test_aligned_mappings_follow_each_other_without_a_gap() -> None:
    """Room that begins at a multiple of 2 MiB is used from its second one on: nothing is wasted between the two."""
    assert starts(NEW, 2 * MIB, 8 * MIB, 64 * MIB) == [2 * MIB, 10 * MIB, 74 * MIB]


@pytest.mark.parametrize(("world", "aligned"), [(NEW, False), (MIDDLE, True)])
def test_other_sizes_are_aligned_only_by_the_first_such_kernels(world: World, aligned: bool) -> None:
    """3 MiB are no whole number of huge pages: 6.7 aligned them all the same, 6.13 does not."""
    start = guest(world).call(MMAP, 0, 3 * MIB, 3, PRIVATE, -1, 0)

    assert (start % (2 * MIB) == 0) is aligned


@pytest.mark.parametrize(
    ("world", "flags", "hint"),
    [
        (World(uname=NEW.uname, thp=Thp(pmd_size=None)), PRIVATE, 0),
        (NEW, SHARED, 0),
        (NEW, PRIVATE, 0x1234_5000),
    ],
    ids=["no huge pages", "shared", "hint"],
)
def test_what_is_never_aligned(world: World, flags: int, hint: int) -> None:
    """A kernel without huge pages, shared memory, and a hint that can be honoured."""
    assert guest(world).call(MMAP, hint, 2 * MIB, 3, flags, -1, 0) % (2 * MIB) != 0
