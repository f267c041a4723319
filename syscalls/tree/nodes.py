"""What a path can lead to: a file, a directory, a symbolic link or a character device.

Nodes belong to one tree and are made when they are first looked up.  Contents are rendered when a file is opened: a
descriptor keeps reading what stood there at that moment, which is what one read of a /proc file sees on Linux too.
What the guest can change stands in :mod:`syscalls.tree.stored`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from zlib import crc32

from syscalls.abi import S_IFCHR, S_IFDIR, S_IFLNK, S_IFREG
from syscalls.errno import SyscallError
from syscalls.light import Any, NamedTuple


class TreeError(SyscallError):
    """A path that leads nowhere, with Linux's error number: path_resolution(7), ERRORS of open(2)."""


class Meta(NamedTuple):
    """What a file system keeps of a file beside its contents.  Times are nanoseconds since 1970."""

    uid: int
    gid: int
    atime: int
    mtime: int
    ctime: int
    birth: int
    links: int = 1


class Node:
    """A place in the tree.  *permissions* are the lower twelve bits of st_mode.

    *parent* and *name* are where it was last looked up or put, and say nothing once it is *gone*.  *born* names it for
    good: the path where it was first found, or ``#`` and a number for what the guest created.  Without *meta* it
    belongs to root and has the times of the World's beginning.
    """

    kind = 0  # the upper bits of st_mode
    rdev = (0, 0)
    __slots__ = ("born", "gone", "meta", "name", "parent", "permissions")

    def __init__(self, permissions: int) -> None:
        self.permissions = permissions
        self.parent: Directory | None = None
        self.name = self.born = ""
        self.gone = False
        self.meta: Meta | None = None

    @property
    def path(self) -> str:
        """Where the tree holds it, without symbolic links."""
        names = []
        node: Node = self
        while node.parent is not None:
            names.append(node.name)
            node = node.parent
        return "/" + "/".join(reversed(names))

    @property
    def place(self) -> str:
        """The path as /proc/self/fd shows it: marked when the file is not there any more."""
        return f"{self.path} (deleted)" if self.gone else self.path

    @property
    def mode(self) -> int:
        """The whole st_mode."""
        return self.kind | self.permissions

    @property
    def size(self) -> int:
        """The st_size that Linux shows for such a node."""
        return 0

    @property
    def blocks(self) -> int | None:
        """The st_blocks, or None where they follow from the size."""
        return None

    @property
    def links(self) -> int:
        """The st_nlink."""
        return self.meta.links if self.meta else 1

    @property
    def inode(self) -> int:
        """A number that is the same in every run: counted for what was created, else a checksum of the first path."""
        if self.born.startswith("#"):
            return FIRST_CREATED + int(self.born[1:])
        return crc32((self.born or self.path).encode("utf-8", "surrogateescape")) or 1

    def own_state(self) -> Any:
        """Everything of its kind that a guest can change, as a value."""
        return None

    def become(self, state: Any) -> None:
        """Put back what :meth:`own_state` returned."""


TERMINAL, TTY_GROUP = (136, 0), 5
"""The numbers of /dev/pts/0, and the group that terminals belong to by convention."""
FIRST_CREATED = 1 << 32  # inode numbers of what was created lie above all checksums


class FileNode(Node):
    """A regular file.  *shown_size* is what stat tells of a pseudo file; None: the length of its content."""

    kind = S_IFREG
    __slots__ = ("errno", "render", "shown_size")

    def __init__(
        self,
        render: Callable[[], bytes],
        permissions: int = 0o444,
        shown_size: int | None = 0,
        errno: int = 0,
    ) -> None:
        super().__init__(permissions)
        self.render, self.shown_size = render, shown_size
        self.errno = errno  # opening the file fails with this; 0: it does not

    def content(self) -> bytes:
        """The bytes as they are now; raise :class:`TreeError` if the World says that opening fails."""
        if self.errno:
            raise TreeError(self.errno)
        return self.render()

    @property
    def size(self) -> int:
        return len(self.render()) if self.shown_size is None else self.shown_size


class Link(Node):
    """A symbolic link; *to* may change while the program runs (/proc/self/fd)."""

    kind = S_IFLNK
    __slots__ = ("to",)

    def __init__(self, to: str | Callable[[], str]) -> None:
        super().__init__(0o777)
        self.to = to

    @property
    def target(self) -> str:
        """The text of the link."""
        return self.to if isinstance(self.to, str) else self.to()

    @property
    def size(self) -> int:
        return 0 if self.born.startswith("/proc/") else len(self.target.encode("utf-8", "surrogateescape"))


class Device(Node):
    """A character device by its name below /dev; what it does is the business of whoever opens it."""

    kind = S_IFCHR
    __slots__ = ("name", "rdev")

    def __init__(self, name: str, major: int, minor: int) -> None:
        super().__init__(0o666)
        self.name, self.rdev = name, (major, minor)


Entry = Node | Callable[[], Node]
"""A child of a directory, or what makes it when it is first looked up."""


class Directory(Node):
    """A directory with fixed *entries*, and entries that come and go as *find* and *more* say."""

    kind = S_IFDIR
    __slots__ = ("_entries", "_find", "_more", "_overlay")

    def __init__(
        self,
        entries: Mapping[str, Entry],
        permissions: int = 0o555,
        find: Callable[[str], Node | None] | None = None,
        more: Callable[[], Iterable[str]] | None = None,
    ) -> None:
        super().__init__(permissions)
        self._entries = dict(entries)
        self._find, self._more = find, more
        self._overlay: dict[str, Node | None] = {}

    def get(self, name: str) -> Node | None:
        """The child *name*, or None."""
        child = self._overlay[name] if name in self._overlay else self._derived(name)
        if child is not None and (child.parent is not self or child.name != name or child.gone):
            child.parent, child.name, child.gone = self, name, False
            child.born = child.born or f"{self.born}/{name}"
        return child

    def _derived(self, name: str) -> Node | None:
        entry = self._entries.get(name)
        if entry is None:
            return self._find(name) if self._find else None
        if isinstance(entry, Node):
            return entry
        node = self._entries[name] = entry()
        return node

    def put(self, name: str, node: Node | None) -> None:
        """Let *node* (None: nothing) stand for *name*, whatever else is derived there."""
        self._overlay[name] = node

    def forget(self, name: str) -> None:
        """Let *name* be what is derived there again."""
        self._overlay.pop(name, None)

    def names(self) -> list[str]:
        """The names of the children, sorted, without ``.`` and ``..``."""
        shown = [name for name, node in self._overlay.items() if node is not None]
        if self._entries or self._more:
            shown += {*self._entries, *(self._more() if self._more else ())} - self._overlay.keys()
        return sorted(shown)

    @property
    def subdirectories(self) -> int:
        """How many children are directories: st_nlink is two more."""
        return sum(1 for name in self.names() if isinstance(self.get(name), Directory))

    @property
    def links(self) -> int:
        return self.subdirectories + 2


def text(render: Callable[[], str], permissions: int = 0o444, shown_size: int | None = 0) -> FileNode:
    """A file of text, rendered when it is opened."""
    return FileNode(lambda: render().encode("utf-8", "surrogateescape"), permissions, shown_size)


def fixed(content: str | bytes, permissions: int = 0o444, shown_size: int | None = 0) -> FileNode:
    """A file whose content never changes."""
    data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    return FileNode(lambda: data, permissions, shown_size)
