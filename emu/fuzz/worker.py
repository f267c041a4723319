"""One process of a campaign: searches, and writes down at once whatever it finds."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from types import FrameType

from emu.boot.boot import boot
from emu.fuzz import search
from emu.fuzz.corpus import TEMPORARY, Corpus, write_whole
from emu.fuzz.engines import engine
from emu.fuzz.finding import About, Elsewhere, Finding, name_of, publish
from emu.fuzz.folder import Settings, Summary, read_state, summarise
from emu.fuzz.grammar import CONTRACT
from emu.fuzz.minimise import MAX_RUNS, minimise
from emu.fuzz.oracles import OK, Verdict, verdict
from emu.fuzz.plan import Plan, decode
from emu.fuzz.target import Result, Target, settle
from emu.image.image import Image, load

TICK_SECONDS = 0.5  # between two writes of the state, and two looks at what the other processes found
HANG_INSTRUCTIONS = 20_000_000  # what never ends is cut short in a finding's World: 30 boots' worth
SLOW_KINDS = ("hang", "memory")  # each run of these is as long as its limit
SLOW_RUNS = 60

Progress = Callable[[Summary], None]


class Stop:
    """SIGINT asks for an end: the run under way is finished, so that nothing is cut in two.

    A second one is obeyed at once, but for a process with a *parent*, which may hear of the same one twice.
    """

    def __init__(self, parent: int = 0) -> None:
        self.asked = False
        self._parent = parent
        self._before = signal.signal(signal.SIGINT, self._ask)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        if not self._parent:
            self.restore()

    def restore(self) -> None:
        """Handle SIGINT as before."""
        signal.signal(signal.SIGINT, self._before)


class Worker:
    """One searching process; *parent* is the process that it ends with."""

    def __init__(self, settings: Settings, index: int, progress: Progress | None, parent: int = 0) -> None:
        self._settings, self._index, self._progress, self._parent = settings, index, progress, parent
        self._state = settings.out / "state" / f"{index}.json"
        self._image = load(settings.binary)
        self._target = self._target_of(self._image)
        self._others = [load(path) for path in settings.also]
        self._other_targets: list[Target] = []  # made when there is something to try on them
        self._known = {one.name for one in (settings.out / "findings").iterdir()}
        kind = search.Blind if settings.blind else search.Search
        seed = f"{settings.seed}/{index}"
        self.search = kind(
            self._target,
            Corpus(settings.out / "corpus"),
            self._found,
            settings.tier,
            seed,
            settings=settings.vary_world,
        )
        earlier = read_state(self._state)
        self._executions, self._seconds = int(earlier.get("executions", 0)), float(earlier.get("seconds", 0.0))

    def _target_of(self, image: Image) -> Target:
        settings = self._settings
        return Target(
            image, settings.world, settings.begin, settings.until, settings.tier, settings=settings.vary_world
        )

    def work(self) -> bool:
        """Search until the time or the runs are used up, or SIGINT asks for an end; True for that."""
        settings = self._settings
        share = settings.max_runs
        if share is not None:
            share = share // settings.jobs + (self._index < share % settings.jobs)
        stop = Stop(self._parent)
        began = self._ticked = time.monotonic()

        def going() -> bool:
            now = time.monotonic()
            if now - self._ticked >= TICK_SECONDS:
                self._ticked = now
                self._tick(now - began)
                if self._parent and os.getppid() != self._parent:
                    return False
            if stop.asked or (share is not None and self.search.executions >= share):
                return False
            return settings.seconds is None or now - began < settings.seconds

        def finish() -> None:
            if not self._parent:
                stop.restore()
            self.search.finish()
            self._tick(time.monotonic() - began)

        self._finish_pending()
        self.search.begin()
        settle()
        engine(settings.engine)(self.search, going, finish)
        return stop.asked

    def _tick(self, seconds: float) -> None:
        searching = self.search
        if self._settings.jobs > 1:
            searching.import_others()
        state = {
            "executions": self._executions + searching.executions,
            "seconds": self._seconds + seconds,
            "edges": searching.seen.blocks(),
        }
        write_whole(self._state, json.dumps(state).encode())
        if self._progress or self._settings.jobs == 1:
            current = summarise(self._settings.out)
            if self._progress:
                self._progress(current)

    # Findings

    def _found(self, result: Result, judged: Verdict) -> None:
        name = name_of(judged)
        if name in self._known:
            return
        self._known.add(name)
        pending = self._settings.out / "pending" / name
        if (self._settings.out / "findings" / name).exists():
            return
        if not pending.exists():
            write_whole(pending, result.plan.encode())
        self._explain(name, result, judged)
        pending.unlink(missing_ok=True)

    def _finish_pending(self) -> None:
        # What an earlier process found and had no time to explain.
        for pending in sorted((self._settings.out / "pending").iterdir()):
            if pending.name.startswith(TEMPORARY):
                continue
            result = self._target.run(decode(pending.read_bytes()), whole=True)
            judged = verdict(result)
            if judged.kind != OK:
                self._found(result, judged)
            pending.unlink(missing_ok=True)

    def _explain(self, name: str, result: Result, judged: Verdict) -> None:
        target, settings = self._target, self._settings
        limit = SLOW_RUNS if judged.kind in SLOW_KINDS else MAX_RUNS
        tier = search.tier_of(result)  # it stays so: what is simpler is not always what a kernel may answer

        def same(one: Plan) -> bool:
            # The last verdict is kept: a run that is only long may later be called slow, without a closer look.
            nonlocal judged
            if tier == CONTRACT and one.tier != CONTRACT:
                return False
            result = target.run(one, whole=True)
            seen = verdict(result)
            if seen.key == judged.key and (tier != CONTRACT or search.tier_of(result) == CONTRACT):
                judged = seen
                return True
            return False

        plan = minimise(result.plan, same, limit)
        image, world = self._image, target.world_of(plan)
        if judged.kind == "hang":
            world = replace(world, limits=replace(world.limits, instructions=HANG_INSTRUCTIONS))
        about = About(
            image.name, image.sha256, image.go, str(settings.binary.resolve()), settings.begin, settings.until,
            tier, judged.kind, judged.message, judged.function, judged.stack, judged.key,
        )  # fmt: skip
        record = boot(image, world, settings.until).to_json()
        elsewhere = [
            Elsewhere(other.name, other.go, verdict(runner.run(plan, whole=True)))
            for other, runner in zip(self._others, self._targets(), strict=True)
        ]
        publish(settings.out / "findings", name, Finding(world, about), record, elsewhere)

    def _targets(self) -> list[Target]:
        if not self._other_targets:
            self._other_targets = [self._target_of(image) for image in self._others]
        return self._other_targets
