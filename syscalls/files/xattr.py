"""Extended attributes, of which no file has any and none can be made: ENODATA and EOPNOTSUPP.  xattr(7).

The names of the three spaces that a file system may keep are looked for, and not found; every other is not supported.
"""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import EINVAL, ENODATA, EOPNOTSUPP, ERANGE, SyscallError
from syscalls.files.attributes import node_at, node_of_fd
from syscalls.light import TYPE_CHECKING

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

SPACES = (b"security", b"trusted", b"user")
NAME_MAX = 255


def check_name(name: bytes) -> None:
    """Raise ERANGE or EOPNOTSUPP for *name*, unless a file could have it."""
    if not name or len(name) > NAME_MAX:
        raise SyscallError(ERANGE)
    space, _, rest = name.partition(b".")
    if space not in SPACES or not rest:
        raise SyscallError(EOPNOTSUPP)


def find_none(k: Kernel, path: bytes, name: bytes, *, follow: bool) -> int:
    """Raise what looking for an attribute of the file at *path* ends with."""
    check_name(name)
    node_at(k, abi.AT_FDCWD, path, follow)
    raise SyscallError(ENODATA)


def make_none(k: Kernel, path: bytes, name: bytes, flags: int, *, follow: bool) -> int:
    """Raise what making an attribute of the file at *path* ends with."""
    if flags & ~3:
        raise SyscallError(EINVAL)
    check_name(name)
    node_at(k, abi.AT_FDCWD, path, follow)
    raise SyscallError(EOPNOTSUPP)


def getxattr(k: Kernel, t: Task, path: bytes, name: bytes, addr: int, size: int) -> int:
    """Find no such attribute: ENODATA; getxattr(2)."""
    return find_none(k, path, name, follow=True)


def lgetxattr(k: Kernel, t: Task, path: bytes, name: bytes, addr: int, size: int) -> int:
    """Find no such attribute: ENODATA; getxattr(2)."""
    return find_none(k, path, name, follow=False)


def fgetxattr(k: Kernel, t: Task, fd: int, name: bytes, addr: int, size: int) -> int:
    """Find no such attribute: ENODATA; getxattr(2)."""
    node_of_fd(k, fd)
    check_name(name)
    raise SyscallError(ENODATA)


def setxattr(k: Kernel, t: Task, path: bytes, name: bytes, addr: int, size: int, flags: int) -> int:
    """Refuse to make an attribute: EOPNOTSUPP; setxattr(2)."""
    return make_none(k, path, name, flags, follow=True)


def lsetxattr(k: Kernel, t: Task, path: bytes, name: bytes, addr: int, size: int, flags: int) -> int:
    """Refuse to make an attribute: EOPNOTSUPP; setxattr(2)."""
    return make_none(k, path, name, flags, follow=False)


def fsetxattr(k: Kernel, t: Task, fd: int, name: bytes, addr: int, size: int, flags: int) -> int:
    """Refuse to make an attribute: EOPNOTSUPP; setxattr(2)."""
    if flags & ~3:
        raise SyscallError(EINVAL)
    node_of_fd(k, fd)
    check_name(name)
    raise SyscallError(EOPNOTSUPP)


def listxattr(k: Kernel, t: Task, path: bytes, addr: int, size: int) -> int:
    """List no attributes; listxattr(2)."""
    node_at(k, abi.AT_FDCWD, path, True)
    return 0


def llistxattr(k: Kernel, t: Task, path: bytes, addr: int, size: int) -> int:
    """List no attributes; listxattr(2)."""
    node_at(k, abi.AT_FDCWD, path, False)
    return 0


def flistxattr(k: Kernel, t: Task, fd: int, addr: int, size: int) -> int:
    """List no attributes; listxattr(2)."""
    node_of_fd(k, fd)
    return 0


def removexattr(k: Kernel, t: Task, path: bytes, name: bytes) -> int:
    """Find no such attribute: ENODATA; removexattr(2)."""
    return getxattr(k, t, path, name, 0, 0)


def lremovexattr(k: Kernel, t: Task, path: bytes, name: bytes) -> int:
    """Find no such attribute: ENODATA; removexattr(2)."""
    return lgetxattr(k, t, path, name, 0, 0)


def fremovexattr(k: Kernel, t: Task, fd: int, name: bytes) -> int:
    """Find no such attribute: ENODATA; removexattr(2)."""
    return fgetxattr(k, t, fd, name, 0, 0)


def name_to_handle_at(k: Kernel, t: Task, dirfd: int, path: bytes, handle: int, mount: int, flags: int) -> int:
    """Refuse: no file system here gives handles; open_by_handle_at(2)."""
    if flags & ~(abi.AT_SYMLINK_FOLLOW | abi.AT_EMPTY_PATH):
        raise SyscallError(EINVAL)
    node_at(k, dirfd, path, bool(flags & abi.AT_SYMLINK_FOLLOW), bool(flags & abi.AT_EMPTY_PATH))
    raise SyscallError(EOPNOTSUPP)
