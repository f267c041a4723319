"""The initial stack, against the one that this machine's kernel makes."""

from __future__ import annotations

import errno
import resource
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from emu.compare.native.process import Process
from emu.machine import stack
from syscalls import abi
from syscalls.world import WorldError

AUXV_SHOWN = 64
STACK = 8 << 20  # its limit, in bytes


@pytest.mark.parametrize("argv", [("x",), ("prog", "a", "", "long " * 40), ("x" * 4000,)])
@pytest.mark.parametrize("env", [{}, {"A": "1", "LONGER_NAME": "v" * 33}])
def test_stack_equals_the_native_one_byte_for_byte(
    binary: Callable[[str], Path], argv: tuple[str, ...], env: dict[str, str]
) -> None:
    """Same argv, environment, path and vector: the same stack pointer and the same bytes up to the top."""
    path = binary("hello-1.27.3")
    with Process(path, argv=argv, env=env) as process:
        sp = process.registers.rsp
        low, top = next((low, high) for low, high, name in process.maps() if name == "[stack]")
        native = process.read(sp, top - sp)
        given = process.auxv()
        random = process.read(given[abi.AT_RANDOM], stack.RANDOM_SIZE)

    def make_auxv(at: stack.StackAddresses) -> stack.Auxv:
        ours = {abi.AT_RANDOM: at.random, abi.AT_EXECFN: at.execfn, abi.AT_PLATFORM: at.platform}
        return (*((tag, ours.get(tag, value)) for tag, value in given.items()), (0, 0))

    pairs = tuple(f"{name}={value}" for name, value in env.items())
    made = stack.build(top, argv=argv, env=pairs, execfn=process.path, random=random, make_auxv=make_auxv)

    assert made.sp == sp
    assert made.data == native
    assert made.lowest(4096, 8 << 20) == low


def test_ranges_hold_the_strings() -> None:
    """arg_range and env_range delimit what /proc/self/cmdline and environ show."""
    made = stack.build(
        0x7FFF_FFFF_F000,
        argv=("a", "bc"),
        env=("X=1",),
        execfn="/bin/a",
        random=bytes(range(16)),
        make_auxv=lambda at: ((abi.AT_RANDOM, at.random), (0, 0)),
    )

    def between(low: int, high: int) -> bytes:
        return made.data[low - made.sp : high - made.sp]

    assert between(*made.arg_range) == b"a\0bc\0"
    assert between(*made.env_range) == b"X=1\0"
    assert made.sp % 16 == 0
    assert struct.unpack_from("<Q", made.data)[0] == 2


@pytest.mark.parametrize(
    ("argv", "env"),
    [
        (("x" * (131072 - 1),), {}),
        (("x" * 131072,), {}),
        (("x",), {"V": "x" * (131072 - 3)}),
        (("x",), {"V": "x" * (131072 - 2)}),
        (("x" * 1000,) * 2075, {}),
        (("x" * 1000,) * 2085, {}),
        (("",) * 230_000, {}),
        (("",) * 236_000, {}),
    ],
    ids=["longest argument", "longer", "longest variable", "longer one", "much", "too much", "many", "too many"],
)
def test_argument_lists_are_too_long_where_the_kernel_says_so(argv: tuple[str, ...], env: dict[str, str]) -> None:
    """execve(2) fails with E2BIG exactly where check_size refuses, with a stack of 8 MiB."""
    pairs = tuple(f"{name}={value}" for name, value in env.items())

    assert refused(lambda: stack.check_size(argv, pairs, STACK)) == refused(lambda: execute(argv, env))


def execute(argv: tuple[str, ...], env: dict[str, str]) -> None:
    def limit_stack() -> None:
        resource.setrlimit(resource.RLIMIT_STACK, (STACK, resource.getrlimit(resource.RLIMIT_STACK)[1]))

    subprocess.run(argv, executable="/bin/true", env=env, check=True, preexec_fn=limit_stack)


def refused(action: Callable[[], None]) -> bool:
    try:
        action()
    except WorldError:
        return True
    except OSError as error:
        if error.errno != errno.E2BIG:
            raise
        return True
    return False
