"""Which file holds a program's CPU limit: a model of cgroups(7) and proc_pid_mountinfo(5), for Go 1.25 and later.

The group is that of the version 1 hierarchy with the controller "cpu" where there is one, else that of version 2.  Its
files are seen through the first mount of such a hierarchy whose root is the group or lies above it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

OCTAL = re.compile(rb"\\([0-7]{3})")
MOST = 4096 - 64  # bytes of a path that is not at any limit
LONGEST_LINE = 1 << 14


class Group(NamedTuple):
    """A group of the program's, and the version of its hierarchy."""

    path: bytes
    version: int


def limit_file(groups: bytes, mounts: bytes) -> bytes | None:
    """The path of the file with the CPU limit; None if there is none.

    *groups* and *mounts*, the contents of /proc/self/cgroup and mountinfo, are taken to be what Linux writes.
    """
    group = own_group(groups)
    if group is None:
        return None
    for line in mounts.splitlines():
        point = _seen_through(line, group)
        if point is not None:
            return point + (b"/cpu.max" if group.version == 2 else b"/cpu.cfs_quota_us")
    return None


def own_group(groups: bytes) -> Group | None:
    """The group that limits the program's CPUs."""
    found = None
    for line in groups.split(b"\n")[:-1]:
        number, controllers, path = line.split(b":", 2)
        if number == b"0":
            found = Group(path, 2)
        elif b"cpu" in controllers.split(b","):
            return Group(path, 1)
    return found


def _seen_through(line: bytes, group: Group) -> bytes | None:
    # Where the mount of *line* shows the group's folder.
    before, _, after = line.partition(b" - ")
    root, point = (unescaped(field) for field in before.split(b" ")[3:5])
    kind, _, options = after.split(b" ", 2)
    if kind != (b"cgroup2" if group.version == 2 else b"cgroup"):
        return None
    if group.version == 1 and b"cpu" not in options.split(b","):
        return None
    if root == b"/":
        rest = group.path if group.path != b"/" else b""
    elif group.path == root or group.path.startswith(root + b"/"):
        rest = group.path[len(root) :]
    else:
        return None
    outside = rest == b"/.." or rest.startswith(b"/../")  # of the namespace that the mount belongs to
    return None if outside else point + rest


def unescaped(path: bytes) -> bytes:
    """*path* as it stands in mountinfo, with its octal sequences read."""
    return OCTAL.sub(lambda found: bytes((int(found[1], 8) & 0xFF,)), path)


def is_plain(groups: bytes, mounts: bytes) -> bool:
    """Say whether no path or line of these contents is so long that a parser may give up."""
    if len(groups) < MOST and len(mounts) < MOST:
        return True
    lines = (*groups.split(b"\n"), *mounts.split(b"\n"))
    return all(len(line) < LONGEST_LINE and all(len(word) < MOST for word in line.split(b" ")) for line in lines)
