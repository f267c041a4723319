"""How a run ended.  Every stop has a cause that a user can read."""

from __future__ import annotations

from syscalls import outcome as ends
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


def ended(end: ends.Outcome, pc: int) -> Outcome:
    """Return what the kernel's *end* is for the machine, at *pc*."""
    match end:
        case ends.Exit(status):
            return Outcome("exit", f"exit status {status}", pc, exit_status=status)
        case ends.Killed(signal):
            name = SIGNALS.get(signal, f"signal {signal}")
            return Outcome("signal", name, pc, exit_status=128 + signal, signal=signal)
        case ends.Hang(reason):
            return Outcome("limit", f"deadlock: {reason}", pc, at="deadlock")
        case ends.Unsupported(nr):
            return Outcome("unsupported", f"system call {nr} is not known, and the World is strict", pc)
