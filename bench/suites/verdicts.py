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
ADDRESS = re.compile(r"0x[0-9a-f]{8,}")  # in names of tests that are made of values, as errors.TestAs has them
UNFINISHED = "unfinished"  # the test began, and the program ended before it did
ABSENT = "not run"  # the other machine ran a test of this name

Verdicts = dict[str, str]


def parsed(output: str) -> Verdicts:
    """The verdict of each test and subtest that *output* tells of, by name, in order of beginning."""
    found: Verdicts = {}
    names: dict[str, str] = {}
    for chunk in output.split(MARK)[1:]:
        line = chunk.partition("\n")[0]
        if line.startswith(BEGUN):
            found[_masked(line.removeprefix(BEGUN), names)] = UNFINISHED
        elif match := VERDICT.match(line):
            found[_masked(match[2], names)] = match[1]
    return found


def _masked(name: str, names: dict[str, str]) -> str:
    # *name* without the addresses that are in it, and still unlike all others of *names*.
    if name not in names:
        masked = ADDRESS.sub("0x*", name)
        same = sum(1 for other in names.values() if other.partition("'")[0] == masked)
        names[name] = masked + (f"'{same}" if same and masked != name else "")
    return names[name]


def differences(native: Mapping[str, str], emulated: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Each test whose verdicts are not the same, with both, native first."""
    names = [*native, *(name for name in emulated if name not in native)]
    both = {name: (native.get(name, ABSENT), emulated.get(name, ABSENT)) for name in names}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}
