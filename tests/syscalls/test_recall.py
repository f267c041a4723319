"""Calls that are remembered: made again from a snapshot, they do what they do in a guest that makes them first."""

from __future__ import annotations

import copy
from random import Random

import pytest

from syscalls import abi
from syscalls.errno import ENOMEM
from syscalls.recall import MOST
from syscalls.saved import restore, save
from syscalls.world import World
from tests.syscalls.bytememory import BUFFER, Guest, guest

MMAP, MPROTECT, MUNMAP, MADVISE, PRCTL = 9, 10, 11, 28, 157
BASE, PAGE, N_PAGES = 0x2000_0000, 4096, 64
ANONYMOUS, SHARED = abi.MAP_PRIVATE | abi.MAP_ANONYMOUS, abi.MAP_SHARED | abi.MAP_ANONYMOUS
Call = tuple[int, ...]


def calls(rng: Random, count: int) -> list[Call]:
    """Calls that map, name, advise and unmap within a few pages, or anywhere; some of them fail."""
    made: list[Call] = []
    addr = size = 0
    for _ in range(count):
        if rng.random() < 0.6:  # else what was the last call's is changed as a whole
            addr, size = BASE + PAGE * rng.randrange(N_PAGES), PAGE * rng.randrange(9)
        prot = rng.choice((abi.PROT_NONE, abi.PROT_READ, abi.PROT_READ | abi.PROT_WRITE))
        flags = rng.choice((ANONYMOUS, ANONYMOUS | abi.MAP_NORESERVE, SHARED))
        fixed = rng.choice((0, abi.MAP_FIXED, abi.MAP_FIXED_NOREPLACE))
        made.append(
            rng.choice((
                (MMAP, addr, size, prot, flags | fixed, -1, 0),
                (MMAP, rng.choice((0, addr)), size, prot, flags, -1, 0),
                (MUNMAP, addr, size),
                (MPROTECT, addr, size, prot),
                (MADVISE, addr, size, rng.choice((abi.MADV_HUGEPAGE, abi.MADV_NOHUGEPAGE, abi.MADV_DONTNEED))),
                (PRCTL, abi.PR_SET_VMA, 0, addr, size, BUFFER),
            ))
        )  # fmt: skip
    return made


def done(g: Guest, made: list[Call]) -> dict[str, object]:
    """Their results, the areas that there are then, and what pages hold into some of which something is stored."""
    space, mem = g.kernel.space, g.kernel.mem
    results, held = [], []
    for number, (nr, *args) in enumerate(made):
        results.append(g.call(nr, *args))
        page = BASE + PAGE * (number % N_PAGES)
        area = space.areas.at(page)
        if area is not None and area.prot & abi.PROT_WRITE:
            mem.write(page, bytes([number % 255 + 1]))
    for page in range(BASE, BASE + PAGE * N_PAGES, PAGE):
        area = space.areas.at(page)
        held.append(mem.read(page, 1) if area is not None and area.prot & abi.PROT_READ else None)
    areas = [(*area[:4], type(area.backing), *area[5:]) for area in space.areas]
    return {"results": results, "areas": areas, "size": space.areas.size, "peak": space.peak, "held": held}


def memory(g: Guest) -> dict[str, object]:
    """All that there is of the guest's memory."""
    return vars(g.kernel.mem)


@pytest.mark.parametrize("seed", range(60))
def test_from_a_snapshot_calls_do_what_they_did_at_first(seed: int) -> None:
    rng = Random(seed)
    g, other = guest(World()), guest(World())
    label, before = g.put(b"Go: heap\0"), calls(rng, rng.randrange(12))
    assert other.put(b"Go: heap\0") == label
    for each in (g, other):
        done(each, before)
    choices = [calls(rng, rng.randrange(1, 16)) for _ in range(3)]
    state, held = save(g.kernel), copy.deepcopy(memory(g))
    first = []
    for made in choices:
        first.append(done(g, made))
        restore(g.kernel, state)
        memory(g).update(copy.deepcopy(held))
    assert done(other, choices[0]) == first[0]

    for number in (0, 1, 0, 2, 1, 2):
        assert done(g, choices[number]) == first[number]
        restore(g.kernel, state)
        memory(g).update(copy.deepcopy(held))


def test_a_call_that_was_made_before_is_looked_up() -> None:
    """And not where a limit is another one by then."""
    g = guest(World())
    state = save(g.kernel)
    moment = g.kernel.space.areas.moment
    assert moment is not None
    call = (MMAP, 0, PAGE, abi.PROT_READ, ANONYMOUS, -1, 0)
    at = g.call(*call)
    ((result, following),) = moment.known.values()
    assert (result, following.areas.areas) == (at, g.kernel.space.areas.areas)
    restore(g.kernel, state)
    assert g.call(*call) == at
    assert g.kernel.space.areas.moment is following
    restore(g.kernel, state)
    g.kernel.rlimits[abi.RLIMIT_AS] = (0, 0)
    assert g.call(*call) == -ENOMEM


def test_no_more_is_remembered_than_there_is_room_for() -> None:
    g = guest(World())
    save(g.kernel)
    for number in range(MOST + 50):
        assert g.call(MMAP, BASE + 2 * PAGE * number, PAGE, abi.PROT_READ, ANONYMOUS | abi.MAP_FIXED, -1, 0) > 0
    assert g.kernel.space.areas.moment is None
