"""A warm machine boots like a new one: byte for byte, whatever it did before."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from emu.boot import capture
from emu.boot.boot import UnknownFunction, boot
from emu.boot.reader import Missing
from emu.boot.warm import Warm
from emu.image.image import Image, load
from syscalls.world import World
from syscalls.worldfile import load as load_world
from tests.booted import BUNDLED, booted

FIXED: tuple[tuple[str, ...], ...] = (
    (),
    ("page-size=65536",),
    ("page-size=0",),  # throws
    ("auxv.AT_PAGESZ=absent",),  # throws, after a look at /proc/self/auxv
    ("memory.limit=3M",),  # dies out of memory
    ("limits.instructions=1000",),
    ("limits.instructions=150000",),
    ("limits.traps=20",),
    ("vdso=false", "vsyscall=false"),
    ("cpuid.rdtscp=false",),  # another vDSO
    ("memory.stack-top=0x7ffffffde000", "memory.vdso-base=0x7ffff7f00000"),
    ('argv=["a", "b c"]', "env.GODEBUG=inittrace=1"),
    ("cpus=1024", "thp=absent"),
    ("env.GOMAXPROCS=5", "seed=77"),
)
CRASH = replace(World(), auxv=(("AT_SYSINFO_EHDR", 0x1234_5000),))  # the vDSO's parser touches what is not mapped


@cache
def image_of(path: Path = BUNDLED) -> Image:
    """The program at *path*."""
    return load(path)


def some_worlds(seed: int, count: int) -> list[tuple[str, ...]]:
    """*count* sets of settings, drawn by *seed*."""
    chance = random.Random(seed)
    choices = (
        [f"cpus={n}" for n in (1, 2, 3, 63, 64, 65)],
        [f"thp={text}" for text in ("absent", "0", "2097152", "1048576", "garbage")],
        [f"page-size={n}" for n in (4096, 16384, 65536, 12288, 1)],
        [f"seed={n}" for n in range(5)],
        [f"vdso={flag}" for flag in ("true", "false")],
        [f"limits.instructions={n}" for n in (50_000, 90_001, 120_002, 10**9)],
        [f"env.GOMAXPROCS={text}" for text in ("1", "3", "500", "no")],
        [f"memory.limit={size}" for size in ("4M", "64M", "2G")],
        [f"process.closed-fds={fds}" for fds in ("[]", "[1]", "[0, 2]")],
        [f"cgroup.cpu-quota={quota}" for quota in ("max", "250000")],
    )
    return [tuple(chance.choice(group) for group in chance.sample(choices, 3)) for _ in range(count)]


def test_records_equal_those_of_new_machines_in_any_order() -> None:
    """Fixed and random Worlds, shuffled and each met twice: every record's JSON is that of a cold boot."""
    seed = 20
    order = [*FIXED, *some_worlds(seed, 30)] * 2
    random.Random(seed).shuffle(order)
    warm = Warm(image_of())

    for number, settings in enumerate(order):
        record = warm.boot(load_world(None, settings))

        assert record.to_json() == booted(BUNDLED, *settings).to_json(), (seed, number, settings)


@pytest.mark.parametrize("name", ["esbuild-0.0.2", "hello-1.19.8", "hello-1.24.11-pie", "hello-1.24.11-stripped"])
def test_other_programs(binary: Callable[[str], Path], name: str) -> None:
    """Go 1.12 and 1.19, a position-independent program that comes to lie elsewhere, one without symbols."""
    path = binary(name)
    warm = Warm(image_of(path))

    for settings in ((), ("cpus=5",), ("memory.load-bias=0x600000000000",), ("page-size=0",), ()):
        assert warm.boot(load_world(None, settings)).to_json() == booted(path, *settings).to_json(), settings


def test_a_crash_leaves_no_trace() -> None:
    """After a fatal signal the next boot is as ever, and the signal is the same each time."""
    image = image_of()
    warm = Warm(image)
    expected = boot(image, CRASH).to_json()

    for _ in range(2):
        record = warm.boot(CRASH)
        assert record.outcome["kind"] == "signal"
        assert record.to_json() == expected
        assert warm.boot(World()).to_json() == booted().to_json()


def test_bare_boots_end_alike_and_hold_the_same_values() -> None:
    """Without observation the outcome, the totals and every variable are those of the record."""
    warm = Warm(image_of())

    for settings in (*FIXED, *FIXED):
        record = booted(BUNDLED, *settings)
        bare = warm.bare(load_world(None, settings))

        assert (bare.outcome, bare.totals) == (record.outcome, record.totals), settings
        assert bare.reader.value("runtime.gomaxprocs") == record.globals["runtime.gomaxprocs"]
        assert bare.reader.value("runtime.physPageSize") == record.globals["runtime.physPageSize"]
        with pytest.raises(Missing):
            bare.reader.value("runtime.noSuchThing")


def test_changed_code_is_translated_anew() -> None:
    """What was written into the program's code, behind the engine's back as well, is gone at the next boot."""
    warm = Warm(image_of())
    expected = warm.bare(World())
    machine = expected.reader.machine
    osinit = image_of().function("runtime.osinit")
    assert osinit is not None
    machine.begin_anew(World())
    machine.pages.poke(osinit.entry, b"\x0f\x0b")
    machine.engine.forget_all_code()
    assert machine.run().pc == osinit.entry

    again = warm.bare(World())

    assert (again.outcome, again.totals) == (expected.outcome, expected.totals)


def test_unmapped_program_is_put_back() -> None:
    """A guest that gives its own segments back to the kernel loses them for that boot only."""
    warm = Warm(image_of())
    expected = warm.bare(World())
    machine = expected.reader.machine
    for addr, size, _, _ in machine.loaded.program.segments:
        machine.pages.unmap(addr, size)

    again = warm.bare(World())

    assert (again.outcome, again.totals) == (expected.outcome, expected.totals)


def test_a_new_machine_after_too_many_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once entries were let go, the next boot watches them again."""
    warm = Warm(image_of())
    monkeypatch.setattr(capture, "MAX_CALLS", 10)
    short = warm.boot(World())
    monkeypatch.undo()

    assert len(short.functions) == 10
    assert warm.boot(World()).to_json() == booted().to_json()


def test_no_such_function() -> None:
    """A function to stop at that the program lacks is an error at once."""
    with pytest.raises(UnknownFunction, match=r"no function main\.nowhere"):
        Warm(image_of(), "main.nowhere")
