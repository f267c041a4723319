"""Host files and folders that a World shows to the guest: ``binds``.

What the guest writes stays in memory (:mod:`syscalls.tree.stored`), unless the bind is writable
(:mod:`syscalls.tree.through`).  A link inside a bind is resolved in the guest's
tree, so nothing outside the bind can be reached through one.  Devices, sockets and pipes of the host are not shown.
Contents are read when a file is opened; owners and times are the World's, permissions the host's.
"""

from __future__ import annotations

import stat

from syscalls.errno import SyscallError
from syscalls.tree.host import HostRoot, Parts
from syscalls.tree.nodes import FileNode, Link, Meta, Node
from syscalls.tree.store import Store
from syscalls.tree.stored import Folder, StoredFile
from syscalls.world import WorldError


def root_of(host: str, guest: str) -> HostRoot:
    """Open what a bind shows.

    :raises WorldError: if *host* does not exist, cannot be read or is no file or folder.
    """
    try:
        root = HostRoot(host)
        status = root.status(())
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise WorldError("binds", f"{host!r} cannot be shown at {guest}: {why}", "a file or folder") from error
    assert status is not None
    if not root.is_folder and not stat.S_ISREG(status.st_mode):
        raise WorldError("binds", f"{host!r} is neither a file nor a folder", "a file or folder")
    return root


def node_for(host: str, guest: str, writable: bool, store: Store) -> Node:
    """What stands at *guest*; raise WorldError as :func:`root_of` does."""
    root = root_of(host, guest)
    if writable:
        from syscalls.tree.keeper import Keeper
        from syscalls.tree.through import through

        status = root.status(())
        assert status is not None
        return through(Keeper(root, store), (), status)
    node = shown(root, (), store)
    assert node is not None
    return node


def shown(root: HostRoot, parts: Parts, store: Store) -> Node | None:
    """The node of what lies at *parts* of *root*; None where nothing does that is shown."""
    status = root.status(parts)
    if status is None:
        return None
    permissions = stat.S_IMODE(status.st_mode)
    node: Node
    if stat.S_ISDIR(status.st_mode):
        node = BoundFolder(root, parts, store, permissions)
    elif stat.S_ISLNK(status.st_mode):
        node = Link(root.link(parts))
    else:
        node = StoredFile(store, lambda: root.read(parts), permissions, status.st_size)
    user, group = store.who()
    node.meta = Meta(user, group, *store.original[2:])
    return node


class BoundFolder(Folder):
    """A folder of the host, and over it what the guest changed."""

    __slots__ = ("_parts", "_root", "_seen")

    def __init__(self, root: HostRoot, parts: Parts, store: Store, permissions: int) -> None:
        super().__init__(store, {}, permissions, None, self._listed)
        self._root, self._parts = root, parts
        self._seen: dict[str, Node] = {}  # one node a file, however often it is looked up

    def _listed(self) -> list[str]:
        return self._root.names(self._parts)

    def _derived(self, name: str) -> Node | None:
        kept = self._seen.get(name)
        if kept is not None and kept in self.store.touched:
            return kept  # the guest's own by now
        found = shown(self._root, (*self._parts, name), self.store)
        if kept is not None and found is not None and kept.kind == found.kind:
            kept.permissions = found.permissions
            if isinstance(kept, FileNode) and isinstance(found, FileNode):
                kept.shown_size = found.shown_size
            elif isinstance(kept, Link) and isinstance(found, Link):
                kept.to = found.to
            return kept
        if found is not None:
            self._seen[name] = found
        return found

    def is_empty(self) -> bool:
        try:
            return super().is_empty()
        except SyscallError:
            return False
