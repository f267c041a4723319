"""Binds that write through: what the guest does below one is done to the host's files, and to nothing else.

Every call goes through a descriptor of the bound folder and never follows a link (:mod:`syscalls.tree.host`).  What
they say of owners and times is the World's (:mod:`syscalls.tree.keeper`).  Devices, pipes and set-user-ID programs
cannot be made.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from syscalls.abi import RENAME_EXCHANGE, S_ISGID, S_ISUID
from syscalls.errno import EOPNOTSUPP, EPERM, EXDEV, SyscallError
from syscalls.tree.host import STEP, Parts, libc
from syscalls.tree.keeper import Keeper, Live, keeper_of, parts_of
from syscalls.tree.nodes import Link, Node
from syscalls.tree.stored import Folder, StoredFile
from syscalls.tree.throughfile import ThroughFile

CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def through(keeper: Keeper, parts: Parts, status: os.stat_result) -> Node:
    """A node for what lies at *parts*, of which the host says *status*."""
    if stat.S_ISDIR(status.st_mode):
        return ThroughFolder(keeper)
    if stat.S_ISREG(status.st_mode):
        return ThroughFile(keeper)
    link = Link(keeper.root.link(parts))
    link.meta = keeper.meta(status)
    return link


class ThroughFolder(Live, Folder):
    """A folder of the host; only what the World puts below it is not the host's."""

    __slots__ = ("_seen", "keeper")

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self._seen: dict[str, tuple[int, ThroughFolder]] = {}  # folders, by name: their numbers, and one node each
        super().__init__(keeper.store, {}, 0, None, lambda: keeper.root.names(self.parts))

    def _derived(self, name: str) -> Node | None:
        parts = (*self.parts, name)
        status = self.keeper.root.status(parts)
        if status is None:
            return None
        kept = self._seen.get(name)
        if kept is not None and kept[0] == status.st_ino:
            return kept[1]
        node = through(self.keeper, parts, status)
        if isinstance(node, ThroughFolder):
            self._seen[name] = status.st_ino, node
        return node

    def is_covered(self, name: str) -> bool:
        """Say whether the World put something of its own at *name*."""
        return name in self._overlay

    def _at(self, name: str) -> Parts:
        if name in self._overlay:
            raise SyscallError(EXDEV)  # the World's own file, which is not the host's
        return (*self.parts, name)

    def _created(self, name: str) -> Node:
        status = self.keeper.root.status(self._at(name))
        assert status is not None
        self.keeper.new(status)
        self.keeper.changed(self.status(), "mtime")
        node = self.get(name)
        assert node is not None
        return node

    def new_file(self, name: str, permissions: int) -> StoredFile:
        if permissions & (S_ISUID | S_ISGID):
            raise SyscallError(EPERM)
        with self.keeper.root.folder(self.parts) as folder:
            fd = os.open(name, CREATE, 0o600, dir_fd=folder)
            os.fchmod(fd, permissions)
            os.close(fd)
        node = self._created(name)
        assert isinstance(node, StoredFile)
        return node

    def new_unnamed(self, permissions: int, name: str = "") -> StoredFile:
        raise SyscallError(EOPNOTSUPP)

    def new_folder(self, name: str, permissions: int) -> None:
        with self.keeper.root.folder(self.parts) as folder:
            os.mkdir(name, 0o700, dir_fd=folder)
            fd = os.open(name, STEP, dir_fd=folder)
            Path(f"/proc/self/fd/{fd}").chmod(permissions)
            os.close(fd)
        self._created(name)

    def new_link(self, name: str, target: str) -> None:
        with self.keeper.root.folder(self.parts) as folder:
            os.symlink(target, name, dir_fd=folder)
        self._created(name)

    def new_fifo(self, name: str, permissions: int) -> None:
        raise SyscallError(EPERM)

    def attach(self, name: str, node: Node) -> None:
        if keeper_of(node) is not self.keeper:
            raise SyscallError(EXDEV)
        parts = parts_of(node)
        with self.keeper.root.folder(parts[:-1]) as here, self.keeper.root.folder(self.parts) as there:
            os.link(parts[-1], name, src_dir_fd=here, dst_dir_fd=there, follow_symlinks=False)
        self.keeper.changed(self.status(), "mtime")

    def detach(self, name: str) -> None:
        parts = self._at(name)
        status = self.keeper.root.status(parts)
        with self.keeper.root.folder(self.parts) as folder:
            if status is not None and stat.S_ISDIR(status.st_mode):
                os.rmdir(name, dir_fd=folder)
                node = self._seen.pop(name, None)
                if node is not None:
                    node[1].gone = True
            else:
                os.unlink(name, dir_fd=folder)
        self.keeper.changed(self.status(), "mtime")

    def move(self, name: str, target: Folder, new: str) -> None:
        self._rename(name, target, new, 0)

    def swap(self, name: str, target: Folder, new: str) -> None:
        self._rename(name, target, new, RENAME_EXCHANGE)

    def _rename(self, name: str, target: Folder, new: str, flags: int) -> None:
        if not isinstance(target, ThroughFolder) or target.keeper is not self.keeper:
            raise SyscallError(EXDEV)
        self._at(name)
        target._at(new)
        with self.keeper.root.folder(self.parts) as here, self.keeper.root.folder(target.parts) as there:
            libc("renameat2", here, os.fsencode(name), there, os.fsencode(new), flags)
        one, other = self._seen.pop(name, None), target._seen.pop(new, None)
        if one is not None:
            target._seen[new] = one
            one[1].parent, one[1].name = target, new
        if other is not None and flags:
            self._seen[name] = other
            other[1].parent, other[1].name = self, name
        elif other is not None:
            other[1].gone = True
        for folder in (self, target):
            self.keeper.changed(folder.status(), "mtime")
