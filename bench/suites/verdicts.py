"""What a Go test binary says of each of its tests, and how the words of two machines differ.

A binary that is run with ``-test.v=test2json`` puts the byte SYN before each line of its own, wherever a test's output
left the cursor (testing/testing.go, chattyPrinter.prefix), so what tests print themselves is never taken for a verdict.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

MARK = "\x16"
VERDICT = re.compile(r"--- (PASS|FAIL|SKIP): (.+) \(\d+\.\d+s\)$")
BEGUN = "=== RUN   "
UNFINISHED = "unfinished"  # the test began, and the program ended before it did
ABSENT = "not run"  # the other machine ran a test of this name

Verdicts = dict[str, str]


def parsed(output: str) -> Verdicts:
    """The verdict of each test and subtest that *output* tells of, by name, in order of beginning."""
    found: Verdicts = {}
    for chunk in output.split(MARK)[1:]:
        line = chunk.partition("\n")[0]
        if line.startswith(BEGUN):
            found.setdefault(line.removeprefix(BEGUN), UNFINISHED)
        elif match := VERDICT.match(line):
            found[match[2]] = match[1]
    return found


def differences(native: Mapping[str, str], emulated: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Each test whose verdicts are not the same, with both, native first."""
    names = [*native, *(name for name in emulated if name not in native)]
    both = {name: (native.get(name, ABSENT), emulated.get(name, ABSENT)) for name in names}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}
