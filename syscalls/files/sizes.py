"""How long a file is, and the space behind it: truncate, fallocate, and the calls that make it last.

Sources: the man pages; fs/open.c of Linux 6.1 (read).
"""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import (
    EACCES,
    EBADF,
    EFBIG,
    EINVAL,
    EISDIR,
    ENODEV,
    EOPNOTSUPP,
    ESPIPE,
    ETXTBSY,
    SyscallError,
)  # fmt: skip
from syscalls.files.attributes import node_at
from syscalls.files.opened import DISK, Directory, OpenFile, Plain
from syscalls.files.paths import filesystem_of, may
from syscalls.light import TYPE_CHECKING
from syscalls.sending import send

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task
    from syscalls.tree import StoredFile

MAX_SIZE = (1 << 63) - 1  # MAX_LFS_FILESIZE
FALLOCATE_MODES = (
    0,
    abi.FALLOC_FL_KEEP_SIZE,
    abi.FALLOC_FL_KEEP_SIZE | abi.FALLOC_FL_PUNCH_HOLE,
    abi.FALLOC_FL_ZERO_RANGE,
    abi.FALLOC_FL_ZERO_RANGE | abi.FALLOC_FL_KEEP_SIZE,
)


def check_size(k: Kernel, t: Task, size: int) -> None:
    """Raise EFBIG, and send SIGXFSZ, where a file may not become *size* bytes long; setrlimit(2)."""
    limit = k.rlimits[abi.RLIMIT_FSIZE][0]
    if size > limit:
        send(k, t, abi.SIGXFSZ)
        raise SyscallError(EFBIG)


def room(k: Kernel, t: Task, file: OpenFile, at: int, size: int) -> int:
    """Return how many of *size* bytes may be written at *at* under RLIMIT_FSIZE; EFBIG for none."""
    limit = k.rlimits[abi.RLIMIT_FSIZE][0]
    if not isinstance(file, Plain) or not size or at + size <= limit:
        return size
    if at >= limit:
        check_size(k, t, at + size)
    return limit - at


def truncate(k: Kernel, t: Task, path: bytes, size: int) -> int:
    """Let the file at *path* be *size* bytes long; truncate(2)."""
    from syscalls.tree import StoredFile

    if size < 0:
        raise SyscallError(EINVAL)
    node = node_at(k, abi.AT_FDCWD, path, True)
    if node.kind == abi.S_IFDIR:
        raise SyscallError(EISDIR)
    if node.kind != abi.S_IFREG:
        raise SyscallError(EINVAL)
    if not may(k, node, abi.W_OK):
        raise SyscallError(EACCES)
    if not isinstance(node, StoredFile) or filesystem_of(k, node) != DISK:
        raise SyscallError(EACCES)
    if node.born == k.program.exe:
        raise SyscallError(ETXTBSY)
    if size > node.size:
        check_size(k, t, size)
    node.truncate(size)
    return 0


def writable(k: Kernel, fd: int, closed: int) -> StoredFile:
    """Return the file behind *fd*, which is open for writing, else raise *closed*; EINVAL for what has no size."""
    file = k.files.usable(fd)
    if not isinstance(file, Plain):
        raise SyscallError(EINVAL)
    if not file.writable:
        raise SyscallError(closed)
    return file.stored


def ftruncate(k: Kernel, t: Task, fd: int, size: int) -> int:
    """Let an open file be *size* bytes long; ftruncate(2)."""
    if size < 0:
        raise SyscallError(EINVAL)
    stored = writable(k, fd, EINVAL)
    if size > stored.size:
        check_size(k, t, size)
    stored.truncate(size)
    return 0


def fallocate(k: Kernel, t: Task, fd: int, mode: int, offset: int, size: int) -> int:
    """Give a range of a file space, or zeros, or make it a hole; fallocate(2)."""
    if offset < 0 or size <= 0:
        raise SyscallError(EINVAL)
    if mode not in FALLOCATE_MODES:
        raise SyscallError(EOPNOTSUPP)
    file = k.files.get(fd)
    if not file.writable:
        raise SyscallError(EBADF)
    if not file.seekable:
        raise SyscallError(ESPIPE)
    if not isinstance(file, Plain):
        raise SyscallError(ENODEV)
    if offset + size > MAX_SIZE:
        raise SyscallError(EFBIG)
    stored, keep = file.stored, bool(mode & abi.FALLOC_FL_KEEP_SIZE)
    if not keep and offset + size > stored.size:
        check_size(k, t, offset + size)
    if mode & (abi.FALLOC_FL_PUNCH_HOLE | abi.FALLOC_FL_ZERO_RANGE):
        stored.punch(offset, size)
    if not mode & abi.FALLOC_FL_PUNCH_HOLE:
        stored.allocate(offset, size, keep)
    return 0


# Making it last


def syncable(k: Kernel, fd: int, other: int) -> OpenFile:
    """Return the file behind *fd*, if there is something that could be written back; *other* for pipes and devices."""
    file = k.files.usable(fd)
    if not isinstance(file, Plain | Directory):
        raise SyscallError(other)
    return file


def fsync(k: Kernel, t: Task, fd: int) -> int:
    """Let what was written to an open file last; fsync(2)."""
    file = syncable(k, fd, EINVAL)
    if isinstance(file, Plain):
        file.stored.sync()
    return 0


def sync(k: Kernel, t: Task) -> int:
    """Let everything that was written last; sync(2)."""
    return 0


def syncfs(k: Kernel, t: Task, fd: int) -> int:
    """Let everything on the file system of *fd* last; syncfs(2)."""
    k.files.usable(fd)
    return 0


def sync_file_range(k: Kernel, t: Task, fd: int, offset: int, size: int, flags: int) -> int:
    """Let a range of an open file last; sync_file_range(2)."""
    if flags & ~7 or offset < 0 or size < 0:
        raise SyscallError(EINVAL)
    syncable(k, fd, ESPIPE)
    return 0


# What will be needed


def fadvise64(k: Kernel, t: Task, fd: int, offset: int, size: int, advice: int) -> int:
    """Take advice of how a file will be read, which changes nothing; posix_fadvise(2)."""
    file = k.files.usable(fd)
    if not file.seekable:
        raise SyscallError(ESPIPE)
    if size < 0 or not 0 <= advice <= 5:
        raise SyscallError(EINVAL)
    return 0


def readahead(k: Kernel, t: Task, fd: int, offset: int, size: int) -> int:
    """Have a range of a file in memory, where it is already; readahead(2)."""
    file = k.files.get(fd)
    if not file.readable:
        raise SyscallError(EBADF)
    if not isinstance(file, Plain):
        raise SyscallError(EINVAL)
    return 0
