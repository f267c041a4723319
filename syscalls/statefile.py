"""The kernel's state as JSON, for files that another process reads.

What refers to the machine's own objects (the program's file, the first task) is named in the file and found again in
the kernel that the state is read for.  Bytes are hexadecimal text.

Raises ValueError, KeyError or TypeError for what cannot be a state; callers turn those into their own.
"""

from __future__ import annotations

from syscalls import keptfile, outcome
from syscalls.events import SyscallEvent
from syscalls.files.kept import Kept, Snapshot
from syscalls.files.locks import Lock
from syscalls.files.opened import Facts, FileBacking, OpenFile
from syscalls.files.table import FileTableState
from syscalls.light import TYPE_CHECKING, Any
from syscalls.program import ProgramFile
from syscalls.saved import KernelState, SignalState, parts_of
from syscalls.scheduler import SchedulerState
from syscalls.shared import Memory
from syscalls.siginfo import Info
from syscalls.statetree import Reader, Writer
from syscalls.tasks import Task
from syscalls.timers import SignalTimer
from syscalls.vma import Backing, Vma, VmaList
from syscalls.waits import PendingCall, Wait

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.waits import Held

Json = dict[str, Any]
ENDS: dict[str, Any] = {
    "exit": outcome.Exit, "killed": outcome.Killed, "hang": outcome.Hang, "unsupported": outcome.Unsupported,
}  # fmt: skip


def to_json(state: KernelState) -> Json:
    """Return *state* as JSON's types."""
    backings: list[Backing] = []
    tree = Writer(state.tree)
    opened, places = keptfile.to_json(state.files[1], tree)
    return {
        "areas": [_area(area, backings) for area in state.areas],
        "backings": [_backing(backing) for backing in backings],
        "brk": state.brk,
        "peak": state.peak,
        "rlimits": state.rlimits,
        "files": _files(state, tree, opened, places),
        "tree": tree.to_json(),
        "tasks": [_task(copy, places) for _, copy in state.tasks],
        "scheduler": state.scheduler._asdict(),
        "last_tid": state.last_tid,
        "last_number": state.last_number,
        "signals": state.signals._asdict()
        | {
            "queued": _infos(state.signals.queued),
            "timers": [[getattr(timer, name) for name in SignalTimer.__slots__] for timer in state.signals.timers],
        },
        "actions": list(state.actions.items()),
        "slept_ns": state.slept_ns,
        "entropy": state.entropy,
        "rule_counts": state.rule_counts,
        "process": state.process,
        "events": [_event(event) for event in state.events],
        "unknown": state.unknown,
        "output": [(fd, data.hex()) for fd, data in state.output],
        "exit": None if state.exit is None else state.exit._asdict(),
    }


def from_json(data: Json, k: Kernel) -> KernelState:
    """Return the state that :func:`to_json` made *data* of, for *k*, a kernel of the same program and World."""
    own = next(area.backing for area in k.space.areas if isinstance(area.backing, ProgramFile))
    tree = Reader(data["tree"], k)
    values, opened = keptfile.from_json(data["files"]["opened"], tree)
    files, locks = _made_files(data["files"], tree, values, opened)
    backings = [own if backing is None else _made_backing(backing) for backing in data["backings"]]
    return KernelState(
        areas=VmaList([_made_area(area, backings) for area in data["areas"]]),
        brk=int(data["brk"]),
        peak=int(data["peak"]),
        rlimits=[(int(soft), int(hard)) for soft, hard in data["rlimits"]],
        files=files,
        parts=parts_of(files),
        locks=locks,
        tree=tree.state,
        tasks=[_made_task(task, k, opened) for task in data["tasks"]],
        actions={int(signal): tuple(action) for signal, action in data["actions"]},
        slept_ns=int(data["slept_ns"]),
        entropy=int(data["entropy"]),
        rule_counts=[int(count) for count in data["rule_counts"]],
        process=tuple(data["process"]),
        events=tuple(_made_event(event) for event in data["events"]),
        unknown=tuple(data["unknown"]),
        output=tuple((int(fd), bytes.fromhex(text)) for fd, text in data["output"]),
        exit=None if data["exit"] is None else ENDS[data["exit"]["kind"]](**data["exit"]),
        scheduler=_made_scheduler(data["scheduler"]),
        last_tid=int(data["last_tid"]),
        last_number=int(data["last_number"]),
        signals=_made_signals(data["signals"]),
    )


def _area(area: Vma, backings: list[Backing]) -> list[Any]:
    index = -1
    if area.backing is not None:
        index = next((i for i, known in enumerate(backings) if known is area.backing), len(backings))
        if index == len(backings):
            backings.append(area.backing)
    return [area.start, area.end, area.prot, area.flags, index, area.offset, area.name]


def _made_area(area: list[Any], backings: list[Backing]) -> Vma:
    start, end, prot, flags, index, offset, name = area
    return Vma(start, end, prot, flags, None if index < 0 else backings[index], offset, name)


def _backing(backing: Backing) -> Json | None:
    # None: the program's own file.
    if isinstance(backing, ProgramFile):
        return None
    if isinstance(backing, Memory):
        return {"size": backing.size, "inode": backing.inode}
    return {
        "path": backing.path,
        "device": backing.device,
        "inode": backing.inode,
        "data": backing.content().hex(),
    }


def _made_backing(data: Json) -> Backing:
    if "size" in data:
        return Memory(int(data["size"]), int(data["inode"]))
    device = (int(data["device"][0]), int(data["device"][1]))
    facts = Facts(data["path"], 0, 0, int(data["inode"]), device)
    content = bytes.fromhex(data["data"])
    return FileBacking(facts, lambda: content)


def _files(state: KernelState, tree: Writer, opened: list[Any], places: dict[Kept, int]) -> Json:
    descriptors, _, close_on_exec = state.files
    return {
        "opened": opened,
        "descriptors": [(fd, places[file]) for fd, file in descriptors.items()],
        "close_on_exec": sorted(close_on_exec),
        "locks": [keptfile.value_to_json(tuple(lock), places, tree) for lock in state.locks],
    }


def _made_files(
    data: Json, tree: Reader, values: Snapshot, opened: list[Kept]
) -> tuple[FileTableState, tuple[Lock, ...]]:
    descriptors = dict(_named(data["descriptors"], opened))
    locks = tuple(Lock(*keptfile.value_from_json(lock, opened, tree)) for lock in data["locks"])
    return (descriptors, values, set(data["close_on_exec"])), locks


def _named(descriptors: list[list[int]], opened: list[Kept]) -> Held:
    # Descriptors with their files, of which there are the places.
    found = []
    for fd, place in descriptors:
        file = opened[place]
        if not isinstance(file, OpenFile):
            raise TypeError(f"descriptor {fd} is not an open file")
        found.append((int(fd), file))
    return tuple(found)


def _infos(queued: tuple[Info, ...]) -> list[Json]:
    return [info._asdict() | {"fields": info.fields.hex()} for info in queued]


def _made_infos(data: list[Json]) -> tuple[Info, ...]:
    return tuple(Info(**{**info, "fields": bytes.fromhex(info["fields"])}) for info in data)


def _made_signals(data: Json) -> SignalState:
    stopped, parked = int(data["stopped"]), tuple(data["parked"])
    timers = []
    for one in data["timers"]:
        values: list[Any] = [tuple(item) if isinstance(item, list) else item for item in one]
        timers.append(SignalTimer(*values))
    queued = _made_infos(data["queued"])
    return SignalState(int(data["pending"]), queued, stopped, parked, tuple(timers), int(data["timer_ids"]))


def _task(task: Task, places: dict[Kept, int]) -> Json:
    data: Json = {name: getattr(task, name) for name in Task.__slots__ if name != "process"}
    data["queued"] = _infos(task.queued)
    if task.call is not None:
        data["call"] = task.call._asdict() | {
            "values": [value if isinstance(value, int) else value.hex() for value in task.call.values],
            "detail": [(index, value.hex()) for index, value in task.call.detail],
            "held": [(fd, places[file]) for fd, file in task.call.held],
        }
    if task.wait is not None:
        data["wait"] = task.wait._asdict()
    return data


def _made_task(data: Json, k: Kernel, opened: list[Kept]) -> tuple[Task, Task]:
    # The live task, which restoring changes, and what it becomes.
    names = set(Task.__slots__)
    values: Json = {
        name: tuple(item) if isinstance(item, list) else item for name, item in data.items() if name in names
    }
    values["queued"] = _made_infos(data["queued"])
    if values["call"] is not None:
        values["call"] = _made_call(values["call"], opened)
    if values["wait"] is not None:
        channels = tuple(tuple(channel) for channel in values["wait"]["channels"])
        values["wait"] = Wait(**{**values["wait"], "channels": channels, "fds": tuple(values["wait"]["fds"])})
    copy = Task(**values, process=k.process)
    return (k.main if k.main.tid == copy.tid else copy.copy()), copy


def _made_call(data: Json, opened: list[Kept]) -> PendingCall:
    values = tuple(value if isinstance(value, int) else bytes.fromhex(value) for value in data["values"])
    detail = tuple((int(index), bytes.fromhex(text)) for index, text in data["detail"])
    held = _named(data["held"], opened)
    return PendingCall(int(data["nr"]), tuple(data["args"]), values, int(data["ticks"]), detail, held)


def _made_scheduler(data: Json) -> SchedulerState:
    waiting = tuple((tuple(channel), tuple(tids)) for channel, tids in data["waiting"])
    alarms = tuple(tuple(alarm) for alarm in data["alarms"])
    return SchedulerState(tuple(data["ready"]), waiting, alarms, int(data["sequence"]), int(data["random"]))


def _event(event: SyscallEvent) -> list[Any]:
    detail = [(index, data.hex()) for index, data in event.detail.items()]
    return [
        event.nr, event.name, event.args, event.result, event.errno, event.overridden, event.tid, event.ticks, detail,
        event.function,
    ]  # fmt: skip


def _made_event(data: list[Any]) -> SyscallEvent:
    nr, name, args, result, errno, overridden, tid, ticks, detail, function = data
    found = {int(index): bytes.fromhex(text) for index, text in detail}
    return SyscallEvent(nr, name, tuple(args), result, errno, overridden, tid, ticks, found, function)
