"""``rt0 bench``: record what start-up costs, and compare two recordings."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emu.cli import options, output
from emu.cli.errors import DIFFERS, OK, UsageError
from emu.cli.programs import unlimited, with_arguments

if TYPE_CHECKING:
    from emu.bench.compare import Comparison
    from emu.bench.recording import Measured
    from emu.bench.threshold import Regression, Threshold

COMPARE_SCHEMA = "rt0.bench-compare/1"
TEXT, JSON, BENCHSTAT = "text", "json", "benchstat"

HELP = """\
usage: rt0 bench record BINARY... -o FILE
       rt0 bench compare OLD NEW

Record what start-up costs, from the entry point to runtime.mstart, by function: instructions, blocks, system calls,
pages, mappings, writes to globals. All are exact: two recordings are identical, so that one run is enough and every
difference is real.

  rt0 bench record --help, rt0 bench compare --help   options, formats, thresholds

examples:
  rt0 bench record ./server -o old.json          then change something, build, and
  rt0 bench record ./server -o new.json
  rt0 bench compare old.json new.json            what moved, by function, and why
  rt0 bench record ./server --pprof boot.pb.gz   for go tool pprof

exit status: 0 recorded, or no regression; 1 a regression; 2 bad usage or bad input; 130 interrupted"""

RECORD = """\
Boot programs in the World, and write down what start-up costs: in all, by bootstrap function (with what it calls, and
without), and by every function of the program."""

RECORD_EPILOG = """\
examples:
  rt0 bench record ./server -o new.json
  rt0 bench record ./server ./client --cpus 4 -o new.json
  rt0 bench record ./server -o - | jq '.programs[].totals'
  rt0 bench record ./server --format benchstat -o new.txt
  rt0 bench record ./server --pprof boot.pb.gz && go tool pprof -top boot.pb.gz
  rt0 bench record ./server -o new.json -- --port 80    with arguments
  rt0 bench record --run ./tool --pprof whole.pb.gz -- --version    the whole run, and init by package

exit status: 0 recorded; 2 bad usage, bad input, or a program that did not reach runtime.mstart"""

COMPARE = """\
Say what moved between two recordings, by function, and why as far as the recordings can tell. Programs are paired by
name; recordings of one program each are compared whatever these are called."""

COMPARE_EPILOG = """\
thresholds: [METRIC:][FUNCTION=]NUMBER[%]; a count that grew by more is a regression. METRIC is instructions (if none is
given), blocks, syscalls, pages, mapped, reserved or writes. FUNCTION counts with what it calls; without one
the whole of start-up counts. Without --fail-over, any growth of the instructions in all is a regression.

examples:
  rt0 bench compare old.json new.json
  rt0 bench compare old.json new.json --fail-over 1%
  rt0 bench compare old.json new.json --fail-over schedinit=500 --fail-over syscalls:0
  rt0 bench compare old.json new.json --json | jq '.programs[].functions[] | [.name, .own.instructions]'
  rt0 bench compare old.json new.json --format benchstat > both.txt && benchstat -col recording both.txt

exit status: 0 no regression; 1 a regression; 2 bad usage or bad input"""


def run(argv: Sequence[str]) -> int:
    """Run the command with *argv*, its arguments; return the exit status."""
    if not argv:
        raise UsageError("bench: a command is missing; there are record, compare (rt0 bench --help)")
    if argv[0] in ("-h", "--help", "help"):
        output.write_lines(HELP.split("\n"), sys.stdout)
        return OK
    if argv[0] == "record":
        return _record(argv[1:])
    if argv[0] == "compare":
        return _compare(argv[1:])
    raise UsageError(f"bench: no command {argv[0]!r}; there are record, compare (rt0 bench --help)")


# record


def _record(argv: Sequence[str]) -> int:
    parser = options.Parser("bench record", RECORD, RECORD_EPILOG)
    parser.add_argument("binaries", nargs="+", metavar="BINARY", help="a program")
    parser.add_argument("-o", "--output", metavar="FILE", help="where the recording goes; - is standard output")
    parser.add_argument("--format", choices=(JSON, BENCHSTAT), default=JSON, help="of FILE (if not given: json)")
    parser.add_argument(
        "--run", action="store_true", help="go on to main.main and to the end, and show what each package's init costs"
    )
    parser.add_argument("--pprof", metavar="FILE", help="write a profile for go tool pprof; of one program")
    options.add_world(parser)
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    chosen = parser.parse(argv)
    if chosen.output is None and chosen.pprof is None:
        raise UsageError("bench record: -o FILE or --pprof FILE is missing")
    if chosen.pprof is not None and len(chosen.binaries) != 1:
        raise UsageError("bench record: --pprof takes one program at a time")
    output.check_target(chosen.output, "-o")
    output.check_target(chosen.pprof, "--pprof")
    programs = _measure(chosen)
    if chosen.output is not None:
        output.write_json(_spelled(programs, chosen.format), chosen.output, "-o")
    if not chosen.quiet and output.STDOUT not in (chosen.output, chosen.pprof):
        from emu.bench import text

        for one in programs:
            output.write_lines((_summary(one), *text.init_lines(one)), sys.stdout)
    return OK


def _measure(chosen: Any) -> list[Measured]:
    from emu.bench import measure, pprof, whole
    from emu.boot.boot import UnknownFunction
    from emu.image.errors import ImageError
    from emu.image.image import load
    from syscalls.world import WorldError

    world = options.world(chosen)
    programs = []
    for path in chosen.binaries:
        try:
            image = load(path)
            made = with_arguments(world, image.name, chosen.rest)
            if chosen.run:
                made = unlimited(made)
                machine, meter, one = whole.run(image, made)
                boot = image, made, machine, meter
            else:
                boot = measure.run(image, made)
                one = measure.measured(*boot)
        except (ImageError, WorldError) as error:
            raise UsageError(str(error)) from error
        except (UnknownFunction, measure.NotReached) as error:
            raise UsageError(f"{path}: {error}") from error
        programs.append(one)
        if chosen.pprof == output.STDOUT:
            output.write_bytes(pprof.encode(*boot))
        elif chosen.pprof is not None:
            output.write_file(pprof.encode(*boot), chosen.pprof, "--pprof")
    return programs


def _spelled(programs: list[Measured], form: str) -> str:
    from emu.bench import gobench, recording

    return recording.to_json(programs) if form == JSON else "\n".join(gobench.lines(programs))


def _summary(one: Measured) -> str:
    totals = one.totals
    return (
        f"{one.name} ({one.go}): {totals.instructions:,} instructions, {totals.syscalls:,} system calls, "
        f"{totals.pages:,} pages, {len(one.functions)} bootstrap functions"
    )


# compare


def _compare(argv: Sequence[str]) -> int:
    parser = options.Parser("bench compare", COMPARE, COMPARE_EPILOG)
    parser.add_argument("old", metavar="OLD", help="a recording, as `rt0 bench record` writes it")
    parser.add_argument("new", metavar="NEW", help="another")
    parser.add_argument(
        "--fail-over",
        action="append",
        default=[],
        metavar="THRESHOLD",
        help="what may grow, and by how much; repeatable",
    )
    options.add_output(parser)
    parser.add_argument(
        "--format",
        choices=(TEXT, JSON, BENCHSTAT),
        default=TEXT,
        help="of standard output; benchstat has both recordings",
    )
    parser.add_argument("--all", action="store_true", help="every function and every cause, nothing folded")
    chosen = parser.parse(argv)
    if chosen.json is None and chosen.format == JSON:
        chosen.json = output.STDOUT
    output.check_target(chosen.json)

    from emu.bench import threshold

    try:
        thresholds = [threshold.parse(text) for text in chosen.fail_over] or [threshold.DEFAULT]
        return _judge(chosen, _read(chosen.old), _read(chosen.new), thresholds)
    except threshold.BadThreshold as error:
        raise UsageError(f"--fail-over: {error}") from error


def _read(path: str) -> list[Measured]:
    from emu.bench.recording import NotARecording, from_json

    try:
        return from_json(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    except (UnicodeDecodeError, NotARecording) as error:
        why = "not a recording: not text" if isinstance(error, UnicodeDecodeError) else str(error)
        raise UsageError(f"{path}: {why}") from error
    except ValueError as error:  # a path with a NUL byte
        raise UsageError(f"{path!r}: {error}") from error


def _judge(chosen: Any, old: list[Measured], new: list[Measured], thresholds: Sequence[Threshold]) -> int:
    from emu.bench.compare import compare, pair_programs
    from emu.bench.threshold import regressions

    pairs, gone, come = pair_programs(old, new)
    if not pairs:
        raise UsageError(
            f"no program is in both: {chosen.old} has {', '.join(gone)}; {chosen.new} has {', '.join(come)}"
        )
    found = [compare(*pair) for pair in pairs]
    judged = [(one, regressions(one, thresholds)) for one in found]
    if chosen.json is not None:
        output.write_json(_as_json(judged, gone, come), chosen.json)
    if not chosen.quiet and chosen.json != output.STDOUT:
        _print(chosen, judged, (gone, come), (old, new))
    return DIFFERS if any(grown for _, grown in judged) else OK


def _print(
    chosen: Any,
    judged: list[tuple[Comparison, list[Regression]]],
    alone: tuple[list[str], list[str]],
    recordings: tuple[list[Measured], list[Measured]],
) -> None:
    if chosen.format == BENCHSTAT:
        from emu.bench import gobench

        for label, programs in zip(("old", "new"), recordings, strict=True):
            output.write_lines(gobench.lines(programs, (("recording", label),)), sys.stdout)
        return
    from emu.bench import text

    width = output.paper(sys.stdout).width
    for index, (one, grown) in enumerate(judged):
        output.write_lines([""] * (index > 0), sys.stdout)
        output.write_lines(text.lines(one, grown, width, chosen.all), sys.stdout)
    for what, names in zip((chosen.old, chosen.new), alone, strict=True):
        if names:
            output.write_lines(("", f"only in {what}: {', '.join(names)}"), sys.stdout)


def _as_json(judged: list[tuple[Comparison, list[Regression]]], gone: list[str], come: list[str]) -> str:
    from emu.bench.compare import as_dict
    from emu.boot.record import as_json

    programs = [
        as_dict(one)
        | {
            "regressions": [
                {
                    "threshold": grown.threshold.text,
                    "metric": grown.threshold.metric,
                    "function": grown.function,
                    "old": grown.old,
                    "new": grown.new,
                }
                for grown in found
            ]
        }
        for one, found in judged
    ]
    whole = {
        "schema": COMPARE_SCHEMA,
        "ok": not any(found for _, found in judged),
        "programs": programs,
        "only_old": gone,
        "only_new": come,
    }
    return as_json(whole)
