"""The rows of the table for pipes, event counters, and waiting for files to be ready."""

from __future__ import annotations

from syscalls.kinds import ADDR, FD, INT, SIZE, UINT, choice, flags, in_struct, out_struct
from syscalls.row import COUNT, NEW_FD, SUPPORTED, ZERO, Handler, Syscall, later


def of(module: str, name: str) -> Handler:
    """Return the handler *name* of a module of this package, which is imported when it is called."""
    return later(f"syscalls.files.{module}", name)


OPEN = flags("flags", "O_")
TIMESPEC = in_struct("timespec", 16)
FD_SET = in_struct("fd_set", 128)  # as C libraries have it: the kernel looks at less where there are fewer descriptors
SIGSET = in_struct("sigset", 8)
EVENT = in_struct("epoll_event", 12)
NEW_FDS = out_struct("int[2]", 8)
CLOCK, TFD = choice("clock", "CLOCK_"), flags("flags", "TFD_")
ITIMERSPEC, NEW_ITIMERSPEC = in_struct("itimerspec", 32), out_struct("itimerspec", 32)
CTL = choice("op", "EPOLL_CTL_")

ROWS: tuple[Syscall, ...] = (
    Syscall(7, "poll", (ADDR, UINT, INT), COUNT, of("polling", "poll")),
    Syscall(22, "pipe", (NEW_FDS,), ZERO, of("pipes", "pipe")),
    Syscall(23, "select", (INT, FD_SET, FD_SET, FD_SET, in_struct("timeval", 16)), COUNT, of("polling", "select")),
    Syscall(213, "epoll_create", (INT,), NEW_FD, of("epoll", "epoll_create")),
    Syscall(232, "epoll_wait", (FD, ADDR, INT, INT), COUNT, of("epoll", "epoll_wait")),
    Syscall(233, "epoll_ctl", (FD, CTL, FD, EVENT), ZERO, of("epoll", "epoll_ctl")),
    Syscall(270, "pselect6", (INT, FD_SET, FD_SET, FD_SET, TIMESPEC, ADDR), COUNT, of("polling", "pselect6")),
    Syscall(271, "ppoll", (ADDR, UINT, TIMESPEC, SIGSET, SIZE), COUNT, of("polling", "ppoll")),
    Syscall(281, "epoll_pwait", (FD, ADDR, INT, INT, SIGSET, SIZE), COUNT, of("epoll", "epoll_pwait")),
    Syscall(282, "signalfd", (INT, SIGSET, SIZE), NEW_FD, of("signalfd", "signalfd")),
    Syscall(283, "timerfd_create", (CLOCK, OPEN), NEW_FD, of("timerfd", "timerfd_create")),
    Syscall(284, "eventfd", (UINT,), NEW_FD, of("eventfd", "eventfd")),
    Syscall(286, "timerfd_settime", (FD, TFD, ITIMERSPEC, NEW_ITIMERSPEC), ZERO, of("timerfd", "timerfd_settime"),
            SUPPORTED, "Nobody sets the clock, so that TFD_TIMER_CANCEL_ON_SET changes nothing."),
    Syscall(287, "timerfd_gettime", (FD, NEW_ITIMERSPEC), ZERO, of("timerfd", "timerfd_gettime")),
    Syscall(289, "signalfd4", (INT, SIGSET, SIZE, OPEN), NEW_FD, of("signalfd", "signalfd4")),
    Syscall(290, "eventfd2", (UINT, INT), NEW_FD, of("eventfd", "eventfd2")),
    Syscall(291, "epoll_create1", (OPEN,), NEW_FD, of("epoll", "epoll_create1")),
    Syscall(293, "pipe2", (NEW_FDS, OPEN), ZERO, of("pipes", "pipe2")),
    Syscall(441, "epoll_pwait2", (FD, ADDR, INT, TIMESPEC, SIGSET, SIZE), COUNT, of("epoll", "epoll_pwait2"),
            since=(5, 11)),
)  # fmt: skip
