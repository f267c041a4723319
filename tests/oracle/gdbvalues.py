"""Values and memory of a program at ``runtime.mstart`` as gdb sees them natively: a judge that shares no code with us.

gdb runs the program on this kernel, without address randomisation, with the given arguments, environment and affinity.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("gdbscript.py")
TIMEOUT_S = 120


class GdbError(Exception):
    """gdb is not there, or did not do what it was asked to."""


@dataclass(frozen=True, slots=True)
class GdbView:
    """What gdb saw at the stop: *values* by expression, the asked-for *memory* ranges in order."""

    pc: int
    values: dict[str, Any]
    memory: list[bytes]


def view(
    path: Path,
    expressions: Sequence[str] = (),
    *,
    stop: str = "runtime.mstart",
    args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    cpus: Collection[int] | None = None,
    memory: Sequence[tuple[int, int]] = (),
) -> GdbView:
    """Run *path* natively to the entry of the function *stop* and evaluate *expressions* there.

    An expression is what gdb takes, Go's names unquoted: "runtime.sched.maxmcount", "runtime.allp.array[1].id".  One
    that gdb cannot evaluate yields {"error": text}.  argv[0] is the path; *args* follow and hold no white space.  *env*
    is the whole environment.  Raises GdbError when the program does not get there.
    """
    if shutil.which("gdb") is None:
        raise GdbError("gdb is not installed")
    if any(not argument or argument.split() != [argument] for argument in args):
        raise ValueError("gdb without a shell splits arguments at white space")
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.json")
        job = {
            "stop": stop,
            "expressions": {expression: quoted(expression) for expression in expressions},
            "args": list(args),
            "env": dict(env or {}),
            "memory": [list(span) for span in memory],
            "result": str(result),
        }
        _run_gdb(path, job, cpus)
        found = json.loads(result.read_text())
    return GdbView(found["pc"], found["values"], [bytes.fromhex(text) for text in found["memory"]])


def quoted(expression: str) -> str:
    """Quote the package-qualified names of *expression*, which gdb otherwise takes for members of a package."""
    return re.sub(r"(?<![\w.'/])((?:\w+/)*[a-z]\w*\.\w+)", r"'\1'", expression)


def _run_gdb(path: Path, job: dict[str, Any], cpus: Collection[int] | None) -> None:
    # -nx: no start-up files of whoever runs the tests.  What gdb inherits as affinity, the program inherits.
    command = ["gdb", "-nx", "-batch", "-iex", "set auto-load off", "-x", str(SCRIPT), str(path)]
    done = subprocess.run(
        command,
        env={**os.environ, "RT0_GDB_JOB": json.dumps(job), "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        preexec_fn=None if cpus is None else lambda: os.sched_setaffinity(0, cpus),
    )
    if not Path(job["result"]).exists():
        raise GdbError(f"{path.name}: gdb stopped nowhere: {done.stderr.strip() or done.stdout.strip()}")
