"""The accounts of what the guest changed of its files: what each was at first, how much is stored, who and when.

A node is changed in place (:mod:`syscalls.tree.stored`), and :class:`Store` notes what it was before its first change,
so that a snapshot costs what was written and nothing where nothing was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from syscalls.abi import S_ISGID
from syscalls.errno import ENOSPC, SyscallError
from syscalls.light import TYPE_CHECKING, Any
from syscalls.tree.nodes import Directory, Meta, Node

if TYPE_CHECKING:
    from syscalls.space import AddressSpace
    from syscalls.tree.stored import Folder

PAGE = 4096
NodeState = tuple[Any, ...]


class StoreState:
    """What :meth:`Store.save` returns: nodes with what they were at first (None: created) and what they are."""

    __slots__ = ("created", "nodes", "used")

    def __init__(self, nodes: tuple[tuple[Node, NodeState | None, NodeState], ...], used: int, created: int) -> None:
        self.nodes, self.used, self.created = nodes, used, created


def state_of(node: Node) -> NodeState:
    """Everything of *node* that a guest can change."""
    return node.permissions, node.meta, node.parent, node.name, node.gone, node.own_state()


def restore_node(node: Node, state: NodeState) -> None:
    """Put back what :func:`state_of` returned."""
    node.permissions, node.meta, node.parent, node.name, node.gone, own = state
    node.become(own)


class Store:
    """The accounts of one tree: what was changed, how much is stored, who and when."""

    def __init__(
        self,
        begin: int,
        limit: int,
        now: Callable[[], int],
        who: Callable[[], tuple[int, int]],
        opened: Callable[[], Iterable[Node]],
        spaces: Callable[[], Iterable[AddressSpace]],
    ) -> None:
        """Allow *limit* bytes of file contents, and a file for each page of that, as tmpfs does.

        *begin* and *now* are times, *who* gives the user and group that create files, and *opened* the nodes that are
        open, which live on when their last name is gone; *spaces* are where files may be mapped.
        """
        self.now, self.who, self._opened, self.spaces = now, who, opened, spaces
        self.limit = limit // PAGE
        self.original = Meta(0, 0, begin, begin, begin, begin)
        self.used = self.created = 0
        self.touched: dict[Node, NodeState | None] = {}
        self.lost: dict[str, Directory] = {}  # working directories that were removed, by what they are called now

    # Changing

    def touch(self, node: Node) -> None:
        """Note what *node* is, which is about to change; of what only its openers still know, nothing is noted."""
        if node not in self.touched and not (node.gone and not node.links and node.born.startswith("#")):
            self.touched[node] = state_of(node)

    def meta(self, node: Node) -> Meta:
        """What is kept of *node*."""
        return node.meta or self.original

    def change(self, node: Node, **values: Any) -> None:
        """Change what is kept of *node*; its ctime is now."""
        self.touch(node)
        node.meta = self.meta(node)._replace(**{"ctime": self.now()} | values)

    def set_mode(self, node: Node, permissions: int) -> None:
        """Give *node* other permissions."""
        self.change(node)
        node.permissions = permissions

    def set_owner(self, node: Node, user: int, group: int) -> None:
        """Give *node* another owner."""
        self.change(node, uid=user, gid=group)

    def set_times(self, node: Node, atime: int | None, mtime: int | None) -> None:
        """Set when *node* was read and written, in nanoseconds; None leaves it."""
        given = {"atime": atime, "mtime": mtime}
        self.change(node, **{name: value for name, value in given.items() if value is not None})

    def written(self, node: Node) -> None:
        """Let the contents of *node* be changed now."""
        self.touch(node)
        now = self.now()
        node.meta = self.meta(node)._replace(mtime=now, ctime=now)

    def adopt(self, node: Node, folder: Folder) -> None:
        """Make *node*, which is new, a file of whoever runs, to be put into *folder*; raise ENOSPC."""
        if len(self.touched) >= self.limit:
            raise SyscallError(ENOSPC)
        user, group = self.who()
        if folder.permissions & S_ISGID:  # inode_init_owner
            group = self.meta(folder).gid
            if isinstance(node, Directory):
                node.permissions |= S_ISGID
        now = self.now()
        node.meta = Meta(user, group, now, now, now, now, 0)
        self.created += 1
        node.born = f"#{self.created}"
        self.touched[node] = None

    def release(self, node: Node) -> None:
        """Let go of *node*, whose last name is gone: one that was created is nobody's now but its openers'."""
        if self.touched.get(node, ()) is None:
            del self.touched[node]

    def charge(self, pages: int) -> None:
        """Account for *pages* more; raise ENOSPC where there is no room."""
        if self.used + pages > self.limit:
            self.used = self._recounted()  # files that are gone may have left room
            if self.used + pages > self.limit:
                raise SyscallError(ENOSPC)
        self.used += pages

    def _recounted(self) -> int:
        live = dict.fromkeys(node for node in self.touched if node.links)
        live.update(dict.fromkeys(self._opened()))
        return sum(len(getattr(node, "pages", None) or ()) for node in live)

    @property
    def free(self) -> int:
        """Pages that can still be written."""
        self.used = self._recounted()
        return max(self.limit - self.used, 0)

    # Snapshots

    def save(self) -> StoreState | None:
        """Everything that was changed, as a value; None while nothing was."""
        if not self.created and not self.touched:
            return None
        nodes = dict(self.touched)
        for node in self._opened():
            if node.born.startswith("#"):
                nodes.setdefault(node, None)  # open, and without a name
        kept = tuple((node, before, state_of(node)) for node, before in nodes.items())
        return StoreState(kept, self.used, self.created)

    def restore(self, state: StoreState | None) -> None:
        """Put back what :meth:`save` returned."""
        if state is None and not self.created and not self.touched:
            return
        kept = {node for node, _, _ in state.nodes} if state else set()
        for node in [node for node in self.touched if node not in kept]:
            before = self.touched.pop(node)
            if before is not None:
                restore_node(node, before)
        self.used, self.created = (state.used, state.created) if state else (0, 0)
        for node, before, now in state.nodes if state else ():
            self.touched[node] = before
            restore_node(node, now)
