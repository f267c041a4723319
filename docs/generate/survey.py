"""What one boot of a program shows of its release: functions in order, system calls, inputs, what was captured.

``python -m docs.generate.survey`` boots one program of each release and writes releases.json, of which docs/releases.md
is made; ``docs.generate.matrix`` sums up many programs.  All run in the World of the history of start-up cost, so that
both pages tell of the same boots.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from bench.history import RELEASES, WORLD
from docs.generate.inputs import heeded
from emu.boot.boot import MSTART, entry_of, make_record
from emu.boot.capture import Capture
from emu.boot.order import order, out_of_order
from emu.boot.record import BootRecord
from emu.image.image import Image, load
from emu.machine.machine import Machine
from emu.report.calls import paths, text
from fixtures import store
from syscalls.world import World

Json = dict[str, Any]
FILE = Path(__file__).resolve().parent / "releases.json"
CPUID_REGISTERS = ("rax", "rcx", "rip")


class Asked(Machine):
    """A machine that notes what the program asks the CPU."""

    def __init__(self, image: Image, world: World) -> None:
        self.leaves: list[tuple[int, int, int]] = []  # leaf, subleaf, pc
        self.clocks: list[int] = []  # pc of each RDTSC and RDTSCP
        super().__init__(image, world)
        self._asking = self.engine.registers(*CPUID_REGISTERS)

    def _on_cpuid(self, uc: int, data: int) -> int:
        leaf, subleaf, pc = self._asking.read()
        self.leaves.append((leaf & 0xFFFF_FFFF, subleaf & 0xFFFF_FFFF, pc))
        return super()._on_cpuid(uc, data)

    def _on_rdtsc(self) -> int:
        self.clocks.append(self._asking.read()[2])
        return super()._on_rdtsc()

    def _on_rdtscp(self, uc: int, data: int) -> int:
        self.clocks.append(self._asking.read()[2])
        return super()._on_rdtscp(uc, data)


def survey(image: Image) -> Json:
    """Boot *image* and return what docs/releases.md tells of it, JSON-ready."""
    machine = Asked(image, WORLD)
    try:
        watch = Capture(machine, image)
        outcome = machine.run(entry_of(image, MSTART) + machine.loaded.bias, MSTART)
        watch.finish()
        record = make_record(image, WORLD, machine, outcome, watch)
        bias = machine.loaded.bias
        return {
            **summary(image, record),
            "calls": [[call.name, call.parent, call.instructions, call.own] for call in record.functions],
            "syscalls": [[call.function, text(call)] for call in record.syscalls],
            "files": files(record),
            "cpuid": counted(f"{leaf:#x} {_function(image, pc - bias)}" for leaf, _, pc in machine.leaves),
            "clocks": counted(_function(image, pc - bias) for pc in machine.clocks),
        }
    finally:
        machine.close()


def summary(image: Image, record: BootRecord) -> Json:
    """What docs/matrix.md tells of a boot of *image*."""
    wanted = [name for name in order(image.release) if image.function(name) is not None]
    entered = [call.name for call in record.functions]
    if entered[:1] == ["main"]:  # the C library began, and has set thread-local storage up (asm_amd64.s, rt0_go)
        wanted.remove("runtime.settls")
    wrong = out_of_order([*entered, MSTART], tuple(wanted))
    reached = record.outcome["at"] == MSTART
    return {
        "go": image.go.removeprefix("go").split()[0],
        "sha256": image.sha256,
        "outcome": {key: record.outcome[key] for key in ("kind", "at", *([] if reached else ["message", "function"]))},
        "instructions": record.totals["instructions"],
        "functions": {"wanted": len(wanted), "in order": len(wanted) - len(wrong), "calls": len(entered)},
        "out of order": [list(pair) for pair in wrong],
        "unlisted": sorted(set(entered) - set(order(image.release))),
        "leaves": len(record.globals),
        "views": len(record.views),
        "sources": counted(write.source for call in record.functions for write in call.writes),
        "missing": counted(record.missing.values()),
    }


def counted(items: Any) -> dict[str, int]:
    """How often each of *items* occurs, in order of first occurrence."""
    return dict(Counter(items))


def files(record: BootRecord) -> list[str]:
    """The files that were opened, and those of them that were read, in order: "path", "path: not read"."""
    named = paths(record.syscalls)
    opened = [p for call, p in zip(record.syscalls, named, strict=True) if call.name in ("open", "openat") and p]
    read = {p for call, p in zip(record.syscalls, named, strict=True) if call.name in ("read", "pread64")}
    return [path if path in read else f"{path}: not read" for path in dict.fromkeys(opened)]


def _function(image: Image, pc: int) -> str:
    found = image.function_at(pc)
    return found.name if found else "the vDSO"


def dumped(rows: Json) -> str:
    """JSON with one line for each of *rows*, so that a change shows as a change of its line."""
    lines = (f"{json.dumps(key)}: {json.dumps(row, separators=(',', ':'))}" for key, row in rows.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def made(name: str) -> Json:
    """The survey of the fixture *name*, afresh; raises fixtures.store.FixtureError if it cannot be had."""
    image = load(store.path(name))
    return survey(image) | heeded(image)


if __name__ == "__main__":
    FILE.write_text(dumped({name: made(name) for name in RELEASES}))
    sys.stdout.write(f"{FILE.name}: {len(RELEASES)} programs\n")
