"""``rt0 run``: run a program to its end."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from emu.cli import options
from emu.cli.errors import OF_OUTCOME, UsageError
from syscalls.light import replace
from syscalls.world import Limits

DESCRIPTION = """\
Run a Go program for linux/amd64 to its end, in an emulator, on the machine that the World describes. Standard input,
output and error are the program's, and so is the exit status."""

EPILOG = """\
examples:
  rt0 run ./server                          your program, on 2 CPUs
  rt0 run ./tool -- --flag file             with arguments
  rt0 run --cpus 8 --set schedule-seed=3 ./tool    another interleaving of its threads; the same each time

exit status:
  the program's own; 128+n if signal n killed it
  2 bad usage or bad input, with one line on standard error
  5 a limit, a deadlock, or something that the emulator cannot do, with one line on standard error"""


def run(argv: Sequence[str]) -> int:
    """Run the command with *argv*, its arguments; return the exit status."""
    chosen = _parser().parse(argv)
    made = options.world(chosen)
    if made.limits == Limits():
        made = replace(made, limits=Limits(0, 0, 0))  # it is over when the program is

    from emu.image.errors import ImageError
    from emu.image.image import load
    from emu.run.run import run as run_program
    from syscalls.world import WorldError

    try:
        image = load(chosen.binary)
        made = options.with_arguments(made, image.name, [*chosen.arguments, *chosen.rest])
        outcome = run_program(image, made)
    except (ImageError, WorldError) as error:
        raise UsageError(str(error)) from error
    if outcome.exit_status is not None:
        return outcome.exit_status
    print(f"rt0: {image.name}: {outcome.message}", file=sys.stderr)
    return OF_OUTCOME[outcome.kind]


def _parser() -> options.Parser:
    parser = options.Parser("run", DESCRIPTION, EPILOG)
    parser.add_argument("binary", metavar="BINARY", help="the program")
    parser.add_argument(
        "arguments", nargs="*", metavar="ARGS", help="its arguments; after -- even those that begin with a dash"
    )
    options.add_world(parser)
    return parser
