"""Cases of the calls that change files, or copy and describe them; see test_calls."""

# Every part of a case is handed the guest, whether it needs it or not.
# ruff: noqa: ARG005

from __future__ import annotations

from syscalls import abi
from syscalls.errno import EBUSY, EEXIST, EINVAL, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, EPERM
from tests.syscalls.bytememory import BAD, BUFFER, Guest
from tests.syscalls.casework import AT, IN, Case, opened, path

SECOND = 2048  # where a second path stands


def second(g: Guest, text: str) -> int:
    """Store another path."""
    return g.put(text.encode() + b"\0", SECOND)


def made(g: Guest, text: str, content: bytes = b"") -> str:
    """Create a file."""
    fd = opened(g, text, abi.O_CREAT | abi.O_WRONLY)
    assert g.call(1, fd, g.put(content or b"\0", IN), len(content)) == len(content)
    assert g.call(3, fd) == 0
    return text


def folder(g: Guest, text: str) -> str:
    """Create a directory."""
    assert g.call(83, path(g, text), 0o755) == 0
    return text


def there(g: Guest, text: str) -> bool:
    """Say whether the tree has *text*, followed or not."""
    return g.kernel.tree.lookup(text, follow=False) is not None


def exchanged(g: Guest) -> tuple[int, ...]:
    """Create a file and a folder, and return the arguments that exchange them."""
    made(g, "/tmp/a")
    folder(g, "/tmp/b")
    return AT, path(g, "/tmp/a"), AT, second(g, "/tmp/b"), abi.RENAME_EXCHANGE


CASES: dict[str, Case] = {
    "getdents": Case(
        lambda g: ((opened(g, "/dev/shm", abi.O_DIRECTORY), BUFFER, 4096), 48),
        lambda g: (opened(g, "/dev/shm"), BAD, 4096),
        lambda g: ((opened(g, "/dev/shm"), BUFFER, 20), EINVAL),
        lambda g: (g.get(3, 18), g.get(1, 23)) == (b".\0\0", b"\4"),
    ),
    "rename": Case(
        lambda g: ((path(g, made(g, "/tmp/a")), second(g, "/tmp/b")), 0),
        lambda g: (path(g, "/tmp"), BAD),
        lambda g: ((path(g, "/tmp"), second(g, "/tmp2")), EBUSY),
        lambda g: there(g, "/tmp/b") and not there(g, "/tmp/a"),
    ),
    "mkdir": Case(
        lambda g: ((path(g, "/tmp/d/"), 0o777), 0), lambda g: (BAD, 0), lambda g: ((path(g, "/tmp"), 0), EEXIST),
        lambda g: g.kernel.tree.resolve("/tmp/d").mode == 0o040755,
    ),
    "rmdir": Case(
        lambda g: ((path(g, folder(g, "/tmp/d")),), 0), lambda g: (BAD,), lambda g: ((path(g, "/bin"),), ENOTEMPTY),
        lambda g: not there(g, "/tmp/d"),
    ),
    "link": Case(
        lambda g: ((path(g, made(g, "/tmp/a")), second(g, "/tmp/b")), 0),
        lambda g: (path(g, "/tmp"), BAD),
        lambda g: ((path(g, "/tmp"), second(g, "/tmp/x")), EPERM),
        lambda g: g.kernel.tree.resolve("/tmp/a") is g.kernel.tree.resolve("/tmp/b"),
    ),
    "unlink": Case(
        lambda g: ((path(g, made(g, "/tmp/a")),), 0), lambda g: (BAD,), lambda g: ((path(g, "/tmp"),), EISDIR),
        lambda g: not there(g, "/tmp/a"),
    ),
    "symlink": Case(
        lambda g: ((path(g, "nowhere"), second(g, "/tmp/l")), 0),
        lambda g: (BAD, second(g, "/tmp/l")),
        lambda g: ((path(g, ""), second(g, "/tmp/l")), ENOENT),
        lambda g: there(g, "/tmp/l"),
    ),
    "mknod": Case(
        lambda g: ((path(g, "/tmp/n"), abi.S_IFREG | 0o666, 0), 0),
        lambda g: (BAD, abi.S_IFREG, 0),
        lambda g: ((path(g, "/tmp/n"), abi.S_IFCHR, 0x103), EPERM),
        lambda g: g.kernel.tree.resolve("/tmp/n").mode == 0o100644,
    ),
    "mkdirat": Case(
        lambda g: ((AT, path(g, "tmp/d"), 0o700), 0), lambda g: (AT, BAD, 0), lambda g: ((AT, path(g, "/"), 0), EEXIST),
        lambda g: g.kernel.tree.resolve("/tmp/d").mode == 0o040700,
    ),
    "mknodat": Case(
        lambda g: ((AT, path(g, "tmp/n"), abi.S_IFIFO | 0o666, 0), 0),
        lambda g: (AT, BAD, 0, 0),
        lambda g: ((AT, path(g, "tmp/n"), abi.S_IFLNK, 0), EINVAL),
        lambda g: g.kernel.tree.resolve("/tmp/n").mode == 0o010644,
    ),
    "unlinkat": Case(
        lambda g: ((AT, path(g, folder(g, "/tmp/d")), abi.AT_REMOVEDIR), 0),
        lambda g: (AT, BAD, 0),
        lambda g: ((AT, path(g, "/tmp"), 1), EINVAL),
        lambda g: not there(g, "/tmp/d"),
    ),
    "renameat": Case(
        lambda g: ((AT, path(g, folder(g, "/tmp/a")), AT, second(g, "/tmp/b")), 0),
        lambda g: (AT, BAD, AT, second(g, "/tmp/b")),
        lambda g: ((AT, path(g, folder(g, "/tmp/a")), AT, second(g, "/tmp/a/b")), EINVAL),
        lambda g: there(g, "/tmp/b") and not there(g, "/tmp/a"),
    ),
    "linkat": Case(
        lambda g: ((AT, path(g, made(g, "/tmp/a")), AT, second(g, "/tmp/b"), 0), 0),
        lambda g: (AT, BAD, AT, second(g, "/tmp/b"), 0),
        lambda g: ((AT, path(g, "/tmp"), AT, second(g, "/tmp/b"), 1), EINVAL),
        lambda g: g.kernel.tree.resolve("/tmp/b").links == 2,
    ),
    "symlinkat": Case(
        lambda g: ((path(g, "/etc"), AT, second(g, "/tmp/l")), 0),
        lambda g: (path(g, "/etc"), AT, BAD),
        lambda g: ((path(g, "/etc"), 0, second(g, "l")), ENOTDIR),
        lambda g: g.kernel.tree.resolve("/tmp/l").path == "/etc",
    ),
    "renameat2": Case(
        lambda g: (exchanged(g), 0),
        lambda g: (AT, BAD, AT, second(g, "/tmp/b"), 0),
        lambda g: ((AT, path(g, "/tmp"), AT, second(g, "/tmp/b"), 8), EINVAL),
        lambda g: (g.kernel.tree.resolve("/tmp/a").mode, g.kernel.tree.resolve("/tmp/b").mode) == (0o040755, 0o100000),
    ),
}  # fmt: skip
