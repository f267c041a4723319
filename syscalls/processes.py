"""One guest process: what its threads, each a :class:`syscalls.tasks.Task`, share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from syscalls.files.table import FileTable
    from syscalls.guest import GuestMemory
    from syscalls.outcome import Exit, Killed
    from syscalls.program import Program
    from syscalls.space import AddressSpace

Action = tuple[int, int, int, int]
"""Of a signal: handler, flags, restorer, mask."""


class Process:
    """Memory, descriptors, signal actions, limits, and place in the tree of files and of processes.

    ``Kernel.enter`` makes one the current process; handlers reach its parts through the kernel.
    """

    __slots__ = (
        "actions", "cwd", "dumpable", "ended", "files", "mem", "number", "pgid", "pid", "ppid", "program", "rlimits",
        "sid", "space", "thp_disabled", "umask",
    )  # fmt: skip

    def __init__(self, pid: int, ppid: int, program: Program, cwd: str) -> None:
        """Make a process without memory and descriptors, which its maker supplies."""
        self.pid, self.ppid, self.pgid, self.sid = pid, ppid, pid, pid
        self.number = pid  # of its address space, which a vforked child shares: names futexes
        self.program, self.cwd = program, cwd
        self.umask, self.dumpable, self.thp_disabled = 0o022, 1, False
        self.actions: dict[int, Action] = {}
        self.rlimits: list[tuple[int, int]]
        self.mem: GuestMemory
        self.space: AddressSpace
        self.files: FileTable
        self.ended: Exit | Killed | None = None  # how, once its last task is gone
