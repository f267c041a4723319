"""How a run ended.  Every stop has a cause that a user can read."""

from __future__ import annotations

from syscalls.light import dataclass

SIGNALS = {4: "SIGILL", 5: "SIGTRAP", 7: "SIGBUS", 8: "SIGFPE", 11: "SIGSEGV"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a run.  *pc* is the guest address at which it ended."""

    kind: str  # reached | throw | exit | signal | limit | unsupported
    message: str
    pc: int
    at: str | None = None  # reached: the function; limit: which one
    exit_status: int | None = None  # what wait(2) would give a shell: status, or 128 + signal
    signal: int | None = None
    addr: int | None = None  # signal: the address that was touched


class Stop(Exception):
    """Raised within the machine to end a run with *outcome*."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome
