"""Time commands against each other in interleaved rounds, so that a busy moment hits all of them alike.

A time is the wall time of a whole process, start to end, in seconds.  Peak memory is the kernel's count for that
process alone (getrusage(2), ru_maxrss); exec carries the parent's figure over, so the parent imports nothing heavy.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


class CommandFailed(Exception):
    """A command under measurement ended in another way than it should; its time means nothing."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: *argv* found through PATH, the whole *env*, and the exit *status* that is right."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    status: int = 0


@dataclass(slots=True)
class Samples:
    """The rounds of one command: wall times in seconds and peak memory in KiB, in order."""

    times: list[float] = field(default_factory=list)
    peaks_kib: list[int] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    @property
    def peak_mib(self) -> float:
        return max(self.peaks_kib) / 1024


def run(command: Command) -> tuple[float, int]:
    """Run *command* once and return (seconds, peak KiB); its standard streams are the null device.

    Raises CommandFailed on another exit status than the right one and FileNotFoundError if it is not installed.
    """
    actions = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    begin = time.perf_counter()
    pid = os.posix_spawnp(command.argv[0], command.argv, dict(command.env), file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - begin
    if (code := os.waitstatus_to_exitcode(status)) != command.status:
        raise CommandFailed(f"{' '.join(command.argv)}: exit status {code}, not {command.status}")
    return seconds, usage.ru_maxrss


def rounds(commands: Sequence[Command], count: int, warm_up: int = 2) -> dict[str, Samples]:
    """Run every command once a round, *warm_up* rounds unseen and *count* measured; return the samples by name."""
    samples = {command.name: Samples() for command in commands}
    for number in range(warm_up + count):
        # Back and forth, so that no command always follows the same other one.
        for command in commands if number % 2 else reversed(commands):
            seconds, peak = run(command)
            if number >= warm_up:
                samples[command.name].times.append(seconds)
                samples[command.name].peaks_kib.append(peak)
    return samples


def ratio(of: Samples, to: Samples) -> tuple[float, float, float]:
    """Return (lower quartile, median, upper quartile) of the per-round ratios of two commands' times."""
    ratios = [a / b for a, b in zip(of.times, to.times, strict=True)]
    if len(ratios) == 1:
        return ratios[0], ratios[0], ratios[0]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return low, middle, high


def installed(name: str) -> bool:
    """Tell whether *name* is an executable on PATH (shutil.which without its imports)."""
    return any(os.access(os.path.join(folder, name), os.X_OK) for folder in os.get_exec_path())  # noqa: PTH118


def warn(text: str) -> None:
    """Say on standard error what is left out."""
    print(f"bench: {text}", file=sys.stderr)
