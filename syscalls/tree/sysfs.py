"""/sys: transparent huge pages, CPUs, the one memory node, and the mount point of the control groups.

Formats: Documentation/admin-guide/mm/transhuge.rst and ABI/testing/sysfs-devices-system-cpu, compared with a 6.18
kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from syscalls.cpuset import CpuSet
from syscalls.tree import cgroup
from syscalls.tree.nodes import Directory, Entry, FileNode, Link, Node, fixed
from syscalls.world import Thp, World

PAGE = 4096  # st_size of every sysfs attribute
KERNEL_MAX = 8191  # NR_CPUS - 1 of the distributions' kernels for x86-64

ENABLED = ("always", "madvise", "never")
DEFRAG = ("always", "defer", "defer+madvise", "madvise", "never")
SHMEM = ("always", "within_size", "advise", "never", "deny", "force")
KHUGEPAGED = {
    "alloc_sleep_millisecs": 60_000,
    "defrag": 1,
    "full_scans": 0,
    "max_ptes_none": 511,
    "max_ptes_shared": 256,
    "max_ptes_swap": 64,
    "pages_collapsed": 0,
    "pages_to_scan": 4096,
    "scan_sleep_millisecs": 10_000,
}
READ_ONLY = ("full_scans", "pages_collapsed")


def root(world: World) -> Directory:
    """The whole of /sys."""
    memory: dict[str, Entry] = {"hugepages": lambda: Directory({"hugepages-2048kB": _pool(world.thp)}, 0o755)}
    if world.thp.pmd_size is not None:
        memory["transparent_hugepage"] = lambda: huge_pages(world.thp)
    system = Directory({"cpu": lambda: cpus(world), "node": lambda: _nodes(world)}, 0o755)
    return Directory(
        {
            "devices": Directory({"system": system}, 0o755),
            "fs": Directory({"cgroup": lambda: cgroup.mount_root(world)}, 0o755),
            "kernel": Directory({"mm": Directory(memory, 0o755)}, 0o755),
        }
    )


def _attribute(content: str | bytes, writable: bool = False) -> Callable[[], FileNode]:
    return lambda: fixed(content, 0o644 if writable else 0o444, PAGE)  # most are never looked up


def _pool(thp: Thp) -> Directory:
    count = f"{thp.pool}\n"
    return Directory({"free_hugepages": _attribute(count), "nr_hugepages": _attribute(count, True)}, 0o755)


def chosen(words: Iterable[str], word: str) -> str:
    """The words on one line, the chosen one in brackets."""
    return " ".join(f"[{each}]" if each == word else each for each in words) + "\n"


def huge_pages(thp: Thp) -> Directory:
    """/sys/kernel/mm/transparent_hugepage, which exists when the World has a ``thp.pmd-size``."""
    daemon: dict[str, Entry] = {
        name: _attribute(f"{value}\n", name not in READ_ONLY) for name, value in KHUGEPAGED.items()
    }
    return Directory(
        {
            "defrag": _attribute(chosen(DEFRAG, thp.defrag), True),
            "enabled": _attribute(chosen(ENABLED, thp.enabled), True),
            "hpage_pmd_size": _attribute(thp.pmd_size or b""),
            "khugepaged": Directory(daemon, 0o755),
            "shmem_enabled": _attribute(chosen(SHMEM, "never"), True),
            "use_zero_page": _attribute("1\n", True),
        },
        0o755,
    )


def cpus(world: World) -> Directory:
    """/sys/devices/system/cpu: every possible CPU is present and online."""
    possible = world.possible
    return Directory(
        {
            "isolated": _attribute("\n"),
            "kernel_max": _attribute(f"{max(KERNEL_MAX, possible.highest)}\n"),
            "offline": _attribute("\n"),
            "online": _attribute(f"{possible}\n"),
            "possible": _attribute(f"{possible}\n"),
            "present": _attribute(f"{possible}\n"),
        },
        0o755,
        find=lambda name: _cpu(possible, name),
        more=lambda: (f"cpu{n}" for n in possible),
    )


def _cpu(possible: CpuSet, name: str) -> Node | None:
    # cpuN, when N is possible: a core of its own in the one package.
    digits = name.removeprefix("cpu")
    if name == digits or not digits.isascii() or not digits.isdecimal() or str(int(digits[:9])) != digits:
        return None
    number = int(digits)
    if number not in possible:
        return None
    width = possible.highest + 1
    alone, together = CpuSet.of([number]), possible
    topology: dict[str, Entry] = {
        "core_id": _attribute(f"{number}\n"),
        "core_siblings": _attribute(f"{together.sysfs_mask(width)}\n"),
        "core_siblings_list": _attribute(f"{together}\n"),
        "physical_package_id": _attribute("0\n"),
        "thread_siblings": _attribute(f"{alone.sysfs_mask(width)}\n"),
        "thread_siblings_list": _attribute(f"{alone}\n"),
    }
    entries: dict[str, Entry] = {"topology": Directory(topology, 0o755), "node0": Link("../../node/node0")}
    if number != 0:  # the boot CPU cannot be taken away, so it has no such file
        entries["online"] = _attribute("1\n", True)
    return Directory(entries, 0o755)


def _nodes(world: World) -> Directory:
    return Directory({"node0": _node(world), "online": _attribute("0\n"), "possible": _attribute("0\n")}, 0o755)


def _node(world: World) -> Directory:
    possible = world.possible
    return Directory(
        {
            "cpulist": _attribute(f"{possible}\n"),
            "cpumap": _attribute(f"{possible.sysfs_mask(possible.highest + 1)}\n"),
            "distance": _attribute("10\n"),
        },
        0o755,
        find=lambda name: Link(f"../../cpu/{name}") if _cpu(possible, name) else None,
        more=lambda: (f"cpu{n}" for n in possible),
    )
