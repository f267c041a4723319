"""The gdb judge itself, on values that are known without it: the affinity, arguments and environment it was given."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.oracle import gdbvalues

CPU = min(os.sched_getaffinity(0))
N_CPUS = {
    "hello-1.24.11": "runtime.ncpu",
    "hello-1.27.3": "runtime.numCPUStartup",
    "hello-1.27.3-pie": "runtime.numCPUStartup",
}


@pytest.mark.parametrize(("name", "expression"), N_CPUS.items())
def test_cpus_follow_the_affinity(binary: Callable[[str], Path], name: str, expression: str) -> None:
    """Restricted to one CPU the runtime counts one; unrestricted, as many as this process has."""
    one = gdbvalues.view(binary(name), [expression], cpus={CPU})
    every = gdbvalues.view(binary(name), [expression])

    assert one.values == {expression: 1}
    assert every.values == {expression: len(os.sched_getaffinity(0))}


def test_program_gets_exactly_what_it_was_given(binary: Callable[[str], Path]) -> None:
    """Arguments and environment are the caller's alone: gdb and its shell add nothing."""
    path = binary("hello-1.27.3")
    seen = gdbvalues.view(
        path, ["runtime.argc", "runtime.argslice", "runtime.envs"], args=["-x", "y=z"], env={"GOGC": "50", "B": ""}
    )

    assert seen.values["runtime.argc"] == 3
    assert seen.values["runtime.argslice"] == [str(path), "-x", "y=z"]
    assert sorted(seen.values["runtime.envs"]) == ["B=", "GOGC=50"]


def test_values_keep_their_kinds(binary: Callable[[str], Path]) -> None:
    """Booleans, integers, pointers, members and what does not exist come back as what they are; Go 1.27 runtime2.go."""
    expressions = ["runtime.debug.malloc", "runtime.sched.maxmcount", "runtime.allm", "&runtime.m0", "runtime.nothing"]
    seen = gdbvalues.view(binary("hello-1.27.3"), expressions).values

    assert seen["runtime.debug.malloc"] is False
    assert seen["runtime.sched.maxmcount"] == 10000
    assert seen["runtime.allm"] == seen["&runtime.m0"]
    assert "runtime.nothing" in seen["runtime.nothing"]["error"]


def test_memory_comes_raw(binary: Callable[[str], Path]) -> None:
    """A range of memory is its bytes: the ELF header stands where the program headers put it."""
    path = binary("hello-1.27.3")
    seen = gdbvalues.view(path, memory=[(0x400000, 64)])

    assert seen.memory == [path.read_bytes()[:64]]


def test_stop_that_is_not_there_is_an_error(binary: Callable[[str], Path]) -> None:
    """A misspelt function stops nowhere and says so."""
    with pytest.raises(gdbvalues.GdbError, match=r"no function runtime\.nowhere"):
        gdbvalues.view(binary("hello-1.27.3"), stop="runtime.nowhere")


def test_arguments_that_gdb_would_split_are_refused(binary: Callable[[str], Path]) -> None:
    """An argument with a space would silently become two."""
    with pytest.raises(ValueError, match="white space"):
        gdbvalues.view(binary("hello-1.27.3"), args=["a b"])
