"""What a command does to the World that it was given for the program that it was given."""

from __future__ import annotations

from collections.abc import Sequence

from syscalls.light import replace
from syscalls.world import Limits, World


def unlimited(made: World) -> World:
    """*made* for a run to the end: a limit that it did not set itself is none."""
    usual = Limits()
    instructions = 0 if made.limits.instructions == usual.instructions else made.limits.instructions
    traps = 0 if made.limits.traps == usual.traps else made.limits.traps
    return replace(made, limits=replace(made.limits, instructions=instructions, traps=traps))


def with_arguments(made: World, name: str, arguments: Sequence[str]) -> World:
    """*made* with *arguments* after the program's own name; *name* is that if the World has none."""
    if not arguments:
        return made
    return replace(made, argv=(made.argv[0] if made.argv else name, *arguments))
