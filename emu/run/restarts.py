"""What strace(1) shows of calls that a signal interrupts, and of the return from its handler.

The kernel has four errors for the former, which no program sees: they say when the call is made again.  Sources: the
calls' own in Linux 6.1 (read), signal(7); compared with what strace 6.1 prints.
"""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import NAMES
from syscalls.events import SyscallEvent

WITH_FLAG = "ERESTARTSYS (To be restarted if SA_RESTART is set)"
WITHOUT_HANDLER = "ERESTARTNOHAND (To be restarted if no handler)"
GOING_ON = "ERESTART_RESTARTBLOCK (Interrupted by signal)"
KINDS = dict.fromkeys(("pause", "rt_sigsuspend", "select", "pselect6", "ppoll"), WITHOUT_HANDLER) | dict.fromkeys(
    ("nanosleep", "clock_nanosleep", "poll"), GOING_ON
)
NEVER_AGAIN = ("epoll_wait", "epoll_pwait", "epoll_pwait2", "rt_sigtimedwait", "io_getevents", "close", "connect")
TIMEOUT = 3  # the argument of futex(2)
# Of the frame that rt_sigreturn finds where the stack pointer is, struct ucontext: RAX, and the mask.
FRAME_SIZE, FRAME_RESULT, FRAME_MASK = 304, 144, 296


def interrupted(event: SyscallEvent) -> str | None:
    """What stands for the result of *event* if a signal interrupted it; None where that is EINTR to strace, too."""
    if event.errno != "EINTR" or event.overridden or event.name in NEVER_AGAIN:
        return None
    if event.name == "futex":
        return GOING_ON if event.args[TIMEOUT] else WITH_FLAG
    return KINDS.get(event.name, WITH_FLAG)


def returned(frame: bytes) -> tuple[str, str, bytes]:
    """What rt_sigreturn brings back by *frame*: its result, what explains that, and the mask."""
    result = int.from_bytes(frame[FRAME_RESULT : FRAME_RESULT + 8], "little", signed=True)
    mask = frame[FRAME_MASK : FRAME_MASK + abi.SIGSET_SIZE]
    return ("-1", NAMES[-result], mask) if -result in NAMES else (str(result), "", mask)
