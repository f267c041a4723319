"""Programs that go wrong do so as on this machine: the same exit status, and the same words on standard error."""

from __future__ import annotations

import pytest

from tests.programs.sides import comparable, emulated, natively

RELEASES = ("1.27.3", "1.24.11")
ADDRESS_SPACE = 1_000_000_000
WAYS = {
    "nil": 0,
    "nil-dead": 2,
    "overflow": 2,
    "divide": 2,
    "sigfpe": 2,
    "panic": 2,
    "segv": 2,
    "term": 143,
    "kill": 137,
    "abort": 2,
    "readonly": 2,
    "fault": 0,
    "execute": 2,
    "index": 2,
    "exit": 7,
    "goexit": 2,
    "traceback": 134,
}
"""The exit status of each; what Go's documentation and signal(7) say, and what this machine shows."""


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("way", WAYS)
def test_a_fault_ends_as_natively(way: str, release: str) -> None:
    """Exit status, standard output, the message and the stack of the goroutine that died."""
    name = f"faults-{release}"
    here, there = emulated(name, way), natively(name, way)

    assert there.status == WAYS[way]
    assert here.status == there.status
    assert here.out == there.out
    assert comparable(here.err) == comparable(there.err)


@pytest.mark.parametrize("release", RELEASES)
def test_out_of_memory_at_a_limit_ends_as_natively(release: str) -> None:
    """With little address space mmap fails, and Go says so; how much was in use is the heap's affair."""
    name = f"faults-{release}"
    here = emulated(name, "memory", options=["--set", f"rlimits.as={ADDRESS_SPACE}:{ADDRESS_SPACE}"])
    there = natively(name, "memory", address_space=ADDRESS_SPACE)

    assert here.status == there.status == 2
    first = [side.err.splitlines()[0].partition(" (")[0] for side in (here, there)]
    assert first == ["runtime: out of memory: cannot allocate 67108864-byte block"] * 2
