"""What the running kernel tells the tree: the answers behind /proc/self, asked anew at every open."""

from __future__ import annotations

from syscalls import abi, auxv
from syscalls.guest import PAGE, PROT_EXEC, PROT_READ, PROT_WRITE, GuestFault
from syscalls.light import TYPE_CHECKING
from syscalls.sending import is_ignored
from syscalls.tree import ProcessFacts, SignalSets, VmSizes
from syscalls.vma import GROWSDOWN, Vma

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tree import Node


def process_facts(k: Kernel) -> ProcessFacts:
    """Return the view of *k* that its tree renders."""
    program = k.program
    return ProcessFacts(
        name=program.name,
        exe=program.exe,
        program=program.read_file,
        command_line=lambda: stretch(k, program.arg_range),
        environment=lambda: stretch(k, program.env_range),
        auxv=lambda: auxv.pack(program.auxv),
        maps=k.space.maps,
        vm=lambda: vm_sizes(k),
        tids=lambda: sorted(k.tasks),
        comm=lambda tid: k.tasks[tid].comm,
        fds=lambda: {fd: k.files.get(fd).place for fd in k.files.fds()},
        rlimits=lambda: k.rlimits,
        signals=lambda: signal_sets(k),
        no_new_privs=lambda: k.main.no_new_privs,
        cpus=lambda tid: k.tasks[tid].cpus,
        monotonic_ns=k.clock.monotonic_ns,
        cpu_ns=k.clock.cpu_ns,
        cwd=lambda: k.cwd,
        opened=lambda: opened_nodes(k),
        spaces=lambda: dict.fromkeys(each.space for each in k.processes.values() if each.ended is None),
    )


def opened_nodes(k: Kernel) -> list[Node]:
    """Return what stands in the tree behind the descriptors of all processes."""
    files = (file for process in k.processes.values() for file in process.files.open_files())
    return [file.node for file in files if file.node is not None]


def stretch(k: Kernel, span: tuple[int, int]) -> bytes:
    """Return the guest's bytes of *span*; none when they are gone, as /proc/self/cmdline shows then."""
    start, end = span
    try:
        return k.mem.read(start, end - start)
    except GuestFault:
        return b""


def resident(k: Kernel, area: Vma) -> int:
    """Return how many bytes of *area* have frames."""
    return k.mem.resident(area.start, (area.end - area.start) // PAGE).count(1) * PAGE


def vm_sizes(k: Kernel) -> VmSizes:
    """Return the sizes of the address space."""
    program, areas = k.program, list(k.space.areas)
    segments = program.segments
    code = [(addr, addr + size) for addr, size, prot, _ in segments if prot & PROT_EXEC] or [(0, 0)]
    data = [(addr, addr + size) for addr, size, prot, _ in segments if prot & PROT_WRITE] or [(0, 0)]
    in_memory = {area.start: resident(k, area) for area in areas}
    return VmSizes(
        total=k.space.total(),
        peak=k.space.peak,
        resident=sum(in_memory.values()),
        resident_file=sum(size for area in areas if (size := in_memory[area.start]) and area.backing is not None),
        data=k.space.total_data(),
        stack=sum(area.end - area.start for area in areas if area.flags & GROWSDOWN),
        text=sum(area.end - area.start for area in areas if area.backing and area.prot == PROT_READ | PROT_EXEC),
        tables=page_tables(areas),
        start_code=code[0][0],
        end_code=code[-1][1],
        start_data=data[0][0],
        end_data=data[-1][1],
        start_brk=k.space.start_brk,
        start_stack=program.arg_range[0] or program.stack[1],
        arg_start=program.arg_range[0],
        arg_end=program.arg_range[1],
        env_start=program.env_range[0],
        env_end=program.env_range[1],
    )


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


def signal_sets(k: Kernel) -> SignalSets:
    """Return the signal masks of the process."""
    ignored = caught = 0
    for signum, (handler, *_) in k.actions.items():
        bit = 1 << (signum - 1)
        if handler == abi.SIG_IGN:
            ignored |= bit
        elif handler != abi.SIG_DFL and not is_ignored(k.actions, signum):
            caught |= bit
    return SignalSets(k.process.pending, k.main.sigmask, ignored, caught)
