"""CPU sets: counts, lists and masks in, the kernel's formats out."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syscalls.cpuset import MAX_CPUS, CpuSet


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("1", [0]),
        ("3", [0, 1, 2]),
        ("0,2-3,64", [0, 2, 3, 64]),
        ("0-0", [0]),
        ("2-2", [2]),
        ("7,1, 3-5", [1, 3, 4, 5, 7]),
        ("1,1,0-1", [0, 1]),
        ("0x5", [0, 2]),
        ("0X10", [4]),
        ("0x1,00000000", [32]),
        (" 2 ", [0, 1]),
        ("65535,0", [0, 65535]),
    ],
)
def test_text_gives_these_cpus(text: str, cpus: list[int]) -> None:
    """A lone number counts, a list names, a mask has a bit for each."""
    assert list(CpuSet.parse(text)) == cpus


def test_a_lone_number_in_a_list_is_that_cpu() -> None:
    """Where only lists are written, 3 is CPU 3."""
    assert list(CpuSet.parse_list("3")) == [3]
    assert list(CpuSet.parse("3")) == [0, 1, 2]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' is neither a count, a list nor a mask of CPUs"),
        ("two", "'two' is neither a count, a list nor a mask of CPUs"),
        ("0x", "'0x' is neither a count, a list nor a mask of CPUs"),
        ("0", "0 CPUs: at least one CPU is needed"),
        ("0x0", "'0x0' is the empty set: at least one CPU is needed"),
        ("65537", "'65537': '65537' is too large; the largest is 65536"),
        ("0-65536", "'0-65536': '65536' is too large; the largest is 65535"),
        ("3-1", "'3-1' is not a list of CPUs: '3-1' runs backwards"),
        ("0,,1", "'0,,1' is not a list of CPUs: '' is not N or N-M"),
        ("0,x", "'0,x' is not a list of CPUs: 'x' is not N or N-M"),
        ("-1", "'-1' is not a list of CPUs: '-1' is not N or N-M"),
        ("0-15:2/4", "'0-15:2/4' is not a list of CPUs: '0-15:2/4' is not N or N-M"),
    ],
)
def test_what_is_no_set_is_refused(text: str, problem: str) -> None:
    """Each error says what is wrong with which part."""
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        CpuSet.parse(text)


def test_masks_end_at_the_largest_set() -> None:
    """Bit 65535 is the last one."""
    assert CpuSet.parse("0x8" + "0" * 16383).highest == MAX_CPUS - 1
    with pytest.raises(ValueError, match=r"names CPU 65536; the largest is 65535$"):
        CpuSet.parse("0x1" + "0" * 16384)


def test_thousands_of_digits_are_refused_at_once() -> None:
    """No arithmetic is done with a number that long."""
    with pytest.raises(ValueError, match=r"is too large; the largest is 65536$"):
        CpuSet.parse("9" * 1_000_000)


@given(st.sets(st.integers(0, 200), min_size=1))
def test_lists_and_masks_round_trip(cpus: set[int]) -> None:
    """Every way of writing a set reads back as that set."""
    chosen = CpuSet.of(cpus)

    assert set(chosen) == cpus
    assert len(chosen) == len(cpus)
    assert (chosen.lowest, chosen.highest) == (min(cpus), max(cpus))
    assert CpuSet.parse_list(str(chosen)) == chosen
    assert CpuSet.parse(chosen.spelled()) == chosen
    assert CpuSet.parse(f"{chosen.mask:#x}") == chosen
    assert CpuSet.parse("0x" + chosen.sysfs_mask(201)) == chosen
    assert int.from_bytes(chosen.mask_bytes(32), "little") == chosen.mask


def test_mask_bytes_drop_what_does_not_fit() -> None:
    """sched_getaffinity(2) copies as many bytes as the caller has room for."""
    assert CpuSet.parse("0,2-3,64").mask_bytes(8) == bytes([0b1101, 0, 0, 0, 0, 0, 0, 0])
    assert CpuSet.parse("0,2-3,64").mask_bytes(16) == bytes([0b1101, *[0] * 7, 1, *[0] * 7])
    assert CpuSet.parse("0,2-3,64").mask_bytes(0) == b""


@pytest.mark.parametrize(
    ("cpus", "n_cpus", "mask"),
    [
        # bitmap_string of lib/vsprintf.c pads the first group to the digits that its bits need.
        ("0-1", 2, "3"),
        ("0-1", 4, "3"),
        ("0-1", 5, "03"),
        ("0-31", 32, "ffffffff"),
        ("0-31", 33, "0,ffffffff"),
        ("0,2-3,64", 65, "1,00000000,0000000d"),
        ("0,2-3,64", 128, "00000000,00000001,00000000,0000000d"),
    ],
)
def test_cpus_allowed_has_groups_of_32_bits(cpus: str, n_cpus: int, mask: str) -> None:
    """The format of Cpus_allowed in /proc/self/status."""
    assert CpuSet.parse(cpus).sysfs_mask(n_cpus) == mask


@pytest.mark.skipif(sys.platform != "linux", reason="compares with a Linux kernel")
def test_formats_are_those_of_this_kernel() -> None:
    """A real kernel writes the affinity of this process just so."""
    mine = CpuSet.of(os.sched_getaffinity(0))
    status = Path("/proc/self/status").read_text()
    allowed = re.search(r"^Cpus_allowed:\t(\S+)$", status, re.MULTILINE)
    allowed_list = re.search(r"^Cpus_allowed_list:\t(\S+)$", status, re.MULTILINE)
    possible = CpuSet.parse_list(Path("/sys/devices/system/cpu/possible").read_text())

    assert allowed is not None
    assert allowed_list is not None
    assert mine.sysfs_mask(possible.highest + 1) == allowed[1]
    assert str(mine) == allowed_list[1]
