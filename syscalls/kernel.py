"""The kernel: takes a system call from the machine, finds its row, performs it, logs it.

The only place that turns errors into ``-errno``: handlers raise SyscallError, guest memory raises GuestFault (EFAULT)
and OutOfFrames (ENOMEM); one that has to wait raises Blocked, and is called again when its task may go on.  Any other
exception is a bug of ours and is let through.  It never looks at an engine: the machine hands it guest memory and a
counter of instructions, and reads the results off it.

The kernel works for one process at a time, the *current* one: ``mem``, ``space``, ``files``, ``actions``, ``rlimits``,
``program``, ``cwd`` and so on are its.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from syscalls import abi, futex, release, turns
from syscalls.buffers import capture, store
from syscalls.delivery import restore_mask
from syscalls.ending import end_process
from syscalls.errno import EAGAIN, EINTR, ENAMETOOLONG, ENOSYS, NAMES, SyscallError
from syscalls.events import SyscallEvent
from syscalls.files.opened import STDIN, Input, Stream
from syscalls.files.pollable import FIRST_NUMBER
from syscalls.files.table import FileTable
from syscalls.guest import FAILURES, PAGE, GuestFault, GuestMemory, Memories
from syscalls.light import TYPE_CHECKING, replace
from syscalls.net.network import Network
from syscalls.numbers import NAMES as CALL_NAMES
from syscalls.numbers import NUMBERS as CALL_NUMBERS
from syscalls.outcome import Exit, Killed, Outcome, Unsupported
from syscalls.processes import Action, Process, first, first_task, first_terminal
from syscalls.program import Program
from syscalls.random import Entropy
from syscalls.responses import Responses, Rule
from syscalls.row import Compiled, fails
from syscalls.scheduler import Scheduler
from syscalls.sending import notify, settle
from syscalls.space import AddressSpace
from syscalls.table import ROWS
from syscalls.tasks import Task
from syscalls.time import Clock
from syscalls.waits import AGAIN, INTERRUPTED, Blocked, Channel, PendingCall, Wait
from syscalls.world import File, World

if TYPE_CHECKING:
    from syscalls.files.locks import Lock
    from syscalls.files.opened import OpenFile
    from syscalls.files.terminal import Tty
    from syscalls.outcome import Stopped
    from syscalls.siginfo import Info
    from syscalls.timers import SignalTimer
    from syscalls.tree import StoreState, Tree

    TreeState = tuple[Tree, StoreState]
    Told = Callable[[Task, Info | Exit | Killed | Stopped], None]

COMPILED = {row.nr: Compiled(row) for row in ROWS}
PSEUDO = ("/proc/", "/sys/")
MOST_TREES = 64
Sink = Callable[[int, bytes], None]
PID_MAX, RESERVED_PIDS = 32_768, 300
"""/proc/sys/kernel/pid_max by default, and where numbers begin again (kernel/pid.c)."""


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

    hears_signals = False  # a descriptor that signals are read from was made
    told: Told | None = None  # whoever wants to know of signals that tasks take, and of tasks that end
    keys: Input | None = None  # what is typed at the terminal, where standard input is something else

    def __init__(
        self,
        world: World,
        mem: GuestMemory,
        program: Program,
        ticks: Callable[[], int],
        sink: Sink | None = None,
        stdin: Callable[[int], bytes | None] | None = None,
    ) -> None:
        """Set up the process that *program* describes, before its first instruction.

        *ticks* returns the instructions executed so far.  *sink* is handed each write to standard output and error as
        it happens; *stdin* returns up to that many bytes of standard input, none at its end (the default), and None
        when there is no more yet: the reader waits until :data:`syscalls.files.opened.STDIN` is woken.

        Raises WorldError for a response rule that names a call that does not exist.
        """
        self.world, self.ticks, self._written = world, ticks, world.files
        self.release = release.parse(world.uname.release)
        self.possible_cpus = world.possible.mask | world.cpus.mask
        self.nr_cpu_ids = self.possible_cpus.bit_length()
        self.clock = Clock(world, ticks)
        self.entropy = Entropy(world)
        self.responses = Responses(world.responses, CALL_NUMBERS)
        self.scheduler = Scheduler(world.schedule_seed)
        process = first(world, mem, program, self.let_go)
        self.processes = {process.pid: process}  # those that nobody has waited for yet among them
        self.first = process  # with its end the run ends
        self.memories: Memories | None = None  # None: the machine has room for one process
        self.started: tuple[Task, int, int] | None = None  # a task that runs a new program now: its pc and stack
        self.process = process
        self.enter(process)
        self.main = first_task(world, process)
        self.tasks = {self.main.tid: self.main}
        self.born: list[tuple[Task, Task, int]] = []  # parent, child, its stack (0: the parent's): not running yet
        self.gone: list[Task] = []  # tasks that ended, for the machine to forget
        self.last_tid, self.last_number = process.pid, FIRST_NUMBER  # the second of pipes, sockets and the like
        self.net = Network()
        self.timers: dict[int, turns.Timer] = {}  # those that are armed, by the numbers that their alarms name
        self.cpu_timers: dict[int, SignalTimer] = {}  # those that are armed and follow processor time
        self.running: Task | None = self.main  # the task that is on the CPU; None while the next one is chosen
        self.events: list[SyscallEvent] = []
        self.unknown: list[int] = []  # numbers that no row knows, in order of first use
        self.output: list[tuple[int, bytes]] = []  # what was written to standard output (1) and error (2)
        self.exit: Outcome | None = None
        self.signalled = False  # the running task may have signals to take: see syscalls.delivery
        self.yielded = False  # the running task gave way: the machine lets others run first
        self.keeps_output = True
        # Asked when no task can run, with the next deadline: True if it made one able to (by what came from outside).
        self.idle: Callable[[int | None], bool] | None = None
        self.sink, self.stdin = sink, stdin
        self.has_input: Callable[[bool], bool] | None = None  # whether *stdin* would not return None; True: ask outside
        self.set_terminal: Callable[[int, bytes], None] | None = None  # told what TCSETS and TCFLSH did to the terminal
        self.log: Callable[[SyscallEvent], None] | None = self.events.append  # None: nobody wants to know
        self._rows = rows_of(self.release)
        self._rules = self.responses.by_nr
        self._tree: Tree | None = None
        self._trees: dict[tuple[tuple[str, int, str | None, bool], ...], Tree] = {}  # see replace_files
        self.locks: list[Lock] = []  # advisory locks of files
        self.tty: Tty | None = first_terminal(self)

    def enter(self, process: Process) -> None:
        """Let *process* be the current one, or see what changed if it is."""
        if process is not self.process:
            now = self.ticks()
            self.process.ticks += now - self.process.since
            process.since = now
        self.process = process
        self.mem: GuestMemory = process.mem
        self.space: AddressSpace = process.space
        self.files: FileTable = process.files
        self.rlimits: list[tuple[int, int]] = process.rlimits
        self.actions: dict[int, Action] = process.actions  # signal -> handler, flags, restorer, mask
        self.program: Program = process.program

    def ticks_of(self, process: Process) -> int:
        """Return the instructions that *process* has executed."""
        return process.ticks + (self.ticks() - process.since if process is self.process else 0)

    @property
    def cwd(self) -> str:
        """The current directory of the current process."""
        return self.process.cwd

    @cwd.setter
    def cwd(self, place: str) -> None:
        self.process.cwd = place

    @property
    def umask(self) -> int:
        """The file mode creation mask of the current process."""
        return self.process.umask

    def answer_by(self, responses: Responses) -> None:
        """Let *responses* decide from now on what is answered in the calls' place."""
        self.responses = responses
        self._rules = responses.by_nr

    def replace_files(self, files: tuple[File, ...]) -> None:
        """Let *files* be those that the World wrote down, from now on; what is open stays as it is."""
        before, self._written = self._written, files
        if self._tree is not None and self._tree.store.save() is not None:
            from syscalls.tree.build import replace_files

            replace_files(self._tree, before, files)  # what the guest wrote stays
            self._trees.clear()  # it may be one of them
            return
        self._tree = None
        if not all(file.path.startswith(PSEUDO) for file in files):
            return
        # One with the same files, whatever they held, is as good as a new one: what is open of these has a copy.
        shape = tuple([(file.path, file.mode, file.errno, file.content is None) for file in files])
        if shape not in self._trees:
            if len(self._trees) >= MOST_TREES:
                self._trees.clear()
            self._trees[shape] = self.tree
        self._tree = self._trees[shape]
        self._tree.contents.update((file.path, file.content or b"") for file in files)

    def call(self, task: Task, nr: int, args: tuple[int, ...]) -> int | None:
        """Perform system call *nr* for *task* and return its result, ``-errno`` on failure.

        None: *task* waits, and :meth:`resume` has the result later, or it ended.  *args* are the six argument
        registers, unsigned.  Sets ``exit`` when the call ended the run.
        """
        nr &= 0xFFFF_FFFF  # the kernel looks at the lower half of RAX only
        if self.clock.call_ns:
            self.clock.slept_ns += self.clock.call_ns
        row = self._rows[nr] if nr < len(self._rows) else None
        if row is None:
            return self._call_unknown(task, nr, args)
        args = args[: row.width]
        ticks = self.ticks()
        if not row.plain or nr in self._rules:
            return self._call_fully(row, task, args, ticks)
        values = row.narrowed(args)
        try:
            result = row.handler(self, task, *values)
        except FAILURES as error:
            result = -error.errno
        except Blocked as blocked:
            self._suspend(task, PendingCall(nr, args, tuple(values), ticks), blocked.wait)
            return None
        if task.restore_mask is not None:
            restore_mask(task)
        if self.log is not None:
            errno = NAMES.get(-result) if result < 0 else None
            self.log(SyscallEvent(nr, row.name, args, result, errno, False, task.tid, ticks))
        return result if not task.ended else None

    def _call_fully(self, row: Compiled, task: Task, args: tuple[int, ...], ticks: int) -> int | None:
        # A call with pointers, or with rules: what the pointers show is kept for the log.
        detail: dict[int, bytes] = {}
        rule: Rule | None = None
        values: list[int | bytes] = list(row.narrowed(args))
        try:
            for index, nullable in row.paths:
                if args[index] or not nullable:
                    values[index] = detail[index] = self.read_path(args[index])
            for index, kind in row.inputs:
                detail.update(capture(self.mem, kind, index, args, None))
            if row.nr in self._rules:
                rule = self.responses.find(row.nr, lambda: self._path_of(row, values))
            if rule is None:
                result = row.handler(self, task, *values)
            elif rule.arguments:
                values = self._replaced(row, rule.changed(args), values)
                result = row.handler(self, task, *values)
            else:
                result = self._answer(row, rule, args)
        except FAILURES as error:
            result = -error.errno
        except Blocked as blocked:
            self._suspend(task, PendingCall(row.nr, args, tuple(values), ticks, tuple(detail.items())), blocked.wait)
            return None
        if task.restore_mask is not None:
            restore_mask(task)
        self._note(row, task, args, result, rule is not None, ticks, detail)
        return result if not task.ended else None

    def _note(
        self, row: Compiled, task: Task, args: tuple[int, ...], result: int, ruled: bool, ticks: int,
        detail: dict[int, bytes],
    ) -> None:  # fmt: skip
        # Log a call of which the pointers are shown.
        if self.log is None:
            return
        if result >= 0:
            for index, kind in row.outputs:
                detail.update(capture(self.mem, kind, index, args, result))
        errno = NAMES.get(-result) if result < 0 else None
        self.log(SyscallEvent(row.nr, row.name, args, result, errno, ruled, task.tid, ticks, detail))

    # Waiting and going on

    def _suspend(self, task: Task, call: PendingCall, wait: Wait) -> None:
        if task.call is None and (row := self._rows[call.nr]) is not None and (fds := row.fds or wait.fds):
            from syscalls.holding import hold  # few programs wait for files

            call = hold(self, fds, call)
        task.call, task.wait, task.woken = call, wait, None
        self.scheduler.block(task)
        if (task.pending | task.process.pending) & ~task.sigmask:
            notify(self, task)

    def resume(self, task: Task) -> int | None:
        """Go on with the call that *task*, whose process is the current one, waited in; like :meth:`call`."""
        call, wait = task.call, task.wait
        assert call is not None
        assert wait is not None
        row = self._rows[call.nr]
        assert row is not None
        if task.woken == INTERRUPTED and not settle(self, task):
            if task.ended or self.exit is not None:
                return None
            task.woken = AGAIN
        handler = fails(EINTR) if task.woken == INTERRUPTED and not wait.finishes else row.handler
        if call.held:
            from syscalls.holding import with_held

            handler = with_held(handler, call.held)
        try:
            result = handler(self, task, *call.values)
        except FAILURES as error:
            result = -error.errno
        except Blocked as blocked:
            self._suspend(task, call, blocked.wait)
            return None
        interrupted = task.woken == INTERRUPTED and result == -EINTR
        task.restart = call.nr if interrupted and wait.restarts else -1
        if task.restore_mask is not None and not interrupted:
            restore_mask(task)
        task.call = task.wait = task.woken = None
        self._note(row, task, call.args, result, False, call.ticks, dict(call.detail))
        return result if not task.ended else None

    def wake(self, channel: Channel, most: int | None = None) -> int:
        """Wake the first *most* waiters of *channel* (None: all of them), and return how many there were."""
        return self.scheduler.wake(self.tasks, channel, most)

    def next_task(self, current: Task | None) -> Task | None:
        """Return the task that runs next, time having passed until one can; None, and ``exit`` says why, if none.

        *current* could go on at once, and is put behind all others that can.
        """
        return turns.next_task(self, current)

    def next_deadline(self) -> int | None:
        """Return when the next alarm goes off, in monotonic nanoseconds."""
        return turns.next_deadline(self)

    def expire(self) -> None:
        """Wake the tasks whose deadlines have passed."""
        turns.expire(self)

    def _replaced(self, row: Compiled, args: tuple[int, ...], values: list[int | bytes]) -> list[int | bytes]:
        # Narrowed arguments; paths, which were read already, stay the guest's.
        replaced: list[int | bytes] = list(row.narrowed(args))
        for index, _ in row.paths:
            replaced[index] = values[index]
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
        if self.log is not None:
            errno = NAMES.get(-result) if result < 0 else None
            self.log(SyscallEvent(nr, name, args, result, errno, rule is not None, task.tid, ticks))
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
        if self.keeps_output:
            self.output.append((fd, data))
        if self.sink is not None:
            self.sink(fd, data)

    def new_tid(self) -> int:
        """Return the id of a new task or process: one more than the last, as long as pid_max (32,768) allows."""
        for _ in range(PID_MAX):
            self.last_tid = self.last_tid + 1 if self.last_tid + 1 < PID_MAX else RESERVED_PIDS
            if self.last_tid not in self.tasks and self.last_tid not in self.processes:
                return self.last_tid
        raise SyscallError(EAGAIN)

    def input_arrived(self, channel: Channel = STDIN) -> None:
        """Tell whoever waits for input on *channel*, by reading or by watching it, that there is some, or its end."""
        self.wake(channel)
        for process in self.processes.values():
            for file in process.files.open_files():
                told = isinstance(file, Stream) and file.watchers and channel in file.channels(abi.POLLIN)
                for watch in file.watchers if told else ():
                    watch.epoll.told(self, watch, abi.POLLIN | abi.POLLRDNORM)

    def new_number(self) -> int:
        """Return the number of a new pipe, socket or the like."""
        self.last_number += 1
        return self.last_number

    def let_go(self, file: OpenFile) -> None:
        """Learn that nothing refers to *file* any more."""
        file.released(self)

    def tasks_of(self, process: Process) -> list[Task]:
        """Return the tasks of *process* that have not ended, the first one first."""
        return [task for task in self.tasks.values() if task.process is process]

    def end_process(self, process: Process, how: Exit | Killed) -> None:
        """Let *process* be gone with all its tasks; with the first process the run ends."""
        end_process(self, process, how)

    def forget(self, task: Task) -> None:
        """Let *task* be gone, clearing the word it asked to have cleared; set_tid_address(2)."""
        for _, file in task.call.held if task.call else ():
            task.process.files.let_go(file)
        self.scheduler.forget(task)
        del self.tasks[task.tid]
        task.ended = True
        self.gone.append(task)
        mem = task.process.mem
        # mm_release: only where somebody is left who has the memory, too.
        if task.clear_child_tid and any(each.process.mem is mem for each in self.tasks.values()):
            try:
                mem.write(task.clear_child_tid, bytes(4))
            except GuestFault:
                return  # as the kernel does: the thread is gone, nobody is left to tell
            self.wake(futex.channel(task, task.clear_child_tid), 1)

    @property
    def tree(self) -> Tree:
        """The guest's files, built when one is first looked at."""
        if self._tree is None:
            from syscalls.facts import tree_facts
            from syscalls.tree import build

            world, files = self.world, self._written
            self._tree = build(world if files is world.files else replace(world, files=files), tree_facts(self))
        return self._tree

    def tree_state(self) -> TreeState | None:
        """Return what the guest changed of its files, or None while it has changed nothing."""
        state = self._tree.store.save() if self._tree is not None else None
        return None if state is None or self._tree is None else (self._tree, state)

    def restore_tree(self, state: TreeState | None) -> None:
        """Put back what :meth:`tree_state` returned."""
        if state is not None:
            self._tree = state[0]
        if self._tree is not None:
            self._tree.store.restore(None if state is None else state[1])
