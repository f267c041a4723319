"""The hook of the SYSCALL instruction: in C where the accelerator is, through ctypes elsewhere, and both alike."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from emu.machine import accel
from emu.machine.machine import Machine
from syscalls.kernel import Kernel
from syscalls.world import World
from tests.booted import image_of

SYSCALLS = 12  # that are looked at
AFTER = ("rax", "rcx", "r11", "rip", "rdi", "rsp")


@pytest.fixture(params=[False, True], ids=["native", "plain"])
def _hook(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param:
        monkeypatch.setattr(accel, "native", lambda: None)


def registers_between_calls() -> list[tuple[int, ...]]:
    """What is in registers before each of the first calls of hello."""
    machine = Machine(image_of(), World())
    machine.before_call = lambda _nr, _args: True
    found = []
    for _ in range(SYSCALLS):
        assert machine.run().kind == "reached"
        found.append(tuple(machine.engine.read(name) for name in AFTER))
    machine.close()
    return found


def test_both_leave_the_same_registers(monkeypatch: pytest.MonkeyPatch) -> None:
    """RCX is where the call before returned to, R11 its flags, as the instruction leaves them, whoever serves it."""
    native = registers_between_calls()
    monkeypatch.setattr(accel, "native", lambda: None)

    assert registers_between_calls() == native


@pytest.mark.usefixtures("_hook")
def test_an_exception_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not go through the engine's frames: the run stops at that call, and raises it with its traceback."""
    calls: list[int] = []

    def fails(_kernel: Kernel, _task: Any, nr: int, _args: Any) -> int:
        calls.append(nr)
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(Kernel, "call", fails)
    machine = Machine(image_of(), World())
    with pytest.raises(ZeroDivisionError, match="on purpose") as caught:
        machine.run()

    assert len(calls) == 1
    assert caught.traceback[-1].name == "fails"
    machine.close()


@pytest.mark.usefixtures("_hook")
def test_a_machine_that_nobody_holds_is_collected() -> None:
    """The hook refers to the machine, which refers to the hook."""
    machine = Machine(image_of(), World())
    gone = weakref.ref(machine)
    del machine
    gc.collect()

    assert gone() is None
