"""Control groups: from Go 1.25 on the CPU limit lowers GOMAXPROCS, and nothing else does before.

``adjustCgroupGOMAXPROCS`` (cgroup_linux.go): the limit is quota / period, rounded up, at least 2, and only if it is
less than the CPUs of the mask.  A program whose go.mod names an older release has containermaxprocs=0 and ignores it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from emu.boot.record import BootRecord
from syscalls.worldfile import from_toml
from tests.booted import UNSTRIPPED, boot_in, booted, number

AWARE = ("hello-1.25.5", "hello-1.26.6", "hello-1.27.3")
UNAWARE = (*(name for name in UNSTRIPPED if name not in AWARE), "hello-1.27.3-oldmod")
CPUS = 8


def opened(record: BootRecord) -> list[str]:
    """The files that were opened below /proc/self and /sys/fs/cgroup, in order."""
    paths = [str(call.arguments[1]) for call in record.syscalls if call.name == "openat" and call.result >= 0]
    return [path.replace("//", "/") for path in paths if path.startswith(("/proc/self/", "/sys/fs/cgroup"))]


@pytest.mark.parametrize("name", AWARE)
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("quota", "period"),
    [
        (150_000, 100_000),
        (50_000, 100_000),
        (350_000, 100_000),
        (800_000, 100_000),
        (900_000, 100_000),
        (125_000, 50_000),
    ],
)
def test_a_limit_lowers_gomaxprocs(
    binary: Callable[[str], Path], name: str, version: int, quota: int, period: int
) -> None:
    """150% are 2, 50% are 2 as well, 350% are 4; more than there are CPUs changes nothing."""
    record = booted(
        binary(name),
        f"cpus={CPUS}",
        f"cgroup.version={version}",
        f"cgroup.cpu-quota={quota}",
        f"cgroup.cpu-period={period}",
    )

    assert number(record, "ncpu") == CPUS
    assert number(record, "gomaxprocs") == min(CPUS, max(2, math.ceil(quota / period)))
    files = opened(record)
    assert {"/proc/self/cgroup", "/proc/self/mountinfo"} <= set(files)
    limits = [path.rpartition("/")[2] for path in files if path.startswith("/sys/fs/cgroup")]
    assert limits == (["cpu.max"] if version == 2 else ["cpu.cfs_quota_us", "cpu.cfs_period_us"])


@pytest.mark.parametrize("name", AWARE)
@pytest.mark.parametrize("version", [0, 1, 2])
def test_no_limit_no_change(binary: Callable[[str], Path], name: str, version: int) -> None:
    """Version 2 says "max", version 1 says -1, and 0 has no files at all."""
    record = booted(binary(name), f"cpus={CPUS}", f"cgroup.version={version}")

    assert number(record, "gomaxprocs") == CPUS


@pytest.mark.parametrize("name", AWARE)
@pytest.mark.parametrize("version", [1, 2])
def test_a_group_below_the_root(binary: Callable[[str], Path], name: str, version: int) -> None:
    """The path of /proc/self/cgroup leads to the files of that group."""
    record = booted(
        binary(name),
        f"cpus={CPUS}",
        f"cgroup.version={version}",
        "cgroup.path=/kubepods/pod7",
        "cgroup.cpu-quota=300000",
    )

    assert number(record, "gomaxprocs") == 3
    limits = [path for path in opened(record) if path.startswith("/sys/fs/cgroup")]
    assert limits
    assert all("/kubepods/pod7/" in path for path in limits)


@pytest.mark.parametrize("name", UNAWARE)
def test_older_programs_ignore_the_limit(binary: Callable[[str], Path], name: str) -> None:
    """Before 1.25 nobody looks; with an older go.mod somebody looks, and only counts."""
    record = booted(binary(name), f"cpus={CPUS}", "cgroup.cpu-quota=150000")

    assert number(record, "gomaxprocs") == CPUS
    assert bool(opened(record)) == (name == "hello-1.27.3-oldmod")
    if opened(record):
        assert record.views["runtime.debug"]["containermaxprocs"] == 0


@pytest.mark.parametrize("name", AWARE)
@pytest.mark.parametrize(
    ("setting", "procs"), [("env.GODEBUG=containermaxprocs=0", CPUS), ("env.GOMAXPROCS=6", 6), ("env.GOMAXPROCS=no", 2)]
)
def test_what_wins_over_the_limit(binary: Callable[[str], Path], name: str, setting: str, procs: int) -> None:
    """GODEBUG switches it off, a number in GOMAXPROCS is taken as it is, anything else in it is not."""
    record = booted(binary(name), f"cpus={CPUS}", "cgroup.cpu-quota=150000", setting)

    assert number(record, "gomaxprocs") == procs


@pytest.mark.parametrize("name", AWARE)
@pytest.mark.parametrize(
    ("content", "procs"),
    [
        ("300000 100000\\n", 3),
        ("max 100000\\n", CPUS),
        ("garbage\\n", CPUS),
        ("300000\\n", CPUS),
        ("", CPUS),
    ],
)
def test_a_limit_file_of_the_users_own(binary: Callable[[str], Path], name: str, content: str, procs: int) -> None:
    """A file of the World wins over what the kernel would derive; what cannot be parsed is no limit."""
    text = f'cpus = {CPUS}\n[[file]]\npath = "/sys/fs/cgroup/cpu.max"\ncontent = "{content}"'
    record = boot_in(binary(name), from_toml(text))

    assert record.outcome["kind"] == "reached"
    assert number(record, "gomaxprocs") == procs


@pytest.mark.parametrize("name", AWARE)
def test_a_period_of_zero_ends_the_program(binary: Callable[[str], Path], name: str) -> None:
    """Go divides by it: the limit is infinite, as an int32 less than any number of CPUs, and procresize throws."""
    text = f'cpus = {CPUS}\n[[file]]\npath = "/sys/fs/cgroup/cpu.max"\ncontent = "300000 0\\n"'
    record = boot_in(binary(name), from_toml(text))

    assert (record.outcome["kind"], record.outcome["message"]) == ("throw", "procresize: invalid arg")
    assert record.functions[-1].name == "runtime.procresize"


@pytest.mark.parametrize("name", AWARE)
@pytest.mark.parametrize("path", ["/proc/self/cgroup", "/proc/self/mountinfo", "/sys/fs/cgroup/cpu.max"])
@pytest.mark.parametrize("error", ["EACCES", "EINTR"])
def test_a_file_that_cannot_be_opened_is_no_limit(
    binary: Callable[[str], Path], name: str, path: str, error: str
) -> None:
    """Whatever is missing on the way, GOMAXPROCS is the number of CPUs."""
    record = booted(
        binary(name), f"cpus={CPUS}", "cgroup.cpu-quota=150000",
        f'responses=[{{call="openat",path="{path}",errno="{error}"}}]',
    )  # fmt: skip

    assert record.outcome["kind"] == "reached"
    assert number(record, "gomaxprocs") == CPUS
    assert sum(call.overridden for call in record.syscalls) == 1
