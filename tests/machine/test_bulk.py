"""What the native counter may leave out: iterations of string instructions one by one, the account of single blocks."""

from __future__ import annotations

import random

import pytest

from tests.machine.bare import CODE, DATA, HOLE, Bare
from tests.machine.programs import trace

INSTRUCTIONS = [
    bytes.fromhex(code)
    for code in ("f3a4", "f3a5", "66f3a5", "f348a5", "f3aa", "f3ab", "f366ab", "f348ab", "67f3aa")
]  # fmt: skip


def strings(seed: int) -> bytes:
    """Repeated MOVS and STOS of each size, long and short, over pages and each other, both ways, into a hole."""
    rng = random.Random(seed)
    code = bytearray.fromhex("48b8") + rng.randbytes(8)
    for _ in range(30):
        to, source = rng.randrange(DATA, HOLE), rng.randrange(DATA, HOLE)
        if rng.random() < 0.5:
            source = max(DATA, to + rng.randint(-20, 20))
        count = rng.choice([0, 1, 2, 3, rng.randint(4, 600), rng.randint(600, 3000)])
        for register, value in ((0xC7, to), (0xC6, source), (0xC1, count)):
            code += bytes([0x48, 0xC7, register]) + value.to_bytes(4, "little")
        code += bytes.fromhex(rng.choice(["fc", "fc", "fc", "fc", "fd"]))
        code += rng.choice(INSTRUCTIONS)
        code += bytes([0x90] * rng.randint(0, 2))
    return bytes(code + b"\x90")


@pytest.mark.parametrize("step", [None, 1, 7, 1000])
@pytest.mark.parametrize("seed", range(12))
def test_iterations_in_bulk_are_those_one_by_one(seed: int, step: int | None) -> None:
    """Stops, registers there, totals, profiles, faults and memory of REP MOVS and REP STOS are the plain counter's."""
    code = strings(seed)

    assert list(trace(code, False, step, bulk=True)) == list(trace(code, True, step))


def test_bulk_leaves_code_that_is_overwritten_to_the_engine() -> None:
    """REP STOSB over the instructions behind it: the new ones run, an exact number of instructions."""
    code = bytes.fromhex("488d3d09000000 b908000000 b090 f3aa ffc3ffc3ffc3ffc3")  # lea rdi, [rip + 9] ...
    for bulk in (False, True):
        bare = Bare(code)
        if bulk:
            bare.counter.repeat_in_bulk()
        bare.write("rbx", 5)
        bare.run(CODE, CODE + len(code))

        assert (bare.read("rbx"), bare.total()) == (5, 3 + 8 + 8)


def test_code_translated_after_a_store_into_its_page_is_watched() -> None:
    """A store into a page with code, more code of that page, a store into that: what runs then is what was stored."""
    code = bytearray(0x500)
    code[:7] = bytes.fromhex("89042500080100")  # mov [CODE + 0x800], eax
    code[7:12] = b"\xe8" + (0x400 - 12).to_bytes(4, "little")  # call CODE + 0x400
    code[12:20] = bytes.fromhex("c604250104010002")  # mov byte [CODE + 0x401], 2
    code[20:25] = b"\xe8" + (0x400 - 25).to_bytes(4, "little")
    code[0x400:0x406] = bytes.fromhex("bb01000000c3")  # mov ebx, 1; ret
    bare = Bare(bytes(code))

    bare.run(CODE, CODE + 25)

    assert bare.read("rbx") == 2
    assert bare.total() == 4 + 2 * 2


def test_totals_only() -> None:
    """Without an account of single blocks the totals and the limits stay, and asking about blocks is an error."""
    code = bytes.fromhex("b964000000 ffc9 75fc 90")
    bare = Bare(code)
    bare.counter.count_totals_only()
    bare.counter.set_limit(51)
    bare.run(CODE, CODE + len(code))
    assert bare.total() == 51
    bare.counter.set_limit(None)
    bare.run(bare.read("rip"), CODE + len(code))

    assert bare.total() == 1 + 2 * 100 + 1
    assert bare.counter.state() == (202).to_bytes(8, "little")
    for ask in (bare.counter.blocks, bare.counter.profile, lambda: bare.counter.executed(b"")):
        with pytest.raises(RuntimeError, match="totals only"):
            ask()
