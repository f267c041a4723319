"""drgn as an independent reader of the same DWARF."""

from __future__ import annotations

from pathlib import Path

import drgn

from emu.image import Image


def program(path: Path, image: Image) -> drgn.Program:
    """Return a drgn program over the file at *path*, at the addresses it was linked for."""
    judge = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    made = judge.extra_module(str(path), create=True)
    module = made[0] if isinstance(made, tuple) else made  # drgn 0.1 and 0.2 also say whether it is new
    module.address_range = image.segments[0].addr & ~4095, 1 << 47  # gives a load bias of 0
    module.try_file(str(path), force=True)
    return judge
