"""The rows of the table for pipes, event counters, and waiting for files to be ready."""

from __future__ import annotations

from syscalls.files import epoll, eventfd, pipes
from syscalls.kinds import ADDR, FD, INT, SIZE, UINT, choice, flags, in_struct, out_struct
from syscalls.row import COUNT, NEW_FD, PARTIAL, ZERO, Syscall

OPEN = flags("flags", "O_")
TIMESPEC = in_struct("timespec", 16)
SIGSET = in_struct("sigset", 8)
EVENT = in_struct("epoll_event", 12)
NEW_FDS = out_struct("int[2]", 8)
CTL = choice("op", "EPOLL_CTL_")
MASK = "The signal mask is checked and not put in place: handlers are not run yet."

ROWS: tuple[Syscall, ...] = (
    Syscall(22, "pipe", (NEW_FDS,), ZERO, pipes.pipe),
    Syscall(213, "epoll_create", (INT,), NEW_FD, epoll.epoll_create),
    Syscall(232, "epoll_wait", (FD, ADDR, INT, INT), COUNT, epoll.epoll_wait),
    Syscall(233, "epoll_ctl", (FD, CTL, FD, EVENT), ZERO, epoll.epoll_ctl),
    Syscall(281, "epoll_pwait", (FD, ADDR, INT, INT, SIGSET, SIZE), COUNT, epoll.epoll_pwait, PARTIAL, MASK),
    Syscall(284, "eventfd", (UINT,), NEW_FD, eventfd.eventfd),
    Syscall(290, "eventfd2", (UINT, INT), NEW_FD, eventfd.eventfd2),
    Syscall(291, "epoll_create1", (OPEN,), NEW_FD, epoll.epoll_create1),
    Syscall(293, "pipe2", (NEW_FDS, OPEN), ZERO, pipes.pipe2),
    Syscall(441, "epoll_pwait2", (FD, ADDR, INT, TIMESPEC, SIGSET, SIZE), COUNT, epoll.epoll_pwait2, PARTIAL, MASK,
            (5, 11)),
)  # fmt: skip
