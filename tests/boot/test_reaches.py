"""Every fixture that is a static program reaches runtime.mstart in the default World, and computes what it must."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from emu.image.image import load
from fixtures import store
from tests.booted import booted, number

REFUSES = "hello-1.27.3-v3"  # asks for a newer CPU than a World can have: test_odd_links.py
STATIC = sorted(name for name, fixture in store.fixtures().items() if fixture.kind != "dynamic" and name != REFUSES)
PARENTS = {  # each function, and the one that calls it in every release (runtime/asm_amd64.s rt0_go, proc.go schedinit)
    "runtime.args": "runtime.rt0_go",
    "runtime.sysargs": "runtime.args",
    "runtime.osinit": "runtime.rt0_go",
    "runtime.schedinit": "runtime.rt0_go",
    "runtime.mallocinit": "runtime.schedinit",
    "runtime.procresize": "runtime.schedinit",
    "runtime.newproc": "runtime.rt0_go",
}


@pytest.mark.parametrize("name", STATIC)
def test_every_static_program_reaches_mstart(binary: Callable[[str], Path], name: str) -> None:
    """From the ELF entry point, one thread, every system call known, nothing said, nothing overridden."""
    path = binary(name)
    record, image = booted(path), load(path)
    outcome = record.outcome

    assert (outcome["kind"], outcome["at"], outcome["function"]) == ("reached", "runtime.mstart", "runtime.mstart")
    assert outcome["exit_status"] is None
    mstart = image.function("runtime.mstart")
    assert mstart is not None
    bias = 0x5555_5555_4000 if image.kind == "pie" else 0
    assert int(outcome["pc"], 16) == mstart.entry + bias
    assert record.totals["tasks"] == 1
    assert record.totals["syscalls"] == len(record.syscalls) > 0
    assert (record.output, record.unknown_syscalls) == ("", ())
    assert not any(call.overridden for call in record.syscalls)


@pytest.mark.parametrize("name", STATIC)
def test_calls_nest_as_the_sources_say(binary: Callable[[str], Path], name: str) -> None:
    """Each function has its caller, all of them returned but the ones that lead to mstart."""
    record = booted(binary(name))

    for function, parent in PARENTS.items():
        (call,) = record.calls(function)
        assert call.parent is not None
        assert record.functions[call.parent].name == parent, function
        assert call.returned, function
    running = {call.name for call in record.functions if not call.returned}
    assert running <= {"_rt0_amd64_linux", "_rt0_amd64", "main", "runtime.rt0_go"}


@pytest.mark.parametrize("name", STATIC)
def test_instructions_add_up(binary: Callable[[str], Path], name: str) -> None:
    """What functions take by themselves sums to what the outermost takes; none takes more than its caller."""
    record = booted(binary(name))
    outermost = record.functions[0]

    assert sum(call.own for call in record.functions) == outermost.instructions <= record.totals["instructions"]
    for call in record.functions:
        assert 0 < call.own <= call.instructions
        if call.parent is not None:
            assert call.instructions <= record.functions[call.parent].instructions


def test_programs_linked_with_c_spend_the_difference_before_go(binary: Callable[[str], Path]) -> None:
    """Where the entry point is Go's own, the record's first function starts with the first instruction."""
    whole, later = booted(binary("hello-1.27.3")), booted(binary("hello-1.27.3-pie"))

    assert whole.functions[0].instructions == whole.totals["instructions"]
    assert later.functions[0].instructions < later.totals["instructions"]
    assert later.functions[0].name == "main"


@pytest.mark.parametrize("release", ["1.21.13", "1.24.11", "1.27.3"])
def test_a_position_independent_twin_computes_the_same(binary: Callable[[str], Path], release: str) -> None:
    """CPUs, pages, limits: what the World says does not depend on where the program lies."""
    static, pie = booted(binary(f"hello-{release}"), "cpus=3"), booted(binary(f"hello-{release}-pie"), "cpus=3")

    for name in (
        "ncpu",
        "physPageSize",
        "physHugePageSize",
        "gomaxprocs",
        "gcPercent",
        "heapMinimum",
        "argc",
        "allglen",
    ):
        assert number(static, name) == number(pie, name), name


@pytest.mark.parametrize("release", ["1.21.13", "1.24.11", "1.27.3"])
def test_a_stripped_twin_takes_the_same_way(binary: Callable[[str], Path], release: str) -> None:
    """The same functions in the same order with the same system calls: stripping changes no code."""
    full, stripped = booted(binary(f"hello-{release}")), booted(binary(f"hello-{release}-stripped"))

    assert [call.name for call in full.functions] == [call.name for call in stripped.functions]
    assert [(c.name, c.errno, c.function) for c in full.syscalls] == [
        (c.name, c.errno, c.function) for c in stripped.syscalls
    ]
