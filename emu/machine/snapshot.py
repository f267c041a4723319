"""Snapshots of a whole machine: taken in microseconds, restored by copying back only what was dirtied since."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from emu.machine.machine import Machine


class SnapshotError(ValueError):
    """A snapshot's file that cannot be used; one line that says which and why."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of one machine at one moment."""


def take(machine: Machine) -> Snapshot:
    """Return the state of *machine*, which is not running."""
    raise NotImplementedError


def restore(machine: Machine, snapshot: Snapshot) -> None:
    """Make *machine* what it was when *snapshot* was taken; translated code is kept."""
    raise NotImplementedError


def to_file(snapshot: Snapshot, path: Path) -> None:
    """Write *snapshot* to *path*."""
    raise NotImplementedError


def from_file(path: Path, machine: Machine) -> Snapshot:
    """Read a snapshot for *machine*; raises SnapshotError."""
    raise NotImplementedError
