"""Random guest programs, and what is compared of their runs."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from typing import Any

from tests.machine.bare import CODE, DATA, HOLE, Bare

import unicorn  # isort: skip - only after the accelerator, which bare loads

PIECES = """
    4801d8 480fafd8 488907 488b5f08 48830701 488d1458 48d3d0 480fa4d805 4839d8 480f4cd0 505a 488707 f0480fc107 0f1007
    660fd4c0 0f1107 9c9d f3aa f3a4 f2ae f3a6 67f3aa b905000000 b901000000 31c9 48c7c700000400 48c7c600010400 0fb607
    fe07 aa cc 90 f7f1 4889042510000800 488b042500100800 f3aaf3aa e80000000058
"""
RANDOM_PIECES = [bytes.fromhex(piece) for piece in PIECES.split()]


def random_program(seed: int) -> bytes:
    """A loop of 1-6 rounds over random pieces, some of which are jumped over; some divide by zero or touch a hole."""
    rng = random.Random(seed)
    code = bytearray.fromhex("41b8") + rng.randint(1, 6).to_bytes(4, "little")
    code += bytes.fromhex("48c7c700000400 48c7c600010400 b903000000")
    top = len(code)
    for _ in range(rng.choice([5, 20, 60, 200])):
        piece = rng.choice(RANDOM_PIECES)
        if rng.random() < 0.15:
            code += bytes([rng.choice([0x72, 0x74, 0x75, 0x78]), len(piece)])
        code += piece
    code += bytes.fromhex("48c7c700000400 48c7c600010400 41ffc8 0f85")
    return bytes(code + (top - len(code) - 4).to_bytes(4, "little", signed=True) + b"\x90")


def trace(code: bytes, plain: bool, step: int | None, bulk: bool = False) -> Iterator[tuple[Any, ...]]:
    """Everything that can be told at each of up to 60 stops, every *step* instructions, and at the end."""
    bare = Bare(code, plain)
    if bulk:
        bare.counter.repeat_in_bulk()
    bare.resume = lambda vector, rip: rip if vector == 3 else rip + 2
    rip, error = CODE, 0
    for _ in range(60):
        bare.counter.set_limit(None if step is None else bare.total() + step)
        try:
            bare.run(rip, CODE + len(code))
        except unicorn.UcError as caught:
            error = caught.errno
            bare.counter.settle()
        rip = bare.read("rip")
        yield rip, bare.total(), bare.counter.limit_reached(), error, *map(bare.read, ("rsp", "rcx", "rdi", "rflags"))
        if rip == CODE + len(code) or error:
            break
    yield bare.counter.blocks(), sorted(bare.counter.profile()), bare.faults, bare.counts_at_faults
    yield (hashlib.sha256(bare.host[DATA:HOLE]).hexdigest(),)
