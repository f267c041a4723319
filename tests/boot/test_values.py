"""Declared values: each is found in real binaries, where and when the table says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from emu.boot import values
from emu.boot.catalogue import BY_NAME as CATALOGUE
from emu.boot.values import VALUES, Absent, Captured
from emu.report.views import DESCRIPTIONS
from tests.booted import BUNDLED, UNSTRIPPED, booted
from tests.untyped import booted_untyped

EVERYWHERE = (
    "argc", "argv", "physPageSize", "ncpu", "sched.maxmcount", "gcPercent", "heapMinimum", "gomaxprocs", "allp", "X86",
    "useAeshash", "itabTable", "sizeclasses", "arenaHints", "envs", "argslice", "debug", "main goroutine", "modules",
    "initSigmask", "traceback_cache", "allglen", "g0.stack.hi", "vdsoClockgettimeSym", "sched.npidle",
)  # fmt: skip


@pytest.mark.parametrize("name", UNSTRIPPED)
def test_the_important_values_are_in_every_release(binary: Callable[[str], Path], name: str) -> None:
    """No release between 1.12 and 1.27 hides one of them under a name that the table does not know."""
    record = booted(binary(name))
    absent = [name for name in EVERYWHERE if isinstance(values.read(record, values.BY_NAME[name]), Absent)]

    assert absent == []


def test_every_value_is_in_some_release(binary: Callable[[str], Path]) -> None:
    """A misspelled variable would be missing everywhere."""
    records = [booted(binary(name)) for name in UNSTRIPPED]
    never = [value.name for value in VALUES if all(isinstance(values.read(r, value), Absent) for r in records)]

    assert never == []


def test_the_table_names_what_there_is() -> None:
    """Functions are catalogued, inputs of the form kind:detail, other values known, views described."""
    kinds = {
        "call",
        "file",
        "auxv",
        "env",
        "stack",
        "cpuid",
        "clock",
        "value",
        "linker",
        "source",
        "with",
        "without",
        "world",
    }
    for value in VALUES:
        assert [name for name in value.after if name not in CATALOGUE] == [], value.name
        assert {word.partition(":")[0] for word in value.inputs} <= kinds, value.name
        inputs = [word.split(":")[1] for word in value.inputs if word.startswith(("value:", "with:", "without:"))]
        assert [name for name in inputs if name not in values.BY_NAME] == [], value.name
        assert not value.view or value.view in DESCRIPTIONS, value.name
    assert len(values.BY_NAME) == len(VALUES)


def test_a_value_that_never_changed_is_there() -> None:
    """Without the file, physHugePageSize is 0 before osinit and after it: a diff alone would not show it."""
    record = booted(BUNDLED, "thp=absent")

    assert values.read(record, values.BY_NAME["physHugePageSize"]) == Captured(0, "runtime.physHugePageSize")
    assert not any(write.name == "runtime.physHugePageSize" for call in record.functions for write in call.writes)


def test_a_value_that_was_not_computed_yet_is_absent() -> None:
    """Up to schedinit nobody has set gomaxprocs; its variable's 0 is no value."""
    record = booted(until="runtime.schedinit")

    assert values.read(record, values.BY_NAME["gomaxprocs"]) == Absent("not reached")
    assert values.read(record, values.BY_NAME["ncpu"]) == Captured(2, "runtime.numCPUStartup")


def test_why_a_value_is_absent(binary: Callable[[str], Path]) -> None:
    """The reasons are those of the reader: not in this release, or stripped."""
    old, stripped = booted(binary("hello-1.19.8")), booted_untyped(binary("hello-1.27.3-stripped"))

    assert values.read(old, values.BY_NAME["globalRand.init"]) == Absent("not in this release")
    assert values.read(stripped, values.BY_NAME["ncpu"]) == Absent("stripped")


def test_leaves_belong_to_values() -> None:
    """Exact names, and every leaf below a prefix."""
    found = [values.of_leaf(name) for name in ("runtime.ncpu", "runtime.debug.cgocheck", "runtime.memstats.x")]

    assert [value.name if value else None for value in found] == ["ncpu", "debug", None]
