"""What capturing costs: a captured boot against a bare one, in one process, by CPU time, turn and turn about.

``python -m bench.captured [--rounds N]`` prints the median of the rounds' ratios, and its quartiles.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

AT_MOST = 1.5
HELLO = Path(__file__).resolve().parent.parent / "emu" / "bundled" / "hello"


def ratios(rounds: int) -> list[float]:
    """Return how many times a bare boot's CPU time a captured one took, in each of *rounds*."""
    from emu.boot.boot import boot
    from emu.image.image import load
    from syscalls.world import World

    image = load(HELLO)
    found = []
    for number in range(rounds + 2):
        spent = {}
        for capture in (True, False) if number % 2 else (False, True):
            begin = time.process_time()
            boot(image, World(), capture=capture)
            spent[capture] = time.process_time() - begin
        if number >= 2:  # the first ones learn what is kept of a program
            found.append(spent[True] / spent[False])
    return found


def main(argv: list[str]) -> int:
    """Measure and print; exit status 1 when it is more than it should be."""
    parser = argparse.ArgumentParser(prog="python -m bench.captured", description="Compare captured and bare boots.")
    parser.add_argument("--rounds", type=int, default=21, help="measured rounds (default: 21)")
    low, middle, high = statistics.quantiles(ratios(parser.parse_args(argv).rounds), n=4, method="inclusive")
    print(
        f"a captured boot takes {middle:.2f} ({low:.2f} to {high:.2f}) times a bare one; expected at most {AT_MOST:g}"
    )
    return 1 if middle > AT_MOST else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
