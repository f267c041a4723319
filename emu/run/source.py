"""One descriptor of this process that the guest reads: standard input, or the terminal where that is something else."""

from __future__ import annotations

import fcntl
import os
import select

from syscalls import abi
from syscalls.waits import Channel

MOMENT_S, PAUSE_S = 0.1, 0.03  # for a writer to begin, and to go on writing
BLOCKED_S = 1.0  # for one to go on that most likely waited for room
PIPE_BUF, LARGEST_READ = 4096, 1 << 16


class Source:
    """What was read of *fd* and not yet by the guest; who waits for it waits on *channel*."""

    def __init__(self, fd: int, channel: Channel) -> None:
        self.fd, self.channel = fd, channel
        self._data = b""
        self._ended = False
        self.readable = False  # the host has something that was not read yet, or the end
        self._full = False  # there was as much as a pipe holds, or nearly, when the last was read
        self._paused = False  # whoever writes did not go on at once when the last was read
        self._asked = False  # there was a moment for more to come since the last was read
        try:
            self.terminal = os.isatty(fd)
        except OSError:
            self.terminal = False

    def take(self, size: int) -> bytes | None:
        """Return up to *size* bytes: none at the end, None when there are none yet."""
        if self.readable and not self._data:
            self.fetch(size)
        if not self._data:
            ended = self._ended
            if self.terminal:  # Ctrl-D ends one read, not the terminal
                self._ended = False
            return b"" if ended else None
        part, self._data = self._data[:size], self._data[size:]
        return part

    def has(self, ask: bool) -> bool:
        """Say whether :meth:`take` would return something, as far as the host was asked, or having asked it now."""
        if not (self._data or self._ended or self.readable) and ask:
            moment = 0 if self._asked or self.terminal else BLOCKED_S if self._full else MOMENT_S
            self._asked = True
            self.readable = self.select(moment)
        return bool(self._data) or self._ended or self.readable

    def drop(self) -> None:
        """Forget what was read."""
        self._data, self.readable = b"", False

    def select(self, timeout_s: float) -> bool:
        """Say whether the host has something, or the end, within so much time."""
        try:
            return bool(select.select([self.fd], [], [], timeout_s)[0])
        except OSError:  # closed
            return True

    def fetch(self, size: int) -> None:
        """Read what the host has, which is something, or the end; of a writer that goes on, all that is wanted."""
        self.readable = self._asked = False
        self._data, wanted = b"", min(size, LARGEST_READ)
        self._full = not self.terminal and wanted >= PIPE_BUF and self._waiting() >= LARGEST_READ // 2
        try:
            while len(self._data) < wanted and (not self._data or self._more_comes()):
                part = os.read(self.fd, wanted - len(self._data))
                self._data += part
                if not part:
                    break
        except OSError:  # closed, or not open for reading: for the guest it has ended
            pass
        self._ended = not self._data

    def _waiting(self) -> int:
        try:
            return int.from_bytes(fcntl.ioctl(self.fd, abi.FIONREAD, bytes(4)), "little")
        except OSError:  # what it is has no such number
            return 0

    def _more_comes(self) -> bool:
        # What is long comes in pieces, which are as long as the writer is scheduled; once it paused, what is short is a
        # message.
        if self.terminal or (self._paused and len(self._data) < PIPE_BUF):
            return False
        self._paused = not self.select(BLOCKED_S if self._full else PAUSE_S)
        return not self._paused
