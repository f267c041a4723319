"""What a boot computed against what gdb reads off the same program on this kernel: same affinity, argv and environment.

gdb runs the program at full speed, with this kernel's vDSO, CPU, clock and entropy; nothing of ours is near it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from emu.boot.boot import boot
from emu.boot.record import BootRecord
from emu.compare.mirror import mirror
from emu.compare.native.process import Process
from emu.image.image import load
from tests.oracle import gdbvalues
from tests.oracle.boots import BINARIES

Paths = Callable[[str], Path]

ARGS = ("-x", "name=value")
ENV = {"GOGC": "50", "GODEBUG": "gctrace=1,schedtrace=0", "EMPTY": "", "TEXT": "a=b c"}
CPUS = tuple(sorted(os.sched_getaffinity(0))[:2])

# One value, under the names that it had over time (runtime1.go, mgcpacer.go, sizeclasses.go; Go 1.12 to 1.27).
SCALARS = (
    ("runtime.argc",),
    ("runtime.ncpu", "runtime.numCPUStartup"),
    ("runtime.physPageSize",),
    ("runtime.gomaxprocs",),
    ("runtime.sched.maxmcount",),
    ("runtime.sched.npidle",),
    ("runtime.gcpercent", "runtime.gcController.gcPercent"),
    ("runtime.heapminimum", "runtime.gcController.heapMinimum"),
    ("runtime.traceback_cache",),
    ("runtime.allglen",),
)
NEWER = ("runtime.physHugePageSize", "runtime.physHugePageShift", "runtime.gcController.memoryLimit")
SIZE_CLASSES = ("runtime.class_to_size", "internal/runtime/gc.SizeClassToSize")
OTHERS = ("runtime.debug", "runtime.itabTable.count", "*runtime.modulesSlice", "runtime.argslice", "runtime.envs")
PS = [f"runtime.allp.array[{n}].{field}" for n in range(len(CPUS)) for field in ("id", "status")]


@cache
def natively(path: Path) -> dict[str, Any]:
    """Every value that gdb finds, atomics unwrapped; what the release does not have is left out."""
    scalars = [name for names in SCALARS for name in names]
    expressions = [*scalars, *NEWER, *SIZE_CLASSES, *OTHERS, *PS]
    found = gdbvalues.view(path, expressions, args=ARGS, env=ENV, cpus=CPUS).values
    return {name: plain(value) for name, value in found.items() if not (isinstance(value, dict) and "error" in value)}


def plain(value: Any) -> Any:
    """Return what an atomic type holds (internal/runtime/atomic: a noCopy and a value), in structs too."""
    if not isinstance(value, dict):
        return value
    if "value" in value and value.keys() <= {"noCopy", "align64", "value"}:
        return value["value"]
    return {name: plain(field) for name, field in value.items()}


@cache
def booted(path: Path) -> BootRecord:
    """The same boot emulated, in a World that shows what this host shows."""
    argv = (str(path), *ARGS)
    with Process(path, argv=argv, env=ENV, cpus=CPUS) as process:
        world = mirror(process, argv, ENV)
    return boot(load(path), world)


@pytest.fixture(params=BINARIES)
def both(request: pytest.FixtureRequest, binary: Paths) -> tuple[dict[str, Any], BootRecord]:
    """Values by gdb, and the record."""
    path = binary(request.param)
    return natively(path), booted(path)


Both = tuple[dict[str, Any], BootRecord]


def test_scalars(both: Both) -> None:
    """CPUs, page size, Ps, limits and the collector's settings: each exists under one of its names and is equal."""
    native, record = both
    names = [name for alternatives in SCALARS for name in alternatives if name in native]

    assert len(names) == len(SCALARS)
    assert {name: record.globals.get(name, 0) for name in names} == {name: native[name] for name in names}


def test_values_that_came_later(both: Both) -> None:
    """The size of a huge page (Go 1.13) and the memory limit (1.19): equal where there are any, absent where not."""
    native, record = both
    wanted = {name: native[name] for name in NEWER if name in native}

    assert {name: record.globals.get(name, 0) for name in wanted} == wanted
    assert not record.globals.keys() & (set(NEWER) - wanted.keys())
    release = tuple(int(part) for part in record.binary["go"].removeprefix("go").split(".")[:2])
    assert len(wanted) == (0 if release < (1, 13) else 2 if release < (1, 19) else 3)


def test_arguments_and_environment(both: Both) -> None:
    """Contents of os.Args and of the environment.  gdb gives the variables in an order of its own."""
    native, record = both

    assert record.views["runtime.argslice"] == native["runtime.argslice"]
    assert record.views["runtime.argslice"][1:] == list(ARGS)
    assert sorted(record.views["runtime.envs"]) == sorted(native["runtime.envs"])
    assert len(native["runtime.envs"]) == len(ENV)


def test_debug_variables(both: Both) -> None:
    """Every field of runtime.debug, those that GODEBUG and the linker set included."""
    native, record = both

    assert record.views["runtime.debug"] == native["runtime.debug"]
    assert native["runtime.debug"]["gctrace"] == 1


def test_size_classes(both: Both) -> None:
    """The whole table."""
    native, record = both
    (name,) = (name for name in SIZE_CLASSES if name in native)

    assert record.views["sizeclasses"] == native[name]
    assert len(native[name]) > 60


def test_interface_tables_and_modules(both: Both) -> None:
    """How many of the linker's interface tables were entered, and how many modules there are."""
    native, record = both

    assert record.views["runtime.itabTable"]["count"] == native["runtime.itabTable.count"] > 0
    assert len(record.views["modules"]) == len(native["*runtime.modulesSlice"]) == 1


def test_processors(both: Both) -> None:
    """Number and state of every P: the first runs, the others are idle."""
    native, record = both
    wanted = [
        (native[f"runtime.allp.array[{n}].id"], native[f"runtime.allp.array[{n}].status"]) for n in range(len(CPUS))
    ]

    assert [(p["id"], p["status"]) for p in record.views["runtime.allp"]] == wanted
    assert wanted[0] == (0, 1)
