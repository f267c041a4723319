"""The machine: one program in one World, from its entry point until something stops it.

Brings memory, CPU, counter and kernel together and turns every way to stop into an :class:`Outcome`.  What happens
within the program (which functions ran, what they computed) is the business of ``emu.boot``.

One task is on the engine at a time.  It leaves it when it has to wait, when it ends, when it gives way, and when its
time is up: at the end of its quantum if others can run, and when an alarm goes off.  Which one follows, the kernel's
scheduler says.
"""

from __future__ import annotations

from collections.abc import Callable

from emu.image.executable import Loadable
from emu.machine import load as loader
from emu.machine.base import Base, kept_frames
from emu.machine.counting import Counter
from emu.machine.decode import first_port_instruction
from emu.machine.engine import CPUID, RDTSCP, Engine
from emu.machine.libunicorn import ERR_INSN_INVALID
from emu.machine.limits import out_of_memory, used_up, work_limit
from emu.machine.memories import Memories
from emu.machine.outcome import Outcome, ended
from emu.machine.pageend import PageEnd
from emu.machine.paging import PageTables
from emu.machine.ram import Ram
from emu.machine.signals import GENERAL_PROTECTION, PAGE_FAULT, UNDEFINED, Signals, signalled
from emu.machine.tasks import Contexts
from syscalls import outcome as ends
from syscalls.cpuid import Table
from syscalls.ending import leave
from syscalls.guest import PAGE, OutOfFrames
from syscalls.kernel import Kernel
from syscalls.light import Any
from syscalls.numbers import NAMES
from syscalls.tasks import Task
from syscalls.turns import instructions_left
from syscalls.world import World, WorldError

ALONE = 20_000_000
"""Instructions after which even a task that has the CPU to itself lets the host have a look at its signals."""

CallFilter = Callable[[int, tuple[int, ...]], bool]
"""Says whether a run shall stop before a system call: its number, its six arguments."""
OWN_STATE = (
    "_outcome", "_started", "_traps", "_overrun", "_slept_ns", "_limit", "_fs_base", "_gs_base", "_held_call",
    "_held_pc", "_within", "_slice_end", "_shares", "_alarms_seen",
)  # fmt: skip


def ram_size(image: Loadable, world: World) -> int:
    """Bytes of guest RAM: what *world* allows, page tables, and what :class:`Base` keeps."""
    limit = world.memory.limit // PAGE
    return (kept_frames(image) + limit + limit // 256 + 4096) * PAGE


class Machine:
    """One guest.  *image* is loaded and the CPU stands before its first instruction."""

    def __init__(self, image: Loadable, world: World, *, profiled: bool = False) -> None:
        """Load *image*; raise WorldError if *world* has no room for it, or for its arguments.
        Only if *profiled* may :attr:`counter` be asked about single blocks.
        """
        self.image = image
        self.ram = Ram(ram_size(image, world))
        self.base = Base(image, self.ram)
        self._first = self.pages = PageTables(self.ram, world.memory.limit // PAGE, self._flush)
        self.engine = Engine(self.ram, self.pages.root, profiled=profiled)
        self.counter: Counter = self.engine.counter
        self.ram.forget_code = self.engine.forget_all_code
        self._answer = self.engine.registers("rax", "rcx", "r11")
        self._quad, self._cr2 = self.engine.registers("rax", "rbx", "rcx", "rdx"), self.engine.registers("cr2")
        self.contexts = Contexts(self.engine)
        self._signals, self._page_end = Signals(self.engine), PageEnd(self.engine)
        self._add_hooks()
        self._begin(world)

    def _begin(self, world: World) -> None:
        self.world = world
        try:
            self.loaded = loader.load(self.image, world, self.pages, self.base)
            table, stack = loader.load_supervisor(self.pages, self.base, self.loaded.entry, self.loaded.sp)
        except OutOfFrames:
            needs = f"the program does not even fit into {world.memory.limit} bytes"
            raise WorldError("memory.limit", needs, "more") from None
        self.engine.set_descriptors(table, len(loader.DESCRIPTORS))
        for name, value in (("rsp", stack), *loader.FRESH_FLOATING_POINT):
            self.engine.write(name, value)
        self.kernel = Kernel(world, self.pages, self.loaded.program, self.instructions)
        self.pages.lazy, self.pages.code_moved = self.kernel.space.mapping_at, self.engine.code_moved
        self.memories = self.kernel.memories = Memories(self.ram, self.base, self.image, self.pages, self.engine)
        self._scheduler = self.kernel.scheduler
        self.contexts.clear()
        self.task = self.kernel.main
        self._leaves = self._told = False  # the task on the engine is to make room; it has signals to take first
        self._fault: Outcome | None = None  # what it is if the fault that just happened is fatal
        self._slice_end: int | None = None  # instructions after which it is to
        self._shares = False  # others could run in its place
        self._alarms_seen = 0
        self._cpuid = Table(world)
        self._outcome: Outcome | None = None
        self._started = False
        self._traps, self._overrun = 0, False  # times that the guest had to be served (_serve), and whether too often
        self._slept_ns = 0
        self._pace, self._timed = world.clock.picoseconds_per_instruction, world.limits.virtual_ns > 0
        self._limit = work_limit(world.limits, self._pace, 0)
        self._fs_base = self._gs_base = 0
        self.before_call: CallFilter | None = None
        self.before_nr: int | None = None  # of the only calls that it is asked about
        # An observer's: called with the task that ran and the instructions so far, before the next one is chosen.
        self.between: Callable[[int, int], None] | None = None
        # Another's: called with the task that ran and the one that is going to, nothing of which has happened yet.
        self.switched: Callable[[int, int], None] | None = None
        self._held_call: str | None = None  # a call that the guest stands before, and that is let through next
        self._held_pc = self._within = 0  # of it: its place, and how many instructions of its block came before

    def takes(self, world: World) -> bool:
        """Tell whether :meth:`begin_anew` can do *world*: its memory fits, and the program lies where it lay."""
        return ram_size(self.image, world) <= self.ram.size and loader.load_bias(self.image, world) == self.loaded.bias

    def begin_anew(self, world: World) -> None:
        """Become what a new machine for *world* would be, but keep the engine with the code that it has translated.

        Whatever happened before, what follows is the same as on a new machine, to the last instruction.
        """
        pages = self._first
        if self.memories.several:  # what the engine knows of code, and the tables of the dirty pages, belong to several
            self.ram.lost = True
            self.base.restore(pages)
            self.engine.forget_all_code()
            self.ram.reset()
        else:
            if self.base.restore(pages) or pages.new_code:
                self.engine.forget_all_code()
            self.ram.reset(pages.used_frames())
        self.pages = pages
        pages.clear(world.memory.limit // PAGE)
        self.engine.reset()
        self._begin(world)

    def close(self) -> None:
        """Give engine and memory back now: the collector would do so later, and each holds a GiB of addresses."""
        self.contexts.close()
        self.engine.close()
        self.ram.close()

    def _flush(self) -> None:
        self.engine.flush_tlb()

    def _add_hooks(self) -> None:
        self.engine.serve_syscalls(self._on_syscall)
        self.engine.on_interrupt(self._on_interrupt)
        self.engine.on_instruction(CPUID, self._on_cpuid)
        self.engine.serve_rdtsc(self._on_rdtsc)
        self.engine.on_instruction(RDTSCP, self._on_rdtscp)
        self.engine.on_port(self._on_port)

    def instructions(self) -> int:
        """Instructions executed before the current block began; exact there, and at every function's entry."""
        return self.counter.instructions() - 1 - self._within if self._started else 0  # the IRETQ is ours

    def total(self) -> int:
        """Instructions executed in all; exact between runs and in block hooks, which run before their block counts."""
        return self.counter.instructions() + self.counter.block_size() - 1 if self._started else 0

    def at_limit(self) -> bool:
        """Within a block hook: tell whether the World's limit stops the guest before this block."""
        return self._limit is not None and self.total() >= self._limit

    def _serve(self) -> bool:
        # Count what only a few of can be had in a second; False, and the run ends, when the World allows no more.
        self._traps += 1
        limit = self.world.limits.traps
        if not limit or self._traps <= limit:
            return True
        self._overrun = True
        self.counter.request_stop()
        return False

    # Hooks

    def _on_syscall(  # noqa: PLR0917  registers, in the order of SYSCALL_REGISTERS
        self, rax: int, rdi: int, rsi: int, rdx: int, r10: int, r8: int, r9: int, rip: int, rflags: int, sp: int
    ) -> int | None:
        nr, args = rax & 0xFFFF_FFFF, (rdi, rsi, rdx, r10, r8, r9)
        task, kernel = self.task, self.kernel
        task.sp = sp
        wanted = self.before_call if self.before_nr in (None, nr) else None
        if wanted is not None and self._held_call is None and wanted(nr, args):
            self._hold(nr, rip)
            return None
        if not self._serve():
            self.engine.stop()
            return None
        result = kernel.call(task, nr, args)
        self._held_call, self._within = None, 0
        if result is None:  # it waits or has ended; a waiting one gets its result when it goes on
            self._leave()
            result = rax
        if task.fs_base != self._fs_base:
            self._fs_base = task.fs_base
            self.engine.write("fs_base", task.fs_base)
        if task.gs_base != self._gs_base:
            self._gs_base = task.gs_base
            self.engine.write("gs_base", task.gs_base)
        if kernel.clock.slept_ns != self._slept_ns:
            self._time_passed(kernel.clock.slept_ns - self._slept_ns)
        if kernel.born:
            self._answer.write(result & 2**64 - 1, rip + 2, rflags)  # a child begins with what its maker goes on with
            for _, child, stack in kernel.born:
                self.contexts.begin(child, rip + 2, stack)
            kernel.born.clear()
        if kernel.started is not None:
            self._leave()
        if kernel.signalled:
            self._told = True
            self.engine.stop()
        if kernel.yielded:
            kernel.yielded = False
            if self._scheduler.ready:
                self._leave()
        elif (self._scheduler.ready and not self._shares) or self._scheduler.sequence != self._alarms_seen:
            self._begin_slice()
        if kernel.exit is not None:
            self._stop(self._ended(kernel.exit, rip))
        return result

    # Tasks

    def _leave(self) -> None:
        # Within a hook: let the scheduler decide what runs on.
        self._leaves = True
        self.engine.stop()

    def _begin_slice(self) -> None:
        # Say when the task on the engine makes room: its quantum is over, or the next alarm goes off.
        kernel, scheduler = self.kernel, self._scheduler
        now = self.total()
        self._shares = bool(scheduler.ready)
        ends = [now + (scheduler.quantum() if self._shares else ALONE)]
        left = instructions_left(kernel, self.task)
        if left is not None:
            ends.append(now + left)
        self._slice_end = min(ends)
        self._alarms_seen = scheduler.sequence
        self._set_limit()

    def _time_passed(self, ns: int) -> None:
        # The call that the guest is in took time, for which its task runs that many instructions less.
        self._slept_ns += ns
        if self._slice_end is not None:
            self._slice_end -= ns * 1000 // self._pace
        if self._slice_end is None or self._timed:
            self._set_limit()
        elif self._limit is None or self._slice_end < self._limit:  # the same, in a third of the time
            self.counter.set_limit(self._slice_end + 1)

    def _switch(self) -> Outcome | None:
        # The task on the engine waits, has ended, or is to give way: let the next one run.  An outcome if none can.
        kernel, task = self.kernel, self.task
        self._leaves = False
        if self.between is not None:
            self.between(task.tid, self.total())
        self._forget_gone()
        if self.ram.stale and self.ram.crowded:
            self.engine.forget_all_code()
            self.ram.wash()
        if kernel.started is not None:
            self._begin_program()
        while True:
            if not task.ended:
                self.contexts.save(task.tid)
            self._forget_gone()
            following = kernel.next_task(None if task.ended or task.call is not None else task)
            if following is None:
                assert kernel.exit is not None
                return self._ended(kernel.exit, self.pc)
            if following is not task:
                if self.switched is not None:
                    self.switched(task.tid, following.tid)
                self.contexts.load(following.tid)
            self.task = task = following
            if task.process.mem is not self.pages:
                self._enter_memory(task)
            if self._goes_on(task):
                break
        self._fs_base, self._gs_base = task.fs_base, task.gs_base
        if kernel.exit is not None:
            return self._ended(kernel.exit, self.pc)
        self._slept_ns = kernel.clock.slept_ns
        self._begin_slice()
        return None

    def _forget_gone(self) -> None:
        for gone in self.kernel.gone:
            self.contexts.drop(gone.tid)
        self.kernel.gone.clear()

    def _enter_memory(self, task: Task) -> None:
        # Between runs: the engine walks the page tables of the process of *task* from now on.
        self.pages = self.memories.enter(task.process.mem)
        self.engine.enter(self.pages.root, self.pages.number)

    def _begin_program(self) -> None:
        # After an execve that succeeded: the CPU of its task, which is on the engine, is that of a new program.
        assert self.kernel.started is not None
        task, entry, sp = self.kernel.started
        self.kernel.started = None
        self._enter_memory(task)
        self.engine.begin(entry, sp, loader.USER_FLAGS)
        for name, value in loader.FRESH_FLOATING_POINT:
            self.engine.write(name, value)

    def _goes_on(self, task: Task) -> bool:
        # Whether *task*, whose CPU is on the engine, runs on: its call is over, if it was in one.
        if task.call is not None:
            result = self.kernel.resume(task)
            if result is None:
                return False
            self.engine.write("rax", result & 2**64 - 1)
        return self._to_user(task)

    def _to_user(self, task: Task) -> bool:
        # Let *task* take its signals; False when it does not run on.
        try:
            return self._signals.to_user(self.kernel, task)
        except OutOfFrames:
            self._outcome = out_of_memory(self.world.memory, self.pc)
            return True

    def _proceed(self) -> Outcome | None:
        # The task on the engine has signals to take, or makes room for another.
        told, self._told, task = self._told, False, self.task
        if told and not self._leaves and not task.ended and task.call is None and self._to_user(task):
            self._fault = None
            return self._outcome
        ended = self._switch()
        self._fault = None
        return ended

    def _hold(self, nr: int, pc: int) -> None:
        # Stop before the call at *pc*, as if its block had ended there; times are told from the block's start on.
        self._held_call, self._held_pc = NAMES.get(nr, str(nr)), pc
        self._within = self.counter.instructions_at(pc) - self.counter.instructions()
        self.counter.leave_at(pc)
        self.engine.stop()

    def _on_cpuid(self, _uc: int, _data: int) -> int:
        self._serve()
        leaf, _, subleaf, _ = self._quad.read()
        self._quad.write(*self._cpuid.query(leaf & 0xFFFF_FFFF, subleaf & 0xFFFF_FFFF))
        return 1

    def _on_rdtsc(self) -> int:
        self._serve()
        return self.kernel.clock.tsc()

    def _on_rdtscp(self, _uc: int, _data: int) -> int:
        self._serve()
        tsc = self.kernel.clock.tsc()
        _, rbx, _, _ = self._quad.read()
        self._quad.write(tsc & 0xFFFF_FFFF, rbx, self.task.cpu, tsc >> 32)  # IA32_TSC_AUX: node << 12 | CPU
        return 1

    def _on_port(self) -> int:
        # The engine cannot fault here, so the block goes on to its end before the run stops.
        start = self.counter.block_pc()
        pc = start + first_port_instruction(self._code_at(start, PAGE))
        if self._outcome is None:
            self._outcome = signalled(GENERAL_PROTECTION, 0, pc)
        self.counter.request_stop()
        return 0

    def _on_interrupt(self, _uc: int, vector: int, _data: int) -> None:
        addr = self._cr2.read()[0] if vector == PAGE_FAULT else 0
        if vector == PAGE_FAULT:
            if not self._serve():
                self.engine.stop()
                return
            try:
                if self.pages.fault_in(addr):
                    self.engine.settle_exception(vector)
                    return
            except OutOfFrames:
                self._stop(out_of_memory(self.world.memory, self.pc))
                return
            if self._page_end.ahead(addr, self._code_at(self.pc, PAGE)):
                self._traps, self._told = self._traps - 1, True  # it counts when it comes again
                return
        fatal = self._fatal(vector, addr)
        if fatal.signal is None:
            self._stop(fatal)
            return
        task, kernel = self.task, self.kernel
        self._signals.fault(kernel, task, vector, addr)
        if kernel.exit is not None:
            self._stop(fatal)
            return
        # A stop here would leave the exception pending, so that the frame is made within the hook.
        self.engine.settle_exception(vector)
        runs_on = self._to_user(task)
        if self._outcome is not None or kernel.exit is not None:
            self._stop(fatal)
        elif not runs_on:  # to where a block can be stopped before: nothing of it will run
            self.engine.write("rip", self.loaded.entry)
            self._leaves = True
            self.counter.request_stop()
        elif self._page_end.within:  # the handler runs on to anywhere
            self._told = True
            self.counter.request_stop()

    def _fatal(self, vector: int, addr: int) -> Outcome:
        return self._signals.outcome(self.kernel, vector, addr)

    def _code_at(self, pc: int, size: int) -> bytes:
        at = self.pages.physical(pc)
        return b"" if at is None else bytes(self.ram.bytes[at : at + min(size, PAGE - pc % PAGE)])

    def _ended(self, end: ends.Outcome, pc: int) -> Outcome:
        if isinstance(end, ends.Killed) and self._fault is not None and self._fault.signal == end.signal:
            return self._fault
        return ended(end, pc)

    def _stop(self, outcome: Outcome) -> None:
        if self._outcome is None:
            self._outcome = outcome
        self.counter.request_stop()
        self.engine.stop()

    # Snapshots (emu.machine.snapshot)

    def state(self) -> tuple[Any, ...]:
        """What no part of the machine knows of the run, for :meth:`become`."""
        return tuple(getattr(self, name) for name in OWN_STATE)

    def become(self, state: tuple[Any, ...]) -> None:
        """Put back what :meth:`state` returned; what observers asked for (``before_call``) stays as it is."""
        vars(self).update(zip(OWN_STATE, state, strict=True))

    # Running

    @property
    def pc(self) -> int:
        """The guest's program counter."""
        return self.engine.read("rip")

    def run(self, until: int = 0, name: str | None = None) -> Outcome:
        """Run until the instruction at *until* (called *name*) is next, or something else stops the guest.

        The World's limits of instructions and of virtual time stop it at the first block that begins with that many
        or more executed.  While ``before_call`` is set, a run also ends before each call that it picks, with the call
        still to be made.
        """
        try:
            while True:
                self._set_limit()
                begin = self.pc if self._started else loader.SUPERVISOR_PAGE
                self._started = True
                status = self._page_end.start(begin, until)
                self._told |= self._page_end.passed
                if (end := self._stopped(status, until, name) or self._proceed()) is not None:
                    return end
        finally:
            leave(self.kernel)

    def _stopped(self, status: int, until: int, name: str | None) -> Outcome | None:
        # Why the engine stopped; None when a task only has to make room for another.
        if self._outcome is not None:
            return self._outcome
        if self._held_call is not None:
            self.engine.write("rip", self._held_pc)
            return Outcome("reached", f"reached the system call {self._held_call}", self._held_pc, at=self._held_call)
        pc = self.pc
        if self._overrun:
            traps = f"{self.world.limits.traps} system calls, page faults, CPUIDs and RDTSCs"
            return Outcome("limit", f"more than {traps}", pc, at="traps")
        if self._leaves or self._told:
            return None
        if status == ERR_INSN_INVALID:
            fatal = self._fatal(UNDEFINED, 0)
            if fatal.signal is None:
                return fatal
            self._fault, self._told = fatal, True
            self._signals.fault(self.kernel, self.task, UNDEFINED, 0)
            return None
        if until and pc == until:
            return Outcome("reached", f"reached {name or hex(until)}", pc, name, None, None, None)  # the quick way
        if self._limit is not None and self.total() >= self._limit:
            return used_up(self.world.limits, self.total(), pc)
        if self.counter.limit_reached():
            return None
        return Outcome("unsupported", f"the engine stopped at {pc:#x} with its error {status}", pc)

    def _set_limit(self) -> None:
        self._limit = work_limit(self.world.limits, self._pace, self._slept_ns)
        ends = [end for end in (self._limit, self._slice_end) if end is not None]
        self.counter.set_limit(min(ends) + 1 if ends else None)  # the IRETQ is ours
