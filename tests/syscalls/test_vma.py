"""The list of areas against a plain dictionary of pages, under random maps, unmaps and changes."""

from __future__ import annotations

import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syscalls.program import ProgramFile
from syscalls.vma import GROWSDOWN, STACK_GUARD_GAP, Vma, VmaList, maps_line

N_PAGES = 24
PAGE = 4096

spans = st.tuples(st.integers(0, N_PAGES - 1), st.integers(1, 8)).map(
    lambda pair: (pair[0] * PAGE, min(pair[0] + pair[1], N_PAGES) * PAGE)
)
steps = st.lists(st.tuples(st.sampled_from(["map", "unmap", "protect", "name"]), spans, st.integers(0, 3)), max_size=30)


def apply(areas: VmaList, model: dict[int, tuple[int, str]], step: tuple[str, tuple[int, int], int]) -> None:
    """Do one step to the list and to the model: page -> (permissions, name)."""
    kind, (lo, hi), value = step
    pages = range(lo // PAGE, hi // PAGE)
    if kind == "map":
        areas.remove(lo, hi)
        areas.insert(Vma(lo, hi, value))
        model.update(dict.fromkeys(pages, (value, "")))
    elif kind == "unmap":
        areas.remove(lo, hi)
        for page in pages:
            model.pop(page, None)
    elif kind == "protect":
        areas.change(lo, hi, lambda area: area._replace(prot=value))
        model.update({page: (value, model[page][1]) for page in pages if page in model})
    else:
        areas.change(lo, hi, lambda area: area._replace(name=str(value)))
        model.update({page: (model[page][0], str(value)) for page in pages if page in model})


@given(steps)
def test_areas_equal_the_pages(sequence: list[tuple[str, tuple[int, int], int]]) -> None:
    """After every step: same pages, sorted, disjoint, merged as far as they go, and the size is right."""
    areas = VmaList()
    model: dict[int, tuple[int, str]] = {}
    for step in sequence:
        apply(areas, model, step)
        listed = {
            page: (area.prot, area.name) for area in areas for page in range(area.start // PAGE, area.end // PAGE)
        }
        assert listed == model
        assert areas.starts == [area.start for area in areas]
        assert areas.size == PAGE * len(model)
        ordered = list(areas)
        for first, second in itertools.pairwise(ordered):
            assert first.end <= second.start
            assert not second.continues(first)


@given(steps, spans)
def test_questions_equal_the_pages(sequence: list[tuple[str, tuple[int, int], int]], span: tuple[int, int]) -> None:
    """overlaps, covers, at, pieces and the gaps answer as a look at every page does."""
    areas = VmaList()
    model: dict[int, tuple[int, str]] = {}
    for step in sequence:
        apply(areas, model, step)
    lo, hi = span
    pages = [page in model for page in range(lo // PAGE, hi // PAGE)]

    assert areas.overlaps(lo, hi) == any(pages)
    assert areas.covers(lo, hi) == all(pages)
    assert sum(piece.end - piece.start for piece in areas.pieces(lo, hi)) == PAGE * sum(pages)
    assert (areas.at(lo) is not None) == pages[0]
    size = hi - lo
    fits = [at for at in range(0, N_PAGES * PAGE - size + 1, PAGE) if not areas.overlaps(at, at + size)]
    assert areas.gap_below(N_PAGES * PAGE, 0, size, PAGE) == (fits[-1] if fits else None)
    assert areas.gap_above(0, N_PAGES * PAGE, size, PAGE) == (fits[0] if fits else None)
    wide = [at for at in fits if at % (4 * PAGE) == 0]
    assert areas.gap_below(N_PAGES * PAGE, 0, size, 4 * PAGE) == (wide[-1] if wide else None)
    assert areas.gap_above(0, N_PAGES * PAGE, size, 4 * PAGE) == (wide[0] if wide else None)


@pytest.mark.parametrize("seed", range(20))
def test_what_searches_remember_changes_no_answer(seed: int) -> None:
    """A list that has found room many times finds it where one finds it that never looked before."""
    rng, areas = Random(seed), VmaList()
    for _ in range(150):
        low = rng.randrange(10, 200) * PAGE
        high = low + rng.randrange(1, 9) * PAGE
        kind = rng.random()
        if kind < 0.25:
            areas.remove(low, high)
        elif kind < 0.5:
            areas.change(low, high, lambda area: area._replace(prot=area.prot ^ 2))
        else:
            search = rng.choice((150, 200)) * PAGE, 10 * PAGE, rng.choice((1, 1, 2, 5, 16)) * PAGE, PAGE
            found = areas.gap_below(*search)
            assert found == VmaList(areas.areas).gap_below(*search)
            if found is not None:
                areas.insert(Vma(found, found + search[2], rng.choice((1, 3))))


def test_a_stack_keeps_its_gap_free() -> None:
    """A megabyte below a mapping that grows down is neither given out nor free for a hint."""
    top = 0x100_0000
    areas = VmaList([Vma(top, top + PAGE, 3, GROWSDOWN)])

    assert areas.gap_below(top + PAGE, 0, PAGE, PAGE) == top - STACK_GUARD_GAP - PAGE
    assert areas.gap_below(top, 0, PAGE, PAGE) == top - STACK_GUARD_GAP - PAGE
    assert not areas.is_free(top - STACK_GUARD_GAP, top - STACK_GUARD_GAP + PAGE)
    assert areas.is_free(top - STACK_GUARD_GAP - PAGE, top - STACK_GUARD_GAP)


def test_file_offsets_follow_splits_and_block_merges() -> None:
    """A split file mapping shows the right offset on both sides; equal neighbours with a jump between stay apart."""
    file = ProgramFile("/bin/x", bytes)
    areas = VmaList([Vma(0x1000, 0x5000, 5, 0, file, 0x8000)])
    areas.remove(0x2000, 0x3000)

    assert [(area.start, area.end, area.offset) for area in areas] == [
        (0x1000, 0x2000, 0x8000),
        (0x3000, 0x5000, 0xA000),
    ]
    areas.insert(Vma(0x2000, 0x3000, 5, 0, file, 0x9000))
    assert [(area.start, area.end, area.offset) for area in areas] == [(0x1000, 0x5000, 0x8000)]
    areas.remove(0x2000, 0x3000)
    areas.insert(Vma(0x2000, 0x3000, 5, 0, file, 0))
    assert len(areas) == 3


def test_a_copy_is_independent() -> None:
    """What is done to the original does not show in the copy."""
    areas = VmaList([Vma(0, PAGE, 1)])
    twin = areas.copy()
    areas.remove(0, PAGE)

    assert (len(areas), areas.size, len(twin), twin.size) == (0, 0, 1, PAGE)


def test_lines_are_linux_s_own() -> None:
    """Columns and padding as on Linux 6.18 (copied from a /proc/self/maps there)."""
    cat = ProgramFile("/usr/bin/cat", bytes, (0xFE, 0), 260131)

    assert maps_line(Vma(0x56347C92B000, 0x56347C930000, 1, 0, cat, 0x7000)) == (
        "56347c92b000-56347c930000 r--p 00007000 fe:00 260131                     /usr/bin/cat\n"
    )
    assert maps_line(Vma(0x7FFCE905D000, 0x7FFCE907E000, 3, GROWSDOWN, name="[stack]")) == (
        "7ffce905d000-7ffce907e000 rw-p 00000000 00:00 0                          [stack]\n"
    )
    assert maps_line(Vma(0x7FFCE905D000, 0x7FFCE907E000, 0)) == "7ffce905d000-7ffce907e000 ---p 00000000 00:00 0 \n"


def test_a_search_that_says_more_replaces_what_it_says() -> None:
    """A later search for less that found a lower place is all that is remembered, and finds the same as a new list."""
    areas = VmaList([Vma(0x50000, 0x60000, 1), Vma(0x30000, 0x48000, 1)])
    assert areas.gap_below(0x70000, 0x1000, 0x10000, 0x1000) == 0x60000
    areas.insert(Vma(0x60000, 0x70000, 3))
    assert areas.gap_below(0x70000, 0x1000, 0x9000, 0x1000) == 0x27000
    assert len(areas._full) == 1

    for size in (0x8000, 0x9000, 0x10000):
        assert areas.gap_below(0x70000, 0x1000, size, 0x1000) == VmaList(areas.areas).gap_below(
            0x70000, 0x1000, size, 0x1000
        )


def test_changing_a_whole_area_merges_it_with_both_neighbours() -> None:
    """As does a change of a part: the areas are those of a list that was made so."""
    areas = VmaList([Vma(0, 8, 3), Vma(8, 16, 1), Vma(16, 24, 3), Vma(32, 40, 3)])
    areas.change(8, 16, lambda area: area._replace(prot=3))

    assert list(areas) == [Vma(0, 24, 3), Vma(32, 40, 3)]
    assert areas.starts == [0, 32]
    assert areas.size == 32
