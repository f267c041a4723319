"""Whole boots against single-stepped native ones: every function, count, system call and byte of the globals.

Two differences are excused, both only in programs with a C library: what a stat says of a file's identity, and the
CPU's number in the area that rseq registered.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from emu.compare.causes import CAUSES, CURRENT_CPU, FILES, LAYOUT
from emu.compare.verify import verify
from emu.image.image import load
from tests.oracle.boots import BINARIES

EXACT = ("functions in order", "instructions", "counts by function", "leaves without an address")


@pytest.mark.parametrize("name", BINARIES)
def test_boot_is_the_native_one(binary: Callable[[str], Path], name: str) -> None:
    """Nothing differs without a cause; instructions agree to the last one, function by function."""
    path = binary(name)
    verdict = verify(load(path), path, argv=[name, "-x"], env={"GOGC": "50", "A": "1"})

    assert verdict.differences == ()
    assert verdict.end == "runtime.mstart"
    compared, equal = verdict.compared, verdict.equal
    assert {what: equal[what] for what in EXACT} == {what: compared[what] for what in EXACT}
    assert equal["leaves"] + verdict.causes[LAYOUT] == compared["leaves"]
    assert equal["system calls"] + verdict.causes[FILES] == compared["system calls"]
    assert compared["bytes of heap and stack"] - equal["bytes of heap and stack"] == 8 * (
        verdict.causes[CURRENT_CPU] + verdict.causes[LAYOUT] - (compared["leaves"] - equal["leaves"])
    )
    excused = {FILES: 1, CURRENT_CPU: 1} if name.endswith("-pie") else {}
    assert all(verdict.causes[cause] <= excused.get(cause, 0) for cause in CAUSES if cause != LAYOUT)
    # None of it is empty: the figures that were measured, rounded down.
    floors = {"functions in order": 60, "instructions": 130_000, "counts by function": 150, "system calls": 10}
    floors |= {"leaves": 15_000, "leaves without an address": 3_500, "bytes of globals": 180_000}
    floors["bytes of heap and stack"] = 100_000
    assert {what: compared[what] >= floor for what, floor in floors.items()} == dict.fromkeys(floors, True)
