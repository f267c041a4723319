"""``rt0 fuzz``: search for answers of the kernel that start-up does not survive, or computes the wrong thing from."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emu.cli import options, output, programs
from emu.cli.errors import BUG, INTERRUPTED, OK, UsageError

if TYPE_CHECKING:
    from emu.fuzz.folder import Settings, Summary

BUNDLED = Path(__file__).parent.parent / "bundled" / "hello"

DESCRIPTION = """\
Run start-up again and again from a snapshot, each time with other answers of the kernel, guided by coverage; keep one
readable file for each thing that goes wrong: a crash, a hang, a throw, or a value that Go's documents contradict."""

EPILOG = """\
tiers: contract answers what a Linux kernel may legally answer, so that each finding says something about Go; hostile
answers anything.

The folder of a campaign holds corpus/, findings/NAME/ (world.toml, record.json, README.md) and summary.json. A campaign
in a folder that has one already goes on with it. Whatever ends it, nothing that was found is lost.

examples:
  rt0 fuzz ./server --time 60 --out campaign
  rt0 fuzz ./server --tier hostile --jobs 2 --out campaign
  rt0 fuzz --until runtime.schedinit --max-runs 10000 --seed 3 --out campaign
  rt0 fuzz ./tool --until exit --world files.toml --out campaign    whole programs; files of the World hold anything
  rt0 fuzz ./server --out campaign --also hello-1.21 hello-1.24 --time 600
  rt0 fuzz ./server --out campaign --minimise      keep what the corpus needs for its coverage, and stop
  rt0 replay campaign                              check what was found
  rt0 boot ./server --world campaign/findings/NAME/world.toml

exit status: 0 the campaign is over, whatever it found; 1 it found a bug of rt0; 2 bad usage or bad input; 130
interrupted, with everything kept"""


def run(argv: Sequence[str]) -> int:
    """Run the command with *argv*, its arguments; return the exit status."""
    chosen = _parser().parse(argv)
    settings = _settings(chosen)

    from emu.boot.boot import UnknownFunction
    from emu.fuzz.engines import NoEngine
    from emu.fuzz.target import NotThere
    from emu.image.errors import ImageError
    from syscalls.world import WorldError

    try:
        if chosen.minimise:
            return _minimise(settings)
        return _campaign(settings, chosen.quiet)
    except (ImageError, NotThere, WorldError) as error:
        raise UsageError(str(error)) from error
    except UnknownFunction as error:
        raise UsageError(f"--from or --until: {error}") from error
    except NoEngine as error:
        raise UsageError(f"--engine: {error}") from error
    except OSError as error:
        raise UsageError(
            f"--out: {error.filename or settings.out}: {(error.strerror or str(error)).lower()}"
        ) from error


def _campaign(settings: Settings, quiet: bool) -> int:
    from emu.fuzz import campaign

    shown = sys.stderr.isatty() and not quiet
    summary, interrupted = campaign.run(settings, _show if shown else None)
    if shown:
        sys.stderr.write("\n")
    if not quiet:
        output.write_lines(_lines(summary, settings.out), sys.stdout)
    if interrupted:
        return INTERRUPTED
    return BUG if any(found["outcome"] == "defect" for found in summary.findings) else OK


def _show(summary: Summary) -> None:
    numbers = summary.as_dict()
    sys.stderr.write(
        f"\r{numbers['seconds']:.0f} s, {numbers['executions']:,} runs ({numbers['executions_per_second']:.0f}/s), "
        f"{numbers['edges']:,} blocks, corpus {numbers['corpus']}, findings {len(summary.findings)} \x1b[K"
    )
    sys.stderr.flush()


def _lines(summary: Summary, out: Path) -> list[str]:
    numbers = summary.as_dict()
    runs = f"{numbers['executions']:,} runs in {numbers['seconds']:.1f} s"
    rate = f"{numbers['executions_per_second']:.0f} a second"
    lines = [f"{runs} ({rate}), {numbers['edges']:,} blocks, {numbers['corpus']} inputs in {out / 'corpus'}"]
    width = max((len(found["name"]) for found in summary.findings), default=0)
    lines += [f"  {one['name']:<{width}}  {one['outcome']} in {one['function']}" for one in summary.findings]
    count = len(summary.findings)
    lines.append(f"{count} finding{'s' if count != 1 else ''} in {out / 'findings'}")
    return lines


def _minimise(settings: Settings) -> int:
    from emu.fuzz import campaign

    before, after = campaign.minimise_corpus(settings)
    output.write_lines([f"{before} inputs, of which {after} have all the coverage and were kept"], sys.stdout)
    return OK


def _settings(chosen: Any) -> Settings:
    from emu.fuzz.folder import Settings

    path = Path(chosen.binary) if chosen.binary else BUNDLED
    folder = Path(chosen.out)
    if not chosen.out:
        raise UsageError("--out: no folder is named")
    if chosen.minimise and not chosen.merge and not (folder / "corpus").is_dir():
        raise UsageError(f"--minimise: {folder}: no campaign is there")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out: {folder}: not a directory")
    for merged in map(Path, chosen.merge):
        if not merged.is_dir():
            raise UsageError(f"--merge: {merged}: no such directory")
    return Settings(
        path, folder, programs.with_arguments(options.world(chosen), path.name, chosen.rest), chosen.begin,
        chosen.until,
        chosen.tier, chosen.seed, chosen.time, chosen.max_runs, chosen.jobs, tuple(map(Path, chosen.also)),
        tuple(map(Path, chosen.merge)), chosen.vary_world, chosen.engine, chosen.blind,
    )  # fmt: skip


def _parser() -> options.Parser:
    parser = options.Parser("fuzz", DESCRIPTION, EPILOG)
    parser.add_argument("binary", nargs="?", metavar="BINARY", help="the program; without one, the bundled hello")
    parser.add_argument(
        "--out", metavar="DIR", default="rt0-fuzz", help="the campaign's folder (if not given: rt0-fuzz)"
    )
    parser.add_argument("--tier", choices=("contract", "hostile"), default="contract", help="(if not given: contract)")
    parser.add_argument("--time", type=_seconds, metavar="S", help="end after so many seconds")
    parser.add_argument("--max-runs", type=options.count, metavar="N", help="end after so many runs")
    parser.add_argument("--jobs", type=options.count, default=1, metavar="N", help="processes that search together")
    parser.add_argument("--from", dest="begin", metavar="FUNCTION", default="runtime.osinit", help="where runs begin")
    parser.add_argument(
        "--until", metavar="FUNCTION", default="runtime.mstart", help="where runs end; exit: whole programs are run"
    )
    parser.add_argument("--also", nargs="+", default=[], metavar="BINARY", help="programs to try each finding on")
    parser.add_argument("--merge", action="append", default=[], metavar="DIR", help="take over another corpus as well")
    parser.add_argument("--minimise", action="store_true", help="make the corpus small, and stop")
    parser.add_argument(
        "--vary-world", action="store_true", help="vary the rest of the World too: auxv, env, CPUID, from the entry on"
    )
    parser.add_argument("--engine", choices=("plain", "atheris"), default="plain", help="(if not given: plain)")
    parser.add_argument("--blind", action="store_true", help="the baseline: random plans, whatever they show")
    options.add_world(parser, without=("--seed",))
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the search; the World's is --set seed=N")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds, such as 60 or 0.5")
    return number
