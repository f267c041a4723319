"""A whole run under the meter: start-up, what each package's init costs, main.main, the end.

Between ``runtime.mstart`` and ``main.main`` the runtime calls the init functions of every package in the order of
their dependencies (runtime/proc.go, doInit), one after the other, on one thread.  What they execute is theirs, with
all that they call; the rest of that time is the runtime's own work and that of other threads.  All of it adds up to
the instructions between the two.
"""

from __future__ import annotations

import re
from dataclasses import replace

from emu.bench.measure import NotReached, measure
from emu.bench.meter import OUTERMOST, Meter, Spent, Step
from emu.bench.recording import Init, Measured, Whole
from emu.boot.boot import MSTART, UnknownFunction, describe, printed
from emu.boot.catalogue import ROWS, Row
from emu.image.image import ABI0, Image
from emu.machine.machine import Machine
from syscalls.world import World

MAIN = "main.main"
# A package's init, the init functions that it was written with (init.0 ...), and the tables that init fills
# (map.init.0 ...).  The package's path may hold dots and slashes, a method's receiver stands in brackets.
INIT = re.compile(r"(?P<package>(?:[^()\[\]]*/)?[^()\[\]/.]+(?:\.[^()\[\]/.]+)*?)\.(?:map\.)?init(?:\.\d+)?")
CALLERS = ("runtime.doInit", "runtime.doInit1", "runtime.main", "main.init", "runtime.init")
RUNTIME, OTHERS = "[runtime.main]", "[other threads]"
"""In place of a package: the rest of the main thread's work, and what other threads did meanwhile."""


def init_rows(image: Image) -> tuple[Row, ...]:
    """Rows for the init functions of *image*, as the catalogue has them for bootstrap functions."""
    names = image.pclntab.by_name
    return tuple(
        Row(name, "A package's init function.", within=CALLERS) for name in sorted({*names}) if INIT.fullmatch(name)
    )


def package_of(name: str) -> str:
    """The package of the init function *name*; escapes of its path stay as the linker wrote them."""
    found = INIT.fullmatch(name)
    assert found is not None
    return found["package"]


def run(image: Image, world: World) -> tuple[Machine, Meter, Measured]:
    """Run *image* to its end and say what start-up and the rest cost.

    Raises UnknownFunction, and NotReached where it does not get to ``main.main``.
    """
    startup = measure(image, world)
    rows = init_rows(image)
    machine = Machine(image, world, profiled=True)
    meter = Meter(machine, image, (*ROWS, *rows))
    _reach(machine, image, MSTART)
    meter.mark()
    to_mstart, before = machine.total(), _spent(meter)
    _reach(machine, image, MAIN)
    meter.finish()
    to_main, after = machine.total(), _spent(meter)
    machine.switched = None
    meter.let_go()
    outcome = machine.run()
    _take_rest(meter, image)
    inits = _by_package(meter, {row.name for row in rows}, before, after)
    whole = Whole(to_mstart, to_main, machine.total(), outcome.message, inits)
    return machine, meter, replace(startup, whole=whole)


def _reach(machine: Machine, image: Image, name: str) -> None:
    stop = image.function(name)
    if stop is None:
        raise UnknownFunction(f"{image.name} has no function {name}")
    outcome = machine.run(stop.entry + machine.loaded.bias, name)
    if outcome.kind != "reached":
        said = describe(image, machine, outcome, printed(machine))
        raise NotReached(f"{image.name} did not reach {name}: {said['kind']}: {said['message']}")


def _spent(meter: Meter) -> dict[int, int]:
    return {index: cost.instructions for index, cost in meter.own.items()}


def _take_rest(meter: Meter, image: Image) -> None:
    # What main.main and all after it executed, for the profile: it is under no bootstrap function any more.
    main = image.function(MAIN)
    assert main is not None
    path = (Step(MAIN, main.entry + meter.machine.loaded.bias, None),)
    meter.take_blocks(meter.spent.setdefault(path, Spent()))


def _by_package(meter: Meter, inits: set[str], before: dict[int, int], after: dict[int, int]) -> tuple[Init, ...]:
    spent: dict[str, int] = {}
    calls: dict[str, int] = {}
    for index, instructions in after.items():
        new = instructions - before.get(index, 0)
        group = _group(meter, index, inits)
        spent[group] = spent.get(group, 0) + new
    for frame in meter.frames:
        if frame.name.removesuffix(ABI0) in inits:
            package = package_of(frame.name.removesuffix(ABI0))
            calls[package] = calls.get(package, 0) + 1
    found = [Init(name, count, calls.get(name, 0)) for name, count in spent.items() if count or name in calls]
    return tuple(sorted(found, key=lambda one: (-one.instructions, one.package)))


def _group(meter: Meter, index: int, inits: set[str]) -> str:
    if index == OUTERMOST:
        return OTHERS
    while True:
        frame = meter.frames[index]
        name = frame.name.removesuffix(ABI0)
        if name in inits:
            return package_of(name)
        if frame.parent is None:
            return RUNTIME if name != MSTART else OTHERS
        index = frame.parent
