"""Terminals of a World: what calls say of them, and that a saved state has them."""

from __future__ import annotations

import json
import struct
from dataclasses import replace

import pytest

from syscalls import abi
from syscalls.errno import EAGAIN, EFAULT, EIO, ENOTTY, ENXIO
from syscalls.files.terminal import NEW
from syscalls.outcome import Killed
from syscalls.saved import restore, save
from syscalls.statefile import from_json, to_json
from syscalls.world import Process, World
from tests.syscalls.bytememory import BAD, BUFFER, Guest, guest

READ, WRITE, IOCTL, POLL = 0, 1, 16, 7


def terminal(*lines: bytes, **of_process: object) -> Guest:
    """A guest with a terminal for all three streams, on which *lines* are typed."""
    process = replace(Process(terminals=(0, 1, 2), window=(50, 132)), **of_process)  # type: ignore[arg-type]
    g = guest(World(process=process))
    left = list(lines)
    g.kernel.stdin = lambda size: left.pop(0)[:size] if left else None
    g.kernel.has_input = lambda _: bool(left)
    return g


def ioctl(g: Guest, request: int, fd: int = 0, addr: int = BUFFER) -> int:
    return g.call(IOCTL, fd, request, addr)


def setting(g: Guest, request: int = abi.TCSETS, least: int = 1, tenths: int = 0) -> int:
    """Want single keys."""
    iflag, oflag, cflag, lflag, line, cc = abi.TERMIOS.unpack(NEW)
    characters = bytearray(cc)
    characters[abi.VMIN], characters[abi.VTIME] = least, tenths
    wanted = abi.TERMIOS.pack(iflag, oflag, cflag, lflag & ~abi.ICANON, line, bytes(characters))
    return ioctl(g, request, addr=g.put(wanted))


def test_the_size_and_settings_of_the_world() -> None:
    """Each descriptor is the same terminal; a bad pointer is EFAULT, and what no terminal does ENOTTY."""
    g = terminal(termios=bytes(range(36)))
    for fd in range(3):
        assert ioctl(g, abi.TIOCGWINSZ, fd) == 0
        assert g.get(8) == struct.pack("<HHHH", 50, 132, 0, 0)
        assert ioctl(g, abi.TCGETS, fd) == 0
        assert g.get(36) == bytes(range(36))
    for request in (abi.TCGETS, abi.TCSETS, abi.TIOCGWINSZ, abi.TIOCSWINSZ, abi.TIOCGPGRP, abi.TIOCSPGRP, abi.TIOCGSID):
        assert ioctl(g, request, addr=BAD) == -EFAULT
    assert ioctl(g, 0x1261) == -ENOTTY
    assert ioctl(guest(), abi.TCGETS) == -ENOTTY


def test_only_those_named_are_terminals() -> None:
    """And what is read of one that standard input is not fails with EIO; without any /dev/tty is ENXIO."""
    g = terminal(terminals=(2,))
    assert [ioctl(g, abi.TCGETS, fd) for fd in range(3)] == [-ENOTTY, -ENOTTY, 0]
    assert g.call(READ, 2, BUFFER, 8) == -EIO
    path = g.put(b"/dev/tty\0", 100)
    assert g.call(257, abi.AT_FDCWD, path, abi.O_RDWR) == 3
    assert g.call(257, abi.AT_FDCWD, g.put(b"/dev/pts/0\0", 100), abi.O_RDWR) == 4
    bare = guest()
    assert bare.call(257, abi.AT_FDCWD, bare.put(b"/dev/tty\0", 100), abi.O_RDWR) == -ENXIO
    assert g.call(WRITE, 3, g.put(b"shown"), 5) == 5
    assert g.kernel.output == [(2, b"shown")]


def test_lines_and_keys() -> None:
    """A read has at most a line; without ICANON as much as VMIN and VTIME say."""
    g = terminal(b"one\ntwo\n", b"abcdef")
    assert (g.call(READ, 0, BUFFER, 64), g.get(4)) == (4, b"one\n")
    assert g.call(POLL, g.put(abi.POLLFD.pack(0, abi.POLLIN, 0)), 1, 0) == 1
    assert (g.call(READ, 0, BUFFER, 2), g.get(2)) == (2, b"tw")
    assert (g.call(READ, 1, BUFFER, 64), g.get(2)) == (2, b"o\n")
    assert setting(g) == 0
    assert (g.call(READ, 0, BUFFER, 2), g.get(2)) == (2, b"ab")
    g.call(72, 0, abi.F_SETFL, abi.O_NONBLOCK)
    assert g.call(READ, 0, BUFFER, 2) == -EAGAIN
    assert setting(g, least=0) == 0
    assert g.call(READ, 0, BUFFER, 2) == 0


def test_a_key_that_does_not_come() -> None:
    """VTIME alone: the read ends after so many tenths of a second."""
    g = terminal()
    assert setting(g, least=0, tenths=3) == 0
    before = g.kernel.clock.monotonic_ns()
    assert g.call(READ, 0, BUFFER, 2) == 0
    assert g.kernel.clock.monotonic_ns() - before == 300_000_000


def test_what_is_set_is_told_outside() -> None:
    """So that the terminal there can be set the same."""
    g, told = terminal(), []
    g.kernel.set_terminal = lambda *what: told.append(what)
    setting(g, abi.TCSETSF)
    assert ioctl(g, abi.TCFLSH, addr=abi.TCIFLUSH) == 0
    assert ioctl(g, abi.TCFLSH, addr=abi.TCOFLUSH) == 0
    assert [request for request, _ in told] == [abi.TCSETSF, abi.TCFLSH]
    assert ioctl(g, abi.TCGETS) == 0
    assert told[0][1] == g.get(36)


def test_keys_that_are_signals_go_to_the_foreground() -> None:
    """Here that is the program itself, whose default action for SIGINT ends it."""
    g = terminal()
    tty = g.kernel.tty
    assert tty is not None
    assert ioctl(g, abi.TIOCGPGRP) == 0
    assert struct.unpack("<i", g.get(4)) == (g.kernel.process.pgid,)
    tty.resize(g.kernel, (1, 2))
    assert g.kernel.exit is None
    tty.signal(g.kernel, abi.SIGINT)
    assert g.kernel.exit == Killed(abi.SIGINT)


def test_a_saved_state_has_the_terminal() -> None:
    """As a value, and as JSON read by another kernel: settings, size, what was read of a line and not yet given."""
    g = terminal(b"one\ntwo\n")
    assert g.call(READ, 0, BUFFER, 64) == 4
    setting(g)
    ioctl(g, abi.TIOCSWINSZ, addr=g.put(struct.pack("<HHHH", 7, 8, 0, 0)))
    state = save(g.kernel)
    tty = g.kernel.tty
    assert tty is not None
    kept = tty.settings
    assert (g.call(READ, 0, BUFFER, 64), g.get(4)) == (4, b"two\n")
    tty.settings, tty.window = NEW, (1, 1)

    other = terminal()
    text = json.dumps(to_json(state))
    restore(other.kernel, from_json(json.loads(text), other.kernel))
    restore(g.kernel, state)

    for each in (g, other):
        now = each.kernel.tty
        assert now is not None
        assert (now.settings, now.window) == (kept, (7, 8))
        assert (each.call(READ, 0, BUFFER, 64), each.get(4)) == (4, b"two\n")
        assert each.call(WRITE, 1, each.put(b"x"), 1) == 1


@pytest.mark.parametrize("blocked", [False, True])
def test_a_group_in_the_background(blocked: bool) -> None:
    """Reading is refused where nobody could put the program back, or the signal does nothing."""
    g = terminal(b"line\n", sigmask=1 << abi.SIGTTIN - 1 if blocked else 0)
    tty = g.kernel.tty
    assert tty is not None
    tty.foreground += 1
    assert g.call(READ, 0, BUFFER, 8) == -EIO
