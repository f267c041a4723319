"""Run a fixture program on this machine and in rt0, and bring what it says into a form that can be compared."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fixtures import store

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/root"}  # the World's
RT0 = str(Path(sys.executable).with_name("rt0"))
TIMEOUT_S = 120
HEADER = re.compile(r"^goroutine \d+ ", re.MULTILINE)
MASKS = (
    # Goroutines are numbered in order of making, threads too, by each P from a batch: the schedule decides.
    (re.compile(r"\bgoroutine \d+"), "goroutine N"),
    (re.compile(r"\bm=(\d+|nil)\b"), "m=M"),
    # Stacks, the heap and each g lie where the entropy of this start put the first arena (Go 1.25), or the kernel.
    (re.compile(r"\b(gp|mp|fp|sp|stack)=\[?0x[0-9a-f]+(, 0x[0-9a-f]+\])?"), r"\1=A"),
    # A value with a question mark is what was in a register or slot that nobody needs any more (traceback.go).
    (re.compile(r"\b0x[0-9a-f]+\?"), "0x?"),
    (re.compile(r"\b0x[0-9a-f]{9,}\b"), "A"),
    # The registers at a fatal signal.
    (re.compile(r"^(r[a-z0-9]{1,2}|rflags|cs|fs|gs) +0x[0-9a-f]+$", re.MULTILINE), r"\1"),
    # si_addr of a signal that a process sent is its pid and uid (sigaction(2), siginfo_t is a union).
    (re.compile(r"(sigcode=0) addr=0x[0-9a-f]+"), r"\1 addr=SENDER"),
)


@dataclass(frozen=True, slots=True)
class Said:
    """What a run left: the exit status as a shell tells it (128 + n for signal n), and both streams."""

    status: int
    out: str
    err: str


def natively(name: str, *args: str, address_space: int = 0) -> Said:
    """Run the fixture *name* on this machine, with at most *address_space* bytes of it if that is not 0."""
    limit = (address_space or resource.RLIM_INFINITY,) * 2
    prefix = ["prlimit", f"--as={limit[0] if address_space else 'unlimited'}", "--core=0"]
    return _said([*prefix, str(store.path(name)), *args])


def emulated(name: str, *args: str, options: Sequence[str] = ()) -> Said:
    """Run the fixture *name* in rt0."""
    return _said([RT0, "run", *options, str(store.path(name)), *args])


def _said(command: Sequence[str]) -> Said:
    done = subprocess.run(
        command, capture_output=True, env=ENVIRONMENT, stdin=subprocess.DEVNULL, timeout=TIMEOUT_S, check=False
    )
    status = done.returncode if done.returncode >= 0 else 128 - done.returncode
    return Said(status, done.stdout.decode(), done.stderr.decode())


def comparable(err: str) -> str:
    """What standard error says up to the end of the first goroutine's stack, with what chance decides masked.

    The stacks of the other goroutines come in an order, and are in states, that the schedule decides.
    """
    headers = [match.start() for match in HEADER.finditer(err)]
    text = err[: headers[1]] if len(headers) > 1 else err
    for pattern, mask in MASKS:
        text = pattern.sub(mask, text)
    return text
