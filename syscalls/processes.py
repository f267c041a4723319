"""One guest process: what its threads, each a :class:`syscalls.tasks.Task`, share."""

from __future__ import annotations

from syscalls import rlimits
from syscalls.files.table import FileTable
from syscalls.light import TYPE_CHECKING, Any, NamedTuple
from syscalls.space import AddressSpace
from syscalls.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from syscalls.files.opened import OpenFile
    from syscalls.files.terminal import Tty
    from syscalls.guest import GuestMemory
    from syscalls.kernel import Kernel
    from syscalls.outcome import Exit, Killed
    from syscalls.program import Program
    from syscalls.siginfo import Info
    from syscalls.timers import SignalTimer
    from syscalls.world import World

Action = tuple[int, int, int, int]
"""Of a signal: handler, flags, restorer, mask."""


Triple = tuple[int, int, int]
"""A real, an effective and a saved id."""


class Ids(NamedTuple):
    """Who a process is: its user, its group, and supplementary groups; credentials(7)."""

    users: Triple
    main: Triple  # the ids of its group
    groups: tuple[int, ...] = ()

    @property
    def uid(self) -> int:
        """The real user id."""
        return self.users[0]

    @property
    def euid(self) -> int:
        """The effective user id: whose rights count."""
        return self.users[1]

    @property
    def gid(self) -> int:
        """The real group id."""
        return self.main[0]

    @property
    def egid(self) -> int:
        """The effective group id."""
        return self.main[1]


class Place:
    """The current directory and the file mode creation mask, which CLONE_FS shares."""

    __slots__ = ("cwd", "umask")

    def __init__(self, cwd: str, umask: int = 0o022) -> None:
        self.cwd, self.umask = cwd, umask


class Process:
    """Memory, descriptors, signal actions, limits, and place in the tree of files and of processes.

    ``Kernel.enter`` makes one the current process; handlers reach its parts through the kernel.
    """

    __slots__ = (
        "actions", "change", "child_ticks", "dumpable", "ended", "executed", "exit_signal", "files", "ids",
        "maker_waits", "mem", "number", "parked", "pending", "pgid", "pid", "place", "ppid", "program", "queued",
        "rlimits", "sid", "since", "space", "stopped", "subreaper", "thp_disabled", "ticks", "timer_ids", "timers",
    )  # fmt: skip

    def __init__(self, pid: int, ppid: int, program: Program, place: Place, ids: Ids) -> None:
        """Make a process without memory and descriptors, which its maker supplies."""
        self.pid, self.ppid, self.pgid, self.sid = pid, ppid, pid, pid
        self.number = pid  # of its address space, which a vforked child shares: names futexes
        self.program, self.place, self.ids = program, place, ids
        self.dumpable, self.thp_disabled = 1, False
        self.actions: dict[int, Action] = {}
        self.pending = 0  # signals sent to the process ...
        self.queued: tuple[Info, ...] = ()  # ... and what came with them
        self.stopped = 0  # by this signal: its tasks do not run ...
        self.parked: tuple[int, ...] = ()  # ... of which these would
        self.change = 0  # what its parent can still learn of that by waiting, as wait(2) stores it; 0: nothing
        self.timers: dict[int, SignalTimer] = {}
        self.timer_ids = 0  # how many it has made: the number of the next one
        self.rlimits: list[tuple[int, int]]
        self.mem: GuestMemory
        self.space: AddressSpace
        self.files: FileTable
        self.exit_signal = 0  # what its parent is sent when it ends; 0: nothing
        self.maker_waits = False  # CLONE_VFORK: until it runs a program, or ends
        self.executed = False  # it has run a program of its own: setpgid(2), EACCES
        self.subreaper = False  # PR_SET_CHILD_SUBREAPER
        self.since = 0  # instructions executed in all when it last became the current one
        self.ticks = 0  # instructions that it executed before that ...
        self.child_ticks = 0  # ... and those of its children that were waited for, with theirs
        self.ended: Exit | Killed | None = None  # how, once its last task is gone: a zombie until it is waited for

    @property
    def cwd(self) -> str:
        """The current directory."""
        return self.place.cwd

    @cwd.setter
    def cwd(self, path: str) -> None:
        self.place.cwd = path

    @property
    def umask(self) -> int:
        """The file mode creation mask."""
        return self.place.umask

    @umask.setter
    def umask(self, mask: int) -> None:
        self.place.umask = mask

    def state(self) -> tuple[Any, ...]:
        """What no other part of a saved state holds, of the only process that there is."""
        who = (self.pgid, self.sid, self.subreaper, self.ids)
        return self.cwd, self.umask, self.dumpable, self.thp_disabled, (self.ticks, self.since, self.child_ticks), who

    def become(self, state: tuple[Any, ...]) -> None:
        """Put back what :meth:`state` returned."""
        self.cwd, self.umask, self.dumpable, self.thp_disabled, ticks, who = state
        self.ticks, self.since, self.child_ticks = ticks
        self.pgid, self.sid, self.subreaper, ids = who
        self.ids = ids if isinstance(ids, Ids) else Ids(*map(tuple, ids))  # those of a file are lists
        self.ended = None


def first(world: World, mem: GuestMemory, program: Program, let_go: Callable[[OpenFile], None]) -> Process:
    """Return the process that *world* begins with, which runs *program*.

    The saved id of a program that execve started is its effective one.
    """
    me = world.process
    ids = Ids((me.uid, me.euid, me.euid), (me.gid, me.egid, me.egid))
    process = Process(me.pid, me.ppid, program, Place(world.cwd), ids)
    process.mem, process.rlimits = mem, rlimits.initial(world)
    process.space = AddressSpace(world, mem, program, process.rlimits)
    process.files = FileTable(process.rlimits, let_go, me.closed_fds)
    return process


def first_task(world: World, process: Process) -> Task:
    """Return the task that *process*, the first one, begins with."""
    comm = process.program.name.encode("utf-8", "surrogateescape")[:15].decode("utf-8", "surrogateescape")
    cpus, mask, pid = world.cpus, world.process.sigmask, process.pid
    return Task(pid, pid, comm, cpus.mask, sigmask=mask, cpu=cpus.lowest, process=process)


def first_terminal(k: Kernel) -> Tty | None:
    """Return the terminal of the first process, behind the streams that the World says; None where there is none."""
    descriptors = k.world.process.terminals
    if not descriptors:
        return None
    from syscalls.files.terminal import attach  # most runs have none

    return attach(k, descriptors)
