"""Run one test binary on this machine or in rt0, with the same arguments, environment and working folder.

A run always comes back with what it said so far and with how it ended; a crash, a limit and the cap on wall time are
ends with a name.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.suites.verdicts import Verdicts, parsed
from fixtures import suites

FLAGS = ("-test.v=test2json", "-test.short")
CPUS = 2
NICE = 10
POLL_SECONDS = 0.01
SHOWN_BYTES = 1500
MEMORY = "4GiB"
RT0 = os.environ.get("RT0_COMMAND") or str(Path(sys.executable).with_name("rt0"))


@dataclass(frozen=True, slots=True)
class Run:
    """How one run went.  Times are in seconds; *cpu* is that of the process and of the children it waited for."""

    end: str  # "exit 0", "signal SIGSEGV", "cap of 600 s", "rt0: ..."
    verdicts: Verdicts
    wall: float
    cpu: float
    said: str  # the beginning and the end of its standard error


def environment(release: str) -> dict[str, str]:
    """The whole environment of both machines."""
    return {
        "PATH": str(suites.tools()),
        "HOME": "/tmp",
        "TMPDIR": "/tmp",
        "GOROOT": str(suites.root(release)),
        "GOMAXPROCS": str(CPUS),
    }


def native(release: str, package: str, cap: float, more: Sequence[str] = ()) -> Run:
    """Run the tests of *package* on this machine."""
    command = [str(suites.path(release, package)), *FLAGS, *more]
    return run(command, suites.folder(release, package), environment(release), cap)


def emulated(release: str, package: str, cap: float, more: Sequence[str] = (), options: Sequence[str] = ()) -> Run:
    """Run the tests of *package* in rt0."""
    command = [*rt0(release, package, options), *FLAGS, *more]
    return run(command, suites.folder(release, package), dict(os.environ), cap)


def rt0(release: str, package: str, options: Sequence[str] = ()) -> list[str]:
    """The command that runs the tests of *package*, without their arguments."""
    root, binary = suites.root(release), suites.path(release, package)
    tools = suites.tools()
    variables = [f"{name}={value}" for name, value in environment(release).items()]
    return [
        RT0, "run",
        "--bind", f"{root}:{root}",
        "--bind", f"{binary.parent}:{binary.parent}",
        "--bind", f"{tools}:{tools}",
        "--bind", f"{tools}:/bin",
        "--bind", f"{tools}:/usr/bin",
        "--bind", "/etc:/etc",
        "--cwd", str(suites.folder(release, package)),
        *(word for variable in variables for word in ("--env", variable)),
        "--cpus", str(CPUS),
        "--max-instructions", "0",
        "--set", "limits.traps=0",
        "--set", f"memory.limit={MEMORY}",
        "--set", f"exe={binary}",
        *options,
        str(binary),
    ]  # fmt: skip


def run(command: Sequence[str], folder: Path, env: dict[str, str], cap: float) -> Run:
    """Run *command* in *folder*, at most *cap* seconds long, without standard input."""
    cpus = ",".join(map(str, sorted(os.sched_getaffinity(0))[:CPUS]))
    nice, taskset = (shutil.which(name) or name for name in ("nice", "taskset"))  # not by the PATH of the tests
    prefix = [nice, "-n", str(NICE), taskset, "-c", cpus]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begin = time.perf_counter()
        process = subprocess.Popen(
            [*prefix, *command], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            start_new_session=True,
        )  # fmt: skip
        end, cpu = _wait(process, begin + cap)
        wall = time.perf_counter() - begin
        out.seek(0)
        err.seek(0)
        said = err.read().decode(errors="replace")
        verdicts = parsed(out.read().decode(errors="replace"))
    return Run(end or f"cap of {cap:.0f} s", verdicts, wall, cpu, ends_of(said))


def ends_of(text: str) -> str:
    """*text* without its middle: Go says first why it dies, and rt0 last."""
    return text if len(text) < 2 * SHOWN_BYTES else f"{text[:SHOWN_BYTES]}\n[...]\n{text[-SHOWN_BYTES:]}"


def _wait(process: subprocess.Popen[bytes], deadline: float) -> tuple[str | None, float]:
    # How *process* ended, None if it was ended for its time, and its CPU time (with that of children it waited for).
    stopped = False
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        if time.perf_counter() > deadline and not stopped:
            os.killpg(process.pid, signal.SIGKILL)
            stopped = True
        time.sleep(POLL_SECONDS)
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime
    if stopped:
        return None, cpu
    code = process.returncode
    return (f"exit {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"), cpu
