"""The emulated side: boot the image, keep the record, and put down the evidence."""

from __future__ import annotations

from dataclasses import dataclass

from emu.boot.boot import MSTART, make_record
from emu.boot.capture import Capture
from emu.boot.record import BootRecord
from emu.compare.evidence import Evidence, Names, Visit
from emu.compare.impose import SharedTime
from emu.image.image import Image
from emu.image.pclntab import Function
from emu.machine.machine import Machine
from syscalls.time import Clock
from syscalls.world import World

USER_END = 1 << 47
VSYSCALL_AREA = 0xFFFF_FFFF_FF60_0000


@dataclass(frozen=True, slots=True)
class Emulated:
    """An emulated run; *machine* still holds its memory."""

    record: BootRecord
    evidence: Evidence
    machine: Machine


def emulate(image: Image, world: World, stop: Function, time: SharedTime) -> Emulated:
    """Boot *image* in *world* up to *stop*, keeping in *time* when it asked for the time."""
    machine = Machine(image, world, profiled=True)
    machine.kernel.clock = Clock(world, time.recorded(machine.instructions))
    watch = Capture(machine, image)
    bias = machine.loaded.bias
    outcome = machine.run(stop.entry + bias, MSTART)
    watch.finish()
    record = make_record(image, world, machine, outcome, watch)
    evidence = Evidence(
        end=MSTART if outcome.kind == "reached" else outcome.message,
        visits=[Visit(call.name, call.depth, call.caller, call.instructions, call.own) for call in record.functions],
        counts=_counts(machine, Names(image, bias, world)),
        syscalls=machine.kernel.events,
        during=_during(record),
        total=machine.total(),
        read=machine.pages.read,
        bias=bias,
        stack_top=world.memory.stack_top,
    )
    return Emulated(record, evidence, machine)


def _counts(machine: Machine, names: Names) -> dict[str, int]:
    counts: dict[str, int] = {}
    for pc, instructions, _, executions in machine.counter.profile():
        if pc < USER_END or pc >= VSYSCALL_AREA:  # what lies between is ours: the IRETQ that enters the program
            name = names.at(pc)
            counts[name] = counts.get(name, 0) + instructions * executions
    return counts


def _during(record: BootRecord) -> list[int]:
    during = [-1] * len(record.syscalls)
    for index, call in enumerate(record.functions):
        for number in call.syscalls:
            during[number] = index
    return during
