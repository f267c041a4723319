"""``rt0 sweep``: boot a program in every World of a product, and show one table."""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from emu.cli import options, output
from emu.cli.errors import OK, UsageError
from syscalls.world import World, WorldError
from syscalls.worldfile import load as load_world

if TYPE_CHECKING:
    from emu.image.image import Image
    from emu.sweep.plan import Plan
    from emu.sweep.run import Crew
    from emu.sweep.store import Store
    from emu.sweep.sweep import Table

DESCRIPTION = """\
Boot one or more programs in every World that the knobs make: the product of all that varies, and of all binaries.
Shows a row for each with the values that differ, and below which knob changed which value. Rows are kept: what was
computed once is not computed again, and `rt0 query` answers SQL over all of it."""

EPILOG = """\
examples:
  rt0 sweep ./server --vary cpus=1,2,3,64 --vary thp=absent,0,2097152
  rt0 sweep ./server --vary cpus=1..8 --vary page-size=4096..65536*4 --show ncpu,gomaxprocs
  rt0 sweep ./server --vary cpus=0,2-3 --vary cpus=0x5       a key given twice has one value each time, commas included
  rt0 sweep ./tool --run --vary schedule-seed=1..50          whole programs: how each ends, and its last words
  rt0 sweep old new --set seed=5 --worlds here.toml there.toml --csv table.csv
  rt0 sweep ./server --vary-file points.csv --cluster tcp://scheduler:8786

values: split at commas, but not in quotes or brackets nor behind a backslash; A..B, A..B+STEP, A..B*FACTOR are ranges
exit status: 0 every row was computed, whatever its outcome; 2 bad usage or bad input; 130 interrupted (go on with the
same command)"""

ALL = "all"
POINTS_A_JOB = 16  # fewer are not worth another process


def run(argv: Sequence[str]) -> int:
    """Run the command with *argv*, its arguments; return the exit status."""
    chosen = _parser().parse(argv)
    output.check_target(chosen.json)
    for option, path in (("--csv", chosen.csv), ("--parquet", chosen.parquet)):
        if path is not None and (path.is_dir() or not path.parent.is_dir()):
            raise UsageError(f"{option}: {path}: {'is a directory' if path.is_dir() else 'no such directory'}")

    from emu.boot.boot import UnknownFunction
    from emu.image.errors import ImageError
    from emu.image.image import load
    from emu.sweep.crews import ClusterError
    from emu.sweep.plan import PlanError
    from emu.sweep.store import StoreError

    try:
        images = tuple(load(path) for path in chosen.binaries)
        plan = _plan(chosen, images)
        table = _swept(chosen, plan, images)
        _write(chosen, plan, table)
    except (ImageError, WorldError, PlanError, StoreError, ClusterError, UnknownFunction) as error:
        raise UsageError(str(error)) from error
    return OK


def _parser() -> options.Parser:
    parser = options.Parser("sweep", DESCRIPTION, EPILOG)
    parser.add_argument("binaries", nargs="+", metavar="BINARY", help="the programs")
    group = parser.add_argument_group("what varies")
    group.add_argument(
        "--vary", action="append", default=[], metavar="KEY=V1,V2,...", help="values of a key of the World"
    )
    group.add_argument("--vary-file", action="append", default=[], type=Path, metavar="FILE", help="points: TOML, CSV")
    group.add_argument("--worlds", nargs="+", default=[], metavar="FILE", help="World files, each with all that varies")
    group.add_argument(
        "--show",
        metavar="NAME,...",
        help="values, variables or views; all: also the lesser values (default: what varied)",
    )
    group.add_argument("--until", metavar="FUNCTION", help="boot to this function instead of runtime.mstart")
    group.add_argument("--run", action="store_true", help="run to the end instead (the same as --until exit)")
    options.add_world(parser)
    options.add_output(parser)
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table as CSV; - for standard output")
    parser.add_argument("--parquet", type=Path, metavar="FILE", help="write the table as Parquet")
    group = parser.add_argument_group("how")
    group.add_argument("--jobs", type=_jobs, metavar="N", help="processes (default: one for each CPU)")
    group.add_argument(
        "--cluster", metavar="ADDRESS", help="the scheduler of a Dask cluster, instead of processes here"
    )
    group.add_argument("--store", type=Path, metavar="FILE", help="where rows are kept (default: see docs/sweep.md)")
    group.add_argument("--no-store", action="store_true", help="keep nothing and compute every row")
    return parser


def _jobs(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _plan(chosen: argparse.Namespace, images: tuple[Image, ...]) -> Plan:
    from emu.boot.boot import END, MSTART, entry_of
    from emu.sweep import plan as plans
    from emu.sweep import points, shown

    if len({image.sha256 for image in images}) < len(images):
        raise plans.PlanError("the same binary is given twice")
    labels = tuple(image.name for image in images)
    if len(set(labels)) < len(labels):
        labels = tuple(chosen.binaries)
    if chosen.run and chosen.until not in (None, END):
        raise UsageError("sweep: --run and --until: one of them at a time")
    until = END if chosen.run else chosen.until or MSTART
    for image in images:
        entry_of(image, until)
    axes = [axis for path in chosen.vary_file for axis in points.from_file(path)]
    plan = plans.Plan(
        binaries=labels,
        worlds=_worlds(chosen),
        axes=(*axes, *points.from_options(chosen.vary)),
        names=_names(chosen.show),
        until=until,
        several_worlds=bool(chosen.worlds),
    )
    plans.check(plan)
    shown.check(plan.names, images)
    return plan


def _worlds(chosen: argparse.Namespace) -> tuple[tuple[str, World], ...]:
    if not chosen.worlds:
        return (("", options.world(chosen)),)
    if chosen.world is not None:
        raise UsageError("--world and --worlds: one of them at a time")
    found = []
    for name in chosen.worlds:
        load_world(name)  # so that an error names the option
        found.append((name, options.world(argparse.Namespace(**{**vars(chosen), "world": name}))))
    return tuple(found)


def _names(show: str | None) -> tuple[str, ...]:
    from emu.sweep import shown
    from emu.sweep.plan import PlanError

    if show is None or show == ALL:
        return shown.declared()
    names = tuple(dict.fromkeys(name.strip() for name in show.split(",")))
    if not all(names):
        raise PlanError(f"--show: {show!r} has an empty name")
    return names


def _swept(chosen: argparse.Namespace, plan: Plan, images: tuple[Image, ...]) -> Table:
    from emu.sweep import crews
    from emu.sweep.sweep import sweep
    from emu.sweep.work import Shipment

    shipment = Shipment(plan, images)

    def crew(points: int) -> Crew:
        if chosen.cluster:
            return crews.ClusterCrew(shipment, chosen.cluster)
        jobs = chosen.jobs or min(crews.cores(), -(-points // POINTS_A_JOB))
        return crews.LocalCrew(shipment, jobs)

    progress = Progress(plan.size) if sys.stderr.isatty() and not chosen.quiet else None
    try:
        return sweep(plan, crew, _store(chosen, plan, images), progress)
    finally:
        if progress is not None:
            progress.clear()


def _store(chosen: argparse.Namespace, plan: Plan, images: tuple[Image, ...]) -> Store | None:
    from emu.sweep import store

    if chosen.no_store:
        return None
    programs = tuple(store.Program(image.sha256, image.name, image.go) for image in images)
    names = ",".join(sorted(plan.names)) if chosen.show not in (None, ALL) else store.DECLARED
    return store.Store(chosen.store or store.default_path(), programs, names, plan.until)


class Progress:
    """A line on a terminal that says how far it is."""

    EVERY = 0.2  # seconds

    def __init__(self, size: int) -> None:
        self._size = size
        self._begin = self._next = time.monotonic()
        self._first: int | None = None

    def __call__(self, done: int) -> None:
        """Say that *done* rows are there."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._begin = done, now
        if now < self._next:
            return
        self._next = now + self.EVERY
        rate = (done - self._first) / (now - self._begin) if now > self._begin else 0
        left = f", {rate:.0f} a second, {(self._size - done) / rate:.0f} s left" if rate else ""
        sys.stderr.write(f"\r\x1b[K{done:,} of {self._size:,} rows{left}")
        sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away."""
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def _write(chosen: argparse.Namespace, plan: Plan, table: Table) -> None:
    from emu.sweep import flat

    names = table.varied() if chosen.show in (None, ALL) else list(plan.names)
    if chosen.json is not None:
        rows = (json.dumps(row, sort_keys=True, ensure_ascii=False) for row in table.as_dicts(names))
        output.write_json("[" + ",\n ".join(rows) + "]", chosen.json)
    if chosen.csv or chosen.parquet:
        columns = flat.columns(table.as_dicts(names), plan.knobs(), names)
        try:
            if str(chosen.csv) == output.STDOUT:
                text = io.StringIO(newline="")
                flat.write_rows(text, columns)
                output.write_text(text.getvalue())
            elif chosen.csv:
                flat.write_csv(chosen.csv, columns)
            if chosen.parquet:
                flat.write_parquet(chosen.parquet, columns)
        except OSError as error:
            raise UsageError(f"{error.filename}: {(error.strerror or str(error)).lower()}") from error
    if not chosen.quiet and output.STDOUT not in (chosen.json, str(chosen.csv)):
        from emu.boot.values import BY_NAME
        from emu.report import sweep as report

        if chosen.show is None:
            names = [name for name in names if BY_NAME[name].key]
        rows_shown = list(table.as_dicts(names))
        if chosen.show in (None, ALL):
            names = report.by_use(names, rows_shown)
        lines = report.lines(rows_shown, plan.knobs(), names, table.influence(), output.paper(sys.stdout))
        output.write_lines(lines, sys.stdout)
