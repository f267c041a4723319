"""The runner of Go's own tests: verdicts are read as Go writes them, differences and ends have names."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.suites import causes, results
from bench.suites.causes import Cause
from bench.suites.run import Run, run
from bench.suites.verdicts import ABSENT, UNFINISHED, differences, parsed

# What testing prints with -test.v=test2json: SYN before its own lines (seen natively, Go 1.24.11 and 1.27.3).
OUTPUT = """\
\x16=== RUN   TestA
\x16=== RUN   TestA/one_two
\x16=== NAME  TestA/one_two
    a_test.go:5: a remark
\x16--- PASS: TestA/one_two (0.00s)
\x16=== NAME  TestA
\x16--- FAIL: TestA (0.01s)
\x16=== RUN   TestPrints
no newline at the end\x16--- PASS: TestPrints (12.34s)
\x16=== RUN   TestNested
--- FAIL: TestForged (0.00s)
\x16--- SKIP: TestNested (0.00s)
\x16=== RUN   ExampleLast
"""


def test_verdicts_are_those_that_go_marked() -> None:
    """Subtests by their whole names; what a test prints is no verdict; a test without an end is unfinished."""
    assert parsed(OUTPUT) == {
        "TestA": "FAIL",
        "TestA/one_two": "PASS",
        "TestPrints": "PASS",
        "TestNested": "SKIP",
        "ExampleLast": UNFINISHED,
    }


def test_addresses_in_names_are_masked() -> None:
    """A subtest that is named after a pointer is the same test on both machines; two of them stay two."""
    lines = [f"\x16=== RUN   TestAs/{name}\n" for name in ("0x3b4662df0028", "0x3b4662df0030", "0x10")]
    lines.append("\x16--- PASS: TestAs/0x3b4662df0030 (0.00s)\n")

    assert parsed("".join(lines)) == {"TestAs/0x*": UNFINISHED, "TestAs/0x*'1": "PASS", "TestAs/0x10": UNFINISHED}


def test_differences_name_both_verdicts() -> None:
    """A test that only one machine ran differs, too; one that fails on both does not."""
    native = {"TestA": "PASS", "TestB": "FAIL", "TestC": "PASS"}
    emulated = {"TestA": "FAIL", "TestB": "FAIL", "TestD": "PASS"}

    assert differences(native, emulated) == {
        "TestA": ("PASS", "FAIL"),
        "TestC": ("PASS", ABSENT),
        "TestD": (ABSENT, "PASS"),
    }


@pytest.mark.parametrize(
    ("script", "end"),
    [("exit 3", "exit 3"), ("kill -SEGV $$", "signal SIGSEGV"), ("sleep 60", "cap of 1 s")],
)
def test_an_end_has_a_name(tmp_path: Path, script: str, end: str) -> None:
    """Exit, signal and the cap; what was said before is kept."""
    said = r"printf '\026=== RUN   TestX\n'; echo why >&2; "
    done = run(["sh", "-c", said + script], tmp_path, {"PATH": "/usr/bin:/bin"}, 1.0)

    assert (done.end, done.verdicts, done.said) == (end, {"TestX": UNFINISHED}, "why\n")


def test_a_row_counts_and_keeps_what_differs() -> None:
    """Counts by verdict on each side, and the same only where both say the same."""
    native = Run("exit 0", {"TestA": "PASS", "TestB": "SKIP"}, 1.0, 0.5, "")
    emulated = Run("exit 1", {"TestA": "FAIL", "TestB": "SKIP"}, 2.0, 1.5, "")

    row = results.row(native, emulated)

    assert (row["tests"], row["same"], row["differences"]) == (2, 1, {"TestA": ["PASS", "FAIL"]})
    assert row["emulated"]["verdicts"] == {"PASS": 0, "FAIL": 1, "SKIP": 1}
    assert not results.same_end(row)


def test_the_exit_status_of_a_signal_is_the_same_end() -> None:
    """rt0 exits with 128 and the signal's number, as a shell does."""
    row = results.row(Run("signal SIGSEGV", {}, 0.0, 0.0, ""), Run("exit 139", {}, 0.0, 0.0, ""))

    assert results.same_end(row)


def test_a_cause_explains_only_what_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Package, test, release and verdicts must all match."""
    why = Cause("no such device", "os", ("TestA", "TestB/*"), ("1.27.3",), ("PASS", "FAIL"))
    monkeypatch.setattr(causes, "CAUSES", (why,))

    assert causes.cause("1.27.3", "os", "TestB/sub", ("PASS", "FAIL")) == "no such device"
    assert causes.cause("1.27.3", "os", "TestB", ("PASS", "FAIL")) is None
    assert causes.cause("1.24.11", "os", "TestA", ("PASS", "FAIL")) is None
    assert causes.cause("1.27.3", "os/exec", "TestA", ("PASS", "FAIL")) is None
    assert causes.cause("1.27.3", "os", "TestA", ("PASS", UNFINISHED)) is None
