"""This process's standard streams and signals, as the guest's own.

Standard input is waited for when no task of the guest can run, and before virtual time jumps: how fast it comes
changes nothing that the guest can see.  A guest that asks for it without waiting is let wait a moment once, which is
enough for a file or a writer that does not pause, and told what there is after that.  Only at a terminal, where
somebody types, time passes as it does for him, and who waits for keys gets them while others run.  A read gets what is
there, as from a pipe; where that is much, the rest of what it wants, if it follows at once.  No more is read than the
guest asks for: the rest is for whoever reads after it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable, Iterator
from types import FrameType

from syscalls import abi
from syscalls.files.opened import STDIN
from syscalls.kernel import Kernel
from syscalls.light import TYPE_CHECKING

if TYPE_CHECKING:
    from emu.run.terminals import Own

FORWARDED = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH,
)  # fmt: skip
FROM_KEYS = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP)
"""What a terminal sends to the processes in its foreground."""
NS = 1_000_000_000
MOMENT_S, PAUSE_S = 0.1, 0.03  # for a writer to begin, and to go on writing
PIPE_BUF, LARGEST_READ = 4096, 1 << 16


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
        self._paused = False  # whoever writes did not go on at once when the last was read
        self._asked = False  # there was a moment for more to come since the last was read
        self._own: Own | None = None  # the terminal, if the guest has one
        self._terminal = False
        with contextlib.suppress(OSError):
            self._terminal = os.isatty(0)

    def attach(self, kernel: Kernel, send: Callable[[int], None]) -> None:
        """Let *kernel* use the streams; *send* hands the guest a signal."""
        self._kernel, self._send = kernel, send
        kernel.sink, kernel.stdin, kernel.idle = write, self.take, self.idle
        kernel.has_input = self.has_input
        if kernel.tty is not None and kernel.world.process.terminals:
            from emu.run.terminals import Own

            self._own = Own(kernel.world.process.terminals)
            kernel.set_terminal = self._set_terminal

    def take(self, size: int) -> bytes | None:
        """Return up to *size* bytes of standard input: none at its end, None when there are none yet."""
        if self._readable and not self._data:
            self._fetch(size)
        if not self._data:
            ended = self._ended
            if self._terminal:  # Ctrl-D ends one read, not the terminal
                self._ended = False
            return b"" if ended else None
        part, self._data = self._data[:size], self._data[size:]
        return part

    def has_input(self, ask: bool) -> bool:
        """Say whether :meth:`take` would return something, as far as the host was asked, or having asked it now."""
        if not (self._data or self._ended or self._readable) and ask:
            moment = 0 if self._asked or self._terminal else MOMENT_S
            self._asked = True
            self._readable = self._select(moment)
        return bool(self._data) or self._ended or self._readable

    def _select(self, timeout_s: float) -> bool:
        # Whether the host's standard input has something, or has ended, within so much time.
        try:
            return bool(select.select([0], [], [], timeout_s)[0])
        except OSError:  # closed
            return True

    def _set_terminal(self, request: int, settings: bytes) -> None:
        if request in (abi.TCFLSH, abi.TCSETSF):
            self._data, self._readable = b"", False
        if self._own is not None:
            self._own.set(request, settings)

    def between(self) -> None:
        """Hand the guest what has come, between two of its tasks or slices of one."""
        self.pass_signals()
        if self._terminal and not self._readable and self._kernel.scheduler.waiters(STDIN) and self._select(0):
            self._readable = True
            self._kernel.input_arrived()

    def _fetch(self, size: int) -> None:
        # Read what the host has, which is something, or the end; of a writer that goes on writing, all that is wanted.
        self._readable = self._asked = False
        self._data, wanted = b"", min(size, LARGEST_READ)
        try:
            while len(self._data) < wanted and (not self._data or self._more_comes()):
                part = os.read(0, wanted - len(self._data))
                self._data += part
                if not part:
                    break
        except OSError:  # closed, or not open for reading: for the guest it has ended
            pass
        self._ended = not self._data

    def _more_comes(self) -> bool:
        # What is long comes in pieces, which are as long as the writer is scheduled; once it paused, what is short is a
        # message.
        if self._terminal or (self._paused and len(self._data) < PIPE_BUF):
            return False
        self._paused = not self._select(PAUSE_S)
        return not self._paused

    def idle(self, deadline: int | None) -> bool:
        """Wait for what a task of the guest waits for from outside; False when none does.  *deadline*: monotonic ns."""
        kernel = self._kernel
        if self._arrived:
            self.pass_signals()
            return True
        if kernel.first.stopped and self._own is not None:
            self._stop()
            return True
        readers = kernel.scheduler.waiters(STDIN)
        if not readers:
            return deadline is None and self._expects_keys() and self._wait_for_signal()
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
        return True

    def _expects_keys(self) -> bool:
        # Whether Ctrl-C is something that a guest which waits for nothing else has asked for, and can come.
        if self._own is None or not self._terminal:
            return False
        handlers = [process.actions.get(signal.SIGINT, (0,))[0] for process in self._kernel.processes.values()]
        return any(handler > abi.SIG_IGN for handler in handlers)

    def _wait_for_signal(self) -> bool:
        select.select([self._wake_read], [], [])
        self.pass_signals()
        return True

    def pass_signals(self) -> None:
        """Hand the guest the signals that have come."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake_read, 64):
                pass
        while self._arrived:
            self._pass(self._arrived.pop(0))

    def _pass(self, number: int) -> None:
        tty = self._kernel.tty
        if tty is None or self._own is None:
            self._send(number)
        elif number == signal.SIGWINCH:
            tty.resize(self._kernel, self._own.size() or tty.window)
        elif number in FROM_KEYS:
            tty.signal(self._kernel, number)
        else:
            self._send(number)

    def _stop(self) -> None:
        # The guest was stopped, as by Ctrl-Z: so is rt0, until the shell lets it go on.
        if self._own is not None:
            self._own.leave()
            os.kill(os.getpid(), signal.SIGSTOP)
            self._own.come_back()
        self._send(signal.SIGCONT)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._arrived.append(number)

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Within: signals to this process are the guest's, and end nothing here."""
        forwarded = FORWARDED if self._own is None else (*FORWARDED, signal.SIGTSTP)
        before = {number: signal.signal(number, self._on_signal) for number in forwarded}
        wakeup = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        try:
            yield
        finally:
            if self._own is not None:
                self._own.leave()
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(self._wake_read)
            os.close(self._wake_write)
