"""The search: plans that showed new coverage are made small, kept, changed, joined and run again.

Engine-neutral: it asks a target to run plans and a corpus to keep them.  Everything is drawn from one random generator,
so that one process with the same seed and corpus does the same runs.

A plan of the corpus gets a turn: some dozens of runs in a row, each a change of it, so that the target may begin them
where they begin to differ.  Most of the turns go to plans that arrived by way of code that nobody had reached before,
those first that had the fewest turns; what is compared in that new code is what their changes prefer as values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from emu.fuzz.corpus import Corpus
from emu.fuzz.grammar import CONTRACT, HOSTILE, OF_GO, ROWS
from emu.fuzz.mutation import mutate
from emu.fuzz.novelty import Seen, Tally, cover, new_blocks, traits
from emu.fuzz.oracles import OK, Verdict, verdict
from emu.fuzz.plan import CONTENTS, Answer, Plan, decode, is_legal
from emu.fuzz.shapes import Own, edited, text_of, word_of
from emu.fuzz.sites import Sites
from emu.fuzz.target import Result
from syscalls.abi import MAP_FIXED

TURN, SHORT_TURN = 48, 4  # runs of the length of the unchanged one; more that are shorter, fewer that are longer
FIXED = 0.4  # of such a run's time it takes to begin and to judge one of any length
CANDIDATES = 12  # of the corpus, of which the one is taken that showed what fewest runs did, and soon
PROMISING_SHARE = 0.6  # of the turns; there are few such plans, and they lead on
LATE_SHARE = 0.8  # of the turns change nothing before some call ...
PROMISING_LATE_SHARE, WHOLE_TURNS = 0.6, 1  # ... of those of promising plans fewer, and of their first turn none
FEW_HINTS, FIRST_PLACES = 16, 32  # what is tried at all places of a file is few numbers, at its first places
OWN_FILES_SHARE = 0.7  # how often a file of the program's own is changed, where there is one
OWN_HINTS_SHARE = 0.5  # how often values come from what the code compares with that a plan was the first to reach
WORD_SHARE = 0.05  # how often a word that the program compares with is put where it may be read
SAMPLED = 4  # of as many runs one is looked at for what it shows
FAILED_SHARE = 0.1  # how often an entry is taken whether or not its run ended badly
REFUSALS = ("ENOMEM", "EAGAIN")  # of mmap(2)
COUNTS = {"read": 2, "pread64": 2, "getrandom": 1}  # calls that store up to so many bytes as this argument says
JOINED = 0.2  # how often two plans are put together
CHANGES = (1, 1, 1, 2, 2, 3)  # how many at once
MAX_ANSWERS = 24  # a longer plan is cut: nothing needs as many, and each costs time
HINTS_EVERY = 500  # runs after which the constants of code that is new are asked for
NO_HINTS = Own()
TRIES, REMEMBERED = 4, 200_000  # for a plan that was not run; plans
BLIND_BYTES = 64


class Runner(Protocol):
    """What a search needs of a target."""

    def run(self, plan: Plan) -> Result:
        """Run once."""

    def follow(self, plan: Plan, sites: Sites, children: Sequence[Plan]) -> None:
        """Get ready for *children*, changes of *plan*, whose run had *sites*."""

    def hints(self, numbers: Sequence[int] | None = None) -> tuple[int, ...]:
        """Constants that the program compares with: in all code that ran, or in blocks by their numbers."""


@dataclass(slots=True)
class Entry:
    """A plan worth changing, and what is known of its run."""

    plan: Plan
    sites: Sites
    failed: bool  # its run ended badly
    promising: bool  # it arrived, through a block that no run before had executed
    news: int  # traits that it was the first to show
    untried: int  # of its answers, from the first on: those that may yet turn out to be needless
    stored: bool  # in the corpus
    cost: int  # instructions of its run
    before: int  # how many runs, of those that were looked at for this, showed the last of its news before it
    hints: Own = NO_HINTS  # what the code compares with that it was the first to reach
    turns: int = 0

    @property
    def last(self) -> int:
        """The number of the last of its news."""
        return self.news.bit_length() - 1


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
        self._tally = Tally()
        self.executions = 0
        self._fresh: list[Entry] = []  # not yet made small
        self._parent: Entry | None = None
        self._tried: set[int] = set()  # hashes of plans
        self._trials: list[Plan] = []  # each place of a file with each number that new code compares with
        self._turn: list[Plan] = []  # the runs of its turn ...
        self._since = 0  # ... which change nothing before this call ...
        self._sites = Sites()  # ... and these sites
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

    def changed(self, plan: Plan, sites: Sites, rng: Random, own: Own = NO_HINTS, since: int = 0) -> Plan:
        """One change of *plan*, whose run had *sites*, from the call *since* on; *own*: constants that matter to it."""
        if self.tier != CONTRACT and rng.random() < WORD_SHARE:
            words = [word for word in map(word_of, self.hints()) if word]
            files = [row for row in sites.rows if ROWS[row].file]
            if words and files:
                answer = Answer(rng.choice(files), 0, CONTENTS, rng.choice(words) + b"\n")
                return Plan((answer, *plan.answers))
        hints = own if own and rng.random() < OWN_HINTS_SHARE else self.hints()
        mine = [row for row in sites.rows if row >= OF_GO]
        if mine and rng.random() < OWN_FILES_SHARE:
            row, numbers = rng.choice(mine), own or hints
            content = next((answer.payload for answer in plan.answers if answer.row == row), b"")
            rest = tuple(answer for answer in plan.answers if answer.row != row)
            return Plan((Answer(row, 0, CONTENTS, edited(rng, numbers, content)), *rest))
        return mutate(plan, rng, self.tier, sites, hints, settings=self.settings, since=since)

    def step(self) -> None:
        """Run one new plan."""
        while self._fresh:
            entry = self._fresh[-1]
            if entry.untried:
                self._spare_one(entry)
                return
            self._keep(self._fresh.pop())
        if self._trials:
            self.run(self._trials.pop())
            return
        if not self._turn:
            self._begin_turn(self._choose())
        self.run(self._turn.pop())

    def _begin_turn(self, parent: Entry) -> None:
        rng, calls = self._rng, len(parent.sites.calls)
        self._parent = parent
        parent.turns += 1
        # A turn that leaves the first calls alone is quick, as its runs begin after them; and what comes late in
        # start-up gets its share.  Not the first one of a plan that has shown the way to new code.
        share = LATE_SHARE if not parent.promising else PROMISING_LATE_SHARE if parent.turns > WHOLE_TURNS else 0.0
        late = calls and rng.random() < share
        self._since = rng.randrange(calls) if late else 0
        self._sites = parent.sites.since(self._since) if self._since else parent.sites
        self._turn = [self._untried() for _ in range(self._length(parent))]
        if len(self._turn) > SHORT_TURN:
            self.target.follow(parent.plan, parent.sites, self._turn)

    def _length(self, parent: Entry) -> int:
        # How many runs a turn has: all take about as long.
        length = parent.cost / max(self.entries[0].cost, 1)
        if self._since:
            length *= 1 - self._since / len(parent.sites.calls)
        else:
            length = max(length, 1.0)  # those that end early are not worth more
        return max(int(TURN / (FIXED + (1 - FIXED) * length)), SHORT_TURN)

    def finish(self) -> None:
        """Keep what is still to be made small."""
        while self._fresh:
            self._keep(self._fresh.pop())

    def _spare_one(self, entry: Entry) -> None:
        # Run it without one of its answers: does it show the same news?
        entry.untried -= 1
        answers = entry.plan.answers
        result, found = self._run(Plan((*answers[: entry.untried], *answers[entry.untried + 1 :])))
        if found & entry.news == entry.news:
            entry.plan, entry.sites, entry.stored = result.plan, Sites(result.calls), False

    def _keep(self, entry: Entry) -> None:
        if not entry.stored and entry.plan.answers:
            self.corpus.add(entry.plan.encode())
        entry.stored = True

    def hints(self) -> tuple[int, ...]:
        """Constants that code which ran compares with; looked for anew from time to time."""
        if not self._hints or self.executions >= self._hints_due:
            self._hints, self._hints_due = self.target.hints(), self.executions + HINTS_EVERY
        return self._hints

    def run(self, plan: Plan, stored: bool = False) -> Result:
        """Run *plan*; keep it if it shows anything new, and hand on what is wrong.  *stored*: the corpus has it."""
        return self._run(plan, stored)[0]

    def _run(self, plan: Plan, stored: bool = False) -> tuple[Result, int]:
        # The result, and its traits: none for a run outside the tier.
        self.executions += 1
        result = self.target.run(plan)
        if self.tier == CONTRACT and tier_of(result) != CONTRACT:
            return result, 0
        judged = verdict(result)
        found = traits(result.coverage)
        if self.executions % SAMPLED == 0:
            self._tally.add(found)
        before = self.seen.union
        news = self.seen.learn(found)
        if news:
            self._add(result, result.outcome["kind"] != "reached", news, new_blocks(news, before), stored)
        if judged.kind != OK:
            self._found(result, judged)
        return result, found

    def _add(self, result: Result, failed: bool, news: int, blocks: list[int], stored: bool) -> None:
        promising = bool(blocks) and not failed
        hints = Own(self.target.hints(blocks)) if promising else NO_HINTS
        plan = result.plan
        size = len(plan.answers)
        entry = Entry(
            plan,
            Sites(result.calls),
            failed,
            promising,
            news,
            size if size > 1 else 0,
            stored,
            result.instructions,
            self._tally.of(news.bit_length() - 1),
            hints,
        )
        self.entries.append(entry)
        self._fresh.append(entry)
        if promising and len(hints) <= FEW_HINTS:
            self._trials += trials(plan, entry.sites, hints)

    def _next(self) -> Plan:
        rng, parent = self._rng, self._parent
        assert parent is not None
        plan = parent.plan
        if rng.random() < JOINED:
            other = tuple(one for one in rng.choice(self.entries).plan.answers if self._is_late(one))
            first, second = (plan.answers, other) if rng.random() < 0.5 else (other, plan.answers)
            plan = Plan((*first, *second)[:MAX_ANSWERS])
            if rng.random() < 0.5:
                return plan
        for _ in range(rng.choice(CHANGES)):
            plan = self.changed(plan, self._sites, rng, parent.hints, self._since)
        return Plan(plan.answers[:MAX_ANSWERS])

    def _untried(self) -> Plan:
        # A fifth of all changes lead to a plan that was run before.
        if len(self._tried) > REMEMBERED:
            self._tried.clear()
        plan = self._next()
        for _ in range(TRIES):
            if hash(plan) not in self._tried:
                break
            plan = self._next()
        self._tried.add(hash(plan))
        return plan

    def _is_late(self, answer: Answer) -> bool:
        return not self._since or self._sites.first_call(answer) >= self._since

    def _choose(self) -> Entry:
        # The rarest of a few.  What a run that ended badly is extended by seldom gets its turn: most of its children
        # end in the same place.
        rng = self._rng
        promising = [one for one in self.entries if one.promising]
        if promising and rng.random() < PROMISING_SHARE:
            fewest = min(one.turns for one in promising)
            return rng.choice([one for one in promising if one.turns == fewest])
        candidates = [rng.choice(self.entries) for _ in range(CANDIDATES)]
        if rng.random() >= FAILED_SHARE:
            candidates = [one for one in candidates if not one.failed] or candidates
        return min(candidates, key=lambda one: (self._tally.of(one.last) - one.before) * one.cost)


def trials(plan: Plan, sites: Sites, hints: tuple[int, ...]) -> list[Plan]:
    """*plan* with each of the program's own files changed at each of its first places to each of *hints*, as text."""
    found = []
    for row in sites.rows:
        if row < OF_GO:
            continue
        content = next((answer.payload for answer in plan.answers if answer.row == row), b"")
        rest = tuple(answer for answer in plan.answers if answer.row != row)
        for piece in filter(None, map(text_of, hints)):
            for at in range(min(len(content), FIRST_PLACES) + 1):
                new = content[:at] + piece + content[at + len(piece) :]
                found.append(Plan((Answer(row, 0, CONTENTS, new), *rest)))
    return found


def tier_of(result: Result) -> str:
    """The tier of what was answered in a run: that of its plan, unless a call was answered as none of its kind may be.

    mmap(2), MAP_FIXED: if the address cannot be used, the call fails.  read(2): no more than *count* bytes are stored.
    Both depend on the call that an answer meets, so that the plan alone does not tell.
    """
    for event in result.calls:
        if not event.overridden:
            continue
        if event.name == "mmap" and event.args[3] & MAP_FIXED:
            if event.result != event.args[0] and event.errno not in REFUSALS:
                return HOSTILE
        elif event.name in COUNTS and event.result > event.args[COUNTS[event.name]]:
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
