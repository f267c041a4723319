"""What start-up cost in each release: recordings by ``rt0 bench record``, and the code that makes them anew.

One file a program.  All ran in :data:`WORLD`; ``python -m bench.history`` rewrites them, docs/history.md shows them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from emu.bench.measure import measure
from emu.bench.recording import Measured, from_json, to_json
from emu.image.image import load
from fixtures import store
from syscalls.world import World

FOLDER = Path(__file__).resolve().parent
WORLD = World(argv=("program",))  # one name for all: it lies on the stack, and start-up reads it
RELEASES = (
    "ibazel-0.1.1", "ibazel-0.7.0", "esbuild-0.0.2", "esbuild-0.1.0", "esbuild-0.5.0", "buildifier-4.0.1",
    "buildifier-4.2.1", "buildifier-4.2.5", "esbuild-0.14.40", "hello-1.19.8", "buildifier-6.3.3", "hello-1.21.13",
    "hello-1.22.10", "hello-1.23.9", "hello-1.24.11", "hello-1.25.5", "hello-1.26.6", "hello-1.27.3",
)  # fmt: skip
"""Fixtures, one of each release from 1.9 to 1.27 but 1.10, of which no program was found."""
LARGER = ("esbuild-0.15.18", "esbuild-0.19.0", "esbuild-0.25.0", "esbuild-0.28.2")
"""Programs several times as large as hello, of releases that hello was built in too, or nearly."""


def file(name: str) -> Path:
    """Where the recording of the fixture *name* is."""
    return FOLDER / f"{name}.json"


@cache
def recorded(name: str) -> Measured:
    """What is recorded of the fixture *name*."""
    return from_json(file(name).read_text())[0]


def record(name: str) -> str:
    """The recording of the fixture *name*, made afresh; raises fixtures.store.FixtureError if it cannot be had."""
    return to_json([measure(load(store.path(name)), WORLD)]) + "\n"
