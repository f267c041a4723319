"""Start-up's other inputs: the auxiliary vector, entropy, the clock, CPUID, descriptors, secure mode."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from emu.boot.record import BootRecord
from syscalls.auxv import NAMES
from tests.booted import UNSTRIPPED, booted, number, release_of, value

NO_AUXV = tuple(f"auxv.{name}=absent" for name in NAMES.values() if name != "AT_NULL")
VSYSCALL = 0xFFFF_FFFF_FF60_0000
TIME_CALLS = {"clock_gettime", "gettimeofday", "time"}


def opened(record: BootRecord, path: str) -> list[str | None]:
    """The functions that opened *path*."""
    return [c.function for c in record.syscalls if c.name == "openat" and c.arguments[1] == path]


def reads(record: BootRecord, function: str) -> list[int]:
    """What each read by *function* returned."""
    return [c.result for c in record.syscalls if c.name == "read" and c.function == function]


# The auxiliary vector (os_linux.go, sysargs)


@pytest.mark.parametrize("name", UNSTRIPPED)
def test_an_empty_vector_makes_go_read_the_file(binary: Callable[[str], Path], name: str) -> None:
    """/proc/self/auxv shows the same emptiness: there is no page size, and Go gives up."""
    record = booted(binary(name), *NO_AUXV)

    assert opened(record, "/proc/self/auxv") == ["runtime.sysargs"]
    assert reads(record, "runtime.sysargs") == [16]  # AT_NULL alone
    assert record.outcome["message"] == "failed to get system page size"


@pytest.mark.parametrize("name", UNSTRIPPED)
def test_a_file_may_know_more_than_the_stack(binary: Callable[[str], Path], name: str) -> None:
    """A file of the World's own says AT_PAGESZ = 4096: that is used, and there is no AT_RANDOM."""
    record = booted(binary(name), *NO_AUXV, 'files."/proc/self/auxv"=hex:0600000000000000' + "0010000000000000")

    assert record.outcome["kind"] == "reached"
    assert number(record, "physPageSize") == 4096
    assert opened(record, "/dev/urandom")


@pytest.mark.parametrize("name", UNSTRIPPED)
@pytest.mark.parametrize("size", [4096, 16384, 65536])
def test_without_both_go_probes_with_mincore(binary: Callable[[str], Path], name: str, size: int) -> None:
    """Addresses 4 KiB, 8 KiB, ... into a mapping: EINVAL until one is a multiple of the page size (mincore(2))."""
    record = booted(binary(name), *NO_AUXV, f"page-size={size}", 'files."/proc/self/auxv"=absent')

    assert record.outcome["kind"] == "reached"
    assert number(record, "physPageSize") == size
    probes = [call for call in record.syscalls if call.name == "mincore"]
    mapped = next(call.result for call in record.syscalls if call.name == "mmap")
    steps = [4096 << i for i in range(len(probes))]
    assert [int(call.arguments[0], 16) - mapped for call in probes] == steps
    assert [call.errno for call in probes] == ["EINVAL"] * (len(probes) - 1) + [None]
    assert steps[-1] == size


# Entropy


@pytest.mark.parametrize("name", UNSTRIPPED)
def test_without_at_random_go_reads_dev_urandom(binary: Callable[[str], Path], name: str) -> None:
    """Once for each use up to 1.21 (keys of 128 bytes, from 1.14 a seed of 8), once for all since (a seed of 32)."""
    record = booted(binary(name), "auxv.AT_RANDOM=absent")
    release = release_of(record)
    function = "runtime.randinit" if release >= (1, 22) else "runtime.getRandomData"
    sizes = [32] if release >= (1, 22) else [128] if release < (1, 14) else [8, 128]

    assert record.outcome["kind"] == "reached"
    assert opened(record, "/dev/urandom") == [function] * len(sizes)
    assert sorted(reads(record, function)) == sizes
    assert not opened(booted(binary(name)), "/dev/urandom")


@pytest.mark.parametrize("name", UNSTRIPPED)
@pytest.mark.parametrize("half", ["00000000000000000102030405060708", "01020304050607080000000000000000"])
def test_half_of_at_random_being_zero_counts_as_none(binary: Callable[[str], Path], name: str, half: str) -> None:
    """A C library may have cleared it: rand.go's randinit checks both halves since 1.24.11 (1.23.9 does not)."""
    record = booted(binary(name), f"at-random={half}")

    assert bool(opened(record, "/dev/urandom")) == (release_of(record) >= (1, 24))


@pytest.mark.parametrize("name", UNSTRIPPED)
def test_the_seed_moves_the_keys(binary: Callable[[str], Path], name: str) -> None:
    """Equal bytes give equal keys, wherever they come from; other bytes give others."""
    drawn, again = booted(binary(name), "seed=7"), booted(binary(name), "seed=7", "env.UNUSED=")
    other, fixed = booted(binary(name), "seed=8"), booted(binary(name), "seed=8", f"at-random={'5a' * 16}")

    keys = [record.views["hash"] for record in (drawn, other, fixed)]
    assert keys[0] != keys[1] != keys[2] != keys[0]
    if release_of(drawn) >= (1, 22):  # before, the clock is stirred in
        assert drawn.views["hash"] == again.views["hash"]
        assert booted(binary(name), "seed=9", f"at-random={'5a' * 16}").views["hash"] == keys[2]


@pytest.mark.parametrize("name", UNSTRIPPED)
def test_a_failing_dev_urandom_is_no_end(binary: Callable[[str], Path], name: str) -> None:
    """Go goes on with what it has: the time."""
    rule = 'responses=[{call="openat",path="/dev/urandom",errno="ENOENT"}]'
    record = booted(binary(name), "auxv.AT_RANDOM=absent", rule)

    assert record.outcome["kind"] == "reached"
    assert any(call.overridden for call in record.syscalls)


# The clock


@pytest.mark.parametrize("name", UNSTRIPPED)
def test_with_a_vdso_time_costs_no_system_call(binary: Callable[[str], Path], name: str) -> None:
    """Its functions are found by name and version, within the image that AT_SYSINFO_EHDR tells."""
    record = booted(binary(name))
    base = next(entry["value"] for entry in record.views["auxv"] if entry["tag"] == "AT_SYSINFO_EHDR")

    assert not TIME_CALLS & {call.name for call in record.syscalls}
    for symbol in ("vdsoClockgettimeSym", "vdsoGettimeofdaySym"):
        assert base < number(record, symbol) < base + 0x2000
    assert record.calls("runtime.vdsoParseSymbols")


@pytest.mark.parametrize("name", UNSTRIPPED)
@pytest.mark.parametrize("setting", ["vdso=false", "auxv.AT_SYSINFO_EHDR=absent", "auxv.AT_SYSINFO_EHDR=0"])
def test_without_a_vdso_time_is_a_system_call(binary: Callable[[str], Path], name: str, setting: str) -> None:
    """clock_gettime from Go 1.16 on; before, gettimeofday through the vsyscall page (vdso_linux_amd64.go)."""
    record = booted(binary(name), setting)
    old = release_of(record) <= (1, 15)

    assert record.outcome["kind"] == "reached"
    assert TIME_CALLS & {c.name for c in record.syscalls} == {"gettimeofday" if old else "clock_gettime"}
    assert number(record, "vdsoClockgettimeSym") == 0
    assert number(record, "vdsoGettimeofdaySym") == (VSYSCALL if old else 0)
    assert not record.calls("runtime.vdsoParseSymbols")


@pytest.mark.parametrize("name", UNSTRIPPED)
def test_without_vdso_and_vsyscall(binary: Callable[[str], Path], name: str) -> None:
    """What Go up to 1.15 jumps to is not there: a fatal signal at that address; newer programs never go there."""
    record = booted(binary(name), "vdso=false", "vsyscall=false")

    if release_of(record) <= (1, 15):
        assert record.outcome["kind"] == "signal"
        assert record.outcome["message"] == f"SIGSEGV: page fault at address {VSYSCALL:#x}"
        assert record.outcome["exit_status"] == 128 + 11
        assert int(record.outcome["pc"], 16) == VSYSCALL
    else:
        assert record.outcome["kind"] == "reached"


@pytest.mark.parametrize("name", ["hello-1.22.10", "hello-1.27.3"])
def test_the_clock_starts_where_the_world_says(binary: Callable[[str], Path], name: str) -> None:
    """The first reading is the World's clock plus the work done until then, at its pace."""
    settings = ("clock.monotonic=5_000_000_000", "clock.picoseconds-per-instruction=1000", "clock.tsc=77_000_000_000")
    record = booted(binary(name), *settings)
    (init,) = record.calls("runtime.(*ticksType).init")
    first = init.parent
    assert first is not None

    elapsed = number(record, "ticks.startTime") - 5_000_000_000
    ticks = number(record, "ticks.startTicks") - 77_000_000_000
    assert 0 < elapsed < record.totals["instructions"]
    assert (
        abs(ticks - 2 * elapsed) < 1000
    )  # 2 GHz: two ticks a nanosecond; the two readings are some instructions apart


# CPUID


@pytest.mark.parametrize("name", UNSTRIPPED)
@pytest.mark.parametrize("feature", ["aes", "ssse3", "sse4_1"])
def test_the_hash_needs_three_features(binary: Callable[[str], Path], name: str, feature: str) -> None:
    """Without one of them maps use the portable hash, whose keys are drawn instead (alg.go, alginit)."""
    record = booted(binary(name), f"cpuid.{feature}=false")
    flag = {"aes": "HasAES", "ssse3": "HasSSSE3", "sse4_1": "HasSSE41"}[feature]

    assert value(booted(binary(name)), "useAeshash") is True
    assert value(record, "useAeshash") is False
    assert record.views["internal/cpu.X86"][flag] is False
    keys = record.views["hash"]["hashkey"]
    assert all(keys)
    assert not any(record.views["hash"]["aeskeysched"])


@pytest.mark.parametrize("name", UNSTRIPPED)
@pytest.mark.parametrize(("vendor", "intel"), [("GenuineIntel", True), ("AuthenticAMD", False)])
def test_the_vendor(binary: Callable[[str], Path], name: str, vendor: str, intel: bool) -> None:
    """rt0_go compares the 12 characters of CPUID leaf 0."""
    assert value(booted(binary(name), f"cpuid.vendor={vendor}"), "isIntel") is intel


# Descriptors and secure mode


@pytest.mark.parametrize("name", UNSTRIPPED)
@pytest.mark.parametrize("closed", [(0,), (2,), (0, 1, 2)])
def test_closed_descriptors_become_dev_null(binary: Callable[[str], Path], name: str, closed: tuple[int, ...]) -> None:
    """Since 1.22 (fds_unix.go): each is checked with F_GETFD, and /dev/null opened for those that are closed."""
    record = booted(binary(name), f"process.closed-fds={','.join(map(str, closed))}")
    checks = [(c.arguments[0], c.errno) for c in record.syscalls if c.name == "fcntl" and c.arguments[1] == 1]
    nulls = [c for c in record.syscalls if c.name == "openat" and c.arguments[1] == "/dev/null"]

    assert record.outcome["kind"] == "reached"
    if release_of(record) < (1, 22):
        assert (checks, nulls) == ([], [])
        return
    assert checks == [(fd, "EBADF" if fd in closed else None) for fd in range(3)]
    assert [c.result for c in nulls] == list(closed)
    assert {c.function for c in nulls} == {"runtime.checkfds"}
    assert {c.arguments[2] for c in nulls} == {2}  # O_RDWR


@pytest.mark.parametrize("name", ["hello-1.22.10", "hello-1.27.3"])
def test_a_missing_dev_null_throws(binary: Callable[[str], Path], name: str) -> None:
    """It cannot be opened, so descriptor 1 stays closed; the message goes to descriptor 2."""
    record = booted(binary(name), "process.closed-fds=1", 'files."/dev/null"=absent')

    assert (record.outcome["kind"], record.outcome["message"]) == ("throw", "cannot open standard fds")
    assert record.output.startswith("runtime: standard file descriptor 1 closed, unable to open /dev/null, errno=9\n")


@pytest.mark.parametrize("name", UNSTRIPPED)
def test_secure_mode_hides_tracebacks(binary: Callable[[str], Path], name: str) -> None:
    """Since 1.21 (security_unix.go) GOTRACEBACK becomes none, whatever was asked for; before nobody looks."""
    record = booted(binary(name), "process.secure=true", "env.GOTRACEBACK=crash")
    aware = release_of(record) >= (1, 21)

    assert {"tag": "AT_SECURE", "value": 1} in record.views["auxv"]
    assert ("GOTRACEBACK=none" in record.views["runtime.envs"]) == aware
    assert number(record, "traceback_cache") == (0 if aware else 11)
    if aware:
        assert value(record, "secureMode") is True


def test_secure_mode_checked_descriptors_in_1_21(binary: Callable[[str], Path]) -> None:
    """What checkfds does for everyone since 1.22, secure did for privileged programs."""
    record = booted(binary("hello-1.21.13"), "process.secure=true", "process.closed-fds=0,1")

    nulls = [c for c in record.syscalls if c.name == "openat" and c.arguments[1] == "/dev/null"]
    assert [c.result for c in nulls] == [0, 1]
    assert {c.function for c in nulls} == {"runtime.secure"}


@pytest.mark.parametrize("name", UNSTRIPPED)
@pytest.mark.parametrize("mask", [0, 1 << 9, (1 << 63) | 1])
def test_the_signal_mask_is_kept(binary: Callable[[str], Path], name: str, mask: int) -> None:
    """What rt_sigprocmask showed is initSigmask."""
    record = booted(binary(name), f"process.sigmask={mask}")

    assert value(record, "initSigmask") == [mask & 0xFFFF_FFFF, mask >> 32]
