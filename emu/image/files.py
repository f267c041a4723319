"""A program's file: mapped, or refused with a line."""

from __future__ import annotations

import mmap
import os
import stat

from emu.image.elf import Data
from emu.image.errors import ImageError


def shown_path(path: str) -> str:
    """*path* for a message, which is one line whatever the file is called."""
    return path if path.isprintable() else repr(path)


def refused(path: str, error: OSError | ValueError) -> ImageError:
    """What to raise for *error*, which kept the file at *path* from being read: one line that says which file.

    A ValueError is an ImageError, or :func:`open_file` was given a path with a NUL byte.
    """
    said = (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
    return ImageError(f"{shown_path(path)}: {said}")


def file_name(path: str) -> str:
    """The last part of *path*."""
    return os.path.basename(path.rstrip("/"))  # noqa: PTH119 - pathlib takes 4 ms to import


def open_file(path: str) -> Data:
    """The whole file at *path*; raises OSError and ImageError for what is no file with something in it."""
    # O_NONBLOCK: a FIFO would block here before it could be refused.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise ImageError("is a directory")
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("not a regular file")
        if status.st_size == 0:
            raise ImageError("the file is empty")
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(descriptor)
