"""The benchmark's arithmetic and honesty, on made-up samples and on commands that end at once; no time is asserted."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bench import __main__ as bench
from bench import rates
from bench.pairs import Command, CommandFailed, Samples, ratio, rounds, run
from fixtures import store


def samples(**times: list[float]) -> dict[str, Samples]:
    """Return samples of "ours" under the name of our own command, of the others under theirs; 50 MiB each."""
    names = {"ours": bench.BOOT, "qemu": "qemu-x86_64", "gdb": "gdb"}
    return {names[name]: Samples(list(values), [50 * 1024] * len(values)) for name, values in times.items()}


def test_ratio_is_of_rounds_not_of_medians() -> None:
    """A slow moment that hits both commands of a round does not move the ratio."""
    calm, disturbed = Samples([2.0, 2.0, 2.0]), Samples([1.0, 1.0, 1.0])
    calm.times[1], disturbed.times[1] = 40.0, 20.0

    assert ratio(calm, disturbed) == (2.0, 2.0, 2.0)


def test_expectations_met_say_nothing() -> None:
    """At three times qemu and level with gdb all is as expected."""
    assert bench.failures(samples(ours=[3.0, 3.0], qemu=[1.0, 1.0], gdb=[3.0, 3.0])) == []


def test_each_missed_expectation_is_named() -> None:
    """Too slow for one peer, another peer missing, too much memory: three sentences."""
    measured = samples(ours=[4.0, 4.0], qemu=[1.0, 1.0])
    measured[bench.BOOT].peaks_kib[0] = 100 * 1024

    assert bench.failures(measured) == [
        "4.00 times qemu-x86_64 (an emulator that captures nothing); expected at most 3",
        "not compared with gdb",
        "100.0 MiB at its peak; expected at most 96",
    ]


def test_report_shows_each_command_and_our_ratio() -> None:
    """The table has a line for each command: median, fastest, peak, ratio with its quartiles."""
    table = bench.report(samples(ours=[0.2, 0.3, 0.4], qemu=[0.1, 0.1, 0.1])).splitlines()

    assert table[1].split() == ["rt0", "boot", "--json", "300.0", "200.0", "50.0"]
    assert table[2].split() == ["qemu-x86_64", "100.0", "100.0", "50.0", "3.00", "(2.50", "to", "3.50)"]


def test_every_round_runs_every_command() -> None:
    """Three measured rounds after two unseen ones give three samples a command."""
    path = {"PATH": os.environ["PATH"]}
    measured = rounds([Command("one", ("true",), path), Command("two", ("false",), path, status=1)], 3)

    assert {name: len(sample.times) for name, sample in measured.items()} == {"one": 3, "two": 3}
    assert all(peak > 0 for peak in measured["one"].peaks_kib)


def test_command_that_fails_has_no_time() -> None:
    """An exit status that was not expected ends the measurement with the command's name."""
    with pytest.raises(CommandFailed, match="false: exit status 1, not 0"):
        run(Command("failing", ("false",), {"PATH": os.environ["PATH"]}))


def test_memory_of_a_command_is_its_own() -> None:
    """A child that touches 128 MiB is seen to take them.

    Asked by a small process, as the benchmark is one: Linux counts what the parent held when it started the child.
    """
    asked = (
        "import os; from bench.pairs import Command, run\n"
        "def peak(code): return run(Command(code, ('python3', '-S', '-c', code), {'PATH': os.environ['PATH']}))[1]\n"
        "print(peak(\"bytearray(b'x') * (128 << 20)\") - peak('pass'))"
    )
    answer = subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True, cwd=store.ROOT)

    assert int(answer.stdout) > 64 << 10


def test_rates_are_judged_by_rounds() -> None:
    """Twice the rate of strace and ten times that of qemu are enough; less is a sentence, and so is nothing."""
    measured = {
        rates.SWEEP: Samples([0.002, 0.02]),
        "strace": Samples([0.004, 0.04]),
        "qemu-x86_64": Samples([0.02, 0.2]),
    }
    assert rates.failures(measured) == []

    measured["strace"].times[:] = [0.003, 0.03]
    del measured["qemu-x86_64"]
    assert rates.failures(measured) == [
        "rt0 sweep: 1.5 times the rate of strace; expected 2",
        "rt0 sweep: not compared with qemu-x86_64",
    ]
    assert rates.report(measured).splitlines()[2].split() == ["strace", "61", "333", "1.5", "(1.5", "to", "1.5)"]


def test_rates_are_measured_on_one_cpu() -> None:
    """Each round has a sample of the sweep and of each peer; the CPUs are given back."""
    before = os.sched_getaffinity(0)
    measured = rates.measure(bench.HELLO, [Command("hello", (bench.HELLO,))], 1)

    assert {name: len(sample.times) for name, sample in measured.items()} == {rates.SWEEP: 1, "hello": 1}
    assert os.sched_getaffinity(0) == before
