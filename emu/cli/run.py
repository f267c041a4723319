"""``rt0 run``: run a program to its end."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from emu.cli.errors import OF_OUTCOME, UsageError
from emu.cli.programs import unlimited, with_arguments
from syscalls.light import TYPE_CHECKING, replace
from syscalls.world import World, WorldError, lasting

if TYPE_CHECKING:
    import argparse
    from typing import Self

    from emu.cli import options

DESCRIPTION = """\
Run a Go program for linux/amd64 to its end, in an emulator, on the machine that the World describes. Standard input,
output and error are the program's, and so are signals and the exit status. Options of rt0 go before the program; what
follows it is the program's own.

The program sees no file of this machine but what --bind shows it; its writes there stay in memory, unless the bind says
:rw. It starts in this folder if that is bound, else in /."""

EPILOG = """\
examples:
  rt0 run ./tool --flag file                a program with arguments
  rt0 run --bind . ./tool file              that sees this folder, and changes nothing in it
  rt0 run --cpus 8 --schedule-seed 3 ./tool    another interleaving of its threads; the same each time
  rt0 run --strace calls.txt ./tool         and what it asked of the kernel
  go test -exec 'rt0 run --bind .' ./...    Go's tests, emulated

exit status:
  the program's own; 128+n if signal n killed it
  2 bad usage or bad input, with one line on standard error
  5 a limit, a deadlock, or something that the emulator cannot do, with one line on standard error"""

UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000}
LONGEST = 290 * 365 * 24 * UNITS["h"]  # less than what limits.virtual-ns holds
# What `go test` asks a test binary to write, outside of the package's folder.
TEST_OUTPUTS = ("coverprofile", "gocoverdir", "testlogfile", "outputdir", "trace")


def run(argv: Sequence[str]) -> int:
    """Run the command with *argv*, its arguments; return the exit status."""
    chosen = None
    quick = _quick(argv)
    if quick is not None:
        made, (binary, *arguments) = quick
    else:
        chosen = _parser().parse_args(list(argv))
        if chosen.program[:1] == ["--"]:
            del chosen.program[0]
        if not chosen.program:
            raise UsageError("run: no program is named (rt0 run --help lists what there is)")
        binary, *arguments = chosen.program
        made = _world(chosen)
    if arguments[:1] == ["--"]:
        del arguments[0]
    made = _with_test_outputs(unlimited(lasting(made)), arguments)  # it is over when the program is

    if chosen is not None:
        from emu.cli.output import check_target

        check_target(chosen.record, "--record")
        check_target(chosen.strace, "--strace")
    from emu.image.errors import ImageError
    from emu.image.executable import load
    from emu.image.starter import Starter
    from emu.run.run import Watch, as_typed
    from emu.run.run import run as run_program
    from emu.run.terminals import described

    try:
        file = load(binary, dynamic=True)
        image = Starter(file) if file.kind == "dynamic" else file
        made = with_arguments(described(as_typed(made, binary)), binary, arguments)
        if chosen is not None and chosen.cwd is not None:
            made = _started_in(made, binary)
        with _Text(chosen.strace if chosen else None) as strace:
            watch = Watch()
            if chosen is not None:
                watch = Watch(
                    record=chosen.record,
                    strace=strace.write if chosen.strace else None,
                    census=_show_census if chosen.census else None,
                )
            outcome = run_program(image, made, watch)
    except (ImageError, WorldError) as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise UsageError(f"{error.filename or binary}: {(error.strerror or str(error)).lower()}") from error
    if outcome.exit_status is not None:
        return outcome.exit_status
    print(f"rt0: {image.name}: {outcome.message}", file=sys.stderr)
    return OF_OUTCOME[outcome.kind]


def _sysroot(folder: str) -> list[tuple[str, str, bool]]:
    # Everything in *folder* stands in the guest's root, but what is the guest's own.
    try:
        names = sorted(set(os.listdir(folder)) - {"dev", "proc", "sys", "tmp"})  # noqa: PTH208 - only names are asked
    except OSError as error:
        raise UsageError(f"--sysroot: {folder!r}: {(error.strerror or str(error)).lower()}") from error
    return [(os.path.join(folder, name), f"/{name}", False) for name in names]  # noqa: PTH118 - text is enough


def _quick(argv: Sequence[str]) -> tuple[World, list[str]] | None:
    # The World, and the program with its arguments, where no option but --bind PATH and --inherit-env is given, as by
    # `go test -exec 'rt0 run --bind .'`: argparse, and what reads Worlds, take 25 ms.  None: that has to be asked, also
    # where something is wrong.
    words, paths, inherits = list(argv), [], False
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option == "--inherit-env":
            inherits = True
        elif option == "--bind" and words and words[0] and ":" not in words[0]:
            paths.append(words.pop(0))
        else:
            return None
    binds = tuple((path, os.path.realpath(path), False) for path in paths)
    if not words or len({guest for _, guest, _ in binds}) < len(binds):
        return None
    if binds:
        from syscalls.tree.binds import root_of

        try:
            for host, guest, _ in binds:
                root_of(host, guest)
        except WorldError:
            return None
    made = World(binds=binds)
    if inherits:
        made = replace(made, env=_inherited(made))
    return replace(made, cwd=_here(made)), words


def _world(chosen: argparse.Namespace) -> World:
    from emu.cli import options

    made = options.world(chosen)
    if chosen.inherit_env:
        made = replace(made, env=_inherited(made))
    if chosen.sysroot is not None:
        made = replace(made, binds=(*_sysroot(chosen.sysroot), *made.binds))
    if chosen.cwd is not None:
        made = replace(made, cwd=chosen.cwd)
    elif made.cwd == World().cwd:
        made = replace(made, cwd=_here(made))
    if chosen.timeout is not None:
        made = replace(made, limits=replace(made.limits, virtual_ns=_duration(chosen.timeout)))
    return made


def _started_in(made: World, binary: str) -> World:
    # With the place of the folder that --cwd names, which is to be there: the World's own is made where it is not.
    from syscalls.tree import Directory, ProcessFacts, TreeError, build

    node = None
    if made.cwd.startswith("/"):
        with suppress(TreeError):
            node = build(replace(made, cwd="/"), ProcessFacts(binary, made.exe)).resolve(made.cwd)
    if not isinstance(node, Directory):
        raise UsageError(f"--cwd: {made.cwd!r} is no folder of the guest; allowed: one, from / on, that --bind shows")
    return replace(made, cwd=node.place)


def _inherited(made: World) -> tuple[str, ...]:
    # This environment, and over it what *made* says by itself.
    own = {name.partition("=")[0]: name for name in made.env} if made.env != World().env else {}
    return tuple({**{name: f"{name}={value}" for name, value in os.environ.items()}, **own}.values())


def _here(made: World) -> str:
    # Where this folder is in the guest, if a bind of *made* shows it; else where the World has its program start.
    if not made.binds:
        return made.cwd
    here = os.getcwd()  # noqa: PTH109 - pathlib takes 4 ms to import
    for host, guest, _ in made.binds:
        folder = os.path.realpath(host).rstrip("/")
        if f"{here}/".startswith(f"{folder}/"):
            return guest.rstrip("/") + here[len(folder) :] or "/"
    return made.cwd


def _with_test_outputs(made: World, arguments: Sequence[str]) -> World:
    # With the folders bound that a test binary is told to write to.
    folders = {}
    for text in arguments:
        option, equals, path = text.partition("=")
        name = option.removeprefix("-test.")
        if equals and name != option and path.startswith("/") and (name in TEST_OUTPUTS or name.endswith("profile")):
            folders[path if os.path.isdir(path) else os.path.dirname(path)] = ":rw"  # noqa: PTH112, PTH120
            if name == "gocoverdir":  # it names files of the other packages, in the folders beside its parent
                folders.setdefault(os.path.dirname(os.path.dirname(path)), "")  # noqa: PTH120
    if not folders:
        return made
    from emu.cli import options

    for folder, mode in sorted(folders.items()):
        before = made.binds
        made = options.bound(made, f"{folder}:{folder}{mode}")
        # Below what was bound inside of that folder, which it would hide.
        below = f"{folder.rstrip('/')}/"
        first = next((n for n, bind in enumerate(before) if bind[1].startswith(below)), len(before))
        made = replace(made, binds=(*before[:first], made.binds[-1], *before[first:]))
    return made


def _duration(text: str) -> int:
    import re

    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)?", text)
    if not found:
        raise UsageError(f"--timeout: {text!r} is no time; allowed: a number with ns, us, ms, s, m or h, such as 10s")
    nanoseconds = float(found.group(1)) * UNITS[found.group(2) or "s"]
    if nanoseconds > LONGEST:
        raise UsageError(
            f"--timeout: {text!r} is too long; allowed: 290 years at most, or none (0), as without the option"
        )
    return round(nanoseconds)


class _Text:
    """Where the trace goes: a file, or standard error for ``-``; nowhere without a name."""

    def __init__(self, name: str | None) -> None:
        self._name = name
        self._file = open(name, "w", encoding="utf-8") if name and name != "-" else None  # noqa: SIM115

    def write(self, text: str) -> None:
        try:
            (self._file or sys.stderr).write(text)
        except OSError as error:
            raise self._named(error) from error

    def _named(self, error: OSError) -> OSError:
        # That it is the trace which cannot be written, and not the program that cannot be read.
        return OSError(error.errno, error.strerror, f"--strace: {self._name}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._file is not None:
                self._file.close()
        except OSError as error:
            raise self._named(error) from error


def _show_census(lines: list[str]) -> None:
    for text in lines:
        print(f"rt0: {text}", file=sys.stderr)


def _parser() -> options.Parser:
    from emu.cli import options

    parser = options.Parser("run", DESCRIPTION, EPILOG)
    parser.add_argument("program", nargs="...", metavar="BINARY [ARGS...]", help="the program and its arguments")
    options.add_world(parser)
    world = parser.add_argument_group("the program")
    world.add_argument("--inherit-env", action="store_true", help="start from this environment, not from the World's")
    world.add_argument("--cwd", metavar="DIR", help="the folder in the guest that it starts in (the World's cwd)")
    world.add_argument(
        "--sysroot", metavar="DIR", help="show the guest what is in this folder, as its root: loader and libraries"
    )
    world.add_argument("--timeout", metavar="TIME", help="stop after so much virtual time: 10s, 500ms; no limit else")
    group = parser.add_argument_group("what happened")
    group.add_argument("--record", metavar="FILE", help="write system calls, schedule and outcome to FILE as JSON")
    group.add_argument(
        "--strace", metavar="FILE", help="write system calls as strace(1) does, to FILE, or standard error for -"
    )
    group.add_argument("--census", action="store_true", help="say at the end which system calls rt0 lacks")
    return parser
