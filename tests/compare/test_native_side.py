"""The mirror of this host, and what is imposed on a native program."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from emu.compare.impose import Answers, Exiting, SharedTime, impose
from emu.compare.mirror import cpu_groups, mirror
from emu.compare.native.process import Process
from emu.compare.native.stepper import CPUID, Stepper
from syscalls import vdso
from syscalls.cpuid import cpuid
from syscalls.errno import ENOENT
from syscalls.numbers import NUMBERS
from syscalls.random import at_random
from syscalls.world import World
from syscalls.worldfile import check, from_toml, to_toml
from tests.oracle.symbols import functions

Paths = Callable[[str], Path]
AT_RANDOM, AT_SYSINFO_EHDR, AT_PAGESZ = 25, 33, 6

V1 = """\
4:memory:/box
1:cpu,cpuacct:/box/inner
0::/
"""
V1_MOUNTS = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 /box /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpuacct,cpu
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""


def test_groups_that_limit_cpu_time() -> None:
    """Version 1 by its cpu controller, below the mount's own root; version 2 by the line without controllers."""
    assert cpu_groups(V1, V1_MOUNTS) == {"/sys/fs/cgroup/cpu/inner", "/sys/fs/cgroup/unified"}
    assert cpu_groups("0::/a/b\n", "26 23 0:23 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n") == {"/sys/fs/cgroup/a/b"}
    assert cpu_groups("", V1_MOUNTS) == set()


def test_mirror_shows_this_host(binary: Paths) -> None:
    """What the kernel tells anybody: affinity, names, page size, the sizes of huge pages; and it is a World."""
    path = binary("hello-1.24.11")
    cpu = min(os.sched_getaffinity(0))
    with Process(path, argv=["a", "b"], env={"X": "1"}, cpus=[cpu]) as process:
        world = mirror(process, ("a", "b"), {"X": "1"})
        vector = process.auxv()

    check(world)
    assert from_toml(to_toml(world)) == world
    assert list(world.cpus) == [cpu]
    assert (world.argv, world.env, world.exe) == (("a", "b"), ("X=1",), str(path))
    assert world.uname.release == os.uname().release
    assert world.page_size == vector[AT_PAGESZ] == os.sysconf("SC_PAGESIZE")
    huge = Path("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
    assert world.thp.pmd_size == (huge.read_bytes() if huge.exists() else None)
    assert world.process.uid == os.getuid()
    assert world.process.ppid == os.getpid()


def test_random_bytes_and_vdso_are_the_worlds(binary: Paths) -> None:
    """They lie where the auxiliary vector points, data page and all."""
    with Process(binary("hello-1.24.11")) as process:
        world = impose(process, mirror(process, ("x",), {}))
        made = vdso.build(world)
        base = world.memory.vdso_base
        stack = process.registers.rsp
        random = process.read(process.auxv()[AT_RANDOM], 16)
        image, data = process.read(base, len(made.image)), process.read(base - len(made.vvar), len(made.vvar))
        vector = process.read_some(stack, 1024)

    assert random == at_random(world)
    assert (image, data) == (made.image, made.vvar)
    assert AT_SYSINFO_EHDR.to_bytes(8, "little") + base.to_bytes(8, "little") in vector


def test_calls_can_be_made_for_a_program(binary: Paths) -> None:
    """A call is this kernel's, an error comes back as such, and registers and code are as they were."""
    with Process(binary("hello-1.24.11")) as process:
        before = bytes(process.registers), process.read(process.registers.rip, 16)
        pid = process.call(NUMBERS["getpid"])
        missing = process.call(NUMBERS["access"], process.registers.rsp, 0)
        process.registers.orig_rax = int.from_bytes(before[0][120:128], "little")
        after = bytes(process.registers), process.read(process.registers.rip, 16)

        assert pid == process.pid
        assert missing == -ENOENT  # argc and zeros make no path
        assert after == before


def test_the_world_answers_while_a_program_is_stepped(native: Callable[..., Path]) -> None:
    """CPUID is the World's, getpid this kernel's, and where the program ends it still stands."""
    path = native("steps")
    world = World()
    with Process(path) as process:
        stepper = Stepper(process, functions(path), answer=Answers(world, SharedTime()))
        with pytest.raises(Exiting, match="exit status 7"):
            stepper.step_to(0)
        assert process.read(process.registers.rip, 2) == b"\x0f\x05"
        pid = process.pid

    (query,) = (query for query in stepper.trace.queries if query.instruction == CPUID)
    assert query.results == cpuid(world, *query.inputs)
    assert stepper.trace.syscalls[0].result == pid


def test_time_is_told_again_in_the_same_order() -> None:
    """Every moment that one side saw, then the last one for ever."""
    ticks = iter((5, 7, 7, 100))
    time = SharedTime()
    recorded = time.recorded(lambda: next(ticks))

    assert [recorded() for _ in range(4)] == [5, 7, 7, 100]
    replayed = time.replayed()
    assert [replayed() for _ in range(6)] == [5, 7, 7, 100, 100, 100]
