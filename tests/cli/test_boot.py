"""``rt0 boot`` in-process: exit statuses, bad input, JSON, and options that move values as arithmetic says."""

from __future__ import annotations

import itertools
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from emu.boot.schema import schema
from emu.cli.boot import _parser, plain
from emu.cli.errors import OF_OUTCOME
from emu.cli.main import main
from fixtures.store import ROOT
from tests.booted import BUNDLED
from tests.cli.test_main import START

Capture = pytest.CaptureFixture[str]


def record(capsys: Capture, *argv: str, status: int = 0) -> Any:
    """The record that `rt0 boot ARGV --json` prints; nothing else may be printed."""
    assert main(["boot", *argv, "--json"]) == status
    out, errors = capsys.readouterr()
    assert errors == ""
    assert out.endswith("}\n")
    assert out.count("\n") == 1
    return json.loads(out)


def test_the_default_is_the_bundled_hello(capsys: Capture) -> None:
    """Without a program something is shown all the same."""
    found = record(capsys)

    assert found["schema"] == "rt0.boot/1"
    assert found["binary"]["name"] == "hello"
    assert found["outcome"]["at"] == "runtime.mstart"
    assert found["globals"]["runtime.numCPUStartup"] == 2


@pytest.mark.parametrize(
    ("argv", "status", "kind"),
    [
        ([], 0, "reached"),
        (["--until", "runtime.osinit"], 0, "reached"),
        (["--page-size", "1024"], 3, "throw"),
        (["--set", "auxv.AT_RANDOM=4096"], 4, "signal"),
        (["--max-instructions", "20000"], 5, "limit"),
    ],
    ids=str,
)
def test_exit_status_follows_the_outcome(capsys: Capture, argv: list[str], status: int, kind: str) -> None:
    """0 reached, 3 gave up, 4 fatal signal, 5 a limit; with JSON, on the screen, and when nothing is printed."""
    assert record(capsys, *argv, status=status)["outcome"]["kind"] == kind
    assert main(["boot", *argv]) == status
    assert "outcome  " in capsys.readouterr().out
    assert main(["boot", *argv, "--quiet"]) == status
    assert capsys.readouterr() == ("", "")


def test_a_boot_goes_on_with_threads(capsys: Capture) -> None:
    """runtime.main starts threads before it calls main.main; where the World fails clone, the runtime gives up."""
    found = record(capsys, "--until", "main.main", status=0)
    rule = 'responses=[{call="clone", errno="EAGAIN"}]'
    refused = record(capsys, "--until", "main.main", "--set", rule, status=3)

    assert (found["outcome"]["kind"], found["outcome"]["function"]) == ("reached", "main.main")
    assert found["totals"]["tasks"] > 2
    # All that threads executed is some function's own, but for the few instructions before the first and at clone.
    assert 0 <= found["totals"]["instructions"] - sum(call["own"] for call in found["functions"]) < 100
    assert (refused["outcome"]["kind"], refused["outcome"]["message"]) == ("throw", "newosproc")


def test_every_outcome_has_its_status() -> None:
    """What the emulator cannot do counts as a limit of it."""
    kinds = schema()["properties"]["outcome"]["properties"]["kind"]["enum"]

    assert {kind: OF_OUTCOME[kind] for kind in kinds} == {
        "reached": 0, "throw": 3, "exit": 3, "signal": 4, "limit": 5, "unsupported": 5
    }  # fmt: skip


def noise(seed: int, size: int) -> bytes:
    import random

    return random.Random(seed).randbytes(size)


def elf(bits: int, machine: int) -> bytes:
    return b"\x7fELF" + bytes([bits, 1, 1]) + bytes(9) + struct.pack("<HHI", 2, machine, 1) + bytes(200)


BAD_FILES = {
    "empty": (b"", "the file is empty"),
    "noise": (noise(1, 4096), "not an ELF file"),
    "script": (b"#!/bin/sh\n", "not an ELF file (a script)"),
    "truncated": (BUNDLED.read_bytes()[:100_000], "truncated"),
    "elf32": (elf(1, 3), "a 32-bit ELF file"),
    "arm64": (elf(2, 183), "an ELF file for ARM64"),
}


@pytest.mark.parametrize("command", ["boot", "info"])
@pytest.mark.parametrize("name", list(BAD_FILES))
def test_bad_files(capsys: Capture, tmp_path: Path, command: str, name: str) -> None:
    """Status 2, one line that names the file and what is wrong with it, nothing on standard output."""
    content, what = BAD_FILES[name]
    path = tmp_path / name
    path.write_bytes(content)

    assert main([command, str(path)]) == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith(f"rt0: {path}: ")
    assert what in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("command", ["boot", "info"])
def test_bad_paths(capsys: Capture, tmp_path: Path, command: str) -> None:
    """What is not there, a folder, a device, a program that is not Go, a name with a line break."""
    for path, what in (
        (tmp_path / "nowhere", "no such file or directory"),
        (tmp_path, "is a directory"),
        (Path("/dev/null"), "not a regular file"),
        (Path("/bin/true"), "not a Go program"),
        (tmp_path / "a\nb", "no such file or directory"),
    ):
        assert main([command, str(path)]) == 2
        out, errors = capsys.readouterr()
        assert out == ""
        assert errors.startswith("rt0: ")
        assert what in errors
        assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--until", "runtime.nowhere"], "rt0: --until: hello has no function runtime.nowhere"),
        (["--until", "osinit"], 'rt0: --until: hello has no function osinit (did you mean "runtime.osinit"?)\n'),
        (["--until", "runtime.osinti"], 'rt0: --until: hello has no function runtime.osinti (did you mean "runtime.'),
        (["--until", ""], "rt0: --until: an empty name"),
        (["--", "hello"], "rt0: 'hello' after -- would be an argument of the bundled hello; a program goes before --"),
        (["--thp"], "rt0: boot: argument --thp: expected one argument"),
        (["--frob"], "rt0: boot: unrecognized arguments: --frob"),
        (["--cpus", "0"], "rt0: --cpus: 0 CPUs: at least one CPU is needed; allowed: "),
        (["--world", "nowhere"], "rt0: --world: no such World: 'nowhere'; allowed: a TOML file, or one of "),
        (["--json", "/no/such/folder/x"], "rt0: --json: /no/such/folder/x: no such directory"),
        (["--json", str(BUNDLED)], f"rt0: --json: {BUNDLED} is a program, not to be overwritten"),
    ],
)
def test_bad_usage(capsys: Capture, argv: list[str], message: str) -> None:
    """Status 2 and one line."""
    assert main(["boot", *argv]) == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith(message)
    assert errors.count("\n") == 1


def test_a_response_to_a_call_that_does_not_exist(capsys: Capture, tmp_path: Path) -> None:
    """A mistake that only the kernel can see is the user's, too."""
    world = tmp_path / "w.toml"
    world.write_text('[[response]]\ncall = "opennat"\nerrno = "EIO"\n')

    assert main(["boot", "--world", str(world)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(("cpus", "count"), [("1", 1), ("0x5", 2), ("0,2-3,64", 4), ("1000", 1000)])
def test_cpus_are_counted(capsys: Capture, cpus: str, count: int) -> None:
    """As many as the mask has bits, and as many Ps."""
    found = record(capsys, "--cpus", cpus)

    assert found["globals"]["runtime.numCPUStartup"] == count
    assert found["globals"]["runtime.gomaxprocs"] == count
    assert len(found["views"]["runtime.allp"]) == count


@pytest.mark.parametrize(
    ("thp", "size"),
    [
        ("absent", 0),
        ("0", 0),
        ("2097152", 2097152),
        ("2097153", 0),
        ("4096", 4096),
        ("garbage", 0),
        ("-2097152", 0),
        ("9" * 23, 0),
    ],
)
def test_huge_page_sizes(capsys: Capture, thp: str, size: int) -> None:
    """A power of two that the file holds, else 0: runtime/os_linux.go, getHugePageSize."""
    assert record(capsys, f"--thp={thp}")["globals"]["runtime.physHugePageSize"] == size


@pytest.mark.parametrize("size", [4096, 16384, 65536])
def test_page_sizes(capsys: Capture, size: int) -> None:
    """AT_PAGESZ is believed."""
    assert record(capsys, "--page-size", str(size))["globals"]["runtime.physPageSize"] == size


def test_arguments_and_environment(capsys: Capture) -> None:
    """What the program gets: the arguments of the command line, the variables of the options."""
    found = record(capsys, str(BUNDLED), "a", "b", "--env", "GOMAXPROCS=3")

    assert found["views"]["runtime.argslice"] == ["hello", "a", "b"]
    assert found["globals"]["runtime.argc"] == 3
    assert found["views"]["runtime.envs"][-1] == "GOMAXPROCS=3"
    assert found["globals"]["runtime.gomaxprocs"] == 3


def test_arguments_after_two_dashes_are_the_programs(capsys: Capture) -> None:
    """Even those that look like options of ours; without a program they are the bundled hello's."""
    assert main(["boot", "--json", "--", "--cpus", "-x"]) == 0
    found = json.loads(capsys.readouterr().out)

    assert found["views"]["runtime.argslice"] == ["hello", "--cpus", "-x"]


def test_a_file_gets_the_same_json_as_standard_output(capsys: Capture, tmp_path: Path) -> None:
    """Byte for byte; and the screen is shown beside it."""
    target = tmp_path / "record.json"
    assert main(["boot", "--json"]) == 0
    out = capsys.readouterr().out
    assert main(["boot", "--json", str(target)]) == 0

    assert target.read_text() == out
    assert capsys.readouterr().out.startswith("program  hello: ")
    assert list(tmp_path.iterdir()) == [target]


def test_the_schema_is_printed(capsys: Capture) -> None:
    """Without booting anything."""
    assert main(["boot", "--json-schema"]) == 0
    assert json.loads(capsys.readouterr().out)["properties"]["schema"] == {"const": "rt0.boot/1"}


def test_all_and_source(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--all shows more; --source without sources says why, and shows the rest."""
    monkeypatch.setenv("COLUMNS", "300")
    assert main(["boot"]) == 0
    normal = capsys.readouterr().out
    assert main(["boot", "--all"]) == 0
    everything = capsys.readouterr().out
    assert main(["boot", "--goroot", str(tmp_path)]) == 0

    assert len(everything.splitlines()) > 2 * len(normal.splitlines())
    assert f"note     no Go sources: {tmp_path} has no src/runtime" in capsys.readouterr().out


def test_bound_files_are_seen(capsys: Capture, tmp_path: Path) -> None:
    """A host file in place of the kernel's."""
    size = tmp_path / "size"
    size.write_text("8192\n")
    found = record(capsys, "--bind", f"{size}:/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")

    assert found["globals"]["runtime.physHugePageSize"] == 8192
    assert str(tmp_path) not in json.dumps(found)


@pytest.mark.parametrize(
    ("environment", "first"),
    [({"PYTHONIOENCODING": "ascii"}, b"`- "), ({"PYTHONIOENCODING": "utf-8"}, "└─ ".encode())],
    ids=["ascii", "utf-8"],
)
def test_a_process_of_its_own(environment: dict[str, str], first: bytes) -> None:
    """Encodings, no colours in a pipe, nothing on standard error."""
    done = subprocess.run(
        [sys.executable, "-c", START, "boot"],
        capture_output=True,
        cwd=ROOT,
        env={"RT0_CACHE": "off", **environment},
        check=True,
    )

    assert done.stderr == b""
    assert b"\x1b" not in done.stdout
    assert b"\n_rt0_amd64_linux()" in done.stdout
    assert first in done.stdout


@pytest.mark.parametrize("length", range(4))
def test_simple_arguments_are_read_as_argparse_reads_them(length: int) -> None:
    """Whatever the short way understands, the long way understands likewise."""
    words = ("hello", "other", "--json", "--quiet", "--all", "--", "", "-", "--json=x", "--until", "-q")
    understood = 0
    for argv in itertools.product(words, repeat=length):
        short = plain(argv)
        if short is None:
            continue
        understood += 1
        long = vars(_parser().parse(argv))
        assert {name: long.pop(name) for name in short._fields} == short._asdict()
        assert not any(long.values())

    # The three options in any order; and with one of two names, anywhere but behind --json.
    assert understood == {0: 1, 1: 3 + 2, 2: 9 + 2 * (2 * 3 - 1), 3: 27 + 2 * (3 * 9 - 2 * 3)}[length]
