"""The cases of the rows for processes and who they are; see :mod:`tests.syscalls.test_calls`."""

# Every part of a case is handed the guest, whether it needs it or not.
# ruff: noqa: ARG005

from __future__ import annotations

import struct

from syscalls import abi
from syscalls.errno import EBADF, ECHILD, EINVAL, ENOENT, EPERM, ESRCH
from syscalls.light import replace
from syscalls.outcome import Exit
from syscalls.processes import Ids
from syscalls.world import File, World
from tests.syscalls.bytememory import BAD, BUFFER, Guest
from tests.syscalls.casework import AT, IN, MINUS, Case, path

FORK, EXIT_GROUP, PIDFD_OPEN = 57, 231, 434
PROGRAM = File("/bin/other", b"program", 0o755)


def with_program() -> World:
    """A World in which there is another program to run."""
    return replace(World(), files=(PROGRAM,))


def child(g: Guest, status: int | None = None) -> int:
    """Make a process, which ends with *status* unless that is None; return its id."""
    pid = g.call(FORK)
    if status is not None:
        finish(g, pid, status)
    return pid


def finish(g: Guest, pid: int, status: int) -> None:
    """Let process *pid* end."""
    g.kernel.enter(g.kernel.processes[pid])
    assert g.kernel.call(g.kernel.tasks[pid], EXIT_GROUP, (status, 0, 0, 0, 0, 0)) is None
    g.kernel.enter(g.task.process)


def install(g: Guest) -> int:
    """Put another program into the guest's tree; return the address of its path."""
    g.kernel.replace_files((PROGRAM,))
    return path(g, PROGRAM.path)


def vector(g: Guest, *items: bytes) -> int:
    """Store a vector of strings, as argv is one, and return its address."""
    place = BUFFER + 2048
    words, text = [], b""
    for item in items:
        words.append(place + 256 + len(text))
        text += item + b"\0"
    g.put(struct.pack(f"<{len(words) + 1}Q", *words, 0).ljust(256, b"\0") + text, 2048)
    return place


def no_root(g: Guest) -> None:
    """Let the process be user and group 1000."""
    g.task.process.ids = Ids((1000, 1000, 1000), (1000, 1000, 1000))


def unprivileged(g: Guest, *args: int) -> tuple[tuple[int, ...], int]:
    """*args*, which only root may pass."""
    no_root(g)
    return args, EPERM


def clone_args(g: Guest, flags: int, *rest: int) -> int:
    return g.put(struct.pack("<11Q", *(flags, *rest, *[0] * 10)[:11]), IN)


def users(g: Guest) -> Ids:
    return g.task.process.ids


def runs_other(g: Guest) -> bool:
    return g.kernel.started is not None and g.kernel.program.exe == "/bin/other" and g.task.comm == "other"


CASES: dict[str, Case] = {
    "fork": Case(
        lambda g: ((), 1001),
        check=lambda g: g.kernel.processes[1001].mem is not g.mem and g.kernel.processes[1001].ppid == 1000,
    ),
    "vfork": Case(lambda g: ((), 0), check=lambda g: g.kernel.processes[1001].mem is g.mem),  # the child does not end
    "execve": Case(
        lambda g: ((install(g), vector(g, b"other", b"one"), vector(g)), 0),
        lambda g: (install(g), BAD, 0),
        lambda g: ((path(g, "/bin/none"), 0, 0), ENOENT),
        runs_other,
    ),
    "execveat": Case(
        lambda g: ((AT, install(g), vector(g, b"other"), 0, 0), 0),
        lambda g: (AT, BAD, 0, 0, 0),
        lambda g: ((AT, install(g), 0, 0, 1), EINVAL),
        runs_other,
    ),
    "wait4": Case(
        lambda g: ((child(g, 7), BUFFER, 0, BUFFER + 8), 1001),
        lambda g: (child(g, 7), BAD, 0, 0),
        lambda g: ((MINUS, 0, abi.WNOHANG, 0), ECHILD),
        lambda g: g.get(4) == struct.pack("<I", 0x700) and 1001 not in g.kernel.processes,
    ),
    "waitid": Case(
        lambda g: ((abi.P_PID, child(g, 7), BUFFER, abi.WEXITED | abi.WNOWAIT, 0), 0),
        lambda g: (abi.P_ALL, child(g, 7) - 1001, BAD, abi.WEXITED, 0),
        lambda g: ((abi.P_ALL, 0, 0, 0, 0), EINVAL),
        lambda g: (
            g.get(28) == struct.pack("<iii4xiii", abi.SIGCHLD, 0, abi.CLD_EXITED, 1001, 0, 7)
            and g.kernel.processes[1001].ended == Exit(7)
        ),
    ),
    "clone3": Case(
        lambda g: ((clone_args(g, abi.CLONE_PIDFD, BUFFER, 0, 0, abi.SIGCHLD), 88), 1001),
        lambda g: (BAD, 88),
        lambda g: ((clone_args(g, 0), 63), EINVAL),
        lambda g: g.get(4) == struct.pack("<I", 3) and g.kernel.files.closes_on_exec(3),
    ),
    "unshare": Case(
        lambda g: ((abi.CLONE_FILES | abi.CLONE_FS,), 0), None, lambda g: ((abi.CLONE_NEWNS,), EINVAL)
    ),
    "setuid": Case(lambda g: ((5,), 0), None, lambda g: unprivileged(g, 5), lambda g: users(g).users == (5, 5, 5)),
    "setgid": Case(lambda g: ((5,), 0), None, lambda g: unprivileged(g, 5), lambda g: users(g).main == (5, 5, 5)),
    "setreuid": Case(
        lambda g: ((MINUS, 5), 0), None, lambda g: unprivileged(g, 5, 5), lambda g: users(g).users == (0, 5, 5)
    ),
    "setregid": Case(
        lambda g: ((5, MINUS), 0), None, lambda g: unprivileged(g, 5, 5), lambda g: users(g).main == (5, 0, 0)
    ),
    "setresuid": Case(
        lambda g: ((MINUS, 5, 6), 0), None, lambda g: unprivileged(g, 1, 1, 1), lambda g: users(g).users == (0, 5, 6)
    ),
    "setresgid": Case(
        lambda g: ((4, MINUS, 6), 0), None, lambda g: unprivileged(g, 1, 1, 1), lambda g: users(g).main == (4, 0, 6)
    ),
    "setgroups": Case(
        lambda g: ((2, g.put(struct.pack("<II", 9, 4), IN)), 0),
        lambda g: (2, BAD),
        lambda g: unprivileged(g, 0, 0),
        lambda g: users(g).groups == (4, 9),
    ),
    "setfsuid": Case(lambda g: ((5,), 0)),
    "setfsgid": Case(lambda g: ((5,), 0)),
    "setpgid": Case(
        lambda g: ((child(g), 0), 0), None, lambda g: ((5, 0), ESRCH), lambda g: g.kernel.processes[1001].pgid == 1001
    ),
    "chroot": Case(lambda g: ((path(g, "/tmp"),), -EPERM), lambda g: (BAD,), lambda g: ((path(g, "/none"),), ENOENT)),
    "setsid": Case(lambda g: ((), -EPERM)),  # a leader of its group may not: native
    "pidfd_open": Case(
        lambda g: ((1000, 0), 3), None, lambda g: ((77, 0), ESRCH), lambda g: g.kernel.files.closes_on_exec(3)
    ),
    "pidfd_send_signal": Case(
        lambda g: ((g.call(PIDFD_OPEN, 1000), 0, 0, 0), 0),
        lambda g: (g.call(PIDFD_OPEN, 1000), 0, BAD, 0),
        lambda g: ((1, 0, 0, 0), EBADF),
    ),
    "pidfd_getfd": Case(
        lambda g: ((g.call(PIDFD_OPEN, 1000), 1, 0), 4),
        None,
        lambda g: ((1, 1, 0), EBADF),
        lambda g: g.kernel.files.get(4) is g.kernel.files.get(1),
    ),
}  # fmt: skip
