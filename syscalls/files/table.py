"""The descriptor table: small numbers, the lowest free one first, and the files that they refer to."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable

from syscalls import abi
from syscalls.errno import EBADF, EINVAL, EMFILE, EPERM, SyscallError
from syscalls.files import kept, locks
from syscalls.files.opened import OpenFile, Plain, Stream
from syscalls.light import TYPE_CHECKING

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task


FileTableState = tuple[dict[int, OpenFile], kept.Snapshot, set[int]]
"""Descriptors, the values of each file and of what it holds, and the descriptors that close on exec."""


class FileTable:
    """The descriptors of the process."""

    __slots__ = ("_close_on_exec", "_files", "_let_go", "_rlimits")

    def __init__(
        self, rlimits: list[tuple[int, int]], let_go: Callable[[OpenFile], None], closed: Container[int] = ()
    ) -> None:
        """Open 0, 1 and 2, but those that are *closed*.  *rlimits* are those of the process, which change in place.

        *let_go* is told of each file that no descriptor of any table refers to any more.
        """
        self._files: dict[int, OpenFile] = {}
        self._close_on_exec: set[int] = set()
        self._rlimits, self._let_go = rlimits, let_go
        for fd in (0, 1, 2):
            if fd not in closed:
                self.put(fd, Stream(fd))

    def copy(self, rlimits: list[tuple[int, int]]) -> FileTable:
        """Return a table of the same files for another process, whose limits are *rlimits*."""
        other = FileTable(rlimits, self._let_go, (0, 1, 2))
        for fd, file in self._files.items():
            other.put(fd, file, fd in self._close_on_exec)
        return other

    def close_on_exec(self) -> list[int]:
        """Return the descriptors on which FD_CLOEXEC is set, in order."""
        return sorted(self._close_on_exec)

    def get(self, fd: int) -> OpenFile:
        """Return the file behind *fd*; raise EBADF."""
        try:
            return self._files[fd]
        except KeyError:
            raise SyscallError(EBADF) from None

    def usable(self, fd: int) -> OpenFile:
        """Return the file behind *fd*; raise EBADF, also where it was opened with O_PATH: that has only a place."""
        file = self.get(fd)
        if file.flags & abi.O_PATH:
            raise SyscallError(EBADF)
        return file

    def is_open(self, fd: int) -> bool:
        """Say whether *fd* refers to a file."""
        return fd in self._files

    def path_of(self, fd: int) -> bytes | None:
        """Return the path that *fd* was opened from, or None when it is closed."""
        file = self._files.get(fd)
        return file.path if file else None

    def lowest(self, start: int = 0) -> int:
        """Return the lowest free descriptor from *start* on; raise EMFILE at RLIMIT_NOFILE."""
        while start in self._files:
            start += 1
        if start >= self.limit:
            raise SyscallError(EMFILE)
        return start

    @property
    def limit(self) -> int:
        """One more than the largest descriptor allowed: the soft RLIMIT_NOFILE."""
        return self._rlimits[abi.RLIMIT_NOFILE][0]

    def put(self, fd: int, file: OpenFile, close_on_exec: bool = False) -> int:
        """Let *fd* refer to *file*, whatever it referred to, and return it."""
        before = self._files.get(fd)
        file.refs += 1
        self._files[fd] = file
        if close_on_exec:
            self._close_on_exec.add(fd)
        else:
            self._close_on_exec.discard(fd)
        if before is not None:
            self.let_go(before)
        return fd

    def put_pair(self, k: Kernel, addr: int, first: OpenFile, second: OpenFile, close_on_exec: bool) -> None:
        """Open two files at once and store their descriptors at *addr*; open neither if that fails."""
        low = self.lowest()
        high = self.lowest(low + 1)
        k.mem.write(addr, abi.U32.pack(low) + abi.U32.pack(high))
        self.put(low, first, close_on_exec)
        self.put(high, second, close_on_exec)

    def let_go(self, file: OpenFile) -> None:
        """Count one reference to *file* less."""
        file.refs -= 1
        if not file.refs:
            self._let_go(file)

    def drop(self, fd: int) -> None:
        """Close *fd*; raise EBADF."""
        file = self.get(fd)
        del self._files[fd]
        self._close_on_exec.discard(fd)
        self.let_go(file)

    def clear(self) -> None:
        """Close every descriptor, the lowest first."""
        for fd in self.fds():
            self.drop(fd)

    def open_files(self) -> Iterable[OpenFile]:
        """Return the open files, those with several descriptors several times."""
        return self._files.values()

    def fds(self) -> list[int]:
        """Return the open descriptors, in order."""
        return sorted(self._files)

    def closes_on_exec(self, fd: int) -> bool:
        """Say whether FD_CLOEXEC is set on *fd*."""
        return fd in self._close_on_exec

    def state(self, others: Iterable[kept.Kept] = ()) -> FileTableState:
        """Return a copy of everything that can change, here and in the *others*."""
        return dict(self._files), kept.snapshot((*self._files.values(), *others)), set(self._close_on_exec)

    def restore(self, state: FileTableState) -> None:
        """Put back what :meth:`state` returned."""
        files, values, close_on_exec = state
        self._files, self._close_on_exec = dict(files), set(close_on_exec)
        kept.restore(values)


def close(k: Kernel, t: Task, fd: int) -> int:
    """Close *fd*; close(2)."""
    file = k.files.get(fd)
    k.files.drop(fd)
    locks.closed(k, file)
    return 0


def close_range(k: Kernel, t: Task, first: int, last: int, flags: int) -> int:
    """Close, or with CLOSE_RANGE_CLOEXEC (4) mark, the descriptors *first* to *last*; close_range(2)."""
    if flags & ~6 or first > last:
        raise SyscallError(EINVAL)
    for fd in k.files.fds():
        if first <= fd <= last:
            if flags & 4:
                k.files.put(fd, k.files.get(fd), close_on_exec=True)
            else:
                close(k, t, fd)
    return 0


def dup(k: Kernel, t: Task, fd: int) -> int:
    """Return the lowest free descriptor, made to refer to the file of *fd*; dup(2)."""
    file = k.files.get(fd)
    return k.files.put(k.files.lowest(), file)


def dup2(k: Kernel, t: Task, fd: int, new: int) -> int:
    """Make *new* refer to the file of *fd*, closing what it was; dup2(2)."""
    file = k.files.get(fd)
    if fd == new:
        return new
    return replace_fd(k, file, new, close_on_exec=False)


def dup3(k: Kernel, t: Task, fd: int, new: int, flags: int) -> int:
    """Like dup2, but for the same number twice (EINVAL) and with O_CLOEXEC in *flags*; dup3(2)."""
    if flags & ~abi.O_CLOEXEC or fd == new:
        raise SyscallError(EINVAL)
    if not 0 <= new < k.files.limit:
        raise SyscallError(EBADF)
    return replace_fd(k, k.files.get(fd), new, close_on_exec=bool(flags))


def replace_fd(k: Kernel, file: OpenFile, new: int, close_on_exec: bool) -> int:
    """Let *new* refer to *file*; EBADF when the number is out of range."""
    if not 0 <= new < k.files.limit:
        raise SyscallError(EBADF)
    if k.files.is_open(new):
        locks.closed(k, k.files.get(new))
    return k.files.put(new, file, close_on_exec)


SETTABLE = abi.O_APPEND | abi.O_NONBLOCK | abi.O_ASYNC | abi.O_DIRECT | abi.O_NOATIME
"""What F_SETFL can change: fcntl(2)."""


def fcntl(k: Kernel, t: Task, fd: int, command: int, arg: int) -> int:
    """Operate on a descriptor; fcntl(2).  Commands that are not listed (leases, signals) are EINVAL."""
    file = k.files.get(fd)
    path_only = file.flags & abi.O_PATH
    if command in (abi.F_DUPFD, abi.F_DUPFD_CLOEXEC):
        if arg >= k.files.limit:
            raise SyscallError(EINVAL)
        return k.files.put(k.files.lowest(arg), file, command == abi.F_DUPFD_CLOEXEC)
    if command == abi.F_GETFD:
        return abi.FD_CLOEXEC if k.files.closes_on_exec(fd) else 0
    if command == abi.F_SETFD:
        k.files.put(fd, file, bool(arg & abi.FD_CLOEXEC))
        return 0
    if command == abi.F_GETFL:
        return file.flags
    if path_only:
        raise SyscallError(EBADF)
    if command == abi.F_SETFL:
        file.flags = file.flags & ~SETTABLE | arg & SETTABLE
        return 0
    if command in locks.RECORD_COMMANDS:
        return locks.record_lock(k, t, file, command, arg)
    if command in (abi.F_ADD_SEALS, abi.F_GET_SEALS):
        return seal(file, arg if command == abi.F_ADD_SEALS else None)
    if command in (abi.F_GETPIPE_SZ, abi.F_SETPIPE_SZ):
        return pipe_size(k, file, arg if command == abi.F_SETPIPE_SZ else None)
    raise SyscallError(EINVAL)


def seal(file: OpenFile, more: int | None) -> int:
    """Return the seals of a file that memfd_create made, or add *more* to them; fcntl(2), "File Sealing"."""
    if not isinstance(file, Plain) or file.stored.seals is None:
        raise SyscallError(EINVAL)
    if more is None:
        return file.stored.seals
    if not file.writable or file.stored.seals & abi.F_SEAL_SEAL:
        raise SyscallError(EPERM)
    if more & ~ALL_SEALS:
        raise SyscallError(EINVAL)
    file.stored.store.touch(file.stored)
    file.stored.seals |= more
    return 0


ALL_SEALS = (
    abi.F_SEAL_SEAL | abi.F_SEAL_SHRINK | abi.F_SEAL_GROW | abi.F_SEAL_WRITE | abi.F_SEAL_FUTURE_WRITE
)  # fmt: skip


def pipe_size(k: Kernel, file: OpenFile, size: int | None) -> int:
    """Return how many bytes the pipe *file* holds, having set it to *size* unless that is None; EBADF for others."""
    from syscalls.files.pipes import PAGE, PipeEnd

    if not isinstance(file, PipeEnd):
        raise SyscallError(EBADF)
    return file.pipe.most * PAGE if size is None else file.pipe.resize(k, size & 0xFFFF_FFFF)


def ioctl(k: Kernel, t: Task, fd: int, request: int, arg: int) -> int:
    """Do what every file can: the flags of the descriptor; the rest is the file's own.  ioctl(2)."""
    file = k.files.usable(fd)
    if request in (abi.FIOCLEX, abi.FIONCLEX):
        k.files.put(fd, file, request == abi.FIOCLEX)
        return 0
    if request == abi.FIONBIO:
        (on,) = abi.U32.unpack(k.mem.read(arg, 4))
        file.flags = file.flags & ~abi.O_NONBLOCK | (abi.O_NONBLOCK if on else 0)
        return 0
    return file.ioctl(k, request, arg)
