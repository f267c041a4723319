"""``rt0 boot``: boot a program to runtime.mstart and show what each function computed."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from emu.cli import output
from emu.cli.errors import OF_OUTCOME, OK, UsageError
from syscalls.light import TYPE_CHECKING, Any, NamedTuple
from syscalls.world import World

if TYPE_CHECKING:
    from emu.cli import options

# A string: pathlib takes 4 ms to import, and nothing else of a boot needs it.
BUNDLED = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bundled", "hello")  # noqa: PTH100, PTH118, PTH120

DESCRIPTION = """\
Boot a Go program for linux/amd64 in an emulator, from its entry point to runtime.mstart, against a kernel that answers
what the World says; show the functions that ran, what each asked the kernel and what it computed."""

EPILOG = """\
examples:
  rt0 boot                                  the bundled hello
  rt0 boot ./server -- --port 80            a program of yours, with arguments
  rt0 boot --cpus 0,2-3,64 --thp absent     another machine
  rt0 boot --env GOMAXPROCS=3 --page-size 16384
  rt0 boot ./server --json | jq .globals    every value, for scripts
  rt0 boot --world walk                     a bundled World; or a file of your own

exit status:
  0 reached
  2 bad usage or bad input, with one line on standard error
  3 the program gave up: throw, panic, exit
  4 the program was killed by a signal
  5 a limit: instructions, traps, virtual time, memory, a deadlock; or something that the emulator cannot do
These are the same where the reader of the output stops early, as under `| head`."""


def run(argv: Sequence[str]) -> int:
    """Run the command with *argv*, its arguments; return the exit status."""
    chosen: Any = plain(argv)
    made, arguments = World(), list[str]()
    if chosen is None:
        from emu.cli import options

        chosen = _parser().parse(argv)
        if chosen.json_schema:
            return _print_schema()
        output.check_target(chosen.json)
        options.until(chosen.until)
        options.program_before_dashes(chosen)
        arguments = [*chosen.arguments, *chosen.rest]
        made = options.world(chosen)
    path = chosen.binary or BUNDLED

    from emu.boot.boot import MSTART, UnknownFunction, boot
    from emu.image.errors import ImageError
    from emu.image.image import load
    from syscalls.world import WorldError

    try:
        image = load(path)
    except ImageError as error:
        raise UsageError(str(error)) from error
    try:
        if arguments:
            from emu.cli.programs import with_arguments

            made = with_arguments(made, image.name, arguments)
        record = boot(image, made, chosen.until or MSTART)
    except (ImageError, WorldError) as error:
        raise UsageError(str(error)) from error
    except UnknownFunction as error:
        if chosen.until:
            from emu.cli import options

            raise UsageError(f"--until: {options.no_such_function(chosen.until, image)}") from error
        raise UsageError(f"{path}: {error}") from error
    if chosen.json is not None:
        output.write_json(record.to_json(), chosen.json)
    if not chosen.quiet and chosen.json != output.STDOUT:
        from emu.report import boot as report
        from emu.report.source import find

        sources = find(image.go, chosen.goroot) if chosen.source or chosen.goroot else None
        output.write_lines(report.lines(record, output.paper(sys.stdout), chosen.all, sources), sys.stdout)
    return OF_OUTCOME[record.outcome["kind"]]


class Plain(NamedTuple):
    """What :func:`plain` understands, by the names that argparse would give."""

    binary: str | None
    json: str | None
    quiet: bool
    all: bool
    until: str | None = None
    source: bool = False
    goroot: str | None = None


def plain(argv: Sequence[str]) -> Plain | None:
    """Read *argv* if it is as simple as most are, BINARY --json, else None: argparse takes 5 ms of a boot's 130."""
    known = {"--json": False, "--quiet": False, "--all": False}
    binary, before = None, ""
    for word in argv:
        if word in known:
            known[word] = True
        elif binary is not None or not word or word.startswith("-") or before == "--json":
            return None  # what stands behind --json is its file
        else:
            binary = word
        before = word
    return Plain(binary, output.STDOUT if known["--json"] else None, known["--quiet"], known["--all"])


def _parser() -> options.Parser:
    from emu.cli import options

    parser = options.Parser("boot", DESCRIPTION, EPILOG)
    parser.add_argument("binary", nargs="?", metavar="BINARY", help="the program; without one, the bundled hello")
    parser.add_argument(
        "arguments", nargs="*", metavar="ARGS", help="its arguments; after -- even those that begin with a dash"
    )
    parser.add_argument(
        "--until", metavar="FUNCTION", help="stop at this function's first instruction instead; exit: run to the end"
    )
    options.add_world(parser)
    options.add_output(parser)
    parser.add_argument("--all", action="store_true", help="every value and every system call, nothing folded")
    parser.add_argument("--source", action="store_true", help="show the Go source of each function, from a GOROOT")
    parser.add_argument("--goroot", metavar="DIR", help="where that is; else $GOROOT, else the go command's")
    parser.add_argument("--json-schema", action="store_true", help="print the JSON schema of the record, and stop")
    return parser


def _print_schema() -> int:
    from emu.boot.schema import to_json

    output.write_json(to_json(), output.STDOUT)
    return OK
