"""Run Go's own tests on this machine and in rt0, compare, and keep what was seen.

``python -m bench.suites [--release R]... [--cap SECONDS] [--run REGEXP] [--no-keep] [PACKAGE...]``.  What was seen
goes into docs/generate/suites.json, of which docs/suites.md is made, unless the tests were selected with --run.  Exit
status 1 when a verdict differs that bench/suites/causes.py does not explain.
"""

from __future__ import annotations

import argparse
import sys

from bench.suites import results
from bench.suites.causes import cause
from bench.suites.run import emulated, native
from fixtures import store, suites

SHOWN = 6


def main(argv: list[str]) -> int:
    """Run the named packages, or all, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m bench.suites", description="Go's own tests, on two machines.")
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", default=suites.PACKAGES)
    parser.add_argument(
        "--release", action="append", metavar="R", help=f"of {', '.join(suites.RELEASES)}; default: all"
    )
    parser.add_argument("--cap", type=float, default=600.0, metavar="SECONDS", help="of wall time for each run")
    parser.add_argument("--run", metavar="REGEXP", help="only these tests, as -test.run takes them; keeps nothing")
    parser.add_argument("--no-keep", action="store_true", help="do not write down what was seen")
    parser.add_argument("--said", action="store_true", help="show the ends of the emulated run's standard error")
    parser.add_argument("--option", action="append", default=[], metavar="WORD", help="a further option of rt0 run")
    options = parser.parse_args(argv)
    more = ("-test.run", options.run) if options.run else ()
    unexplained = 0
    for release in options.release or suites.RELEASES:
        for package in options.packages:
            try:
                there = native(release, package, options.cap, more)
                here = emulated(release, package, options.cap, more, options.option)
            except store.FixtureError as error:
                sys.stderr.write(f"{package} of Go {release}: {error}\n")
                unexplained += 1
                continue
            row = results.row(there, here)
            unexplained += report(release, package, row)
            if options.said:
                print(here.said)
            if not (options.run or options.no_keep):
                results.keep(results.key(release, package), row)
    return 1 if unexplained else 0


def report(release: str, package: str, row: results.Json) -> int:
    """Print what *row* says, and return how many of its differences have no cause."""
    there, here = row["native"], row["emulated"]
    print(
        f"{release:8} {package:18} {row['same']:5} of {row['tests']:5} tests the same; native {there['end']}, "
        f"{there['cpu']:.2f} s; rt0 {here['end']}, {here['cpu']:.2f} s",
        flush=True,
    )
    unexplained = 0
    for name, pair in row["differences"].items():
        why = cause(release, package, name, tuple(pair))
        if why is None:
            unexplained += 1
            if unexplained <= SHOWN:
                print(f"    {name}: {pair[0]} natively, {pair[1]} in rt0", flush=True)
    if unexplained > SHOWN:
        print(f"    and {unexplained - SHOWN} more", flush=True)
    if not row["differences"] and not results.same_end(row):
        print(f"    ends otherwise: {there['end']} natively, {here['end']} in rt0", flush=True)
        unexplained += 1
    return unexplained


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
