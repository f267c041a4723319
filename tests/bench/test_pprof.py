"""The profile: decoded by hand, and as ``go tool pprof`` shows it."""

from __future__ import annotations

import gzip
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from emu.bench import pprof
from emu.bench.measure import measured, run
from emu.bench.recording import Measured
from emu.image.image import load
from fixtures import gotool
from syscalls.world import World
from tests.booted import BUNDLED
from tests.conftest import delivered

SAMPLE_TYPE, SAMPLE, MAPPING, LOCATION, FUNCTION, TEXT, DEFAULT = 1, 2, 3, 4, 5, 6, 14  # profile.proto, Profile


@pytest.fixture(scope="module")
def hello() -> tuple[Measured, bytes]:
    """Return what the bundled program costs, and its profile."""
    boot = run(load(BUNDLED), World())
    return measured(*boot), pprof.encode(*boot)


def number(data: bytes, at: int) -> tuple[int, int]:
    """The varint at *at*, and where the next thing is."""
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def message(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield (field, value) of a message of numbers and byte strings."""
    at = 0
    while at < len(data):
        tag, at = number(data, at)
        value, at = number(data, at)
        if tag & 7 == 2:
            assert at + value <= len(data)
            yield tag >> 3, data[at : at + value]
            at += value
        else:
            assert tag & 7 == 0
            yield tag >> 3, value


def numbers(data: bytes | int) -> list[int]:
    """Packed numbers."""
    assert isinstance(data, bytes)
    found, at = [], 0
    while at < len(data):
        value, at = number(data, at)
        found.append(value)
    return found


class Decoded:
    """A profile as tables."""

    def __init__(self, raw: bytes) -> None:
        rows = list(message(gzip.decompress(raw)))
        self.texts = [bytes(value).decode() for field, value in rows if field == TEXT and isinstance(value, bytes)]
        self.types = [self.texts[dict(self.part(v))[1]] for f, v in rows if f == SAMPLE_TYPE]  # type: ignore[index]
        self.default = next(self.texts[v] for f, v in rows if f == DEFAULT and isinstance(v, int))
        self.samples = [{f: numbers(v) for f, v in self.part(value)} for field, value in rows if field == SAMPLE]
        self.mappings = [dict(self.part(value)) for field, value in rows if field == MAPPING]
        self.functions = {r[1]: r for r in (dict(self.part(value)) for field, value in rows if field == FUNCTION)}
        self.locations = {r[1]: r for r in (dict(self.part(value)) for field, value in rows if field == LOCATION)}

    @staticmethod
    def part(value: int | bytes) -> list[tuple[int, int | bytes]]:
        """The fields of an embedded message."""
        assert isinstance(value, bytes)
        return list(message(value))

    def place(self, location: int) -> tuple[str, str, int]:
        """The function, file and line of a location."""
        line = dict(self.part(self.locations[location][4]))
        function = self.functions[line[1]]
        name, file = (self.texts[int(function.get(field, 0))] for field in (2, 4))
        return name, file, int(line.get(2, 0))


def test_samples_add_up_to_the_totals(hello: tuple[Measured, bytes]) -> None:
    """Each kind of sample: nothing is lost, nothing is there twice."""
    found, decoded = hello[0], Decoded(hello[1])
    sums = [sum(sample[2][index] for sample in decoded.samples) for index in range(len(decoded.types))]

    assert decoded.types == ["instructions", "blocks", "syscalls", "pages"]
    assert sums == [getattr(found.totals, name) for name in decoded.types]
    assert decoded.default == "instructions"


def test_functions_on_top_executed_what_the_recording_says(hello: tuple[Measured, bytes]) -> None:
    """The flat view is the program's functions by their own instructions and blocks."""
    found, decoded = hello[0], Decoded(hello[1])
    for index, count in enumerate(("instructions", "blocks")):
        flat: Counter[str] = Counter()
        for sample in decoded.samples:
            flat[decoded.place(sample[1][0])[0]] += sample[2][index]

        assert +flat == {name: getattr(share, count) for name, share in found.program.items()}


def test_stacks_hold_the_bootstrap_functions(hello: tuple[Measured, bytes]) -> None:
    """The cumulative view has each bootstrap function with what it calls (and its ABI wrapper, where it has one)."""
    found, decoded = hello[0], Decoded(hello[1])
    around: Counter[str] = Counter()
    for sample in decoded.samples:
        for name in {decoded.place(location)[0] for location in sample[1]}:
            around[name] += sample[2][0]

    for name in ("runtime.mallocinit", "runtime.procresize", "runtime.getCPUCount", "runtime.rt0_go", "_rt0_amd64"):
        row = found.function(name)
        assert row is not None
        assert around[name] == row.total.instructions


def test_places_are_those_of_the_program(hello: tuple[Measured, bytes]) -> None:
    """The call in osinit stands on its line; addresses lie in the mapping; the build id is the program's."""
    image, decoded = load(BUNDLED), Decoded(hello[1])
    places = {int(row[3]): decoded.place(number_) for number_, row in decoded.locations.items()}  # type: ignore[arg-type]
    osinit = image.function("runtime.osinit")
    assert osinit is not None

    assert places[osinit.entry] == ("runtime.osinit", osinit.file, osinit.line)
    callers = {
        decoded.place(outer)
        for sample in decoded.samples
        for inner, outer in pairwise(sample[1])
        if decoded.place(inner)[0] == "runtime.getCPUCount" and decoded.place(outer)[0] == "runtime.osinit"
    }
    # The first statement of osinit is numCPUStartup = getCPUCount() (runtime/os_linux.go, Go 1.27).
    assert callers == {("runtime.osinit", osinit.file, osinit.line + 1)}
    (mapping,) = decoded.mappings
    low, high = mapping[2], mapping[3]
    inside = [addr for number_, row in decoded.locations.items() if row.get(2) == 1 and (addr := row[3])]
    assert isinstance(low, int)
    assert isinstance(high, int)
    assert len(inside) > 100
    assert all(low <= int(addr) < high for addr in inside)
    assert decoded.texts[int(mapping[6])] == image.build.gnu_build_id
    assert all("/" not in text or not text.startswith(str(BUNDLED.parent)) for text in decoded.texts)


def test_encoding_of_numbers() -> None:
    """Examples of the protocol buffers' own documentation, and the limits of a group."""
    assert pprof.varint(150) == b"\x96\x01"
    assert pprof.number(1, 150) == b"\x08\x96\x01"
    assert pprof.block(2, b"testing") == b"\x12\x07testing"
    assert pprof.packed(6, (3, 270, 86942)) == b"\x32\x06\x03\x8e\x02\x9e\xa7\x05"
    assert (pprof.varint(127), pprof.varint(128), pprof.number(3, 0)) == (b"\x7f", b"\x80\x01", b"")


@pytest.fixture(scope="module")
def tool() -> Path:
    """Return Go's pprof; the registry may not deliver it, which skips the test and on CI fails it."""
    return delivered(gotool.path, "pprof")


def test_go_tool_pprof_opens_it(tool: Path, hello: tuple[Measured, bytes], tmp_path: Path) -> None:
    """Its flat numbers add up to the total, for each kind of sample, and name the dearest function."""
    found, raw = hello
    file = tmp_path / "boot.pb.gz"
    file.write_bytes(raw)
    for kind in ("instructions", "blocks", "syscalls", "pages"):
        command = [str(tool), "-top", "-nodefraction=0", "-nodecount=100000", f"-sample_index={kind}", str(file)]
        environment = {"HOME": str(tmp_path), "PPROF_TMPDIR": str(tmp_path), "PATH": ""}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        rows = re.findall(r"^ *(\d+) +[\d.]+% +[\d.]+% +(\d+) +[\d.]+%  (.+)$", done.stdout, re.MULTILINE)

        assert f"Type: {kind}" in done.stdout
        assert sum(int(flat) for flat, _, _ in rows) == getattr(found.totals, kind)
        if kind == "instructions":
            dearest = max(found.program, key=lambda name: found.program[name].instructions)
            assert (rows[0][2], int(rows[0][0])) == (dearest, found.program[dearest].instructions)
