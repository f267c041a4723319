"""The thing that is fuzzed: one program between two functions, run again and again from a snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emu.fuzz.plan import Plan
from emu.image.image import Image
from syscalls.events import SyscallEvent
from syscalls.world import World

OSINIT, MSTART = "runtime.osinit", "runtime.mstart"


@dataclass(frozen=True, slots=True)
class Result:
    """One run.  *outcome* is as in the record's; *coverage* has a byte for each block of code that was ever met in this process:
    how often it ran, at most 255, by its number."""

    plan: Plan
    tier: str
    outcome: dict[str, Any]
    values: dict[str, Any]
    coverage: bytes
    calls: tuple[SyscallEvent, ...]
    stack: tuple[str, ...]
    instructions: int
    defect: str | None


class Target:
    """A program ready to be run from *begin* to *until*, both functions of it, in *world* changed by plans."""

    def __init__(
        self, image: Image, world: World, begin: str = OSINIT, until: str = MSTART, tier: str = "contract"
    ) -> None:
        raise NotImplementedError

    def run(self, plan: Plan) -> Result:
        """Run once; never raises for what the guest or the fake kernel does: an exception of ours is a defect."""
        raise NotImplementedError

    def world_of(self, plan: Plan) -> World:
        """The World in which a cold boot does what :meth:`run` does for *plan*."""
        raise NotImplementedError

    def hints(self) -> tuple[int, ...]:
        """Constants that the code which ran so far compares with: for ``mutate``."""
        raise NotImplementedError
