"""Laying out lines: wrapping, right edges, tree lines, colours."""

from __future__ import annotations

import pytest

from emu.report.paper import Paper, plain, wrapped


def test_words_are_wrapped_under_the_rest() -> None:
    """Every line but the first begins with what stands for the rest, and none is wider than the paper."""
    lines = list(Paper(40).lay([("", "one two three four five six seven eight nine ten")], "* ", "  "))

    assert lines == ["* one two three four five six seven", "  eight nine ten"]


def test_a_long_word_is_broken() -> None:
    """A path or a number that is wider than the paper does not run over its edge."""
    lines = list(Paper(40).lay([("", "x" * 50 + " end")]))

    assert lines == ["x" * 40, "x" * 10 + " end"]


@pytest.mark.parametrize("width", range(40, 130, 7))
def test_no_line_is_wider_than_the_paper(width: int) -> None:
    """Whatever the width, with text at the right edge or without."""
    spans = [
        ("name", "runtime.vdsoauxv"),
        ("", "(tag = AT_SYSINFO_EHDR, val = 0x7ffff7ffd000)"),
        ("value", " -> " + "9" * 70),
    ]
    lines = list(Paper(width).lay(spans, "│  ├─ ", "│  │     ", "runtime/vdso_linux.go:272  1,068 (29 own)"))

    assert max(map(len, lines)) <= width
    assert "".join("".join(lines).split()).count("9") >= 70


def test_the_right_edge() -> None:
    """What belongs to the right stands there, the rest is wrapped beside it; else it gets a line of its own."""
    assert list(Paper(40).lay([("", "left")], right="right")) == ["left" + " " * 31 + "right"]
    assert list(Paper(40).lay([("", "l" * 30 + " more")], rest="  ", right="right")) == [
        "l" * 30 + "     right",
        "  more",
    ]
    assert list(Paper(40).lay([("", "l" * 38)], rest="  ", right="right")) == ["l" * 38, " " * 35 + "right"]


def test_colours_only_where_wanted() -> None:
    """A style adds its code around the text, and nothing without colours."""
    assert list(Paper(40, colour=True).lay([("name", "x")])) == ["\x1b[1mx\x1b[0m"]
    assert list(Paper(40).lay([("name", "x")])) == ["x"]


def test_tree_lines_without_boxes() -> None:
    """An encoding without box lines gets plain ones of the same width."""
    boxes, without = Paper(), Paper(boxes=False)

    assert [boxes.branch(True), boxes.branch(False), boxes.stem(True)] == ["└─ ", "├─ ", "│  "]
    assert [without.branch(True), without.branch(False), without.stem(True)] == ["`- ", "|- ", "|  "]
    assert boxes.stem(False) == without.stem(False) == "   "


def test_a_key_with_its_value_is_not_torn() -> None:
    """It goes to the next line as a whole; one that is wider than that is broken like anything else."""
    assert list(Paper(40).lay([("", "x" * 30), ("world", "  World: cpus = 0-1")])) == ["x" * 30, "World: cpus = 0-1"]
    assert list(Paper(40).lay([("world", "World: " + "y" * 60)])) == ["World:", "y" * 40, "y" * 20]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("read(3, 20) = 8", ["read(3,", "20) = 8"]),
        ("0 -> 1  # meaning", ["0 -> 1", "# meaning"]),
        ("> openat(x)", ["> openat(x)"]),
        ("<- " + "y" * 12, ["<- " + "y" * 9, "yyy"]),
        ("long.name.of = value", ["long.name.of", "= value"]),
    ],
)
def test_marks_do_not_end_a_line(text: str, lines: list[str]) -> None:
    """A result stays with its call, a meaning with its mark, where they fit on a line together."""
    assert [plain(line) for line in wrapped([("", text)], 12)] == lines


def test_a_style_is_written_once() -> None:
    """Neighbours of one style, and blanks between them, are one run of it."""
    spans = [("name", "a"), ("name", "b "), ("", " "), ("name", "c"), ("", "d")]

    assert list(Paper(40, colour=True).lay(spans)) == ["\x1b[1mab  c\x1b[0md"]


@pytest.mark.parametrize("boxes", [True, False])
def test_a_narrow_tree_is_drawn_with_less(boxes: bool) -> None:
    """Two columns a level instead of three, still telling the last child from the others."""
    paper = Paper(40, boxes=boxes)

    assert len({paper.branch(True), paper.branch(False), paper.stem(True), paper.stem(False)}) >= 3
    assert {len(x) for x in (paper.branch(True), paper.branch(False), paper.stem(True), paper.stem(False))} == {2}


def test_wrapping_keeps_the_words() -> None:
    """Spans may end in the middle of a line; blanks at line ends are dropped."""
    lines = wrapped([("a", "one two "), ("b", "three")], 9)

    assert [plain(line) for line in lines] == ["one two", "three"]
    assert [line[0][0] for line in lines] == ["a", "b"]
