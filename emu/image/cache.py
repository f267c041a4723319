"""What an analysis cost once, kept by content: one file an image below the user's cache folder.

``$RT0_CACHE`` (a folder, or ``off``), else ``$XDG_CACHE_HOME/rt0``, else ``~/.cache/rt0``.  An entry is named by the
image's SHA-256 and by the version of the code which made it, so a change of either never meets an old entry.  Its first
line repeats both and holds the SHA-256 of the rest; whatever does not match is no entry.  Entries appear atomically.  A
folder that cannot be read or written only means that the work is done again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from functools import cache

MAGIC = "rt0-image"
FOLDER = "images"
MADE_BY = (".py", "index.json")


def folder() -> str | None:
    """Return where entries are kept, or None if nothing is to be kept."""
    chosen = os.environ.get("RT0_CACHE", "")
    if chosen == "off":
        return None
    if chosen:
        return os.path.join(chosen, FOLDER)
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # the XDG specification: relative paths are to be ignored
        return os.path.join(base, "rt0", FOLDER)
    home = os.path.expanduser("~")
    return os.path.join(home, ".cache", "rt0", FOLDER) if os.path.isabs(home) else None


@cache
def code_version() -> str:
    """Return a digest of this package's sources and of the index of its reference data: what made an entry.

    Of their names, sizes and times: reading them all would take 3 ms of every start.
    """
    package = os.path.dirname(os.path.abspath(__file__))
    digest = hashlib.sha256()
    for name, status in sorted(_files(package)):
        digest.update(f"{name} {status}\n".encode())
    return digest.hexdigest()


def _files(package: str, below: str = "") -> Iterator[tuple[str, str]]:
    with os.scandir(os.path.join(package, below)) as entries:
        for entry in entries:
            name = f"{below}/{entry.name}" if below else entry.name
            if entry.is_dir():
                yield from _files(package, name)
            elif entry.name.endswith(MADE_BY):
                status = entry.stat()
                yield name, f"{status.st_size} {status.st_mtime_ns}"


def load(sha256: str) -> dict[str, str] | None:
    """Return the parts kept for the image *sha256*; None if there is no entry, or not a sound one."""
    where = folder()
    if where is None:
        return None
    try:
        with open(os.path.join(where, _name(sha256)), "rb") as file:
            raw = file.read()
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
    path = os.path.join(where, _name(sha256))
    temporary = f"{path}.{os.getpid()}.{os.urandom(4).hex()}"
    try:
        os.makedirs(where, mode=0o700, exist_ok=True)
        with open(temporary, "xb") as file:
            file.write(_head(sha256, payload) + b"\n" + payload)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        return False
    return True


def _name(sha256: str) -> str:
    return f"{sha256}-{code_version()[:16]}"


def _head(sha256: str, payload: bytes) -> bytes:
    return f"{MAGIC} {sha256} {code_version()} {hashlib.sha256(payload).hexdigest()}".encode()
