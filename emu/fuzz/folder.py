"""The folder of a campaign: what is asked for, what it holds, and the sum of what was done.

::

    corpus/            inputs that showed something new; shared by all processes, and by the next campaign
    findings/NAME/     world.toml, record.json, README.md
    pending/           found, not yet made small: what a killed campaign leaves, and its successor finishes
    state/N.json       what process N did so far
    summary.json       the sum of it, kept current

Everything is written by rename at once, so that whatever kills a campaign, nothing that was found is lost.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emu.fuzz.corpus import Corpus, sweep, write_whole
from emu.fuzz.finding import About, BadFinding, about_of
from syscalls.world import World


@dataclass(frozen=True, slots=True)
class Settings:
    """What a campaign is asked to do."""

    binary: Path
    out: Path
    world: World
    begin: str
    until: str
    tier: str
    seed: int = 0
    seconds: float | None = None
    max_runs: int | None = None  # of all processes together
    jobs: int = 1
    also: tuple[Path, ...] = ()
    merge: tuple[Path, ...] = ()
    vary_world: bool = False
    engine: str = "plain"
    blind: bool = False  # the baseline: random plans


@dataclass(frozen=True, slots=True)
class Summary:
    """What ``summary.json`` says."""

    executions: int
    seconds: float
    edges: int
    corpus: int
    findings: tuple[dict[str, str], ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        rate = self.executions / self.seconds if self.seconds else 0.0
        return {
            "executions": self.executions,
            "seconds": round(self.seconds, 3),
            "executions_per_second": round(rate, 1),
            "edges": self.edges,
            "corpus": self.corpus,
            "findings": list(self.findings),
        }


def prepare(settings: Settings) -> None:
    """Make the folder; copy what is to be merged into the corpus."""
    for name in ("findings", "pending", "state"):
        (settings.out / name).mkdir(parents=True, exist_ok=True)
        sweep(settings.out / name)
    corpus = Corpus(settings.out / "corpus")
    for folder in settings.merge:
        below = folder / "corpus"
        for data in Corpus(below if below.is_dir() else folder).fresh():
            corpus.add(data)


def read_state(path: Path) -> dict[str, float]:
    """What the process whose state is in the file *path* did so far; nothing without such a file, or if it is damaged.

    All that is lost then are counts, which the campaign goes on without.
    """
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, int | float)}


@functools.cache
def _about(path: Path) -> About:
    # Twice a second for every finding there is: the files do not change while the campaign runs.
    return about_of(path)


def summarise(out: Path) -> Summary:
    """Sum up the campaign in the folder *out*, and write its ``summary.json``."""
    # Not what another process is about to put there: its name begins with a dot, which glob does not mind.
    states = [read_state(path) for path in sorted((out / "state").glob("[!.]*.json"))]
    findings = []
    for folder in sorted((out / "findings").iterdir()):
        if folder.name.startswith("."):
            continue
        try:
            about = _about(folder / "world.toml")
        except BadFinding:  # somebody edited it; `rt0 replay` says what is wrong
            continue
        row = {"name": folder.name, "outcome": about.outcome, "function": about.function, "tier": about.tier}
        findings.append(row)
    summary = Summary(
        int(sum(state.get("executions", 0) for state in states)),
        max((state.get("seconds", 0.0) for state in states), default=0.0),
        int(max((state.get("edges", 0) for state in states), default=0)),
        len(Corpus(out / "corpus")),
        tuple(findings),
    )
    write_whole(out / "summary.json", (json.dumps(summary.as_dict(), sort_keys=True, indent=1) + "\n").encode())
    return summary
