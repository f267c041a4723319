"""What the guest can change: a file system in memory, over what the World wrote down and the host shows.

A node is changed in place, and :mod:`syscalls.tree.store` notes what it was before its first change.  The pages of a
file are immutable bytes that are replaced, never changed: a copy of the dictionary that holds them is a copy of the
file.  Times are the World's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from syscalls import shared
from syscalls.abi import (
    F_SEAL_FUTURE_WRITE,
    F_SEAL_GROW,
    F_SEAL_SHRINK,
    F_SEAL_WRITE,
    S_IFIFO,
    S_IFSOCK,
    SEEK_DATA,
)
from syscalls.errno import EFBIG, ENOENT, ENXIO, EPERM, SyscallError
from syscalls.light import TYPE_CHECKING, Any
from syscalls.tree.nodes import Directory, Entry, FileNode, Link, Node, TreeError
from syscalls.tree.store import PAGE, Store

if TYPE_CHECKING:
    from syscalls.space import AddressSpace

SHIFT = 12
ZEROS = bytes(PAGE)
MAX_SIZE = (1 << 63) - 1  # MAX_LFS_FILESIZE


class StoredFile(FileNode):
    """A regular file.  Until it is first written it is what *render* returns, and takes no room."""

    __slots__ = ("is_mapped", "length", "linkable", "pages", "seals", "store", "view")

    outlives = False  # it is the host's, who looks at it after the run

    def __init__(
        self,
        store: Store,
        render: Callable[[], bytes] = bytes,
        permissions: int = 0o644,
        shown_size: int | None = None,
        errno: int = 0,
    ) -> None:
        super().__init__(render, permissions, shown_size, errno)
        self.store = store
        self.pages: dict[int, bytes] | None = None  # by number; what is missing is zeros, a hole
        self.length = 0
        self.is_mapped = False  # there is, or was, a mapping of it
        self.view: tuple[AddressSpace, int] | None = None  # a shared mapping of it, found last: syscalls.shared.view
        self.linkable = False  # it never had a name, and may be given one: O_TMPFILE
        self.seals: int | None = None  # F_SEAL_*: what may not be done any more; None: it cannot be sealed

    @property
    def size(self) -> int:
        return super().size if self.pages is None else self.length

    @property
    def blocks(self) -> int | None:
        return None if self.pages is None else len(self.pages) * (PAGE // 512)

    def content(self) -> bytes:
        return super().content() if self.pages is None else self.read(0, self.length)

    def open(self, flags: int) -> None:
        """Get ready for what *flags* ask; raise what the World says that opening fails with."""
        if self.errno:
            raise TreeError(self.errno)

    def read(self, offset: int, size: int) -> bytes:
        """Return up to *size* bytes from *offset*."""
        if self.pages is None:
            return self.content()[offset : offset + size]
        self.settle()
        end = min(offset + size, self.length)
        if offset >= end:
            return b""
        first, last = offset >> SHIFT, end - 1 >> SHIFT
        at = offset & PAGE - 1
        if first == last:
            return self.pages.get(first, ZEROS)[at : at + end - offset]
        get = self.pages.get
        return b"".join([get(number, ZEROS) for number in range(first, last + 1)])[at : at + end - offset]

    def _own(self, keep: bool = True) -> dict[int, bytes]:
        # The pages, made of what is rendered when they are first needed.
        self.store.touch(self)
        if self.pages is None:
            data = self.content() if keep else b""
            self.store.charge(-(-len(data) // PAGE))
            starts = range(0, len(data), PAGE)
            self.pages = {start >> SHIFT: data[start : start + PAGE].ljust(PAGE, b"\0") for start in starts}
            self.length = len(data)
        return self.pages

    def write(self, offset: int, data: bytes) -> int:
        """Store *data* at *offset* and return how many bytes of it; raise ENOSPC or EFBIG when none fits."""
        if not data:
            return 0
        self.settle()
        if self.seals:
            self._check_seals(
                F_SEAL_WRITE | F_SEAL_FUTURE_WRITE | (F_SEAL_GROW if offset + len(data) > self.size else 0)
            )
        pages = self._own()
        data = data[: max(MAX_SIZE - offset, 0)]
        if not data:
            raise SyscallError(EFBIG)
        clean = self._clean(offset, len(data))
        done = 0
        while done < len(data):
            number, at = offset + done >> SHIFT, offset + done & PAGE - 1
            part = data[done : done + PAGE - at]
            if len(part) == PAGE:
                page = part
            else:
                old = pages.get(number, ZEROS)
                page = old[:at] + part + old[at + len(part) :]
            if number not in pages:
                try:
                    self.store.charge(1)
                except SyscallError:
                    if not done:
                        raise
                    break
            pages[number] = page
            done += len(part)
        before, self.length = self.length, max(self.length, offset + done)
        self._changed(offset, done, before, clean)
        return done

    def _clean(self, offset: int, size: int) -> shared.Clean:
        # What _changed is to be given, before so many bytes from *offset* on become others.
        return shared.untouched(self, offset, size) if self.is_mapped else []

    def _changed(self, offset: int, size: int, before: int, clean: shared.Clean) -> None:
        # So many bytes from *offset* on are others now; *before* was the size until then.
        self.store.written(self)
        if self.is_mapped:
            shared.push(self, offset, size)
            shared.grown(self, before)
            shared.show(self, clean)

    def truncate(self, size: int) -> None:
        """Let the file be *size* bytes long."""
        if size > MAX_SIZE:
            raise SyscallError(EFBIG)
        if self.seals and size != self.size:
            self._check_seals(F_SEAL_GROW if size > self.size else F_SEAL_SHRINK)
        self.settle()
        pages, before = self._own(keep=size > 0), self.length
        clean = self._clean(size, 1) if size < before else []  # the page in which it ends
        if size < before:
            self._cut(pages, size)
        self.length = size
        self._changed(min(before, size), abs(size - before), before, clean)
        if self.is_mapped and size < before:
            shared.cut(self, size)

    def sync(self) -> None:
        """Let what was written, and stored into mappings, last, as far as anything in memory does."""
        self.settle()

    def _check_seals(self, needed: int) -> None:
        if self.seals and self.seals & needed:
            raise SyscallError(EPERM)  # fcntl(2), "File Sealing"

    def _cut(self, pages: dict[int, bytes], size: int) -> None:
        keep = -(-size >> SHIFT)
        for number in [number for number in pages if number >= keep]:
            del pages[number]
            self.store.used -= 1
        tail = size & PAGE - 1
        if tail and size >> SHIFT in pages:
            pages[size >> SHIFT] = pages[size >> SHIFT][:tail].ljust(PAGE, b"\0")

    def allocate(self, offset: int, size: int, keep_size: bool) -> None:
        """Give every page of the range a place; fallocate(2)."""
        if self.seals and offset + size > self.size:
            self._check_seals(F_SEAL_GROW)
        self.settle()
        pages, before = self._own(), self.length
        missing = [n for n in range(offset >> SHIFT, (offset + size - 1 >> SHIFT) + 1) if n not in pages]
        self.store.charge(len(missing))
        pages.update(dict.fromkeys(missing, ZEROS))
        if not keep_size:
            self.length = max(self.length, offset + size)
        self._changed(before, self.length - before, before, [])

    def punch(self, offset: int, size: int) -> None:
        """Let the range be a hole; FALLOC_FL_PUNCH_HOLE."""
        self._check_seals(F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)
        self.settle()
        pages, end = self._own(), offset + size
        clean = self._clean(offset, size)
        for number in [n for n in pages if offset < n + 1 << SHIFT and n << SHIFT < end]:
            low, high = max(offset - (number << SHIFT), 0), min(end - (number << SHIFT), PAGE)
            if high - low == PAGE:
                del pages[number]
                self.store.used -= 1
            else:
                pages[number] = pages[number][:low] + bytes(high - low) + pages[number][high:]
        self._changed(offset, size, self.length, clean)

    # Shared mappings (syscalls.shared)

    def mapped(self) -> StoredFile:
        """The node that mappings of this file have, whichever it was opened by."""
        return self

    def map_shared(self, writes: bool) -> None:
        """Get ready for a shared mapping, which may be stored into if *writes*."""
        if writes:
            self._own()
        self.is_mapped = True

    def map_private(self) -> None:
        """Get ready for a private mapping."""
        self.is_mapped = True

    def settle(self) -> None:
        """Take in what was stored into shared mappings."""
        if self.is_mapped:
            shared.pull(self)

    def settled(self) -> bytes:
        """The bytes as they are, whatever may have been stored into mappings since."""
        return self.whole_pages(0, self.length + PAGE - 1 & -PAGE)[: self.length]

    def page(self, number: int) -> bytes:
        """A whole page, with zeros behind the end of the file."""
        return self.whole_pages(number << SHIFT, PAGE)

    def whole_pages(self, offset: int, size: int) -> bytes:
        """Whole pages, with zeros behind the end of the file."""
        if self.pages is None:
            return self.content()[offset : offset + size].ljust(size, b"\0")
        get = self.pages.get
        return b"".join([get(number, ZEROS) for number in range(offset >> SHIFT, offset + size >> SHIFT)])

    def absorb(self, number: int, page: bytes) -> None:
        """Let page *number* be what was stored into a mapping of it; what lies behind the end is dropped."""
        pages = self._own()
        if number not in pages:
            self.store.charge(1)
        pages[number] = page[: max(self.length - (number << SHIFT), 0)].ljust(PAGE, b"\0")
        self.store.written(self)

    def seek_hole(self, offset: int, whence: int) -> int:
        """Where the next data or hole from *offset* on starts; lseek(2)."""
        if not 0 <= offset < self.size:
            raise SyscallError(ENXIO)
        if self.pages is None:
            return offset if whence == SEEK_DATA else self.size
        number = offset >> SHIFT
        if whence == SEEK_DATA:
            after = min((n for n in self.pages if n >= number), default=None)
            if after is None or after << SHIFT >= self.length:
                raise SyscallError(ENXIO)
            return max(after << SHIFT, offset)
        while number in self.pages:
            number += 1
        return min(max(number << SHIFT, offset), self.length)

    def own_state(self) -> Any:
        return None if self.pages is None else (dict(self.pages), self.length, self.seals)

    def become(self, state: Any) -> None:
        self.pages, self.length, self.seals = (None, 0, None) if state is None else (dict(state[0]), *state[1:])


class Fifo(Node):
    """A named pipe: a place for readers and writers to meet; what goes through it is the business of the pipes."""

    kind = S_IFIFO
    __slots__ = ()


class SocketNode(Node):
    """The name of a socket of AF_UNIX."""

    kind = S_IFSOCK
    __slots__ = ()


class Folder(Directory):
    """A directory whose entries the guest may change."""

    __slots__ = ("_folders", "store")

    def __init__(
        self,
        store: Store,
        entries: Mapping[str, Entry] | None = None,
        permissions: int = 0o755,
        find: Callable[[str], Node | None] | None = None,
        more: Callable[[], Iterable[str]] | None = None,
    ) -> None:
        super().__init__(entries or {}, permissions, find, more)
        self.store = store
        self._folders: int | None = None  # how many children are directories, once counted

    def put(self, name: str, node: Node | None) -> None:
        # Each of a million entries comes and goes in the same time: nothing here looks at the others.
        if self._folders is not None:
            before = self._overlay[name] if name in self._overlay else self._derived(name)
            self._folders += isinstance(node, Directory) - isinstance(before, Directory)
        if node is None and not (self._more or self._find or name in self._entries):
            super().forget(name)  # nothing is derived that it would have to hide
        else:
            super().put(name, node)

    def forget(self, name: str) -> None:
        super().forget(name)
        self._folders = None

    @property
    def subdirectories(self) -> int:
        if self._folders is None:
            self._folders = super().subdirectories
        return self._folders

    @property
    def links(self) -> int:
        if self.gone:
            return 0
        return 1 if self._more else super().links  # as file systems say that do not count

    def is_empty(self) -> bool:
        """Say whether there is no entry."""
        if self._entries or self._more:
            return not self.names()
        return all(node is None for node in self._overlay.values())

    def attach(self, name: str, node: Node) -> None:
        """Let *name* lead to *node*, which gets one link more."""
        if self.gone:
            raise SyscallError(ENOENT)
        self.store.touch(self)
        self.store.change(node, links=self.store.meta(node).links + 1)
        self.put(name, node)
        node.parent, node.name, node.gone = self, name, False
        self.store.written(self)

    def detach(self, name: str) -> None:
        """Let *name* lead nowhere; what it led to has one link less."""
        node = self.get(name)
        assert node is not None
        self.store.touch(self)
        self.store.change(node, links=self.store.meta(node).links - 1)
        self.put(name, None)
        node.gone = True
        self.store.written(self)
        if isinstance(node, Directory) or not node.links:
            self.store.release(node)

    def move(self, name: str, target: Folder, new: str) -> None:
        """Let what *name* leads to be at *new* in *target*, in place of what is there."""
        node = self.get(name)
        assert node is not None
        if target.get(new) is not None:
            target.detach(new)
        for each in (self, target, node):
            self.store.touch(each)
        self.put(name, None)
        target.put(new, node)
        node.parent, node.name, node.gone = target, new, False
        self.store.change(node)
        self.store.written(self)
        self.store.written(target)

    def swap(self, name: str, target: Folder, new: str) -> None:
        """Exchange what *name* here and *new* in *target* lead to."""
        one, other = self.get(name), target.get(new)
        assert one is not None
        assert other is not None
        for node in (self, target, one, other):
            self.store.touch(node)
        self.put(name, other)
        target.put(new, one)
        other.parent, other.name, one.parent, one.name = self, name, target, new
        self.store.change(one)
        self.store.change(other)
        self.store.written(self)
        self.store.written(target)

    # Creating

    def _new(self, name: str, node: Node) -> None:
        if self.gone:
            raise SyscallError(ENOENT)
        self.store.adopt(node, self)
        self.attach(name, node)

    def new_file(self, name: str, permissions: int) -> StoredFile:
        """Create an empty regular file."""
        node = StoredFile(self.store, permissions=permissions)
        node.pages = {}
        self._new(name, node)
        return node

    def new_unnamed(self, permissions: int, name: str = "") -> StoredFile:
        """Create an empty regular file without a name; O_TMPFILE.  It is shown as *name*, or by its number."""
        node = StoredFile(self.store, permissions=permissions)
        node.pages = {}
        self.store.adopt(node, self)
        node.parent, node.name, node.gone, node.linkable = self, name or f"#{node.inode}", True, not name
        self.store.release(node)
        return node

    def new_folder(self, name: str, permissions: int) -> None:
        """Create an empty directory."""
        self._new(name, Folder(self.store, permissions=permissions))

    def new_link(self, name: str, target: str) -> None:
        """Create a symbolic link."""
        self._new(name, Link(target))

    def new_fifo(self, name: str, permissions: int) -> None:
        """Create a named pipe."""
        self._new(name, Fifo(permissions))

    def new_socket(self, name: str, permissions: int) -> SocketNode:
        """Create the name of a socket."""
        node = SocketNode(permissions)
        self._new(name, node)
        return node

    def own_state(self) -> Any:
        return dict(self._overlay)

    def become(self, state: Any) -> None:
        self._overlay = dict(state)
        self._folders = None
