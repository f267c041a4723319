"""What moved between two recordings, and why."""

from __future__ import annotations

import pytest

from emu.bench.compare import (
    CALLEE,
    CALLS,
    CODE,
    GONE,
    MOVED,
    NEW,
    RENAMED,
    SYSCALL,
    Cause,
    Moved,
    as_dict,
    compare,
    pair_programs,
)
from emu.bench.cost import Cost, Share
from emu.bench.recording import Row
from emu.bench.text import lines
from emu.boot.renames import DESCENT, renamed
from tests.bench.recordings import recording, row

OUTER = "runtime.schedinit"


def moved(old: Row | None, new: Row | None) -> Moved:
    """The only function that moved, of programs of one more function that stays."""
    stays = row("runtime.args", 7)
    found = compare(
        recording(stays, *([old] if old else [])),
        recording(stays, *([new] if new else [])),
    )
    (one,) = found.moved
    return one


def test_equal_recordings_do_not_differ() -> None:
    """Nothing moved, whatever the programs are called."""
    found = compare(recording(row("runtime.args", 7)), recording(row("runtime.args", 7), name="other"))

    assert (found.moved, found.program, found.world) == ((), (), ())
    assert "Nothing moved." in list(lines(found, [], 80))


def test_more_code_of_its_own() -> None:
    """The function itself executed more."""
    one = moved(row("runtime.goargs", 100), row("runtime.goargs", 150))

    assert (one.status, one.by_itself) == ("changed", True)
    assert one.causes == (Cause(CODE, "runtime.goargs", 100, 150, (1, 1)),)


def test_more_calls() -> None:
    """It was called more often, and by whom."""
    one = moved(
        row("runtime.lock2", 10),
        row("runtime.lock2", 30, callers={OUTER: 2, "runtime.newproc": 1}, parts={"runtime.lock2": Share(30, 3, 3)}),
    )

    assert one.causes == (
        Cause(CALLS, OUTER, 1, 2),
        Cause(CALLS, "runtime.newproc", 0, 1),
        Cause(CODE, "runtime.lock2", 10, 30, (1, 3)),
    )


def test_another_caller_of_as_many_calls_is_no_cause() -> None:
    """A caller that was inlined changes nothing."""
    found = compare(
        recording(row("runtime.lock2", 10)), recording(row("runtime.lock2", 10, callers={"runtime.lock": 1}))
    )

    assert found.moved == ()


def test_more_system_calls() -> None:
    """Which, and how many."""
    more = row("runtime.osinit", 20, syscalls={"openat": 2, "uname": 1})
    more.own.syscalls = more.total.syscalls = 3
    one = moved(row("runtime.osinit", 20, syscalls={"openat": 1}), more)

    assert one.causes == (Cause(SYSCALL, "openat", 1, 2), Cause(SYSCALL, "uname", 0, 1))


def test_work_of_another_function_of_the_program() -> None:
    """Named with its calls, the larger change first."""
    one = moved(
        row("runtime.malg", 60, parts={"runtime.malg": Share(10, 1, 1), "runtime.memclr": Share(50, 2, 2)}),
        row("runtime.malg", 115, parts={"runtime.malg": Share(15, 1, 1), "runtime.memclr": Share(100, 4, 4)}),
    )

    assert one.causes == (
        Cause(CODE, "runtime.memclr", 50, 100, (2, 4)),
        Cause(CODE, "runtime.malg", 10, 15, (1, 1)),
    )


def test_work_that_moved() -> None:
    """As much less of the same function within another one: the total stays, and both say where it went."""
    heap = {"runtime.grow": Share(40, 1, 1)}
    found = compare(
        recording(row("runtime.malg", 40, parts=heap), row("runtime.goargs", 9)),
        recording(
            row("runtime.malg", 0, parts={}),
            row("runtime.goargs", 49, parts={"runtime.goargs": Share(9, 1, 1), **heap}),
        ),
    )

    causes = {one.name: one.causes for one in found.moved}
    assert causes["runtime.goargs"] == (Cause(MOVED, "runtime.grow", 0, 40, (0, 1), "runtime.malg"),)
    assert causes["runtime.malg"] == (Cause(MOVED, "runtime.grow", 40, 0, (1, 0), "runtime.goargs"),)
    assert "runtime.grow: +40, not executed before; as much less within runtime.malg" in "\n".join(lines(found, [], 99))


def test_what_a_callee_costs() -> None:
    """A function whose own cost did not change names the callee, and stands apart."""
    found = compare(
        recording(row(OUTER, 5, 105, callers={}), row("runtime.goargs", 100, within={OUTER: 100})),
        recording(row(OUTER, 5, 155, callers={}), row("runtime.goargs", 150, within={OUTER: 150})),
    )
    outer = next(one for one in found.moved if one.name == OUTER)

    assert [one.name for one in found.moved] == ["runtime.goargs", OUTER]
    assert (outer.by_itself, outer.causes) == (False, (Cause(CALLEE, "runtime.goargs", 100, 150),))
    assert list(lines(found, [], 80))[-1] == "And with what they call: runtime.schedinit +50"


def test_new_and_gone() -> None:
    """A function of one side only costs all or nothing."""
    new, gone = moved(None, row("runtime.randinit", 30)), moved(row("runtime.msigsave", 30), None)

    assert (new.status, new.own, gone.status, gone.own) == (NEW, (Cost(), Cost(30)), GONE, (Cost(30), Cost()))


@pytest.mark.parametrize("old_is_older", [True, False])
def test_renamed(old_is_older: bool) -> None:
    """The same function under another name is one function, whichever release is the older."""
    names = ("runtime.getproccount", "runtime.getCPUCount")
    before, after = names if old_is_older else names[::-1]
    one = moved(row(before, 10), row(after, 12))

    assert (one.status, one.was, one.name) == (RENAMED, before, after)
    assert one.own == (Cost(10), Cost(12))


def test_no_name_stands_for_two_functions() -> None:
    """Where both names are in one program they are two functions, and no name is in two lines of descent."""
    names = [name for line in DESCENT for name in line]

    assert len(set(names)) == len(names)
    assert renamed(["runtime.lock"], ["runtime.lock", "runtime.lock2"]) == {}
    assert renamed(["runtime.atoi"], ["internal/strconv.ParseInt"]) == {"internal/strconv.ParseInt": "runtime.atoi"}


def test_worlds_that_differ_are_said() -> None:
    """Key by key, with what was in both."""
    found = compare(
        recording(row("runtime.args", 7), world={"cpus": "0-1", "thp": {"pmd-size": 2097152}}),
        recording(row("runtime.args", 7), world={"cpus": "0-2", "thp": {"pmd-size": None}}),
    )

    assert found.world == (("cpus", "0-1", "0-2"), ("thp.pmd-size", 2097152, None))
    assert "The Worlds differ: cpus (0-1 -> 0-2), thp.pmd-size (2097152 -> absent)" in "\n".join(lines(found, [], 99))


def test_names_that_differ_are_said() -> None:
    """Start-up reads argv[0]: no small difference should be a riddle.  A World that fixes it settles that."""
    hint = "  The names differ, and with them argv[0], which lies on the stack."
    for world, said in (({}, True), ({"argv": ["x"]}, False)):
        sides = (recording(row("runtime.args", 7), name=name, world=world) for name in ("a", "b"))
        assert (hint in list(lines(compare(*sides), [], 100))) is said


def test_writes_that_one_side_did_not_count_are_no_change() -> None:
    """A stripped twin without types has fewer writes only because nobody looked."""
    written = row("runtime.args", 7)
    written.own.writes = written.total.writes = 5
    found = compare(recording(written), recording(row("runtime.args", 7), typed=False))

    assert found.moved == ()
    assert "writes" not in as_dict(found)["totals"]


def test_programs_are_paired_by_name() -> None:
    """One of each is a pair whatever the names; more are paired by name and order, and the rest is said."""
    a, b, other = (recording(name=name) for name in ("a", "b", "a"))

    assert pair_programs([a], [b]) == ([(a, b)], [], [])
    assert pair_programs([a, b], [other]) == ([(a, other)], ["b"], [])
    assert pair_programs([b, a], [a, a]) == ([(a, a)], ["b"], ["a"])


def test_most_is_first() -> None:
    """By the size of the change, up or down."""
    found = compare(
        recording(*(row(f"runtime.f{i}", 100) for i in range(4))),
        recording(*(row(f"runtime.f{i}", 100 + change) for i, change in enumerate((3, -50, 0, 20)))),
    )

    assert [one.name for one in found.moved] == ["runtime.f1", "runtime.f3", "runtime.f0"]
    assert [name for name, _, _ in found.program] == ["runtime.f1", "runtime.f3", "runtime.f0"]


def test_long_lists_are_folded_and_lines_are_no_wider_than_the_screen() -> None:
    """The screen shows the largest; --all shows all."""
    found = compare(
        recording(*(row(f"runtime.function{i}", 100) for i in range(40))),
        recording(*(row(f"runtime.function{i}", 200 + i) for i in range(40))),
    )
    folded, whole = list(lines(found, [], 60)), list(lines(found, [], 60, every=True))

    assert "  ... and 10 more functions (--all shows them)" in folded
    assert sum("runtime.function" in line for line in whole) == 40
    assert max(map(len, folded + whole)) <= 75  # the table of totals is as wide as its numbers
