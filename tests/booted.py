"""Boots that several tests look at: each is run once a session."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from emu.boot.boot import MSTART, boot
from emu.boot.record import BootRecord
from emu.cli.boot import BUNDLED
from emu.image.image import load
from syscalls.worldfile import load as load_world


@cache
def booted(path: Path = BUNDLED, *settings: str, world: str | None = None, until: str = MSTART) -> BootRecord:
    """The record of the program at *path* in the default World (or *world*) with *settings* (``KEY=VALUE``)."""
    return boot(load(path), load_world(world, settings), until)


UNSTRIPPED = (
    "hello-1.19.8", "hello-1.21.13", "hello-1.22.10", "hello-1.23.9", "hello-1.24.11", "hello-1.25.5", "hello-1.26.6",
    "hello-1.27.3", "esbuild-0.0.2", "esbuild-0.1.0", "esbuild-0.5.0", "buildifier-4.0.1",
)  # fmt: skip
"""Fixtures with symbols and DWARF: Go 1.19 to 1.27, then 1.12.9, 1.13.8, 1.14.2 and 1.15.3."""
