"""A campaign's files: whole or not there, shared, made few; coverage as traits."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from emu.fuzz.corpus import TEMPORARY, Corpus
from emu.fuzz.folder import summarise
from emu.fuzz.novelty import Seen, Tally, cover, new_blocks, traits

DEAD = 2**22 + 1  # above the largest process id there can be, proc(5), pid_max


def test_another_process_sees_what_one_adds(tmp_path: Path) -> None:
    """Items come to another user of the folder once, and never back to the one who added them."""
    ours, theirs = Corpus(tmp_path), Corpus(tmp_path)
    ours.add(b"one")
    ours.add(b"two")

    assert ours.fresh() == []
    assert sorted(theirs.fresh()) == [b"one", b"two"]
    assert theirs.fresh() == []
    assert len(theirs) == 2


def test_the_same_content_is_one_item(tmp_path: Path) -> None:
    """Two processes that find the same input write the same file."""
    Corpus(tmp_path).add(b"same")
    Corpus(tmp_path).add(b"same")

    assert len(Corpus(tmp_path)) == 1


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    """Half-written files of the dead go, of the living stay, and neither is an item."""
    dead, alive = tmp_path / f"{TEMPORARY}{DEAD}-x", tmp_path / f"{TEMPORARY}{os.getpid()}-x"
    dead.write_bytes(b"half")
    (tmp_path / f"{TEMPORARY}{DEAD}-folder").mkdir()
    alive.write_bytes(b"half")
    corpus = Corpus(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == [alive.name]
    assert corpus.fresh() == []


def test_removed_items_are_gone(tmp_path: Path) -> None:
    """What a minimised corpus dropped is not handed out again."""
    corpus = Corpus(tmp_path)
    corpus.add(b"one")
    corpus.remove(b"one")

    assert Corpus(tmp_path).fresh() == []


def test_counts_in_the_same_range_are_no_news() -> None:
    """1 and 2 differ, 4 and 7 do not, nor 128 and 255; a block that did not run has no trait."""
    assert traits(b"\x01") != traits(b"\x02")
    assert traits(b"\x04") == traits(b"\x07")
    assert traits(b"\x80") == traits(b"\xff")
    assert traits(b"\0\0\0") == 0


def test_a_block_is_more_than_another_count_of_it() -> None:
    """A second range of a known block is no new block."""
    assert new_blocks(traits(b"\0\x01"), traits(b"\x01"))
    assert not new_blocks(traits(b"\x02\0"), traits(b"\x01"))


def test_only_the_first_sight_is_news() -> None:
    """Coverage that adds a block or a range is news once; a longer map of the same is none."""
    seen = Seen()

    assert [bool(seen.learn(traits(map_))) for map_ in (b"\x01", b"\x01\0", b"\0\x01", b"\x01\x01", b"\x02")] == [
        True, False, True, False, True,
    ]  # fmt: skip
    assert seen.blocks() == 2


@given(st.lists(st.tuples(st.binary(max_size=4), st.integers(0, 255)), unique_by=lambda item: item[0]))
def test_few_items_cover_what_all_do(items: list[tuple[bytes, int]]) -> None:
    """The chosen items have every trait, and none of them can be spared."""
    traits_of = dict(items)
    chosen = cover(items)

    def union(names: list[bytes]) -> int:
        found = 0
        for name in names:
            found |= traits_of[name]
        return found

    assert union(chosen) == union(list(traits_of))
    for name in chosen:
        assert union([other for other in chosen if other != name]) != union(chosen)


def test_a_file_that_is_being_written_is_not_read(tmp_path: Path) -> None:
    """Another process's state, of which nothing is there yet, does not count and does not stop the summary."""
    for name in ("corpus", "findings", "state"):
        (tmp_path / name).mkdir()
    (tmp_path / "state" / f"{TEMPORARY}{os.getpid()}-0.json").write_bytes(b"")
    (tmp_path / "state" / "1.json").write_text('{"executions": 7, "seconds": 2.0, "edges": 3}')

    assert summarise(tmp_path).executions == 7


@given(st.lists(st.integers(0, 2**70), max_size=40), st.integers(0, 80))
def test_a_tally_counts_runs_with_a_trait(runs: list[int], trait: int) -> None:
    """Side by side or one by one, it is the same count."""
    tally = Tally()
    for found in runs:
        tally.add(found)

    assert tally.of(trait) == sum(found >> trait & 1 for found in runs)
