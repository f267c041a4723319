"""``rt0 run``: programs to their end, with the native run of the same program for a judge."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from emu.cli.main import main

Binary = Callable[[str], Path]
Capture = pytest.CaptureFixture[str]
RT0 = [sys.executable, "-c", "from emu.cli.main import entry; entry()"]
HELLOS = ["hello-1.19.8", "hello-1.21.13", "hello-1.24.11-stripped", "hello-1.27.3", "hello-1.27.3-pie"]


def rt0(
    *argv: str | Path, accel: bool = True, stdin: bytes = b"", cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """``rt0 run`` as a process of its own."""
    env = {**os.environ, "RT0_ACCEL": "1" if accel else "0"}
    command = [*RT0, "run", *map(str, argv)]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, env=env, cwd=cwd, timeout=120)


@pytest.mark.parametrize("name", HELLOS)
def test_output_and_status_are_the_native_ones(binary: Binary, name: str) -> None:
    """Both streams and the exit status; nothing of rt0's own between."""
    path = binary(name)
    native = subprocess.run([path], capture_output=True, check=False)
    done = rt0(path)

    assert native.stdout  # it prints something
    assert (done.stdout, done.stderr, done.returncode) == (native.stdout, native.stderr, native.returncode)


def test_a_run_is_a_function_of_its_world(binary: Binary, tmp_path: Path) -> None:
    """The same bytes of record twice, and with Unicorn's own counting; another schedule seed gives another record."""
    path = binary("hello-1.27.3")
    records: list[bytes] = []
    for accel, seed in ((True, "0"), (True, "0"), (False, "0"), (True, "7"), (False, "7")):
        record = tmp_path / f"{len(records)}.json"
        done = rt0("--record", record, "--schedule-seed", seed, path, accel=accel)
        assert done.returncode == 0
        records.append(record.read_bytes())

    assert records[0] == records[1] == records[2]
    assert records[3] == records[4] != records[0]
    shown = json.loads(records[0])
    assert shown["outcome"]["exit_status"] == 0
    ran = [entry["ran"] for entry in shown["events"] if "ran" in entry]
    assert len(set(ran)) > 2  # threads took turns
    assert {file.name for file in tmp_path.iterdir()} == {f"{number}.json" for number in range(5)}


def test_the_trace_is_strace_s(binary: Binary, tmp_path: Path) -> None:
    """The write of the program, and how it ended, as strace shows them for the same program."""
    path, trace = binary("hello-1.27.3"), tmp_path / "trace"
    assert rt0("--strace", trace, path).returncode == 0

    def last(text: list[str]) -> list[str]:
        shown = [re.sub(r"^\[pid +\d+\]", "[pid 12345]", line) for line in text]
        return [line for line in shown if line.partition("] ")[2].startswith(("write(1", "exit_group("))] + text[-1:]

    ours = last(trace.read_text().splitlines())
    assert len(ours) == 3
    command = ["strace", "-f", "-e", "trace=write,exit_group", str(path)]
    natives = []
    for _ in range(20):  # a call that another thread's comes in between of is shown in two parts, when it happens
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        natives.append(last(done.stderr.splitlines()))
        if natives[-1] == ours:
            break
    assert ours in natives


def test_arguments_after_the_program_are_its_own(binary: Binary, tmp_path: Path) -> None:
    """Even those that look like rt0's; a first -- is not passed on."""
    path = binary("hello-1.27.3-goargs")
    native = subprocess.run([path, "--strace", "x"], capture_output=True, check=False)
    assert rt0(path, "--strace", "x", cwd=tmp_path).stdout == native.stdout
    assert rt0(path, "--", "--strace", "x", cwd=tmp_path).stdout == native.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_away(binary: Binary) -> None:
    """The program is told EPIPE, and ends as it does natively: by SIGPIPE, which a shell shows as 141."""
    read, write = os.pipe()
    os.close(read)
    command = [*RT0, "run", str(binary("hello-1.27.3"))]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(write)

    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("call", ["write", "writev", "splice", "sendfile"])
def test_a_signal_says_that_the_reader_went_away(tmp_path: Path, call: str) -> None:
    """SIGPIPE ends a program that asks for nothing else, with no word; a handler is told by whom, as natively."""
    from fixtures.native import compile_program

    (tmp_path / "gone.c").write_text(
        """#define _GNU_SOURCE
        #include <errno.h>
        #include <fcntl.h>
        #include <signal.h>
        #include <stdio.h>
        #include <string.h>
        #include <sys/sendfile.h>
        #include <sys/uio.h>
        #include <unistd.h>
        static void told(int n, siginfo_t *i, void *u) {
            dprintf(2, "%d %d %d\\n", n, i->si_code, i->si_pid == getpid());
        }
        static int put(const char *how) {
            struct iovec v = {"a", 1};
            int p[2];
            if (!strcmp(how, "write")) return write(1, "a", 1);
            if (!strcmp(how, "writev")) return writev(1, &v, 1);
            if (!strcmp(how, "sendfile")) return sendfile(1, open("/proc/self/exe", O_RDONLY), 0, 1);
            pipe(p);
            write(p[1], "a", 1);
            return splice(p[0], 0, 1, 0, 1, 0);
        }
        int main(int argc, char **argv) {
            struct sigaction a = {.sa_sigaction = told, .sa_flags = SA_SIGINFO};
            sigaction(SIGPIPE, &a, 0);
            int got = put(argv[1]);
            dprintf(2, "%d %d\\n", got, errno);
            signal(SIGPIPE, SIG_DFL);
            put(argv[1]);
            dprintf(2, "still here\\n");
        }"""
    )
    path = compile_program(tmp_path / "gone.c", base=("-static", "-w"))
    ends = []
    for command in ([str(path), call], [*RT0, "run", str(path), call]):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False, timeout=60)
        os.close(write)
        ends.append((done.returncode, done.stderr))

    assert ends == [(-signal.SIGPIPE, b"13 0 1\n-1 32\n"), (128 + signal.SIGPIPE, b"13 0 1\n-1 32\n")]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "no program is named"),
        (["--timeout", "soon", "x"], "--timeout: 'soon' is no time"),
        (["--cwd", "/nowhere", "BINARY"], "--cwd: '/nowhere' is no folder of the guest"),
        (["--cwd", "tmp", "BINARY"], "--cwd: 'tmp' is no folder of the guest"),
        (["--cwd", "/dev/null", "BINARY"], "--cwd: '/dev/null' is no folder of the guest"),
        (["/nowhere/x"], "/nowhere/x: no such file or directory"),
        (["--record", "/nowhere/x.json", "BINARY"], "--record: /nowhere/x.json: no such directory"),
        (["--strace", "/nowhere/x", "BINARY"], "--strace: /nowhere/x: no such directory"),
    ],
)
def test_bad_usage(capsys: Capture, binary: Binary, argv: list[str], said: str) -> None:
    """Exit status 2, one line that names what is wrong."""
    path = str(binary("hello-1.27.3"))
    assert main(["run", *(path if word == "BINARY" else word for word in argv)]) == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.count("\n") == 1
    assert said in errors


@pytest.mark.parametrize("shown", ["/b/sub", "/b/sub/", "/b/sub/.././sub", "/b/link"])
def test_where_a_program_starts(tmp_path: Path, shown: str) -> None:
    """The folder itself, however it is spelled, as a shell that goes there would have it start."""
    from fixtures.native import compile_program

    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to("sub")
    (tmp_path / "where.c").write_text(
        "#include <stdio.h>\n#include <unistd.h>\nint main(void) { char b[99]; puts(getcwd(b, 99)); }\n"
    )
    path = compile_program(tmp_path / "where.c", base=("-static",))
    inside = shown.replace("/b", str(tmp_path))
    there = subprocess.run([path], capture_output=True, text=True, check=True, cwd=inside).stdout

    here = rt0("--bind", f"{tmp_path}:/b", "--cwd", shown, path)

    assert here.stdout.decode().replace("/b", str(tmp_path)) == there


def test_limits_end_a_run(binary: Binary) -> None:
    """By instructions, and by virtual time: status 5 and a line that says which."""
    path = binary("hello-1.27.3")
    by_work, by_time = rt0("--max-instructions", "100000", path), rt0("--timeout", "10us", path)

    assert (by_work.returncode, by_time.returncode) == (5, 5)
    assert by_work.stderr == f"rt0: {path.name}: more than 100000 instructions\n".encode()
    assert by_time.stderr == f"rt0: {path.name}: more than 10 us of virtual time\n".encode()


def test_programs_that_are_not_go(tmp_path: Path) -> None:
    """Any static executable runs: nothing is asked of a function table or of types."""
    from fixtures.native import compile_program

    source = tmp_path / "three.c"
    source.write_text(
        'void _start(void) { __asm__ volatile("syscall" : : "a"(231), "D"(3) : "rcx", "r11", "memory"); }\n'
    )
    path = compile_program(source)
    native = subprocess.run([path], check=False)

    assert rt0(path).returncode == native.returncode == 3


def test_what_is_no_executable(tmp_path: Path) -> None:
    """Refused with a line, as everywhere."""
    text = tmp_path / "text"
    text.write_text("hello")
    for path, said in (
        (text, "not an ELF file"),
        (tmp_path, "is a directory"),
        (Path("/bin/true"), "needs the loader"),
    ):
        done = rt0(path)
        assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
        assert said in done.stderr.decode()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--timeout", "99999999999999h"], "--timeout: '99999999999999h' is too long"),
        (["--timeout", ""], "--timeout: '' is no time"),
        (["--cwd", ""], "--cwd: '' is no folder of the guest"),
        (["--record", ""], "--record: an empty name"),
        (["--strace", ""], "--strace: an empty name"),
        (["--strace", "HELLO"], "is a program, not to be overwritten"),
        (["--sysroot", "/not/there"], "--sysroot: '/not/there': no such file or directory"),
        (["--sysroot", "HELLO"], "not a directory"),
    ],
)
def test_values_of_options_that_cannot_be(binary: Binary, capsys: Capture, options: list[str], said: str) -> None:
    """Also the empty ones that a variable of a script has that was never set: a line, and nothing is run."""
    path = str(binary("hello-1.27.3"))

    status = main(["run", *(word.replace("HELLO", path) for word in options), path])

    out, errors = capsys.readouterr()
    assert (status, out, errors.count("\n")) == (2, "", 1)
    assert said in errors


@pytest.mark.parametrize("key", ["limits.instructions", "limits.virtual-ns"])
def test_the_largest_limits_are_none(binary: Binary, key: str) -> None:
    """What docs/world.md allows for them is what a run takes; nothing comes as far."""
    done = rt0("--set", f"{key}={2**63 - 1}", binary("hello-1.27.3"))

    assert (done.returncode, done.stderr) == (0, b"")


def test_two_dashes_end_the_options(binary: Binary) -> None:
    """Before the program, as for any command; those behind it are dropped too."""
    path = binary("hello-1.27.3")

    assert rt0("--", path, "--", "a").stdout == rt0(path, "a").stdout != b""
