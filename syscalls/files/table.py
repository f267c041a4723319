"""The descriptor table: small numbers, the lowest free one first, and the files that they refer to."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import TYPE_CHECKING, Any

from syscalls import abi
from syscalls.errno import EBADF, EINVAL, EMFILE, ENOTTY, SyscallError
from syscalls.files.opened import OpenFile, Stream

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task


FileTableState = tuple[dict[int, OpenFile], dict[OpenFile, tuple[int, int, Any]], set[int]]
"""Descriptors, the (position, flags, own state) of each file, and the descriptors that close on exec."""


class FileTable:
    """The descriptors of the process."""

    __slots__ = ("_close_on_exec", "_files", "_rlimits")

    def __init__(self, rlimits: list[tuple[int, int]], closed: Container[int] = ()) -> None:
        """Open 0, 1 and 2, but those that are *closed*.  *rlimits* are those of the process, which change in place."""
        self._files: dict[int, OpenFile] = {fd: Stream(fd) for fd in (0, 1, 2) if fd not in closed}
        self._close_on_exec: set[int] = set()
        self._rlimits = rlimits

    def get(self, fd: int) -> OpenFile:
        """Return the file behind *fd*; raise EBADF."""
        try:
            return self._files[fd]
        except KeyError:
            raise SyscallError(EBADF) from None

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
        self._files[fd] = file
        if close_on_exec:
            self._close_on_exec.add(fd)
        else:
            self._close_on_exec.discard(fd)
        return fd

    def drop(self, fd: int) -> None:
        """Close *fd*; raise EBADF."""
        self.get(fd)
        del self._files[fd]
        self._close_on_exec.discard(fd)

    def open_files(self) -> Iterable[OpenFile]:
        """Return the open files, those with several descriptors several times."""
        return self._files.values()

    def fds(self) -> list[int]:
        """Return the open descriptors, in order."""
        return sorted(self._files)

    def closes_on_exec(self, fd: int) -> bool:
        """Say whether FD_CLOEXEC is set on *fd*."""
        return fd in self._close_on_exec

    def state(self) -> FileTableState:
        """Return a copy of everything that can change."""
        states = {file: (file.position, file.flags, file.own_state()) for file in self._files.values()}
        return dict(self._files), states, set(self._close_on_exec)

    def restore(self, state: FileTableState) -> None:
        """Put back what :meth:`state` returned."""
        files, positions, close_on_exec = state
        self._files, self._close_on_exec = dict(files), set(close_on_exec)
        for file, (position, flags, own) in positions.items():
            file.position, file.flags = position, flags
            file.become(own)


def close(k: Kernel, t: Task, fd: int) -> int:
    """Close *fd*; close(2)."""
    k.files.drop(fd)
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
                k.files.drop(fd)
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
    return k.files.put(new, file, close_on_exec)


SETTABLE = abi.O_APPEND | abi.O_NONBLOCK | abi.O_ASYNC | abi.O_DIRECT | abi.O_NOATIME
"""What F_SETFL can change: fcntl(2)."""


def fcntl(k: Kernel, t: Task, fd: int, command: int, arg: int) -> int:
    """Operate on a descriptor; fcntl(2).  Commands that are not listed (locks, leases, pipes) are EINVAL."""
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
    raise SyscallError(EINVAL)


def ioctl(k: Kernel, t: Task, fd: int, request: int, arg: int) -> int:
    """Refuse: no file here is a terminal or a device with commands of its own.  ioctl(2)."""
    if k.files.get(fd).flags & abi.O_PATH:
        raise SyscallError(EBADF)
    raise SyscallError(ENOTTY)
