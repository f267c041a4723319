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

from emu.run.source import Source
from syscalls import abi
from syscalls.files.opened import KEYS, STDIN, Input
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


def write(fd: int, data: bytes) -> None:
    """Write all of *data* to the host's descriptor *fd*, at once; raise OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


class Host:
    """What comes from outside during one run: call :meth:`attach` before it."""

    def __init__(self) -> None:
        self._sources = [Source(0, STDIN)]
        self._arrived: list[int] = []  # signals that the guest was not told of yet
        self._send: Callable[[int], None] = lambda _: None
        self._kernel: Kernel
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._own: Own | None = None  # the terminal, if the guest has one

    def attach(self, kernel: Kernel, send: Callable[[int], None]) -> None:
        """Let *kernel* use the streams; *send* hands the guest a signal."""
        self._kernel, self._send = kernel, send
        (source,) = self._sources
        kernel.sink, kernel.stdin, kernel.idle = write, source.take, self.idle
        kernel.has_input = source.has
        if kernel.tty is not None and kernel.world.process.terminals:
            from emu.run.terminals import Own

            self._own = Own(kernel.world.process.terminals)
            kernel.set_terminal = self._set_terminal
            if not kernel.tty.fed and self._own.fd is not None:
                keys = Source(self._own.fd, KEYS)
                kernel.keys = Input(keys.take, keys.has)
                self._sources.append(keys)

    def _set_terminal(self, request: int, settings: bytes) -> None:
        if request in (abi.TCFLSH, abi.TCSETSF):
            self._sources[-1].drop()
        if self._own is not None:
            self._own.set(request, settings)

    def between(self) -> None:
        """Hand the guest what has come, between two of its tasks or slices of one."""
        self.pass_signals()
        for source in self._sources:
            waits = source.terminal and not source.readable and self._kernel.scheduler.waiters(source.channel)
            if waits and source.select(0):
                source.readable = True
                self._kernel.input_arrived(source.channel)

    def idle(self, deadline: int | None) -> bool:
        """Wait for what a task of the guest waits for from outside; False when none does.  *deadline*: monotonic ns."""
        kernel = self._kernel
        if self._arrived:
            self.pass_signals()
            return True
        if kernel.first.stopped and self._own is not None:
            self._stop()
            return True
        sources = [source for source in self._sources if kernel.scheduler.waiters(source.channel)]
        if not sources:
            return deadline is None and self._expects_keys() and self._wait_for_signal()
        timeout = None
        if deadline is not None and any(source.terminal for source in sources):
            timeout = max(deadline - kernel.clock.monotonic_ns(), 0) / NS
        found, _, _ = select.select([self._wake_read, *[source.fd for source in sources]], [], [], timeout)
        if self._wake_read in found:
            self.pass_signals()
            return True
        for source in sources:
            if source.fd in found:
                self._arrives(source)
        return bool(found)

    def _arrives(self, source: Source) -> None:
        # There is something for those who wait for *source*, or its end.
        kernel = self._kernel
        readers = kernel.scheduler.waiters(source.channel)
        if not readers:
            return  # another source woke them
        wait = kernel.tasks[readers[0]].wait
        if wait is not None and wait.data:
            source.fetch(wait.data)
        else:  # somebody only wants to know
            source.readable = True
        kernel.input_arrived(source.channel)

    def _expects_keys(self) -> bool:
        # Whether Ctrl-C is something that a guest which waits for nothing else has asked for, and can come.
        if self._own is None or self._own.fd is None:
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
