"""Timers that send signals: alarm(2), setitimer(2), timer_create(2).

One that follows the time of day has an alarm of the scheduler; one that follows processor time is looked at whenever
tasks may change, which the machine sees to in time (:func:`syscalls.turns.instructions_left`).  An interval timer goes
off anew by itself; what it does while its last signal still waits is an overrun.
Source: kernel/time/{itimer,posix-timers,posix-cpu-timers}.c of Linux 6.1 (read).
"""

from __future__ import annotations

from syscalls import abi, cputime
from syscalls.errno import EAGAIN, EINVAL, SyscallError
from syscalls.light import TYPE_CHECKING, dataclass
from syscalls.sending import send, send_process
from syscalls.siginfo import from_kernel, from_timer
from syscalls.time import MONOTONIC_IDS, NS, REALTIME_IDS

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.processes import Process
    from syscalls.tasks import Task

ITIMERS = {abi.ITIMER_REAL: abi.SIGALRM, abi.ITIMER_VIRTUAL: abi.SIGVTALRM, abi.ITIMER_PROF: abi.SIGPROF}
NOTIFIES = (abi.SIGEV_SIGNAL, abi.SIGEV_NONE, abi.SIGEV_THREAD, abi.SIGEV_SIGNAL | abi.SIGEV_THREAD_ID)
SIGEV_SIZE = 64


@dataclass(slots=True)
class SignalTimer:
    """A timer of process *pid*; times are nanoseconds, on the monotonic clock or of processor time."""

    number: int  # among the kernel's timers
    pid: int
    ident: int  # what the program calls it; -1 - which: a timer of setitimer
    clock: int
    signum: int  # 0: none is sent
    tid: int = 0  # the thread that it is sent to; 0: any of the process
    value: int = 0
    cpu: tuple[int, bool] | None = None  # whose processor time it follows, and whether that of one thread
    deadline: int = 0  # 0: it is not armed
    interval: int = 0
    overrun: int = 0  # of the last signal
    missed: int = 0  # since
    alarm: int = 0

    def now(self, k: Kernel) -> int:
        """Return the time that it follows."""
        if self.cpu is None:
            return k.clock.monotonic_ns()
        return k.clock.duration_ns(cputime.instructions(k, *self.cpu))

    def arm(self, k: Kernel, deadline: int, interval: int) -> None:
        """Let it go off at *deadline*, and then every *interval*; 0 for never and for once."""
        self.deadline, self.interval = deadline, interval
        self.overrun = self.missed = self.alarm = 0
        k.timers.pop(self.number, None)
        k.cpu_timers.pop(self.number, None)
        self.enlist(k)

    def enlist(self, k: Kernel) -> None:
        """Let the kernel know of it, if it is armed."""
        if not self.deadline:
            return
        if self.cpu is not None:
            k.cpu_timers[self.number] = self
            k.scheduler.sequence += 1  # the machine takes note
            return
        if not self.alarm:
            self.alarm = k.scheduler.set_alarm(self.deadline, timer=self.number)
        k.timers[self.number] = self

    def fire(self, k: Kernel) -> None:
        """Go off: the time has come."""
        k.timers.pop(self.number, None)
        k.cpu_timers.pop(self.number, None)
        self.alarm = 0
        times = 1 + (self.now(k) - self.deadline) // self.interval if self.interval else 1
        self.deadline = self.deadline + times * self.interval if self.interval else 0
        self.enlist(k)
        process = k.processes.get(self.pid)
        if process is not None and process.ended is None and self.signum:
            self._send(k, process, times)

    def _send(self, k: Kernel, process: Process, times: int) -> None:
        target = k.tasks.get(self.tid) if self.tid else None
        if self.ident < 0:
            running = k.running
            if self.cpu is not None and running is not None and not running.sigmask >> (self.signum - 1) & 1:
                send(k, running, self.signum, from_kernel(self.signum))  # whose time it was
            else:
                send_process(k, process, self.signum, from_kernel(self.signum))
            return
        holder = target or process
        if any(info.code == abi.SI_TIMER and info.fields[:4] == abi.U32.pack(self.ident) for info in holder.queued):
            self.missed += times
            return
        self.overrun = min(self.missed + times - 1, 0x7FFF_FFFF)
        self.missed = 0
        info = from_timer(self.signum, self.ident, self.overrun, self.value)
        if target is not None:
            send(k, target, self.signum, info)
        elif not self.tid:
            send_process(k, process, self.signum, info)

    def left(self, k: Kernel) -> tuple[int, int]:
        """Return the interval and the time until it goes off next, in nanoseconds."""
        return self.interval, max(self.deadline - self.now(k), 1) if self.deadline else 0


def expire(k: Kernel) -> None:
    """Let the timers of processor time whose time has come go off."""
    for timer in list(k.cpu_timers.values()):
        if timer.deadline <= timer.now(k):
            timer.fire(k)


def forget(k: Kernel, process: Process, itimers: bool) -> None:
    """Let *process* have no timers any more, or with *itimers* unset only those of setitimer: execve(2)."""
    for timer in list(process.timers.values()):
        if itimers or timer.ident >= 0:
            timer.arm(k, 0, 0)
            del process.timers[timer.ident]


# setitimer and alarm


def _itimer(k: Kernel, t: Task, which: int) -> SignalTimer:
    if which not in ITIMERS:
        raise SyscallError(EINVAL)
    timer = t.process.timers.get(-1 - which)
    if timer is None:
        cpu = None if which == abi.ITIMER_REAL else (t.pid, False)
        timer = SignalTimer(k.new_number(), t.pid, -1 - which, abi.CLOCK_MONOTONIC, ITIMERS[which], cpu=cpu)
        t.process.timers[-1 - which] = timer
    return timer


def _micro(timer: SignalTimer, k: Kernel) -> bytes:
    interval, left = timer.left(k)
    up = -(-left // 1000)  # never 0 while it is armed
    return abi.TIMEVAL.pack(*divmod(interval // 1000, 10**6)) + abi.TIMEVAL.pack(*divmod(up, 10**6))


def getitimer(k: Kernel, t: Task, which: int, addr: int) -> int:
    """Store the interval and what is left of a timer; getitimer(2)."""
    k.mem.write(addr, _micro(_itimer(k, t, which), k))
    return 0


def setitimer(k: Kernel, t: Task, which: int, new: int, old: int) -> int:
    """Arm or, with a null pointer or zeros, disarm a timer; setitimer(2).  All time executing is user time."""
    parts = (0, 0, 0, 0)
    if new:
        parts = (*abi.TIMEVAL.unpack(k.mem.read(new, 16)), *abi.TIMEVAL.unpack(k.mem.read(new + 16, 16)))
    if min(parts) < 0 or max(parts[1], parts[3]) >= 10**6:
        raise SyscallError(EINVAL)
    timer = _itimer(k, t, which)
    before = _micro(timer, k)
    interval, value = ((seconds * 10**6 + micro) * 1000 for seconds, micro in (parts[:2], parts[2:]))
    timer.arm(k, timer.now(k) + value if value else 0, interval if value else 0)
    if old:
        k.mem.write(old, before)
    return 0


def alarm(k: Kernel, t: Task, seconds: int) -> int:
    """Send SIGALRM in so many seconds (0: not), and return what was left until the last one came; alarm(2)."""
    timer = _itimer(k, t, abi.ITIMER_REAL)
    _, left = timer.left(k)
    timer.arm(k, timer.now(k) + seconds * NS if seconds else 0, 0)
    whole, rest = divmod(left, NS)
    return whole + 1 if (not whole and rest) or rest >= NS // 2 else whole  # alarm_setitimer rounds so


# timer_create


def timer_create(k: Kernel, t: Task, clock: int, event: int, addr: int) -> int:
    """Make a timer and store its number; timer_create(2)."""
    process = t.process
    cpu = cputime.whose(k, t, clock)
    if cpu is None and clock not in (*REALTIME_IDS, *MONOTONIC_IDS):
        raise SyscallError(EINVAL)
    if clock in (abi.CLOCK_MONOTONIC_RAW, abi.CLOCK_REALTIME_ALARM, abi.CLOCK_BOOTTIME_ALARM):
        raise SyscallError(EINVAL)  # no clock of hardware wakes this machine
    ident = process.timer_ids
    value, signum, notify, tid = ident, abi.SIGALRM, abi.SIGEV_SIGNAL, 0
    if event:
        value, signum, notify, tid = abi.SIGEVENT.unpack(k.mem.read(event, SIGEV_SIZE)[: abi.SIGEVENT.size])
        if notify not in NOTIFIES or (notify != abi.SIGEV_NONE and not 1 <= signum <= abi.N_SIGNALS):
            raise SyscallError(EINVAL)
        if notify & abi.SIGEV_THREAD_ID:
            target = k.tasks.get(tid)
            if target is None or target.process is not process:
                raise SyscallError(EINVAL)
    if len(process.timers) >= process.rlimits[abi.RLIMIT_SIGPENDING][0]:
        raise SyscallError(EAGAIN)
    k.mem.write(addr, abi.U32.pack(ident))
    process.timer_ids += 1
    process.timers[ident] = SignalTimer(
        k.new_number(), t.pid, ident, clock, 0 if notify == abi.SIGEV_NONE else signum,
        tid if notify & abi.SIGEV_THREAD_ID else 0, value, cpu,
    )  # fmt: skip
    return 0


def _timer(t: Task, ident: int) -> SignalTimer:
    timer = t.process.timers.get(ident) if ident >= 0 else None
    if timer is None:
        raise SyscallError(EINVAL)
    return timer


def _spec(timer: SignalTimer, k: Kernel) -> bytes:
    interval, left = timer.left(k)
    return abi.ITIMERSPEC.pack(*divmod(interval, NS), *divmod(left, NS))


def timer_settime(k: Kernel, t: Task, ident: int, flags: int, new: int, old: int) -> int:
    """Arm or disarm a timer, and store what it was; timer_settime(2)."""
    if not new:
        raise SyscallError(EINVAL)
    parts = abi.ITIMERSPEC.unpack(k.mem.read(new, abi.ITIMERSPEC.size))
    if min(parts) < 0 or max(parts[1], parts[3]) >= NS:
        raise SyscallError(EINVAL)
    timer = _timer(t, ident)
    before = _spec(timer, k)
    interval, value = parts[0] * NS + parts[1], parts[2] * NS + parts[3]
    now = timer.now(k)
    if value and flags & abi.TIMER_ABSTIME:
        value = max(value - cputime.read(k, t, timer.clock) if timer.cpu is None else value - now, 0)
        timer.arm(k, max(now + value, 1), interval)
    else:
        timer.arm(k, now + value if value else 0, interval if value else 0)
    if old:
        k.mem.write(old, before)
    return 0


def timer_gettime(k: Kernel, t: Task, ident: int, addr: int) -> int:
    """Store the interval and what is left of a timer; timer_gettime(2)."""
    k.mem.write(addr, _spec(_timer(t, ident), k))
    return 0


def timer_getoverrun(k: Kernel, t: Task, ident: int) -> int:
    """Return how often the timer went off unnoticed before its last signal was delivered; timer_getoverrun(2)."""
    return _timer(t, ident).overrun


def timer_delete(k: Kernel, t: Task, ident: int) -> int:
    """Let a timer be no more; timer_delete(2)."""
    _timer(t, ident).arm(k, 0, 0)
    del t.process.timers[ident]
    return 0
