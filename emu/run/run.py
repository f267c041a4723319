"""One run: an image in a World, from its entry point to its end."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable

from emu.image.errors import ImageError
from emu.image.executable import Executable
from emu.image.starter import Starter
from emu.machine.machine import Machine
from emu.machine.outcome import Outcome
from emu.run.host import Host
from syscalls import sending
from syscalls.events import SyscallEvent
from syscalls.guest import GuestFault
from syscalls.kernel import Kernel
from syscalls.light import TYPE_CHECKING, NamedTuple, replace
from syscalls.world import World

if TYPE_CHECKING:
    from emu.run.strace import Strace


class Watch(NamedTuple):
    """What of a run is written down: each is optional."""

    record: str | None = None
    strace: Callable[[str], None] | None = None
    census: Callable[[list[str]], None] | None = None


def as_typed(world: World, path: str) -> World:
    """*world* in which the program is called what the user called it, and lies where it lies here.

    So argv[0], os.Executable and usage texts are what they are natively; what the World itself says stays.
    """
    if not world.argv:
        world = replace(world, argv=(path,))
    return world if world.exe else replace(world, exe=os.path.abspath(path))  # noqa: PTH100 - pathlib takes 4 ms to import


def run(image: Executable | Starter, world: World, watch: Watch = Watch()) -> Outcome:  # noqa: B008  immutable
    """Run *image* in *world* on the standard streams of this process, and return how it ended.

    Raises WorldError if *world* has no room for it, OSError if the record cannot be written, and ImageError for a
    program whose loader the guest does not have.
    """
    machine, host = Machine(image, world), Host()
    machine.engine.chain_pages()
    kernel = machine.kernel
    host.attach(kernel, lambda number: sending.send_process(kernel, kernel.main.process, number))
    kernel.keeps_output = False
    listeners: list[Callable[[SyscallEvent], None]] = []
    record = strace = census = None
    if watch.strace is not None:
        strace = _traced(watch.strace, machine)
        listeners.append(strace.call)
    if watch.census is not None:
        from emu.run.strace import Census

        census = Census()
        listeners.append(census.call)
    if watch.record is not None:
        from emu.run.record import RunRecord
        from syscalls.worldfile import as_dict

        binary = {"name": image.name, "sha256": image.sha256, "go": image.go}
        record = RunRecord(watch.record, binary, as_dict(world))
        listeners.append(record.call)
    kernel.log = _all(listeners)

    def between(tid: int, instructions: int) -> None:
        host.between()
        if record is not None:
            record.ran(tid, instructions)

    machine.between = between
    gc.freeze()  # what is there now stays: looking at it again and again would take as long as loading it did
    gc.enable()
    try:
        with host.signals():
            outcome = machine.run()
        if isinstance(image, Starter) and not kernel.first.executed:
            loader = image.program.elf.interpreter
            raise ImageError(f"{image.name}: needs the loader {loader}: show it to the guest with --sysroot or --bind")
        if strace is not None:
            strace.end()
        if census is not None and watch.census is not None:
            watch.census(census.lines())
        if record is not None:
            shown = {
                "at": outcome.at, "exit_status": outcome.exit_status, "kind": outcome.kind, "message": outcome.message,
            }  # fmt: skip
            record.end(shown, machine.total())
        return outcome
    finally:
        if record is not None:
            record.drop()
        machine.close()


def _traced(write: Callable[[str], None], machine: Machine) -> Strace:
    from emu.run.strace import Strace

    kernel = machine.kernel
    strace = Strace(write, kernel.main.tid, lambda addr, size: _peeked(kernel, addr, size))
    kernel.told = strace.told
    machine.before_call = lambda *_: strace.begins(machine.task)
    return strace


def _peeked(kernel: Kernel, addr: int, size: int) -> bytes | None:
    try:
        return kernel.mem.read(addr, size)
    except GuestFault:
        return None


def _all(listeners: list[Callable[[SyscallEvent], None]]) -> Callable[[SyscallEvent], None] | None:
    if len(listeners) < 2:
        return listeners[0] if listeners else None

    def tell(event: SyscallEvent) -> None:
        for listener in listeners:
            listener(event)

    return tell
