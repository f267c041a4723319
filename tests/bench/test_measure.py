"""What start-up costs: it adds up, agrees with the record of the boot, and is the same everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from emu.bench.cost import METRICS, Cost
from emu.bench.measure import NotReached, measure
from emu.bench.recording import BEFORE, Measured, from_json, to_json
from emu.boot.record import FunctionCall
from emu.image.image import load
from syscalls.world import Limits, World
from syscalls.worldfile import load as load_world
from tests.booted import BUNDLED, booted
from tests.untyped import untyped

PROGRAMS = ("hello-1.19.8", "hello-1.22.10", "hello-1.27.3", "hello-1.27.3-stripped", "hello-1.27.3-pie")


@cache
def cost(path: Path, *settings: str) -> Measured:
    """What the program at *path* costs in the default World with *settings*."""
    return measure(load(path), load_world(None, settings))


@pytest.mark.parametrize("name", PROGRAMS)
def test_everything_adds_up(name: str, binary: Callable[[str], Path]) -> None:
    """Own costs of the bootstrap functions, and of all functions of the program, are the totals; so are their parts."""
    found = cost(binary(name))
    own = Cost()
    for row in found.functions:
        own += row.own

    assert own == found.totals
    for count in ("instructions", "blocks"):
        assert sum(getattr(share, count) for share in found.program.values()) == getattr(found.totals, count)
    for row in found.functions:
        assert sum(share.instructions for share in row.parts.values()) == row.own.instructions
        assert sum(share.blocks for share in row.parts.values()) == row.own.blocks
        assert sum(row.syscalls.values()) == row.own.syscalls
        assert all(getattr(row.own, metric) <= getattr(row.total, metric) for metric in METRICS)
    assert sum(found.syscalls.values()) == found.totals.syscalls


@pytest.mark.parametrize("name", PROGRAMS)
def test_record_of_the_boot_says_the_same(name: str, binary: Callable[[str], Path]) -> None:
    """Instructions, system calls, calls and writes are those of ``rt0 boot``, function by function."""
    path = binary(name)
    found, record = cost(path), booted(path)

    assert found.totals.instructions == record.totals["instructions"]
    assert found.totals.syscalls == len(record.syscalls)
    for row in found.functions:
        calls = record.calls(row.name)
        if row.name != BEFORE:
            assert row.calls == len(calls)
            assert row.own.instructions == sum(call.own for call in calls)
            assert row.own.writes == sum(len(call.writes) for call in calls)
            names = [record.syscalls[index].name for call in calls for index in call.syscalls]
            assert row.syscalls == {call: names.count(call) for call in names}
            outermost = [call for call in calls if row.name not in enclosing(record.functions, call.parent)]
            assert row.total.instructions == sum(call.instructions for call in outermost)


def enclosing(calls: tuple[FunctionCall, ...], parent: int | None) -> set[str]:
    """The names of the calls around one."""
    names = set()
    while parent is not None:
        names.add(calls[parent].name)
        parent = calls[parent].parent
    return names


def test_entry_point_holds_all_of_start_up(binary: Callable[[str], Path]) -> None:
    """What the first function costs with what it calls is the whole; with a C library in front, nearly so."""
    static, pie = cost(binary("hello-1.27.3")), cost(binary("hello-1.27.3-pie"))

    assert static.functions[0].name == "_rt0_amd64_linux"
    assert static.functions[0].total == static.totals
    before, main = pie.functions[0], pie.functions[1]
    assert (before.name, main.name) == (BEFORE, "main")
    assert before.own.instructions + main.total.instructions == pie.totals.instructions


def test_mappings_are_what_the_system_calls_asked_for() -> None:
    """Bytes mapped and reserved, summed up from the record's calls of mmap."""
    sizes: dict[bool, int] = {True: 0, False: 0}
    for call in booted().syscalls:
        if call.name == "mmap" and call.result > 0:
            _, size, protection, *_ = call.arguments
            sizes[protection == 0] += -(-size // 4096) * 4096

    assert (cost(BUNDLED).totals.mapped, cost(BUNDLED).totals.reserved) == (sizes[False], sizes[True])


def test_stripped_twin_costs_the_same(binary: Callable[[str], Path]) -> None:
    """Stripping takes nothing from start-up; the names are another's argv[0], so both get the same."""
    whole, stripped = (cost(binary(f"hello-1.24.11{kind}"), 'argv=["x"]') for kind in ("", "-stripped"))

    assert stripped.totals.instructions == whole.totals.instructions
    assert {row.name: row.own.instructions for row in stripped.functions} == {
        row.name: row.own.instructions for row in whole.functions
    }
    assert stripped.program == whole.program


def test_more_processors_cost_more_where_they_are_made() -> None:
    """A third CPU costs a third P: procresize allocates it, getCPUCount finds its bit, nothing else changes."""
    two, three = cost(BUNDLED), cost(BUNDLED, "cpus=3")
    changed = {row.name for row, other in zip(two.functions, three.functions, strict=True) if row.own != other.own}

    assert changed == {"runtime.procresize", "runtime.allocmcache", "runtime.getCPUCount"}
    assert (two.world_sha256, two.sha256) != (three.world_sha256, three.sha256)


def test_calls_of_a_function_of_the_program() -> None:
    """A call is an execution of the first instruction: three Ps are initialised when three are asked for."""
    found = cost(BUNDLED, "env.GOMAXPROCS=3")

    assert found.program["runtime.procresize"].calls == 1
    assert found.program["runtime.(*p).init"].calls == 3


def test_recording_survives_json() -> None:
    """What is written is read back as it was."""
    found = cost(BUNDLED)

    assert from_json(to_json([found, found])) == [found, found]
    assert to_json(from_json(to_json([found]))) == to_json([found])


def test_program_without_types_counts_no_writes() -> None:
    """Unknown is null, and not nothing."""
    found = measure(untyped(BUNDLED), World())

    assert '"writes":null' in to_json([found])
    assert from_json(to_json([found]))[0] == found
    assert replace(found.totals, writes=0) == replace(cost(BUNDLED).totals, writes=0)


def test_boot_that_does_not_get_there_is_no_measurement() -> None:
    """A throw and a limit say what stopped the program."""
    with pytest.raises(NotReached, match=r"hello did not reach runtime\.mstart: throw: bad system page size"):
        measure(load(BUNDLED), World(page_size=1024))
    with pytest.raises(NotReached, match="limit: more than 1000 instructions"):
        measure(load(BUNDLED), World(limits=Limits(instructions=1000)))


def test_same_recording_everywhere(tmp_path: Path) -> None:
    """With the accelerator and without, from another folder, as another user's environment has it: the same bytes."""
    files = []
    for accelerated in ("0", "1"):
        folder = tmp_path / accelerated
        folder.mkdir()
        environment = {**os.environ, "RT0_ACCEL": accelerated, "HOME": str(folder), "TZ": "Asia/Tokyo", "LANG": "C"}
        script = "import sys; from emu.cli.main import main; sys.exit(main())"
        command = [sys.executable, "-c", script, "bench", "record", str(BUNDLED), "-o", "out.json", "--pprof", "out.pb"]
        root = Path(__file__).resolve().parent.parent.parent
        subprocess.run(
            command, cwd=folder, env=environment | {"PYTHONPATH": str(root)}, check=True, capture_output=True
        )
        files.append([(folder / name).read_bytes() for name in ("out.json", "out.pb")])

    assert files[0] == files[1]
    assert files[0][0].decode() == to_json([cost(BUNDLED)]) + "\n"
