"""The command itself: finding commands, exit statuses, one line for everything that goes wrong."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest

import emu
from emu.cli import boot
from emu.cli.main import COMMANDS, main
from fixtures.store import ROOT
from tests.booted import BUNDLED

START = "import sys; from emu.cli.main import main; sys.exit(main())"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The version is that of the distribution."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"rt0 {declared}\n"
    assert emu.__version__ == declared


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["help"]])
def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    """Every command with what it is for."""
    assert main(argv) == 0
    out = capsys.readouterr().out
    words = " ".join(out.split())  # a narrow terminal breaks the lines
    assert all(f"  {name}" in out and text in words for name, text in COMMANDS.items())


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_help_with_examples(capsys: pytest.CaptureFixture[str], command: str) -> None:
    """Options, examples and exit statuses."""
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: rt0 {command} ")
    assert "examples:" in out
    assert "exit status" in out
    assert "130 interrupted" in " ".join(out.split())


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "a command is missing; there are boot, run, info"),
        (["bott"], "no command 'bott'; there are boot, run, info"),
        (["--frob"], "no command '--frob'; there are boot, run, info"),
    ],
)
def test_no_such_command(capsys: pytest.CaptureFixture[str], argv: list[str], message: str) -> None:
    """Exit status 2, one line on standard error, nothing on standard output."""
    assert main(argv) == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith(f"rt0: {message}")
    assert errors.endswith(" (rt0 --help)\n")
    assert errors.count("\n") == 1


def fail_with(error: BaseException) -> object:
    def run(_: Sequence[str]) -> NoReturn:
        raise error

    return run


def test_a_bug_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Status 1 and the exception's name, no traceback."""
    monkeypatch.delenv("RT0_DEBUG", raising=False)
    monkeypatch.setattr(boot, "run", fail_with(ZeroDivisionError("a\nb")))

    assert main(["boot"]) == 1
    assert capsys.readouterr().err == "rt0: bug: ZeroDivisionError: a b (please report it; RT0_DEBUG=1 shows more)\n"


def test_a_bug_with_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """RT0_DEBUG=1 lets the exception out."""
    monkeypatch.setenv("RT0_DEBUG", "1")
    monkeypatch.setattr(boot, "run", fail_with(ZeroDivisionError("x")))

    with pytest.raises(ZeroDivisionError):
        main(["boot"])


def test_an_interrupt(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C: status 130 and a line."""
    monkeypatch.setattr(boot, "run", fail_with(KeyboardInterrupt()))

    assert main(["boot"]) == 130
    assert capsys.readouterr() == ("", "rt0: interrupted\n")


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["boot"], 0),
        (["boot", "--json"], 0),
        (["info"], 0),
        (["boot", "--page-size", "1024"], 3),
        (["boot", "--page-size", "1024", "--json"], 3),
        (["boot", "--max-instructions", "1000"], 5),
    ],
    ids=str,
)
def test_a_closed_pipe_is_silent(arguments: list[str], status: int) -> None:
    """As under `| head -1`: no complaint when nobody reads on, and the status of what happened."""
    process = subprocess.Popen(
        [sys.executable, "-c", START, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    process.stdout.close()
    _, errors = process.communicate()

    assert errors == b""
    assert process.returncode == status


@pytest.mark.parametrize("start", [START, "from emu.cli.main import entry; entry()"], ids=["main", "entry"])
@pytest.mark.parametrize(
    "arguments", [["boot"], ["boot", "--json"], ["info"], ["--help"], ["boot", "--help"], ["--version"]], ids=str
)
def test_a_full_disk_is_no_bug(arguments: list[str], start: str) -> None:
    """Status 2 and one line that says what cannot be written."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", start, *arguments], stdout=full, stderr=subprocess.PIPE, cwd=ROOT, check=False
        )

    assert done.stderr == b"rt0: standard output: No space left on device\n"
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("arguments", "closed", "status", "errors"),
    [
        (["boot"], ">&-", 2, b"rt0: standard output: Bad file descriptor\n"),
        (["boot", "--quiet"], ">&-", 0, b""),
        (["boot", "--quiet", "--page-size", "1024"], "<&- >&- 2>&-", 3, b""),
        (["boot", "--cpus", "no"], "2>&-", 2, b""),
    ],
    ids=str,
)
def test_closed_streams(arguments: list[str], closed: str, status: int, errors: bytes) -> None:
    """What is not written needs no stream; what cannot be written is said, if there is where to say it."""
    command = shlex.join([sys.executable, "-c", START, *arguments])
    done = subprocess.run(["/bin/sh", "-c", f"{command} {closed}"], capture_output=True, cwd=ROOT, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (status, b"", errors)


def test_a_closed_standard_input_is_at_its_end() -> None:
    """Nothing that is opened later takes its number: a program that reads would wait for that for ever."""
    code = (
        "import os; from emu.cli.output import have_streams; have_streams(); "
        "os.pipe(); print(os.readlink('/proc/self/fd/0'), os.read(0, 1))"
    )
    command = shlex.join([sys.executable, "-c", code])
    done = subprocess.run(["/bin/sh", "-c", f"{command} <&-"], capture_output=True, cwd=ROOT, check=True, timeout=60)

    assert done.stdout == b"/dev/null b''\n"


def test_the_command_has_workers(tmp_path: Path) -> None:
    """The workers of a sweep load the command's own file, which must not begin again in them."""
    command = [sys.executable, str(ROOT / "emu/cli/rt0"), "sweep", str(BUNDLED)]
    command += ["--vary", "cpus=1..2", "--jobs", "2", "--json"]
    done = subprocess.run(
        command,
        capture_output=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_DATA_HOME": str(tmp_path)},
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert [row["vary"] for row in json.loads(done.stdout)] == [{"cpus": "1"}, {"cpus": "2"}]


@pytest.mark.parametrize(
    "arguments", [["boot", "--json"], ["boot", "--page-size", "1024"], ["boot", "--cpus", "no"]], ids=str
)
def test_the_process_ends_like_the_function(capfd: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """The installed command's quick end loses nothing: same output, same errors, same status."""
    code = "from emu.cli.main import entry; entry()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        env={**os.environ},  # and not what readline, which pytest loads, adds to it behind Python's back: COLUMNS
    )

    assert main(arguments) == done.returncode
    assert capfd.readouterr() == (done.stdout, done.stderr)


def test_a_boot_to_json_loads_nothing_heavy(tmp_path: Path) -> None:
    """An image that is cached is booted without a single library beside the engine, nor what only the screen needs."""
    code = (
        "import sys\n"
        "from emu.cli.main import main\n"
        "assert main(['boot', '--quiet', '--json', sys.argv[1]]) == 0\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), *sys.modules)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    assert main(["boot", "--quiet"]) == 0  # the first boot of an image fills the cache
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())

    assert loaded & {"lief", "capstone", "drgn", "rich", "elftools", "msgspec", "tomllib", "subprocess"} == set()
    assert loaded & {"emu.report.tree", "emu.report.summary", "emu.boot.schema", "emu.boot.order"} == set()
    assert "emu.machine.engine" in loaded


@pytest.mark.parametrize(
    "arguments", [["run", "--bind", ".", "HELLO"], ["run", "--bind", ".", "--cpus", "2", "HELLO"]], ids=" ".join
)
def test_a_folder_that_is_gone(tmp_path: Path, arguments: list[str]) -> None:
    """Where a relative path means nothing any more: a line that says so."""
    rt0 = Path(sys.executable).with_name("rt0")
    command = " ".join([str(rt0), *(word.replace("HELLO", str(BUNDLED)) for word in arguments)])
    done = subprocess.run(["sh", "-c", f"rmdir $PWD && {command}"], cwd=tmp_path, capture_output=True, check=False)

    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"rt0: the folder that this is run in is not there any more; go to another one\n"


@pytest.mark.parametrize("command", ["boot --quiet", "verify --quiet", "fuzz --max-runs 3 --page-size 1024"])
def test_a_program_with_any_name(tmp_path: Path, command: str) -> None:
    """Bytes that are no UTF-8, in its name and in that of the folder where a campaign writes."""
    program = tmp_path / os.fsdecode(b"h\xff\xe2\x80\xa8i")
    shutil.copy(BUNDLED, program)
    words = [str(Path(sys.executable).with_name("rt0")), *command.split(), str(program)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"")
    if command.startswith("fuzz"):
        assert subprocess.run([words[0], "replay", "rt0-fuzz"], cwd=tmp_path, check=False).returncode == 0
        assert [*(tmp_path / "rt0-fuzz" / "findings").iterdir()]
