"""The kernel: takes a system call from the machine, finds its row, performs it, logs it.

The only place that turns errors into ``-errno``: handlers raise SyscallError, guest memory raises GuestFault (EFAULT)
and OutOfFrames (ENOMEM).  Any other exception is a bug of ours and is let through.  It never looks at an engine: the
machine hands it guest memory and a counter of instructions, and reads the results off it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from syscalls import abi, release, rlimits
from syscalls.buffers import capture, store
from syscalls.errno import EFAULT, ENAMETOOLONG, ENOMEM, ENOSYS, NAMES, SyscallError
from syscalls.events import SyscallEvent
from syscalls.files.table import FileTable
from syscalls.guest import PAGE, GuestFault, GuestMemory, OutOfFrames
from syscalls.light import replace
from syscalls.numbers import NAMES as CALL_NAMES
from syscalls.numbers import NUMBERS as CALL_NUMBERS
from syscalls.outcome import Outcome, Unsupported
from syscalls.program import Program
from syscalls.random import Entropy
from syscalls.responses import Responses, Rule
from syscalls.row import Compiled, fails
from syscalls.space import AddressSpace
from syscalls.table import ROWS
from syscalls.tasks import Task
from syscalls.time import Clock
from syscalls.world import File, World

if TYPE_CHECKING:
    from syscalls.tree import Tree

COMPILED = {row.nr: Compiled(row) for row in ROWS}
Sink = Callable[[int, bytes], None]


@functools.lru_cache(maxsize=32)
def rows_of(version: tuple[int, int]) -> list[Compiled | None]:
    """Return the row of each number in a kernel of *version*, not to be changed: later calls fail with ENOSYS."""
    rows: list[Compiled | None] = [None] * (max(COMPILED) + 1)
    for nr, row in COMPILED.items():
        too_new = row.row.since > version
        rows[nr] = Compiled(row.row._replace(handler=fails(ENOSYS))) if too_new else row
    return rows


class Kernel:
    """The kernel of one run, with everything that its system calls read and change."""

    def __init__(
        self,
        world: World,
        mem: GuestMemory,
        program: Program,
        ticks: Callable[[], int],
        sink: Sink | None = None,
        stdin: Callable[[int], bytes] | None = None,
    ) -> None:
        """Set up the process that *program* describes, before its first instruction.

        *ticks* returns the instructions executed so far.  *sink* is handed each write to standard output and error as
        it happens; *stdin* returns up to that many bytes of standard input, none at its end (the default).

        Raises WorldError for a response rule that names a call that does not exist.
        """
        self.world, self.mem, self.program, self.ticks = world, mem, program, ticks
        self.release = release.parse(world.uname.release)
        self.possible_cpus = world.possible.mask | world.cpus.mask
        self.nr_cpu_ids = self.possible_cpus.bit_length()
        self.rlimits = rlimits.initial(world)
        self.space = AddressSpace(world, mem, program, self.rlimits)
        self.clock = Clock(world, ticks)
        self.entropy = Entropy(world)
        self.responses = Responses(world.responses, CALL_NUMBERS)
        process = world.process
        comm = program.name.encode("utf-8", "surrogateescape")[:15].decode("utf-8", "surrogateescape")
        cpu = world.cpus.lowest
        self.main = Task(process.pid, process.pid, comm, world.cpus.mask, sigmask=process.sigmask, cpu=cpu)
        self.tasks = {self.main.tid: self.main}
        self.actions: dict[int, tuple[int, int, int, int]] = {}  # signal -> handler, flags, restorer, mask
        self.dumpable, self.thp_disabled, self.umask = 1, False, 0o022
        self.cwd = world.cwd
        self.events: list[SyscallEvent] = []
        self.unknown: list[int] = []  # numbers that no row knows, in order of first use
        self.output: list[tuple[int, bytes]] = []  # what was written to standard output (1) and error (2)
        self.exit: Outcome | None = None
        self.sink, self.stdin = sink, stdin
        self.files = FileTable(self)
        self._rows = rows_of(self.release)
        self._rules = self.responses.by_nr
        self._tree: Tree | None = None

    def answer_by(self, responses: Responses) -> None:
        """Let *responses* decide from now on what is answered in the calls' place."""
        self.responses = responses
        self._rules = responses.by_nr

    def replace_files(self, files: tuple[File, ...]) -> None:
        """Let *files* be those that the World wrote down, from now on; what is open stays as it is."""
        self.world = replace(self.world, files=files)
        self._tree = None

    def call(self, task: Task, nr: int, args: tuple[int, ...]) -> int:
        """Perform system call *nr* for *task* and return its result, ``-errno`` on failure.

        *args* are the six argument registers, unsigned.  Sets ``exit`` when the call ended the run.
        """
        nr &= 0xFFFF_FFFF  # the kernel looks at the lower half of RAX only
        row = self._rows[nr] if nr < len(self._rows) else None
        if row is None:
            return self._call_unknown(task, nr, args)
        args = args[: row.width]
        ticks = self.ticks()
        if not row.plain or nr in self._rules:
            return self._call_fully(row, task, args, ticks)
        try:
            result = row.handler(self, task, *self._narrowed(row, args))
        except SyscallError as error:
            result = -error.errno
        except GuestFault:
            result = -EFAULT
        except OutOfFrames:
            result = -ENOMEM
        errno = NAMES.get(-result) if result < 0 else None
        self.events.append(SyscallEvent(nr, row.name, args, result, errno, False, task.tid, ticks))
        return result

    def _narrowed(self, row: Compiled, args: tuple[int, ...]) -> tuple[int, ...] | list[int]:
        if not row.narrow:
            return args
        values = list(args)
        for index, mask, sign in row.narrow:
            value = values[index] & mask
            values[index] = value - ((value & sign) << 1)
        return values

    def _call_fully(self, row: Compiled, task: Task, args: tuple[int, ...], ticks: int) -> int:
        # A call with pointers, or with rules: what the pointers show is kept for the log.
        detail: dict[int, bytes] = {}
        rule: Rule | None = None
        try:
            values: list[int | bytes] = list(self._narrowed(row, args))
            if row.path_index >= 0:
                path = self.read_path(args[row.path_index])
                values[row.path_index] = detail[row.path_index] = path
            for index, kind in row.inputs:
                detail.update(capture(self.mem, kind, index, args, None))
            if row.nr in self._rules:
                rule = self.responses.find(row.nr, lambda: self._path_of(row, values))
            if rule is None:
                result = row.handler(self, task, *values)
            elif rule.arguments:
                result = row.handler(self, task, *self._replaced(row, rule.changed(args), values))
            else:
                result = self._answer(row, rule, args)
        except SyscallError as error:
            result = -error.errno
        except GuestFault:
            result = -EFAULT
        except OutOfFrames:
            result = -ENOMEM
        if result >= 0:
            for index, kind in row.outputs:
                detail.update(capture(self.mem, kind, index, args, result))
        errno = NAMES.get(-result) if result < 0 else None
        self.events.append(
            SyscallEvent(row.nr, row.name, args, result, errno, rule is not None, task.tid, ticks, detail)
        )
        return result

    def _replaced(self, row: Compiled, args: tuple[int, ...], values: list[int | bytes]) -> list[int | bytes]:
        # Narrowed arguments; the path, which was read already, stays the guest's.
        replaced: list[int | bytes] = list(self._narrowed(row, args))
        if row.path_index >= 0:
            replaced[row.path_index] = values[row.path_index]
        return replaced

    def _answer(self, row: Compiled, rule: Rule, args: tuple[int, ...]) -> int:
        # The call is not performed: the rule says what it returns and what its first output buffer receives.
        stored = 0
        if rule.data is not None and row.outputs:
            index, kind = row.outputs[0]
            stored = store(self.mem, kind, index, args, rule.data)
        if rule.errno:
            return -rule.errno
        return stored if rule.result is None else rule.result

    def _path_of(self, row: Compiled, values: list[int | bytes]) -> bytes | None:
        if row.path_index >= 0:
            value = values[row.path_index]
            return value if isinstance(value, bytes) else None
        if row.fd_index >= 0:
            fd = values[row.fd_index]
            return self.files.path_of(fd) if isinstance(fd, int) else None
        return None

    def _call_unknown(self, task: Task, nr: int, args: tuple[int, ...]) -> int:
        # No row: a response rule may still answer it, else it does not exist.
        ticks = self.ticks()
        if nr not in self.unknown:
            self.unknown.append(nr)
        rule = self.responses.find(nr, lambda: None) if nr in self._rules else None
        result = -ENOSYS
        if rule and not rule.arguments:
            result = -rule.errno if rule.errno else rule.result or 0
        elif self.world.strict:
            self.exit = Unsupported(nr)
        name = CALL_NAMES.get(nr, f"syscall_{nr}")
        errno = NAMES.get(-result) if result < 0 else None
        self.events.append(SyscallEvent(nr, name, args, result, errno, rule is not None, task.tid, ticks))
        return result

    # What handlers share

    def read_text(self, addr: int, limit: int) -> bytes:
        """Return the null-terminated bytes at *addr*, at most *limit* of them; raise GuestFault.

        Never touches the page after the terminator.
        """
        text = b""
        while len(text) < limit:
            part = self.mem.read(addr, min(limit - len(text), PAGE - addr % PAGE))
            end = part.find(0)
            if end >= 0:
                return text + part[:end]
            text += part
            addr += len(part)
        return text

    def read_path(self, addr: int) -> bytes:
        """Return the path at *addr*; ENAMETOOLONG when it does not end within PATH_MAX.  path_resolution(7)."""
        path = self.read_text(addr, abi.PATH_MAX)
        if len(path) >= abi.PATH_MAX:
            raise SyscallError(ENAMETOOLONG)
        return path

    def write_output(self, fd: int, data: bytes) -> None:
        """Take what the guest wrote to standard output (*fd* 1) or error (2)."""
        self.output.append((fd, data))
        if self.sink is not None:
            self.sink(fd, data)

    def forget(self, task: Task) -> None:
        """Let *task* be gone, clearing the word it asked to have cleared; set_tid_address(2)."""
        del self.tasks[task.tid]
        if task.clear_child_tid:
            try:
                self.mem.write(task.clear_child_tid, bytes(4))
            except GuestFault:
                return  # as the kernel does: the thread is gone, nobody is left to tell

    @property
    def tree(self) -> Tree:
        """The guest's files, built when one is first looked at."""
        if self._tree is None:
            from syscalls.facts import process_facts
            from syscalls.tree import build

            self._tree = build(self.world, process_facts(self))
        return self._tree
