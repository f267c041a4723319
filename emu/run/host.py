"""This process's standard streams and signals, as the guest's own.

Standard input is waited for when no task of the guest can run, and before virtual time jumps: how fast it comes
changes nothing that the guest can see.  Only at a terminal, where somebody types, time passes as it does for him.  No
more of it is read than the guest asks for: the rest is for whoever reads after it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable, Iterator
from types import FrameType

from syscalls.files.opened import STDIN
from syscalls.kernel import Kernel

FORWARDED = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH,
)  # fmt: skip
NS = 1_000_000_000


def write(fd: int, data: bytes) -> None:
    """Write all of *data* to the host's descriptor *fd*, at once; raise OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


class Host:
    """What comes from outside during one run: call :meth:`attach` before it."""

    def __init__(self) -> None:
        self._data = b""
        self._ended = False
        self._readable = False  # the host has something that was not read yet, or the end
        self._arrived: list[int] = []  # signals that the guest was not told of yet
        self._send: Callable[[int], None] = lambda _: None
        self._kernel: Kernel
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._terminal = False
        with contextlib.suppress(OSError):
            self._terminal = os.isatty(0)

    def attach(self, kernel: Kernel, send: Callable[[int], None]) -> None:
        """Let *kernel* use the streams; *send* hands the guest a signal."""
        self._kernel, self._send = kernel, send
        kernel.sink, kernel.stdin, kernel.idle = write, self.take, self.idle
        kernel.has_input = self.has_input

    def take(self, size: int) -> bytes | None:
        """Return up to *size* bytes of standard input: none at its end, None when there are none yet."""
        if self._readable and not self._data:
            self._fetch(size)
            ended, self._ended = self._ended, self._ended and not self._terminal
            if ended:
                return b""
        if not self._data and not self._ended:
            return None
        part, self._data = self._data[:size], self._data[size:]
        return part

    def has_input(self) -> bool:
        """Say whether :meth:`take` would return something, as far as the host was asked."""
        return bool(self._data) or self._ended or self._readable

    def _fetch(self, size: int) -> None:
        # Read what the host has, which is something, or the end.
        self._readable = False
        try:
            self._data = os.read(0, min(size, 1 << 16))
        except OSError:  # closed, or not open for reading: for the guest it has ended
            self._data = b""
        self._ended = not self._data

    def idle(self, deadline: int | None) -> bool:
        """Wait for what a task of the guest waits for from outside; False when none does.  *deadline*: monotonic ns."""
        kernel = self._kernel
        if self._arrived:
            self.pass_signals()
            return True
        readers = kernel.scheduler.waiters(STDIN)
        if not readers:
            return False
        wait = kernel.tasks[readers[0]].wait
        timeout = None
        if self._terminal and deadline is not None:
            timeout = max(deadline - kernel.clock.monotonic_ns(), 0) / NS
        found, _, _ = select.select([0, self._wake_read], [], [], timeout)
        if self._wake_read in found:
            self.pass_signals()
            return True
        if not found:
            return False
        wanted = wait.data if wait else 0
        if not wanted:  # somebody only wants to know
            self._readable = True
            kernel.input_arrived()
            return True
        self._fetch(wanted)
        kernel.input_arrived()
        if self._ended and self._terminal:
            self._ended = False  # Ctrl-D ends one read, not the terminal
        return True

    def pass_signals(self) -> None:
        """Hand the guest the signals that have come."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake_read, 64):
                pass
        while self._arrived:
            self._send(self._arrived.pop(0))

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._arrived.append(number)

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Within: signals to this process are the guest's, and end nothing here."""
        before = {number: signal.signal(number, self._on_signal) for number in FORWARDED}
        wakeup = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(self._wake_read)
            os.close(self._wake_write)
