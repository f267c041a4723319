"""The same inputs under gdb on this machine's kernel: what they move natively, they move here."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emu.boot import values
from emu.boot.reader import locate
from syscalls.cpuset import CpuSet
from syscalls.world import World
from tests.booted import boot_in, image_of
from tests.oracle import gdbvalues

CPUS = sorted(os.sched_getaffinity(0))
NAMES = ("ncpu", "gomaxprocs", "gcPercent", "heapMinimum", "traceback_cache", "argc", "secureMode", "memoryLimit")
DEBUG = ("gctrace", "invalidptr", "schedtrace", "cgocheck", "madvdontneed")
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "none": {},
    "numbers": {"GOMAXPROCS": "5", "GOGC": "50", "GOTRACEBACK": "7", "GOMEMLIMIT": "1GiB"},
    "words": {"GOMAXPROCS": "many", "GOGC": "off", "GOTRACEBACK": "system", "GOMEMLIMIT": "off"},
    "odd ones": {"GOMAXPROCS": "+3", "GOGC": "-9", "GOTRACEBACK": "-1", "GOMEMLIMIT": "12345KiB"},
    "debug": {"GODEBUG": "gctrace=2,invalidptr=0,schedtrace=77,cpu.aes=off,nosuch=1,gctrace=5,madvdontneed=x"},
}


def leaf(value: Any) -> Any:
    """The number within an atomic variable, as gdb shows one."""
    while isinstance(value, dict) and "value" in value:
        value = value["value"]
    return value


def expressions(path: Path) -> dict[str, str]:
    """For each declared value that the program has, and each debug variable, the variable that holds it."""
    image = image_of(path)
    found = {}
    for name in NAMES:
        for source in values.BY_NAME[name].sources:
            if not isinstance(_place(image, source), LookupError):
                found[name] = source
                break
    return found | {name: f"runtime.debug.{name}" for name in DEBUG}


def _place(image: Any, source: str) -> Any:
    try:
        return locate(image, source)
    except LookupError as absence:
        return absence


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("name", ["esbuild-0.1.0", "buildifier-4.0.1", "hello-1.21.13", "hello-1.27.3-oldmod"])
def test_an_environment_moves_the_same_values(binary: Callable[[str], Path], name: str, environment: str) -> None:
    """On all the CPUs that this process has; with nothing else changed, also on one."""
    path, env = binary(name), ENVIRONMENTS[environment]
    wanted = expressions(path)
    for cpus in [CPUS, CPUS[:1]] if not env else [CPUS]:
        native = gdbvalues.view(path, list(wanted.values()), args=["a", "b"], env=env, cpus=set(cpus))
        world = replace(
            World(),
            argv=(str(path), "a", "b"),
            env=tuple(f"{key}={value}" for key, value in env.items()),
            cpus=CpuSet(sum(1 << cpu for cpu in cpus)),
        )
        record = boot_in(path, world)
        ours = {
            source: record.globals.get(source, record.views["runtime.debug"].get(key)) for key, source in wanted.items()
        }

        assert ours == {source: leaf(value) for source, value in native.values.items()}
