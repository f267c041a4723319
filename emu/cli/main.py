"""The entry point: finds the command, runs it, turns what went wrong into a line and an exit status.

Nothing is imported before it is known what is to be done.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Sequence

from emu.cli import output
from emu.cli.errors import BUG, INTERRUPTED, OK, USAGE, UsageError
from syscalls.light import NoReturn

COMMANDS = {
    "boot": "boot a program to runtime.mstart and show what each function computed",
    "run": "run a program to its end",
    "info": "what a program is, which bootstrap functions it has and what of it can be captured",
    "diff": "what differs between the records of two boots, by function and value",
    "symbolize": "write a copy of a program with a symbol table, for gdb, nm, objdump and perf",
    "bench": "record what start-up costs by function, exactly, and compare recordings",
    "verify": "run a program natively and emulated, and compare everything up to runtime.mstart",
    "sweep": "boot programs in every World of a product: one table, and which knob changed which value",
    "query": "ask in SQL what sweeps computed",
    "fuzz": "search for answers of the kernel that start-up does not survive",
    "replay": "run what the search found again, and say what differs",
}

HELP = """\
usage: rt0 COMMAND ...

Boot Go programs for linux/amd64 in an emulator, against a kernel that answers what you wrote down, and see every value
that start-up computes on the way.

commands:
{commands}

  rt0 COMMAND --help   the options of a command, with examples
  rt0 --version

examples:
  rt0 boot                                 the bundled hello, on 2 CPUs
  rt0 boot ./server --cpus 3 --thp absent  your program, on another machine
  rt0 info ./server                        what can be seen of it

environment:
  RT0_CACHE   where analyses of programs are kept (a folder, or off); RT0_ACCEL=0 does without the native accelerator
  RT0_DEBUG   1: show the Python traceback of a bug"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``rt0`` with *argv* (without the program's name; None: sys.argv) and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    output.have_streams()
    try:
        status = _run(arguments)
        output.flush()
    except UsageError as error:
        return _fail(str(error), USAGE)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except Exception as error:  # the last line of defence: a bug of ours ends with a line, too
        if isinstance(error, FileNotFoundError) and not _is_somewhere():
            return _fail("the folder that this is run in is not there any more; go to another one", USAGE)
        if os.environ.get("RT0_DEBUG") == "1":
            raise
        return _fail(f"bug: {type(error).__name__}: {error} (please report it; RT0_DEBUG=1 shows more)", BUG)
    return status


def entry() -> NoReturn:
    """Run ``rt0`` as a process of its own: what sys.exit does, without taking everything apart first.

    That would cost 17 ms (measured), for memory that the kernel takes back anyway.  So would looking for garbage in a
    process that ends with its one boot: 5 ms.
    """
    if sys.argv[1:2] in (["boot"], ["run"]):  # a run enables it again, once all is loaded
        gc.disable()
    status = main()
    if "multiprocessing.synchronize" in sys.modules:  # its semaphores are unlinked by what runs at an orderly end
        from multiprocessing.util import _run_finalizers  # type: ignore[attr-defined]  # typeshed leaves it out

        _run_finalizers(0)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # nobody reads it any more
            stream.flush()
    os._exit(status)


def _run(arguments: list[str]) -> int:
    try:
        return _dispatch(arguments)
    except SystemExit as leaving:  # argparse after --help
        return int(leaving.code or 0)


def _is_somewhere() -> bool:
    # Whether the working directory has a name: without one no relative path can be followed.
    try:
        os.getcwd()  # noqa: PTH109 - pathlib takes 4 ms to import
    except OSError:
        return False
    return True


def _fail(message: str, status: int) -> int:
    print("rt0:", " ".join(message.split()), file=sys.stderr)
    return status


def _dispatch(arguments: list[str]) -> int:
    if not arguments:
        raise UsageError(f"a command is missing; there are {', '.join(COMMANDS)} (rt0 --help)")
    if arguments[0] in ("-h", "--help", "help"):
        from emu.cli import options

        commands = "\n".join(f"  {name:<9} {text}" for name, text in COMMANDS.items())
        output.write_text(options.fitted(HELP.format(commands=commands)) + "\n")
        return OK
    command, rest = arguments[0], arguments[1:]
    if command == "--version":
        from emu import __version__

        output.write_text(f"rt0 {__version__}\n")
        return OK
    if command not in COMMANDS:
        raise UsageError(f"no command {command!r}; there are {', '.join(COMMANDS)} (rt0 --help)")
    runs: int = importlib.import_module(f"emu.cli.{command}").run(rest)
    return runs
