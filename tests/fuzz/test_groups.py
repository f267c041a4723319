"""Where the CPU limit of a program stands, by the texts of procfs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from emu.fuzz import groups
from emu.fuzz import plan as plans
from emu.fuzz.grammar import CALL_ROWS, CONTRACT, FILE_ROWS
from emu.fuzz.models import SELF_CGROUP, SELF_MOUNTINFO, Calls, limit_file
from emu.fuzz.plan import Answer, Plan
from emu.fuzz.target import Target
from syscalls.world import World
from tests.booted import image_of

V2 = b"26 23 0:23 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = b"30 23 0:25 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"


@pytest.mark.parametrize(
    ("said", "mounted", "expected"),
    [
        (b"0::/\n", V2, b"/sys/fs/cgroup/cpu.max"),
        (b"0::/a/b\n", V2, b"/sys/fs/cgroup/a/b/cpu.max"),
        (b"4:memory:/m\n3:cpu,cpuacct:/a\n0::/x\n", V2 + V1, b"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us"),
        (b"4:cpuset:/m\n0::/x\n", V1 + V2, b"/sys/fs/cgroup/x/cpu.max"),
        (b"0::/pod/one\n", V2.replace(b" / ", b" /pod "), b"/sys/fs/cgroup/one/cpu.max"),
        (b"0::/pod\n", V2.replace(b" / ", b" /pod "), b"/sys/fs/cgroup/cpu.max"),
        (b"0::/pods/one\n", V2.replace(b" / ", b" /pod "), None),  # another folder that begins alike
        (b"0::/pods\n", V2.replace(b" / ", b" /pod ") + V2, b"/sys/fs/cgroup/pods/cpu.max"),  # the second mount
        (b"0::/../a\n", V2, None),
        (b"0::/a\n", V2.replace(b"/sys/fs/cgroup", rb"/a\040b\134c"), rb"/a b\c/a/cpu.max"),
        (b"0::/a:b\n", V2, b"/sys/fs/cgroup/a:b/cpu.max"),
        (b"4:memory:/m\n", V2, None),
        (b"", V2, None),
        (b"0::/\n", b"", None),
        (b"1:cpu:/\n", V2, None),
    ],
)
def test_file_of_the_limit(said: bytes, mounted: bytes, expected: bytes | None) -> None:
    """By hand, from the man pages."""
    assert groups.limit_file(said, mounted) == expected


def content(path: str, text: bytes) -> Answer:
    """What a file holds."""
    return Answer(FILE_ROWS[path], 0, plans.CONTENTS, text)


@pytest.mark.parametrize("name", ["hello-1.25.5", "hello-1.27.3"])
def test_go_reads_the_same_file(binary: Callable[[str], Path], name: str) -> None:
    """And a run that read another one is found."""
    target = Target(image_of(binary(name)), World())
    for said, mounted in ((b"0::/a\n", V2), (b"3:cpu:/a b\n0::/\n", V2 + V1), (b"0::/\n", b"")):
        result = target.run(Plan((content(SELF_CGROUP, said), content(SELF_MOUNTINFO, mounted))))
        expected = groups.limit_file(said, mounted)
        opened = [path for _, path in Calls(result).opens if path.startswith("/sys/fs")]

        assert list(limit_file(result, Calls(result))) == []
        assert opened == ([] if expected is None else [expected.decode()])
        for event in result.calls:  # as if another group's had been read
            event.detail = {n: data.replace(b"/cpu.", b"/b/cpu.") for n, data in event.detail.items()}
        assert len(list(limit_file(result, Calls(result)))) == (expected is not None)


@pytest.mark.parametrize(
    ("name", "read"),
    [("hello-1.25.5", "/sys/fs/cgroup/cpu,cpuacct/cpu.max"), ("hello-1.26.6", None), ("hello-1.27.3", None)],
)
def test_the_first_mount_of_any_version(binary: Callable[[str], Path], name: str, read: str | None) -> None:
    """Go 1.25 looks for a group of version 2 in a mount of version 1 (cgroup_linux.go, findCPUMount)."""
    target = Target(image_of(binary(name)), World())
    result = target.run(Plan((content(SELF_CGROUP, b"0::/\n"), content(SELF_MOUNTINFO, V1))))

    found = [wrong.message for wrong in limit_file(result, Calls(result))]
    assert found == ([f"the limit is read from {read}, and should be from None"] if read else [])


def test_go_wants_whole_lines_of_each_read(binary: Callable[[str], Path]) -> None:
    """A line that read(2) gives in two parts is taken for one that is too long (line_reader.go): the limit is lost."""
    target = Target(image_of(binary("hello-1.27.3")), World())
    slowly = Answer(CALL_ROWS["read"], 4, plans.ARGUMENT, b"\x02\x07")
    result = target.run(Plan((content(SELF_CGROUP, b"0::/a\n"), content(SELF_MOUNTINFO, V2), slowly)))
    (wrong,) = limit_file(result, Calls(result))

    assert result.tier == CONTRACT
    assert wrong == (
        "internal/runtime/cgroup.FindCPU",
        "the limit is read from None, and should be from /sys/fs/cgroup/a/cpu.max",
    )
