"""Corners of paths that Go's own tests of package os walk into, with what this kernel answers natively."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from syscalls import abi
from syscalls.errno import EISDIR, ENAMETOOLONG
from tests.syscalls.bytememory import BUFFER, Guest, guest
from tests.syscalls.casework import AT, opened, path

STAT, GETCWD, CHDIR, MKDIR, SYMLINK, GETDENTS, OPENAT = 4, 79, 80, 83, 88, 217, 257
LONG = "d" * 200


def names(g: Guest, fd: int) -> Iterator[str]:
    """What getdents64 lists; getdents(2), struct linux_dirent64."""
    while size := g.call(GETDENTS, fd, BUFFER, 4096):
        assert size > 0
        data, at = g.get(size), 0
        while at < size:
            (length,) = struct.unpack_from("<H", data, at + 16)
            yield data[at + 19 : at + length].split(b"\0")[0].decode()
            at += length


def test_the_list_of_descriptors_lists_itself() -> None:
    """A descriptor of /proc/self/fd is one of those that it lists."""
    g = guest()
    fd = opened(g, "/proc/self/fd", abi.O_DIRECTORY)

    assert set(names(g, fd)) == {".", "..", "0", "1", "2", str(fd)}


def test_a_link_to_a_name_and_a_slash_creates_nothing(tmp_path: Path) -> None:
    """O_CREAT through it is EISDIR, natively and here."""
    g = guest()
    assert g.call(SYMLINK, g.put(b"/tmp/name/\0", 512), path(g, "/tmp/link")) == 0
    (tmp_path / "link").symlink_to(f"{tmp_path}/name/")

    with pytest.raises(OSError, match="link") as native:
        os.open(tmp_path / "link", os.O_CREAT | os.O_RDWR)
    assert native.value.errno == EISDIR
    assert g.call(OPENAT, AT, path(g, "/tmp/link"), abi.O_CREAT | abi.O_RDWR, 0o600) == -EISDIR


def test_a_folder_may_be_deeper_than_a_path_is_long() -> None:
    """From where no path leads "." and ".." still do; getcwd says ENAMETOOLONG (getcwd(2), ERRORS)."""
    g = guest()
    assert g.call(CHDIR, path(g, "/tmp")) == 0
    for _ in range(abi.PATH_MAX // len(LONG) + 1):
        assert g.call(MKDIR, path(g, LONG), 0o700) == 0
        assert g.call(CHDIR, path(g, LONG)) == 0

    assert g.call(GETCWD, BUFFER, 8192) == -ENAMETOOLONG
    assert g.call(STAT, path(g, "."), BUFFER) == 0
    assert g.call(CHDIR, path(g, "..")) == 0
    assert g.call(CHDIR, path(g, "..")) == 0
    assert g.call(GETCWD, BUFFER, 8192) > 0
