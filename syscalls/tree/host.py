"""Folders of the host, walked so that no path leads out of them.

A path is a tuple of names below the folder's descriptor; each is opened below the one before, never through a symbolic
link, and there is no ``..``.  So even a host that changes while the guest runs cannot lead out.  openat(2), O_NOFOLLOW.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from syscalls.errno import EIO, ENOENT, SyscallError

Parts = tuple[str, ...]
STEP = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
SHOWN = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)


@contextmanager
def failing() -> Iterator[None]:
    """Turn the host's errors into the guest's."""
    try:
        yield
    except OSError as error:
        raise SyscallError(error.errno or EIO) from None
    except ValueError:  # a NUL in a name
        raise SyscallError(ENOENT) from None


def libc(name: str, *args: int | bytes) -> None:
    """Call a function of the C library that :mod:`os` does not have; raise OSError."""
    import ctypes

    typed = [ctypes.c_longlong(arg) if name.startswith("fallocate") and isinstance(arg, int) else arg for arg in args]
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*typed):
        raise OSError(ctypes.get_errno(), name)


class HostRoot:
    """A file or folder of the host, and what lies below it."""

    def __init__(self, path: str) -> None:
        """Open *path*; raise OSError."""
        self.path = os.path.realpath(path, strict=True)
        self.fd = os.open(self.path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        self.is_folder = stat.S_ISDIR(os.fstat(self.fd).st_mode)

    def __del__(self) -> None:
        if hasattr(self, "fd"):
            os.close(self.fd)

    @contextmanager
    def folder(self, parts: Parts) -> Iterator[int]:
        """A descriptor of the folder at *parts*, to be used with one name below it; raise SyscallError."""
        fd = self.fd
        with failing():
            try:
                for part in parts:
                    below = os.open(part, STEP, dir_fd=fd)
                    if fd != self.fd:
                        os.close(fd)
                    fd = below
                yield fd
            finally:
                if fd != self.fd:
                    os.close(fd)

    def status(self, parts: Parts) -> os.stat_result | None:
        """What lstat says of *parts*; None when it is not there, or of a kind that is not shown."""
        if not parts:
            return os.fstat(self.fd)
        try:
            with self.folder(parts[:-1]) as fd:
                found = os.stat(parts[-1], dir_fd=fd, follow_symlinks=False)
        except SyscallError as error:
            if error.errno == ENOENT:
                return None
            raise
        return found if stat.S_IFMT(found.st_mode) in SHOWN else None

    def open(self, parts: Parts, flags: int) -> int:
        """Open the regular file at *parts* and return its descriptor, which is the caller's; raise SyscallError."""
        with failing():
            if parts:
                with self.folder(parts[:-1]) as folder:
                    fd = os.open(parts[-1], flags, dir_fd=folder)
            else:
                fd = os.open(f"/proc/self/fd/{self.fd}", flags & ~os.O_NOFOLLOW)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise SyscallError(EIO)  # it became something else since it was looked at
        return fd

    def read(self, parts: Parts) -> bytes:
        """The bytes of the regular file at *parts*."""
        with open(self.open(parts, READ), "rb") as file, failing():
            return file.read()

    def link(self, parts: Parts) -> str:
        """The text of the symbolic link at *parts*."""
        with self.folder(parts[:-1]) as fd:
            return os.readlink(parts[-1], dir_fd=fd)

    def names(self, parts: Parts) -> list[str]:
        """What is in the folder at *parts*, of the kinds that are shown."""
        with self.folder(parts) as fd:
            own = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
            try:
                with os.scandir(own) as entries:
                    return [
                        entry.name
                        for entry in entries
                        if entry.is_symlink() or entry.is_file(follow_symlinks=False) or entry.is_dir()
                    ]
            finally:
                os.close(own)
