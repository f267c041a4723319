"""What is mounted where: /proc/self/mountinfo, /proc/self/mounts and st_dev.  proc_pid_mountinfo(5)."""

from __future__ import annotations

import posixpath

from syscalls.light import NamedTuple
from syscalls.world import World

ESCAPED = {" ": "\\040", "\t": "\\011", "\n": "\\012", "\\": "\\134"}  # fs/proc_namespace.c, mangle


class Mount(NamedTuple):
    """One line of mountinfo."""

    number: int
    parent: int
    device: tuple[int, int]
    point: str
    options: str
    fstype: str
    source: str
    super_options: str

    def mountinfo(self) -> str:
        """The line for /proc/self/mountinfo; every mount shows the root of its file system."""
        major, minor = self.device
        return (
            f"{self.number} {self.parent} {major}:{minor} / {escape(self.point)} {self.options}"
            f" - {self.fstype} {escape(self.source)} {self.super_options}\n"
        )

    def mounts(self) -> str:
        """The line for /proc/self/mounts."""
        extra = self.super_options.partition(",")[2]
        options = f"{self.options},{extra}" if extra else self.options
        return f"{escape(self.source)} {escape(self.point)} {self.fstype} {options} 0 0\n"


def escape(path: str) -> str:
    """*path* with spaces, tabs, newlines and backslashes in octal."""
    return "".join(ESCAPED.get(c, c) for c in path)


V1_CONTROLLERS = ("cpuset", "cpu,cpuacct", "memory", "pids")
"""The hierarchies of version 1, in order of their numbers from 1; two controllers that share one have a comma."""

CGROUP_ROOT = "/sys/fs/cgroup"
PSEUDO = "rw,nosuid,nodev,noexec,relatime"


def mounts(world: World) -> tuple[Mount, ...]:
    """The mounts of *world*, each after the one that it lies on."""
    found = [
        Mount(21, 1, (8, 1), "/", "rw,relatime", "ext4", "/dev/root", "rw"),
        Mount(22, 21, (0, 20), "/proc", PSEUDO, "proc", "proc", "rw"),
        Mount(23, 21, (0, 21), "/sys", PSEUDO, "sysfs", "sysfs", "rw"),
        Mount(24, 21, (0, 5), "/dev", "rw,nosuid", "devtmpfs", "devtmpfs", "rw,mode=755"),
        Mount(25, 21, (0, 22), "/tmp", "rw,nosuid,nodev", "tmpfs", "tmpfs", "rw"),
    ]
    if world.cgroup.version == 2:
        found.append(Mount(26, 23, (0, 23), CGROUP_ROOT, PSEUDO, "cgroup2", "cgroup2", "rw,nsdelegate"))
    elif world.cgroup.version == 1:
        found.append(Mount(26, 23, (0, 23), CGROUP_ROOT, "ro,nosuid,nodev,noexec", "tmpfs", "tmpfs", "ro,mode=755"))
        for n, name in enumerate(V1_CONTROLLERS):
            device = (0, 24 + n)
            found.append(Mount(27 + n, 26, device, f"{CGROUP_ROOT}/{name}", PSEUDO, "cgroup", "cgroup", f"rw,{name}"))
    for n, (_, guest, through) in enumerate(world.binds):
        point = posixpath.normpath(guest)
        below = next((mount for mount in reversed(found) if holds(mount, point)), found[0])
        # What the guest writes lies over what the host has, or goes through to it.
        fstype = "virtiofs" if through else "overlay"
        found.append(Mount(40 + n, below.number, (0, 40 + n), point, "rw,relatime", fstype, f"bind{n}", "rw"))
    return tuple(found)


def holds(mount: Mount, path: str) -> bool:
    """Say whether *path* is at or below the point of *mount*."""
    point = mount.point
    return path.startswith(point) and (len(path) == len(point) or point == "/" or path[len(point)] == "/")
