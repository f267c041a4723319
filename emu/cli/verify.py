"""``rt0 verify``: run a program natively and emulated up to runtime.mstart, and compare everything."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from emu.cli import options, output
from emu.cli.boot import BUNDLED
from emu.cli.errors import DIFFERS, OK, UsageError
from syscalls.cpuset import ALLOWED, MAX_CPUS, CpuSet
from syscalls.world import World

DESCRIPTION = """\
Run a program natively, one instruction at a time under ptrace, and in the emulator, in a World that shows what this
host shows, both up to runtime.mstart. Compare the order of the bootstrap's functions, the instructions of every
function, every system call, and every leaf of every global. Needs Linux on x86-64."""

EPILOG = """\
examples:
  rt0 verify                                the bundled hello
  rt0 verify ./server
  rt0 verify --cpus 1-1 --env GOMAXPROCS=3 ./server -- --port 80
  rt0 verify ./server --json | jq .differences

exit status: 0 the machines agree; 1 they differ without a cause; 2 bad usage, bad input, or no native run possible"""


def run(argv: Sequence[str]) -> int:
    """Run the command with *argv*, its arguments; return the exit status."""
    chosen = _parser().parse(argv)
    output.check_target(chosen.json)
    options.program_before_dashes(chosen)
    path = chosen.binary or str(BUNDLED)
    cpus = _cpus(chosen.cpus)
    env = _environment(chosen.env)

    from emu.boot.boot import UnknownFunction
    from emu.boot.record import as_json
    from emu.compare import text
    from emu.compare.native.process import NativeUnavailable
    from emu.compare.verify import as_dict, verify
    from emu.image.errors import ImageError
    from emu.image.image import load

    try:
        image = load(path)
        names = (image.name, *chosen.arguments, *chosen.rest)
        verdict = verify(image, path, argv=names, env=env, cpus=cpus)
    except (ImageError, NativeUnavailable) as error:
        raise UsageError(str(error)) from error
    except UnknownFunction as error:
        raise UsageError(f"{path}: {error}") from error
    if chosen.json is not None:
        output.write_json(as_json(as_dict(verdict)), chosen.json)
    if not chosen.quiet and chosen.json != output.STDOUT:
        output.write_lines(text.lines(verdict, output.paper(sys.stdout).width), sys.stdout)
    return OK if verdict.ok else DIFFERS


def _parser() -> options.Parser:
    parser = options.Parser("verify", DESCRIPTION, EPILOG)
    parser.add_argument("binary", nargs="?", metavar="BINARY", help="the program; without one, the bundled hello")
    parser.add_argument(
        "arguments", nargs="*", metavar="ARGS", help="its arguments; after -- even those that begin with a dash"
    )
    parser.add_argument("--cpus", metavar="CPUS", help="run on these CPUs of this host only, as `rt0 boot` takes them")
    parser.add_argument(
        "--env", action="append", default=[], metavar="K=V", help="set an environment variable; may be repeated"
    )
    options.add_output(parser)
    return parser


def _cpus(spelled: str | None) -> tuple[int, ...] | None:
    if spelled is None:
        return None
    try:
        wanted = CpuSet.parse(spelled)
    except ValueError as error:
        raise UsageError(f"--cpus: {error}; allowed: {ALLOWED}") from error
    allowed = _of_this_host()
    if beyond := CpuSet(wanted.mask & ~allowed.mask):
        raise UsageError(f"--cpus: {spelled}: this host allows CPUs {allowed} only, not {beyond}")
    return tuple(wanted)


def _of_this_host() -> CpuSet:
    # sched_setaffinity(2) takes what there is of a mask, and says nothing about the rest: so it is asked for all.
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, range(MAX_CPUS))
        return CpuSet.of(os.sched_getaffinity(0))
    except OSError:  # not allowed to change it
        return CpuSet.of(before)
    finally:
        os.sched_setaffinity(0, before)


def _environment(settings: Sequence[str]) -> dict[str, str]:
    # The default World's environment, then what was set.
    env = dict(entry.split("=", 1) for entry in World().env)
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise UsageError(f"--env: {setting!r} is not NAME=VALUE")
        env[name] = value
    return env
