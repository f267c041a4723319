"""Boots that several tests look at: each is run once a session."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from emu.boot import values
from emu.boot.boot import MSTART, boot
from emu.boot.record import BootRecord
from emu.cli import boot as command
from emu.image.image import Image, load
from syscalls.world import World
from syscalls.worldfile import load as load_world

BUNDLED = Path(command.BUNDLED)
"""The bundled hello."""


@cache
def image_of(path: Path | None = None) -> Image:
    """The program at *path*; None: the bundled hello."""
    return load(path or BUNDLED)


@lru_cache(maxsize=48)  # records are large: a thousand of them are a GiB
def booted(path: Path | None = None, *settings: str, world: str | None = None, until: str = MSTART) -> BootRecord:
    """The record of the program at *path* in the default World (or *world*) with *settings* (``KEY=VALUE``)."""
    return boot(image_of(path), load_world(world, settings), until)


def boot_in(path: Path | None, world: World) -> BootRecord:
    """The record of the program at *path* in *world*."""
    return boot(image_of(path), world)


def value(record: BootRecord, name: str) -> Any:
    """What *record* says of the declared value *name*; fails where it is absent."""
    found = values.read(record, values.BY_NAME[name])
    assert isinstance(found, values.Captured), f"{name}: {found}"
    return found.value


def number(record: BootRecord, name: str) -> int:
    """The declared value *name*, which is an integer."""
    found = value(record, name)
    assert isinstance(found, int)
    return found


def release_of(record: BootRecord) -> tuple[int, int]:
    """The Go release of the record's program: (1, 27) of "go1.27.3"."""
    major, minor = str(record.binary["go"]).removeprefix("go").split(".")[:2]
    return int(major), int(minor)


UNSTRIPPED = (
    "hello-1.19.8", "hello-1.21.13", "hello-1.22.10", "hello-1.23.9", "hello-1.24.11", "hello-1.25.5", "hello-1.26.6",
    "hello-1.27.3", "esbuild-0.0.2", "esbuild-0.1.0", "esbuild-0.5.0", "buildifier-4.0.1",
)  # fmt: skip
"""Fixtures with symbols and DWARF: Go 1.19 to 1.27, then 1.12.9, 1.13.8, 1.14.2 and 1.15.3."""
