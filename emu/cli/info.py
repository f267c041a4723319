"""``rt0 info``: what a program is, and what of it can be captured."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from emu.cli import options, output
from emu.cli.boot import BUNDLED
from emu.cli.errors import OK, UsageError

DESCRIPTION = """\
Say what a Go program is: release, build settings, entry point, sections, which functions of the bootstrap it has and
where, what a boot can show of it and why not the rest, and which engine would run it."""

EPILOG = """\
examples:
  rt0 info                                  the bundled hello
  rt0 info ./server
  rt0 info ./server --json | jq '.functions[].name'

exit status: 0; 2 for bad usage or a file that cannot be booted, with one line on standard error"""


def run(argv: Sequence[str]) -> int:
    """Run the command with *argv*, its arguments; return the exit status."""
    parser = options.Parser("info", DESCRIPTION, EPILOG)
    parser.add_argument("binary", nargs="?", metavar="BINARY", help="the program; without one, the bundled hello")
    options.add_output(parser)
    chosen = parser.parse(argv)
    if chosen.rest:
        parser.error("arguments after --: the program is not run")
    output.check_target(chosen.json)

    from emu.boot.record import as_json
    from emu.image.errors import ImageError
    from emu.image.image import load
    from emu.report import info

    try:
        found = info.gather(load(chosen.binary or BUNDLED))
    except ImageError as error:
        raise UsageError(str(error)) from error
    if chosen.json is not None:
        output.write_json(as_json(found), chosen.json)
    if not chosen.quiet and chosen.json != output.STDOUT:
        output.write_lines(info.lines(found, output.paper(sys.stdout)), sys.stdout)
    return OK
