"""How a run can end by the kernel's own doing.  ``Kernel.exit`` holds one of these, or None while the guest runs.

Each carries its kind, so that two outcomes with the same number are not equal.
"""

from __future__ import annotations

from syscalls.light import Literal, NamedTuple


class Exit(NamedTuple):
    """The last task left, or exit_group was called; *status* is what wait(2) would report, 0 to 255."""

    status: int
    kind: Literal["exit"] = "exit"


class Killed(NamedTuple):
    """A signal whose default action ends the process was delivered."""

    signal: int
    kind: Literal["killed"] = "killed"


class Stopped(NamedTuple):
    """A signal stopped a process: no end, as SIGCONT lets it go on, but told of as ends are (``Kernel.told``)."""

    signal: int


class Hang(NamedTuple):
    """No task can ever run again: on the real system the program would wait for ever."""

    reason: str
    kind: Literal["hang"] = "hang"


class Unsupported(NamedTuple):
    """A call that the table does not know, in a World that is strict about it."""

    nr: int
    kind: Literal["unsupported"] = "unsupported"


Outcome = Exit | Killed | Hang | Unsupported
