"""Open files: what a descriptor refers to, and dup shares.  One class a kind of file.

open(2) calls this an open file description.  The bytes of a file of procfs or sysfs are a snapshot taken when it was
opened; those of a file that can be written are the node's own.
"""

from __future__ import annotations

from collections.abc import Callable

from syscalls import abi
from syscalls.errno import EAGAIN, EBADF, EINVAL, EIO, EISDIR, ENODEV, ENOSPC, ENOTTY, ENXIO, ESPIPE, SyscallError
from syscalls.files.kept import Kept
from syscalls.guest import PAGE
from syscalls.light import TYPE_CHECKING, NamedTuple
from syscalls.waits import Blocked, Channel, Wait

if TYPE_CHECKING:
    from syscalls import tree
    from syscalls.files.pollable import Watch
    from syscalls.kernel import Kernel
    from syscalls.tree import Node, StoredFile
    from syscalls.vma import Backing

PROC, SYSFS, DISK = "proc", "sysfs", "disk"
"""The kinds of file systems, whose regular files are sized, sought, mapped and written differently."""

STDIN: Channel = ("standard input",)
"""What is woken when there is more of it, or its end was seen."""

KEYS: Channel = ("the terminal",)
"""The same for a terminal that standard input is not."""

PIPE_DEVICE = (0, 14)


class Input(NamedTuple):
    """Where bytes come from outside: see ``stdin`` and ``has_input`` of the kernel."""

    take: Callable[[int], bytes | None]
    has: Callable[[bool], bool]


class Facts(NamedTuple):
    """What stat says of a file."""

    place: str  # its path in the guest's tree, without symbolic links
    mode: int  # type and permissions: S_IFREG | 0o444
    size: int
    inode: int
    device: tuple[int, int]  # of the file system: st_dev
    links: int = 1
    rdev: tuple[int, int] = (0, 0)
    filesystem: str = DISK
    owner: tuple[int, int] = (0, 0)  # user, group
    times: tuple[int, int, int, int] | None = None  # atime, mtime, ctime, birth; None: the World's beginning
    blocks: int | None = None  # of 512 bytes; None: as many as the size needs


def described(node: Node, device: tuple[int, int], rdev: tuple[int, int], filesystem: str) -> Facts:
    """Return what *node*, which lies on *device*, is now."""
    meta = node.meta
    owner = (meta.uid, meta.gid) if meta else (0, 0)
    times = (meta.atime, meta.mtime, meta.ctime, meta.birth) if meta else None
    return Facts(
        node.place, node.mode, node.size, node.inode, device, node.links, rdev, filesystem, owner, times, node.blocks
    )


def live(facts: Facts, node: Node) -> Facts:
    """Return *facts*, which were right once, with what *node* is now."""
    return described(node, facts.device, facts.rdev, facts.filesystem)._replace(inode=facts.inode)


class OpenFile(Kept):
    """An open file.

    *path* is spelled as it was opened, *position* is where the next read happens, *flags* are what F_GETFL shows.
    *node* is what the guest's tree has for it, if that can change.  *refs* counts the descriptors that refer to it;
    *watchers* are the epoll instances that do.
    """

    __slots__ = ("_facts", "flags", "node", "path", "position", "refs", "watchers")

    seekable = True

    def __init__(self, path: bytes, flags: int, facts: Facts, node: Node | None = None) -> None:
        self.path, self.flags, self._facts, self.node = path, flags, facts, node
        self.position = self.refs = 0
        self.watchers: list[Watch] = []

    @property
    def pollable(self) -> bool:
        """Whether epoll takes it; poll(2) takes every file."""
        return False

    def ready(self, k: Kernel) -> int:
        """Return what can be done without waiting, as poll(2)'s events."""
        return abi.POLLIN | abi.POLLOUT | abi.POLLRDNORM | abi.POLLWRNORM

    def channels(self, events: int) -> tuple[Channel, ...]:
        """Return what to wait on for *events*; nothing where :meth:`ready` never changes."""
        return ()

    def released(self, k: Kernel) -> None:
        """Learn that the last descriptor was closed."""
        for watch in list(self.watchers):
            watch.epoll.forget(watch)
        if k.locks:
            from syscalls.files.locks import released

            released(k, self)

    def ioctl(self, k: Kernel, request: int, arg: int) -> int:
        """Do what *request* asks of this kind of file; raise ENOTTY."""
        raise SyscallError(ENOTTY)

    @property
    def facts(self) -> Facts:
        """What stat says of it now."""
        return self._facts if self.node is None else live(self._facts, self.node)

    @property
    def place(self) -> str:
        """Where it is now; of :attr:`facts` this alone may be asked while a folder lists the open files."""
        return self._facts.place if self.node is None else self.node.place

    @property
    def readable(self) -> bool:
        """Whether it was opened for reading."""
        return self.flags & abi.O_ACCMODE != abi.O_WRONLY and not self.flags & abi.O_PATH

    @property
    def writable(self) -> bool:
        """Whether it was opened for writing."""
        return self.flags & abi.O_ACCMODE in (abi.O_WRONLY, abi.O_RDWR) and not self.flags & abi.O_PATH

    def read(self, k: Kernel, offset: int, size: int) -> bytes:
        """Return up to *size* bytes from *offset*; none at the end."""
        raise SyscallError(EINVAL)

    def write(self, k: Kernel, data: bytes) -> int:
        """Take *data* and return how many bytes of it were written."""
        raise SyscallError(EINVAL)

    def write_at(self, k: Kernel, offset: int, data: bytes) -> int:
        """Take *data* for *offset*, which only files with contents care about."""
        return self.write(k, data)

    def write_start(self) -> int:
        """Return where the next write happens."""
        return self.position

    def seek(self, offset: int, whence: int) -> int:
        """Return the position that lseek(*offset*, *whence*) leads to."""
        if whence == abi.SEEK_CUR:
            offset += self.position
        elif whence == abi.SEEK_END:
            offset += self.end()
        elif whence in (abi.SEEK_DATA, abi.SEEK_HOLE):
            offset = self.seek_hole(offset, whence)
        elif whence != abi.SEEK_SET:
            raise SyscallError(EINVAL)
        if offset < 0:
            raise SyscallError(EINVAL)
        return offset

    def end(self) -> int:
        """Return where SEEK_END counts from; raise EINVAL where there is no end."""
        raise SyscallError(EINVAL)

    def seek_hole(self, offset: int, whence: int) -> int:
        """Return where the next data or hole from *offset* on starts."""
        raise SyscallError(EINVAL)

    def mapping(self) -> Backing | None:
        """Return what mmap maps: a file, or None for zeros; raise ENODEV for what cannot be mapped."""
        raise SyscallError(ENODEV)


class Regular(OpenFile):
    """A regular file of procfs or sysfs."""

    __slots__ = ("data",)

    def __init__(self, path: bytes, flags: int, facts: Facts, data: bytes) -> None:
        super().__init__(path, flags, facts)
        self.data = data

    def read(self, k: Kernel, offset: int, size: int) -> bytes:
        return self.data[offset : offset + size]

    @property
    def pollable(self) -> bool:
        return self.facts.filesystem != DISK  # proc_reg_poll, kernfs_fop_poll

    def write(self, k: Kernel, data: bytes) -> int:
        raise SyscallError(EIO)  # only files of procfs are ever open for writing: proc_reg_write without a handler

    def seek(self, offset: int, whence: int) -> int:
        offset = super().seek(offset, whence)
        if self.facts.filesystem == SYSFS and offset > 1 << 31:
            raise SyscallError(EINVAL)
        return offset

    def end(self) -> int:
        if self.facts.filesystem == PROC:
            raise SyscallError(EINVAL)  # seq_lseek knows no end
        return self.facts.size

    def seek_hole(self, offset: int, whence: int) -> int:
        if self.facts.filesystem == PROC:
            raise SyscallError(EINVAL)
        if not 0 <= offset < self.facts.size:
            raise SyscallError(ENXIO)
        return offset if whence == abi.SEEK_DATA else self.facts.size


class Plain(OpenFile):
    """A regular file that the guest may write, if its permissions allow it."""

    __slots__ = ("base", "stored")

    def __init__(self, path: bytes, flags: int, facts: Facts, node: StoredFile, base: bytes | None = None) -> None:
        """Open *node*; *base* is what it holds while nobody has written it, if that is not to be looked at now."""
        super().__init__(path, flags, facts, node)
        self.stored = node
        if base is None:
            base = node.content() if node.pages is None else b""
        self.base = base

    def read(self, k: Kernel, offset: int, size: int) -> bytes:
        if self.stored.pages is None:
            return self.base[offset : offset + size]
        return self.stored.read(offset, size)

    def write_at(self, k: Kernel, offset: int, data: bytes) -> int:
        return self.stored.write(offset, data)

    def write_start(self) -> int:
        return self.stored.size if self.flags & abi.O_APPEND else self.position

    def end(self) -> int:
        return self.stored.size

    def seek_hole(self, offset: int, whence: int) -> int:
        return self.stored.seek_hole(offset, whence)

    def mapping(self) -> Backing | None:
        return FileBacking(self.facts, self._content, self.stored.mapped(), self.writable)

    def _content(self) -> bytes:
        return self.base if self.stored.pages is None else self.stored.mapped().settled()


class FileBacking:
    """The bytes of a regular file, behind a mapping that may outlive its descriptor."""

    def __init__(
        self, facts: Facts, content: Callable[[], bytes], stored: StoredFile | None = None, writable: bool = False
    ) -> None:
        self.path, self.device, self.inode = facts.place, facts.device, facts.inode
        self.content, self.stored, self.writable = content, stored, writable

    def part(self, offset: int, size: int) -> bytes:
        """Return up to *size* bytes from *offset*, a multiple of a page, on."""
        if self.stored is None or self.stored.pages is None:
            return self.content()[offset : offset + size]
        end = min(offset + size, self.stored.size)
        return self.stored.whole_pages(offset, end - offset + PAGE - 1 & -PAGE)[: end - offset] if offset < end else b""

    def end(self) -> int | None:
        """Return how many bytes there are now."""
        return len(self.content()) if self.stored is None else self.stored.size


class Directory(OpenFile):
    """A directory; *names* are its entries, sorted, as they were when the listing began."""

    __slots__ = ("folder", "names")

    def __init__(self, path: bytes, flags: int, facts: Facts, node: tree.Directory) -> None:
        super().__init__(path, flags, facts, node)
        self.folder = node
        self.names: tuple[str, ...] = ()

    def read(self, k: Kernel, offset: int, size: int) -> bytes:
        raise SyscallError(EISDIR)


class PathOnly(OpenFile):
    """A file opened with O_PATH: it has a place and facts, and no contents.  open(2)."""

    __slots__ = ()

    seekable = False

    def read(self, k: Kernel, offset: int, size: int) -> bytes:
        raise SyscallError(EBADF)

    def write(self, k: Kernel, data: bytes) -> int:
        raise SyscallError(EBADF)


class Device(OpenFile):
    """A memory device: ``null``, ``zero``, ``full``, ``random`` or ``urandom``; null(4), full(4), random(4)."""

    __slots__ = ("name",)

    def __init__(self, path: bytes, flags: int, facts: Facts, name: str, node: Node | None = None) -> None:
        super().__init__(path, flags, facts, node)
        self.name = name

    def read(self, k: Kernel, offset: int, size: int) -> bytes:
        if self.name == "null":
            return b""
        return bytes(size) if self.name in ("zero", "full") else k.entropy.take(size)

    def write(self, k: Kernel, data: bytes) -> int:
        if self.name == "full" and data:
            raise SyscallError(ENOSPC)
        return len(data)  # null and zero drop it; what is written to random does not change the stream

    def seek(self, offset: int, whence: int) -> int:
        return 0  # null_lseek, and noop_llseek from the start

    def mapping(self) -> Backing | None:
        if self.name == "zero":
            return None
        raise SyscallError(ENODEV)


class Stream(OpenFile):
    """Standard input (0), output (1) or error (2): one end of a pipe, unless *facts* say what it is."""

    __slots__ = ("number",)

    seekable = False

    def __init__(self, number: int, flags: int | None = None, facts: Facts | None = None) -> None:
        if facts is None:
            facts = Facts(f"pipe:[{100 + number}]", abi.S_IFIFO | 0o600, 0, 100 + number, PIPE_DEVICE)
        if flags is None:
            flags = abi.O_WRONLY if number else abi.O_RDONLY
        super().__init__(facts.place.encode(), flags, facts)
        self.number = number

    def look(self, k: Kernel) -> None:
        """Ask the world outside whether there is something to read: what a program does that does not wait for it."""
        if not self.number and k.has_input is not None:
            k.has_input(True)

    @property
    def pollable(self) -> bool:
        return True

    def read(self, k: Kernel, offset: int, size: int) -> bytes:
        if k.stdin is None or not size:
            return b""
        data = k.stdin(size)
        if data is None:
            if not self.flags & abi.O_NONBLOCK:
                raise Blocked(Wait("standard input", (STDIN,), data=size))
            self.look(k)
            data = k.stdin(size)
            if data is None:
                raise SyscallError(EAGAIN)
        return data

    def write(self, k: Kernel, data: bytes) -> int:
        try:
            k.write_output(self.number, data)
        except OSError as error:  # of the host: nobody reads any more, the disk is full
            raise SyscallError(error.errno or EIO) from error
        return len(data)

    def ready(self, k: Kernel) -> int:
        if self.number:
            return abi.POLLOUT | abi.POLLWRNORM
        return abi.POLLIN | abi.POLLRDNORM if k.has_input is None or k.has_input(False) else 0

    def channels(self, events: int) -> tuple[Channel, ...]:
        return () if self.number else (STDIN,)

    def seek(self, offset: int, whence: int) -> int:
        raise SyscallError(ESPIPE)
