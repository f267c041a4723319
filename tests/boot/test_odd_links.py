"""Programs that were linked in less common ways: for newer CPUs, with a C library, huge, packed, with whole paths."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from emu.cli.main import main
from emu.image import load
from emu.image.elf import PT_LOAD, parse
from fixtures import store
from syscalls.cpuid import EXECUTABLE
from tests.booted import booted
from tests.image.samples import patched, with_program

PT_GNU_STACK = 0x6474E551
LEVEL = "This program can only be run on AMD64 processors with {} microarchitecture support."
HUGE = 100 << 20  # bytes

Paths = Callable[[str], Path]


# GOAMD64


def test_a_program_for_newer_cpus_says_why_it_leaves(binary: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    """v3 asks for AVX2, which the engine has not: the binary's own message is the outcome, and the screen's."""
    outcome = booted(binary("hello-1.27.3-v3")).outcome

    assert (outcome["kind"], outcome["exit_status"]) == ("exit", 1)
    assert outcome["message"] == f"exit status 1: {LEVEL.format('v3')}"
    assert main(["boot", str(binary("hello-1.27.3-v3"))]) == 3
    assert LEVEL.format("v3") in " ".join(capsys.readouterr().out.split())  # as a narrow screen breaks it


def test_the_refusal_is_what_a_real_machine_says(binary: Paths) -> None:
    """Native: the message where the CPU lacks something, else the program's work."""
    done = subprocess.run([binary("hello-1.27.3-v3")], capture_output=True, text=True, check=False)

    refused = (1, booted(binary("hello-1.27.3-v3")).output)
    assert (done.returncode, done.stdout + done.stderr) in (refused, (0, "test\n"))


def test_a_program_for_the_second_level_boots(binary: Paths) -> None:
    """v2 asks for SSE4.2 and its like, which Worlds have unless they say otherwise."""
    path = binary("hello-1.27.3-v2")
    without = ", ".join(f'"{name}"' for name in EXECUTABLE if name != "sse4_2")

    assert booted(path).outcome["at"] == "runtime.mstart"
    lacking = booted(path, f"cpuid.features=[{without}]")
    assert lacking.outcome["message"] == f"exit status 1: {LEVEL.format('v2')}"
    assert "runtime.check" not in {call.name for call in lacking.functions}  # what rt0_go calls next


# With a C library


@pytest.mark.parametrize("name", ["hello-1.21.13-cgo", "hello-1.27.3-cgo"])
def test_the_c_library_sets_up_what_go_would(binary: Paths, name: str) -> None:
    """TLS is C's: one arch_prctl, before Go begins, and no settls; _cgo_init finds g0's stack (runtime/cgo, 8 MiB)."""
    image, record = load(binary(name)), booted(binary(name))
    (tls,) = [call for call in record.syscalls if call.name == "arch_prctl"]

    assert image.symbol("_cgo_init") is not None
    assert image.kind == "exec"
    assert record.functions[0].name == "main"
    assert tls.after_call == -1
    assert "runtime.settls" not in {call.name for call in record.functions}
    # The runtime alone would take 64 KiB of the kernel's stack (asm_amd64.s, rt0_go).
    stack = record.globals["runtime.g0.stack.hi"] - record.globals["runtime.g0.stack.lo"]
    assert 4 << 20 < stack <= 8 << 20
    alone = booted(binary(name.removesuffix("-cgo"))).globals
    assert alone["runtime.g0.stack.hi"] - alone["runtime.g0.stack.lo"] == 65536


@pytest.mark.parametrize("release", ["1.21.13", "1.27.3"])
def test_with_and_without_c_the_same_is_computed(binary: Paths, release: str) -> None:
    """What the World says is where the release keeps it, whoever linked."""
    plain, cgo = (booted(binary(f"hello-{release}{end}"), "cpus=3", "thp=4096").globals for end in ("", "-cgo"))
    names = ("gomaxprocs", "physPageSize", "physHugePageSize", "argc", "sched.maxmcount", "gcController.heapMinimum")

    for name in (*names, "numCPUStartup" if release == "1.27.3" else "ncpu"):
        assert plain[f"runtime.{name}"] == cgo[f"runtime.{name}"], name


# Paths


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("hello-1.27.3", "runtime/proc.go"),  # -trimpath
        ("esbuild-0.5.0", "/usr/local/go/src/runtime/proc.go"),  # without it
    ],
)
def test_whole_and_trimmed_paths(binary: Paths, name: str, file: str) -> None:
    """The record has the paths as they were linked, and the same functions either way."""
    (schedinit,) = booted(binary(name)).calls("runtime.schedinit")

    assert schedinit.file.endswith(file)
    assert schedinit.line > 0


# Size


def huge(data: bytes) -> bytes:
    """*data* with one more segment, writable, of 100 MiB, in place of the header that asks for a stack.

    So a `//go:embed` into a []byte lies, which is how programs get that large.
    """
    loaded = [header for header in parse(data).programs if header.type == PT_LOAD]
    end = max(header.vaddr + header.memsz for header in loaded) + 0xFFF & -0x1000
    at = len(data) + 0xFFF & -0x1000
    more = {"type": PT_LOAD, "flags": 6, "offset": at, "vaddr": end, "paddr": end, "align": 0x1000}
    content = os.urandom(1 << 20) * (HUGE >> 20)
    return with_program(data, PT_GNU_STACK, filesz=HUGE, memsz=HUGE, **more).ljust(at, b"\0") + content


MEASURE = """\
import json, sys, time
from emu.cli.main import main
start = time.process_time()
status = main(["boot", sys.argv[1], "--json", sys.argv[2], "--quiet"])
used = time.process_time() - start
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM:"))
json.dump([status, used, peak << 10], sys.stdout)
"""


def test_a_hundred_megabytes_boot_in_bounds(binary: Paths, tmp_path: Path) -> None:
    """A program with 100 MiB more: the same boot; its bytes are in memory at most three times.

    As pages of the file, which its hash reads; as the guest's memory; and as what its variables were, to compare with.
    """
    small, path = binary("hello-1.27.3"), tmp_path / "hello-1.27.3"
    path.write_bytes(huge(small.read_bytes()))
    results = []
    for program in (small, path):
        environment = {**os.environ, "RT0_CACHE": "off", "PYTHONPATH": str(store.ROOT)}
        command = [sys.executable, "-c", MEASURE, str(program), str(tmp_path / "record.json")]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        results.append((json.loads(done.stdout), json.loads((tmp_path / "record.json").read_text())))
    ((_, _, least), plain), ((status, cpu, most), record) = results

    assert status == 0
    assert path.stat().st_size > HUGE
    assert [c["instructions"] for c in record["functions"]] == [c["instructions"] for c in plain["functions"]]
    assert most - least < 3 * HUGE + (32 << 20)
    assert cpu < 30  # seconds of CPU time; 1 was measured


# Packed


def test_a_packed_program_is_refused_with_a_sentence(
    binary: Paths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What upx leaves: its own loader, its mark behind the program headers, nothing of Go; one line, exit status 2."""
    data = binary("hello-1.27.3").read_bytes()
    headers = patched(data, 40, "<Q", 0)[: 64 + 56 * parse(data).header.phnum]
    path = tmp_path / "packed"
    path.write_bytes(patched(headers, 60, "<HH", 0, 0) + b"UPX!" + os.urandom(len(data) - len(headers)))

    assert main(["boot", str(path)]) == 2
    assert capsys.readouterr().err == f"rt0: {path}: packed by UPX: unpack it first (upx -d)\n"
