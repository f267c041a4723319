"""Worlds a second on one core: a sweep's worker against native runs under ``strace -e inject`` and under qemu-user.

Everything of a round runs on one CPU, one after the other: first a worker's rows of a plan (World, boot, values, all
but the store), from a machine that is warm, then as many whole processes of each peer as take about as long.  What is
compared is time a World; a peer's process is one World, and it runs to its end, which for hello is 2 ms more.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.pairs import Command, Samples, ratio, run

SWEEP = "rt0 sweep"
VARIED = ("cpus=1,2,3,8", "thp=absent,0,2097152,garbage", "page-size=4096,16384,65536")
RUNS = 8  # processes of each peer a round


@dataclass(frozen=True, slots=True)
class Expectation:
    """A World of the sweep takes at most 1/*times* of what a run of *peer* takes, by the median of the ratios."""

    peer: str
    times: float


EXPECTATIONS = (Expectation("strace", 2), Expectation("qemu-x86_64", 10))


@contextmanager
def one_cpu() -> Iterator[None]:
    """Keep this process and its children on a single CPU."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def worker(program: str) -> tuple[Callable[[], object], int]:
    """A function that computes every row of a plan on a warm machine, and how many those are."""
    # Here and not above: a child's peak memory, which bench.pairs measures, begins with its parent's.
    from emu.image.image import load
    from emu.sweep import points, shown
    from emu.sweep.plan import Plan
    from emu.sweep.work import Bench, Shipment
    from syscalls.world import World

    image = load(Path(program))
    plan = Plan((image.name,), (("", World()),), tuple(points.from_options(VARIED)), shown.declared(), "runtime.mstart")
    bench = Bench(Shipment(plan, (image,)))
    return lambda: [bench.row(number) for number in range(plan.size)], plan.size


def measure(program: str, peers: list[Command], count: int) -> dict[str, Samples]:
    """Seconds a World in *count* rounds: of the sweep, and of each of *peers*."""
    samples = {SWEEP: Samples(), **{peer.name: Samples() for peer in peers}}
    with one_cpu():
        rows, size = worker(program)
        rows()
        for _ in range(count):
            begin = time.perf_counter()
            rows()
            samples[SWEEP].times.append((time.perf_counter() - begin) / size)
            for peer in peers:
                samples[peer.name].times.append(sum(run(peer)[0] for _ in range(RUNS)) / RUNS)
    return samples


def report(samples: dict[str, Samples]) -> str:
    """Return the table that a person reads."""
    lines = [f"{'Worlds on one CPU':18} {'a second':>10} {'best':>8}   the sweep's rate, in its own"]
    for name, sample in samples.items():
        low, middle, high = ratio(sample, samples[SWEEP])
        shown = "" if name == SWEEP else f"{middle:.1f} ({low:.1f} to {high:.1f})"
        lines.append(f"{name:18} {1 / sample.median:10.0f} {1 / min(sample.times):8.0f}   {shown}".rstrip())
    return "\n".join(lines)


def failures(samples: dict[str, Samples]) -> list[str]:
    """Return a sentence for each expectation that *samples* do not meet."""
    found = []
    for expected in EXPECTATIONS:
        if expected.peer not in samples:
            found.append(f"{SWEEP}: not compared with {expected.peer}")
        elif (middle := ratio(samples[expected.peer], samples[SWEEP])[1]) < expected.times:
            found.append(f"{SWEEP}: {middle:.1f} times the rate of {expected.peer}; expected {expected.times:g}")
    return found
