"""Compare ``rt0 boot`` with qemu-user, gdb and strace, whole processes, and the rate of a sweep with theirs.

``python -m bench [--rounds N] [--json FILE] [--check]``.  ``--check`` exits 1 when an expectation below is not met; a
tool that is not installed is left out, said on standard error, and with ``--check`` counts as not met.

Measured on a busy 2-core machine, from a plain install (an editable one searches longer for what it imports):
``rt0 boot --json`` takes 0.91 of gdb's CPU time by the median of 13 pairs, 159 ms against 178.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench import rates
from bench.pairs import Command, Samples, installed, ratio, rounds, warn

ROOT = Path(__file__).resolve().parent.parent
HELLO = str(ROOT / "emu" / "bundled" / "hello")
BOOT = "rt0 boot --json"
RATED = ("native", "qemu-x86_64", "strace")  # what a sweep's rate is compared with


@dataclass(frozen=True, slots=True)
class Expectation:
    """``rt0 boot --json`` takes at most *at_most* times what *peer* takes, by the median of the rounds' ratios."""

    peer: str
    at_most: float
    why: str


EXPECTATIONS = (
    Expectation("qemu-x86_64", 3.0, "an emulator that captures nothing"),
    Expectation("gdb", 1.0, "a script that runs natively to mstart and prints ten values"),
)
PEAK_MIB = 96


def commands() -> list[Command]:
    """Return what is compared: the first is ours, the rest the installed peers."""
    # The caller's HOME and cache: the binary's analysis is cached, as it is for a user from the second boot on.
    env = {key: os.environ[key] for key in ("PATH", "HOME", "XDG_CACHE_HOME") if key in os.environ}
    rt0 = str(Path(sys.executable).with_name("rt0"))
    ours = Command(BOOT, (rt0, "boot", HELLO, "--json"), env)
    gdb = ("gdb", "-nx", "-batch", "-iex", "set auto-load off", "-x", str(ROOT / "bench" / "gdb_ten_values.gdb"), HELLO)
    strace = ("strace", "-f", "-o", os.devnull, "-e", "inject=sched_getaffinity:retval=0", HELLO)
    peers = [
        Command("native", (HELLO,), env),
        Command("qemu-x86_64", ("qemu-x86_64", HELLO), env),
        Command("gdb", gdb, env),
        Command("strace", strace, env),
    ]
    missing = [peer.name for peer in peers if not installed(peer.argv[0])]
    for name in missing:
        warn(f"{name} is not installed and left out")
    return [ours, *(peer for peer in peers if peer.name not in missing)]


def report(samples: dict[str, Samples]) -> str:
    """Return the table that a person reads."""
    lines = [f"{'command':18} {'median ms':>10} {'fastest':>8} {'peak MiB':>9}   rt0 boot takes, in its time"]
    for name, sample in samples.items():
        low, middle, high = ratio(samples[BOOT], sample)
        shown = "" if name == BOOT else f"{middle:.2f} ({low:.2f} to {high:.2f})"
        fastest = min(sample.times) * 1e3
        lines.append(f"{name:18} {sample.median * 1e3:10.1f} {fastest:8.1f} {sample.peak_mib:9.1f}   {shown}".rstrip())
    return "\n".join(lines)


def failures(samples: dict[str, Samples]) -> list[str]:
    """Return a sentence for each expectation that *samples* do not meet."""
    found = []
    for expected in EXPECTATIONS:
        if expected.peer not in samples:
            found.append(f"not compared with {expected.peer}")
        elif (middle := ratio(samples[BOOT], samples[expected.peer])[1]) > expected.at_most:
            found.append(f"{middle:.2f} times {expected.peer} ({expected.why}); expected at most {expected.at_most:g}")
    if (peak := samples[BOOT].peak_mib) > PEAK_MIB:
        found.append(f"{peak:.1f} MiB at its peak; expected at most {PEAK_MIB}")
    return found


def as_json(samples: dict[str, Samples]) -> str:
    """Return every sample as JSON: seconds and KiB by command."""
    rows = {name: {"seconds": sample.times, "peak_kib": sample.peaks_kib} for name, sample in samples.items()}
    return json.dumps(rows, indent=1, sort_keys=True)


def main(argv: list[str]) -> int:
    """Measure, print, and with --check judge."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Compare rt0 boot with other tools.")
    parser.add_argument("--rounds", type=int, default=21, help="measured rounds (default: 21)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample")
    parser.add_argument("--check", action="store_true", help="exit 1 when an expectation is not met")
    options = parser.parse_args(argv)
    compared = commands()
    samples = rounds(compared, options.rounds)
    print(report(samples), flush=True)
    peers = [command for command in compared if command.name in RATED]
    rated = rates.measure(HELLO, peers, max(3, options.rounds // 3))
    print(f"\n{rates.report(rated)}")
    if options.json:
        named = {f"{name} a World": sample for name, sample in rated.items()}
        options.json.write_text(as_json(samples | named) + "\n")
    # In a process of its own: this one must stay small, for the peaks of its children to be theirs.
    command = [sys.executable, "-m", "bench.captured", "--rounds", str(options.rounds)]
    inside = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    print(f"\n{inside.stdout.strip() or inside.stderr.strip()}")
    found = [f"{BOOT}: {sentence}" for sentence in failures(samples)] + rates.failures(rated)
    if inside.returncode:
        found.append("a captured boot in process takes more of a bare one's time than it should")
    print("\n".join(found), end="\n" if found else "")
    return 1 if options.check and found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
