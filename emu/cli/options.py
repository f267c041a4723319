"""Options that several commands share: everything that makes a World, where JSON goes, and how much is printed.

They are applied in the order in which they are given, on top of the World's file.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Collection, Sequence

from emu.cli.errors import UsageError
from emu.cli.output import columns, write_text
from syscalls.light import TYPE_CHECKING, Any, NoReturn, replace
from syscalls.world import World, WorldError
from syscalls.worldfile import apply, check, load
from syscalls.worldfile.kinds import nearest

if TYPE_CHECKING:
    from emu.image.image import Image

MAX_HELP = 120  # columns of help; longer lines are hard to read
ANY_STATUS = 'of any command: 1 a bug of rt0, with a line that begins "rt0: bug:"; 130 interrupted'
SHORT_FORMS = {
    "--cpus": ("cpus", "CPUS", "CPUs of the affinity mask: a count, a list such as 0,2-3,64, or a mask such as 0x5"),
    "--thp": ("thp", "SIZE", "content of hpage_pmd_size: a number, any text, or absent"),
    "--page-size": ("page-size", "BYTES", "AT_PAGESZ"),
    "--seed": ("seed", "N", "seed of all entropy"),
    "--schedule-seed": ("schedule-seed", "N", "another order in which threads run for each; 0: in turn"),
    "--max-instructions": ("limits.instructions", "N", "stop after so many instructions; 0: never"),
}


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the screen.  argparse makes one for each argument that is added, and would load shutil for it."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_width() - 2)

    def _fill_text(self, text: str, width: int, indent: str) -> str:  # noqa: ARG002 - argparse calls it so
        return fitted(text, width)


def _width() -> int:
    return min(columns(sys.stdout, sys.stdout.isatty()), MAX_HELP)


def fitted(text: str, width: int | None = None) -> str:
    """Help as the screen's *width* (or that of the screen) has it: prose filled anew, lines of a list kept apart.

    A paragraph is prose if none of its lines is moved in.
    """
    import textwrap

    width = width or _width()
    filled = []
    for paragraph in re.split(r"\n\n|\n(?=exit status)", text):
        lines = paragraph.split("\n")
        if not any(line.startswith(" ") for line in lines):
            lines = [" ".join(lines)]
        for line in lines:
            start = len(line) - len(line.lstrip())
            if len(line) <= width:
                filled.append(line)
                continue
            below = " " * (start + 4 if start else 0)
            filled += textwrap.wrap(line, width, subsequent_indent=below, break_on_hyphens=False)
        filled.append("")
    return "\n".join(filled[:-1])


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, and whose options may stand anywhere before ``--``."""

    def __init__(self, command: str, description: str, epilog: str) -> None:
        super().__init__(
            prog=f"rt0 {command}",
            description=description,
            epilog=f"{epilog}\n\n{ANY_STATUS}",
            allow_abbrev=False,
            formatter_class=Formatter,
        )
        self.command = command

    def error(self, message: str) -> NoReturn:
        """Raise UsageError instead of printing two lines and leaving."""
        unknown = next((word for word in message.split()[2:] if word.startswith("--")), "")
        if message.startswith("unrecognized arguments") and unknown:
            message += nearest(unknown.partition("=")[0], self._option_string_actions)
        raise UsageError(f"{self.command}: {' '.join(message.split())} (rt0 {self.command} --help lists what there is)")

    def _print_message(self, message: str, file: Any = None) -> None:  # noqa: ARG002 - as above
        # argparse would swallow errors of writing.
        if message:
            write_text(message)

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parse *argv*; what follows ``--`` is left in ``rest``, untouched."""
        own, rest = list(argv), []
        if "--" in own:
            cut = own.index("--")
            own, rest = own[:cut], own[cut + 1 :]
        parsed = self.parse_intermixed_args(own)
        parsed.rest = rest
        return parsed


class _Setting(argparse.Action):
    """Keeps (what, text) in the list of settings, in the order given."""

    def __call__(
        self, _: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        namespace.settings = [*namespace.settings, (option, values)]


def add_world(parser: argparse.ArgumentParser, without: Collection[str] = ()) -> None:
    """Add the options that make a World; but for the short forms in *without*, which mean something else there."""
    group = parser.add_argument_group("the World: what the kernel, the loader and the CPU answer")
    group.add_argument("--world", metavar="FILE", help="read a World from a TOML file, or a bundled one by name")
    group.set_defaults(settings=[])
    group.add_argument("--set", action=_Setting, metavar="KEY=VALUE", help="set one key of the World; may be repeated")
    for option, (key, metavar, text) in SHORT_FORMS.items():
        if option in without:
            continue
        group.add_argument(option, action=_Setting, metavar=metavar, help=f"{text} (the World's {key})")
    group.add_argument("--env", action=_Setting, metavar="K=V", help="set an environment variable; may be repeated")
    group.add_argument(
        "--bind",
        action=_Setting,
        metavar="HOST[:GUEST][:rw]",
        help="show the guest a file or folder of this machine",
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is printed, and where."""
    group = parser.add_argument_group("output")
    group.add_argument(
        "--json",
        nargs="?",
        const="-",
        metavar="FILE",
        help="write JSON to FILE, and show the rest as ever; or to standard output instead of the rest (- or nothing)",
    )
    group.add_argument("--quiet", action="store_true", help="print nothing but errors, and JSON where it was asked for")


def program_before_dashes(chosen: argparse.Namespace) -> None:
    """Raise UsageError where the bundled program would get what may be meant for the program: `-- hello`."""
    if chosen.binary is None and chosen.rest and not chosen.rest[0].startswith("-"):
        raise UsageError(
            f"{chosen.rest[0]!r} after -- would be an argument of the bundled hello; a program goes before --"
        )


def until(name: str | None) -> None:
    """Raise UsageError for a --until that names nothing."""
    if name is not None and not name.strip():
        raise UsageError("--until: an empty name; a function is named as its package names it, such as runtime.osinit")


def no_such_function(name: str, image: Image) -> str:
    """That *image* has no function *name*, and which one may be meant."""
    known = [line.partition("\t")[0] for line in image.entries.splitlines()]
    meant = next((f' (did you mean "{full}"?)' for full in known if full and full.endswith(f".{name}")), "")
    return f"{image.name} has no function {name}{meant or nearest(name, known)}"


def count(text: str) -> int:
    """The positive number that *text* is, for argparse."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def world(options: argparse.Namespace) -> World:
    """The World that *options* describe; raise UsageError, naming the option, for one that cannot be."""
    try:
        made = load(options.world)
    except WorldError as error:
        raise UsageError(f"--world: {error}") from error
    for option, text in options.settings:
        try:
            made = _applied(made, option, text)
        except WorldError as error:
            if option in SHORT_FORMS and error.key == SHORT_FORMS[option][0]:
                error = WorldError("", error.problem, error.allowed)  # the option says which key it is
            raise UsageError(f"{option}: {error}") from error
    return made


def _applied(made: World, option: str, text: str) -> World:
    if option == "--set":
        return apply(made, text)
    if option == "--env":
        name, equals, value = text.partition("=")
        if not equals:
            raise WorldError("env", f"{text!r} has no =", "NAME=VALUE")
        return apply(made, f"env.{_key(name)}={value}", literal=True)
    if option == "--bind":
        return bound(made, text)
    return apply(made, f"{SHORT_FORMS[option][0]}={text}", literal=True)


def _key(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def bound(made: World, text: str) -> World:
    """*made* with ``HOST``, at the same path in the guest, or ``HOST:GUEST`` bound, and written through with ``:rw``.

    The host's path may hold colons when the guest's, which may not, is given.
    """
    rest, colon, last = text.rpartition(":")
    writable = bool(colon) and last == "rw"
    if writable:
        text, rest, colon, last = rest, *rest.rpartition(":")
    if not colon and text:
        rest, last = text, os.path.realpath(text)
    if not rest or not last.startswith("/"):
        raise WorldError("binds", f"{text!r} is not HOST, HOST:GUEST or HOST:GUEST:rw", "one path or two")
    from syscalls.tree.binds import root_of  # most runs bind nothing

    root_of(rest, last)  # here, so that a bind which the program never looks at is refused as well
    new = replace(made, binds=(*made.binds, (rest, last, writable)))
    check(new)
    return new
