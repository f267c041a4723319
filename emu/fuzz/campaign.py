"""A campaign: one or more processes that search, and share a folder."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

from emu.boot.boot import entry_of
from emu.fuzz import search
from emu.fuzz.corpus import Corpus
from emu.fuzz.engines import PLAIN, engine
from emu.fuzz.folder import Settings, Summary, prepare, summarise
from emu.fuzz.target import Target
from emu.fuzz.worker import TICK_SECONDS, Progress, Stop, Worker
from emu.image.image import load


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
    workers = [context.Process(target=_work, args=(settings, index, os.getpid())) for index in range(settings.jobs)]
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
        raise RuntimeError(f"{len(failed)} of {settings.jobs} processes ended with status {failed[0]}")
    return stopping.asked


def _work(settings: Settings, index: int, parent: int) -> None:
    Worker(settings, index, None, parent).work()
