"""A campaign: one or more processes that search, and share a folder."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import time
from typing import TYPE_CHECKING

from emu.boot.boot import entry_of
from emu.fuzz import search
from emu.fuzz.corpus import Corpus
from emu.fuzz.engines import PLAIN, engine
from emu.fuzz.folder import Settings, Summary, prepare, summarise
from emu.fuzz.target import Target
from emu.fuzz.worker import TICK_SECONDS, Progress, Stop, Worker
from emu.image.image import load

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue


def run(settings: Settings, progress: Progress | None = None) -> tuple[Summary, bool]:
    """Run the campaign to its end, or until SIGINT; return the summary, also on disk, and whether it was SIGINT.

    Raises NoEngine for an engine that is not installed, UnknownFunction for a stretch that the program does not have.
    """
    engine(settings.engine)
    image = load(settings.binary)
    for name in (settings.begin, settings.until):
        entry_of(image, name)
    prepare(settings)
    if settings.jobs == 1 and settings.engine == PLAIN:
        interrupted = Worker(settings, 0, progress).work()
    else:  # libFuzzer ends its process
        interrupted = _run_many(settings, progress)
    return summarise(settings.out), interrupted


def minimise_corpus(settings: Settings) -> tuple[int, int]:
    """Keep as few inputs of the corpus as have all its coverage; return how many there were and are."""
    prepare(settings)
    target = Target(
        load(settings.binary),
        settings.world,
        settings.begin,
        settings.until,
        settings.tier,
        settings=settings.vary_world,
    )
    counts = search.minimise_corpus(target, Corpus(settings.out / "corpus"))
    summarise(settings.out)
    return counts


def _run_many(settings: Settings, progress: Progress | None) -> bool:
    # Spawned, not forked: each process has an engine of its own from the start.
    context = multiprocessing.get_context("spawn")
    failures: SimpleQueue[Exception] = context.SimpleQueue()
    workers = [
        context.Process(target=_work, args=(settings, index, os.getpid(), failures)) for index in range(settings.jobs)
    ]
    # Ignored, and inherited so, until each of them has its own way to stop: none dies of it while it is loaded.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    for worker in workers:
        worker.start()
    signal.signal(signal.SIGINT, before)
    stopping = Stop()
    while any(worker.is_alive() for worker in workers):
        time.sleep(TICK_SECONDS)
        current = summarise(settings.out)
        if progress:
            progress(current)
        if stopping.asked:
            for worker in workers:
                if worker.is_alive() and worker.pid:
                    os.kill(worker.pid, signal.SIGINT)
    stopping.restore()
    failed = [worker.exitcode for worker in workers if worker.exitcode]
    if failed:
        if not failures.empty():
            raise failures.get()
        raise RuntimeError(f"{len(failed)} of {settings.jobs} processes ended with status {failed[0]}")
    return stopping.asked


def _work(settings: Settings, index: int, parent: int, failures: SimpleQueue[Exception]) -> None:
    # What goes wrong is the first process's to say, in one line, as if it were its own.
    try:
        Worker(settings, index, None, parent).work()
    except Exception as error:
        failures.put(_sent(error))
        if os.environ.get("RT0_DEBUG") == "1":
            raise
        sys.exit(1)


def _sent(error: Exception) -> Exception:
    # `error`, or what says the same, if it cannot go from one process to another.
    try:
        pickle.loads(pickle.dumps(error))
    except (pickle.PickleError, TypeError, AttributeError):
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
