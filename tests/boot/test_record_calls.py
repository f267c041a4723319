"""System calls in the record: arguments as wide and as signed as the call takes them, pointers with their bytes."""

from __future__ import annotations

from typing import Any

from emu.boot.calls import arguments, syscall
from syscalls.events import SyscallEvent

U64 = 2**64


def event(nr: int, args: tuple[int, ...], result: int = 0, detail: dict[int, bytes] | None = None) -> SyscallEvent:
    return SyscallEvent(nr, "name", args, result, None, False, 1000, 0, detail or {})


def shown(nr: int, args: tuple[int, ...], result: int = 0, detail: dict[int, bytes] | None = None) -> list[Any]:
    return arguments(event(nr, args, result, detail))


def test_integers_are_narrowed_and_signed() -> None:
    """AT_FDCWD is -100 whether the guest filled the upper half of the register or not."""
    assert shown(257, (0xFFFF_FF9C, 0x1000, 0x80000, 0), 3, {1: b"/proc/self/cgroup"}) == [
        -100,
        "/proc/self/cgroup",
        0x80000,
        0,
    ]
    assert shown(257, (U64 - 100, 0x1000, 0, 0), 3, {1: b"/x"}) == [-100, "/x", 0, 0]


def test_addresses_are_hexadecimal_text() -> None:
    """The hint of mmap is an address, its descriptor -1 a signed integer."""
    assert shown(9, (0xC000000000, 4096, 3, 0x32, U64 - 1, 0)) == ["0xc000000000", 4096, 3, 0x32, -1, 0]


def test_a_filled_buffer_is_text_or_hex() -> None:
    """The buffer of read holds as many bytes as it returned."""
    assert shown(0, (3, 0x1000, 20), 8, {1: b"2097152\n"})[1] == {"addr": "0x1000", "size": 8, "text": "2097152\n"}
    assert shown(204, (0, 8192, 0x2000), 8, {2: b"\x03" + bytes(7)}) == [
        0,
        8192,
        {"addr": "0x2000", "size": 8, "hex": "0300000000000000"},
    ]


def test_a_cut_buffer_tells_its_whole_size() -> None:
    """An event keeps 128 bytes of a buffer; the size is that of all."""
    assert shown(0, (3, 0x1000, 65536), 380, {1: b"x" * 128})[1]["size"] == 380
    assert shown(1, (1, 0x1000, 500), 500, {1: b"x" * 128})[1]["size"] == 500


def test_a_pointer_that_was_not_followed_is_an_address() -> None:
    """A bad path, and the null pointer of rt_sigprocmask's new set."""
    assert shown(257, (U64 - 100, 0x10, 0, 0), -14) == [-100, "0x10", 0, 0]
    assert shown(14, (2, 0, 0x3000, 8), 0, {2: bytes(8)})[1] == "0x0"


def test_an_unknown_call_shows_its_registers() -> None:
    """Nothing is known of what they mean."""
    assert shown(999, (1, 2, 3, 4, 5, U64 - 1), -38) == [1, 2, 3, 4, 5, U64 - 1]


def test_the_rest_of_the_event_is_kept() -> None:
    """Name, result, function and the position among the functions."""
    made = event(3, (3,))
    made.function = "runtime.getHugePageSize"

    assert syscall(made, 14).function == "runtime.getHugePageSize"
    assert syscall(made, 14).after_call == 14
