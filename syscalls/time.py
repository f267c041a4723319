"""Virtual time and the calls that tell it.

One clock answers everything: clock_gettime, gettimeofday, time, RDTSC, the vDSO.  The time stamp counter is the source:
it follows the instructions executed, the time slept and the time that system calls take, and nanoseconds are computed
from it with the multiplication and shift that the vDSO's code uses too, so that both agree to the last bit at the same
instruction.
"""

from __future__ import annotations

from collections.abc import Callable

from syscalls import abi, cputime
from syscalls.errno import EINTR, EINVAL, EOPNOTSUPP, SyscallError
from syscalls.light import TYPE_CHECKING
from syscalls.outcome import Hang
from syscalls.waits import INTERRUPTED, Blocked, Wait, deadline_of
from syscalls.world import World

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

NS = 1_000_000_000
SHIFT = 32
JIFFY_NS = 4_000_000  # CONFIG_HZ=250: the resolution of the coarse clocks

REALTIME_IDS = (abi.CLOCK_REALTIME, abi.CLOCK_REALTIME_ALARM, abi.CLOCK_TAI)
MONOTONIC_IDS = (abi.CLOCK_MONOTONIC, abi.CLOCK_MONOTONIC_RAW, abi.CLOCK_BOOTTIME, abi.CLOCK_BOOTTIME_ALARM)
# What clock_nanosleep takes; the alarm clocks need a hardware clock, which there is not (native, and kernel/time).
SLEEPABLE = (
    abi.CLOCK_REALTIME, abi.CLOCK_MONOTONIC, abi.CLOCK_PROCESS_CPUTIME_ID, abi.CLOCK_BOOTTIME, abi.CLOCK_TAI,
)  # fmt: skip
CPU_IDS = (abi.CLOCK_PROCESS_CPUTIME_ID, abi.CLOCK_THREAD_CPUTIME_ID)


def multiplier(tsc_hz: int) -> int:
    """Return the factor by which TSC ticks, shifted right by :data:`SHIFT`, become nanoseconds."""
    return (NS << SHIFT) // tsc_hz


class Clock:
    """The clocks of one run.  *ticks* returns the instructions executed so far."""

    __slots__ = ("_hz", "_monotonic", "_mult", "_ps", "_realtime", "_ticks", "_tsc", "call_ns", "slept_ns")

    def __init__(self, world: World, ticks: Callable[[], int]) -> None:
        clock = world.clock
        self._ticks = ticks
        self._ps = clock.picoseconds_per_instruction
        self._hz, self._tsc, self._mult = clock.tsc_hz, clock.tsc, multiplier(clock.tsc_hz)
        self._realtime, self._monotonic = clock.realtime, clock.monotonic
        self.call_ns = clock.nanoseconds_per_call or 0  # what a system call takes
        self.slept_ns = 0  # what passed without instructions: slept, or taken by system calls

    def tsc(self) -> int:
        """Return what RDTSC answers now, a 64-bit value."""
        return (self._tsc + self._elapsed_tsc()) & 0xFFFF_FFFF_FFFF_FFFF

    def _elapsed_tsc(self) -> int:
        return (self._ticks() * self._ps + self.slept_ns * 1000) * self._hz // 1_000_000_000_000

    def elapsed_ns(self) -> int:
        """Return the virtual nanoseconds since the entry point."""
        return self._elapsed_tsc() * self._mult >> SHIFT

    def realtime_ns(self) -> int:
        """Return CLOCK_REALTIME in nanoseconds since 1970."""
        return self._realtime + self.elapsed_ns()

    def monotonic_ns(self) -> int:
        """Return CLOCK_MONOTONIC in nanoseconds."""
        return self._monotonic + self.elapsed_ns()

    def cpu_ns(self) -> int:
        """Return the nanoseconds spent executing, sleep and system calls left out."""
        return self.duration_ns(self._ticks())

    def duration_ns(self, instructions: int) -> int:
        """Return the nanoseconds that executing that many *instructions* takes."""
        return instructions * self._ps // 1000

    def sleep_until(self, monotonic_ns: int) -> None:
        """Let time pass at once until the monotonic clock says *monotonic_ns*, or a little more."""
        while (left := monotonic_ns - self.monotonic_ns()) > 0:  # twice where the TSC rounds down
            self.slept_ns += left

    def read(self, clock_id: int) -> int:
        """Return clock *clock_id* in nanoseconds; raise EINVAL for one that there is not."""
        if clock_id in REALTIME_IDS:
            return self.realtime_ns()
        if clock_id in MONOTONIC_IDS:
            return self.monotonic_ns()
        if clock_id in CPU_IDS:
            return self.cpu_ns()
        if clock_id == abi.CLOCK_REALTIME_COARSE:
            return self._realtime + self.elapsed_ns() // JIFFY_NS * JIFFY_NS
        if clock_id == abi.CLOCK_MONOTONIC_COARSE:
            return self._monotonic + self.elapsed_ns() // JIFFY_NS * JIFFY_NS
        raise SyscallError(EINVAL)


def resolution(clock_id: int) -> int:
    """Return the resolution of *clock_id* in nanoseconds; raise EINVAL for one that there is not."""
    if clock_id in (abi.CLOCK_REALTIME_COARSE, abi.CLOCK_MONOTONIC_COARSE):
        return JIFFY_NS
    if clock_id in REALTIME_IDS or clock_id in MONOTONIC_IDS or clock_id in CPU_IDS:
        return 1
    raise SyscallError(EINVAL)


def clock_gettime(k: Kernel, t: Task, clock_id: int, addr: int) -> int:
    """Store the time of *clock_id* as a timespec; clock_gettime(2)."""
    k.mem.write(addr, abi.TIMESPEC.pack(*divmod(cputime.read(k, t, clock_id), NS)))
    return 0


def clock_getres(k: Kernel, t: Task, clock_id: int, addr: int) -> int:
    """Store the resolution of *clock_id* where *addr* is not null; clock_getres(2)."""
    step = 1 if cputime.whose(k, t, clock_id) is not None else resolution(clock_id)
    if addr:
        k.mem.write(addr, abi.TIMESPEC.pack(0, step))
    return 0


def gettimeofday(k: Kernel, t: Task, tv: int, tz: int) -> int:
    """Store the time in microseconds and the (zero) time zone, each where its pointer is not null; gettimeofday(2)."""
    if tv:
        seconds, ns = divmod(k.clock.realtime_ns(), NS)
        k.mem.write(tv, abi.TIMEVAL.pack(seconds, ns // 1000))
    if tz:
        k.mem.write(tz, abi.TIMEZONE.pack(0, 0))
    return 0


def time(k: Kernel, t: Task, addr: int) -> int:
    """Return the seconds since 1970, and store them where *addr* is not null; time(2)."""
    seconds = k.clock.realtime_ns() // NS
    if addr:
        k.mem.write(addr, abi.U64.pack(seconds))
    return seconds


def read_timespec(k: Kernel, addr: int) -> int:
    """Return the timespec at *addr* in nanoseconds; raise EINVAL when it is not a valid duration."""
    seconds, ns = abi.TIMESPEC.unpack(k.mem.read(addr, abi.TIMESPEC.size))
    if seconds < 0 or not 0 <= ns < NS:
        raise SyscallError(EINVAL)
    return int(seconds) * NS + int(ns)


def nanosleep(k: Kernel, t: Task, request: int, remaining: int) -> int:
    """Let the time at *request* pass; nanosleep(2)."""
    return _sleep(k, t, read_timespec(k, request) if t.woken is None else None, remaining)


def _sleep(k: Kernel, t: Task, duration_ns: int | None, remaining: int) -> int:
    # Sleep, None being the time that was found at the first call; a signal leaves what remains at *remaining*.
    now = k.clock.monotonic_ns()
    deadline = deadline_of(t, now, duration_ns)
    assert deadline is not None
    if t.woken == INTERRUPTED and now < deadline:
        if remaining:
            k.mem.write(remaining, abi.TIMESPEC.pack(*divmod(deadline - now, NS)))
        raise SyscallError(EINTR)
    if now >= deadline:
        return 0
    raise Blocked(Wait(f"sleep until {deadline} ns", deadline=deadline, restarts=False, finishes=True))


def clock_nanosleep(k: Kernel, t: Task, clock_id: int, flags: int, request: int, remaining: int) -> int:
    """Sleep for, or with TIMER_ABSTIME until, the time at *request*; clock_nanosleep(2)."""
    if t.woken is not None:
        return _sleep(k, t, None, 0 if flags & abi.TIMER_ABSTIME else remaining)
    now = k.clock.read(clock_id)
    if clock_id not in SLEEPABLE:
        raise SyscallError(EOPNOTSUPP)
    wanted = read_timespec(k, request)
    if clock_id == abi.CLOCK_PROCESS_CPUTIME_ID:
        if len(k.tasks) == 1:
            k.exit = Hang("a sleep until processor time passes, with no other task to use any")
            return 0
        raise SyscallError(EOPNOTSUPP)
    return _sleep(k, t, wanted - now if flags & abi.TIMER_ABSTIME else wanted, remaining)
