"""Findings run again: each must end as it did when it was found.

Two ways at once: a boot from the entry point in the finding's World, whose outcome must be the expected one, and the
fuzzed stretch with its judges, whose verdict must be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from emu.boot.boot import boot
from emu.fuzz.finding import BadFinding, Finding, read
from emu.fuzz.oracles import verdict
from emu.fuzz.plan import Plan
from emu.fuzz.target import Target
from emu.image.image import Image, load


class Replayed(NamedTuple):
    """What became of one finding; *problem* is empty when it did the same again."""

    path: Path
    expected: str
    problem: str


class Programs:
    """Programs by their SHA-256: those that were named, and those that findings remember the place of."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._by_sum = {_sum(path): path for path in paths}

    def find(self, finding: Finding, source: Path) -> Path:
        """The program that *finding*, read from *source*, is about; raises BadFinding if it is not at hand."""
        about = finding.about
        if about.sha256 in self._by_sum:
            return self._by_sum[about.sha256]
        remembered = Path(about.path)
        if about.path and remembered.is_file() and _sum(remembered) == about.sha256:
            self._by_sum[about.sha256] = remembered
            return remembered
        raise BadFinding(
            f"{source}: its program, {about.binary} ({about.go}, sha256 {about.sha256[:16]}), is not at hand; "
            "name it with --binary"
        )


def _sum(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BadFinding(f"{path}: {(error.strerror or str(error)).lower()}") from error


def replay(path: Path, programs: Programs, times: int = 1) -> Replayed:
    """Run the finding in the file *path* again, *times* times or until it does something else.

    Raises BadFinding for a file that is none.
    """
    finding = read(path)
    image = load(programs.find(finding, path))
    problem = ""
    for _ in range(times):
        problem = problem or _difference(image, finding)
    return Replayed(path, f"{finding.about.outcome} in {finding.about.function}", problem)


def _difference(image: Image, finding: Finding) -> str:
    # What *finding* does otherwise, on a new machine each time; empty if nothing.
    about = finding.about
    again = verdict(Target(image, finding.world, about.begin, about.until, about.tier).run(Plan()))
    if again.key != about.key:
        return f"{again.kind} in {again.function}: {again.message}"
    outcome = boot(image, finding.world, about.until, capture=False).outcome
    wanted = "reached" if about.kind == "wrong-value" else about.outcome
    if about.kind != "defect" and outcome["kind"] != wanted:
        return f"booted, it ends in {outcome['kind']}: {outcome['message']}"
    return ""
