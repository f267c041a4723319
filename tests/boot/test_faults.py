"""Guests that fault, loop or leave: each end has its kind, its words, its place, the same with either engine.

The kernel of this machine is the judge of the signals: it runs the same files.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from emu.cli.main import main
from fixtures import store
from tests.boot.guests import ANYWHERE, LIMIT, codes, entry_of, global_addr, patched, place
from tests.booted import booted, number, value

SEGV, ILL, TRAP, FPE = 11, 4, 5, 8
START = place() + 1  # behind the nop
AFTER_MOV = START + 10
STACK_LOW = 0x7FFF_FFFF_F000 - (8 << 20)  # the top less the limit of the World


def fault(addr: int) -> str:
    return f"SIGSEGV: page fault at address {addr:#x}"


GP = "SIGSEGV: general protection fault"
INSTRUCTION = "the engine cannot execute the instruction "
TRAPS = "more than 500 system calls, page faults, CPUIDs and RDTSCs"
SIGNALS = {  # name: (signal, message, pc)
    "wild jump": (SEGV, fault(ANYWHERE), ANYWHERE),
    "null call": (SEGV, fault(0), 0),
    "read of null": (SEGV, fault(0), START + 2),
    "store to code": (SEGV, fault(place()), AFTER_MOV),
    "store to the kernel": (SEGV, fault(0xFFFF_8000_0000_0000), AFTER_MOV),
    "data is executed": (SEGV, fault(global_addr("runtime.sched")), global_addr("runtime.sched")),
    "ud2": (ILL, "SIGILL: invalid opcode", START),
    "hlt": (SEGV, GP, START),
    "cli": (SEGV, GP, START),
    "in": (SEGV, GP, START + 1),
    "outsb": (SEGV, GP, START + 3),
    "jump out of the address space": (SEGV, GP, AFTER_MOV),
    "store out of the address space": (SEGV, GP, AFTER_MOV),
    "mov cr3": (SEGV, GP, START),
    "wrmsr": (SEGV, GP, START),
    "division by zero": (FPE, "SIGFPE: divide error", START + 2),
    "division overflow": (FPE, "SIGFPE: divide error", START + 10),
    "int3": (TRAP, "SIGTRAP: breakpoint", START + 1),  # a trap: the next instruction (Intel SDM vol. 3, 6.5)
    "endless stack": (SEGV, fault(STACK_LOW - 8), START),
    "loop through osinit": (SEGV, fault(STACK_LOW - 8), START),
    "lost stack": (SEGV, fault(0), START + 13),
    "jump to a function without a stack": (SEGV, None, None),
    "stack is executed": (SEGV, None, None),
}
OTHERS = {  # name: (kind, message, at, pc)
    "int 0x80": ("unsupported", f"interrupt 0x80 at {START + 2:#x}", None, START + 2),
    "avx": ("unsupported", f"{INSTRUCTION}c5fc58c0 at {START:#x}", None, START),
    "avx-512": ("unsupported", None, None, START),
    "loop": ("limit", f"more than {LIMIT} instructions", "instructions", START),
    "loop of calls": ("limit", TRAPS, "traps", START + 7),
    "loop of cpuid": ("limit", TRAPS, "traps", START),
    "loop of rdtsc": ("limit", TRAPS, "traps", START),
    "exit": ("exit", "exit status 7", None, START + 10),
}


def in_a_process(accelerated: bool) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(store.ROOT), "RT0_ACCEL": "1" if accelerated else "0"}
    command = [sys.executable, "-m", "tests.boot.guests"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=store.ROOT, env=environment)
    found: dict[str, Any] = json.loads(run.stdout)
    return found


@pytest.fixture(scope="module")
def ends() -> dict[str, Any]:
    """Every guest's end, with the accelerator where there is one."""
    return in_a_process(accelerated=True)


def test_every_guest_is_expected_to_end_somehow() -> None:
    """No guest is run for nothing."""
    assert SIGNALS.keys() | OTHERS.keys() == codes().keys()


@pytest.mark.parametrize("name", SIGNALS)
def test_a_fatal_signal(ends: dict[str, Any], name: str) -> None:
    """Kind, words with the address, the instruction, and the function that it is in."""
    signal, message, pc = SIGNALS[name]
    end = ends[name]

    assert (end["kind"], end["exit_status"]) == ("signal", 128 + signal)
    if message is not None and pc is not None:
        assert (end["message"], int(end["pc"], 16)) == (message, pc)
        inside = place() <= pc < place() + 64
        assert end["function"] == ("runtime.osinit" if inside else None)


@pytest.mark.parametrize("name", OTHERS)
def test_another_end(ends: dict[str, Any], name: str) -> None:
    """Limits say which, what is not supported says what."""
    kind, message, at, pc = OTHERS[name]
    end = ends[name]

    assert (end["kind"], end["at"], int(end["pc"], 16), end["function"]) == (kind, at, pc, "runtime.osinit")
    if message is not None:
        assert end["message"] == message
    else:
        assert end["message"].startswith(f"{INSTRUCTION}62f17c4858c0")


def test_what_is_behind_a_lost_stack(ends: dict[str, Any]) -> None:
    """A function that is entered without a return address is seen all the same; it dies calling for more stack."""
    end = ends["jump to a function without a stack"]

    assert end["function"] == "runtime.schedinit"
    assert int(end["pc"], 16) > entry_of("runtime.schedinit")
    assert end["message"] == fault(ANYWHERE - 8)
    assert end["functions"] == ends["wild jump"]["functions"] + 1


def test_limits_are_exact(ends: dict[str, Any]) -> None:
    """A loop of one instruction stops at the very number; one of calls after as many as are allowed."""
    assert ends["loop"]["totals"]["instructions"] == LIMIT
    cpuid_before = 2  # in rt0_go
    assert ends["loop of calls"]["totals"]["syscalls"] == 500 - cpuid_before


def test_observation_ends_after_ten_thousand_calls(ends: dict[str, Any]) -> None:
    """A program that runs through a bootstrap function for ever is watched for a while, and counted to its end."""
    end = ends["loop through osinit"]

    assert end["functions"] == 10_000
    assert end["notes"] == ["only the first 10000 calls of bootstrap functions were observed"]
    assert end["totals"] == ends["endless stack"]["totals"]  # a call pushes eight bytes as well


def test_either_engine_comes_to_the_same_ends(ends: dict[str, Any]) -> None:
    """Without the accelerator: the same words, places and counts."""
    assert in_a_process(accelerated=False) == ends


@pytest.mark.parametrize("name", [*SIGNALS, "exit"])
def test_the_kernel_of_this_machine_agrees(tmp_path: Path, name: str) -> None:
    """It sends the same signal to the same file."""
    path = tmp_path / "guest"
    path.write_bytes(bytes(patched(codes()[name]).data))
    path.chmod(0o755)

    run = subprocess.run([path], capture_output=True, check=False, timeout=60)

    assert run.returncode == (7 if name == "exit" else -SIGNALS[name][0])


@pytest.mark.parametrize(
    ("name", "status", "word"),
    [("wild jump", 4, "SIGSEGV"), ("ud2", 4, "SIGILL"), ("avx", 5, "c5fc58c0"), ("exit", 3, "exit status 7")],
)
def test_the_exit_status_of_the_command(
    tmp_path: Path, name: str, status: int, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """4 for a signal, 5 for what cannot be done, 3 for a guest that leaves; the screen says why."""
    path = tmp_path / "guest"
    path.write_bytes(bytes(patched(codes()[name]).data))

    assert main(["boot", str(path)]) == status
    screen = capsys.readouterr()
    assert word in screen.out
    assert screen.err == ""


# Limits of the World


@pytest.mark.parametrize("limit", [1, 1000, 100_000])
def test_a_limit_of_instructions(limit: int) -> None:
    """The run ends at the first block that begins with so many or more executed: never short of it, hardly after it."""
    record = booted(None, f"limits.instructions={limit}")

    assert (record.outcome["kind"], record.outcome["at"]) == ("limit", "instructions")
    assert limit <= record.totals["instructions"] < limit + 64


def test_a_limit_of_virtual_time() -> None:
    """At 500 ps an instruction, 50 us are 100,000 instructions; the lower of two limits holds."""
    record = booted(None, "limits.virtual-ns=50_000")
    both = booted(None, "limits.virtual-ns=50_000", "limits.instructions=20_000")

    assert record.outcome["message"] == "more than 50 us of virtual time"
    assert 100_000 <= record.totals["instructions"] < 100_064
    assert both.outcome["message"] == "more than 20000 instructions"


def test_a_limit_of_traps() -> None:
    """The boot makes 62 system calls and some CPUIDs; with room for 20 it ends in the middle."""
    record = booted(None, "limits.traps=20")

    assert (record.outcome["kind"], record.outcome["at"]) == ("limit", "traps")
    assert 0 < record.totals["syscalls"] < 20


@pytest.mark.parametrize("size", ["2MiB", "4MiB", "8MiB"])
def test_little_memory_ends_in_gos_own_words(size: str) -> None:
    """When no frame is left mmap fails with ENOMEM, and Go throws."""
    record = booted(None, f"memory.limit={size}")

    assert record.outcome["kind"] == "throw"
    assert record.outcome["message"] in ("runtime: cannot allocate memory", "runtime: out of memory")
    assert any(call.errno == "ENOMEM" for call in record.syscalls)


def test_memory_that_cannot_hold_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    """That is no boot at all: bad input, in one line that names the key."""
    assert main(["boot", "--set", "memory.limit=1MiB"]) == 2
    assert capsys.readouterr().err == (
        "rt0: memory.limit: the program does not even fit into 1048576 bytes; allowed: more\n"
    )


def test_a_limited_address_space() -> None:
    """RLIMIT_AS below what Go reserves for its page summaries: its own throw; above, it starts."""
    small, large = booted(None, "rlimits.as=100MiB:100MiB"), booted(None, "rlimits.as=2GiB:2GiB")

    assert (small.outcome["kind"], small.outcome["message"]) == ("throw", "failed to reserve page summary memory")
    assert large.outcome["kind"] == "reached"


def test_ten_times_the_usual_processors_still_boot() -> None:
    """GOMAXPROCS=12,000: views show the first 8,192 Ps, observation ends after 10,000 calls, the values are right."""
    record = booted(None, "env.GOMAXPROCS=12000")

    assert record.outcome["kind"] == "reached"
    assert number(record, "gomaxprocs") == 12_000
    assert value(record, "allp") == record.views["runtime.allp"]
    assert len(record.views["runtime.allp"]) == 8192
    assert len(record.functions) == 10_000
