"""What the tree asks the running kernel when a file is opened, because the World alone does not know it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from syscalls.light import TYPE_CHECKING, NamedTuple, dataclass
from syscalls.tree.nodes import Node

if TYPE_CHECKING:
    from syscalls.space import AddressSpace


class VmSizes(NamedTuple):
    """The sizes of the address space in bytes, and the addresses that proc_pid_stat(5) shows."""

    total: int = 0  # everything mapped, reservations included
    peak: int = 0  # the largest that `total` has been
    resident: int = 0  # frames that are in use
    resident_file: int = 0  # of `resident`: pages that came from a file
    resident_shared: int = 0  # of `resident`: shared memory without a file
    data: int = 0  # private and writable, stack excluded
    stack: int = 0
    text: int = 0
    tables: int = 0  # page tables
    start_code: int = 0
    end_code: int = 0
    start_data: int = 0
    end_data: int = 0
    start_brk: int = 0
    start_stack: int = 0
    arg_start: int = 0
    arg_end: int = 0
    env_start: int = 0
    env_end: int = 0


class SignalSets(NamedTuple):
    """Signal masks of the process; bit n-1 is signal n."""

    pending: int = 0
    blocked: int = 0
    ignored: int = 0
    caught: int = 0


class Identity(NamedTuple):
    """Who the process is; ids are (real, effective, saved)."""

    pid: int
    ppid: int
    pgid: int
    sid: int
    users: tuple[int, int, int]
    owners: tuple[int, int, int]  # of its group
    groups: tuple[int, ...] = ()
    umask: int = 0o022
    state: str = "R (running)"


def _nothing() -> bytes:
    return b""


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """The program and its state; each callable is asked anew whenever a file is opened."""

    name: str  # the program's file name, of which /proc/self/comm shows 15 bytes until a thread renames itself
    exe: str  # its absolute path in the guest
    runs: Callable[[], str] | None = None  # that of what the process runs now, after execve; None: `exe`
    program: Callable[[], bytes] = _nothing  # the bytes of the executable
    command_line: Callable[[], bytes] = _nothing  # argv's strings as they lie on the stack, each with its NUL
    environment: Callable[[], bytes] = _nothing  # likewise envp's
    auxv: Callable[[], bytes] = _nothing  # 16 bytes an entry, AT_NULL included
    maps: Callable[[], str] = str  # the text of /proc/self/maps
    vm: Callable[[], VmSizes] = VmSizes
    tids: Callable[[], Sequence[int]] = tuple  # threads; empty counts as the main thread alone
    comm: Callable[[int], str] | None = None  # tid -> its name; None: `name`
    fds: Callable[[], Mapping[int, str]] = dict  # open descriptors and what they lead to
    rlimits: Callable[[], Sequence[tuple[int, int]]] | None = None  # (soft, hard) by number; None: the World's
    signals: Callable[[], SignalSets] = SignalSets
    no_new_privs: Callable[[], bool] = bool
    cpus: Callable[[int], int] | None = None  # tid -> its affinity mask; None: the World's
    monotonic_ns: Callable[[], int] | None = None  # CLOCK_MONOTONIC now; None: as it was at the entry point
    cpu_ns: Callable[[], int] = int  # processor time that the program has used
    cwd: Callable[[], str] | None = None  # None: the World's
    who: Callable[[], tuple[int, int]] | None = None  # user and group of new files; None: the World's
    opened: Callable[[], Iterable[Node]] = tuple  # the nodes behind open descriptors
    spaces: Callable[[], Iterable[AddressSpace]] = tuple  # of all processes
    identity: Callable[[], Identity] | None = None  # None: the World's
    # Of the first process: what there is of others, by number, their numbers, and which of them asks.
    others: Callable[[int], ProcessFacts | None] | None = None
    pids: Callable[[], Sequence[int]] = tuple
    current: Callable[[], int] | None = None  # None: the first one
