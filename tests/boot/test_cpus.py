"""CPUs: the affinity mask of the World is what Go counts, whatever its shape, and what procresize makes Ps of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emu.boot.record import BootRecord
from tests.booted import UNSTRIPPED, booted, number

OLD_AND_NEW = ("esbuild-0.0.2", "buildifier-4.0.1", "hello-1.24.11", "hello-1.27.3")  # Go 1.12.9, 1.15.3, 1.24, 1.27


def counter(record: BootRecord) -> str:
    """The function that counts: it was renamed in Go 1.25 (os_linux.go)."""
    return "runtime.getCPUCount" if record.calls("runtime.getCPUCount") else "runtime.getproccount"


@pytest.mark.parametrize("name", UNSTRIPPED)
@pytest.mark.parametrize(
    ("cpus", "count"),
    [("1", 1), ("0x5", 2), ("0,2-3,64", 4), ("3", 3), ("0xffffffffffffffff", 64), ("64-127", 64)],
)
def test_ncpu_counts_the_bits_of_the_mask(binary: Callable[[str], Path], name: str, cpus: str, count: int) -> None:
    """And without a limit from elsewhere there are as many Ps; the first runs, the others are idle."""
    record = booted(binary(name), f"cpus={cpus}")

    assert record.outcome["kind"] == "reached"
    assert number(record, "ncpu") == number(record, "gomaxprocs") == count
    (counted,) = record.calls(counter(record))[:1]
    assert counted.results == [count]
    ps = record.views["runtime.allp"]
    assert [p["id"] for p in ps] == list(range(count))
    assert [p["status_name"] for p in ps] == ["running"] + ["idle"] * (count - 1)
    assert number(record, "sched.npidle") == count - 1


@pytest.mark.parametrize(
    ("cpus", "possible", "size", "mask"),
    [
        # sched_getaffinity(2) in the kernel: whole longs of nr_cpu_ids bits, little endian.
        ("1", None, 8, "01"),
        ("0x5", None, 8, "05"),
        ("0,2-3,64", None, 16, "0d0000000000000001"),
        ("64-127", None, 16, "0000000000000000ffffffffffffffff"),
        ("2", "0-199", 32, "03"),
        ("1000", None, 128, "ff" * 125),
    ],
)
def test_the_mask_that_the_program_gets(cpus: str, possible: str | None, size: int, mask: str) -> None:
    """The bytes in the buffer, and their number, from the CPUs that the machine could have."""
    settings = [f"possible-cpus={possible}"] if possible else []
    record = booted(None, *settings, f"cpus={cpus}")

    call = next(call for call in record.syscalls if call.name == "sched_getaffinity")
    buffer: dict[str, Any] = call.arguments[2]
    assert call.arguments[:2] == [0, 8192]
    assert (call.result, call.function) == (size, "runtime.getCPUCount")
    assert buffer["size"] == size
    assert bytes.fromhex(buffer["hex"]).ljust(size, b"\0") == bytes.fromhex(mask).ljust(size, b"\0")


@pytest.mark.parametrize("name", OLD_AND_NEW)
def test_a_thousand_cpus(binary: Callable[[str], Path], name: str) -> None:
    """1,000 Ps, each with a cache of spans of its own."""
    record = booted(binary(name), "cpus=1000")
    ps = record.views["runtime.allp"]

    assert record.outcome["kind"] == "reached"
    assert number(record, "ncpu") == number(record, "gomaxprocs") == len(ps) == 1000
    assert len({p["mcache"] for p in ps}) == 1000
    assert number(record, "sched.npidle") == 999


@pytest.mark.parametrize("name", UNSTRIPPED)
@pytest.mark.parametrize("error", ["EPERM", "ENOSYS", "EINTR"])
def test_a_refused_mask_counts_as_one_cpu(binary: Callable[[str], Path], name: str, error: str) -> None:
    """Any negative result makes getproccount return 1 (os_linux.go); the record says that a rule answered."""
    record = booted(binary(name), "cpus=8", f'responses=[{{call="sched_getaffinity",errno="{error}"}}]')

    call = next(call for call in record.syscalls if call.name == "sched_getaffinity")
    assert (call.errno, call.overridden) == (error, True)
    assert number(record, "ncpu") == number(record, "gomaxprocs") == 1


@pytest.mark.parametrize("name", UNSTRIPPED)
def test_a_rule_may_give_a_mask(binary: Callable[[str], Path], name: str) -> None:
    """Data and length of the answer are the rule's: 8 bytes with 5 bits set."""
    rule = 'responses=[{call="sched_getaffinity",data="hex:1f00000000000000"}]'
    record = booted(binary(name), rule)

    assert number(record, "ncpu") == 5
    assert next(call for call in record.syscalls if call.name == "sched_getaffinity").result == 8


@pytest.mark.parametrize("name", UNSTRIPPED)
def test_an_empty_mask_counts_as_one_cpu(binary: Callable[[str], Path], name: str) -> None:
    """`if n == 0 { n = 1 }` (os_linux.go); no kernel gives such a mask, but a rule can."""
    record = booted(binary(name), 'responses=[{call="sched_getaffinity",data="hex:0000000000000000"}]')

    assert number(record, "ncpu") == 1


def test_a_short_answer_hides_cpus() -> None:
    """Go looks at as many bytes as the call returned: of 16 CPUs, one byte shows 8."""
    record = booted(None, "cpus=16", 'responses=[{call="sched_getaffinity",data="hex:ffff",result=1}]')

    assert number(record, "ncpu") == 8
