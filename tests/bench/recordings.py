"""Small recordings, made by hand."""

from __future__ import annotations

from typing import Any

from emu.bench.cost import Cost, Share
from emu.bench.recording import Measured, Row


def row(name: str, own: int, total: int | None = None, **more: Any) -> Row:
    """A bootstrap function of *own* instructions, *total* with what it calls, called once by runtime.schedinit."""
    whole = own if total is None else total
    known = {"callers": {"runtime.schedinit": 1}, "parts": {name: Share(own, 1, 1)}, **more}
    return Row(name, calls=sum(known["callers"].values()), own=Cost(own), total=Cost(whole), **known)


def recording(*rows: Row, name: str = "server", **more: Any) -> Measured:
    """A program that consists of *rows*."""
    totals, program = Cost(), dict[str, Share]()
    for one in rows:
        totals += one.own
        for part, share in one.parts.items():
            known = program.setdefault(part, Share())
            known.instructions += share.instructions
            known.blocks += share.blocks
            known.calls += share.calls
    rest: dict[str, Any] = {
        "go": "go1.27.3",
        "kind": "exec",
        "sha256": "00" * 32,
        "linked": 9,
        "typed": True,
        "world": {},
    } | more
    return Measured(name=name, totals=totals, syscalls={}, functions=rows, program=program, **rest)
