"""Recordings in the Go benchmark data format, which benchstat and the dashboards of CI systems read.

Specification: golang.org/design/14313-benchmark-format; unit metadata: golang.org/x/perf/benchfmt.  Counts are exact,
which the unit lines say (``assume=exact``), so that benchstat compares single values.  ``BenchmarkBoot`` counts a
function with what it calls, ``BenchmarkOwn`` without; ``Boot/PROGRAM/total`` is the whole of start-up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emu.bench.cost import METRICS, UNITS, Cost
from emu.bench.recording import Measured

ITERATIONS = 1
RUNTIME = "runtime."


def lines(programs: Sequence[Measured], settings: Sequence[tuple[str, str]] = ()) -> Iterator[str]:
    """The benchmark file of *programs*; *settings* are more configuration lines."""
    yield from (f"{key}: {value}" for key, value in (("goos", "linux"), ("goarch", "amd64"), *settings))
    yield from (f"Unit {unit(name)} assume=exact better=lower" for name in METRICS)
    for one in programs:
        program = _part(one.name)
        # A comment: benchstat compares only results whose configuration is the same.
        yield from ("", f"# {program} {_part(one.go)} sha256 {one.sha256} world {one.world_sha256}", f"pkg: {program}")
        yield _line("Boot", program, "total", one.totals, one.typed)
        for row in one.functions:
            yield _line("Boot", program, _part(row.name.removeprefix(RUNTIME)), row.total, one.typed)
        for row in one.functions:
            yield _line("Own", program, _part(row.name.removeprefix(RUNTIME)), row.own, one.typed)


def unit(metric: str) -> str:
    """The unit of *metric*: "instructions/op", "mapped-B/op"."""
    return f"{metric}-{UNITS[metric]}/op" if metric in UNITS else f"{metric}/op"


def _line(kind: str, program: str, what: str, cost: Cost, typed: bool) -> str:
    values = (f"{getattr(cost, name)} {unit(name)}" for name in METRICS if typed or name != "writes")
    return " ".join((f"Benchmark{kind}/{program}/{what}", str(ITERATIONS), *values))


def _part(name: str) -> str:
    # A name is one field, and fields are divided by white space of any kind.
    return "_".join("".join(c if c.isprintable() else " " for c in name).split())
