"""Cases of the calls that change files, or copy and describe them; see test_calls."""

# Every part of a case is handed the guest, whether it needs it or not.
# ruff: noqa: ARG005

from __future__ import annotations

import struct

from syscalls import abi
from syscalls.errno import (
    EBADF,
    EBUSY,
    EEXIST,
    EINVAL,
    EISDIR,
    ENODATA,
    ENOENT,
    ENOTDIR,
    ENOTEMPTY,
    EOPNOTSUPP,
    EPERM,
    ERANGE,
    ESPIPE,
)  # fmt: skip
from syscalls.tree import Node, StoredFile
from syscalls.world import World
from tests.syscalls.bytememory import BAD, BUFFER, Guest
from tests.syscalls.casework import AT, IN, MINUS, Case, iovec, opened, path

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


OFF = 3000  # where an offset or times stand
NS = 1_000_000_000
NOW = World().clock.realtime
PROC = "/proc/version"


def node(g: Guest, text: str) -> Node:
    """What the tree has at *text*, not followed."""
    return g.kernel.tree.resolve(text, follow=False)


def content(g: Guest, text: str) -> bytes:
    """The bytes of a file."""
    found = node(g, text)
    assert isinstance(found, StoredFile)
    return found.content()


def owner(g: Guest, text: str) -> tuple[int, int]:
    """User and group of a file."""
    meta = node(g, text).meta
    assert meta is not None
    return meta.uid, meta.gid


def times(g: Guest, text: str) -> tuple[int, int]:
    """When a file was read and written."""
    meta = node(g, text).meta
    assert meta is not None
    return meta.atime, meta.mtime


def reading(g: Guest, data: bytes) -> int:
    """A descriptor of a file that holds *data*."""
    return opened(g, made(g, "/tmp/r", data))


def writing(g: Guest, data: bytes) -> int:
    """A descriptor, open for reading and writing, of a file that holds *data*."""
    return opened(g, made(g, "/tmp/w", data), abi.O_RDWR)


def linked(g: Guest) -> str:
    """Create a link that leads nowhere."""
    assert g.call(88, path(g, "nowhere"), second(g, "/tmp/l")) == 0
    return "/tmp/l"


def offset(g: Guest, value: int) -> int:
    """Store an offset."""
    return g.put(struct.pack("<q", value), OFF)


def how(g: Guest, *values: int) -> int:
    """Store a struct open_how."""
    return g.put(abi.OPEN_HOW.pack(*(*values, 0)[:3]), OFF)


def xattr(g: Guest, name: str = "user.x") -> tuple[int, int]:
    """A path, and the name of an attribute."""
    return path(g, "/tmp"), second(g, name)


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
} | {
    "sendfile": Case(
        lambda g: ((1, reading(g, b"0123456789"), offset(g, 4), 100), 6),
        lambda g: (1, reading(g, b"x"), BAD, 1),
        lambda g: ((1, 0, 0, 1), EINVAL),
        lambda g: g.kernel.output == [(1, b"456789")] and g.get(8, OFF) == bytes((10,)) + bytes(7),
    ),
    "flock": Case(
        lambda g: ((reading(g, b""), abi.LOCK_EX | abi.LOCK_NB), 0), None,
        lambda g: ((reading(g, b""), abi.LOCK_EX | abi.LOCK_SH), EINVAL), lambda g: len(g.kernel.locks) == 1,
    ),
    "fsync": Case(lambda g: ((reading(g, b""),), 0), None, lambda g: ((1,), EINVAL)),
    "fdatasync": Case(lambda g: ((reading(g, b""),), 0), None, lambda g: ((77,), EBADF)),
    "truncate": Case(
        lambda g: ((path(g, made(g, "/tmp/a", b"12345")), 3), 0), lambda g: (BAD, 3),
        lambda g: ((path(g, "/tmp"), 3), EISDIR), lambda g: content(g, "/tmp/a") == b"123",
    ),
    "ftruncate": Case(
        lambda g: ((writing(g, b"12345"), 7), 0), None, lambda g: ((reading(g, b"12345"), 7), EINVAL),
        lambda g: content(g, "/tmp/w") == b"12345\0\0",
    ),
    "chmod": Case(
        lambda g: ((path(g, made(g, "/tmp/a")), 0o4751), 0), lambda g: (BAD, 0), lambda g: ((path(g, PROC), 0), EPERM),
        lambda g: node(g, "/tmp/a").mode == 0o104751,
    ),
    "fchmod": Case(
        lambda g: ((reading(g, b""), 0o600), 0), None, lambda g: ((opened(g, "/tmp", abi.O_PATH), 0), EBADF),
        lambda g: node(g, "/tmp/r").mode == 0o100600,
    ),
    "chown": Case(
        lambda g: ((path(g, made(g, "/tmp/a")), 5, MINUS), 0), lambda g: (BAD, 0, 0),
        lambda g: ((path(g, PROC), 0, 0), EPERM), lambda g: owner(g, "/tmp/a") == (5, 0),
    ),
    "fchown": Case(
        lambda g: ((reading(g, b""), 5, 6), 0), None, lambda g: ((77, 0, 0), EBADF),
        lambda g: owner(g, "/tmp/r") == (5, 6),
    ),
    "lchown": Case(
        lambda g: ((path(g, linked(g)), 5, 6), 0), lambda g: (BAD, 0, 0), lambda g: ((path(g, "/tmp/x"), 0, 0), ENOENT),
        lambda g: owner(g, "/tmp/l") == (5, 6),
    ),
    "utime": Case(
        lambda g: ((path(g, made(g, "/tmp/a")), g.put(abi.UTIMBUF.pack(7, 9), OFF)), 0),
        lambda g: (path(g, "/tmp"), BAD), lambda g: ((path(g, "/tmp/x"), 0), ENOENT),
        lambda g: times(g, "/tmp/a") == (7 * NS, 9 * NS),
    ),
    "statfs": Case(
        lambda g: ((path(g, "/tmp"), BUFFER), 0), lambda g: (path(g, "/tmp"), BAD),
        lambda g: ((path(g, "/tmp/x"), BUFFER), ENOENT),
        lambda g: abi.STATFS.unpack(g.get(120))[:5] == (0x0102_1994, 4096, 1 << 19, 1 << 19, 1 << 19),
    ),
    "fstatfs": Case(
        lambda g: ((opened(g, PROC), BUFFER), 0), lambda g: (opened(g, PROC), BAD), lambda g: ((77, BUFFER), EBADF),
        lambda g: abi.STATFS.unpack(g.get(120))[0] == 0x9FA0,
    ),
    "sync": Case(lambda g: ((), 0)),
    "readahead": Case(lambda g: ((reading(g, b"x"), 0, 100), 0), None, lambda g: ((0, 0, 1), EINVAL)),
    "setxattr": Case(
        lambda g: ((*xattr(g), 0, 0, 0), -EOPNOTSUPP), lambda g: (path(g, "/tmp"), BAD, 0, 0, 0),
        lambda g: ((*xattr(g), 0, 0, 4), EINVAL),
    ),
    "lsetxattr": Case(
        lambda g: ((*xattr(g), 0, 0, 0), -EOPNOTSUPP), lambda g: (BAD, 0, 0, 0, 0),
        lambda g: ((*xattr(g), 0, 0, 4), EINVAL),
    ),
    "fsetxattr": Case(
        lambda g: ((reading(g, b""), xattr(g)[1], 0, 0, 0), -EOPNOTSUPP), lambda g: (reading(g, b""), BAD, 0, 0, 0),
        lambda g: ((77, xattr(g)[1], 0, 0, 0), EBADF),
    ),
    "getxattr": Case(
        lambda g: ((*xattr(g), BUFFER, 9), -ENODATA), lambda g: (path(g, "/tmp"), BAD, 0, 0),
        lambda g: ((*xattr(g, "nospace"), BUFFER, 9), EOPNOTSUPP),
    ),
    "lgetxattr": Case(
        lambda g: ((*xattr(g), BUFFER, 9), -ENODATA), lambda g: (BAD, 0, 0, 0),
        lambda g: ((*xattr(g, "user."), BUFFER, 9), EOPNOTSUPP),
    ),
    "fgetxattr": Case(
        lambda g: ((reading(g, b""), xattr(g)[1], 0, 0), -ENODATA), lambda g: (reading(g, b""), BAD, 0, 0),
        lambda g: ((reading(g, b""), xattr(g, "")[1], 0, 0), ERANGE),
    ),
    "listxattr": Case(
        lambda g: ((path(g, "/tmp"), BUFFER, 9), 0), lambda g: (BAD, 0, 0), lambda g: ((path(g, "/x"), 0, 0), ENOENT)
    ),
    "llistxattr": Case(
        lambda g: ((path(g, linked(g)), BUFFER, 9), 0), lambda g: (BAD, 0, 0), lambda g: ((path(g, "/x"), 0, 0), ENOENT)
    ),
    "flistxattr": Case(lambda g: ((reading(g, b""), BUFFER, 9), 0), None, lambda g: ((77, BUFFER, 9), EBADF)),
    "removexattr": Case(
        lambda g: (xattr(g), -ENODATA), lambda g: (BAD, 0), lambda g: (xattr(g, "x.y"), EOPNOTSUPP)
    ),
    "lremovexattr": Case(
        lambda g: (xattr(g), -ENODATA), lambda g: (BAD, 0), lambda g: (xattr(g, "x.y"), EOPNOTSUPP)
    ),
    "fremovexattr": Case(
        lambda g: ((reading(g, b""), xattr(g)[1]), -ENODATA), lambda g: (reading(g, b""), BAD),
        lambda g: ((77, xattr(g)[1]), EBADF),
    ),
    "fadvise64": Case(lambda g: ((reading(g, b"x"), 0, 0, 2), 0), None, lambda g: ((0, 0, 0, 2), ESPIPE)),
    "utimes": Case(
        lambda g: ((path(g, made(g, "/tmp/a")), g.put(struct.pack("<4q", 7, 1, 9, 2), OFF)), 0),
        lambda g: (path(g, "/tmp"), BAD),
        lambda g: ((path(g, "/tmp"), g.put(struct.pack("<4q", 7, 1_000_000, 9, 2), OFF)), EINVAL),
        lambda g: times(g, "/tmp/a") == (7 * NS + 1000, 9 * NS + 2000),
    ),
    "fchownat": Case(
        lambda g: ((AT, path(g, linked(g)), 5, 6, abi.AT_SYMLINK_NOFOLLOW), 0), lambda g: (AT, BAD, 0, 0, 0),
        lambda g: ((AT, path(g, "/tmp"), 0, 0, 1), EINVAL), lambda g: owner(g, "/tmp/l") == (5, 6),
    ),
    "futimesat": Case(
        lambda g: ((reading(g, b""), 0, 0), 0), lambda g: (AT, 0, 0), lambda g: ((77, 0, 0), EBADF),
        lambda g: times(g, "/tmp/r") == (NOW, NOW),
    ),
    "fchmodat": Case(
        lambda g: ((AT, path(g, made(g, "/tmp/a")), 0o711), 0), lambda g: (AT, BAD, 0),
        lambda g: ((1, path(g, "x"), 0), ENOTDIR), lambda g: node(g, "/tmp/a").mode == 0o100711,
    ),
    "sync_file_range": Case(lambda g: ((reading(g, b""), 0, 0, 7), 0), None, lambda g: ((1, 0, 0, 0), ESPIPE)),
    "utimensat": Case(
        lambda g: ((AT, path(g, made(g, "/tmp/a")), g.put(struct.pack("<4q", 7, 1, 9, abi.UTIME_OMIT), OFF), 0), 0),
        lambda g: (AT, path(g, "/tmp"), BAD, 0),
        lambda g: ((AT, path(g, "/tmp"), g.put(struct.pack("<4q", 7, NS, 9, 2), OFF), 0), EINVAL),
        lambda g: times(g, "/tmp/a") == (7 * NS + 1, NOW),
    ),
    "fallocate": Case(
        lambda g: ((writing(g, b"12345"), 0, 8190, 4), 0), None,
        lambda g: ((writing(g, b""), abi.FALLOC_FL_PUNCH_HOLE, 0, 1), EOPNOTSUPP),
        lambda g: (node(g, "/tmp/w").size, node(g, "/tmp/w").blocks) == (8194, 24),
    ),
    "preadv": Case(
        lambda g: ((reading(g, b"0123456789"), iovec(g, (BUFFER, 3), (BUFFER + 8, 100)), 2, 4), 6),
        lambda g: (reading(g, b"0123456789"), iovec(g, (BAD, 3)), 1, 0),
        lambda g: ((reading(g, b""), 0, 0, MINUS), EINVAL),
        lambda g: (g.get(3), g.get(3, 8)) == (b"456", b"789"),
    ),
    "pwritev": Case(
        lambda g: ((writing(g, b"0123456789"), iovec(g, (g.put(b"abc", 8), 2), (BUFFER + 10, 1)), 2, 4), 3),
        lambda g: (writing(g, b""), iovec(g, (BAD, 3)), 1, 0),
        lambda g: ((1, 0, 0, 0), ESPIPE),
        lambda g: content(g, "/tmp/w") == b"0123abc789",
    ),
    "name_to_handle_at": Case(
        lambda g: ((AT, path(g, "/tmp"), BUFFER, BUFFER, 0), -EOPNOTSUPP), lambda g: (AT, BAD, 0, 0, 0),
        lambda g: ((AT, path(g, "/tmp"), 0, 0, 1), EINVAL),
    ),
    "syncfs": Case(lambda g: ((reading(g, b""),), 0), None, lambda g: ((77,), EBADF)),
    "memfd_create": Case(
        lambda g: ((path(g, "name"), abi.MFD_CLOEXEC), 3), lambda g: (BAD, 0),
        lambda g: ((path(g, "x" * 250), 0), EINVAL),
        lambda g: g.kernel.files.get(3).facts.place == "/memfd:name (deleted)" and g.kernel.files.closes_on_exec(3),
    ),
    "copy_file_range": Case(
        lambda g: ((reading(g, b"0123456789"), offset(g, 4), writing(g, b"abc"), 0, 4, 0), 4),
        lambda g: (reading(g, b"x"), BAD, writing(g, b""), 0, 1, 0),
        lambda g: ((reading(g, b"x"), 0, 1, 0, 1, 0), EINVAL),
        lambda g: content(g, "/tmp/w") == b"4567" and g.get(8, OFF) == bytes((8,)) + bytes(7),
    ),
    "preadv2": Case(
        lambda g: ((reading(g, b"0123456789"), iovec(g, (BUFFER, 3)), 1, MINUS, 0, 0), 3),
        lambda g: (reading(g, b"0123456789"), iovec(g, (BAD, 3)), 1, 0, 0, 0),
        lambda g: ((reading(g, b""), 0, 0, 0, 0, abi.RWF_APPEND), EOPNOTSUPP),
        lambda g: g.get(3) == b"012" and g.kernel.files.get(3).position == 3,
    ),
    "pwritev2": Case(
        lambda g: ((writing(g, b"0123456789"), iovec(g, (g.put(b"abc", 8), 3)), 1, MINUS, 0, abi.RWF_SYNC), 3),
        lambda g: (writing(g, b""), iovec(g, (BAD, 3)), 1, 0, 0, 0),
        lambda g: ((writing(g, b""), 0, 0, 0, 0, 64), EOPNOTSUPP),
        lambda g: content(g, "/tmp/w") == b"abc3456789",
    ),
    "statx": Case(
        lambda g: ((AT, path(g, made(g, "/tmp/a", b"123")), 0, 0xFFF, BUFFER), 0),
        lambda g: (AT, path(g, "/tmp"), 0, 0xFFF, BAD),
        lambda g: ((AT, path(g, "/tmp"), 0x6000, 0, BUFFER), EINVAL),
        lambda g: abi.STATX.unpack(g.get(256))[6:9:2] == (0o100000, 3) and g.get(2) == b"\xff\x0f",
    ),
    "openat2": Case(
        lambda g: ((AT, path(g, "/tmp/n"), how(g, abi.O_CREAT | abi.O_RDWR, 0o640), 24), 3),
        lambda g: (AT, path(g, "/tmp/n"), BAD, 24),
        lambda g: ((AT, path(g, "/tmp"), how(g, 0, 0, 64), 24), EINVAL),
        lambda g: node(g, "/tmp/n").mode == 0o100640,
    ),
}  # fmt: skip
