"""The workers of a sweep: processes of this machine, or those of a Dask cluster."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import multiprocessing
import os
import pickle
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

from emu.sweep import work
from emu.sweep.version import version
from emu.sweep.work import Row, Shipment

TIMEOUT = 10  # seconds that a scheduler has to answer
PATIENCE = 60  # seconds that a cluster may be without any worker


class ClusterError(Exception):
    """A cluster that cannot be used; the message is one line."""


def cores() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0))


class LocalCrew:
    """*jobs* processes of this machine.

    They are forked off a server that has no threads and has imported what they need (multiprocessing's
    ``forkserver``), so that it is safe whatever the parent has loaded, and quick.
    """

    lost: tuple[type[Exception], ...] = ()

    def __init__(self, shipment: Shipment, jobs: int) -> None:
        self._shipment, self._jobs = shipment, jobs
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["emu.sweep.work"])
        self._pool = self._new()

    def _new(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self._jobs, self._context, initializer=work.prepare, initargs=(self._shipment,))

    def workers(self) -> int:
        """How many there are."""
        return self._jobs

    def submit(self, indices: Sequence[int]) -> Future[list[Row]]:
        """Have the rows of *indices* computed."""
        return self._pool.submit(work.compute, indices)

    def check(self) -> None:
        """A broken pool tells by itself."""

    def renew(self) -> None:
        """Replace the pool: one dead process breaks it."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = self._new()

    def close(self) -> None:
        """End the processes."""
        processes = list((self._pool._processes or {}).values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            with contextlib.suppress(OSError):
                process.kill()
        for process in processes:
            process.join()


class ClusterCrew:
    """The workers of the Dask cluster whose scheduler is at *address*.

    The shipment travels once, as a task of its own: whatever worker is lost, the scheduler can have it made again.
    """

    def __init__(self, shipment: Shipment, address: str) -> None:
        try:
            distributed: Any = importlib.import_module("distributed")
        except ImportError as error:
            raise ClusterError("needs the package distributed: pip install 'rt0[cluster]'") from error
        self.lost: tuple[type[Exception], ...] = (distributed.scheduler.KilledWorker, distributed.CancelledError)
        try:
            self._client = distributed.Client(address, timeout=TIMEOUT, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ClusterError(f"no scheduler answers at {address}") from error
        self._name = _name(shipment)
        self._since = time.monotonic()  # when there was a worker
        self._check_workers(address)
        self._shipment, self._payload = shipment, self._ship(shipment)
        self._executor = self._client.get_executor(pure=False)

    def _check_workers(self, address: str) -> None:
        versions = self._client.run(version)
        if not versions:
            raise ClusterError(f"the scheduler at {address} has no workers")
        for worker, its in versions.items():
            if its != version():
                raise ClusterError(f"the worker {worker} has another rt0 ({its}, here {version()})")

    def _ship(self, shipment: Shipment) -> Any:
        return self._client.scatter(shipment, broadcast=True, hash=False)

    def workers(self) -> int:
        """How many there are now, at least 1."""
        return max(1, len(self._client.scheduler_info(n_workers=-1)["workers"]))

    def submit(self, indices: Sequence[int]) -> Future[list[Row]]:
        """Have the rows of *indices* computed."""
        future: Future[list[Row]] = self._executor.submit(work.compute_for, self._name, self._payload, list(indices))
        return future

    def check(self) -> None:
        """Raise ClusterError when there has been no worker for long."""
        if self._client.scheduler_info(n_workers=-1)["workers"]:
            self._since = time.monotonic()
        elif time.monotonic() - self._since > PATIENCE:
            raise ClusterError(f"the cluster has had no worker for {PATIENCE} seconds")

    def renew(self) -> None:
        """Send the shipment again: the worker that held it may be gone."""
        self._payload = self._ship(self._shipment)

    def close(self) -> None:
        """Drop what is under way and leave the cluster."""
        self._executor.shutdown(wait=False)
        self._client.close(timeout=TIMEOUT)


def _name(shipment: Shipment) -> str:
    content = pickle.dumps((shipment.plan, [image.sha256 for image in shipment.images], version()))
    return hashlib.sha256(content).hexdigest()
