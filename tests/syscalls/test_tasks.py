"""Signals, scheduling, time, entropy and identity: what state they keep, and where a run ends."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from syscalls import abi
from syscalls.cpuset import CpuSet
from syscalls.errno import EAGAIN, EBADF, EBUSY, EINVAL, ENODEV, ENOMEM, ENOSYS, EOPNOTSUPP, EPERM, ESRCH, ETIMEDOUT
from syscalls.outcome import Hang, Killed
from syscalls.random import at_random
from syscalls.saved import restore, save
from syscalls.sending import UNBLOCKABLE, send_process
from syscalls.world import Clock, Uname, World, lasting
from tests.syscalls.bytememory import BUFFER, Guest, guest

SIGACTION, SIGMASK, ALTSTACK, KILL, TGKILL, PENDING = 13, 14, 131, 62, 234, 127
GETAFFINITY, SETAFFINITY, FUTEX, RSEQ, GETRANDOM = 204, 203, 202, 334, 318


def action(g: Guest, signum: int, handler: int, flags: int = 0, mask: int = 0) -> int:
    return g.call(SIGACTION, signum, g.put(struct.pack("<4Q", handler, flags, 0, mask), 3000), 0, 8)


def mask(g: Guest, how: int, signals: int) -> int:
    return g.call(SIGMASK, how, g.put(struct.pack("<Q", signals), 3000), BUFFER, 8)


def test_mask_calls_compose() -> None:
    """Block adds, unblock takes away, set replaces; KILL and STOP are never blocked; the old mask is reported."""
    g = guest()

    assert mask(g, abi.SIG_SETMASK, 0b110 | UNBLOCKABLE) == 0
    assert mask(g, abi.SIG_BLOCK, 0b1000) == 0
    assert struct.unpack("<Q", g.get(8)) == (0b110,)
    assert mask(g, abi.SIG_UNBLOCK, 0b10) == 0
    assert g.task.sigmask == 0b1100
    assert g.call(SIGMASK, 99, 0, BUFFER, 8) == 0  # with nothing to set, how is not looked at: sigprocmask(2)
    assert struct.unpack("<Q", g.get(8)) == (0b1100,)
    assert g.call(SIGMASK, 0, 0, 0, 4) == -EINVAL


def test_actions_are_reported_as_they_were_set() -> None:
    """Unknown flags are dropped from 5.11 on, kept before; SIG_DFL is what a fresh process has."""
    g = guest()
    assert g.call(SIGACTION, 1, 0, BUFFER, 8) == 0
    assert g.get(32) == bytes(32)
    assert action(g, 1, 0x401000, abi.SA_SIGINFO | abi.SA_ONSTACK | 0x400, UNBLOCKABLE | 1) == 0
    assert g.call(SIGACTION, 1, 0, BUFFER, 8) == 0
    assert struct.unpack("<4Q", g.get(32)) == (0x401000, abi.SA_SIGINFO | abi.SA_ONSTACK, 0, 1)
    for signum in (0, 65, abi.SIGKILL, abi.SIGSTOP):
        assert action(g, signum, 0x401000) == -EINVAL
    assert g.call(SIGACTION, abi.SIGKILL, 0, BUFFER, 8) == 0  # asking is allowed
    old = guest(replace(World(), uname=Uname(release="5.10.0")))
    action(old, 1, 0x401000, 0x400)
    assert old.kernel.actions[1] == (0x401000, 0x400, 0, 0)


def test_a_blocked_signal_waits_for_its_mask() -> None:
    """It is pending until it is unblocked, and then kills."""
    g = guest()
    mask(g, abi.SIG_BLOCK, 1 << abi.SIGTERM - 1)

    assert g.call(KILL, 1000, abi.SIGTERM) == 0
    assert g.kernel.exit is None
    g.call(PENDING, BUFFER, 8)
    assert struct.unpack("<Q", g.get(8)) == (1 << abi.SIGTERM - 1,)
    mask(g, abi.SIG_UNBLOCK, 1 << abi.SIGTERM - 1)
    assert g.kernel.exit == Killed(abi.SIGTERM)


@pytest.mark.parametrize(
    ("signum", "handler", "end"),
    [
        (abi.SIGURG, abi.SIG_DFL, None),
        (abi.SIGCHLD, abi.SIG_DFL, None),
        (abi.SIGTERM, abi.SIG_IGN, None),
        (abi.SIGTERM, abi.SIG_DFL, Killed(15)),
        (abi.SIGABRT, abi.SIG_DFL, Killed(6)),
        (64, abi.SIG_DFL, Killed(64)),
        (abi.SIGTERM, 0x401000, None),
    ],
)
def test_default_actions(signum: int, handler: int, end: object) -> None:
    """signal(7): terminate, ignore, stop; a handler keeps the program alive, and the signal pending."""
    g = guest()
    action(g, signum, handler)

    assert g.call(TGKILL, 1000, 1000, signum) == 0
    assert g.kernel.exit == end
    assert bool(g.task.pending) == (handler == 0x401000)


def test_a_stopped_process_goes_on_when_it_is_told_to() -> None:
    """SIGTSTP stops it, with nobody to continue it for ever; SIGCONT continues it."""
    g = guest()
    assert g.call(TGKILL, 1000, 1000, abi.SIGTSTP) == 0
    assert g.task.process.stopped == abi.SIGTSTP
    send_process(g.kernel, g.task.process, abi.SIGCONT)
    assert g.kernel.next_task(g.task) is g.task

    assert g.call(TGKILL, 1000, 1000, abi.SIGTSTP) == 0
    assert g.kernel.next_task(g.task) is None
    assert g.kernel.exit == Hang("process 1000: stopped by signal 20")


def test_sigkill_cannot_be_kept_out() -> None:
    """Whatever is masked."""
    g = guest()
    mask(g, abi.SIG_SETMASK, (1 << 64) - 1)
    g.call(KILL, 1000, abi.SIGKILL)

    assert g.kernel.exit == Killed(9)


def test_signals_to_others_find_nobody() -> None:
    """There is one process: ESRCH for any other, and for "everybody else"."""
    g = guest()

    assert [g.call(KILL, pid, 0) for pid in (0, 1000, -1000, 1, -1, -5)] == [0, 0, 0, -ESRCH, -ESRCH, -ESRCH]
    assert g.call(TGKILL, 1000, 1001, 0) == g.call(TGKILL, 999, 1000, 0) == -ESRCH
    assert g.call(TGKILL, 1000, -1, 0) == -EINVAL
    assert g.call(KILL, 999, 65) == -ESRCH  # nobody is found before the signal is looked at (native)


def test_alternate_stacks() -> None:
    """Too small is ENOMEM, disabling forgets it, and nobody changes the stack it stands on: sigaltstack(2)."""
    g = guest()

    def set_(sp: int, flags: int, size: int) -> int:
        return g.call(ALTSTACK, g.put(struct.pack("<QIxxxxQ", sp, flags, size), 3000), BUFFER)

    assert set_(0x5000, 0, abi.MINSIGSTKSZ - 1) == -ENOMEM
    assert set_(0x5000, abi.SS_AUTODISARM, 32768) == 0
    assert set_(0x5000, 0, 32768) == 0
    assert abi.STACK_T.unpack(g.get(24)) == (0x5000, -(1 << 31), 32768)
    g.task.sp = 0x6000
    assert set_(0x9000, 0, 32768) == -EPERM
    g.call(ALTSTACK, 0, BUFFER)
    assert abi.STACK_T.unpack(g.get(24)) == (0x5000, abi.SS_ONSTACK, 32768)
    g.task.sp = 0
    assert set_(0x9000, abi.SS_DISABLE, 7) == 0
    assert g.task.altstack == (0, abi.SS_DISABLE, 0)


@pytest.mark.parametrize(
    ("cpus", "possible", "size", "result"),
    [
        ("0-1", "0-1", 8, 8),
        ("0-1", "0-1", 4, -EINVAL),  # not a multiple of 8
        ("0-1", "0-1", 12, -EINVAL),
        ("0-1", "0-1", 0, -EINVAL),
        ("0-1", "0-1", 8192, 8),
        ("0,64", "0-64", 8, -EINVAL),  # 64 bits for 65 CPUs
        ("0,64", "0-64", 16, 16),
        ("0", "0-63", 8, 8),
        ("0-999", "0-999", 128, 128),
        ("0-999", "0-999", 8192, 128),
        ("3", "0-4999", 624, -EINVAL),
        ("3", "0-4999", 632, 632),
    ],
)
def test_affinity_lengths(cpus: str, possible: str, size: int, result: int) -> None:
    """As long as the possible CPUs ask, in whole words; EINVAL when the buffer has fewer bits: kernel/sched."""
    world = replace(World(), cpus=CpuSet.parse_list(cpus), possible_cpus=CpuSet.parse_list(possible))
    g = guest(world)
    g.put(b"\xff" * 1024)

    assert g.call(GETAFFINITY, 0, size, BUFFER) == result
    if result > 0:
        assert int.from_bytes(g.get(result), "little") == world.cpus.mask
        assert g.get(1, result) == b"\xff"


def test_affinity_of_others() -> None:
    """The task itself by number; nobody else exists, negative numbers included."""
    g = guest()

    assert [g.call(GETAFFINITY, pid, 8, BUFFER) for pid in (1000, 1, -1)] == [8, -ESRCH, -ESRCH]
    assert g.call(SETAFFINITY, 1, 8, BUFFER) == -ESRCH


def test_affinity_can_be_narrowed_and_read_back() -> None:
    """Bits without a CPU are dropped; short masks are extended by zeros."""
    g = guest(replace(World(), cpus=CpuSet.parse_list("0-3")))

    assert g.call(SETAFFINITY, 0, 1, g.put(b"\xf6")) == 0
    assert g.call(GETAFFINITY, 0, 8, BUFFER) == 8
    assert g.get(8) == b"\6" + bytes(7)
    assert g.call(309, BUFFER, 0, 0) == 0
    assert g.get(4) == b"\1\0\0\0"


def test_futex_waits() -> None:
    """Another value: EAGAIN. A timeout: it passes, exactly. None: nobody can wake it, and the run says so."""
    g = guest()
    word = g.put(b"\5\0\0\0")
    second = g.put(struct.pack("<qq", 1, 0), 3000)

    assert g.call(FUTEX, word, abi.FUTEX_WAKE | abi.FUTEX_PRIVATE_FLAG, 1) == 0
    assert g.call(FUTEX, word, abi.FUTEX_WAIT, 4) == -EAGAIN
    assert g.call(FUTEX, word, abi.FUTEX_WAIT, 5, second) == -ETIMEDOUT
    assert g.kernel.clock.elapsed_ns() == 10**9
    until = g.put(struct.pack("<qq", 1003, 0), 3000)  # CLOCK_MONOTONIC, which started at 1,000 s
    assert g.call(FUTEX, word, abi.FUTEX_WAIT_BITSET, 5, until, 0, 0xFFFF_FFFF) == -ETIMEDOUT
    assert g.kernel.clock.elapsed_ns() == 3 * 10**9
    assert g.call(FUTEX, word, abi.FUTEX_WAIT_BITSET, 5, until, 0, 0) == -EINVAL
    assert g.call(FUTEX, word, 6, 5) == -ENOSYS  # FUTEX_LOCK_PI
    bad = g.put(struct.pack("<qq", 1, 10**9), 3000)
    assert g.call(FUTEX, word, abi.FUTEX_WAIT, 5, bad) == -EINVAL
    assert g.kernel.exit is None
    g.call(FUTEX, word, abi.FUTEX_WAIT, 5)
    assert g.kernel.exit == Hang(f"thread 1000: futex {word:#x}")


def test_restartable_sequences() -> None:
    """Registered once, with the same signature and length until it is taken back; a CPU number is stored."""
    g = guest()
    g.put(b"\xff" * 32)

    assert g.call(RSEQ, BUFFER + 8, 32, 0, 1) == -EINVAL  # not aligned
    assert g.call(RSEQ, BUFFER, 16, 0, 1) == -EINVAL
    assert g.call(RSEQ, BUFFER, 32, 1, 1) == -EINVAL  # nothing to take back
    assert g.call(RSEQ, BUFFER, 32, 0, 1) == 0
    assert g.get(8) == bytes(8)
    assert g.call(RSEQ, BUFFER, 32, 0, 1) == -EBUSY
    assert g.call(RSEQ, BUFFER, 32, 0, 2) == -EPERM
    assert g.call(RSEQ, BUFFER + 32, 32, 0, 1) == -EINVAL
    assert g.call(RSEQ, BUFFER, 32, 1, 1) == 0
    old = guest(replace(World(), uname=Uname(release="4.17.0")))
    assert old.call(RSEQ, BUFFER, 32, 0, 1) == -ENOSYS


def test_one_clock_behind_every_time() -> None:
    """Instructions and sleep move all clocks alike; CPU time counts instructions only."""
    g = guest(replace(World(), clock=Clock(picoseconds_per_instruction=250, tsc_hz=4_000_000_000)))
    g.now[0] = 4_000_000_000  # a second of work
    g.call(35, g.put(struct.pack("<qq", 2, 500), 3000), 0)
    clock = g.kernel.clock

    assert clock.elapsed_ns() == 3_000_000_500
    assert clock.tsc() == 2_000_000_000_000 + 12_000_002_000
    assert clock.monotonic_ns() - clock.realtime_ns() == 1_000_000_000_000 - 1_577_836_800_000_000_000
    times = {}
    for clock_id in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11):
        assert g.call(228, clock_id, BUFFER) == 0
        seconds, ns = struct.unpack("<qq", g.get(16))
        times[clock_id] = seconds * 10**9 + ns
    assert times[1] == times[4] == times[7] == times[9] == 1_003_000_000_500
    assert times[0] == times[8] == times[11] == 1_577_836_803_000_000_500
    assert times[2] == times[3] == 10**9
    assert times[6] == 1_003_000_000_000  # coarse: a tick of 4 ms
    assert [g.call(229, each, BUFFER) or struct.unpack("<qq", g.get(16)) for each in (1, 6)] == [(0, 1), (0, 4_000_000)]
    assert g.call(228, 10, BUFFER) == -EINVAL


def test_system_calls_take_the_time_that_the_world_says() -> None:
    """Each the same, whether it fails or not; processor time is that of instructions alone."""
    g = guest(replace(World(), clock=Clock(nanoseconds_per_call=700)))
    g.now[0] = 2_000  # a microsecond of work
    assert g.call(39) == 1000
    assert g.call(3, 99) == -EBADF
    assert g.call(9999) == -ENOSYS
    assert g.kernel.clock.elapsed_ns() == 1_000 + 3 * 700
    assert g.call(228, 1, BUFFER) == 0  # itself among them
    assert struct.unpack("<qq", g.get(16)) == (1000, 1_000 + 4 * 700)
    assert g.call(228, 2, BUFFER) == 0
    assert struct.unpack("<qq", g.get(16)) == (0, 1_000)
    state = save(g.kernel)
    assert g.call(39) == 1000
    restore(g.kernel, state)
    assert g.kernel.clock.elapsed_ns() == 1_000 + 5 * 700


def test_a_lasting_program_has_calls_that_take_time() -> None:
    """A microsecond, unless its World says how much; in a boot they take none."""
    assert World().clock.nanoseconds_per_call is None
    assert guest().kernel.clock.call_ns == 0
    assert guest(lasting(World())).kernel.clock.call_ns == 1_000
    for ns in (0, 5):
        made = replace(World(), clock=Clock(nanoseconds_per_call=ns))
        assert lasting(made) is made


def test_clocks_to_sleep_on() -> None:
    """Which clocks clock_nanosleep takes, as on Linux 6.18; processor time never passes for a lone sleeper."""
    errors = {3: EOPNOTSUPP, 4: EOPNOTSUPP, 5: EOPNOTSUPP, 6: EOPNOTSUPP, 8: EOPNOTSUPP, 9: EOPNOTSUPP, 10: EINVAL,
              12: EINVAL, -1: EINVAL}  # fmt: skip
    g = guest()
    short = g.put(struct.pack("<qq", 0, 1), 3000)

    assert [g.call(230, clock_id, 0, short, 0) for clock_id in (0, 1, 7, 11)] == [0, 0, 0, 0]
    assert {clock_id: -g.call(230, clock_id, 0, short, 0) for clock_id in errors} == errors
    assert g.kernel.exit is None
    g.call(230, abi.CLOCK_PROCESS_CPUTIME_ID, 0, short, 0)
    assert isinstance(g.kernel.exit, Hang)


def test_entropy_is_one_reproducible_stream() -> None:
    """Drawn from the seed; AT_RANDOM apart from it, or as the World has it; no draw repeats."""
    g = guest()
    assert g.call(GETRANDOM, BUFFER, 5000, 0) == 5000
    whole = g.get(5000)
    pieces = guest()
    parts = b""
    for size in (1, 15, 984, 4000):
        assert pieces.call(GETRANDOM, BUFFER, size, abi.GRND_NONBLOCK) == size
        parts += pieces.get(size)

    assert parts == whole
    assert len({whole[i : i + 16] for i in range(0, 4992, 16)}) == 312
    first = at_random(World())
    assert len(first) == 16
    assert first not in whole
    assert at_random(replace(World(), seed=2)) != first
    assert at_random(replace(World(), at_random=b"0123456789abcdef")) == b"0123456789abcdef"


def test_getrandom_flags() -> None:
    """RANDOM and INSECURE exclude each other, and INSECURE came with 5.6: getrandom(2)."""
    g, old = guest(), guest(replace(World(), uname=Uname(release="5.5.0")))

    assert g.call(GETRANDOM, BUFFER, 4, abi.GRND_INSECURE) == 4
    assert g.call(GETRANDOM, BUFFER, 4, abi.GRND_INSECURE | abi.GRND_RANDOM) == -EINVAL
    assert old.call(GETRANDOM, BUFFER, 4, abi.GRND_INSECURE) == -EINVAL
    assert g.call(GETRANDOM, 0, 0, 0) == 0
    g.call(9, 0x2000_0000, 0x20000, 3, 0x32, -1)
    assert g.call(GETRANDOM, 0x2000_0000, 0x30000, 0) == 0x20000  # what fitted


def test_segment_bases() -> None:
    """FS and GS are set and read back; an address outside user space is EPERM: arch_prctl(2)."""
    g = guest()

    assert g.call(158, abi.ARCH_SET_GS, 0x7777) == 0
    assert g.call(158, abi.ARCH_GET_GS, BUFFER) == 0
    assert struct.unpack("<Q", g.get(8)) == (0x7777,)
    for bad in (1 << 47, 0xFFFF_8000_0000_0000, abi.TASK_SIZE):
        assert g.call(158, abi.ARCH_SET_FS, bad) == -EPERM
    assert g.call(158, abi.ARCH_SET_FS, abi.TASK_SIZE - 1) == 0
    assert g.call(158, abi.ARCH_SET_CPUID, 0) == -ENODEV
    assert g.call(158, abi.ARCH_GET_CPUID, 0) == 1


def test_prctl_state() -> None:
    """What is set is read back."""
    g = guest()

    assert g.call(157, abi.PR_SET_DUMPABLE, 0) == 0
    assert g.call(157, abi.PR_GET_DUMPABLE) == 0
    assert g.call(157, abi.PR_SET_DUMPABLE, 2) == -EINVAL
    assert g.call(157, abi.PR_SET_NO_NEW_PRIVS, 1) == 0
    assert g.call(157, abi.PR_GET_NO_NEW_PRIVS) == 1
    assert g.call(157, abi.PR_SET_NO_NEW_PRIVS, 0) == -EINVAL
    assert g.call(157, abi.PR_SET_KEEPCAPS, 1) == 0
    assert g.call(157, abi.PR_GET_KEEPCAPS) == 1
    assert g.call(157, abi.PR_SET_KEEPCAPS, 2) == -EINVAL  # prctl(2), ERRORS
    assert g.call(157, abi.PR_SET_TIMERSLACK, 123) == 0
    assert g.call(157, abi.PR_GET_TIMERSLACK) == 123
    assert g.call(157, abi.PR_SET_PDEATHSIG, 9) == 0
    assert g.call(157, abi.PR_GET_PDEATHSIG, BUFFER) == 0
    assert g.get(4) == b"\x09\0\0\0"
    assert g.call(157, abi.PR_GET_NAME, BUFFER) == 0
    assert g.get(16) == b"hello".ljust(16, b"\0")
    assert g.call(157, abi.PR_SET_THP_DISABLE, 1) == 0
    assert g.call(157, abi.PR_GET_THP_DISABLE) == 1
    assert g.call(157, abi.PR_CAPBSET_READ, 40) == 1
    assert g.call(157, abi.PR_CAPBSET_READ, 41) == -EINVAL
