"""One guest thread as the kernel sees it.  Registers are the machine's, which copies ``fs_base`` after each call."""

from __future__ import annotations

from syscalls import abi
from syscalls.light import TYPE_CHECKING, copied, dataclass, take_over
from syscalls.waits import PendingCall, Wait

if TYPE_CHECKING:
    from syscalls.processes import Process
    from syscalls.siginfo import Info


@dataclass(slots=True)
class Task:
    """The state of one thread that system calls read and change.  Addresses are guest addresses, 0 for none."""

    tid: int
    pid: int
    comm: str  # at most 15 bytes: prctl(PR_SET_NAME)
    cpus: int  # the affinity mask
    fs_base: int = 0
    gs_base: int = 0
    sigmask: int = 0  # bit n-1 is signal n
    pending: int = 0  # signals sent to this task alone ...
    queued: tuple[Info, ...] = ()  # ... and what came with them, the first one first
    altstack: tuple[int, int, int] = (0, abi.SS_DISABLE, 0)  # ss_sp, ss_flags, ss_size
    clear_child_tid: int = 0
    robust_list: int = 0
    rseq: tuple[int, int, int] | None = None  # address, length, signature
    pdeath_signal: int = 0
    timer_slack_ns: int = 50_000
    no_new_privs: bool = False
    keeps_caps: bool = False  # prctl(PR_SET_KEEPCAPS)
    cpu: int = 0  # where it runs: the lowest CPU of its mask, as nothing ever moves it
    sp: int = 0  # the stack pointer, when the machine supplies it: sigaltstack's EPERM depends on it
    process: Process = None  # type: ignore[assignment]  # every task has one; the kernel supplies it
    # Waiting (syscalls.waits): the call it is in, what it waits for, why it was woken; the number of its alarm.
    call: PendingCall | None = None
    wait: Wait | None = None
    woken: str | None = None
    alarm: int = 0
    # Signals on the way to user mode (syscalls.delivery): the call that SA_RESTART makes again, or -1; the mask that
    # rt_sigsuspend and its like put another in place of; whether rt_sigreturn was called; of the last CPU exception its
    # vector, error code and address.
    restart: int = -1
    restore_mask: int | None = None
    returns: bool = False
    trap: tuple[int, int, int] = (0, 0, 0)
    ran: int = 0  # instructions that it executed until it last gave up the CPU ...
    since: int = 0  # ... and how many all had executed when it last got it
    ended: bool = False

    def copy(self) -> Task:
        """Return an independent copy."""
        twin: Task = copied(self)
        return twin

    def become(self, other: Task) -> None:
        """Take over every value of *other*."""
        take_over(self, other)
