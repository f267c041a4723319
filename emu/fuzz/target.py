"""The thing that is fuzzed: one program between two functions, run again and again from a snapshot.

A run restores a snapshot, lets the plan's rules answer, and reads a few values directly from memory.  There are
snapshots before calls of the unchanged run, and of the run of the plan that is being changed (:meth:`Target.follow`):
up to the first call that is answered in another way nothing can differ, so that a run begins there.  Where a run ends
at the quick limit, it is run again with the World's own, unless the same place was seen to come to an end before: work
that is only much (thousands of Ps) is told from work that never ends.
"""

from __future__ import annotations

import gc
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from emu.boot.boot import END, FATAL_ERROR, MSTART, describe, entry_of, printed
from emu.fuzz import unwind
from emu.fuzz.constants import Constants
from emu.fuzz.grammar import CONTRACT, HOSTILE, ROWS, know_files
from emu.fuzz.oracles import CHANGING
from emu.fuzz.plan import ARGUMENT, CONTENTS, SETTING, Plan
from emu.fuzz.sites import NEVER, Sites, paths_opened
from emu.fuzz.trail import Step, Trail
from emu.fuzz.values import Values
from emu.image.image import Image
from emu.machine import snapshot
from emu.machine.machine import Machine
from emu.machine.outcome import Outcome
from syscalls import abi
from syscalls.events import SyscallEvent
from syscalls.numbers import NUMBERS
from syscalls.world import File, Limits, Memory, World

OSINIT = "runtime.osinit"
QUICK = 1_000_000  # instructions more than the unchanged run takes: some 3 ms
FULL = 100_000_000  # instructions of a run that is looked at closely: some 0.3 s; 8,192 Ps take 50 million
FEW_MOVES = 3  # of code by mappings that went astray: where one does so, one run in a hundred will
TRAPS = 20_000
MEMORY = 256 << 20  # bytes that a guest may touch; the unchanged run touches some 6 MiB
SLOW = "slow"
"""An outcome that says nothing new: of runs that were stopped at the quick limit where others were seen to come to an
end, or in a throw's traceback, which others printed to its end; and of runs that are not of the tier."""
CONFIRMATIONS = 3
STILL_PRINTED = 64  # of as many runs that throw in the same way one goes on to its end
WRITE = NUMBERS["write"]
GARBAGE = 50_000  # objects: those of some dozen runs
WORTH = 10  # runs in one World after which there are snapshots before its calls
# What a run costs between two snapshots of it, in instructions: a call takes as long as some 5,000, a snapshot as
# 25,000 with the stop that it needs.
SPACING, CALL_COST, SNAPSHOT_COST = 30_000, 5_000, 25_000
CLOSE = 3  # runs that part within so many calls begin at the same snapshot, if it is not worth another

SYSCALL_SIZE = 2  # bytes of the instruction


class NotThere(ValueError):
    """The program does not get to where runs are to begin, in the World that it was given."""


class Result(NamedTuple):
    """One run of *plan* in *world*.

    *tier*: whether Linux may answer so; a plan that is legal as such may not be in a run (see :func:`is_fair`).
    *made*: how many calls of each name came before the fuzzed stretch.
    *outcome* is as in the record, but that its kind may be ``slow``.  *coverage* has a byte for each block of code that
    was ever met by this target: how often it ran, at most 255, by its number.  *calls* are those of the fuzzed stretch,
    *stack* the functions of a run that did not reach its end, the innermost first.  *defect*: an exception of ours.
    """

    plan: Plan
    tier: str
    world: World
    release: tuple[int, int]
    outcome: dict[str, Any]
    values: dict[str, Any]
    coverage: bytes
    calls: tuple[SyscallEvent, ...]
    stack: tuple[str, ...]
    instructions: int
    made: Mapping[str, int]
    defect: str = ""


def settle() -> None:
    """Let the garbage collector leave alone what is there and come seldom: runs make much, and few cycles of it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE, 10, 10)


class Target:
    """A program ready to be run from *begin* to *until*, both functions of it, in *world* changed by plans.

    *until* may be :data:`emu.boot.boot.END`: whole programs are run.  Files that *world* wrote down may hold anything.

    *tier* is only remembered.  With *settings* plans may also change the rest of the World; such a run begins at the
    entry point.  Raises UnknownFunction, and ValueError if *world* does not lead to *begin*.
    """

    def __init__(
        self,
        image: Image,
        world: World,
        begin: str = OSINIT,
        until: str = MSTART,
        tier: str = CONTRACT,
        *,
        settings: bool = False,
    ) -> None:
        self.image, self.tier, self.begin, self.until, self.settings = image, tier, begin, until, settings
        self._begin_at, self._stop_at = entry_of(image, begin), entry_of(image, until)
        self.world = replace(world, limits=_at_most(world.limits), memory=_small(world.memory))
        know_files(file.path for file in world.files if file.content is not None)
        self._constants, self._release = Constants(image), image.release
        self._patience: Counter[tuple[str, ...]] = Counter()
        self._hangs: Counter[tuple[str, ...]] = Counter()
        self._throws: Counter[tuple[str, ...]] = Counter()
        self._listening = self._cuts_throws = False
        self._stack: tuple[str, ...] = ()  # of a throw that is being printed
        self._usual = 0  # instructions of the unchanged run, if they are many
        self._prepare()

    def _prepare(self) -> None:
        self.machine = Machine(self.image, self.world, profiled=True)
        self._values = Values(self.machine, self.image)
        self._nothing = self.machine.counter.state()
        self._cuts: set[int] = set()  # calls that runs were stopped before
        self._parts: list[tuple[int, int]] = []  # (start of a block, the block), by their numbers
        self._alone: list[int] = []  # calls
        self._cuts_known = 0, 0  # blocks and cuts when that was found out
        outcome = self._stand()
        if outcome.kind != "reached":
            raise NotThere(f"{self.image.name} does not get to {self.begin}: {outcome.message}")

    def _stand_in(self, world: World) -> Outcome:
        # Let the machine stand at *begin* in *world*; tells how it got there, or why not.
        if world is self._stood_in or world == self._stood_in:
            return self._arrived
        return self._begin_anew(world)

    def _begin_anew(self, world: World) -> Outcome:
        # As on a new machine, whatever was before, but that blocks keep the numbers that the search knows them by.
        self.machine.begin_anew(world)
        return self._stand()

    def _stand(self) -> Outcome:
        machine = self.machine
        self._stood_in = world = machine.world
        machine.before_call = machine.before_nr = None
        if not self.settings:  # another World is another beginning, where chains end
            machine.engine.chain_pages(FEW_MOVES)
        self._arrived = machine.run(self._begin_at + machine.loaded.bias, self.begin)
        self._own_rules, self._files = machine.kernel.responses, world.files
        self._done = len(machine.kernel.events)
        self._opened = paths_opened(machine.kernel.events)
        self._first = Step(snapshot.take(machine), 0, Counter(event.name for event in machine.kernel.events))
        self._unchanged = Trail(Plan(), [self._first])
        self._followed: Trail | None = None
        self._full, self._begun = world, machine.total()
        self._limit_quick_runs()
        self._runs = 0
        return self._arrived

    def _limit_quick_runs(self) -> None:
        limits = self._full.limits
        most = min(self._begun + self._usual + QUICK, limits.instructions)
        self._quick = replace(self._full, limits=replace(limits, instructions=most))

    def run(self, plan: Plan, *, whole: bool = False) -> Result:
        """Run once; never raises for what the guest or the fake kernel does: an exception of ours is a defect.

        *whole*: to its end, even if it throws as others did.
        """
        self._cuts_throws = not whole
        try:
            return self._run(plan)
        except Exception as error:  # noqa: BLE001  whatever it is, it is what this is here to find
            where = traceback.extract_tb(error.__traceback__)[-1]
            name = where.filename.replace("\\", "/").rpartition("/")[2]
            defect = f"{type(error).__name__}: {error} ({name}, {where.name})"
            calls = tuple(self.machine.kernel.events)
            self._begin_anew(self.world)
            outcome = {"kind": "defect", "message": defect, "function": where.name, "at": None, "exit_status": None}
            return self._result(plan, outcome, calls=calls, defect=defect)

    def _run(self, plan: Plan) -> Result:
        self._stack = ()
        world = self._settled(plan)
        if world is not self._stood_in and not self.machine.takes(world):
            return self._result(plan, {"kind": SLOW, "message": "the World does not fit into the machine"})
        outcome = self._stand_in(world)
        if outcome.kind == "reached":
            self._runs += 1
            if self._runs == WORTH:
                self._unchanged = self._unchanged_trail()
            answers = self._effective(plan)
            outcome = self._go(answers, self._quick)
            if outcome.kind == "limit" and outcome.at != "deadlock":
                outcome = self._looked_at_closely(answers, outcome)
            plan = self._told(plan, answers)
        return self._judged(plan, outcome)

    def _told(self, plan: Plan, answers: Plan) -> Plan:
        # What made a run what it was: with settings, which a run from here on has no use for.
        if not self.settings or not plan.from_entry:
            return answers
        return Plan(tuple(one for one in plan.answers if one.kind == SETTING or one in answers.answers))

    def _settled(self, plan: Plan) -> World:
        # The World with the plan's settings, but none of its answers.
        if not self.settings or not plan.from_entry:
            return self.world
        settings = Plan(tuple(answer for answer in plan.answers if answer.kind == SETTING))
        return settings.to_world(self.world)

    def _effective(self, plan: Plan) -> Plan:
        # Without the files that were read before the stretch began, and without settings.
        gone = [
            answer
            for answer in plan.answers
            if answer.kind == SETTING or (answer.kind == CONTENTS and ROWS[answer.row].file in self._opened)
        ]
        return Plan(tuple(answer for answer in plan.answers if answer not in gone)) if gone else plan

    def follow(self, plan: Plan, sites: Sites, children: Sequence[Plan]) -> None:
        """Prepare for runs of *children*, which answer like *plan* for a while; the run of that had *sites*.

        Results do not depend on it, only their time.
        """
        self._followed = None
        if plan.from_entry or self._stand_in(self.world).kind != "reached":
            return
        plan, last = self._effective(plan), len(sites.calls) - 1
        whole = Trail(plan, [], sites)
        partings = Counter(min(whole.parting(self._effective(child)), last) for child in children)
        try:
            self._followed = Trail(plan, self._steps_of(plan, partings), sites)
        except Exception:  # noqa: BLE001  a run of that plan tells
            self._begin_anew(self.world)

    def _unchanged_trail(self) -> Trail:
        # With steps all along, as nobody knows where the runs to come will part with it.
        steps = self._steps_of(Plan())
        return Trail(Plan(), steps, Sites(self.machine.kernel.events[self._done :]))

    def _steps_of(self, plan: Plan, partings: Counter[int] | None = None) -> list[Step]:
        # Run *plan* once more, with stops before calls: where runs part with it, by the number of the call, or all
        # along.  It is not run to its end when the last of those is passed.
        step, machine = self._set_out(plan, None), self.machine
        kernel = machine.kernel
        rules = kernel.responses
        steps = self._unchanged.until(step)
        made, counted = step.made.copy(), len(kernel.events)
        spent, last = 0, machine.total()
        end = NEVER if partings is None else max(partings, default=0)

        def worth_a_stop(_nr: int, _args: tuple[int, ...]) -> bool:
            nonlocal spent
            if not snapshot.is_single(machine):
                return False
            spent += CALL_COST
            cost, at = machine.instructions() + spent - last, len(kernel.events) - self._done
            if partings is None:
                return cost >= SPACING
            if not partings[at]:
                return False
            return at == end or cost * sum(partings[at + more] for more in range(CLOSE)) >= SNAPSHOT_COST

        machine.before_call, machine.world = worth_a_stop, self._quick
        while step.done < end and (outcome := self._run_on()).kind == "reached" and outcome.at != self.until:
            made.update(event.name for event in kernel.events[counted:])
            counted = len(kernel.events)
            kernel.answer_by(self._own_rules)  # a snapshot holds the counts of these alone
            step = Step(snapshot.take(machine), counted - self._done, made.copy())
            steps.append(step)
            kernel.answer_by(rules)
            self._cuts.add(machine.pc)
            last, spent = machine.total(), 0
        machine.before_call = None
        return steps

    def _learn_cuts(self) -> None:
        # A block that a run was stopped in counts as two, its start and the call itself; which those are.
        places = {place: number for number, place in enumerate(self.machine.counter.places())}
        whole = ((number, pc, size) for (pc, size), number in places.items() if pc + size - SYSCALL_SIZE in self._cuts)
        self._parts, self._alone = [], []
        for number, pc, size in whole:
            if size == SYSCALL_SIZE:
                self._alone.append(number)
            elif (pc, size - SYSCALL_SIZE) in places:
                self._parts.append((places[pc, size - SYSCALL_SIZE], number))

    def _coverage(self) -> bytes:
        # How often each block ran, wherever the run began.
        executed = self.machine.counter.executed(self._nothing)
        known = len(executed), len(self._cuts)
        if known != self._cuts_known:  # what a run begins with that goes on from a cut is a block of its own
            self._cuts_known = known
            self._learn_cuts()
        if not self._parts:
            return executed
        counts = bytearray(executed)
        for part, whole in self._parts:
            counts[whole] = min(counts[whole] + counts[part], 0xFF)
            counts[part] = 0
        for number in self._alone:
            counts[number] = 0
        return bytes(counts)

    def _set_out(self, plan: Plan, followed: Trail | None) -> Step:
        # Stand where a run of *plan* may begin, with its rules in force.
        machine = self.machine
        if not snapshot.is_single(machine):  # the run before made processes: no snapshot leads back from there
            self._begin_anew(self._full)
            followed = None
        kernel = machine.kernel
        kernel.answer_by(self._own_rules)
        step = self._first if followed is None else followed.start_of(plan)
        if self._unchanged.last.done > step.done:  # else it has none that is later
            step = max(self._unchanged.start_of(plan), step, key=lambda one: one.done)
        snapshot.restore(machine, step.moment)
        self._show(plan.files_over(self._full.files))
        kernel.answer_by(self._own_rules.ahead(plan.rules(self._first.made, step.made)))
        return step

    def _go(self, plan: Plan, world: World) -> Outcome:
        machine = self.machine
        self._set_out(plan, self._followed)
        machine.world = world
        if self._cuts_throws:
            machine.before_call, machine.before_nr, self._listening = self._has_said_it, WRITE, True
        self._stack = ()
        outcome = self._run_on()
        machine.before_call = machine.before_nr = None
        if outcome.kind == "reached" and outcome.at != self.until:
            self._cuts.add(machine.pc)
            return replace(outcome, kind=SLOW)
        self._stack = ()  # that of a throw which was printed on says nothing of the end
        return outcome

    def _run_on(self) -> Outcome:
        # To the end of the stretch, or to where the machine is to stop before.  A whole program has reached its end
        # when it says that all went well.
        outcome = self.machine.run(self._stop_at and self._stop_at + self.machine.loaded.bias, self.until)
        if self.until == END and outcome.kind == "exit" and outcome.exit_status == 0:
            return replace(outcome, kind="reached", at=END)
        return outcome

    def _has_said_it(self, _nr: int, _args: tuple[int, ...]) -> bool:
        # Within a run, before a write: whether it has thrown as others did, and is about to print a traceback, which
        # takes ten times the calls of all else.
        if not self._listening:
            return False
        output = self.machine.kernel.output
        if not output or not output[-1][1].endswith(b"\n"):
            return False
        thrown = FATAL_ERROR.search(printed(self.machine))
        if thrown is None:
            return False
        self._listening = False
        self._stack = tuple(unwind.functions(self.machine, self.image))
        key = (CHANGING.sub("N", thrown.group(1)), *unwind.bootstrap(list(self._stack)))
        self._throws[key] += 1
        return self._throws[key] > CONFIRMATIONS and self._throws[key] % STILL_PRINTED != 0

    def _show(self, files: tuple[File, ...]) -> None:
        # Let the guest's tree have these files of the World's.
        if files != self._files:
            self._files = files
            self.machine.kernel.replace_files(files)

    def _looked_at_closely(self, plan: Plan, outcome: Outcome) -> Outcome:
        key = unwind.bootstrap(unwind.functions(self.machine, self.image))
        if self._patience[key] >= CONFIRMATIONS:
            return replace(outcome, kind=SLOW)
        if self._hangs[key] >= CONFIRMATIONS:
            return outcome
        outcome = self._go(plan, self._full)
        if outcome.kind == "reached" and not plan.answers and self._full == self.world:  # so it is with most others
            self._usual = self.machine.total() - self._begun
            self._limit_quick_runs()
        elif outcome.kind != "limit":
            self._patience[key] += 1
        elif outcome.at != "memory":
            self._hangs[key] += 1
        return outcome

    def _judged(self, plan: Plan, outcome: Outcome) -> Result:
        machine = self.machine
        described = describe(self.image, machine, outcome, printed(machine))
        reached = outcome.kind == "reached" and outcome.at == self.until
        return self._result(
            plan,
            described,
            # Models judge start-up by what was answered in it; of a whole program that is long over.
            values=self._values.read() if reached and self.until != END else {},
            calls=tuple(machine.kernel.events[self._done :]),
            stack=() if reached else self._stack or tuple(unwind.functions(machine, self.image)),
        )

    def _result(
        self,
        plan: Plan,
        outcome: dict[str, Any],
        *,
        values: dict[str, Any] | None = None,
        calls: tuple[SyscallEvent, ...] = (),
        stack: tuple[str, ...] = (),
        defect: str = "",
    ) -> Result:
        machine = self.machine
        tier = plan.tier if is_fair(plan, calls) else HOSTILE
        if self.tier == CONTRACT and tier != CONTRACT:
            outcome = outcome | {"kind": SLOW if not defect else "defect"}
        return Result(
            plan=plan,
            tier=tier,
            world=self._full,
            release=self._release,
            outcome=outcome,
            values=values or {},
            coverage=self._coverage(),
            calls=calls,
            stack=stack,
            instructions=machine.total(),
            made=self._first.made,
            defect=defect,
        )

    def world_of(self, plan: Plan) -> World:
        """The World in which a cold boot does what :meth:`run` does for *plan*."""
        world = self._settled(plan)
        if not self.machine.takes(world) or self._stand_in(world).kind != "reached":
            return world
        return self._effective(plan).to_world(world, self.machine.kernel.events[: self._done])

    def hints(self, numbers: Sequence[int] | None = None) -> tuple[int, ...]:
        """Constants that code compares with: all that ran so far, or the blocks with *numbers* in the coverage."""
        bias, places = self.machine.loaded.bias, self.machine.counter.places()
        chosen = places if numbers is None else [places[number] for number in numbers]
        return self._constants.of([(pc - bias, size) for pc, size in chosen])


def is_fair(plan: Plan, calls: Sequence[SyscallEvent]) -> bool:
    """Say whether *calls* let a legal *plan* be legal: no mapping that must be where it is asked to be was moved."""
    moved = any(answer.kind == ARGUMENT and ROWS[answer.row].call == "mmap" for answer in plan.answers)
    return not moved or not any(
        event.overridden and event.name == "mmap" and event.args[3] & abi.MAP_FIXED and event.result >= 0
        for event in calls
    )


def _at_most(limits: Limits) -> Limits:
    instructions = min(limits.instructions or FULL, FULL)
    return replace(limits, instructions=instructions, traps=min(limits.traps or TRAPS, TRAPS))


def _small(memory: Memory) -> Memory:
    return replace(memory, limit=min(memory.limit, MEMORY))
