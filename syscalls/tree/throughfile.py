"""Files of the host below a bind that writes through, and their mappings.

Stores into shared mappings get into the host's file when somebody of the guest could tell (:mod:`syscalls.shared`), and
at the latest at the end of the run.  A snapshot does not bring back what was written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from syscalls import shared
from syscalls.abi import FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, O_ACCMODE, O_RDONLY
from syscalls.light import Any
from syscalls.tree.host import READ, failing, libc
from syscalls.tree.keeper import Keeper, Live
from syscalls.tree.store import PAGE
from syscalls.tree.stored import SHIFT, StoredFile

WRITE = READ & ~os.O_RDONLY | os.O_RDWR


class ThroughFile(Live, StoredFile):
    """A regular file of the host.  *fd* is its descriptor once it is opened, by which it lives on without a name.

    Mappings are copies of it (:mod:`syscalls.shared`): one node stands for it in all of them, and *shown* has the pages
    of shared ones as they were when the two were last brought together; None while there are none.
    """

    __slots__ = ("__weakref__", "fd", "keeper", "shown", "writes")

    outlives = True

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
        clean = shared.untouched(found, offset, size) if found is not None else []
        with failing():
            yield
        self._noted()
        if found is not None and found.is_mapped:
            first, last = offset >> SHIFT, offset + size >> SHIFT
            if found.shown:
                found.shown = {number: page for number, page in found.shown.items() if not first <= number <= last}
            shared.push(found, offset, size)
            shared.grown(found, before)
            shared.show(found, clean)
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
        now = self._read(start, len(page))
        size = len(now)
        new = page[:size] if now == old[:size] else shared.merged(now, old[:size], page[:size])
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
