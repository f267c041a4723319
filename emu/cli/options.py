"""Options that several commands share: everything that makes a World, where JSON goes, and how much is printed.

They are applied in the order in which they are given, on top of the World's file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from emu.cli.errors import UsageError
from emu.cli.output import columns
from syscalls.world import World, WorldError
from syscalls.worldfile import apply, check, load

MAX_HELP = 120  # columns of help; longer lines are hard to read
SHORT_FORMS = {
    "--cpus": ("cpus", "CPUS", "CPUs of the affinity mask: a count, a list such as 0,2-3,64, or a mask such as 0x5"),
    "--thp": ("thp", "SIZE", "content of hpage_pmd_size: a number, any text, or absent"),
    "--page-size": ("page-size", "BYTES", "AT_PAGESZ"),
    "--seed": ("seed", "N", "seed of all entropy"),
    "--max-instructions": ("limits.instructions", "N", "stop after so many instructions; 0: never"),
}


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the screen.  argparse makes one for each argument that is added, and would load shutil for it."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=min(columns(sys.stdout, sys.stdout.isatty()), MAX_HELP) - 2)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, and whose options may stand anywhere before ``--``."""

    def __init__(self, command: str, description: str, epilog: str) -> None:
        super().__init__(
            prog=f"rt0 {command}",
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=Formatter,
        )
        self.command = command

    def error(self, message: str) -> NoReturn:
        """Raise UsageError instead of printing two lines and leaving."""
        raise UsageError(f"{self.command}: {' '.join(message.split())} (rt0 {self.command} --help lists what there is)")

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
        "--bind", action=_Setting, metavar="HOST:GUEST[:rw]", help="show a file or folder of this machine to the guest"
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is printed, and where."""
    group = parser.add_argument_group("output")
    group.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="write JSON to FILE, or to standard output (- or nothing)"
    )
    group.add_argument("--quiet", action="store_true", help="print nothing but errors")


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
            raise UsageError(f"{option}: {error}") from error
    return made


def _applied(made: World, option: str, text: str) -> World:
    if option == "--set":
        return apply(made, text)
    if option == "--env":
        name, equals, value = text.partition("=")
        if not equals:
            raise WorldError("env", f"{text!r} has no =", "NAME=VALUE")
        return apply(made, f"env.{_key(name)}={value}")
    if option == "--bind":
        return bound(made, text)
    return apply(made, f"{SHORT_FORMS[option][0]}={text}")


def _key(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def bound(made: World, text: str) -> World:
    """*made* with ``HOST:GUEST`` or ``HOST:GUEST:rw`` bound; the host's path may hold colons, the guest's may not."""
    rest, colon, last = text.rpartition(":")
    writable = bool(colon) and last == "rw"
    if writable:
        rest, colon, last = rest.rpartition(":")
    if not colon or not rest or not last.startswith("/"):
        raise WorldError("binds", f"{text!r} is not HOST:GUEST or HOST:GUEST:rw", "two paths")
    from syscalls.tree.binds import node_for  # most runs bind nothing

    node_for(rest, last, writable)  # here, so that a bind which the program never looks at is refused as well
    new = replace(made, binds=(*made.binds, (rest, last, writable)))
    check(new)
    return new


def with_arguments(made: World, name: str, arguments: Sequence[str]) -> World:
    """*made* with *arguments* after the program's own name; *name* is that if the World has none."""
    if not arguments:
        return made
    return replace(made, argv=(made.argv[0] if made.argv else name, *arguments))
