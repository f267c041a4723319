"""The initial stack, against the one that this machine's kernel makes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from emu.compare.native.process import Process
from emu.machine import stack
from syscalls import abi

AUXV_SHOWN = 64


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
