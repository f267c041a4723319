"""Timers that are read from: timerfd_create(2), fs/timerfd.c of Linux 6.1 (read).

An armed timer has an alarm of the scheduler, known by the file's number; all clocks run at one speed here, so a time on
any of them is one on the monotonic clock.
"""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import EINVAL, SyscallError
from syscalls.files.pollable import Pollable
from syscalls.light import TYPE_CHECKING
from syscalls.time import NS

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

CLOCKS = (
    abi.CLOCK_REALTIME, abi.CLOCK_MONOTONIC, abi.CLOCK_BOOTTIME, abi.CLOCK_REALTIME_ALARM, abi.CLOCK_BOOTTIME_ALARM,
)  # fmt: skip


class TimerFd(Pollable):
    """A timer: when it goes off next (monotonic nanoseconds, 0: never), every how often, how often it has."""

    __slots__ = ("alarm", "clock", "count", "deadline", "interval")

    def __init__(self, k: Kernel, clock: int, flags: int) -> None:
        super().__init__(k, "anon_inode:[timerfd]", abi.O_RDWR | flags & abi.O_NONBLOCK)
        self.clock = clock
        self.alarm = self.count = self.deadline = self.interval = 0

    def ready(self, k: Kernel) -> int:
        return abi.POLLIN if self.count else 0

    def take(self, k: Kernel, t: Task, size: int) -> bytes:
        if size < 8:
            raise SyscallError(EINVAL)
        self.catch_up(k)
        if not self.count:
            self.wait_in()
        count, self.count = self.count, 0
        return abi.U64.pack(count)

    def arm(self, k: Kernel, deadline: int, interval: int) -> None:
        """Let it go off at *deadline*, and then every *interval* ns; 0 for never and for once."""
        self.deadline, self.interval, self.count, self.alarm = deadline, interval, 0, 0
        k.timers.pop(self.number, None)
        if deadline:
            self._set(k)

    def _set(self, k: Kernel) -> None:
        self.alarm = k.scheduler.set_alarm(self.deadline, timer=self.number)
        k.timers[self.number] = self

    def fire(self, k: Kernel) -> None:
        """Go off: the alarm's time has come."""
        self.catch_up(k)
        self.notify(k, abi.POLLIN)

    def catch_up(self, k: Kernel) -> None:
        """Count how often it has gone off by now."""
        now = k.clock.monotonic_ns()
        if not self.deadline or now < self.deadline:
            return
        times = 1 + ((now - self.deadline) // self.interval if self.interval else 0)
        self.count += times
        self.deadline = self.deadline + times * self.interval if self.interval else 0
        self.alarm = 0
        k.timers.pop(self.number, None)
        if self.deadline:
            self._set(k)

    def left(self, k: Kernel) -> tuple[int, int]:
        """Return the interval and the time until it goes off next, in nanoseconds."""
        self.catch_up(k)
        return self.interval, max(self.deadline - k.clock.monotonic_ns(), 1) if self.deadline else 0

    def released(self, k: Kernel) -> None:
        super().released(k)
        k.timers.pop(self.number, None)


def timerfd_create(k: Kernel, t: Task, clock: int, flags: int) -> int:
    """Make a timer on *clock*; timerfd_create(2)."""
    if flags & ~(abi.O_CLOEXEC | abi.O_NONBLOCK) or clock not in CLOCKS:
        raise SyscallError(EINVAL)
    return k.files.put(k.files.lowest(), TimerFd(k, clock, flags), bool(flags & abi.O_CLOEXEC))


def _timer(k: Kernel, fd: int) -> TimerFd:
    file = k.files.get(fd)
    if not isinstance(file, TimerFd):
        raise SyscallError(EINVAL)
    return file


def _store(k: Kernel, addr: int, timer: TimerFd) -> None:
    interval, left = timer.left(k)
    k.mem.write(addr, abi.ITIMERSPEC.pack(*divmod(interval, NS), *divmod(left, NS)))


def timerfd_settime(k: Kernel, t: Task, fd: int, flags: int, new: int, old: int) -> int:
    """Arm or disarm a timer, and store what it was; timerfd_settime(2)."""
    parts = abi.ITIMERSPEC.unpack(k.mem.read(new, abi.ITIMERSPEC.size))
    known = abi.TFD_TIMER_ABSTIME | abi.TFD_TIMER_CANCEL_ON_SET
    if flags & ~known or min(parts) < 0 or parts[1] >= NS or parts[3] >= NS:
        raise SyscallError(EINVAL)
    timer = _timer(k, fd)
    interval, value = parts[0] * NS + parts[1], parts[2] * NS + parts[3]
    if old:
        _store(k, old, timer)
    now = k.clock.monotonic_ns()
    if not value:
        timer.arm(k, 0, interval)
    elif flags & abi.TFD_TIMER_ABSTIME:
        timer.arm(k, max(now + value - k.clock.read(timer.clock), 1), interval)
    else:
        timer.arm(k, now + value, interval)
    return 0


def timerfd_gettime(k: Kernel, t: Task, fd: int, addr: int) -> int:
    """Store the interval and the time until a timer goes off; timerfd_gettime(2)."""
    _store(k, addr, _timer(k, fd))
    return 0
