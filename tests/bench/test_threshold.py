"""What counts as a regression."""

from __future__ import annotations

import pytest

from emu.bench.compare import compare
from emu.bench.cost import Share
from emu.bench.threshold import DEFAULT, BadThreshold, parse, regressions
from tests.bench.recordings import recording, row

OLD = recording(row("runtime.schedinit", 200), row("runtime.osinit", 800))
NEW = recording(row("runtime.schedinit", 210), row("runtime.osinit", 800))
FOUND = compare(OLD, NEW)


@pytest.mark.parametrize(
    ("text", "exceeded"),
    [
        ("0", True),
        ("9", True),
        ("10", False),
        ("1%", False),  # 10 of 1000
        ("0.99%", True),
        ("schedinit=9", True),
        ("schedinit=10", False),
        ("runtime.schedinit=5%", False),
        ("schedinit=4.9%", True),
        ("osinit=0", False),
        ("instructions:osinit=0%", False),
        ("syscalls:0", False),
        ("blocks:schedinit=0", False),
    ],
)
def test_more_than_allowed_is_a_regression(text: str, exceeded: bool) -> None:
    """Ten instructions more of schedinit: 10 of 1,000, and 10 of its 200."""
    assert bool(regressions(FOUND, [parse(text)])) is exceeded


def test_without_thresholds_any_growth_is_a_regression() -> None:
    """Counts are exact, so that one instruction counts; less is none."""
    (grown,) = regressions(FOUND, [DEFAULT])

    assert (grown.function, grown.old, grown.new) == (None, 1000, 1010)
    assert regressions(compare(NEW, OLD), [DEFAULT]) == []


def test_any_function_of_the_program_may_be_watched() -> None:
    """Of one that is no bootstrap function its own instructions and blocks are known."""
    old, new = (recording(row("runtime.malg", n, parts={"runtime.mallocgc": Share(n, 1, 1)})) for n in (5, 8))
    found = compare(old, new)

    assert regressions(found, [parse("runtime.mallocgc=2"), parse("mallocgc=3")])[0].threshold.text == (
        "runtime.mallocgc=2"
    )
    with pytest.raises(BadThreshold, match=r"only instructions and blocks are counted of runtime\.mallocgc"):
        regressions(found, [parse("pages:mallocgc=1")])


def test_renamed_function_is_found_by_both_names() -> None:
    """A gate outlives the release that renames its function."""
    found = compare(recording(row("runtime.getproccount", 10)), recording(row("runtime.getCPUCount", 19)))

    for name in ("getproccount", "getCPUCount"):
        assert [(one.old, one.new) for one in regressions(found, [parse(f"{name}=5")])] == [(10, 19)]


def test_new_function_grew_from_nothing() -> None:
    """Any per cent of nothing is nothing."""
    found = compare(recording(row("runtime.osinit", 10)), recording(row("runtime.osinit", 10), row("runtime.new", 1)))

    assert len(regressions(found, [parse("new=500%")])) == 1


@pytest.mark.parametrize("text", ["", "x", "-1", "1 %", "=5", "osinit=", "osinit=x", "1e3", "5%%", "nan"])
def test_what_is_no_threshold_is_refused(text: str) -> None:
    """The message says what it should look like."""
    with pytest.raises(BadThreshold, match=r"is not \[METRIC:\]\[FUNCTION=\]NUMBER\[%\]"):
        parse(text)


def test_function_that_nobody_has_is_refused() -> None:
    """A gate with a typing mistake must not be open."""
    with pytest.raises(BadThreshold, match="neither recording of server has a function shedinit"):
        regressions(FOUND, [parse("shedinit=500")])


def test_writes_that_were_not_counted_are_no_gate() -> None:
    """Without types there is nothing to compare."""
    found = compare(recording(row("runtime.osinit", 10), typed=False), recording(row("runtime.osinit", 10)))

    with pytest.raises(BadThreshold, match="writes were not counted"):
        regressions(found, [parse("writes:0")])
