"""``rt0 symbolize``: a copy of a program with a symbol table, so that other tools show names."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from emu.cli import options, output
from emu.cli.errors import OK, UsageError

if TYPE_CHECKING:
    from emu.image.image import Image
    from emu.image.symbolize import Symbolized

DESCRIPTION = """\
Write a copy of a Go program with a symbol for each function and variable that is known, so that gdb, nm, objdump and
perf show names. Functions come from the table that Go's runtime itself reads, which no strip takes away; variables from
debugging information, or recovered from the code. Nothing that is loaded moves: the copy runs as the program does."""

EPILOG = """\
examples:
  rt0 symbolize ./server ./server.sym
  gdb -batch -ex 'break runtime.osinit' -ex run ./server.sym
  nm ./server.sym | grep runtime.ncpu

exit status: 0; 2 for bad usage, bad input or a file that cannot be written, with one line on standard error"""


def run(argv: Sequence[str]) -> int:
    """Run the command with *argv*, its arguments; return the exit status."""
    parser = options.Parser("symbolize", DESCRIPTION, EPILOG)
    parser.add_argument("binary", metavar="BINARY", help="the program")
    parser.add_argument("out", metavar="OUT", help="the copy; never the program itself")
    parser.add_argument("--force", action="store_true", help="overwrite OUT if it exists")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    chosen = parser.parse(argv)
    if chosen.rest:
        parser.error("arguments after --: the program is not run")

    from emu.image import symbolize
    from emu.image.errors import ImageError

    try:
        image, made = symbolize.write(chosen.binary, chosen.out, chosen.force)
    except ImageError as error:
        raise UsageError(str(error)) from error
    if not chosen.quiet:
        paper = output.paper(sys.stdout)
        shown = (line for text in told(chosen.out, image, made) for line in paper.lay([("", text)], "", "    "))
        output.write_lines(shown, sys.stdout)
    return OK


def told(out: str, image: Image, made: Symbolized) -> Iterator[str]:
    """Say what was added to the copy *out*, how that is known, and what is not there."""
    yield f"{out}: a copy of {image.name} ({image.go or 'of an unknown release'}) with symbols"
    aside = f", {made.wrappers} as NAME.abi0 beside a NAME" if made.wrappers else ""
    yield f"  {made.functions:,} functions, from the pclntab{aside}"
    yield f"  {made.globals:,} variables"
    yield f"  {made.bounds} bounds of code and data, from the moduledata"
    if made.known:
        yield f"  {made.known:,} symbols were there, and stay as they are"
    if made.parts:
        yield f"  {made.parts:,} parts of variables whose whole is not known got none"
    yield from (f"  note: {note}" for note in (*image.notes, *made.notes))
