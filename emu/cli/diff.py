"""``rt0 diff``: what differs between two records of boots."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from emu.cli import options, output
from emu.cli.errors import OK, UsageError

DESCRIPTION = """\
Say what differs between two records that `rt0 boot --json FILE` wrote: of one program in two Worlds, or of two programs
of different Go releases, whose functions are matched where they were renamed, split or inlined. For each function its
instructions, system calls and what it computed; for each value that is well known, the World's key that decides it."""

EPILOG = """\
examples:
  rt0 boot ./server --json two.json --quiet
  rt0 boot ./server --json three.json --quiet --cpus 3
  rt0 diff two.json three.json
  rt0 diff old.json new.json --json | jq '.functions[] | select(.relation != "same")'

exit status: 0, whether or not they differ (`jq .equal` of --json tells); 2 for bad usage or a file that is no record"""


def run(argv: Sequence[str]) -> int:
    """Run the command with *argv*, its arguments; return the exit status."""
    parser = options.Parser("diff", DESCRIPTION, EPILOG)
    parser.add_argument("a", metavar="A.json", help="a record")
    parser.add_argument("b", metavar="B.json", help="another")
    options.add_output(parser)
    parser.add_argument("--all", action="store_true", help="every difference, nothing folded")
    chosen = parser.parse(argv)
    if chosen.rest:
        parser.error("arguments after --: nothing is run")
    output.check_target(chosen.json)

    from emu.boot.record import as_json
    from emu.compare.diff import diff
    from emu.compare.records import RecordError, load

    try:
        found = diff(load(chosen.a), load(chosen.b))
    except RecordError as error:
        raise UsageError(str(error)) from error
    if chosen.json is not None:
        output.write_json(as_json(found), chosen.json)
    if not chosen.quiet and chosen.json != output.STDOUT:
        from emu.report import diff as report

        output.write_lines(report.lines(found, output.paper(sys.stdout), chosen.all), sys.stdout)
    return OK
