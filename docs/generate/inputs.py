"""Which entries of the auxiliary vector and which environment variables start-up heeds: found by changing each.

Two boots differ in one entry's value, or in one letter of a variable's name, so that everything lies where it lay.
What then differs in outcome, functions, system calls or globals, that entry or that variable did.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.history import WORLD
from emu.boot.boot import boot
from emu.boot.record import BootRecord
from emu.image.image import Image
from emu.report.calls import text
from syscalls.world import World

VARIABLES = ("GOMAXPROCS=1", "GOGC=50", "GOMEMLIMIT=1GiB", "GODEBUG=gctrace=1", "GOTRACEBACK=all", "GOROOT=/go")
OWN = ("runtime.auxv", "runtime.envs")
"""Globals that keep what was passed, whatever it is."""


def heeded(image: Image) -> dict[str, list[str]]:
    """The tags and the variables that make a difference in the start of *image*."""
    base = boot(image, WORLD)
    entries = {entry["tag"]: entry["value"] for entry in base.views["auxv"] if entry["tag"] != "AT_NULL"}
    return {
        "auxv": [tag for tag, value in entries.items() if _differs(base, boot(image, _with_entry(tag, value)))],
        "environment": [
            variable.partition("=")[0]
            for variable in VARIABLES
            if _differs(boot(image, _with_variable(f"X{variable[1:]}")), boot(image, _with_variable(variable)))
        ],
    }


def _with_entry(tag: str, value: Any) -> World:
    number = int(value, 16) if isinstance(value, str) else int(value)
    return replace(WORLD, auxv=((tag, 0 if number else 1),))


def _with_variable(variable: str) -> World:
    return replace(WORLD, env=(*WORLD.env, variable))


def _differs(one: BootRecord, other: BootRecord) -> bool:
    return _seen(one) != _seen(other)


def _seen(record: BootRecord) -> tuple[Any, ...]:
    return (
        record.outcome["kind"],
        [call.name for call in record.functions],
        [text(call) for call in record.syscalls],
        {name: value for name, value in record.globals.items() if not name.startswith(OWN)},
    )
