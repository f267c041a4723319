"""Which knob changes which value."""

from __future__ import annotations

from itertools import product

from emu.sweep.influence import influence


def test_full_product() -> None:
    """Each value is a function of some knobs, and exactly those are found."""
    points = [dict(zip("abc", map(str, p), strict=True)) for p in product(range(2), range(3), range(2))]
    columns = {
        "none": ["7"] * 12,
        "of a": [p["a"] for p in points],
        "of b, once": ["x" if p["b"] == "2" and p["a"] == "1" else "y" for p in points],
        "parity": [str((int(p["a"]) + int(p["b"])) % 2) for p in points],
    }

    assert influence(points, columns, ["a", "b", "c"]) == {
        "a": ["of a", "of b, once", "parity"],
        "b": ["of b, once", "parity"],
        "c": [],
    }


def test_knobs_that_move_together() -> None:
    """Where two knobs only ever change at once, nothing can be said of either."""
    points = [{"a": "1", "b": "1"}, {"a": "2", "b": "2"}]

    assert influence(points, {"v": ["1", "2"]}, ["a", "b"]) == {"a": None, "b": None}


def test_some_points_of_a_product() -> None:
    """Two points that differ in one knob are enough for it."""
    points = [{"a": "1", "b": "1"}, {"a": "2", "b": "2"}, {"a": "2", "b": "1"}]

    assert influence(points, {"v": ["1", "2", "1"]}, ["a", "b"]) == {"a": [], "b": ["v"]}


def test_a_point_without_the_knob() -> None:
    """Points that a knob does not reach say nothing of it."""
    points = [{"a": "1"}, {"b": "1"}, {"b": "2"}]

    assert influence(points, {"v": ["1", "2", "3"]}, ["a", "b"]) == {"a": None, "b": ["v"]}
