"""One run: an image in a World, from its entry point to its end."""

from __future__ import annotations

from emu.image.image import Image
from emu.machine.machine import Machine
from emu.machine.outcome import Outcome
from emu.run import streams
from syscalls.world import World


def run(image: Image, world: World) -> Outcome:
    """Run *image* in *world* on the standard streams of this process, and return how it ended.

    Raises WorldError if *world* has no room for it.
    """
    machine = Machine(image, world)
    try:
        kernel = machine.kernel
        kernel.log, kernel.keeps_output = None, False
        kernel.sink, kernel.stdin = streams.write, streams.read
        return machine.run()
    finally:
        machine.close()
