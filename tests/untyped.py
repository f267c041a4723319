"""A program of which nothing is known but its functions: what a stripped one is when nothing can be recovered."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from emu.boot.boot import boot
from emu.boot.record import BootRecord
from emu.image.image import Image, load
from emu.image.types import Layouts, LayoutTables
from syscalls.world import World


def untyped(path: Path) -> Image:
    """The program at *path* without its types and variables."""
    return replace(load(path), layouts=Layouts(LayoutTables("", ([], [], []), "")), untyped="they were taken away")


@cache
def booted_untyped(path: Path) -> BootRecord:
    """Its record in the default World."""
    return boot(untyped(path), World())
