"""From a path to a node, as Linux walks it: path_resolution(7).

What is not modelled: permission to search a directory (nothing here fails with EACCES), and automounts.
"""

from __future__ import annotations

from syscalls.abi import NAME_MAX, PATH_MAX
from syscalls.errno import ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR
from syscalls.tree.mounts import Mount
from syscalls.tree.nodes import Directory, Link, Node, TreeError

MAX_LINKS = 40  # include/linux/namei.h, MAXSYMLINKS


class Tree:
    """The guest's file system."""

    def __init__(self, root: Directory, mounts: tuple[Mount, ...]) -> None:
        self.root = root
        self.mounts = mounts

    def lookup(self, path: str, cwd: str = "/", follow: bool = True) -> Node | None:
        """As :meth:`resolve`, but None where there is no such file."""
        try:
            return self.resolve(path, cwd, follow)
        except TreeError as error:
            if error.errno == ENOENT:
                return None
            raise

    def resolve(self, path: str, cwd: str = "/", follow: bool = True) -> Node:
        """The node at *path*, taken from directory *cwd* when it is relative.

        Links on the way are always followed, one at the end unless *follow* is false and no slash comes after it.

        :raises TreeError: ENOENT, ENOTDIR, ELOOP or ENAMETOOLONG.
        """
        if not path:
            raise TreeError(ENOENT)
        start = [self.root]
        if not path.startswith("/") and cwd != "/":
            start = self._walk(start, cwd, True)[0]
        return self._walk(start, path, follow)[1]

    def _walk(self, at: list[Directory], path: str, follow: bool) -> tuple[list[Directory], Node]:
        # *at* is the way from the root; the answer holds the way to the node, the node included if a directory.
        stack = list(at)
        links = 0
        if len(path.encode("utf-8", "surrogateescape")) >= PATH_MAX:
            raise TreeError(ENAMETOOLONG)
        if path.startswith("/"):
            del stack[1:]
        parts = _parts(path)
        node: Node = stack[-1]
        while parts:
            part = parts.pop()
            if not isinstance(node, Directory):
                raise TreeError(ENOTDIR)
            if part in ("", "."):
                continue
            if part == "..":
                if len(stack) > 1:
                    stack.pop()
                node = stack[-1]
                continue
            if len(part.encode("utf-8", "surrogateescape")) > NAME_MAX:
                raise TreeError(ENAMETOOLONG)
            child = node.get(part)
            if child is None:
                raise TreeError(ENOENT)
            if isinstance(child, Link) and (parts or follow):
                links += 1
                if links > MAX_LINKS:
                    raise TreeError(ELOOP)
                target = child.target
                if target.startswith("/"):
                    del stack[1:]
                node = stack[-1]
                parts += _parts(target)
                continue
            node = child
            if isinstance(node, Directory):
                stack.append(node)
        return stack, node

    def mount_of(self, node: Node) -> Mount:
        """The mount that *node* lies on: its ``device`` is st_dev."""
        best = self.mounts[0]
        for mount in self.mounts:
            if node.path == mount.point or node.path.startswith(f"{mount.point.rstrip('/')}/"):
                best = mount
        return best


def _parts(path: str) -> list[str]:
    # The components in reverse.  One slash at the end leaves an empty component, which asks for a directory.
    parts = path.rstrip("/").split("/")
    if path.endswith("/"):
        parts.append("")
    return parts[::-1]
