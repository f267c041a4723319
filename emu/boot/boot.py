"""One boot: an image in a World, from its entry point to ``runtime.mstart``, as a BootRecord."""

from __future__ import annotations

import re

from emu.boot.calls import syscall
from emu.boot.capture import Capture
from emu.boot.reader import Reader
from emu.boot.record import BootRecord, Json
from emu.boot.values import declared
from emu.boot.views import views
from emu.image.image import Image
from emu.machine.machine import Machine
from emu.machine.outcome import Outcome
from syscalls.world import World
from syscalls.worldfile import as_dict

MSTART = "runtime.mstart"
END = "exit"
"""In place of a function: run until the program ends by itself."""
# What the runtime prints when it gives up (runtime/panic.go, throw, fatal and printpanics; all releases).
FATAL_ERROR = re.compile(r"^fatal error: (.*)$", re.MULTILINE)
PANIC = re.compile(r"^panic: (.*)$", re.MULTILINE)
GO_GAVE_UP = 2  # the status that throw and panic exit with


class UnknownFunction(ValueError):
    """The program has no function of the name that was asked for."""


def boot(image: Image, world: World, until: str = MSTART, capture: bool = True) -> BootRecord:
    """Boot *image* in *world* up to the first instruction of *until*.

    Without *capture* the guest runs bare: outcome, totals and system calls only, for measuring what capture costs
    (hello of Go 1.27.3, medians of 21 on a busy machine: 41 ms of CPU time against 28, 1.45 times).

    Raises UnknownFunction if the program has no function *until*.
    """
    stop_at = entry_of(image, until)
    machine = Machine(image, world)
    try:
        watch = Capture(machine, image) if capture else None
        outcome = machine.run(stop_at and stop_at + machine.loaded.bias, until)
        if watch is not None:
            watch.finish()
        return make_record(image, world, machine, outcome, watch)
    finally:
        machine.close()


def entry_of(image: Image, name: str) -> int:
    """The link-time address of the function *name*, 0 for :data:`END`; raises UnknownFunction."""
    if name == END:
        return 0
    function = image.function(name)
    if function is None:
        raise UnknownFunction(f"{image.name} has no function {name}")
    return function.entry


def make_record(
    image: Image,
    world: World,
    machine: Machine,
    outcome: Outcome,
    watch: Capture | None,
    *,
    reader: Reader | None = None,
) -> BootRecord:
    """Put down what *machine* did; a *reader* that was used for it before saves time."""
    reader = reader or Reader(machine, image)
    output = printed(machine)
    shown, missing = views(reader) if watch else ({}, {})
    variables, absent = declared(reader) if watch else ({}, {})
    changed = watch.values_now() if watch else {}
    order = watch.after_call if watch else [None] * len(machine.kernel.events)
    return BootRecord(
        binary=binary(image),
        world=as_dict(world),
        outcome=describe(image, machine, outcome, output),
        totals=totals(machine),
        functions=tuple(watch.calls()) if watch else (),
        syscalls=tuple(syscall(event, seen) for event, seen in zip(machine.kernel.events, order, strict=True)),
        globals=variables | changed,
        views=shown,
        missing=missing | absent,
        output=output,
        unknown_syscalls=tuple(machine.kernel.unknown),
        notes=(*image.notes, *(watch.notes if watch else ())),
        evidence=image.proofs_of(variables | changed),
    )


def totals(machine: Machine) -> Json:
    """The record's totals."""
    return {
        "instructions": machine.total(),
        "syscalls": len(machine.kernel.events),
        "tasks": len(machine.kernel.tasks),
    }


def printed(machine: Machine) -> str:
    """What the guest wrote to standard output and error."""
    return b"".join(data for _, data in machine.kernel.output).decode("utf-8", "backslashreplace")


def binary(image: Image) -> Json:
    """The record's description of the program."""
    return {
        "name": image.name,
        "sha256": image.sha256,
        "go": image.go,
        "entry": hex(image.entry),
        "kind": image.kind,
        "stripped": image.stripped,
        "dwarf": image.dwarf,
    }


def describe(image: Image, machine: Machine, outcome: Outcome, output: str) -> Json:
    """The record's outcome; an exit with a Go runtime's last words on standard error is a throw.

    Any other exit is told with the last line that the program wrote: why it left.
    """
    kind, message = outcome.kind, outcome.message
    if outcome.kind == "exit" and outcome.exit_status == GO_GAVE_UP:
        found = FATAL_ERROR.search(output) or PANIC.search(output)
        if found:
            kind, message = "throw", found.group(1)
    if kind == "exit" and output.strip():
        message = f"{message}: {output.strip().splitlines()[-1]}"
    function = image.function_at(outcome.pc - machine.loaded.bias)
    return {
        "kind": kind,
        "at": outcome.at,
        "message": message,
        "exit_status": outcome.exit_status,
        "pc": hex(outcome.pc),
        "function": function.name if function else None,
    }
