"""The speeds of a terminal's line, in bits per second; termios(3), and drivers/tty/tty_baudrate.c of Linux 6.1 (read).

A pseudo terminal sends nothing over a line: it keeps what it is told, and always has 8 bits and no parity.
"""

from __future__ import annotations

from syscalls import abi

TABLE = (
    0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800,
    500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000, 2500000, 3000000, 3500000, 4000000,
)  # fmt: skip
"""What B0, B50 and so on stand for; those from B57600 on have the bit CBAUDEX."""

NEW = (38400, 38400)
FIXED, ALWAYS = abi.CSIZE | abi.PARENB, abi.CS8 | abi.CREAD


def of(modes: int, given: tuple[int, int]) -> tuple[int, int]:
    """Return the speeds of input and output that the control *modes* say; those *given* where that is BOTHER."""
    out = _one(modes & abi.CBAUD, given[1])
    of_input = modes >> abi.IBSHIFT & abi.CBAUD
    return _one(of_input, given[0]) if of_input else out, out


def _one(code: int, given: int) -> int:
    if code == abi.BOTHER:
        return given
    return TABLE[code & ~abi.CBAUDEX] if code < abi.CBAUDEX else TABLE[(code & ~abi.CBAUDEX) + 15]


def kept(settings: bytes) -> bytes:
    """Return a struct termios as a pseudo terminal keeps it: pty_set_termios."""
    parts = abi.TERMIOS.unpack(settings)
    return abi.TERMIOS.pack(*parts[:2], parts[2] & ~FIXED | ALWAYS, *parts[3:])
