"""What a World differs in, as settings that make it again."""

from __future__ import annotations

import pytest

from emu.report.setting import changes, setting, value
from syscalls.world import World
from syscalls.worldfile import apply, as_dict, load

SETTINGS = [
    ("cpus=0,2-3,64",),
    ("cpus=3", "possible-cpus=0-7"),
    ("page-size=64KiB", "seed=7", "at-random=000102030405060708090a0b0c0d0e0f"),
    ("thp=absent",),
    ("thp=",),
    ('thp=a "quoted"\nline',),
    ("env.GOGC=50", "env.A B=c d", "env.HOME=/x"),
    ('env=["X=1"]',),
    ("env.X=\udcff",),
    ("env.hex:00=1", "env.text:a=b"),
    ("cpuid.aes=false", "cpuid.bmi1=false", "cpuid.family=6", "cpuid.model=85"),
    ('cpuid.leaves."0x7.0"=[0, 8, 0, 0]',),
    ("auxv.AT_RANDOM=absent", "auxv.99=1", "auxv.AT_SYSINFO_EHDR=0"),
    ("rlimits.nofile=1024:4096", "rlimits.core=unlimited"),
    ('files."/etc/x=y"=some text', "files./etc/none=absent"),
    ('responses=[{call = "read", when = "2", errno = "EINTR"}, {call = "getpid", result = 5}]',),
    ('argv=["hello", "-port", "80 81"]', "cwd=/tmp", "exe=/bin/x"),
    ("process.closed-fds=0,2", "process.sigmask=0x200", "process.secure=true", "vdso=false"),
    ("cgroup.cpu-quota=150000", "memory.stack-top=0x7ffff0000000", "uname.version=#1 SMP", "limits.instructions=5"),
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_what_differs_can_be_set_again(settings: tuple[str, ...]) -> None:
    """Each line is a setting; all of them make the World that they were read off."""
    world = load(None, settings)
    lines = changes(as_dict(world))
    made = World()
    for line in lines:
        made = apply(made, line)

    assert as_dict(made) == as_dict(world)
    assert lines


def test_defaults_are_not_listed() -> None:
    """Nor are the possible CPUs that follow from others."""
    assert changes(as_dict(World())) == []
    assert changes(as_dict(load(None, ["cpus=64"]))) == ['cpus = "0-63"']


def test_files_with_more_than_content_are_whole() -> None:
    """A mode has no setting of its own: the list of files does."""
    world = load(None, ['files=[{path = "/x", content = "a", mode = 384}]'])

    assert changes(as_dict(world)) == ['files = [{path = "/x", content = "a", mode = "0o600"}]']


def test_a_long_value_is_cut() -> None:
    """Of text the beginning, of a list the number of its entries."""
    world = as_dict(load(None, ["env.LONG=" + "x" * 100, "uname.nodename=" + "n" * 64]))

    assert setting(world, "env") == "env = 3 entries"
    assert value(world, "uname.nodename") == '"' + "n" * 60 + '"...'
    assert value(world, "page-size") == "4096"
