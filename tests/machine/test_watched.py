"""Blocks that the native counter watches: told of before they begin, and counted as ever."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import pytest

from tests.machine.bare import CODE, Bare


def watched(bare: Bare, seen: list[tuple[int, int, int]], act: Callable[[int], None] = lambda _: None) -> None:
    """Let *bare* put down (address, bytes, instructions before) of each watched block that begins; then *act*."""

    def told(_uc: int, pc: int, size: int, _data: int) -> None:
        seen.append((pc, size, bare.counter.instructions() + bare.counter.block_size()))
        act(pc)

    bare.told = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p)(told)
    bare.counter.on_watched(ctypes.cast(bare.told, ctypes.c_void_p).value)


LOOP_OF_3 = bytes.fromhex("b903000000 ffc9 75fc 90")  # mov ecx, 3; loop: dec ecx; jnz loop; nop


def test_watched_blocks_are_told_of_before_they_begin() -> None:
    """Each time, with what was counted until then; where emulation ends no block begins; counts are as ever."""
    bare, seen = Bare(LOOP_OF_3), list[tuple[int, int, int]]()
    watched(bare, seen)
    for pc in (CODE + 5, CODE + 9, CODE + 10):
        bare.counter.watch(pc)
    bare.run(CODE, CODE + 10)

    assert seen == [(CODE + 5, 4, 3), (CODE + 5, 4, 5), (CODE + 9, 1, 7)]
    assert bare.total() == 8
    assert sorted(bare.counter.profile()) == [(CODE, 3, 9, 1), (CODE + 5, 2, 4, 2), (CODE + 9, 1, 1, 1)]


def test_a_block_is_watched_no_longer() -> None:
    """Also if it was translated when it was; the others still are, however many there were."""
    bare, seen = Bare(LOOP_OF_3), list[tuple[int, int, int]]()
    watched(bare, seen)
    for pc in (CODE + 5, CODE + 9, *range(2, 2000)):
        bare.counter.watch(pc)
    bare.run(CODE, CODE + 10)
    del seen[:]
    for pc in (CODE + 5, *range(2, 2000)):
        bare.counter.unwatch(pc)
    bare.run(CODE, CODE + 10)

    assert [pc for pc, _, _ in seen] == [CODE + 9]
    assert bare.total() == 16


def test_a_watcher_may_stop_the_engine_before_the_block() -> None:
    """Nothing of the block ran; it is told of once more when the guest goes on."""
    bare, seen = Bare(LOOP_OF_3), list[tuple[int, int, int]]()
    watched(bare, seen, lambda pc: bare.uc.emu_stop() if pc == CODE + 9 and len(seen) == 3 else None)
    bare.counter.watch(CODE + 5)
    bare.counter.watch(CODE + 9)
    bare.run(CODE, CODE + 10)

    assert (bare.read("rip"), bare.total()) == (CODE + 9, 7)

    bare.run(CODE + 9, CODE + 10)

    assert [pc for pc, _, _ in seen] == [CODE + 5, CODE + 5, CODE + 9, CODE + 9]
    assert bare.total() == 8


def test_no_block_starts_at_the_lowest_addresses() -> None:
    """They mark places of the table that are free."""
    for pc in (0, 1):
        with pytest.raises(ValueError, match="no block starts there"):
            Bare(b"\x90").counter.watch(pc)
