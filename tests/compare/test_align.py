"""Calls of one boot brought together with those of another: by order, by lineage, by the call around them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from emu.boot.catalogue import BY_NAME
from emu.boot.reader import Missing, locate
from emu.boot.record import BootRecord, FunctionCall
from emu.compare import lineage
from emu.compare.align import align
from emu.compare.values import aligned, changed_leaves, difference
from tests.booted import booted, image_of

Unit = tuple[list[str], list[str]]


# Fields of 1.17 and 1.18, which the pacer of 1.19 does without (mgcpacer.go); no fixture is of those releases.
GONE_BY_1_19 = ("runtime.gcController.triggerRatio",)


def call(name: str, parent: int | None = None) -> FunctionCall:
    """A call of *name* that did nothing."""
    return FunctionCall(name, None, 0, parent, 0, "", 0, False, 1, 1, True, {}, [], [], [])


def units(a: list[FunctionCall], b: list[FunctionCall]) -> list[Unit]:
    return [([a[i].name for i in unit.a], [b[j].name for j in unit.b]) for unit in align(a, b)]


def chains(record: BootRecord) -> list[str]:
    return [call.name for call in record.functions]


def test_calls_of_one_name_are_matched_in_order() -> None:
    """One more call of a function that is called often costs one unit, not all."""
    a = [call("main"), *[call("f")] * 3, call("g")]
    b = [call("main"), *[call("f")] * 4, call("g")]

    assert units(a, b) == [
        (["main"], ["main"]), *[(["f"], ["f"])] * 3, ([], ["f"]), (["g"], ["g"]),
    ]  # fmt: skip


def test_a_function_at_another_place_moved() -> None:
    """It stands where the second record has it, once."""
    a, b = [call(name) for name in "abcd"], [call(name) for name in "acdb"]

    found = align(a, b)

    assert [(unit.a, unit.b, unit.moved) for unit in found if unit.moved] == [([1], [3], True)]
    assert len(found) == 4


def test_a_split_function_takes_all_its_parts() -> None:
    a = [call("runtime.schedinit"), call("runtime.parsedebugvars", 0)]
    b = [
        call("runtime.schedinit"),
        call("runtime.parseRuntimeDebugVars", 0),
        call("runtime.finishDebugVarsSetup", 0),
    ]
    parts = ["runtime.parseRuntimeDebugVars", "runtime.finishDebugVarsSetup"]

    assert units(a, b)[1:] == [(["runtime.parsedebugvars"], parts)]
    assert units(b, a)[1:] == [(parts, ["runtime.parsedebugvars"])]


def test_an_inlined_function_belongs_to_the_call_around_it() -> None:
    """Up to the first that the other side has, too; what it called itself stays."""
    a = [call("runtime.schedinit"), call("runtime.cpuinit", 0), call("internal/cpu.Initialize", 1)]
    b = [call("runtime.schedinit"), call("internal/cpu.Initialize", 0)]

    first, second = align(a, b)

    assert (first.a, first.inlined_a, first.b) == ([0], [1], [0])
    assert (second.a, second.b) == ([2], [1])
    back = align(b, a)
    assert (back[0].b, back[0].inlined_b) == ([0], [1])


def test_what_is_not_declared_is_not_guessed() -> None:
    """A name that one side has not is added or removed, whoever called it."""
    a, b = [call("runtime.schedinit"), call("runtime.new", 0)], [call("runtime.schedinit")]

    assert units(a, b) == [(["runtime.schedinit"], ["runtime.schedinit"]), (["runtime.new"], [])]


@pytest.mark.parametrize(
    ("old", "new", "pairs"),
    [
        (
            "esbuild-0.1.0",
            "hello-1.27.3",
            {
                "runtime.getproccount": "runtime.getCPUCount",
                "runtime.alginit": "internal/runtime/maps.AlgInit",
                "runtime.getRandomData": "runtime.randinit",
                "runtime.nanotime": "runtime.nanotime1",
                "runtime.atoi": "internal/strconv.ParseInt",
                "runtime.parsedebugvars": "runtime.parseRuntimeDebugVars runtime.finishDebugVarsSetup",
            },
        ),
        ("hello-1.21.13", "hello-1.22.10", {"runtime.getRandomData": "runtime.randinit"}),
    ],
)
def test_real_releases(old: str, new: str, pairs: dict[str, str], binary: Callable[[str], Path]) -> None:
    """Each function of the older one that is no more has its descendant, or is inlined in the call around it."""
    a, b = booted(binary(old)), booted(binary(new))

    found = align(a.functions, b.functions)

    renamed = {
        " ".join(a.functions[i].name for i in unit.a): " ".join(b.functions[j].name for j in unit.b)
        for unit in found
        if unit.a and unit.b and a.functions[unit.a[0]].name != b.functions[unit.b[0]].name
    }
    assert renamed == pairs
    # Every call is in one unit, in one place.
    for record, ids in (
        (a, [i for unit in found for i in (*unit.a, *unit.inlined_a)]),
        (b, [j for unit in found for j in (*unit.b, *unit.inlined_b)]),
    ):
        assert sorted(ids) == list(range(len(record.functions)))
    alone = [a.functions[unit.a[0]].name for unit in found if not unit.b]
    assert set(alone) <= set(chains(b)) | set(pairs), "a function of the older release has no place in the newer one"


def test_lineage_agrees_with_the_catalogue() -> None:
    """What is split or inlined from a release on is a function of the releases before, and of none from it on."""
    for row in (*lineage.SPLITS, *lineage.INLINED):
        name = row.whole if isinstance(row, lineage.Split) else row.name
        known = BY_NAME[name]
        assert known.since < row.release
        assert known.until < row.release, name
    for split in lineage.SPLITS:
        assert all(BY_NAME[part].since == split.release for part in split.parts)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("esbuild-0.1.0", "esbuild-0.5.0"), ("esbuild-0.5.0", "buildifier-4.0.1"),
        ("buildifier-4.0.1", "hello-1.19.8"), ("hello-1.21.13", "hello-1.22.10"), ("hello-1.23.9", "hello-1.24.11"),
        ("hello-1.24.11", "hello-1.25.5"), ("hello-1.26.6", "hello-1.27.3"),
    ],
)  # fmt: skip
def test_variables_moved_when_the_table_says(old: str, new: str, binary: Callable[[str], Path]) -> None:
    """By DWARF: of the rows between two releases, the old name is of the older program alone, the new of the newer."""
    programs = {side: image_of(binary(name)) for side, name in (("old", old), ("new", new))}
    rows = [row for row in lineage.MOVED if programs["old"].release < row.release <= programs["new"].release]

    def has(side: str, whole: str) -> bool:
        try:
            locate(programs[side], whole.replace("[]", "[0]"))
        except Missing:
            return False
        return True

    assert rows
    for row in rows:
        if row.old not in {other.new for other in rows}:  # else it came and went between the two
            assert has("old", row.old), row
        if row.new not in {other.old for other in rows} and row.new not in GONE_BY_1_19:
            assert has("new", row.new), row
            assert not has("old", row.new), row


def test_other_names_are_found_both_ways_and_through_several_releases() -> None:
    assert list(lineage.other_names("runtime.ncpu")) == ["runtime.numCPUStartup"]
    assert list(lineage.other_names("runtime.numCPUStartup")) == ["runtime.ncpu"]
    assert list(lineage.other_names("runtime.stackpool[3].first")) == ["runtime.stackpool[3].item.span.first"]
    assert list(lineage.other_names("internal/runtime/maps.hashkey[2]")) == ["runtime.hashkey[2]"]
    assert "runtime.sweep.active.state" in lineage.other_names("runtime.mheap_.sweepdone")
    assert list(lineage.other_names("runtime.mheap_.pages.searchAddr")) == ["runtime.mheap_.pages.searchAddr.a"]
    assert list(lineage.other_names("runtime.ncpus")) == []


@pytest.mark.parametrize(
    ("a", "b", "kind", "expected"),
    [
        (1, 1, "", None),
        (1, 2, "", "value"),
        (1, True, "", "value"),
        ("0x10", "0x20", "", "address"),
        ("0x0", "0x20", "", "value"),
        ("text", "0x20", "", "value"),
        (0x7FFFFFFFEE18, 0x7FFFFFFFEE08, "", "address"),
        (1_000_000_000_000, 1_000_000_000_001, "", "value"),
        (0xC000012000, 0xC000014000, "uintptr", "address"),
        (0xC000012000, 0xC000014000, "int64", "value"),
        ({"len": 1, "data": "0x10"}, {"len": 1, "data": "0x20"}, "", "address"),
        ({"len": 1, "data": "0x10"}, {"len": 2, "data": "0x20"}, "", "value"),
        ([1, "0x10"], [1, "0x20"], "", "address"),
        ([1], [1, 2], "", "value"),
    ],
)
def test_addresses_are_told_from_values(a: object, b: object, kind: str, expected: str | None) -> None:
    assert difference(a, b, kind) == expected


def test_leaves_that_differ() -> None:
    """By path; lists of numbers are one leaf, the auxiliary vector goes by tag, what is missing is missing."""
    a = {"auxv": [{"tag": "AT_PAGESZ", "value": 4096}], "x": {"y": 1}, "sizes": [1, 2], "only": 1}
    b = {"auxv": [{"tag": "AT_PAGESZ", "value": 8192}], "x": {"y": 1}, "sizes": [1, 3]}

    assert changed_leaves(a, b) == [
        {"path": "auxv.AT_PAGESZ", "kind": "value", "a": 4096, "b": 8192},
        {"path": "sizes", "kind": "value", "a": [1, 2], "b": [1, 3]},
        {"path": "only", "kind": "value", "a": 1},
    ]
    assert changed_leaves({}, {}) == []


def test_names_left_over_are_matched_by_name() -> None:
    assert list(aligned("abc", "acb")) == [(0, 0), (2, 1), (1, 2)]
    assert list(aligned("ab", "bc")) == [(0, None), (1, 0), (None, 1)]
