"""What a campaign keeps on disk: inputs that showed something new, one file each, named by their content.

Files appear by rename, whole, so that a killed campaign leaves nothing half written and many processes may share a
folder: each reads what the others wrote.  Every byte string is some plan, so no file can be unreadable.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

TEMPORARY = ".new-"


def write_whole(path: Path, data: bytes) -> None:
    """Write *data* to *path* so that other processes, and whoever comes after a crash, see all of it or nothing."""
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    with open(temporary, "wb") as file:
        file.write(data)
    temporary.replace(path)


def sweep(folder: Path) -> None:
    """Remove what killed processes left half written in *folder*; a living one's files have its process id."""
    for path in folder.glob(f"{TEMPORARY}*"):
        owner = path.name.removeprefix(TEMPORARY).partition("-")[0]
        if owner.isdecimal() and Path("/proc", owner).exists():
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


class Corpus:
    """The files of *folder*, which is made if it is not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        self._known: set[str] = set()

    def add(self, data: bytes) -> None:
        """Keep *data*."""
        name = _name(data)
        self._known.add(name)
        if not (self.folder / name).exists():
            write_whole(self.folder / name, data)

    def remove(self, data: bytes) -> None:
        """Keep *data* no longer."""
        (self.folder / _name(data)).unlink(missing_ok=True)

    def fresh(self) -> list[bytes]:
        """Return what the folder holds and neither :meth:`add` nor an earlier call has seen, in order of name."""
        names = sorted(self._names() - self._known)
        self._known.update(names)
        return [data for data in map(self._read, names) if data is not None]

    def _read(self, name: str) -> bytes | None:
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:  # another process minimised the corpus meanwhile
            return None

    def __len__(self) -> int:
        return len(self._names())

    def _names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir() if not path.name.startswith(".")}


def _name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
