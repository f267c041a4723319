"""What a first boot costs with and without symbols: CPU time of whole processes, with nothing kept of the program.

``python -m bench.first [--rounds N]`` boots a program of about 10 MB and its twin without a section table in turns,
each with an empty cache and then once more, and prints the medians.  A first boot reads DWARF, or recovers what the
code tells; a second one finds that in the cache.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from fixtures import store
from fixtures.cells import cut

PROGRAM = "esbuild-0.5.0"  # Go 1.14.2, 8.8 MB, with DWARF
LIMIT = 3.0  # times what the unstripped twin's first boot costs
COMMAND = (sys.executable, "-c", "import sys; from emu.cli.main import main; sys.exit(main(sys.argv[1:]))")


def cpu_s(program: Path, folder: Path) -> float:
    """Seconds of CPU time that a boot of *program* takes, with the cache in *folder*."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "RT0_CACHE": str(folder / "cache"), "PYTHONPATH": str(store.ROOT)}
    record = str(folder / "record.json")
    subprocess.run([*COMMAND, "boot", str(program), "--json", record, "--quiet"], check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(rounds: int) -> dict[str, tuple[float, float]]:
    """Medians of the first and of the second boot, in seconds: of the "whole" program and of the "stripped" one."""
    samples: dict[str, list[tuple[float, float]]] = {"whole": [], "stripped": []}
    content = store.path(PROGRAM).read_bytes()
    for _ in range(rounds):
        for name, found in samples.items():
            with tempfile.TemporaryDirectory() as folder:
                program = Path(folder, "program")
                program.write_bytes(cut(content) if name == "stripped" else content)
                found.append((cpu_s(program, Path(folder)), cpu_s(program, Path(folder))))
    return {name: (median(a for a, _ in found), median(b for _, b in found)) for name, found in samples.items()}


def main(argv: Sequence[str]) -> int:
    """Measure, print, and return 1 if a first boot without symbols is too dear."""
    parser = argparse.ArgumentParser(prog="python -m bench.first", description="What a first boot costs.")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="first boots of each (default: 7)")
    found = measure(parser.parse_args(argv).rounds)
    for name, (first, second) in found.items():
        print(f"{PROGRAM}, {name}: first boot {first:.2f} s of CPU time, second {second:.2f} s")
    ratio = found["stripped"][0] / found["whole"][0]
    print(f"a first boot without symbols costs {ratio:.2f} times one with (at most {LIMIT:.0f} is wanted)")
    return int(ratio > LIMIT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
