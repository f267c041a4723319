"""From a path to a node, as Linux walks it: path_resolution(7).

What is not modelled: automounts.
"""

from __future__ import annotations

from collections.abc import Callable

from syscalls.abi import NAME_MAX, PATH_MAX
from syscalls.errno import EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR
from syscalls.tree.mounts import Mount
from syscalls.tree.nodes import Directory, Link, Node, TreeError
from syscalls.tree.stored import Store

MAX_LINKS = 40  # include/linux/namei.h, MAXSYMLINKS


class Place:
    """Where a path leads: *name* in *folder*, and what is there.

    Where the path ends in a dot, two dots or the root there is no *name*, and *folder* is the directory itself.
    *slash* says that it ended in a slash.
    """

    __slots__ = ("folder", "name", "node", "slash")  # a NamedTuple would take every start a tenth of a millisecond

    def __init__(self, folder: Directory, name: str, node: Node | None, slash: bool = False) -> None:
        self.folder, self.name, self.node, self.slash = folder, name, node, slash


class Tree:
    """The guest's file system.  *may_search*, if set, says which directories the process may look something up in."""

    def __init__(self, root: Directory, mounts: tuple[Mount, ...], store: Store) -> None:
        self.root, self.mounts, self.store = root, mounts, store
        self.may_search: Callable[[Directory], bool] | None = None

    def lookup(self, path: str, cwd: str | Directory = "/", follow: bool = True) -> Node | None:
        """As :meth:`resolve`, but None where there is no such file."""
        try:
            return self.resolve(path, cwd, follow)
        except TreeError as error:
            if error.errno == ENOENT:
                return None
            raise

    def resolve(self, path: str, cwd: str | Directory = "/", follow: bool = True) -> Node:
        """The node at *path*, taken from directory *cwd* when it is relative.

        Links on the way are always followed, one at the end unless *follow* is false and no slash comes after it.

        :raises TreeError: ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG or EACCES.
        """
        node = self.locate(path, cwd, follow).node
        if node is None:
            raise TreeError(ENOENT)
        return node

    def locate(self, path: str, cwd: str | Directory = "/", follow: bool = True) -> Place:
        """The place that *path* leads to, whose last name may be one that is not there yet."""
        if not path:
            raise TreeError(ENOENT)
        if len(path.encode("utf-8", "surrogateescape")) >= PATH_MAX:
            raise TreeError(ENAMETOOLONG)
        if path.startswith("/"):
            start = self.root
        else:
            found = self.resolve(cwd) if isinstance(cwd, str) else cwd
            if not isinstance(found, Directory):
                raise TreeError(ENOTDIR)
            start = found
        return self._walk(start, path, follow)

    def _walk(self, start: Directory, path: str, follow: bool) -> Place:
        node: Node = start
        parts = _parts(path)
        place = Place(start, "", start, path.endswith("/"))
        links = 0
        while parts:
            part = parts.pop()
            if not isinstance(node, Directory):
                raise TreeError(ENOTDIR)
            if part == "":
                continue
            if self.may_search is not None and not self.may_search(node):
                raise TreeError(EACCES)
            if part in (".", ".."):
                node = node if part == "." else node.parent or node
                assert isinstance(node, Directory)
                place = Place(node, "", node)
                continue
            if len(part.encode("utf-8", "surrogateescape")) > NAME_MAX:
                raise TreeError(ENAMETOOLONG)
            child = node.get(part)
            slash = parts == [""]
            if child is None:
                if parts and not slash:
                    raise TreeError(ENOENT)
                return Place(node, part, None, slash)
            if isinstance(child, Link) and (parts or follow):
                links += 1
                if links > MAX_LINKS:
                    raise TreeError(ELOOP)
                target = child.target
                if not target:
                    raise TreeError(ENOENT)
                if target.startswith("/"):
                    node = self.root
                    place = Place(self.root, "", node)
                parts += _parts(target)
                continue
            place = Place(node, part, child, slash)
            node = child
        return place

    def mount_of(self, node: Node) -> Mount:
        """The mount that *node* lies on: its ``device`` is st_dev."""
        best, path = self.mounts[0], node.path
        for mount in self.mounts:
            if path == mount.point or path.startswith(f"{mount.point.rstrip('/')}/"):
                best = mount
        return best


def _parts(path: str) -> list[str]:
    # The components in reverse.  One slash at the end leaves an empty component, which asks for a directory.
    parts = path.rstrip("/").split("/")
    if path.endswith("/"):
        parts.append("")
    return parts[::-1]
