"""``rt0 replay``: run findings again, and say which of them do what they did."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from emu.cli import options, output
from emu.cli.errors import DIFFERS, OK, UsageError

BUNDLED = Path(__file__).parent.parent / "bundled" / "hello"

DESCRIPTION = """\
Run findings of `rt0 fuzz` again: one file, or all below a folder, which is a regression suite. Each is judged as it was
when it was found, and booted from the entry point in its World."""

EPILOG = """\
A finding remembers its program by SHA-256 and by where it was; --binary names others.

examples:
  rt0 replay campaign/findings/signal-mallocinit-1a2b3c/world.toml
  rt0 replay campaign
  rt0 replay fixtures/findings --binary hello-1.27.3 hello-1.24.11

exit status: 0 each does the same again; 1 one does not; 2 bad usage, no finding, or a program that is not at hand"""


def run(argv: Sequence[str]) -> int:
    """Run the command with *argv*, its arguments; return the exit status."""
    parser = options.Parser("replay", DESCRIPTION, EPILOG)
    parser.add_argument("findings", nargs="+", metavar="FINDING", help="a finding's world.toml, or a folder of them")
    parser.add_argument("--binary", nargs="+", default=[], metavar="BINARY", help="programs that findings are about")
    parser.add_argument("--times", type=options.count, default=1, metavar="N", help="run each N times (default: 1)")
    parser.add_argument("--quiet", action="store_true", help="print nothing but what differs, and errors")
    chosen = parser.parse(argv)

    from emu.boot.boot import UnknownFunction
    from emu.fuzz.finding import BadFinding, tree
    from emu.fuzz.replay import Programs, replay
    from emu.image.errors import ImageError

    same = total = 0
    try:
        programs = Programs((*map(Path, chosen.binary), BUNDLED))
        paths = [path for name in chosen.findings for path in tree(Path(name))]
        for path in paths:
            done = replay(path, programs, chosen.times)
            total += 1
            same += not done.problem
            if done.problem or not chosen.quiet:
                what = f"differs: expected {done.expected}; {done.problem}" if done.problem else done.expected
                output.write_lines([f"{path}: {what}"], sys.stdout)
    except (BadFinding, ImageError) as error:
        raise UsageError(str(error)) from error
    except UnknownFunction as error:
        raise UsageError(f"the finding's begin or end: {error}") from error
    if not chosen.quiet:
        output.write_lines([f"{same} of {total} as they were"], sys.stdout)
    return OK if same == total else DIFFERS
