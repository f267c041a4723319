"""Bad input, through the command: one line and exit status 2, or a clean outcome; never a traceback, never a wait."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emu.cli.main import main
from fixtures import store

DEADLINE = 10  # seconds of the CPU that one file may take
# What the default suite tries, and what `make test-damage` does.
THOROUGH = bool(os.environ.get("RT0_TEST_DAMAGE"))
DAMAGES = {"hello-1.27.3": 3000 if THOROUGH else 80, "hello-1.24.11-stripped": 6000 if THOROUGH else 120}
DAMAGES |= {"hello-1.27.3-pie": 1000 if THOROUGH else 25}
BEHIND = 1024 if THOROUGH else 64 << 10

E_CLASS, E_DATA, E_TYPE, E_MACHINE = 4, 5, 16, 18
EM_AARCH64, EM_386 = 183, 3


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """What the command says to *arguments*: exit status 2, one line, nothing on standard output."""
    status = main([str(argument) for argument in arguments])
    screen = capsys.readouterr()
    assert status == 2
    assert screen.out == ""
    assert screen.err.startswith("rt0: ")
    assert screen.err.endswith("\n")
    assert screen.err.count("\n") == 1
    return screen.err.removeprefix("rt0: ").rstrip("\n")


def header_of(data: bytes, **fields: int) -> bytes:
    """*data* with bytes (e_class, ...) or half-words (e_machine, ...) of the ELF header replaced."""
    out = bytearray(data)
    for offset, value in fields.items():
        at = globals()[offset.upper()]
        struct.pack_into("<B" if at < E_TYPE else "<H", out, at, value)
    return bytes(out)


# Files


@pytest.fixture(scope="module")
def hello(binary: Callable[[str], Path]) -> bytes:
    """A program to spoil."""
    return binary("hello-1.21.13").read_bytes()


@pytest.mark.parametrize("command", ["boot", "info"])
def test_what_is_no_file(tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Missing, a folder, a pipe, a device, a name with a line break in it."""
    os.mkfifo(tmp_path / "pipe")
    missing = tmp_path / "missing"

    assert refused(capsys, command, missing) == f"{missing}: no such file or directory"
    assert refused(capsys, command, tmp_path) == f"{tmp_path}: is a directory"
    assert refused(capsys, command, tmp_path / "pipe").endswith("pipe: not a regular file")
    assert refused(capsys, command, "/dev/null") == "/dev/null: not a regular file"
    assert "no such file" in refused(capsys, command, tmp_path / "two\nlines")
    assert "not a directory" in refused(capsys, command, "/dev/null/x")


@pytest.mark.parametrize("command", ["boot", "info"])
def test_what_is_no_program(tmp_path: Path, command: str, hello: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """Empty, noise, text, other machines, other widths, other orders, objects: each is told apart."""
    noise = random.Random(4).randbytes(4096)
    wrong = {
        "empty": (b"", "empty"),
        "noise": (noise, "not an ELF"),
        "text": (b"#!/bin/sh\nexit 0\n", "not an ELF"),
        "half an ident": (hello[:8], ""),
        "32-bit": (header_of(hello, e_class=1, e_machine=EM_386), "32-bit"),
        "big-endian": (header_of(hello, e_data=2), "big"),
        "arm64": (header_of(hello, e_machine=EM_AARCH64), "x86-64"),
        "object": (header_of(hello, e_type=1), ""),
        "core": (header_of(hello, e_type=4), ""),
        "noise behind an ELF ident": (hello[:16] + noise, ""),
    }
    for name, (content, word) in wrong.items():
        path = tmp_path / name
        path.write_bytes(content)
        said = refused(capsys, command, path)
        assert said.startswith(f"{path}: ")
        assert word in said, name


def test_programs_of_this_machine_that_are_not_go(capsys: pytest.CaptureFixture[str]) -> None:
    """/bin/true needs a loader and is no Go program; Python neither."""
    for program in ("/bin/true", sys.executable):
        said = refused(capsys, "boot", program)
        assert said.startswith(f"{program}: not a Go program")


def test_a_go_program_that_needs_a_loader(binary: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    """It is recognised, with its release, and refused for now."""
    said = refused(capsys, "boot", binary("hello-1.27.3-dynamic"))

    assert "needs the loader /lib64/ld-linux-x86-64.so.2" in said
    assert "go1.27.3" in said


def test_a_file_that_may_not_be_read(tmp_path: Path, hello: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """EACCES is a sentence, too; root, who may read everything, becomes somebody else for it."""
    path = tmp_path / "secret"
    path.write_bytes(hello)
    assert main(["boot", str(path), "--quiet"]) == 0  # whatever is imported on the way is readable now
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        said = refused(capsys, "boot", path)
    finally:
        os.seteuid(user)

    assert said == f"{path}: permission denied"


# Worlds and usage


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--set", "cpsu=3"), ("cpsu", "cpus")),
        (("--set", "page-size=large"), ("page-size", "large")),
        (("--set", "page-size=-1"), ("page-size", "-1")),
        (("--set", "page-size=9999999999999"), ("page-size",)),
        (("--set", "memory.limit=1"), ("memory.limit",)),
        (("--set", "cpuid.avx=true"), ("avx",)),
        (("--set", "at-random=00"), ("at-random", "16 bytes")),
        (("--set", "process.closed-fds=3"), ("process.closed-fds",)),
        (("--set", "limits.traps=-1"), ("limits.traps",)),
        (("--set", "vdso=maybe"), ("vdso", "maybe")),
        (("--set", 'responses=[{call="opena",errno="EINTR"}]'), ("opena",)),
        (("--set", 'responses=[{call="read",errno="EWHAT"}]'), ("EWHAT",)),
        (("--set", 'responses=[{call="read",errno="EINTR",when="0"}]'), ("when",)),
        (("--set", "responses=[{"), ("responses",)),
        (("--set", "nothing"), ("nothing",)),
        (("--cpus", "0x0"), ("--cpus", "at least one CPU")),
        (("--cpus", "3-1"), ("--cpus",)),
        (("--cpus", "70000"), ("--cpus", "65536")),
        (("--env", "NOEQUALS"), ("--env", "NAME=VALUE")),
        (("--seed", "x"), ("--seed",)),
        (("--max-instructions", "many"), ("--max-instructions",)),
        (("--until", "runtime.nosuch"), ("--until", "runtime.nosuch")),
        (("--world", "/no/such.toml"), ("--world", "/no/such.toml")),
        (("--world", "/dev/null/x"), ("--world",)),
        (("--world", "/"), ("--world", "regular file")),
        (("--bind", "/no/such:/mnt"), ("--bind",)),
        (("--nosuch",), ("--nosuch",)),
        (("--json", "/no/such/folder/file"), ("/no/such/folder",)),
    ],
)
def test_a_mistake_is_named(
    arguments: tuple[str, ...], words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """A typo, a wrong type, a value out of range, an option that is none: the line names it, and what is allowed."""
    said = refused(capsys, "boot", *arguments)

    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cpsu = 3", ("cpsu", "cpus")),
        ("cpus = 0", ("cpus",)),
        ("page-size = true", ("page-size",)),
        ("[memory]\nlimit = -5", ("memory.limit",)),
        ("[memory]\nlimt = 5", ("limt", "limit")),
        ("memory = 3", ("memory",)),
        ("cpus = [1", ("line",)),
        ("cpus = 1\ncpus = 2", ("line",)),
        ("[[response]]\ncall = 5", ("call",)),
        ('[[file]]\npath = "relative"', ("path",)),
        ("argv = [1]", ("argv",)),
        ('at-random = "xyz"', ("at-random",)),
        ("\x00", ("world.toml",)),
    ],
)
def test_a_mistake_in_a_world_file(
    tmp_path: Path, text: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the file as well."""
    path = tmp_path / "world.toml"
    path.write_text(text)
    said = refused(capsys, "boot", "--world", path)

    for word in (str(path), *words):
        assert word in said


def test_a_world_of_noise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A program given in a World's place."""
    path = tmp_path / "world.toml"
    path.write_bytes(random.Random(9).randbytes(5000))

    assert "UTF-8" in refused(capsys, "boot", "--world", path)


def test_arguments_that_no_kernel_takes(capsys: pytest.CaptureFixture[str]) -> None:
    """A string of a megabyte: execve would fail, so there is nothing to boot."""
    assert refused(capsys, "boot", "--env", "BIG=" + "x" * (1 << 20)).startswith("env: one string has 1048581 bytes")
    assert refused(capsys, "boot", store.path("hello-1.27.3"), *["y" * 1000] * 3000).startswith("argv: ")


def test_real_processes(tmp_path: Path) -> None:
    """What a shell sees: the status, one line on standard error, nothing else, and no traceback."""
    shutil.copy("/bin/true", tmp_path / "true")
    for arguments in (["boot", "missing"], ["boot", "true"], ["boot", "--set", "cpsu=1"], ["nosuch"], []):
        run = subprocess.run(
            [sys.executable, "-c", "import sys; from emu.cli.main import main; sys.exit(main())", *arguments],
            capture_output=True, text=True, check=False, cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(store.ROOT)},
        )  # fmt: skip
        assert (run.returncode, run.stdout) == (2, "")
        assert run.stderr.startswith("rt0: ")
        assert run.stderr.count("\n") == 1


# Damage


def in_a_process(program: Path, *arguments: str) -> dict[str, Any]:
    """What ``tests.boot.damage`` reports."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.boot.damage", program, *arguments],
        capture_output=True, text=True, check=False, cwd=store.ROOT, env={**os.environ, "PYTHONPATH": str(store.ROOT)},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    report: dict[str, Any] = json.loads(run.stdout)
    if THOROUGH:
        print(f"\n{program.name} {' '.join(arguments)}: {report}")
    return report


@pytest.mark.parametrize("name", DAMAGES)
def test_single_bytes_of_headers_tables_and_code(binary: Callable[[str], Path], name: str) -> None:
    """Whatever the byte: refused in one line, or booted to a clean end, within time and memory."""
    seed = 1
    report = in_a_process(binary(name), "bytes", str(seed), str(DAMAGES[name]))
    statuses = report["statuses"]

    assert report["wrong"] == "", f"seed {seed}"
    assert report["slowest"] < DEADLINE
    assert sum(statuses.values()) == DAMAGES[name]
    # The damage is real: some is refused, some crashes the guest, and much does not matter.
    assert statuses["2"] > 0
    assert sum(statuses.get(status, 0) for status in "345") > 0
    assert statuses["0"] > DAMAGES[name] // 2


def test_every_cut(binary: Callable[[str], Path]) -> None:
    """At every KiB of what is loaded: refused.  Behind that (symbols, debugging information): it still boots."""
    report = in_a_process(binary("hello-1.27.3"), "cuts", "1024", str(BEHIND))

    assert report["wrong"] == ""
    assert report["slowest"] < DEADLINE
    assert report["statuses"].keys() == {"0", "2"}
    assert report["statuses"]["2"] > 1000
