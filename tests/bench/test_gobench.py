"""The benchmark format, line by line, as golang.org/design/14313-benchmark-format has it.

The output was also read by golang.org/x/perf itself (benchfmt.Reader without a syntax error, benchstat with its
comparison, at v0.0.0-20260908200009) when this was written; package registries do not have that module.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator

import pytest

from emu.bench import gobench
from emu.bench.cost import METRICS, Cost, Share
from emu.bench.measure import measure
from emu.bench.recording import Measured, Row
from emu.image.image import load
from syscalls.world import World
from tests.bench.recordings import recording, row
from tests.booted import BUNDLED

PREDEFINED = {"better": {"higher", "lower"}, "assume": {"nothing", "exact"}}
Result = tuple[dict[str, str], str, dict[str, float]]


def go_space(c: str) -> bool:
    """unicode.IsSpace."""
    return c in "\t\n\v\f\r \x85\xa0" or (c.isspace() and c not in "\x1c\x1d\x1e\x1f")


def fields(line: str) -> list[str]:
    """strings.Fields."""
    return "".join("\n" if go_space(c) else c for c in line).split("\n") if line else []


def read(lines: Iterable[str]) -> Iterator[Result]:
    """Yield each benchmark result with its configuration; assert what the specification demands of each line."""
    settings: dict[str, str] = {}
    units: dict[str, dict[str, str]] = {}
    for line in lines:
        assert "\n" not in line
        line.encode("utf-8")
        words = [word for word in fields(line) if word]
        if line.startswith("Benchmark"):
            yield dict(settings), words[0], result(words, units)
        elif words[:1] == ["Unit"]:
            unit = units.setdefault(words[1], {})
            for word in words[2:]:
                key, equals, value = word.partition("=")
                assert equals
                assert key
                assert value in PREDEFINED[key]
                assert unit.setdefault(key, value) == value  # cannot be overridden
        elif found := re.fullmatch(r"([^:]+):(?:[ \t]+(.*))?", line):
            key, value = found.groups()
            assert key[0].islower()
            assert not any(go_space(c) or c.isupper() for c in key)
            settings[key] = value
        else:
            assert line == "" or line.startswith("#")  # ignored


def result(words: list[str], units: dict[str, dict[str, str]]) -> dict[str, float]:
    """The values of a benchmark result line, by unit."""
    assert len(words) % 2 == 0
    assert len(words) >= 4
    name = words[0].removeprefix("Benchmark")
    assert name == "" or name[0].isupper()
    assert not re.search(r"-\d+$", name)  # would be read as GOMAXPROCS
    assert int(words[1]) > 0
    values = {}
    for value, unit in zip(words[2::2], words[3::2], strict=True):
        assert math.isfinite(float(value))
        assert re.fullmatch(r"\d+", value)  # what strconv.ParseFloat takes, without Python's extras
        assert unit not in values
        assert units[unit] == {"assume": "exact", "better": "lower"}
        values[unit] = float(value)
    return values


@pytest.fixture(scope="module")
def hello() -> Measured:
    """Return what the bundled program costs."""
    return measure(load(BUNDLED), World())


def test_every_line_is_one_of_the_format(hello: Measured) -> None:
    """All results have all metrics, each name is there once."""
    found = list(read(gobench.lines([hello])))
    names = [name for _, name, _ in found]

    assert len(found) == 1 + 2 * len(hello.functions)
    assert len(set(names)) == len(names)
    assert all(set(values) == {gobench.unit(name) for name in METRICS} for _, _, values in found)
    assert all(settings == {"goos": "linux", "goarch": "amd64", "pkg": "hello"} for settings, _, _ in found)


def test_values_are_the_recording_s(hello: Measured) -> None:
    """The whole, a function with what it calls, and without."""
    values = {name: found for _, name, found in read(gobench.lines([hello]))}
    schedinit = hello.function("runtime.schedinit")
    assert schedinit is not None

    assert values["BenchmarkBoot/hello/total"]["instructions/op"] == hello.totals.instructions
    assert values["BenchmarkBoot/hello/schedinit"]["instructions/op"] == schedinit.total.instructions
    assert values["BenchmarkOwn/hello/schedinit"]["instructions/op"] == schedinit.own.instructions
    assert values["BenchmarkBoot/hello/total"]["mapped-B/op"] == hello.totals.mapped


def test_programs_and_settings_stand_apart() -> None:
    """Each result has the configuration of its own program."""
    programs = [recording(row("runtime.args", 1), name=name) for name in ("a", "b")]
    found = {
        (settings["pkg"], settings["recording"], name)
        for settings, name, _ in read(gobench.lines(programs, (("recording", "old"),)))
    }

    assert found == {
        (program, "old", f"Benchmark{kind}/{program}/{what}")
        for program in ("a", "b")
        for kind, what in (("Boot", "total"), ("Boot", "args"), ("Own", "args"))
    }


@pytest.mark.parametrize("name", ["server-2", "my server", "tab\tand\u2028line", "\x1b[31m", "x" * 300, "Größe"])
def test_names_are_one_field(name: str) -> None:
    """Whatever a program is called, and whatever characters a function's name has."""
    odd = Row("type:.eq.struct { a int; b-9 string }", calls=1, own=Cost(5), total=Cost(5), parts={"x": Share(5, 1, 1)})
    found = list(read(gobench.lines([recording(odd, name=name)])))

    assert len(found) == 3
    assert all(values["instructions/op"] == 5 for _, _, values in found)


def test_writes_that_were_not_counted_are_left_out() -> None:
    """No value is better than a wrong one."""
    (_, _, values), *_ = read(gobench.lines([recording(row("runtime.args", 1), typed=False)]))

    assert "writes/op" not in values
