"""What a bind that writes through keeps beside the host: when the guest changed what, and numbers of files.

Owners are the World's; times are the World's too, of the guest's own changes or of its beginning, as what the host's
files say would differ from run to run.  Numbers of files are given out in the order in which they are met.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from weakref import WeakValueDictionary

from syscalls.abi import S_ISGID, S_ISUID
from syscalls.errno import ENOENT, EPERM, SyscallError
from syscalls.light import TYPE_CHECKING, Any
from syscalls.tree.host import HostRoot, Parts, failing
from syscalls.tree.nodes import Link, Meta, Node
from syscalls.tree.store import Store

if TYPE_CHECKING:
    from syscalls.tree.throughfile import ThroughFile

FIRST_NUMBER = 1 << 33
HANDLE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Keeper:
    """What one bind keeps beside the host: when the guest changed what, and the numbers of files."""

    def __init__(self, root: HostRoot, store: Store) -> None:
        self.root, self.store = root, store
        self._times: dict[tuple[int, int], Meta] = {}
        self._numbers: dict[tuple[int, int], int] = {}
        self.mapped: WeakValueDictionary[tuple[int, int], ThroughFile] = WeakValueDictionary()

    def number(self, status: os.stat_result) -> int:
        """The st_ino of the host's file that *status* is of."""
        return self._numbers.setdefault((status.st_dev, status.st_ino), FIRST_NUMBER + len(self._numbers))

    def meta(self, status: os.stat_result) -> Meta:
        """What is kept of the host's file that *status* is of."""
        kept = self._times.get((status.st_dev, status.st_ino), self.store.original)
        user, group = self.store.who()
        links = 1 if stat.S_ISDIR(status.st_mode) else status.st_nlink
        return kept._replace(uid=user, gid=group, links=links)

    def changed(self, status: os.stat_result, *names: str, **values: int) -> None:
        """Note that the guest changed a file: the times *names*, and its ctime, are now; *values* are as given."""
        now = self.store.now()
        new = {"ctime": now} | dict.fromkeys(names, now) | values
        self._times[status.st_dev, status.st_ino] = self.meta(status)._replace(**new)

    def new(self, status: os.stat_result) -> None:
        """Note that the guest created a file, whatever had its number before."""
        self.changed(status, "atime", "mtime", "birth")

    # What Store does for files in memory

    def set_mode(self, node: Node, permissions: int) -> None:
        """Give the host's file other permissions; EPERM for what would let it run as another user."""
        if permissions & (S_ISUID | S_ISGID):
            raise SyscallError(EPERM)
        self._by_handle(node, lambda path: path.chmod(permissions))

    def set_owner(self, node: Node, user: int, group: int) -> None:
        """Leave the owner, which is the World's user, as it is; EPERM for another."""
        if (user, group) != self.store.who():
            raise SyscallError(EPERM)
        self._by_handle(node, lambda _: None)

    def set_times(self, node: Node, atime: int | None, mtime: int | None) -> None:
        """Set times, the host's as well."""
        given = {name: value for name, value in (("atime", atime), ("mtime", mtime)) if value is not None}

        def apply(path: Path) -> None:
            before = path.stat()
            os.utime(path, ns=(given.get("atime", before.st_atime_ns), given.get("mtime", before.st_mtime_ns)))

        self._by_handle(node, apply, **given)

    def _by_handle(self, node: Node, action: Callable[[Path], None], **values: int) -> None:
        # Do something to the file itself, whatever its name leads to by now; then note the change.
        with failing():
            own = live(node)
            if own is not None and own.fd is not None:
                fd = os.dup(own.fd)
            else:
                parts = parts_of(node)
                if parts:
                    with self.root.folder(parts[:-1]) as folder:
                        fd = os.open(parts[-1], HANDLE, dir_fd=folder)
                else:
                    fd = os.dup(self.root.fd)
            try:
                if not isinstance(node, Link):  # no link of the host is changed
                    action(Path(f"/proc/self/fd/{fd}"))
                self.changed(os.fstat(fd), **values)
            finally:
                os.close(fd)


def parts_of(node: Node) -> Parts:
    """Where *node* lies below its bind, which may itself lie below another."""
    names: list[str] = []
    keeper = keeper_of(node)
    while node.parent is not None and (above := live(node.parent)) is not None and above.keeper is keeper:
        names.append(node.name)
        node = node.parent
    return tuple(reversed(names))


def keeper_of(node: Node) -> Keeper | None:
    """The keeper of *node*, or None for what is in memory: also below such a bind, if the World put it there."""
    own, above = live(node), live(node.parent)
    if own is not None:
        return own.keeper
    return above.keeper if isinstance(node, Link) and above is not None and not above.is_covered(node.name) else None


def live(node: object) -> Live | None:
    """Return *node* as what it is if it is the host's, and not a link."""
    return node if isinstance(node, Live) else None


class Live:
    """A file or folder of the host: a node's values, asked of the host each time."""

    __slots__ = ()

    keeper: Keeper
    fd: int | None = None  # a descriptor of it that is kept

    @property
    def parts(self) -> Parts:
        """Where it lies below its bind by now: folders are moved under those that have them open."""
        assert isinstance(self, Node)
        return parts_of(self)

    def status(self) -> os.stat_result:
        """What the host says of it; raise ENOENT when it has gone."""
        found = self.keeper.root.status(self.parts)
        if found is None:
            raise SyscallError(ENOENT)
        return found

    @property
    def meta(self) -> Meta | None:
        return self.keeper.meta(self.status())

    @meta.setter
    def meta(self, value: Meta | None) -> None:
        return  # Node's own beginning

    @property
    def permissions(self) -> int:
        return stat.S_IMODE(self.status().st_mode)

    @permissions.setter
    def permissions(self, value: int) -> None:
        return

    @property
    def inode(self) -> int:
        return self.keeper.number(self.status())

    @property
    def blocks(self) -> int | None:
        return None

    def own_state(self) -> Any:
        """Nothing: a snapshot does not hold the host."""
        return None

    def become(self, state: Any) -> None:
        """Put nothing back."""

    def is_covered(self, name: str) -> bool:
        """Say whether the World put something of its own at *name* below it."""
        return False
