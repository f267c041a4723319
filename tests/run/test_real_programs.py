"""Go programs that people use, under ``rt0 run`` and natively: streams, files and exit status are the same.

Those of more than 30 MB are run by ``make test-programs``.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from fixtures import programs, store
from tests.conftest import busybox_path, delivered

Binary = Callable[[str], Path]
RT0 = [sys.executable, "-c", "from emu.cli.main import entry; entry()", "run"]
SOURCES = store.ROOT / "fixtures" / "src"
ESBUILDS = ["0.8.0", "0.11.0", "0.14.0", "0.17.0", "0.21.0", "0.28.2"]
BUILD = b'cc_library(name="x",srcs=["b.cc","a.cc"],deps=[":z","//a:b"])\n'
GIT = """\
#!{tools}/sh
case "$*" in
*version) echo git version 2.40.0;;
*show-toplevel*) busybox mkdir -p .git/hooks .git/info; pwd; pwd; echo .git/hooks; echo .git/info; echo .git;;
esac
"""
more = pytest.mark.skipif(not os.environ.get("RT0_TEST_PROGRAMS"), reason="large: make test-programs")


class Done(NamedTuple):
    """What a program left."""

    stdout: bytes
    stderr: bytes
    status: int
    files: dict[str, bytes]


class Place:
    """A folder with something to do in it, and another with busybox's commands in it."""

    def __init__(self, source: str, folder: Path) -> None:
        self.source, self.work, self.tools = SOURCES / source, folder / "work", folder / "tools"
        self.tools.mkdir()
        self.env = {"HOME": str(folder / "home"), "PATH": str(self.tools)}

    def commands(self, *names: str) -> None:
        """Put busybox and its commands *names* into the PATH; skip the test without it."""
        shutil.copy(busybox_path(), self.tools / "busybox")
        for name in names:
            (self.tools / name).symlink_to("busybox")

    def command(self, argv: Sequence[str | Path], emulated: bool) -> list[str]:
        """*argv*, or rt0's command that runs it."""
        if not emulated:
            return [str(part) for part in argv]
        env = [part for name, value in self.env.items() for part in ("--env", f"{name}={value}")]
        binds = ["--bind", f"{self.work}:{self.work}:rw", "--bind", str(self.tools)]
        return [*RT0, *binds, *env, *map(str, argv)]

    def run(self, *argv: str | Path, stdin: bytes = b"", emulated: bool) -> Done:
        """Run *argv* in a fresh folder."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.source, self.work)
        env = {**os.environ, **({} if emulated else self.env)}
        command = self.command(argv, emulated)
        done = subprocess.run(
            command, input=stdin, capture_output=True, cwd=self.work, env=env, check=False, timeout=120
        )
        files = {
            path.relative_to(self.work).as_posix(): path.read_bytes()
            for path in self.work.rglob("*") if path.is_file()
        }  # fmt: skip
        return Done(done.stdout, done.stderr, done.returncode, files)

    def both(self, *argv: str | Path, stdin: bytes = b"") -> tuple[Done, Done]:
        """Run *argv* natively and emulated."""
        return self.run(*argv, stdin=stdin, emulated=False), self.run(*argv, stdin=stdin, emulated=True)


def program(name: str) -> Path:
    """A program's path; the test is skipped where the registry does not deliver, and fails on CI."""
    return delivered(programs.path, name)


def timeless(done: Done) -> Done:
    """*done* without how long things took."""
    return done._replace(stderr=re.sub(rb"Done in \d+ms", b"Done", done.stderr))


def unordered(done: Done) -> Done:
    """*done* with its lines in order: what runs in parallel prints in any."""
    stdout, stderr = (b"\n".join(sorted(text.splitlines())) for text in (done.stdout, done.stderr))
    return done._replace(stdout=re.sub(rb"[\d.]+ seconds", b"0 seconds", stdout), stderr=stderr)


@pytest.mark.parametrize("version", ESBUILDS)
def test_esbuild(binary: Binary, version: str, tmp_path: Path) -> None:
    """It bundles and minifies TypeScript, JSX, JSON and CSS to the same bytes; a pipe and errors as well."""
    esbuild, place = binary(f"esbuild-{version}"), Place("bundled", tmp_path)
    bundle = ["--bundle", "--minify", "--sourcemap", "--define:DEBUG=false", "index.tsx", "--outdir=out"]
    native, emulated = place.both(esbuild, *bundle, *(["page.css"] if version != "0.8.0" else []))
    assert native.status == 0
    assert len(native.files["out/index.js"]) > 500
    assert timeless(emulated) == timeless(native)

    native, emulated = place.both(
        esbuild, "--minify", "--loader=tsx", stdin=(SOURCES / "bundled" / "table.tsx").read_bytes()
    )
    assert native.stdout.startswith(b"import{average as ")
    assert emulated == native

    native, emulated = place.both(esbuild, "--bundle", "broken.ts")
    assert native.status == 1
    assert b'Unexpected ";"' in native.stderr
    assert emulated == native


def test_buildifier(tmp_path: Path) -> None:
    """A formatter: a pipe, a file in place, what it finds, and what is wrong."""
    tool, place = program("buildifier"), Place("real/hooks", tmp_path)
    native, emulated = place.both(tool, "-type", "build", stdin=BUILD)
    assert b'"a.cc",\n        "b.cc"' in native.stdout
    assert emulated == native
    for argv, stdin, status in (
        (["-mode=check", "-lint=warn", "-format=json"], BUILD, 0),
        (["-type", "build"], b"cc_library(name=\n", 1),
        (["-mode=fix", "-v", "words.txt"], b"", 0),
        (["nonsuch"], b"", 3),
    ):
        native, emulated = place.both(tool, *argv, stdin=stdin)
        assert native.status == status
        assert emulated == native


def test_lefthook(tmp_path: Path) -> None:
    """Three commands in parallel, one of which fails, after it asked git (a script, run by its #! line) where it is."""
    tool, place = program("lefthook"), Place("real/hooks", tmp_path)
    place.commands("sh", "pwd")
    git = place.tools / "git"
    git.write_text(GIT.format(tools=place.tools))
    git.chmod(0o755)
    native, emulated = place.both(tool, "run", "pre-commit", "--force")
    assert native.status == 1
    assert b"apple\npear\npear\n" in emulated.stdout
    assert unordered(emulated) == unordered(native)


@pytest.mark.parametrize("emulated", [False, True])
def test_interrupt_and_broken_pipe(tmp_path: Path, emulated: bool) -> None:
    """Ctrl-C while it reads, and nobody who reads: it ends by the signal, which a shell shows as 128+n."""
    tool, place = program("buildifier"), Place("real/hooks", tmp_path)
    place.work.mkdir()
    command = place.command([tool, "-type", "build"], emulated)

    def shown(number: int) -> int:
        return 128 + number if emulated else -number

    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=place.work) as process:
        wait_for_read(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == shown(signal.SIGINT)

    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, input=BUILD, stdout=write, stderr=subprocess.PIPE, cwd=place.work, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (shown(signal.SIGPIPE), b"")


def wait_for_read(pid: int) -> None:
    """Return when a thread of *pid* reads or waits on standard input."""
    for _ in range(600):
        for task in Path(f"/proc/{pid}/task").iterdir():
            number, *arguments = (task / "syscall").read_text().split()
            if (number == "0" and arguments[0] == "0x0") or number in ("23", "270"):  # read, select, pselect6
                return
        signal.sigtimedwait([], 0.05)
    raise AssertionError("it never read")


@more
def test_task(tmp_path: Path) -> None:
    """A make: dependencies in parallel, pipes between processes, globs, files, the status of what failed."""
    tool, place = program("task"), Place("real/task", tmp_path)
    place.commands("cat")
    for argv, stdin, status in (
        (["-o", "prefixed", "WHO=you"], b"", 0),
        (["-s", "upper"], b"abc", 0),
        (["fails"], b"", 201),
        (["--exit-code", "fails"], b"", 7),
        (["nonsuch"], b"", 200),
        (["--list-all"], b"", 0),
    ):
        native, emulated = place.both(tool, *argv, stdin=stdin)
        assert native.status == status
        assert unordered(emulated) == unordered(native)


@more
@pytest.mark.parametrize("emulated", [False, True])
def test_task_is_interrupted(tmp_path: Path, emulated: bool) -> None:
    """It says so, and goes on until its command, to which the signal was not sent, has ended."""
    tool, place = program("task"), Place("real/task", tmp_path)
    place.commands()
    shutil.copytree(place.source, place.work)
    pipe = subprocess.PIPE
    with subprocess.Popen(
        place.command([tool, "upper"], emulated), stdin=pipe, stdout=pipe, stderr=pipe, cwd=place.work,
        env={**os.environ, **({} if emulated else place.env)},
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"ready\n"
        assert [process.stderr.readline() for _ in range(2)][1] == b"task: [upper] busybox tr a-z A-Z\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == b'task: Signal received: "interrupt"\n'
        process.stdin.write(b"one\n")
        process.stdin.close()
        assert (process.stdout.read(), process.stderr.read(), process.wait(30)) == (b"ONE\n", b"", 0)


@more
def test_buf(tmp_path: Path) -> None:
    """A compiler of protocol buffers, with a WebAssembly runtime in it: JSON, what it finds, a list of files."""
    tool, place = program("buf"), Place("real/proto", tmp_path)
    for argv, status in ((["build", "-o", "-#format=json"], 0), (["lint"], 100), (["ls-files"], 0)):
        native, emulated = place.both(tool, *argv)
        assert native.status == status
        assert native.stdout
        assert emulated == native
