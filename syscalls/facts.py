"""What the running kernel tells the tree: the answers behind /proc/self, asked anew at every open."""

from __future__ import annotations

from syscalls import abi, auxv
from syscalls.guest import PAGE, PROT_EXEC, PROT_READ, PROT_WRITE, GuestFault
from syscalls.light import TYPE_CHECKING, replace
from syscalls.shared import Memory
from syscalls.tree import Identity, ProcessFacts, SignalSets, VmSizes
from syscalls.vma import GROWSDOWN, Vma

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.processes import Process
    from syscalls.tree import Node


def tree_facts(k: Kernel) -> ProcessFacts:
    """Return the view of *k* that its tree renders: of the first process, and through it of all others."""
    known: dict[int, tuple[Process, ProcessFacts]] = {}

    def others(pid: int) -> ProcessFacts | None:
        # What is told of a process is the same object as long as there is one, so that its folder can stay.
        process = k.processes.get(pid)
        if process is None:
            known.pop(pid, None)
            return None
        before = known.get(pid)
        if before is None or before[0] is not process:
            before = known[pid] = process, process_facts(k, process)
        return before[1]

    return replace(
        process_facts(k, k.first),
        vm=lambda: whole(k),
        tids=lambda: sorted(k.tasks),
        cpu_ns=k.clock.cpu_ns,
        others=others,
        pids=lambda: sorted(k.processes),
        current=lambda: k.process.pid,
        opened=lambda: opened_nodes(k),
        spaces=lambda: dict.fromkeys(each.space for each in k.processes.values() if each.ended is None),
        who=lambda: (k.process.ids.euid, k.process.ids.egid),
    )


def process_facts(k: Kernel, process: Process) -> ProcessFacts:
    """Return the view of *process*, whatever it runs by then.

    One that has ended has no memory, no descriptors and no threads any more.
    """
    program = process.program
    return ProcessFacts(
        name=program.name,
        exe=program.exe,
        runs=lambda: process.program.exe,
        program=program.read_file,
        command_line=lambda: stretch(process, process.program.arg_range),
        environment=lambda: stretch(process, process.program.env_range),
        auxv=lambda: auxv.pack(process.program.auxv),
        maps=lambda: process.space.maps() if process.ended is None else "",
        vm=lambda: vm_sizes(process),
        tids=lambda: sorted(task.tid for task in k.tasks_of(process)),
        comm=lambda tid: k.tasks[tid].comm if tid in k.tasks else process.program.name,
        fds=lambda: {fd: process.files.get(fd).place for fd in process.files.fds()},
        rlimits=lambda: process.rlimits,
        signals=lambda: signal_sets(k, process),
        no_new_privs=lambda: any(task.no_new_privs for task in k.tasks_of(process)),
        cpus=lambda tid: k.tasks[tid].cpus if tid in k.tasks else k.world.cpus.mask,
        monotonic_ns=k.clock.monotonic_ns,
        cpu_ns=lambda: k.clock.duration_ns(k.ticks_of(process)),
        cwd=lambda: process.cwd,
        identity=lambda: identity(k, process),
    )


def identity(k: Kernel, process: Process) -> Identity:
    """Return who *process* is, and what it does."""
    ids, state = process.ids, "S (sleeping)"
    if process.ended is not None:
        state = "Z (zombie)"
    elif any(task.wait is None for task in k.tasks_of(process)):
        state = "R (running)"
    return Identity(
        process.pid, process.ppid, process.pgid, process.sid, ids.users, ids.main, ids.groups, process.umask, state
    )


def opened_nodes(k: Kernel) -> list[Node]:
    """Return what stands in the tree behind the descriptors of all processes."""
    files = (file for process in k.processes.values() for file in process.files.open_files())
    return [file.node for file in files if file.node is not None]


def stretch(process: Process, span: tuple[int, int]) -> bytes:
    """Return the guest's bytes of *span*; none when they are gone, as /proc/self/cmdline shows then."""
    start, end = span
    try:
        return process.mem.read(start, end - start)
    except GuestFault:
        return b""


def resident(process: Process, area: Vma) -> int:
    """Return how many bytes of *area* have frames."""
    return process.mem.resident(area.start, (area.end - area.start) // PAGE).count(1) * PAGE


def without_file(area: Vma) -> bool:
    """Tell whether *area* is shared memory without a file."""
    return isinstance(area.backing, Memory)


def vm_sizes(process: Process) -> VmSizes:
    """Return the sizes of the address space; all 0 for a process that has none any more."""
    if process.ended is not None:
        return VmSizes()
    program, space = process.program, process.space
    areas, segments = list(space.areas), program.segments
    code = [(addr, addr + size) for addr, size, prot, _ in segments if prot & PROT_EXEC] or [(0, 0)]
    data = [(addr, addr + size) for addr, size, prot, _ in segments if prot & PROT_WRITE] or [(0, 0)]
    in_memory = {area.start: resident(process, area) for area in areas}
    return VmSizes(
        total=space.total(),
        peak=space.peak,
        resident=sum(in_memory.values()),
        resident_file=sum(in_memory[area.start] for area in areas if area.backing and not without_file(area)),
        resident_shared=sum(in_memory[area.start] for area in areas if without_file(area)),
        data=space.total_data(),
        stack=sum(area.end - area.start for area in areas if area.flags & GROWSDOWN),
        text=sum(area.end - area.start for area in areas if area.backing and area.prot == PROT_READ | PROT_EXEC),
        tables=page_tables(areas),
        start_code=code[0][0],
        end_code=code[-1][1],
        start_data=data[0][0],
        end_data=data[-1][1],
        start_brk=space.start_brk,
        start_stack=program.arg_range[0] or program.stack[1],
        arg_start=program.arg_range[0],
        arg_end=program.arg_range[1],
        env_start=program.env_range[0],
        env_end=program.env_range[1],
    )


def whole(k: Kernel) -> VmSizes:
    """Return the sizes of all address spaces together, each counted once."""
    spaces = {each.space: each for each in k.processes.values() if each.ended is None}
    return VmSizes(*map(sum, zip(*map(vm_sizes, spaces.values()), strict=True)))


def page_tables(areas: list[Vma]) -> int:
    """Return the bytes of the page tables that map *areas*: a page for each 2 MiB, 1 GiB and 512 GiB touched."""
    tables = 0
    for shift in (21, 30, 39):
        slots: set[int] = set()
        for area in areas:
            if area.prot:
                slots.update(range(area.start >> shift, (area.end - 1 >> shift) + 1))
        tables += len(slots)
    return tables * PAGE


def signal_sets(k: Kernel, process: Process) -> SignalSets:
    """Return the signal masks of *process* and of its first thread."""
    ignored = caught = 0
    for signum, (handler, *_) in process.actions.items():
        bit = 1 << (signum - 1)
        if handler == abi.SIG_IGN:
            ignored |= bit
        elif handler != abi.SIG_DFL:
            caught |= bit
    tasks = k.tasks_of(process)
    return SignalSets(process.pending, tasks[0].sigmask, ignored, caught) if tasks else SignalSets()
