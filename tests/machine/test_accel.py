"""Instruction counts, native and plain: against arithmetic on small programs, against each other on random ones."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
from array import array
from pathlib import Path
from typing import Any

import pytest

from emu.machine import accel
from tests.machine.bare import CODE, DATA, HOLE, PAGE, Bare
from tests.machine.programs import random_program, trace

accel.load()

import unicorn  # noqa: E402 - only after the accelerator
from unicorn import x86_const as x86  # noqa: E402

BOTH = pytest.mark.parametrize("plain", [False, True], ids=["native", "plain"])
ROOT = Path(__file__).parents[2]

# Machine code, and what a processor retires in it, counted by hand; a REP of n > 0 iterations retires n, else 1.
COUNTED = {
    "straight": ("90 90 90", 3),
    "loop of 5": ("b905000000 ffc9 75fc 90", 1 + 5 * 2 + 1),
    "call and return": ("e803000000 90 eb01 c3 90", 5),
    "jump over": ("eb01 cc 90", 2),
    "REP STOS of 0": ("b900000000 f3aa 90", 3),
    "REP STOS of 1": ("b901000000 f3aa 90", 3),
    "REP STOS of 5": ("b905000000 f3aa 90", 7),
    "REP STOS of 5 by ECX": ("48b90500000001000000 67f3aa 90", 7),
    "REP MOVS of 3 twice": ("b903000000 f3a4 b903000000 f3a4", 8),
    "REP STOS that is jumped to, of 0": ("b900000000 eb00 f3aa eb00 f3aa", 5),
    "REP STOS of 2, then straight into one of 0": ("b902000000 f3aa f3aa 90", 1 + 2 + 1 + 1),
    "REPNE SCAS that finds at 2": ("b0ff c64702ff b905000000 f2ae", 3 + 3),
    "REPNE SCAS that does not find": ("b0ff b905000000 f2ae 90", 2 + 5 + 1),
    "REPE CMPS of equals": ("b904000000 f3a6 90", 1 + 4 + 1),
    "1000 straight": ("90" * 1000, 1000),
    "600 long ones": ("48d3d0" * 600, 600),
    "code that overwrites itself ahead": ("eb00 c6050200000090 90 90 cc 90", 6),
}  # fmt: skip


@BOTH
@pytest.mark.parametrize(("code", "expected"), COUNTED.values(), ids=COUNTED)
def test_instructions_are_counted_as_a_processor_retires_them(code: str, expected: int, plain: bool) -> None:
    """The total of a run is what arithmetic says, and the profile adds up to it."""
    text = bytes.fromhex(code)
    bare = Bare(text, plain)
    bare.write("rdi", DATA)
    bare.write("rsi", DATA + 0x800)
    bare.run(CODE, CODE + len(text))

    assert bare.read("rip") == CODE + len(text)
    assert bare.faults == []
    assert bare.total() == expected
    assert sum(n * times for _, n, _, times in bare.counter.profile()) == expected


@BOTH
def test_profile_and_blocks_of_a_loop(plain: bool) -> None:
    """A loop of 5 is one first round with what is before it, four more rounds, and what follows."""
    bare = Bare(bytes.fromhex("b905000000 ffc9 75fc 90"), plain)
    bare.run(CODE, CODE + 10)

    assert sorted(bare.counter.profile()) == [(CODE, 3, 9, 1), (CODE + 5, 2, 4, 4), (CODE + 9, 1, 1, 1)]
    assert bare.counter.blocks() == 6


@BOTH
def test_blocks_end_after_64_instructions(plain: bool) -> None:
    """Straight code is cut every 64 instructions, whatever the engine's own limits are."""
    bare = Bare(b"\x90" * 150, plain)
    bare.run(CODE, CODE + 150)

    assert sorted(bare.counter.profile()) == [(CODE, 64, 64, 1), (CODE + 64, 64, 64, 1), (CODE + 128, 22, 22, 1)]


@BOTH
@pytest.mark.parametrize("limit", [0, 1, 2, 3, 4, 5, 64, 65, 127, 128, 129])
def test_limit_stops_at_the_first_block_start_where_it_is_reached(limit: int, plain: bool) -> None:
    """2 instructions, a jump, then straight code in blocks of 64: stops are at 0, 3, 67, 131."""
    bare = Bare(bytes.fromhex("90 90 eb00") + b"\x90" * 300, plain)
    bare.counter.set_limit(limit)
    bare.run(CODE, CODE + 304)
    starts = {0: CODE, 3: CODE + 4, 67: CODE + 68, 131: CODE + 132}
    stop = min(start for start in starts if start >= limit)

    assert (bare.total(), bare.read("rip")) == (stop, starts[stop])
    assert bare.counter.limit_reached()
    assert (bare.counter.block_pc(), bare.counter.block_size()) == (starts[stop], 0)


@BOTH
def test_run_goes_on_after_a_limit_as_if_it_had_not_stopped(plain: bool) -> None:
    """Stopping at every block start changes neither the total nor the profile."""
    code = bytes.fromhex("b905000000 51 f3aa 59 ffc9 75f8 90")
    whole, stepped = Bare(code, plain), Bare(code, plain)
    for bare in (whole, stepped):
        bare.write("rdi", DATA)
    whole.run(CODE, CODE + len(code))
    while stepped.read("rip") != CODE + len(code):
        stepped.counter.set_limit(stepped.total() + 1)
        stepped.run(stepped.read("rip") or CODE, CODE + len(code))

    assert whole.total() == stepped.total() == 1 + 5 * 4 + (5 + 4 + 3 + 2 + 1) + 1
    assert stepped.read("rcx") == whole.read("rcx") == 0


@BOTH
def test_self_jump_runs_to_its_limit(plain: bool) -> None:
    """A guest that hangs in one instruction stops at exactly the limit."""
    bare = Bare(bytes.fromhex("ebfe"), plain)
    bare.counter.set_limit(12_345)
    bare.run(CODE, CODE + 2)

    assert (bare.total(), bare.read("rip")) == (12_345, CODE)


@BOTH
def test_fault_in_the_middle_of_a_block_counts_only_what_retired(plain: bool) -> None:
    """A store to an absent page is retried; two instructions came before it, two after."""
    code = bytes.fromhex("90 90 48890425") + HOLE.to_bytes(4, "little") + b"\x90\x90"
    bare = Bare(code, plain)
    bare.run(CODE, CODE + len(code))

    assert bare.faults == [(14, CODE + 2)]
    assert bare.counts_at_faults == [2]
    assert bare.total() == 5
    assert sorted(bare.counter.profile()) == [(CODE, 2, 2, 1), (CODE + 2, 3, 10, 1)]


@BOTH
def test_flags_survive_a_fault(plain: bool) -> None:
    """A carry set before a faulting store is there after the retry: counting must not disturb the guest."""
    code = bytes.fromhex("31c0 83e801 48890425") + HOLE.to_bytes(4, "little") + bytes.fromhex("0f92c3 90")
    bare = Bare(code, plain)
    bare.run(CODE, CODE + len(code))

    assert bare.faults == [(14, CODE + 5)]
    assert bare.read("rbx") & 0xFF == 1


@BOTH
def test_fault_in_the_middle_of_a_repeated_instruction(plain: bool) -> None:
    """REP STOSB of 5 that crosses into two absent pages counts 5 iterations."""
    bare = Bare(bytes.fromhex("b905000000 f3aa 90"), plain)
    bare.write("rdi", HOLE + PAGE - 2)
    bare.run(CODE, CODE + 8)

    assert bare.faults == [(14, CODE + 5), (14, CODE + 5)]
    assert bare.counts_at_faults == [1, 3]
    assert bare.total() == 7


@BOTH
@pytest.mark.parametrize("code", ["90 0f0b 90 90", "90 f7f1 90 90"], ids=["UD2", "DIV"])
def test_fatal_fault_is_not_counted(code: str, plain: bool) -> None:
    """An instruction that faults does not retire, whether the engine reports an error or an interrupt."""
    bare = Bare(bytes.fromhex(code), plain)
    with contextlib.suppress(unicorn.UcError):  # for UD2
        bare.run(CODE, CODE + 5)
    bare.counter.settle()

    assert (bare.total(), bare.read("rip")) == (1, CODE + 1)


@BOTH
def test_stop_in_a_code_hook_leaves_the_block_there(plain: bool) -> None:
    """uc_emu_stop in a hook of the third instruction: two ran; the rest runs afterwards."""
    bare = Bare(b"\x90" * 6, plain)
    bare.uc.hook_add(unicorn.UC_HOOK_CODE, lambda uc, *_: uc.emu_stop(), begin=CODE + 2, end=CODE + 2)
    bare.run(CODE, CODE + 6)
    assert (bare.total(), bare.read("rip")) == (2, CODE + 2)

    bare.uc.ctl_remove_cache(CODE, CODE + 6)
    bare.run(CODE + 3, CODE + 6)
    assert bare.total() == 5
    assert sorted(bare.counter.profile()) == [(CODE, 2, 2, 1), (CODE + 3, 3, 3, 1)]


@BOTH
def test_requested_stop_takes_effect_at_the_next_block(plain: bool) -> None:
    """request_stop in the middle of a block lets it end."""
    bare = Bare(bytes.fromhex("90 90 90 eb00 90 90"), plain)
    bare.uc.hook_add(unicorn.UC_HOOK_CODE, lambda *_: bare.counter.request_stop(), begin=CODE + 1, end=CODE + 1)
    bare.run(CODE, CODE + 7)
    assert (bare.total(), bare.read("rip")) == (4, CODE + 5)

    bare.run(CODE + 5, CODE + 7)
    assert bare.total() == 6


@BOTH
def test_stop_in_a_syscall_hook_counts_the_syscall(plain: bool) -> None:
    """uc_emu_stop in a SYSCALL hook: the instruction is done; what was counted before it is exact within the hook."""
    bare = Bare(bytes.fromhex("90 90 0f05 90"), plain)
    seen: list[tuple[int, int]] = []

    def hook(uc: Any, _: Any) -> None:
        seen.append((bare.counter.instructions(), bare.counter.instructions_at(CODE + 2)))
        bare.counter.request_stop()
        uc.emu_stop()

    bare.uc.hook_add(unicorn.UC_HOOK_INSN, hook, None, 1, 0, x86.UC_X86_INS_SYSCALL)
    bare.run(CODE, CODE + 5)
    assert seen == [(0, 2)]
    assert (bare.total(), bare.read("rip")) == (3, CODE + 4)

    bare.run(CODE + 4, CODE + 5)
    assert bare.total() == 4


@BOTH
def test_written_rip_in_an_interrupt_hook_does_not_disturb_a_later_stop(plain: bool) -> None:
    """The engine would otherwise not restore RIP at a stop that follows; measured on 2.1.4."""
    code = bytes.fromhex("f7f1 b903000000 ffc9 75fc 90 90")
    bare = Bare(code, plain)
    bare.resume = lambda _vector, rip: rip + 2
    bare.counter.set_limit(4)
    bare.run(CODE, CODE + len(code))

    assert (bare.read("rip"), bare.read("rcx"), bare.total()) == (CODE + 7, 1, 5)


@BOTH
def test_block_hook_comes_before_its_block_is_counted(plain: bool) -> None:
    """Within a UC_HOOK_BLOCK hook the totals are those of everything before its block."""
    bare = Bare(bytes.fromhex("90 90 eb00 90 eb00 90"), plain)
    seen: list[tuple[int, int]] = []
    bare.uc.hook_add(unicorn.UC_HOOK_BLOCK, lambda _uc, pc, _size, _data: seen.append((pc, bare.total())))
    bare.run(CODE, CODE + 8)

    assert seen == [(CODE, 0), (CODE + 4, 3), (CODE + 7, 5)]


@BOTH
def test_instructions_at_knows_each_instruction_of_the_block_only(plain: bool) -> None:
    """A hook in the middle of a block gets an exact count; an address outside is an error."""
    bare = Bare(bytes.fromhex("4831c0 90 eb00 0fa2 90 90"), plain)
    seen: list[int] = []
    errors: list[str] = []

    def hook(*_: Any) -> int:
        seen.extend((bare.counter.instructions_at(CODE + 6), bare.counter.instructions_at(CODE + 8)))
        with pytest.raises(ValueError, match=f"starts at {CODE + 7:#x}") as caught:
            bare.counter.instructions_at(CODE + 7)
        errors.append(str(caught.value))
        return 1

    bare.uc.hook_add(unicorn.UC_HOOK_INSN, hook, None, 1, 0, x86.UC_X86_INS_CPUID)
    bare.run(CODE, CODE + 10)

    assert seen == [3, 4]
    assert len(errors) == 1


@BOTH
def test_retranslated_code_goes_on_counting(plain: bool) -> None:
    """Dropping all translations between two runs changes nothing; the profile has each block once."""
    bare = Bare(bytes.fromhex("b903000000 ffc9 75fc 90"), plain)
    for _ in range(3):
        bare.run(CODE, CODE + 10)
        bare.uc.ctl_flush_tb()

    assert bare.total() == 3 * (1 + 3 * 2 + 1)
    assert sorted(bare.counter.profile()) == [(CODE, 3, 9, 3), (CODE + 5, 2, 4, 6), (CODE + 9, 1, 1, 3)]


@BOTH
def test_reset_starts_from_zero(plain: bool) -> None:
    """After reset there is no count, no profile and no limit."""
    bare = Bare(b"\x90" * 4, plain)
    bare.counter.set_limit(0)
    bare.run(CODE, CODE + 4)
    bare.counter.reset()
    assert (bare.total(), bare.counter.profile(), bare.counter.blocks()) == (0, [], 0)

    bare.run(CODE, CODE + 4)
    assert bare.total() == 4


def test_engines_are_counted_apart() -> None:
    """Two counted engines and one that is not, in turns, do not disturb each other."""
    first, second = Bare(b"\x90" * 5), Bare(b"\x90" * 5)
    uncounted = Bare(b"\x90" * 5, plain=True)
    for bare, end in ((first, 2), (second, 5), (uncounted, 4), (first, 5)):
        bare.run(CODE, CODE + end)

    assert (first.total(), second.total(), uncounted.total()) == (7, 5, 4)


@pytest.mark.parametrize("step", [None, 1, 7, 100])
@pytest.mark.parametrize("seed", range(8))
def test_both_count_random_programs_alike(seed: int, step: int | None) -> None:
    """Stops, registers there, totals, blocks, profiles and counts at faults are the same."""
    code = random_program(seed)

    assert list(trace(code, False, step)) == list(trace(code, True, step))


def child(script: str, **environment: str) -> str:
    """What a fresh Python prints that runs *script*."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


ASK = "from emu.machine import accel; print(accel.load(), accel.reason())"


def test_environment_variable_turns_it_off() -> None:
    """RT0_ACCEL=0 is obeyed and named as the reason; the default is on."""
    assert child(ASK, RT0_ACCEL="0") == "False switched off by RT0_ACCEL=0"
    assert child(ASK, RT0_ACCEL="1") == "True"


def test_it_refuses_when_the_engine_was_there_first() -> None:
    """Loaded after libunicorn it could not stand in for its functions."""
    assert child("import unicorn; " + ASK) == "False unicorn was imported before it"


def test_check_finds_that_nothing_was_interposed() -> None:
    """A module that was loaded without RTLD_GLOBAL is found out by the check, and the engine works as before."""
    script = (
        "import emu.machine._accel, unicorn\n"
        "from unicorn.unicorn_py3.unicorn import uclib\n"
        "print(emu.machine._accel.attach(uclib._handle))\n"
        "uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)\n"
        "uc.mem_map(0x1000, 0x1000); uc.mem_write(0x1000, bytes(2 * [0x90])); uc.emu_start(0x1000, 0x1002)\n"
        "print(hex(uc.reg_read(unicorn.x86_const.UC_X86_REG_RIP)))\n"
        "try: emu.machine._accel.Counter(uc._uch.value)\n"
        "except RuntimeError as error: print(error)"
    )

    assert child(script).splitlines() == [
        "libunicorn calls its own functions directly",
        "0x1002",
        "attach() did not succeed",
    ]


def test_check_counts_wrongly_when_a_function_is_not_interposed() -> None:
    """The check is not an empty one: with another library's cpu_loop_exit in front, faults are miscounted and seen."""
    script = (
        "import ctypes, os, sys, tempfile, subprocess\n"
        "code = '#include <stddef.h>\\n#include <dlfcn.h>\\nvoid cpu_loop_exit_x86_64(void *cpu) {'\\\n"
        "    'void *h = dlopen(\"libunicorn.so.2\", RTLD_NOW | RTLD_NOLOAD);'\\\n"
        "    '((void (*)(void *))dlsym(h, \"cpu_loop_exit_x86_64\"))(cpu); }'\n"
        "path = tempfile.mkdtemp() + '/front.so'\n"
        "subprocess.run(['cc', '-shared', '-fPIC', '-xc', '-', '-o', path, '-ldl'], input=code.encode(), check=True)\n"
        "ctypes.CDLL(path, ctypes.RTLD_GLOBAL)\n" + ASK
    )

    assert child(script).startswith("False a ")


def test_registers_are_read_and_written_raw() -> None:
    """Values come back unsigned and as stored."""
    bare = Bare(b"\x90")
    native = accel.native()
    assert native is not None
    handle = bare.uc._uch.value
    native.write_registers(handle, (x86.UC_X86_REG_RAX, x86.UC_X86_REG_FS_BASE), 2**64 - 1, 0x7000)

    ids = (x86.UC_X86_REG_RAX, x86.UC_X86_REG_FS_BASE, x86.UC_X86_REG_CS)
    assert native.read_registers(handle, ids) == (2**64 - 1, 0x7000, bare.read("cs"))
    with pytest.raises(ValueError, match="up to 64 ids"):
        native.read_registers(handle, (1,) * 65)


class Without:
    """The module's state as it is where there is no native part."""

    native = None
    reason = "for a test"


@pytest.fixture(params=["native", "python"])
def _host_loops(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "python":
        monkeypatch.setattr(accel, "_State", Without)
    else:
        assert accel.load()


@pytest.mark.usefixtures("_host_loops")
def test_dirty_pages_are_those_with_bit_6() -> None:
    """Only D counts; clearing takes D away and nothing else."""
    entries = (ctypes.c_uint64 * 6)(0x1067, 0x2027, 0, 0x40, 0xFFFF_FFFF_FFFF_FFBF, 0x8000_0000_0000_5063)
    at = ctypes.addressof(entries)

    assert array("I", accel.dirty_pages(at, 6)).tolist() == [0, 3, 5]
    assert entries[0] == 0x1067
    assert array("I", accel.dirty_pages(at, 4, clear=True)).tolist() == [0, 3]
    assert entries[:] == [0x1027, 0x2027, 0, 0, 0xFFFF_FFFF_FFFF_FFBF, 0x8000_0000_0000_5063]
    assert accel.dirty_pages(at, 0) == b""


@pytest.mark.usefixtures("_host_loops")
def test_copy_pages_copies_those_named() -> None:
    """Pages 0 and 2 are copied, page 1 stays."""
    source = ctypes.create_string_buffer(b"".join(bytes([n]) * PAGE for n in (1, 2, 3)), 3 * PAGE)
    target = ctypes.create_string_buffer(3 * PAGE)
    accel.copy_pages(ctypes.addressof(target), ctypes.addressof(source), array("I", [2, 0]).tobytes())

    assert target.raw == bytes([1]) * PAGE + bytes(PAGE) + bytes([3]) * PAGE


@pytest.mark.usefixtures("_host_loops")
@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ([], []),
        ([0], [(0, 8)]),
        ([7, 8], [(0, 16)]),
        ([16, 248, 256, 264], [(16, 8), (248, 24)]),
        ([4088, 4096, 8184], [(4088, 16), (8184, 8)]),
    ],
)
def test_differences_are_runs_of_words(changed: list[int], expected: list[tuple[int, int]]) -> None:
    """A changed byte makes its word differ; adjacent words are one run, across lines and pages."""
    ours, theirs = ctypes.create_string_buffer(8192), ctypes.create_string_buffer(8192)
    for at in changed:
        ours[at] = b"x"

    entries = (ctypes.c_uint64 * 2)(1 << 6, 1 << 6)

    found = accel.dirty_differences(ctypes.addressof(entries), 2, ctypes.addressof(ours), ctypes.addressof(theirs))

    assert found == expected


@pytest.mark.usefixtures("_host_loops")
def test_differences_are_looked_for_in_dirty_pages() -> None:
    """Pages without D are as they were, and their words are not compared."""
    ours, theirs = ctypes.create_string_buffer(b"x" * 3 * PAGE), ctypes.create_string_buffer(3 * PAGE + 1)
    entries = (ctypes.c_uint64 * 3)(0, 1 << 6, 1)

    found = accel.dirty_differences(ctypes.addressof(entries), 3, ctypes.addressof(ours), ctypes.addressof(theirs))

    assert found == [(PAGE, PAGE)]
