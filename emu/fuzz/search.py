"""The search: plans that showed new coverage are kept, changed, joined and run again.

Engine-neutral: it asks a target to run plans and a corpus to keep them.  Everything is drawn from one random generator,
so that one process with the same seed and corpus does the same runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from emu.fuzz.corpus import Corpus
from emu.fuzz.grammar import CONTRACT, HOSTILE, ROWS
from emu.fuzz.mutation import mutate, sites
from emu.fuzz.novelty import Seen, cover, new_blocks, traits
from emu.fuzz.oracles import OK, Verdict, verdict
from emu.fuzz.plan import CONTENTS, Answer, Plan, decode, is_legal
from emu.fuzz.target import Result
from syscalls.abi import MAP_FIXED
from syscalls.events import SyscallEvent

CANDIDATES = 12  # of the corpus, of which the one is taken that showed what fewest runs did
PROMISING_SHARE = 0.5  # how often a run that arrived through new code is extended; there are few, and they lead on
WORD_SHARE = 0.05  # how often a word that the program compares with is put where it may be read
MIN_WORD = 3  # characters
FAILED_SHARE = 0.1  # how often an entry is taken whether or not its run ended badly
ARRIVED = (OK, "wrong-value")
REFUSALS = ("ENOMEM", "EAGAIN")  # of mmap(2)
JOINED = 0.2  # how often two plans are put together
MAX_CHANGES = 4
MAX_ANSWERS = 24  # a longer plan is cut: nothing needs as many, and each costs time
HINTS_EVERY = 500  # runs after which the constants of code that is new are asked for
BLIND_BYTES = 64


class Runner(Protocol):
    """What a search needs of a target."""

    def run(self, plan: Plan) -> Result:
        """Run once."""

    def hints(self) -> tuple[int, ...]:
        """Constants that the program compares with."""


@dataclass(slots=True)
class Entry:
    """A plan worth changing: the calls that its run made, what it was the first to show, how many runs showed that."""

    plan: Plan
    calls: Sequence[SyscallEvent]
    failed: bool  # its run ended badly
    news: int  # traits
    promising: bool  # it arrived, through a block that no run before had executed
    shown: int = 0


class Search:
    """One process's search.  *found* is handed every verdict that is not ok, with the run that led to it."""

    def __init__(
        self,
        target: Runner,
        corpus: Corpus,
        found: Callable[[Result, Verdict], None],
        tier: str,
        seed: str = "0",
        *,
        settings: bool = False,
    ) -> None:
        self.target, self.corpus, self.tier, self.settings = target, corpus, tier, settings
        self._found, self._rng = found, Random(seed)
        self.seed = self._rng.getrandbits(31)  # for an engine with a generator of its own
        self.entries: list[Entry] = []
        self.seen = Seen()
        self.executions = 0
        self._hints: tuple[int, ...] = ()
        self._hints_due = 0

    def begin(self) -> None:
        """Run the plan that changes nothing, then what the corpus holds."""
        self.run(Plan())
        self.import_others()

    def import_others(self) -> None:
        """Run what was put into the corpus by others, or by an earlier campaign."""
        for data in self.corpus.fresh():
            plan = decode(data)
            if self.tier != CONTRACT or plan.tier == CONTRACT:
                self.run(plan, stored=True)

    def plan_of(self, data: bytes) -> Plan:
        """The plan that *data* means, without what the tier does not allow."""
        plan = decode(data)
        return plan if self.tier != CONTRACT else Plan(tuple(answer for answer in plan.answers if is_legal(answer)))

    def changed(self, plan: Plan, calls: Sequence[SyscallEvent], rng: Random) -> Plan:
        """One change of *plan*, whose run made *calls*."""
        if self.tier != CONTRACT and rng.random() < WORD_SHARE:
            words = [word for word in map(word_of, self.hints()) if word]
            files = [row for row, _ in sites(calls) if ROWS[row].file]
            if words and files:
                answer = Answer(rng.choice(files), 0, CONTENTS, rng.choice(words) + b"\n")
                return Plan((answer, *plan.answers))
        return mutate(plan, rng, self.tier, calls, self.hints(), settings=self.settings)

    def step(self) -> None:
        """Run one new plan."""
        self.run(self._next())

    def hints(self) -> tuple[int, ...]:
        """Constants that code which ran compares with; looked for anew from time to time."""
        if not self._hints or self.executions >= self._hints_due:
            self._hints, self._hints_due = self.target.hints(), self.executions + HINTS_EVERY
        return self._hints

    def run(self, plan: Plan, stored: bool = False) -> Result:
        """Run *plan*; keep it if it shows anything new, and hand on what is wrong.  *stored*: the corpus has it."""
        self.executions += 1
        result = self.target.run(plan)
        if self.tier == CONTRACT and tier_of(result) != CONTRACT:
            return result
        judged = verdict(result)
        found = traits(result.coverage)
        for entry in self.entries:
            if found & entry.news:
                entry.shown += 1
        before = self.seen.union
        news = self.seen.learn(found)
        if news:
            failed = judged.kind not in ARRIVED
            self.entries.append(Entry(plan, result.calls, failed, news, not failed and new_blocks(news, before)))
            if not stored and plan.answers:
                self.corpus.add(plan.encode())
        if judged.kind != OK:
            self._found(result, judged)
        return result

    def _next(self) -> Plan:
        rng = self._rng
        parent = self._choose()
        plan = parent.plan
        if rng.random() < JOINED:
            other = self._choose().plan.answers
            first, second = (plan.answers, other) if rng.random() < 0.5 else (other, plan.answers)
            plan = Plan((*first, *second)[:MAX_ANSWERS])
        for _ in range(rng.randint(1, MAX_CHANGES)):
            plan = self.changed(plan, parent.calls, rng)
        return Plan(plan.answers[:MAX_ANSWERS])

    def _choose(self) -> Entry:
        # The rarest of a few.  What a run that ended badly is extended by seldom gets its turn: most of its children
        # end in the same place.
        rng = self._rng
        promising = [one for one in self.entries if one.promising]
        if promising and rng.random() < PROMISING_SHARE:
            return rng.choice(promising)
        candidates = [rng.choice(self.entries) for _ in range(CANDIDATES)]
        if rng.random() >= FAILED_SHARE:
            candidates = [one for one in candidates if not one.failed] or candidates
        return min(candidates, key=lambda one: one.shown)


def word_of(hint: int) -> bytes:
    """The text that *hint* is when it is compared as one integer; empty if it is none."""
    data = hint.to_bytes(8, "little").rstrip(b"\0") if hint >= 0 else b""
    return data if len(data) >= MIN_WORD and data.isascii() and data.decode("ascii").isprintable() else b""


def tier_of(result: Result) -> str:
    """The tier of what was answered in a run: that of its plan, unless a fixed mapping was put elsewhere.

    mmap(2), MAP_FIXED: if the address cannot be used, the call fails.  That depends on the call that an answer meets,
    so that the plan alone does not tell.
    """
    for event in result.calls:
        fixed = event.name == "mmap" and event.overridden and event.args[3] & MAP_FIXED
        if fixed and event.result != event.args[0] and event.errno not in REFUSALS:
            return HOSTILE
    return result.plan.tier


class Blind(Search):
    """The baseline: plans of random bytes, whatever their runs showed."""

    def _next(self) -> Plan:
        return self.plan_of(self._rng.randbytes(self._rng.randint(1, BLIND_BYTES)))


def minimise_corpus(target: Runner, corpus: Corpus) -> tuple[int, int]:
    """Keep as few inputs of *corpus* as have all the coverage of it; return how many there were and are."""
    target.run(Plan())
    plans = corpus.fresh()
    # Twice: the blocks that were first met late have no number in the coverage of earlier runs.
    for data in plans:
        target.run(decode(data))
    items = [(data, traits(target.run(decode(data)).coverage)) for data in plans]
    kept = set(cover(items))
    for data in plans:
        if data not in kept:
            corpus.remove(data)
    return len(plans), len(kept)
