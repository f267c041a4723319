"""What comes with a signal: siginfo_t, as the kernel lays it out for x86-64 (include/uapi/asm-generic/siginfo.h, read).

The three numbers at its start are the same for all; the rest depends on the code, and is kept as the bytes that the
guest will see, so that what rt_sigqueueinfo passed arrives untouched.
"""

from __future__ import annotations

from struct import Struct

from syscalls import abi
from syscalls.light import NamedTuple

SIZE = 128
HEAD = Struct("<iii4x")  # si_signo, si_errno, si_code
SENDER = Struct("<iIQ")  # si_pid, si_uid, si_value
TIMER = Struct("<iiQ")  # si_timerid, si_overrun, si_value
CHILD = Struct("<iIi4xqq")  # si_pid, si_uid, si_status, si_utime, si_stime


class Info(NamedTuple):
    """A signal and where it comes from; *fields* follow the head, and zeros follow them."""

    signum: int
    code: int = abi.SI_USER
    errno: int = 0
    fields: bytes = b""

    def pack(self) -> bytes:
        """Return the siginfo_t."""
        return (HEAD.pack(self.signum, self.errno, self.code) + self.fields).ljust(SIZE, b"\0")


def from_process(signum: int, pid: int, uid: int, code: int = abi.SI_USER) -> Info:
    """Return the signal that a task of process *pid* sent with kill(2), or, with SI_TKILL, with tgkill(2)."""
    return Info(signum, code, 0, SENDER.pack(pid, uid, 0))


def from_kernel(signum: int) -> Info:
    """Return the signal that the kernel itself sent."""
    return Info(signum, abi.SI_KERNEL, 0, SENDER.pack(0, 0, 0))


def from_fault(signum: int, code: int, addr: int) -> Info:
    """Return the signal of an instruction that touched, or stands at, *addr*."""
    return Info(signum, code, 0, abi.U64.pack(addr))


def from_timer(signum: int, timer: int, overrun: int, value: int) -> Info:
    """Return the signal of a timer of timer_create(2)."""
    return Info(signum, abi.SI_TIMER, 0, TIMER.pack(timer, overrun, value))


def from_child(signum: int, pid: int, uid: int, code: int, status: int, times: tuple[int, int] = (0, 0)) -> Info:
    """Return the signal of a child: *code* is CLD_EXITED or another, *times* are clock ticks (user, system)."""
    return Info(signum, code, 0, CHILD.pack(pid, uid, status, *times))


def from_bytes(signum: int, data: bytes) -> Info:
    """Return the signal *signum* with the siginfo_t that a guest made."""
    _, errno, code = HEAD.unpack_from(data)
    return Info(signum, code, errno, data[HEAD.size : SIZE].rstrip(b"\0"))
