"""Binds that write through: what the guest does below one is done to the host's files, and to nothing else.

Every call goes through a descriptor of the bound folder and never follows a link (:mod:`syscalls.tree.host`).  Owners
are the World's; times are the World's too, of the guest's own changes or of its beginning, as what the host's files say
would differ from run to run.  Numbers of files are given out in the order in which they are met.  Devices, pipes and
set-user-ID programs cannot be made.  A snapshot does not bring back what was written.  Stores into shared mappings get
into the host's file when somebody of the guest could tell (:mod:`syscalls.shared`), and at the latest at the end.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakValueDictionary

from syscalls import shared
from syscalls.abi import (
    FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_PUNCH_HOLE,
    O_ACCMODE,
    O_RDONLY,
    RENAME_EXCHANGE,
    S_ISGID,
    S_ISUID,
)
from syscalls.errno import ENOENT, EOPNOTSUPP, EPERM, EXDEV, SyscallError
from syscalls.light import Any
from syscalls.tree.host import READ, STEP, HostRoot, Parts, failing, libc
from syscalls.tree.nodes import Link, Meta, Node
from syscalls.tree.store import PAGE, Store
from syscalls.tree.stored import SHIFT, Folder, StoredFile

FIRST_NUMBER = 1 << 33
CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
WRITE = READ & ~os.O_RDONLY | os.O_RDWR
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
            if isinstance(node, ThroughFile) and node.fd is not None:
                fd = os.dup(node.fd)
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
    while isinstance(node.parent, ThroughFolder) and node.parent.keeper is keeper:
        names.append(node.name)
        node = node.parent
    return tuple(reversed(names))


def keeper_of(node: Node) -> Keeper | None:
    """The keeper of *node*, or None for what is in memory: also below such a bind, if the World put it there."""
    if isinstance(node, ThroughFile | ThroughFolder):
        return node.keeper
    here = node.parent
    if isinstance(node, Link) and isinstance(here, ThroughFolder) and not here.is_covered(node.name):
        return here.keeper
    return None


def through(keeper: Keeper, parts: Parts, status: os.stat_result) -> Node:
    """A node for what lies at *parts*, of which the host says *status*."""
    if stat.S_ISDIR(status.st_mode):
        return ThroughFolder(keeper)
    if stat.S_ISREG(status.st_mode):
        return ThroughFile(keeper)
    link = Link(keeper.root.link(parts))
    link.meta = keeper.meta(status)
    return link


class _Live:
    # Node's values, asked of the host each time.
    __slots__ = ()

    keeper: Keeper

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


class ThroughFile(_Live, StoredFile):
    """A regular file of the host.  *fd* is its descriptor once it is opened, by which it lives on without a name.

    Mappings are copies of it (:mod:`syscalls.shared`): one node stands for it in all of them, and *shown* has the pages
    of shared ones as they were when the two were last brought together; None while there are none.
    """

    __slots__ = ("__weakref__", "fd", "keeper", "shown", "writes")

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.shown: dict[int, bytes] | None = None  # by number
        self.fd: int | None = None
        self.writes = False
        super().__init__(keeper.store, bytes, 0)
        self.pages = {}

    def __del__(self) -> None:
        if self.fd is not None:
            os.close(self.fd)

    def status(self) -> os.stat_result:
        return super().status() if self.fd is None else os.fstat(self.fd)

    def open(self, flags: int) -> None:
        """Open the host's file for what *flags* ask."""
        self._descriptor(writes=flags & O_ACCMODE != O_RDONLY)

    def _descriptor(self, writes: bool = False) -> int:
        if self.fd is None or (writes and not self.writes):
            fd = self.keeper.root.open(self.parts, WRITE if writes else READ)
            if self.fd is not None:
                os.close(self.fd)
            self.fd, self.writes = fd, writes
        return self.fd

    @property
    def links(self) -> int:
        return self.status().st_nlink

    @property
    def size(self) -> int:
        return self.status().st_size

    @property
    def length(self) -> int:
        return self.size

    @length.setter
    def length(self, value: int) -> None:
        return  # StoredFile's own beginning

    def content(self) -> bytes:
        return self.read(0, self.size)

    def read(self, offset: int, size: int) -> bytes:
        self._settled_node()
        return self._read(offset, size)

    def _read(self, offset: int, size: int) -> bytes:
        with failing():
            return os.pread(self._descriptor(), size, offset)

    def write(self, offset: int, data: bytes) -> int:
        if not data:
            return 0
        with self._changing(offset, len(data)):
            return os.pwrite(self._descriptor(writes=True), data, offset)

    def truncate(self, size: int) -> None:
        before = self.size
        with self._changing(min(before, size), abs(size - before)):
            os.ftruncate(self._descriptor(writes=True), size)

    def allocate(self, offset: int, size: int, keep_size: bool) -> None:
        self._fallocate(FALLOC_FL_KEEP_SIZE if keep_size else 0, offset, size)

    def punch(self, offset: int, size: int) -> None:
        self._fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size)

    def _fallocate(self, mode: int, offset: int, size: int) -> None:
        with self._changing(offset, size):
            libc("fallocate64", self._descriptor(writes=True), mode, offset, size)

    def seek_hole(self, offset: int, whence: int) -> int:
        self._settled_node()
        with failing():
            return os.lseek(self._descriptor(), offset, whence)

    def sync(self) -> None:
        self._settled_node()
        with failing():
            os.fsync(self._descriptor())

    # Mappings

    def mapped(self) -> ThroughFile:
        found = self._settled_node() or self
        if found is self:
            self._descriptor()
            status = self.status()
            self.keeper.mapped[status.st_dev, status.st_ino] = self
        elif self.writes and not found.writes:  # one that may be stored into from now on
            assert self.fd is not None
            with failing():
                fd = os.dup(self.fd)
            if found.fd is not None:
                os.close(found.fd)
            found.fd, found.writes = fd, True
        if found.shown and next(shared.mappings(found), None) is None:
            found.shown = None  # what others wrote since is to be seen
        return found

    def map_shared(self, writes: bool) -> None:
        self.store.touch(self)
        self.is_mapped = True
        self.shown = self.shown or {}

    def _settled_node(self) -> ThroughFile | None:
        # The node that mappings of this file have, what was stored into them taken in; None if there are none.
        if not self.keeper.mapped:
            return None
        status = self.status()
        found = self.keeper.mapped.get((status.st_dev, status.st_ino))
        if found is not None:
            found.settle()
        return found

    @contextmanager
    def _changing(self, offset: int, size: int) -> Iterator[None]:
        # The host's file is changed from *offset* on, *size* bytes of it: then its mappings are, too.
        found = self._settled_node()
        before = self.size if found is not None else 0
        with failing():
            yield
        self._noted()
        if found is not None and found.is_mapped:
            first, last = offset >> SHIFT, offset + size >> SHIFT
            if found.shown:
                found.shown = {number: page for number, page in found.shown.items() if not first <= number <= last}
            shared.push(found, offset, size)
            shared.grown(found, before)
            if self.size < before:
                shared.cut(found, self.size)

    def whole_pages(self, offset: int, size: int) -> bytes:
        shown, numbers = self.shown, range(offset >> SHIFT, offset + size >> SHIFT)
        if shown is None or any(number not in shown for number in numbers):
            data = self._read(offset, size).ljust(size, b"\0")
            if shown is None:
                return data
            for index, number in enumerate(numbers):
                shown.setdefault(number, data[index << SHIFT : index + 1 << SHIFT])
        return b"".join([shown[number] for number in numbers])

    def absorb(self, number: int, page: bytes) -> None:
        """Write what was stored into a mapping of page *number*, and nothing else of it, as others may have."""
        start, old = number << SHIFT, self.page(number)
        page = page[: max(self.size - start, 0)]
        now = self._read(start, PAGE)
        new = page if now == old[: len(now)] else shared.merged(now[: len(page)], old[: len(now)], page[: len(now)])
        with failing():
            done = os.pwrite(self._descriptor(writes=True), new, start)
            if done < len(new):
                os.pwrite(self._descriptor(writes=True), new[done:], start + done)
        if self.shown is not None:
            self.shown[number] = page.ljust(PAGE, b"\0")
        self._noted()

    def own_state(self) -> Any:
        """What a snapshot holds: the pages that mappings had, not the host's file."""
        return None if self.shown is None else (dict(self.shown), 0, None)

    def become(self, state: Any) -> None:
        self.shown = None if state is None else dict(state[0])

    def _noted(self) -> None:
        self.keeper.changed(self.status(), "mtime")


class ThroughFolder(_Live, Folder):
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
