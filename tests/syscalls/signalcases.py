"""The cases of the rows for signals and timers; see :mod:`tests.syscalls.test_calls`."""

# Every part of a case is handed the guest, whether it needs it or not.
# ruff: noqa: ARG005

from __future__ import annotations

import struct

from syscalls import abi
from syscalls.errno import EINVAL, ESRCH
from syscalls.outcome import Hang, Killed
from tests.syscalls.bytememory import BAD, BUFFER, DATA, Guest
from tests.syscalls.casework import IN, Case


def pending(g: Guest, signum: int) -> int:
    """Block *signum* and send it; where its set is."""
    at = g.put(struct.pack("<Q", 1 << (signum - 1)), IN)
    assert g.call(14, abi.SIG_BLOCK, at, 0, 8) == g.call(62, 1000, signum) == 0
    return at


def queued(g: Guest, code: int) -> int:
    return g.put(struct.pack("<iii", 0, 0, code).ljust(128, b"\0"), IN)


def armed(g: Guest, which: int) -> int:
    """Let timer *which* go off in two seconds, and then every second and a half; return *which*."""
    assert g.call(38, which, g.put(struct.pack("<4q", 1, 500_000, 2, 0), IN), 0) == 0
    return which


def left(g: Guest, which: int) -> tuple[int, int]:
    """Return the whole seconds of the interval and of what is left of a timer of setitimer."""
    interval, remaining = g.task.process.timers[-1 - which].left(g.kernel)
    return interval // 10**9, remaining // 10**9


def timer(g: Guest) -> int:
    """Make a timer; return its number."""
    assert g.call(222, abi.CLOCK_MONOTONIC, 0, BUFFER) == 0
    number: int = struct.unpack("<i", g.get(4))[0]
    return number


CASES: dict[str, Case] = {
    "rt_sigaction": Case(
        lambda g: ((10, g.put(struct.pack("<4Q", 0x400000, 0x14000000, 0x400100, 1 << 8 | 1), IN), BUFFER, 8), 0),
        lambda g: (10, BAD, 0, 8),
        lambda g: ((9, g.put(bytes(32), IN), 0, 8), EINVAL),  # SIGKILL
        lambda g: g.kernel.actions[10] == (0x400000, 0x14000000, 0x400100, 1),  # SIGKILL cannot be masked
    ),
    "rt_sigprocmask": Case(
        lambda g: ((abi.SIG_BLOCK, g.put(struct.pack("<Q", 1 << 9 | 1 << 8), IN), BUFFER, 8), 0),
        lambda g: (abi.SIG_BLOCK, BAD, 0, 8),
        lambda g: ((7, g.put(bytes(8), IN), 0, 8), EINVAL),
        lambda g: g.task.sigmask == 1 << 9,
    ),
    "rt_sigreturn": Case(lambda g: ((), 0), check=lambda g: g.task.returns),
    "pause": Case(lambda g: ((), 0), check=lambda g: g.kernel.exit == Hang("thread 1000: pause")),
    "kill": Case(
        lambda g: ((1000, abi.SIGTERM), 0),
        None,
        lambda g: ((1001, abi.SIGTERM), ESRCH),
        lambda g: g.kernel.exit == Killed(15),
    ),
    "rt_sigpending": Case(lambda g: ((BUFFER, 8), 0), lambda g: (BAD, 8), lambda g: ((BUFFER, 9), EINVAL)),
    "rt_sigtimedwait": Case(
        lambda g: ((pending(g, abi.SIGUSR1), BUFFER, 0, 8), abi.SIGUSR1),
        lambda g: (pending(g, abi.SIGUSR1), BAD, 0, 8),
        lambda g: ((BUFFER, 0, 0, 4), EINVAL),
        lambda g: struct.unpack("<iii", g.get(12)) == (10, 0, abi.SI_USER) and not g.task.process.pending,
    ),
    "rt_sigqueueinfo": Case(
        lambda g: ((1000, abi.SIGTERM, queued(g, abi.SI_QUEUE)), 0),
        lambda g: (1000, abi.SIGTERM, BAD),
        lambda g: ((1001, abi.SIGTERM, queued(g, abi.SI_QUEUE)), ESRCH),
        lambda g: g.kernel.exit == Killed(15),
    ),
    "rt_sigsuspend": Case(
        lambda g: ((BUFFER, 8), 0), lambda g: (BAD, 8), lambda g: ((BUFFER, 4), EINVAL),
        lambda g: g.kernel.exit == Hang("thread 1000: sigsuspend"),
    ),
    "sigaltstack": Case(
        lambda g: ((g.put(struct.pack("<Qi4xQ", DATA, 0, 4096), IN), BUFFER), 0),
        lambda g: (BAD, 0),
        lambda g: ((g.put(struct.pack("<Qi4xQ", DATA, 4, 4096), IN), 0), EINVAL),
        lambda g: g.task.altstack == (DATA, 0, 4096) and abi.STACK_T.unpack(g.get(24)) == (0, abi.SS_DISABLE, 0),
    ),
    "tkill": Case(lambda g: ((1000, 0), 0), None, lambda g: ((1000, 65), EINVAL)),
    "tgkill": Case(
        lambda g: ((1000, 1000, abi.SIGABRT), 0), None, lambda g: ((0, 1000, 6), EINVAL),
        lambda g: g.kernel.exit == Killed(6),
    ),
    "rt_tgsigqueueinfo": Case(
        lambda g: ((1000, 1000, abi.SIGTERM, queued(g, abi.SI_QUEUE)), 0),
        lambda g: (1000, 1000, abi.SIGTERM, BAD),
        lambda g: ((1000, 0, abi.SIGTERM, queued(g, abi.SI_QUEUE)), EINVAL),
        lambda g: g.kernel.exit == Killed(15),
    ),
    "getitimer": Case(
        lambda g: ((armed(g, abi.ITIMER_REAL), BUFFER), 0), lambda g: (abi.ITIMER_REAL, BAD),
        lambda g: ((3, BUFFER), EINVAL),
        lambda g: struct.unpack("<4q", g.get(32)) == (1, 500_000, 2, 0),
    ),
    "alarm": Case(lambda g: ((armed(g, abi.ITIMER_REAL) + 9,), 2), check=lambda g: left(g, abi.ITIMER_REAL) == (0, 9)),
    "setitimer": Case(
        lambda g: ((armed(g, abi.ITIMER_PROF), 0, BUFFER), 0),
        lambda g: (abi.ITIMER_PROF, BAD, 0),
        lambda g: ((abi.ITIMER_PROF, g.put(struct.pack("<4q", 0, 0, 1, 10**6), IN), 0), EINVAL),
        lambda g: struct.unpack("<4q", g.get(32)) == (1, 500_000, 2, 0) and left(g, abi.ITIMER_PROF) == (0, 0),
    ),
    "timer_create": Case(
        lambda g: ((abi.CLOCK_MONOTONIC, g.put(struct.pack("<Qiii", 7, 40, 0, 0).ljust(64), IN), BUFFER), 0),
        lambda g: (abi.CLOCK_MONOTONIC, BAD, BUFFER),
        lambda g: ((abi.CLOCK_MONOTONIC, g.put(struct.pack("<Qiii", 7, 65, 0, 0).ljust(64), IN), BUFFER), EINVAL),
        lambda g: g.get(4) == bytes(4) and g.task.process.timers[0].signum == 40,
    ),
    "timer_settime": Case(
        lambda g: ((timer(g), 0, g.put(struct.pack("<4q", 0, 0, 1, 5), IN), BUFFER), 0),
        lambda g: (timer(g), 0, BAD, 0),
        lambda g: ((timer(g), 0, g.put(struct.pack("<4q", 0, 0, 1, 10**9), IN), 0), EINVAL),
        lambda g: g.task.process.timers[0].left(g.kernel) == (0, 1_000_000_005) and g.get(32) == bytes(32),
    ),
    "timer_gettime": Case(
        lambda g: ((timer(g), BUFFER), 0), lambda g: (timer(g), BAD), lambda g: ((0, BUFFER), EINVAL),
        lambda g: g.get(32) == bytes(32),
    ),
    "timer_getoverrun": Case(lambda g: ((timer(g),), 0), None, lambda g: ((timer(g) + 1,), EINVAL)),
    "timer_delete": Case(
        lambda g: ((timer(g),), 0), None, lambda g: ((0,), EINVAL), lambda g: not g.task.process.timers
    ),
}  # fmt: skip
