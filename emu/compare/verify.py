"""Run a program natively and emulated in a World that mirrors this host, and judge every difference.

The native machine is the judge: what this kernel and this CPU did is right, and where the emulated run differs without
a cause from the written list (:mod:`emu.compare.causes`) the emulator is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emu.boot.boot import MSTART, UnknownFunction
from emu.boot.globals import writable_ranges
from emu.compare import differences, memory
from emu.compare.causes import CAUSES, IMPOSED, LAYOUT
from emu.compare.differences import KINDS, Difference
from emu.compare.emulated import Emulated, emulate
from emu.compare.evidence import Evidence
from emu.compare.impose import SharedTime, impose
from emu.compare.leaves import Comparer
from emu.compare.mirror import mirror
from emu.compare.native.process import NativeUnavailable, Process
from emu.compare.natively import step
from emu.compare.places import Places
from emu.image.image import Image
from syscalls.world import World
from syscalls.worldfile import as_dict as world_as_dict

SCHEMA = "rt0.verify/1"
TIMEOUT_S = 900.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was compared, and what differs.  *ok*: nothing differs without a cause."""

    binary: Mapping[str, Any]
    world: World
    end: str
    compared: Mapping[str, int]  # what -> how many
    equal: Mapping[str, int]
    causes: Mapping[str, int]  # cause -> differences that it explains
    differences: tuple[Difference, ...]  # without a cause, in order of the boot

    @property
    def ok(self) -> bool:
        return not self.differences

    @property
    def first(self) -> Difference | None:
        """The earliest difference, or None."""
        return self.differences[0] if self.differences else None


def verify(
    image: Image,
    path: str | Path,
    *,
    argv: Iterable[str] | None = None,
    env: Mapping[str, str] | None = None,
    cpus: Iterable[int] | None = None,
    alter: Callable[[World], World] | None = None,
) -> Verdict:
    """Boot *image*, which is the file at *path*, on both machines up to ``runtime.mstart``.

    *argv* holds argv[0] too; *env* is the whole environment; *cpus* is the affinity, None for the caller's.  *alter*
    changes the World that the emulated run gets, and so breaks what the comparison is to find.

    Raises NativeUnavailable where no native run is possible, and UnknownFunction for a program without ``mstart``.
    """
    stop = image.function(MSTART)
    if stop is None:
        raise UnknownFunction(f"{image.name} has no function {MSTART}")
    names = tuple(argv) if argv is not None else (image.name,)
    time = SharedTime()
    with Process(path, argv=names, env=env or {}, cpus=cpus, timeout_s=TIMEOUT_S) as process:
        try:
            world = impose(process, mirror(process, names, env or {}))
        except OSError as error:
            raise NativeUnavailable(f"this host cannot be mirrored: {error}") from error
        emulated = emulate(image, alter(world) if alter else world, stop, time)
        native = step(process, image, world, stop, time)
        return _judge(image, world, emulated, native)


def _judge(image: Image, world: World, run: Emulated, native: Evidence) -> Verdict:
    places = Places(run.evidence, native, [(segment.addr, segment.size) for segment in image.segments])
    comparer = Comparer(image.layouts, run.evidence, native, places)
    tally = comparer.segments(writable_ranges(run.machine))
    beyond = memory.compare(run.machine, run.evidence, native, places)
    visits = differences.functions(run.evidence, native)
    found = [
        *differences.ends(run, native),
        *visits,
        *differences.system_calls(run, native, places),
        *differences.counts(run.evidence, native, visits),
        *differences.leaves(tally, image.layouts, run, native),
        *differences.words(beyond, run.evidence.syscalls),
    ]
    found.sort(key=lambda one: (one.seen, KINDS.index(one.kind)))
    explained = Counter(one.cause for one in found if one.cause)
    moved = tally.same_place + beyond.same_place
    differing = {kind: sum(one.kind == kind for one in found) for kind in KINDS}
    pairs = {  # what -> (compared, equal)
        "functions in order": (n := max(len(native.visits), len(run.evidence.visits)), n - differing["function"]),
        "instructions": (native.total, native.total - differences.miscounted(run.evidence, native)),
        "counts by function": (n := len(run.evidence.counts.keys() | native.counts.keys()), n - differing["count"]),
        "system calls": (
            n := max(len(native.syscalls), len(run.evidence.syscalls)),
            n - differing["system call"],
        ),
        "leaves": (tally.leaves, tally.equal),
        "leaves without an address": (tally.plain, tally.plain_equal),
        "bytes of globals": (tally.bytes, tally.bytes - tally.bytes_differing),
        "bytes of heap and stack": (beyond.bytes, beyond.equal),
    }
    return Verdict(
        binary=run.record.binary,
        world=world,
        end=native.end,
        compared={what: compared for what, (compared, _) in pairs.items()},
        equal={what: equal for what, (_, equal) in pairs.items()},
        causes={cause: explained[cause] + (moved if cause == LAYOUT else 0) for cause in CAUSES},
        differences=tuple(one for one in found if one.cause is None),
    )


def as_dict(verdict: Verdict) -> dict[str, Any]:
    """Return *verdict* as JSON-ready values."""
    return {
        "schema": SCHEMA,
        "ok": verdict.ok,
        "binary": verdict.binary,
        "world": world_as_dict(verdict.world),
        "end": verdict.end,
        "compared": verdict.compared,
        "equal": verdict.equal,
        "causes": {cause: {"differences": count, "reason": CAUSES[cause]} for cause, count in verdict.causes.items()},
        "imposed": IMPOSED,
        "differences": [
            {name: getattr(one, name) for name in ("kind", "name", "emulated", "native", "function")}
            for one in verdict.differences
        ],
    }
