"""What an analysis cost once, kept by content: one file an image below the user's cache folder.

``$RT0_CACHE`` (a folder, or ``off``), else ``$XDG_CACHE_HOME/rt0``, else ``~/.cache/rt0``.  An entry is named by the
image's SHA-256 and by that of the code which made it, so a change of either never meets an old entry.  Its first line
repeats both and holds the SHA-256 of the rest; whatever does not match is no entry.  Entries appear atomically.  A
folder that cannot be read or written only means that the work is done again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from functools import cache
from pathlib import Path

MAGIC = "rt0-image"
FOLDER = "images"


def folder() -> Path | None:
    """Return where entries are kept, or None if nothing is to be kept."""
    chosen = os.environ.get("RT0_CACHE", "")
    if chosen == "off":
        return None
    if chosen:
        return Path(chosen) / FOLDER
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():  # the XDG specification: relative paths are to be ignored
        return base / "rt0" / FOLDER
    try:
        return Path.home() / ".cache" / "rt0" / FOLDER
    except RuntimeError:  # there is no home folder
        return None


@cache
def code_version() -> str:
    """Return the SHA-256 of this package's sources, and of the index of its reference data: what made an entry."""
    digest = hashlib.sha256()
    package = Path(__file__).parent
    for source in sorted((*package.rglob("*.py"), *package.rglob("index.json"))):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def load(sha256: str) -> dict[str, str] | None:
    """Return the parts kept for the image *sha256*; None if there is no entry, or not a sound one."""
    where = folder()
    if where is None:
        return None
    try:
        raw = (where / _name(sha256)).read_bytes()
    except OSError:
        return None
    head, _, payload = raw.partition(b"\n")
    if head != _head(sha256, payload):
        return None
    sizes, _, text = payload.partition(b"\n")
    parts, at = {}, 0
    for name, size in json.loads(sizes):
        parts[name] = text[at : at + size].decode()
        at += size
    return parts


def store(sha256: str, parts: dict[str, str]) -> bool:
    """Keep *parts* for the image *sha256*; return False if the folder cannot be written."""
    where = folder()
    if where is None:
        return False
    encoded = [(name, text.encode()) for name, text in parts.items()]
    payload = json.dumps([(name, len(text)) for name, text in encoded]).encode() + b"\n"
    payload += b"".join(text for _, text in encoded)
    path = where / _name(sha256)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.write_bytes(_head(sha256, payload) + b"\n" + payload)
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        return False
    return True


def _name(sha256: str) -> str:
    return f"{sha256}-{code_version()[:16]}"


def _head(sha256: str, payload: bytes) -> bytes:
    return f"{MAGIC} {sha256} {code_version()} {hashlib.sha256(payload).hexdigest()}".encode()
