"""The terminal that rt0 runs in, as the guest's: what it is at the start, and how the guest sets it.

The guest's settings become this terminal's, so that a program that wants single keys gets them; at the end, however it
comes, and while rt0 is stopped, it is set as it was.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import termios

from syscalls import abi
from syscalls.light import replace
from syscalls.world import World


def described(world: World) -> World:
    """Return *world* with this process's standard descriptors that are terminals, unless it says which are."""
    me = world.process
    if me.terminals is not None:
        return world
    found = tuple(fd for fd in (0, 1, 2) if fd not in me.closed_fds and is_terminal(fd))
    window, settings = me.window, me.termios
    with contextlib.suppress(OSError, IndexError):  # none of them is
        window = window or size_of(found[0])
        settings = settings or settings_of(found[0])
    return replace(world, process=replace(me, terminals=found, window=window, termios=settings))


def is_terminal(fd: int) -> bool:
    """Say whether *fd* of this process is open, and a terminal."""
    try:
        return os.isatty(fd)
    except OSError:
        return False


def size_of(fd: int) -> tuple[int, int]:
    """Return the rows and columns of the terminal *fd*; raise OSError."""
    rows, columns, _, _ = abi.WINSIZE.unpack(fcntl.ioctl(fd, abi.TIOCGWINSZ, bytes(abi.WINSIZE.size)))
    return rows, columns


def settings_of(fd: int) -> bytes:
    """Return the settings of the terminal *fd*, as the kernel has them; raise OSError."""
    return fcntl.ioctl(fd, abi.TCGETS, bytes(abi.TERMIOS.size))


class Own:
    """The terminal that this process has, on one of the *descriptors* that are the guest's terminal; perhaps none."""

    def __init__(self, descriptors: tuple[int, ...]) -> None:
        self.fd = next((fd for fd in descriptors if is_terminal(fd)), None)
        self._before: bytes | None = None  # its settings, once the guest changed them
        self._wanted = b""

    def set(self, request: int, settings: bytes) -> None:
        """Do what TCSETS or one of its like, or TCFLSH, with which input is dropped, asks for."""
        if self.fd is None:
            return
        with contextlib.suppress(OSError, termios.error):  # it is gone
            if request == abi.TCFLSH:
                termios.tcflush(self.fd, termios.TCIFLUSH)
                return
            if self._before is None:
                self._before = settings_of(self.fd)
            self._wanted = settings
            fcntl.ioctl(self.fd, request, settings)

    def size(self) -> tuple[int, int] | None:
        """Return its size now; None where there is no terminal."""
        with contextlib.suppress(OSError):
            return None if self.fd is None else size_of(self.fd)
        return None

    def leave(self) -> None:
        """Set it as it was before the guest did."""
        if self.fd is not None and self._before is not None:
            with contextlib.suppress(OSError):
                fcntl.ioctl(self.fd, abi.TCSETSW, self._before)

    def come_back(self) -> None:
        """Set it as the guest did last, after :meth:`leave`."""
        if self.fd is not None and self._before is not None:
            with contextlib.suppress(OSError):
                fcntl.ioctl(self.fd, abi.TCSETSW, self._wanted)
