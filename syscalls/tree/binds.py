"""Host files and folders that a World shows to the guest, read-only: ``binds``.

A link inside a bind is resolved in the guest's tree, so nothing outside the bind can be reached through one.  Devices,
sockets and pipes of the host are not shown.  Contents are read when a file is opened.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from typing import TYPE_CHECKING

from syscalls.errno import EIO
from syscalls.tree.nodes import Directory, FileNode, Link, Node, TreeError
from syscalls.world import WorldError

if TYPE_CHECKING:
    from pathlib import Path


def node_for(host: str, guest: str, writable: bool) -> Node:
    """What stands at *guest*.

    :raises WorldError: if *host* does not exist, cannot be read or is no file or folder, or if it should be writable.
    """
    from pathlib import Path  # 4 ms to import, and a run without binds does not need it

    if writable:
        raise WorldError("binds", f"{guest} is to be writable", "read-only binds: nothing is written through yet")
    try:
        node = _node(Path(host).resolve(strict=True))
    except (OSError, RuntimeError) as error:
        raise WorldError("binds", f"{host!r} cannot be shown at {guest}: {error}", "a file or folder") from error
    if node is None:
        raise WorldError("binds", f"{host!r} is neither a file nor a folder", "a file or folder")
    return node


def _node(path: Path) -> Node | None:
    status = path.lstat()
    permissions = stat.S_IMODE(status.st_mode)
    if stat.S_ISREG(status.st_mode):
        return FileNode(lambda: _read(path), permissions, status.st_size)
    if stat.S_ISLNK(status.st_mode):
        return Link(str(path.readlink()))
    if stat.S_ISDIR(status.st_mode):
        return Directory({}, permissions, lambda name: _child(path, name), lambda: _names(path))
    return None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TreeError(error.errno or EIO) from error


def _child(folder: Path, name: str) -> Node | None:
    try:
        return _node(folder / name)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise TreeError(getattr(error, "errno", None) or EIO) from error


def _names(folder: Path) -> Iterable[str]:
    try:
        return [child.name for child in folder.iterdir() if _child(folder, child.name) is not None]
    except OSError as error:
        raise TreeError(error.errno or EIO) from error
