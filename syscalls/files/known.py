"""Opening the same file of procfs or sysfs once more, without finding it again.

A Go program opens four of them as it starts, and a fuzzer lets it do so a thousand times a second: to walk the path and
to collect the facts of what is there takes 40 us, this 6.  A tree remembers where a path led as long as nothing can
lead it elsewhere: the guest has changed no file, and there is one process, root's.  Contents are asked for each time.
"""

from __future__ import annotations

from syscalls import abi
from syscalls.files.opened import PROC, Facts, Regular
from syscalls.light import TYPE_CHECKING

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tree import FileNode

READING = abi.O_CLOEXEC | abi.O_LARGEFILE  # with O_RDONLY, which is 0
OWN_FILE = 3  # slashes in /proc/PID/NAME; what lies deeper comes and goes


def _settled(k: Kernel) -> bool:
    store, ids = k.tree.store, k.process.ids
    return not (store.touched or store.created or ids.euid or ids.egid) and len(k.processes) == 1


def reopened(k: Kernel, path: bytes, flags: int) -> Regular | None:
    """Return what *path* and *flags* open, if that is known; raise what reading its contents fails with."""
    found = None if flags & ~READING else k.tree.known.get(path)
    if found is None or not _settled(k):
        return None
    node, facts = found
    size = node.size
    shown = facts if facts.size == size else facts._replace(size=size)
    return Regular(path, abi.O_LARGEFILE, shown, node.content())


def learn(k: Kernel, path: bytes, node: FileNode, facts: Facts) -> None:
    """Remember that *path* leads to *node* of procfs or sysfs, unless it does so by way of a link that may change."""
    place = facts.place
    if facts.filesystem == PROC and place.count("/") > OWN_FILE:
        return
    own = f"/proc/{k.process.pid}/"
    spelled = path.decode("utf-8", "surrogateescape").replace("//", "/")
    if _settled(k) and spelled in (place, place.replace(own, "/proc/self/", 1)):
        k.tree.known[path] = node, facts
