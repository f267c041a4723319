"""What both machines said of one test binary, as a row of docs/generate/suites.json."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from bench.suites.run import Run
from bench.suites.verdicts import differences
from fixtures import store

Json = dict[str, Any]
FILE = Path(__file__).resolve().parent.parent.parent / "docs" / "generate" / "suites.json"


def row(native: Run, emulated: Run) -> Json:
    """JSON-ready, with the verdicts that differ by name."""
    found = differences(native.verdicts, emulated.verdicts)
    tests = len(native.verdicts | emulated.verdicts)
    return {
        "tests": tests,
        "same": tests - len(found),
        "native": _side(native),
        "emulated": _side(emulated),
        "differences": {name: list(pair) for name, pair in found.items()},
    }


def _side(run: Run) -> Json:
    counts = dict.fromkeys(("PASS", "FAIL", "SKIP"), 0)
    for verdict in run.verdicts.values():
        counts[verdict] = counts.get(verdict, 0) + 1
    return {"end": run.end, "wall": round(run.wall, 2), "cpu": round(run.cpu, 2), "verdicts": counts}


def same_end(made: Json) -> bool:
    """Whether both runs of the row *made* ended alike; a shell, too, tells of a signal by 128 and its number."""
    there, here = made["native"]["end"], made["emulated"]["end"]
    if there.startswith("signal "):
        there = f"exit {128 + signal.Signals[there.removeprefix('signal ')]}"
    return bool(there == here)


def key(release: str, package: str) -> str:
    """How the row of *package* in *release* is named."""
    return f"{release} {package}"


def rows() -> dict[str, Json]:
    """Every row that was written."""
    found: dict[str, Json] = json.loads(FILE.read_text()) if FILE.exists() else {}
    return found


def keep(name: str, made: Json) -> None:
    """Write *made* as the row *name*; rows are in order of their names.  Others may do so at the same time."""
    with store.lock("suites-results"):
        rows_now = {**rows(), name: made}
        lines = (f"{json.dumps(key)}: {json.dumps(rows_now[key], separators=(',', ':'))}" for key in sorted(rows_now))
        store.install(FILE, ("{\n" + ",\n".join(lines) + "\n}\n").encode(), 0o644)
