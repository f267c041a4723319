"""Standard input, output and error of this process, as the guest's own."""

from __future__ import annotations

import os


def write(fd: int, data: bytes) -> None:
    """Write all of *data* to the host's descriptor *fd*, at once; raise OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def read(size: int) -> bytes:
    """Return up to *size* bytes of standard input, none at its end; wait for the first."""
    try:
        return os.read(0, size)
    except OSError:  # closed, or not open for reading: for the guest it has ended
        return b""
