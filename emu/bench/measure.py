"""Boot a program under the meter and sum up what it saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from emu.bench.cost import Cost, Share
from emu.bench.meter import OUTERMOST, Block, Meter
from emu.bench.recording import BEFORE, Measured, Row
from emu.boot.boot import MSTART, UnknownFunction, describe
from emu.boot.names import CodeNames
from emu.image.image import ABI0, Image
from emu.machine.machine import Machine
from syscalls.world import World
from syscalls.worldfile import as_dict as world_as_dict


class NotReached(Exception):
    """The boot ended before ``runtime.mstart``: what it cost up to there says nothing about start-up."""


def measure(image: Image, world: World) -> Measured:
    """Boot *image* in *world* and say what it cost; raises UnknownFunction and NotReached."""
    return measured(*run(image, world))


def run(image: Image, world: World) -> tuple[Image, World, Machine, Meter]:
    """Boot *image* in *world* under the meter; raises UnknownFunction and NotReached."""
    stop = image.function(MSTART)
    if stop is None:
        raise UnknownFunction(f"{image.name} has no function {MSTART}")
    machine = Machine(image, world, profiled=True)
    meter = Meter(machine, image)
    outcome = machine.run(stop.entry + machine.loaded.bias, MSTART)
    meter.finish()
    if outcome.kind != "reached":
        output = b"".join(data for _, data in machine.kernel.output).decode("utf-8", "backslashreplace")
        said = describe(image, machine, outcome, output)
        raise NotReached(f"{image.name} did not reach {MSTART}: {said['kind']}: {said['message']}")
    return image, world, machine, meter


def measured(image: Image, world: World, machine: Machine, meter: Meter) -> Measured:
    """What *meter* saw, summed up."""
    names = CodeNames(image, machine.loaded.bias, world)
    totals, calls = Cost(), Counter[str]()
    for index, cost in meter.own.items():
        totals += cost
        calls.update(meter.own_syscalls.get(index, {}))
    program: dict[str, Share] = {}
    for spent in meter.spent.values():
        _share(program, spent.blocks, names)
    return Measured(
        name=image.name,
        go=image.go,
        kind=image.kind,
        sha256=image.sha256,
        linked=image.pclntab.count,
        typed=image.typed,
        world=world_as_dict(world),
        totals=totals,
        syscalls=dict(calls),
        functions=tuple(_rows(meter, names)),
        program=program,
    )


def _share(shares: dict[str, Share], blocks: Mapping[Block, int], names: CodeNames) -> None:
    for (pc, instructions), executions in blocks.items():
        span = names.span(pc)
        share = shares.setdefault(names.at(pc), Share())
        share.instructions += instructions * executions
        share.blocks += executions
        if span is not None and pc == span.entry:
            share.calls += executions


def _rows(meter: Meter, names: CodeNames) -> list[Row]:
    rows: dict[str, Row] = {}
    if meter.own[OUTERMOST] != Cost():
        before = rows[BEFORE] = Row(BEFORE, calls=1, own=meter.own[OUTERMOST], total=replace(meter.own[OUTERMOST]))
        before.syscalls = dict(meter.own_syscalls[OUTERMOST])
        _share(before.parts, meter.spent[()].blocks, names)
    whole = _inclusive(meter)
    for index, frame in enumerate(meter.frames):
        name = frame.name.removesuffix(ABI0)
        row = rows.setdefault(name, Row(name))
        row.calls += 1
        caller = frame.caller or BEFORE
        row.callers[caller] = row.callers.get(caller, 0) + 1
        row.own += meter.own[index]
        if not _nested(meter, index):
            row.total += whole[index]
        outer = BEFORE if frame.parent is None else meter.frames[frame.parent].name.removesuffix(ABI0)
        row.within[outer] = row.within.get(outer, 0) + whole[index].instructions
        for call, count in meter.own_syscalls.get(index, {}).items():
            row.syscalls[call] = row.syscalls.get(call, 0) + count
    for path, spent in meter.spent.items():
        if path:
            _share(rows[path[-1].name].parts, spent.blocks, names)
    return list(rows.values())


def _inclusive(meter: Meter) -> list[Cost]:
    # Of each call, with the calls in it.  An inner call comes after the outer one.
    whole = [Cost() for _ in meter.frames]
    for index in reversed(range(len(whole))):
        whole[index] += meter.own[index]
        parent = meter.frames[index].parent
        if parent is not None:
            whole[parent] += whole[index]
    return whole


def _nested(meter: Meter, index: int) -> bool:
    # Whether a call of the same function is around it.
    frames = meter.frames
    name, parent = frames[index].name, frames[index].parent
    while parent is not None:
        if frames[parent].name == name:
            return True
        parent = frames[parent].parent
    return False
