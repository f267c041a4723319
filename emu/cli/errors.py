"""Exit statuses, and the errors that end a command with one line on standard error."""

from __future__ import annotations

# Scripts depend on these.
OK = 0
BUG = 1  # a mistake of ours
DIFFERS = 1  # of `verify`: the machines disagree, which is a mistake of ours too
USAGE = 2  # bad usage or bad input
GAVE_UP = 3  # the guest threw, panicked or exited
SIGNAL = 4  # a fatal signal
LIMIT = 5  # a limit: of instructions, time or memory, a deadlock, or of what the engine and the kernel can do
INTERRUPTED = 130  # 128 + SIGINT, as shells have it

OF_OUTCOME = {"reached": OK, "throw": GAVE_UP, "exit": GAVE_UP, "signal": SIGNAL, "limit": LIMIT, "unsupported": LIMIT}


class UsageError(Exception):
    """Bad usage or bad input; the message is one line."""
