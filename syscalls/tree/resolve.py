"""From a path to a node, as Linux walks it: path_resolution(7).

What is not modelled: automounts.
"""

from __future__ import annotations

from collections.abc import Callable

from syscalls.abi import (
    NAME_MAX,
    PATH_MAX,
    RESOLVE_BENEATH,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
)
from syscalls.errno import EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EXDEV
from syscalls.light import TYPE_CHECKING
from syscalls.tree.mounts import Mount
from syscalls.tree.nodes import Directory, FileNode, Link, Node, TreeError
from syscalls.tree.store import Store
from syscalls.tree.stored import Folder

if TYPE_CHECKING:
    from syscalls.files.opened import Facts

MAX_LINKS = 40  # include/linux/namei.h, MAXSYMLINKS


BELOW = RESOLVE_BENEATH | RESOLVE_IN_ROOT


def is_magic(link: Link) -> bool:
    """Say whether *link* is one that procfs jumps through: proc_pid_fd(5) and its like."""
    return link.born.startswith("/proc/") and link.born.count("/") > 2


class Place:
    """Where a path leads: *name* in *folder*, and what is there.

    Where the path ends in a dot, two dots or the root there is no *name*, and *folder* is the directory itself.
    *slash* says that it ended in a slash.
    """

    __slots__ = ("folder", "name", "node", "slash")  # a NamedTuple would take every start a tenth of a millisecond

    def __init__(self, folder: Directory, name: str, node: Node | None, slash: bool = False) -> None:
        self.folder, self.name, self.node, self.slash = folder, name, node, slash


class Tree:
    """The guest's file system.  *may_search*, if set, says which directories the process may look something up in.

    *contents* are those of the files that the World wrote down, by path: what they hold when they are opened.
    *known* are places that :mod:`syscalls.files.known` remembers, with the facts of what is there.
    """

    def __init__(self, root: Folder, mounts: tuple[Mount, ...], store: Store, contents: dict[str, bytes]) -> None:
        self.root, self.mounts, self.store, self.contents = root, mounts, store, contents
        self._points = [(mount.point, f"{mount.point.rstrip('/')}/", mount) for mount in reversed(mounts)]
        self.may_search: Callable[[Directory], bool] | None = None
        self.known: dict[bytes, tuple[FileNode, Facts]] = {}

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

    def locate(self, path: str, cwd: str | Directory = "/", follow: bool = True, how: int = 0) -> Place:
        """The place that *path* leads to, whose last name may be one that is not there yet.

        *how* restricts the way: the RESOLVE_* of openat2(2), which brings ELOOP and EXDEV among the errors.
        """
        if not path:
            raise TreeError(ENOENT)
        if 4 * len(path) >= PATH_MAX and len(path.encode("utf-8", "surrogateescape")) >= PATH_MAX:
            raise TreeError(ENAMETOOLONG)
        start: Directory = self.root
        if not path.startswith("/") or how & RESOLVE_IN_ROOT:
            # Where the process is may be deeper than a path is long.
            found = self._walk(self.root, cwd, True, 0, self.root).node if isinstance(cwd, str) else cwd
            if found is None:
                raise TreeError(ENOENT)
            if not isinstance(found, Directory):
                raise TreeError(ENOTDIR)
            start = found
        elif how & RESOLVE_BENEATH:
            raise TreeError(EXDEV)
        return self._walk(start, path, follow, how, start if how & BELOW else self.root)

    def _walk(self, start: Directory, path: str, follow: bool, how: int, root: Directory) -> Place:
        node: Node = start
        parts = _parts(path)
        folder, name, there, slash = start, "", node, path.endswith("/")  # of the place so far
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
                node = node if part == "." else self._above(node, how, root)
                folder, name, there, slash = node, "", node, False
                continue
            if 4 * len(part) > NAME_MAX and len(part.encode("utf-8", "surrogateescape")) > NAME_MAX:
                raise TreeError(ENAMETOOLONG)
            child = node.get(part)
            if child is None:
                if parts and parts != [""]:
                    raise TreeError(ENOENT)
                return Place(node, part, None, bool(parts))
            if isinstance(child, Link) and (parts or follow):
                links += 1
                if links > MAX_LINKS:
                    raise TreeError(ELOOP)
                target = _followed(child, how)
                if target.startswith("/"):
                    node = root
                    folder, name, there, slash = root, "", node, False
                parts += _parts(target)
                continue
            if how:
                self._cross(node, child, how)
            folder, name, there, slash = node, part, child, parts == [""]
            node = child
        return Place(folder, name, there, slash)

    def _above(self, node: Directory, how: int, root: Directory) -> Directory:
        if node is root and how & RESOLVE_BENEATH:
            raise TreeError(EXDEV)
        above = node.parent if node is not root else None
        if above is None:
            return node
        self._cross(node, above, how)
        return above

    def _cross(self, here: Node, there: Node, how: int) -> None:
        if how & RESOLVE_NO_XDEV and self.mount_of(here) != self.mount_of(there):
            raise TreeError(EXDEV)

    def mount_of(self, node: Node) -> Mount:
        """The mount that *node* lies on: its ``device`` is st_dev."""
        path = node.path
        for point, prefix, mount in self._points:
            if path == point or path.startswith(prefix):
                return mount
        return self.mounts[0]


def _followed(link: Link, how: int) -> str:
    # The text of *link*, if *how* lets it be followed.
    magic = is_magic(link)
    if how & RESOLVE_NO_SYMLINKS or (how & RESOLVE_NO_MAGICLINKS and magic):
        raise TreeError(ELOOP)
    target = link.target
    if not target:
        raise TreeError(ENOENT)
    if (how & RESOLVE_BENEATH and target.startswith("/")) or (how & BELOW and magic):
        raise TreeError(EXDEV)
    return target


def _parts(path: str) -> list[str]:
    # The components in reverse.  One slash at the end leaves an empty component, which asks for a directory.
    parts = path.rstrip("/").split("/")
    if path.endswith("/"):
        parts.append("")
    return parts[::-1]
