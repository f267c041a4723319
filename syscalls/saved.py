"""The kernel's state as a value: taken before something is tried, put back afterwards.

Guest memory is the machine's to save.  Restoring keeps every object that others hold (tasks, lists, tables) and changes
what is in them.  Of the tree, what the guest changed is kept; the rest asks the kernel whenever a file is opened.
"""

from __future__ import annotations

from syscalls.events import SyscallEvent
from syscalls.files.kept import Kept
from syscalls.files.table import FileTableState
from syscalls.light import TYPE_CHECKING, Any, NamedTuple, dataclass, replace
from syscalls.net.network import Network
from syscalls.outcome import Outcome
from syscalls.recall import moment_of
from syscalls.scheduler import SchedulerState
from syscalls.siginfo import Info
from syscalls.tasks import Task
from syscalls.timers import SignalTimer
from syscalls.vma import VmaList

if TYPE_CHECKING:
    from syscalls.files.locks import Lock
    from syscalls.files.terminal import Tty
    from syscalls.files.timerfd import TimerFd
    from syscalls.kernel import Kernel, TreeState
    from syscalls.processes import Process


class SignalState(NamedTuple):
    """What was sent to a process and is pending; the signal that stopped it, and its tasks that would run."""

    pending: int
    queued: tuple[Info, ...]
    stopped: int
    parked: tuple[int, ...]
    timers: tuple[SignalTimer, ...]
    timer_ids: int


class Parts(NamedTuple):
    """What the kernel itself refers to of what is kept with the open files."""

    net: Network
    tty: Tty | None
    timers: tuple[TimerFd, ...]
    hears_signals: bool


def parts_of(files: FileTableState) -> Parts:
    """Return the parts of *files*, found by the names of their classes: most modules of those are never imported."""
    by_kind: dict[str, list[Any]] = {}
    for item in files[1]:
        by_kind.setdefault(type(item).__name__, []).append(item)
    (net,), ttys = by_kind["Network"], by_kind.get("Tty", [None])
    return Parts(net, ttys[0], tuple(by_kind.get("TimerFd", ())), "SignalFd" in by_kind)


@dataclass(frozen=True, slots=True)
class KernelState:
    """What :func:`save` takes; immutable but for what nobody changes."""

    areas: VmaList
    brk: int
    peak: int
    rlimits: list[tuple[int, int]]
    files: FileTableState
    parts: Parts  # of those
    tasks: list[tuple[Task, Task]]  # each task, and a copy of it
    actions: dict[int, tuple[int, int, int, int]]
    slept_ns: int
    entropy: int
    rule_counts: list[int]
    process: tuple[Any, ...]  # of syscalls.processes
    events: tuple[SyscallEvent, ...]  # whole, not only how many: a state may be put back that another run led past
    unknown: tuple[int, ...]
    output: tuple[tuple[int, bytes], ...]
    exit: Outcome | None
    scheduler: SchedulerState
    last_tid: int
    tree: TreeState | None  # None: the guest has changed no file
    last_number: int
    locks: tuple[Lock, ...]
    signals: SignalState  # of the process


def save(k: Kernel) -> KernelState:
    """Return the state of *k*; raise ValueError when it has more than one process."""
    if len(k.processes) > 1:
        raise ValueError("more than one process: such a state cannot be saved")
    files = k.files.state(others(k))
    return KernelState(
        areas=moment_of(k.space.areas).areas,
        brk=k.space.brk,
        peak=k.space.peak,
        rlimits=k.rlimits[:],
        files=files,
        parts=parts_of(files),
        tasks=[(task, task.copy()) for task in k.tasks.values()],
        actions=dict(k.actions),
        slept_ns=k.clock.slept_ns,
        entropy=k.entropy.position,
        rule_counts=k.responses.counts(),
        process=k.process.state(),
        events=tuple(k.events),
        unknown=tuple(k.unknown),
        output=tuple(k.output),
        exit=k.exit,
        scheduler=k.scheduler.state(),
        last_tid=k.last_tid,
        tree=k.tree_state(),
        last_number=k.last_number,
        locks=tuple(k.locks),
        signals=signals_of(k.process),
    )


def others(k: Kernel) -> list[Kept]:
    """Return what is to be kept beside the files that descriptors refer to."""
    held = [file for task in k.tasks.values() if task.call is not None for _, file in task.call.held]
    return [k.net, *([k.tty] if k.tty is not None else []), *held]


def restore(k: Kernel, state: KernelState) -> None:
    """Make *k* what it was when *state* was saved."""
    k.space.areas.become(state.areas)
    k.space.brk, k.space.peak = state.brk, state.peak
    k.rlimits[:] = state.rlimits
    k.restore_tree(state.tree)
    k.locks[:] = state.locks
    k.files.restore(state.files)
    net, tty, timers, hears_signals = state.parts
    k.net, k.tty = net, None if k.tty is None else tty
    k.hears_signals = k.hears_signals or hears_signals
    k.timers.clear()
    k.timers.update({file.number: file for file in timers if file.alarm})
    for task, before in state.tasks:
        task.become(before)
    k.tasks = {task.tid: task for task, _ in state.tasks}
    k.actions.clear()
    k.actions.update(state.actions)
    k.clock.slept_ns = state.slept_ns
    k.entropy.position = state.entropy
    k.responses.restore(state.rule_counts)
    k.process.become(state.process)
    own = k.process
    put_signals(k, own, state.signals)
    k.events[:], k.unknown[:], k.output[:] = state.events, state.unknown, state.output
    k.exit = state.exit
    k.scheduler.restore(state.scheduler)
    k.last_tid, k.last_number, k.yielded = state.last_tid, state.last_number, False
    k.signalled = False
    k.born.clear()
    k.gone.clear()


def signals_of(own: Process) -> SignalState:
    """Return the pending signals and the timers of a process."""
    timers = tuple(map(replace, own.timers.values()))
    return SignalState(own.pending, own.queued, own.stopped, own.parked, timers, own.timer_ids)


def put_signals(k: Kernel, process: Process, state: SignalState) -> None:
    """Let *process*, the only one, have the pending signals and the timers of *state*."""
    process.pending, process.queued, process.stopped, process.parked, _, process.timer_ids = state
    process.timers = {timer.ident: replace(timer) for timer in state.timers}
    k.cpu_timers.clear()
    for timer in process.timers.values():
        timer.enlist(k)
