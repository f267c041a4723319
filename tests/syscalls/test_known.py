"""Files of procfs and sysfs that are opened again: the same as for a guest that opens them for the first time."""

from __future__ import annotations

import pytest

from syscalls import abi
from syscalls.errno import EACCES
from syscalls.saved import restore, save
from syscalls.world import File, World
from tests.syscalls.bytememory import Guest, guest

THP = "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"
PATHS = (
    THP, THP.replace("/mm", "//mm"), "/sys/fs/cgroup//cpu.max", "/sys/devices/system/cpu/online", "/dev/null",
    "/proc/self/cgroup", "/proc/self/maps", "/proc/1000/status", "/proc/cpuinfo", "/proc/self/cwd/cpuinfo",
    "/proc/self/task/1000/comm", "/proc/self/fd/0", "/proc/mounts", "/proc/nothing",
)  # fmt: skip
FLAGS = (0, abi.O_CLOEXEC, abi.O_NOFOLLOW, abi.O_PATH, abi.O_WRONLY, abi.O_DIRECTORY, abi.O_CREAT | abi.O_EXCL)
OPEN, CLOSE, MKDIR, SETRESUID = 2, 3, 83, 117


def opened(g: Guest, path: str, flags: int = abi.O_CLOEXEC) -> tuple[object, ...]:
    """All that can be told of the file that *path* leads to, which is closed again; or the error."""
    fd = g.call(OPEN, g.put(path.encode() + b"\0"), flags, 0)
    if fd < 0:
        return (fd,)
    file = g.kernel.files.get(fd)
    told = type(file), file.path, file.flags, file.facts, getattr(file, "data", None), g.kernel.files.closes_on_exec(fd)
    assert g.call(CLOSE, fd) == 0
    return told


def fresh(world: World | None = None) -> Guest:
    return guest(world or World())


@pytest.mark.parametrize("path", PATHS)
def test_a_second_open_is_like_a_first_one(path: str) -> None:
    for flags in FLAGS:
        g = fresh()
        opened(g, path)
        assert opened(g, path, flags) == opened(fresh(), path, flags)


def test_most_are_remembered_and_those_behind_changing_links_are_not() -> None:
    g = fresh()
    for path in PATHS:
        opened(g, path)
    assert {path.decode() for path in g.kernel.tree.known} >= {THP, "/proc/self/cgroup", "/sys/fs/cgroup//cpu.max"}
    assert not any(b"cwd" in path or b"task" in path or b"fd" in path for path in g.kernel.tree.known)


def test_contents_are_those_of_the_moment() -> None:
    g = fresh()
    before = opened(g, "/proc/self/maps")
    assert g.call(9, 0x2000_0000, 4096, 3, 0x32, -1, 0) == 0x2000_0000
    after = opened(g, "/proc/self/maps")
    assert b"20000000-20001000 rw-p" in after[4]  # type: ignore[operator]
    assert before != after


def test_a_file_of_the_world_is_the_one_that_stands_there_now() -> None:
    """With its size, which stat shows: other contents, an error, no such file of the World's any more."""
    files = (File(THP, b"2097152\n"), File(THP, b"4\n"), File(THP, errno="EIO"))
    g = fresh(World(files=(files[0],)))
    for one in (*files, *files[::-1]):
        g.kernel.replace_files((one,))
        for _ in range(2):
            assert opened(g, THP) == opened(fresh(World(files=(one,))), THP)
    g.kernel.replace_files(())
    assert opened(g, THP) == opened(fresh(), THP)


def test_files_that_came_while_the_tree_was_written_to_are_found_when_it_is_not_any_more() -> None:
    g = fresh(World(files=(File(THP, b"2097152\n"),)))
    state = save(g.kernel)
    opened(g, THP)
    assert g.call(MKDIR, g.put(b"/tmp/made\0"), 0o755) == 0
    files = (File(THP, errno="EIO"),)
    g.kernel.replace_files(files)
    restore(g.kernel, state)
    assert opened(g, THP) == opened(fresh(World(files=files)), THP)


def test_what_the_guest_does_to_the_tree_counts() -> None:
    g = fresh()
    opened(g, "/proc/self/cgroup")
    assert g.call(SETRESUID, 1000, 1000, 1000) == 0
    kmsg = opened(g, "/proc/self/cgroup")
    assert kmsg[3].owner == (1000, 0)  # type: ignore[attr-defined]  # proc_pid(5): the effective ids of the process
    assert opened(g, "/proc/self/cgroup", abi.O_WRONLY) == (-EACCES,)
