"""Control groups: the files below /sys/fs/cgroup and /proc/self/cgroup, versions 1 and 2.

Source: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/*.rst.  The limits of the World stand in the program's own
group; the groups above it have none.  From Go 1.25 on, the runtime finds the CPU limit by /proc/self/cgroup and
mountinfo (internal/runtime/cgroup), which the two views here are made for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from syscalls.tree.mounts import V1_CONTROLLERS
from syscalls.tree.nodes import Directory, Entry, FileNode, Link, fixed
from syscalls.world import Cgroup, World

PAGE = 4096
V2_CONTROLLERS = "cpuset cpu io memory hugetlb pids\n"
V1_NO_LIMIT = (1 << 63) - PAGE  # LONG_MAX in whole pages: mm/page_counter.c


def proc_cgroup(world: World) -> str:
    """The text of /proc/self/cgroup: cgroups(7)."""
    path = world.cgroup.path
    if world.cgroup.version == 2:
        return f"0::{path}\n"
    if world.cgroup.version == 1:
        # The kernel lists the hierarchies from the newest on.
        lines = [f"{n}:{name}:{path}\n" for n, name in enumerate(V1_CONTROLLERS, 1)]
        return "".join(reversed(lines))
    return ""


def mount_root(world: World) -> Directory:
    """What is mounted on /sys/fs/cgroup: the one tree of version 2, or a folder of version 1's hierarchies."""
    if world.cgroup.version == 2:
        return _hierarchy(world, {**_v2_core(world), **_v2_limits(Cgroup())}, _v2_limits(world.cgroup))
    if world.cgroup.version == 1:
        return _v1_root(world)
    return Directory({}, 0o755)  # the mount point exists in every sysfs (kernel/cgroup/cgroup.c, cgroup_init)


def _hierarchy(world: World, plain: Mapping[str, Entry], own: Mapping[str, Entry]) -> Directory:
    # A chain of groups down to the program's, which alone has the World's limits and the program in it.
    parts = [part for part in world.cgroup.path.split("/") if part]
    members = fixed(f"{world.process.pid}\n", 0o644)
    node = Directory({**plain, **own, "cgroup.procs": members}, 0o755)
    for part in reversed(parts):
        node = Directory({**plain, "cgroup.procs": fixed("", 0o644), part: node}, 0o755)
    return node


def _file(content: str, writable: bool = True) -> Callable[[], FileNode]:
    return lambda: fixed(content, 0o644 if writable else 0o444)  # most are never looked up


def _v2_core(world: World) -> dict[str, Entry]:
    return {
        "cgroup.controllers": _file(V2_CONTROLLERS, writable=False),
        "cgroup.subtree_control": _file(""),
        "cgroup.type": _file("domain\n"),
        "cgroup.events": _file("populated 1\nfrozen 0\n", writable=False),
        "cgroup.freeze": _file("0\n"),
        "cgroup.max.depth": _file("max\n"),
        "cgroup.max.descendants": _file("max\n"),
        "cpu.weight": _file("100\n"),
        "cpuset.cpus": _file("\n"),
        "cpuset.cpus.effective": _file(f"{world.possible}\n", writable=False),
        "memory.high": _file("max\n"),
        "memory.low": _file("0\n"),
        "memory.min": _file("0\n"),
        "pids.max": _file("max\n"),
    }


def _v2_limits(group: Cgroup) -> dict[str, Entry]:
    quota = "max" if group.cpu_quota is None else str(group.cpu_quota)
    memory = "max" if group.memory_max is None else str(group.memory_max // PAGE * PAGE)
    return {"cpu.max": _file(f"{quota} {group.cpu_period}\n"), "memory.max": _file(f"{memory}\n")}


def _v1_root(world: World) -> Directory:
    none, group = Cgroup(), world.cgroup
    cpus = str(world.possible)
    core: dict[str, Entry] = {"cgroup.clone_children": _file("0\n"), "notify_on_release": _file("0\n")}
    hierarchies: dict[str, Directory] = {
        "cpuset": _hierarchy(world, {**core, "cpuset.cpus": _file(f"{cpus}\n"), "cpuset.mems": _file("0\n")}, {}),
        "cpu,cpuacct": _hierarchy(world, {**core, "cpu.shares": _file("1024\n"), **_v1_cpu(none)}, _v1_cpu(group)),
        "memory": _hierarchy(world, {**core, **_v1_memory(none)}, _v1_memory(group)),
        "pids": _hierarchy(world, {**core, "pids.max": _file("max\n")}, {}),
    }
    entries: dict[str, Entry] = dict(hierarchies)
    # Where two controllers share a mount, each has a link to it, as systemd and container runtimes make them.
    for joined in (name for name in V1_CONTROLLERS if "," in name):
        entries |= {name: Link(joined) for name in joined.split(",")}
    return Directory(entries, 0o755)


def _v1_cpu(group: Cgroup) -> dict[str, Entry]:
    quota = -1 if group.cpu_quota is None else group.cpu_quota
    return {"cpu.cfs_quota_us": _file(f"{quota}\n"), "cpu.cfs_period_us": _file(f"{group.cpu_period}\n")}


def _v1_memory(group: Cgroup) -> dict[str, Entry]:
    limit = V1_NO_LIMIT if group.memory_max is None else group.memory_max // PAGE * PAGE
    return {"memory.limit_in_bytes": _file(f"{limit}\n"), "memory.soft_limit_in_bytes": _file(f"{V1_NO_LIMIT}\n")}
