"""The mapping calls against a real kernel: the program ``tests/native/memory.c`` is run here, and each of its steps is
replayed on our kernel, which must give the same results and the same bytes.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from syscalls.guest import PROT_READ, PROT_WRITE
from tests.syscalls.bytememory import BRK, Guest, guest

NATIVE = Path(__file__).resolve().parent.parent / "native"
FLAGS = ("-static", "-O1", "-nostdlib", "-fno-stack-protector", "-fcf-protection=none", "-Wall", "-Werror")

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler to build the native program with")


@pytest.fixture(scope="module")
def native_output(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the program prints on this machine's kernel."""
    program = tmp_path_factory.mktemp("native") / "memory"
    subprocess.run(["gcc", *FLAGS, "-o", str(program), str(NATIVE / "memory.c")], check=True)
    return subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout


class Replay:
    """One run of the program's steps on our kernel, printing what the program would."""

    def __init__(self, g: Guest) -> None:
        self.g = g
        self.first_map = 0

    def value(self, text: str) -> int:
        """Turn ``brk+0x10``, ``map-0x1000``, ``-0x1`` or ``0x5`` into a number."""
        if text.startswith("brk"):
            return BRK + int(text[3:], 16)
        if text.startswith("map"):
            return self.first_map + int(text[3:], 16)
        return int(text, 16)

    def shown(self, value: int) -> str:
        """Print *value* as the program does."""
        for name, base in (("brk", BRK), ("map", self.first_map)):
            if base and -0x10_0000 <= value - base < 0x10_0000:
                return f"{name}{value - base:+#x}"
        return f"{value:#x}"

    def step(self, line: str) -> str:
        """Perform one line of the program's output and return the line that it gives here."""
        words = line.split()
        if words[0] == "call":
            nr, *args = words[1:8]
            values = [self.value(arg) for arg in args]
            result = self.g.call(int(nr, 16), *values)
            if int(nr, 16) == 9 and not values[0] and not self.first_map:
                self.first_map = result
            return f"{line.partition(' = ')[0]} = {self.shown(result)}"
        addr = self.value(words[1])
        if words[0] == "poke":
            self.g.mem.write(addr, bytes((int(words[2], 16),)))
            return line
        return f"peek {words[1]} = {self.g.mem.read(addr, 1)[0]:#x}"


def test_mapping_calls_agree_with_this_kernel(native_output: str) -> None:
    """Every result, every error and every byte of some 180 steps is the real kernel's."""
    lines = native_output.splitlines()
    replay = Replay(guest())

    assert [replay.step(line) for line in lines] == lines
    assert len(lines) > 170


def areas_of(text: str) -> Iterator[tuple[int, int, str]]:
    for line in text.splitlines():
        found = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line)
        assert found, line
        yield int(found[1], 16), int(found[2], 16), found[3]


def test_areas_and_pages_agree_after_all_steps(native_output: str) -> None:
    """What /proc/self/maps claims is what memory holds: mapped pages with the same permissions."""
    g = guest()
    replay = Replay(g)
    for line in native_output.splitlines():
        replay.step(line)

    areas = [*areas_of(g.kernel.space.maps())]
    # The reservation and the vsyscall page are left out by this memory.
    small = [area for area in areas if area[1] - area[0] <= 1 << 28 and area[0] <= 1 << 47]
    assert len(small) > 5
    for start, end, mode in small:
        want = (PROT_READ if "r" in mode else 0) | (PROT_WRITE if "w" in mode else 0) | (4 if "x" in mode else 0)
        assert {g.mem.prots[page] for page in range(start // 4096, end // 4096)} == {want}, (hex(start), mode)
