"""The native stepper, against programs whose counts, calls and answers are known without it."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from emu.compare.native.process import NativeUnavailable, Process, ProgramEnded
from emu.compare.native.stepper import CPUID, SYSCALL, Stepper, TooLong
from tests.oracle import gdbvalues
from tests.oracle.symbols import functions, mstart, symbols

Paths = Callable[..., Path]
CPU = min(os.sched_getaffinity(0))
AT_RANDOM, AT_SYSINFO_EHDR = 25, 33


@pytest.fixture(scope="module")
def steps(native: Paths) -> Path:
    """The program whose instructions were counted by hand."""
    return native("steps")


def test_instructions_are_counted_as_by_hand(steps: Path) -> None:
    """Each function's own count and the total are those of the listing, a rep by its iterations (at least one)."""
    with Process(steps) as process:
        trace = Stepper(process, functions(steps)).step_to(symbols(steps)["stop"])

    assert trace.own == {"_start": 6, "looping": 12, "outer": 2, "inner": 2, "strings": 10, "asking": 5}
    assert trace.steps == 37


def test_calls_nest_and_include_their_callees(steps: Path) -> None:
    """Calls come in order of entry with depth, caller and the inclusive count; the one still running has none."""
    with Process(steps) as process:
        trace = Stepper(process, functions(steps)).step_to(symbols(steps)["stop"])

    assert [(call.name, call.depth, call.caller, call.step, call.steps) for call in trace.calls] == [
        ("_start", 0, None, 0, None),
        ("looping", 1, "_start", 2, 12),
        ("outer", 1, "_start", 15, 4),
        ("inner", 2, "outer", 16, 2),
        ("strings", 1, "_start", 20, 10),
        ("asking", 1, "_start", 31, 5),
    ]


def test_only_watched_functions_are_calls(steps: Path) -> None:
    """Watching two leaves the counts alone and lists those two."""
    with Process(steps) as process:
        trace = Stepper(process, functions(steps), watch={"outer", "strings"}).step_to(symbols(steps)["stop"])

    assert [(call.name, call.depth, call.caller) for call in trace.calls] == [("outer", 0, None), ("strings", 0, None)]
    assert trace.own["inner"] == 2


def test_what_the_program_asks_is_noted(steps: Path) -> None:
    """The system call and the CPUID show their inputs and answers: getpid is the process's, leaf 0 names the vendor."""
    with Process(steps) as process:
        trace = Stepper(process, functions(steps)).step_to(symbols(steps)["stop"])
        pid = process.pid
    (call,) = trace.syscalls
    (query,) = trace.queries
    _, ebx, ecx, edx = query.results

    assert (call.nr, call.result, call.function, call.step) == (39, pid, "asking", 34)
    assert (query.instruction, query.inputs, query.function, query.step) == (CPUID, (0, 0), "asking", 32)
    vendor = struct.pack("<III", ebx, edx, ecx).decode()
    assert f"vendor_id\t: {vendor}\n" in Path("/proc/cpuinfo").read_text()


def test_answers_can_be_given(steps: Path) -> None:
    """A caller's answers replace the processor's and the kernel's, and count as the same number of instructions."""

    def answer(instruction: str, process: Process) -> bool:
        process.registers.rax = {CPUID: 0xABCD, SYSCALL: 4711}[instruction]
        return True

    with Process(steps) as process:
        trace = Stepper(process, functions(steps), answer=answer).step_to(symbols(steps)["stop"])

    assert trace.steps == 37
    assert trace.queries[0].results[0] == 0xABCD
    assert trace.syscalls[0].result == 4711


def test_end_before_the_stop_is_told(steps: Path) -> None:
    """A program that exits instead says with which status; what was seen until then stays readable."""
    with Process(steps) as process:
        stepper = Stepper(process, functions(steps))
        with pytest.raises(ProgramEnded, match="exit status 7") as caught:
            stepper.step_to(0)

    assert caught.value.ended.status == 7
    assert stepper.trace.own["looping"] == 12


def test_limit_ends_a_long_run(steps: Path) -> None:
    """The limit is exact."""
    with Process(steps) as process:
        stepper = Stepper(process, functions(steps))
        with pytest.raises(TooLong, match="36 instructions"):
            stepper.step_to(symbols(steps)["stop"], limit=36)

    assert stepper.trace.steps == 36


def test_killed_program_is_told_by_its_signal(steps: Path) -> None:
    """A program that jumps to nothing ends by the signal, not by an exit status."""
    with Process(steps) as process:
        process.registers.rip = 0x10
        process.set_registers()
        with pytest.raises(ProgramEnded, match="SIGSEGV"):
            process.run_to(symbols(steps)["stop"])


def test_program_that_traps_by_itself_is_told_too(steps: Path) -> None:
    """INT3, which Go's runtime.abort executes: the step's own SIGTRAP must not hide the program's."""
    with Process(steps) as process:
        process.write(symbols(steps)["asking"], b"\xcc")
        with pytest.raises(ProgramEnded, match="SIGTRAP"):
            Stepper(process, functions(steps)).step_to(symbols(steps)["stop"])


def test_run_to_leaves_the_program_as_it_was(steps: Path) -> None:
    """Running at full speed to an address and stepping on gives what stepping alone gives, and no breakpoint stays."""
    found = symbols(steps)
    with Process(steps) as process:
        process.run_to(found["strings"])
        assert process.read(found["strings"], 1) == b"\x48"  # lea with REX.W
        trace = Stepper(process, functions(steps)).step_to(found["stop"])

    assert trace.own == {"_start": 2, "strings": 10, "asking": 5}


def test_program_that_cannot_start_is_no_verdict(tmp_path: Path) -> None:
    """A file that the kernel does not execute makes the judge unavailable, with the kernel's reason."""
    (tmp_path / "text").write_text("no program\n")
    (tmp_path / "text").chmod(0o755)

    with pytest.raises(NativeUnavailable, match="Exec format error"):
        Process(tmp_path / "text")


def test_go_program_reaches_mstart_in_order(binary: Paths) -> None:
    """The bootstrap of Go 1.27: rt0_go calls check, args, osinit, schedinit, newproc; asm_amd64.s."""
    path = binary("hello-1.27.3")
    names = {f"runtime.{name}" for name in ("rt0_go.abi0", "check", "args", "osinit", "schedinit", "newproc")}
    with Process(path, argv=["hello"], env={"A": "1"}, cpus={CPU}) as process:
        trace = Stepper(process, functions(path), watch=names).step_to(mstart(path))
        n_cpus = int.from_bytes(process.read(symbols(path)["runtime.numCPUStartup"], 4), "little")

    assert [call.name.removeprefix("runtime.") for call in trace.calls] == [
        *("rt0_go.abi0", "check", "args", "osinit", "schedinit", "newproc")
    ]
    assert {call.depth for call in trace.calls[1:]} == {1}
    assert n_cpus == 1
    assert sum(trace.own.values()) == trace.steps
    assert sum(call.steps or 0 for call in trace.calls) < trace.steps
    assert [call.nr for call in trace.syscalls[:2]] == [158, 204]  # arch_prctl, sched_getaffinity


def test_entropy_and_vdso_can_be_imposed(binary: Paths) -> None:
    """The program reads the 16 random bytes that were written, and finds no vDSO when its entry was taken away."""
    path = binary("hello-1.24.11")
    found = symbols(path)
    with Process(path, cpus={CPU}) as process:
        random = bytes(range(1, 17))
        process.write(process.auxv()[AT_RANDOM], random)
        process.patch_auxv({AT_SYSINFO_EHDR: None})
        process.run_to(found["runtime.osinit"])
        pointer, size = struct.unpack("<QQ", process.read(found["runtime.startupRand"], 16))
        seen = process.read(pointer, size)
        clock = process.read(found["runtime.vdsoClockgettimeSym"], 8)

    assert seen == random
    assert clock == bytes(8)


def test_stepper_and_gdb_see_the_same_memory(binary: Paths) -> None:
    """Two judges that share no code agree: the same globals' bytes at mstart, where nothing random is in them."""
    path = binary("hello-1.24.11")
    found = symbols(path)
    spans = [
        (found[name], size)
        for name, size in (("runtime.class_to_size", 136), ("runtime.debug", 120), ("runtime.argc", 4))
    ]
    with Process(path, env={"GODEBUG": "gctrace=1"}, cpus={CPU}) as process:
        process.run_to(mstart(path))
        stepped = [process.read(*span) for span in spans]

    assert gdbvalues.view(path, env={"GODEBUG": "gctrace=1"}, cpus={CPU}, memory=spans).memory == stepped


def test_position_independent_program_is_found_by_its_bias(binary: Paths) -> None:
    """A static PIE is loaded where Linux puts it without randomisation, and run to its own mstart."""
    path = binary("hello-1.27.3-pie")
    with Process(path, cpus={CPU}) as process:
        bias = process.bias()
        process.run_to(mstart(path) + bias)
        n_cpus = int.from_bytes(process.read(symbols(path)["runtime.numCPUStartup"] + bias, 4), "little")

    assert bias % 4096 == 0
    assert bias > 1 << 40
    assert n_cpus == 1
