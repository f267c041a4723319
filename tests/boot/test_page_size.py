"""The page size that the World tells: accepted ones are used, others end the program with the runtime's own words.

The checks stand in ``mallocinit`` (malloc.go): zero; more than 512 KiB (since Go 1.14: the older binaries do not hold
the text); less than 4 KiB; not a power of two.  Each prints a line and throws.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from emu.cli.main import main
from tests.booted import UNSTRIPPED, booted, number

ZERO = "failed to get system page size"
BAD = "bad system page size"
BEFORE_114 = ("esbuild-0.0.2", "esbuild-0.1.0")


@pytest.mark.parametrize("name", UNSTRIPPED)
@pytest.mark.parametrize("size", [4096, 8192, 16384, 65536, 512 << 10])
def test_page_sizes_that_go_accepts(binary: Callable[[str], Path], name: str, size: int) -> None:
    """The value arrives, every mapping lies on a multiple of it, and the program starts all the same."""
    record = booted(binary(name), f"page-size={size}")

    assert record.outcome["kind"] == "reached"
    assert number(record, "physPageSize") == size
    assert {"tag": "AT_PAGESZ", "value": size} in record.views["auxv"]
    mapped = [call.result for call in record.syscalls if call.name == "mmap"]
    assert mapped
    assert [addr for addr in mapped if addr % size] == []


@pytest.mark.parametrize("name", UNSTRIPPED)
@pytest.mark.parametrize(
    ("size", "message", "line"),
    [
        (0, ZERO, ""),
        (1024, BAD, "system page size (1024) is smaller than minimum page size (4096)\n"),
        (1, BAD, "system page size (1) is smaller than minimum page size (4096)\n"),
        (12288, BAD, "system page size (12288) must be a power of 2\n"),
        (1 << 20, BAD, "system page size (1048576) is larger than maximum page size (524288)\n"),
    ],
)
def test_page_sizes_that_go_refuses(
    binary: Callable[[str], Path], name: str, size: int, message: str, line: str
) -> None:
    """The throw's text is the outcome's message; the program exits with 2 by itself."""
    record = booted(binary(name), f"page-size={size}")
    if size == 1 << 20 and name in BEFORE_114:
        assert record.outcome["kind"] == "reached"
        assert number(record, "physPageSize") == size
        return

    outcome = record.outcome
    assert (outcome["kind"], outcome["message"], outcome["exit_status"]) == ("throw", message, 2)
    assert record.output.startswith(f"{line}fatal error: {message}\n")
    assert record.calls("runtime.mallocinit")
    assert not record.calls("runtime.newproc")
    last = record.syscalls[-1]
    assert (last.name, last.arguments[0]) == ("exit_group", 2)


@pytest.mark.parametrize("size", ["0", "1024", "12288", "1MiB"])
def test_the_command_says_that_the_guest_gave_up(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 3, and the reader is told why."""
    assert main(["boot", "--page-size", size]) == 3

    screen = capsys.readouterr()
    assert (ZERO if size == "0" else BAD) in screen.out
    assert screen.err == ""


@pytest.mark.parametrize("name", UNSTRIPPED)
def test_without_the_entry_the_size_is_unknown(binary: Callable[[str], Path], name: str) -> None:
    """Go looks at nothing else as long as there is any other entry (os_linux.go, sysargs)."""
    record = booted(binary(name), "auxv.AT_PAGESZ=absent")

    assert (record.outcome["kind"], record.outcome["message"]) == ("throw", ZERO)


def test_the_entry_may_lie(binary: Callable[[str], Path]) -> None:
    """The vector says 16 KiB, the kernel still has pages of 4 KiB: only the value moves."""
    record = booted(binary("hello-1.21.13"), "auxv.AT_PAGESZ=16384")

    assert number(record, "physPageSize") == 16384
