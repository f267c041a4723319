"""How a run can end by the kernel's own doing.  ``Kernel.exit`` holds one of these, or None while the guest runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exit:
    """The last task left, or exit_group was called; *status* is what wait(2) would report, 0 to 255."""

    status: int


@dataclass(frozen=True, slots=True)
class Killed:
    """A signal whose default action ends the process was delivered."""

    signal: int


@dataclass(frozen=True, slots=True)
class Hang:
    """No task can ever run again: on the real system the program would wait for ever."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A call that the table does not know, in a World that is strict about it."""

    nr: int


Outcome = Exit | Killed | Hang | Unsupported
