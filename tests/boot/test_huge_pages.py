"""Huge pages: from the content of hpage_pmd_size to physHugePageSize, by the arithmetic of each release's sources.

``getHugePageSize`` (os_linux.go, since Go 1.13) reads at most 20 bytes, takes the last one for the newline, parses the
rest as a decimal integer and returns it if it is a power of two, else 0.  ``mallocinit`` (malloc.go) then forgets a
size of more than 4 MiB (since 1.14: read in the machine code of the binaries) and computes the shift.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from syscalls.worldfile import from_toml
from tests.booted import UNSTRIPPED, boot_in, booted, number, release_of

SINCE_113 = tuple(name for name in UNSTRIPPED if name != "esbuild-0.0.2")
MAX = 4 << 20  # maxPhysHugePageSize = pallocChunkBytes = 512 pages of 8 KiB
BUFFER = 20


def parsed(content: bytes, sign: bool) -> int:
    """What getHugePageSize returns for *content*; *sign*: a plus is accepted (internal/strconv, since 1.26)."""
    text = content[:BUFFER][:-1].decode("latin-1")
    digits = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+") if sign else text
    if not digits.isascii() or not digits.isdigit():
        return 0
    value = -int(digits) if text.startswith("-") else int(digits)
    return value if 0 < value < 1 << 63 and value & value - 1 == 0 else 0


CASES = {
    "2097152": b"2097152\n",
    "0": b"0\n",
    "2097153": b"2097153\n",
    "4096": b"4096\n",
    "1": b"1\n",
    "4194304": b"4194304\n",  # the largest that is kept
    "8388608": b"8388608\n",
    "1073741824": b"1073741824\n",
    "9223372036854775808": b"9223372036854775808\n",  # 2^63: no int64
    "-2097152": b"-2097152\n",
    "garbage": b"garbage",
    "2097152 kB": b"2097152 kB",
    "40960!": b"40960!",  # whatever the last byte is, it is taken for the newline: 40960 is no power of two
    "40964096X": b"40964096X",
    "4096X": b"4096X",  # ... but 4096 is
    "+4096X": b"+4096X",
    "0x1000X": b"0x1000X",
    "": b"",
    "12345678901234567890123": b"12345678901234567890123\n",  # 23 digits, of which 19 are seen
    "11529215046068469760000": b"11529215046068469760000\n",  # ... and those 19 are 2^60
}


@pytest.mark.parametrize("name", SINCE_113)
@pytest.mark.parametrize("setting", CASES, ids=lambda text: text or "empty")
def test_the_size_follows_from_the_file(binary: Callable[[str], Path], name: str, setting: str) -> None:
    """For every content: what was read, what getHugePageSize returned, what mallocinit kept, and the shift."""
    record = booted(binary(name), f"thp={setting}")
    expected = parsed(CASES[setting], sign=release_of(record) >= (1, 26))

    opened = next(c for c in record.syscalls if c.arguments[1:2] and "hpage_pmd_size" in str(c.arguments[1]))
    read = next(c for c in record.syscalls if c.name == "read" and c.function == "runtime.getHugePageSize")
    assert opened.result == read.arguments[0] == 3
    assert read.result == len(CASES[setting][:BUFFER])
    (call,) = record.calls("runtime.getHugePageSize")
    assert call.results == [expected]
    kept = expected if expected <= MAX or release_of(record) == (1, 13) else 0
    assert number(record, "physHugePageSize") == kept
    assert number(record, "physHugePageShift") == (kept.bit_length() - 1 if kept else 0)


@pytest.mark.parametrize("name", SINCE_113)
def test_without_the_file_there_are_no_huge_pages(binary: Callable[[str], Path], name: str) -> None:
    """As in a container whose kernel has no transparent huge pages: ENOENT, 0."""
    record = booted(binary(name), "thp=absent")

    opened = next(c for c in record.syscalls if c.function == "runtime.getHugePageSize")
    assert opened.errno == "ENOENT"
    assert record.calls("runtime.getHugePageSize")[0].results == [0]
    assert number(record, "physHugePageSize") == number(record, "physHugePageShift") == 0


def test_the_pool_of_huge_pages_is_another_matter() -> None:
    """HugePages_Total of /proc/meminfo is never read: it changes no value."""
    few, many = booted(None, "thp.pool=0"), booted(None, "thp.pool=512")

    assert few.globals == many.globals
    assert number(many, "physHugePageSize") == 2 << 20


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("thp = 4194304", 4 << 20),
        ("thp = 2097153", 0),
        ('thp = "absent"', 0),
        ('thp = "garbage"', 0),
        ('thp = ""', 0),
        ("thp = -2097152", 0),
        ("thp = 12345678901234567890123", 0),
        ("[thp]\npmd-size = 1048576", 1 << 20),
    ],
)
def test_a_world_file_says_the_same(text: str, size: int) -> None:
    """From TOML, in short and in full."""
    record = boot_in(None, from_toml(text))

    assert number(record, "physHugePageSize") == size


@pytest.mark.parametrize("name", ["esbuild-0.1.0", "hello-1.27.3"])
@pytest.mark.parametrize("rule", ['errno="EINTR"', 'errno="EIO"', "result=0"])
def test_an_unreadable_file_is_no_size(binary: Callable[[str], Path], name: str, rule: str) -> None:
    """`if n <= 0 { return 0 }`: Go does not try again, not even after EINTR."""
    path = "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"
    record = booted(binary(name), f'responses=[{{call="read",path="{path}",{rule}}}]')

    assert number(record, "physHugePageSize") == 0
    reads = [c for c in record.syscalls if c.name == "read" and c.function == "runtime.getHugePageSize"]
    assert [call.overridden for call in reads] == [True]


def test_a_short_read_cuts_the_number() -> None:
    """A read of 4 bytes, "2097": the last is dropped, and 209 is no power of two; of "1024", 102; of "16X", 16."""
    for data, size in (("2097", 0), ("1024", 0), ("16X", 16)):
        path = "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"
        record = booted(None, f'responses=[{{call="read",path="{path}",data="{data}"}}]')
        assert number(record, "physHugePageSize") == size
