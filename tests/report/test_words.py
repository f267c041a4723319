"""Values as words."""

from __future__ import annotations

from typing import Any

import pytest

from emu.report import views, words


@pytest.mark.parametrize(
    ("value", "kind", "unit", "text"),
    [
        (2, "int32", "CPUs", "2 CPUs"),
        (1, "int32", "CPUs", "1 CPU"),
        (1, "int64", "ns", "1 ns"),
        (100, "int32", "%", "100%"),
        (2097152, "uintptr", "bytes", "2097152 bytes (2 MiB)"),
        (2097153, "uintptr", "bytes", "2097153 bytes"),
        (2**63 - 1, "int64", "bytes", "9223372036854775807 bytes (no limit)"),
        (0x7FFFFFFEEDE0, "uintptr", "", "0x7ffffffeede0"),
        (4096, "uintptr", "", "4096"),
        (5702720, "uintptr", "address", "0x570440"),
        (0, "uintptr", "address", "0"),
        (-1, "int32", "", "-1"),
        (True, "bool", "", "true"),
        ("0x0", "*runtime.p", "", "nil"),
        ({"len": 2, "text": "a\n"}, "string", "", '"a\\n"'),
        ({"len": 2, "text": None}, "string", "", "unreadable"),
        ({"len": 0, "cap": 0, "data": "0x0", "elements": []}, "[]int", "", "nil"),
        ({"len": 9, "cap": 9, "data": "0x1000"}, "[]runtime.span", "", "len 9 at 0x1000"),
        (
            {"len": 6, "cap": 6, "data": "0x1", "elements": [1, 2, 3, 4, 5, 6]},
            "[]int",
            "",
            "len 6 [1, 2, 3, 4, and 2 more]",
        ),
        ([0] * 128, "[128]uint8", "", "128 zero bytes"),
        ([1, 2, 255], "[3]uint8", "", "0102ff"),
        ({"type": "0x0", "data": "0x0"}, "error", "", "nil"),
        (None, "", "", "unreadable"),
        (
            {"lo": 0x3EC486EA8000, "hi": 0x3EC486EAC000, "spare": 0},
            "stack",
            "",
            "{lo=0x3ec486ea8000, hi=0x3ec486eac000}",
        ),
    ],
)
def test_values(value: Any, kind: str, unit: str, text: str) -> None:
    """Units, sizes, addresses, strings, slices and bytes, each as a reader expects them."""
    assert words.value(value, kind, unit) == text


def test_long_bytes_are_cut() -> None:
    """16 bytes are enough to recognise a key."""
    assert words.value(list(range(32)), "[32]uint8") == "000102030405060708090a0b0c0d0e0f... (32 bytes)"


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (1023, "1023 bytes"), (1126 << 20, "1.1 GiB"), (4096, "4 KiB")]
)
def test_short_sizes(size: int, text: str) -> None:
    """Three digits and the largest unit."""
    assert words.short_size(size) == text


def test_counts() -> None:
    """Singular, plural and thousands."""
    assert words.count(1, "instruction") == "1 instruction"
    assert words.count(182082, "instruction") == "182,082 instructions"
    assert words.count(2, "entry", "entries") == "2 entries"


def test_views_as_words() -> None:
    """A list of Ps by state, hints by the first few, flags by name."""
    ps = [{"status_name": "running"}, {"status_name": "idle"}, {"status_name": "idle"}]

    assert views.described("runtime.allp", ps) == "3 Ps: 1 running, 2 idle"
    assert (
        views.described("runtime.mheap_.arenaHints", ["0x1", "0x2", "0x3", "0x4"])
        == "4 addresses: 0x1, 0x2, 0x3, and 1 more"
    )
    assert views.described("internal/cpu.X86", {"HasAES": True, "HasAVX": False}) == "AES"
    assert views.described("runtime.debug", {"cgocheck": 1, "gctrace": 0}) == "cgocheck=1"
    assert views.described("runtime.initSigmask", [1 << 16, 1]) == "[CHLD 33]"
    assert views.described("runtime.argslice", ["hello"]) == '1: "hello"'
