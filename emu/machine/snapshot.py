"""Snapshots of a whole machine: taken in microseconds, restored by copying the pages that are dirty and no others.

A snapshot holds the CPU of each task, the pages that have D set, the page tables, the kernel's state and the counts.
Pages without D hold what the loader put there (kept frames) or zeros, so restoring makes every page that is dirty now
like that, and then stores those that were dirty at the time.  Nothing tells the guest that it was restored: what
follows is what would have followed the first time (``tests/machine/test_snapshot.py`` compares with cold starts).

Measured on a busy 2-core machine, best of 200, hello of Go 1.27: at runtime.osinit (7 pages) 24 us to take and 76 us to
restore after a run to mstart; at mstart (87 pages) 78 us to take and 44 us to restore; the run itself 1,200 us.  For
esbuild of Go 1.13 these are 24, 48, 52, 31 and 570 us.

Translated code is kept, unless the guest made code of its own or changed its own.  Files of snapshots:
:mod:`emu.machine.snapfile`.
"""

from __future__ import annotations

from emu.machine import accel
from emu.machine.entries import TablesState
from emu.machine.machine import Machine
from emu.machine.ram import RamState
from syscalls import saved
from syscalls.guest import PAGE
from syscalls.kernel import Kernel
from syscalls.light import Any, dataclass


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of one machine at one moment, of use until it begins anew in another World."""

    kernel: Kernel  # of the run that it is a moment of
    contexts: tuple[tuple[int, bytes], ...]  # (task, its CPU), the one on the engine first
    counts: bytes
    ram: RamState
    tables: TablesState
    frames: bytes  # the numbers of the frames that are not as they were at first, packed as uint32 ...
    pages: bytes  # ... and what they hold
    state: saved.KernelState
    own: tuple[Any, ...]  # what the machine itself keeps account of

    @property
    def n_pages(self) -> int:
        """Pages of guest memory that it holds, page tables not counted."""
        return len(self.pages) // PAGE


def is_single(machine: Machine) -> bool:
    """Tell whether the guest is one process, and there never was another address space: of a child, or by execve."""
    return not machine.memories.several and len(machine.kernel.processes) == 1


def take(machine: Machine) -> Snapshot:
    """Return the state of *machine*, which is not running.

    Raises ValueError when it is not that of a single process (:func:`is_single`).
    """
    if not is_single(machine):
        raise ValueError("there was more than one process or address space: such a state cannot be saved")
    ram = machine.ram
    frames = accel.dirty_frames(ram.host_addr, tuple(machine.pages.tables.values()), machine.base.supervisor // PAGE)
    return Snapshot(
        kernel=machine.kernel,
        contexts=((machine.task.tid, machine.engine.context()), *machine.contexts.state(machine.task.tid)),
        counts=machine.counter.state(),
        ram=ram.state(),
        tables=machine.pages.state(),
        frames=frames,
        pages=accel.load_pages(ram.host_addr, frames),
        state=saved.save(machine.kernel),
        own=machine.state(),
    )


def restore(machine: Machine, snapshot: Snapshot) -> None:
    """Make *machine*, which is not running, what it was when *snapshot* was taken.

    Raises ValueError for a snapshot of another machine, or of one that has begun anew since, and where the guest has
    made processes since (:func:`is_single`): that machine has to begin anew.
    """
    if machine.kernel is not snapshot.kernel:
        raise ValueError("the snapshot belongs to another run")
    if not is_single(machine):
        raise ValueError("the guest has made processes since: such a state cannot be left")
    put_memory(machine, snapshot.tables, snapshot.ram, snapshot.frames, snapshot.pages)
    machine.engine.become(snapshot.contexts[0][1])
    machine.contexts.restore(snapshot.contexts[1:])
    machine.counter.restore(snapshot.counts)
    saved.restore(machine.kernel, snapshot.state)
    machine.task = machine.kernel.running = machine.kernel.tasks[snapshot.contexts[0][0]]
    machine.become(snapshot.own)


def put_memory(machine: Machine, tables: TablesState, frames: RamState, numbers: bytes, contents: bytes) -> None:
    """Let the memory of *machine* be what is described: the tables, the frames handed out, and what is in some.

    All other frames are as they were at first.  The engine's TLB is the caller's to flush.
    """
    ram, pages, base = machine.ram, machine.pages, machine.base
    # What is stored below need not be made clean first.
    own_code = accel.clean_pages(ram.host_addr, tuple(pages.tables.values()), ram.kept, base.pristine(), numbers)
    if ram.lost:
        base.rewrite()
    if own_code or pages.new_code:
        machine.engine.forget_all_code()
    pages.restore(tables)
    accel.store_pages(ram.host_addr, numbers, contents)
    ram.restore(frames)
