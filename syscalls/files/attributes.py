"""Changing what a file is: permissions, owner and times.

What lies on procfs, sysfs or in control groups is refused with EPERM.  Sources: the man pages; fs/open.c, fs/attr.c and
fs/utimes.c of Linux 6.1 (read).
"""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import EACCES, EFAULT, EINVAL, EOPNOTSUPP, EPERM, SyscallError
from syscalls.files.opened import DISK, OpenFile
from syscalls.files.paths import facts_of, filesystem_of, find, identity, magic_fd, may
from syscalls.light import TYPE_CHECKING

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task
    from syscalls.tree import Node
    from syscalls.tree.keeper import Keeper
    from syscalls.tree.store import Store

KEEP = -1  # uid and gid: chown(2)
NS = 1_000_000_000


def node_at(k: Kernel, dirfd: int, path: bytes, follow: bool, empty: bool = False) -> Node:
    """Return the node at *path*, or with *empty* that of the descriptor when the path is empty."""
    if not path and empty:
        return node_of(k.files.get(dirfd)) if dirfd != abi.AT_FDCWD else find(k, dirfd, b".")
    file = magic_fd(k, dirfd, path) if follow else None
    return find(k, dirfd, path, follow) if file is None else node_of(file)


def node_of(file: OpenFile) -> Node:
    """Return the node behind *file*; EPERM for what is on no file system, such as a pipe."""
    if file.node is None:
        raise SyscallError(EPERM)
    return file.node


def node_of_fd(k: Kernel, fd: int) -> Node:
    """Return the node of descriptor *fd*, which was not opened with O_PATH."""
    return node_of(k.files.usable(fd))


def keeper_of(k: Kernel, node: Node) -> Store | Keeper:
    """Return what keeps *node*; EPERM on a file system that keeps nothing."""
    if filesystem_of(k, node) != DISK:
        raise SyscallError(EPERM)
    if not any(writable for _, _, writable in k.world.binds):
        return k.tree.store
    from syscalls.tree import keeper

    return keeper.keeper_of(node) or k.tree.store


# Permissions and owners


def change_mode(k: Kernel, node: Node, mode: int) -> int:
    """Give *node* the permissions *mode*; chmod(2)."""
    keeper, owner = keeper_of(k, node), facts_of(k, node).owner
    user, group = identity(k)
    if user not in (0, owner[0]):
        raise SyscallError(EPERM)
    if node.kind == abi.S_IFLNK:
        raise SyscallError(EOPNOTSUPP)
    if user and owner[1] not in (group, *k.process.ids.groups):
        mode &= ~abi.S_ISGID
    keeper.set_mode(node, mode & 0o7777)
    return 0


def chmod(k: Kernel, t: Task, path: bytes, mode: int) -> int:
    """Change permissions; chmod(2)."""
    return change_mode(k, node_at(k, abi.AT_FDCWD, path, True), mode)


def fchmod(k: Kernel, t: Task, fd: int, mode: int) -> int:
    """Change the permissions of an open file; fchmod(2)."""
    return change_mode(k, node_of_fd(k, fd), mode)


def fchmodat(k: Kernel, t: Task, dirfd: int, path: bytes, mode: int) -> int:
    """Change permissions; fchmodat(2), whose system call has no flags."""
    return change_mode(k, node_at(k, dirfd, path, True), mode)


def change_owner(k: Kernel, node: Node, user: int, group: int) -> int:
    """Give *node* to *user* and *group*, -1 for the same; chown(2).

    An executable loses its set-user-ID and set-group-ID bits.
    """
    keeper, facts = keeper_of(k, node), facts_of(k, node)
    me, mine = identity(k)
    new = facts.owner[0] if user == KEEP else user, facts.owner[1] if group == KEEP else group
    if me and (facts.owner[0] != me or new[0] != me or new[1] not in (facts.owner[1], mine, *k.process.ids.groups)):
        raise SyscallError(EPERM)
    if facts.mode & abi.S_IFMT != abi.S_IFDIR and node.permissions & (abi.S_ISUID | abi.S_ISGID):
        lost = abi.S_ISUID | (abi.S_ISGID if node.permissions & 0o010 else 0)
        keeper.set_mode(node, node.permissions & ~lost)
    keeper.set_owner(node, new[0] & 0xFFFF_FFFF, new[1] & 0xFFFF_FFFF)
    return 0


def chown(k: Kernel, t: Task, path: bytes, user: int, group: int) -> int:
    """Change the owner; chown(2)."""
    return change_owner(k, node_at(k, abi.AT_FDCWD, path, True), user, group)


def lchown(k: Kernel, t: Task, path: bytes, user: int, group: int) -> int:
    """Change the owner of a file, or link; lchown(2)."""
    return change_owner(k, node_at(k, abi.AT_FDCWD, path, False), user, group)


def fchown(k: Kernel, t: Task, fd: int, user: int, group: int) -> int:
    """Change the owner of an open file; fchown(2)."""
    return change_owner(k, node_of_fd(k, fd), user, group)


def fchownat(k: Kernel, t: Task, dirfd: int, path: bytes, user: int, group: int, flags: int) -> int:
    """Change the owner; fchownat(2)."""
    if flags & ~(abi.AT_SYMLINK_NOFOLLOW | abi.AT_EMPTY_PATH):
        raise SyscallError(EINVAL)
    node = node_at(k, dirfd, path, not flags & abi.AT_SYMLINK_NOFOLLOW, bool(flags & abi.AT_EMPTY_PATH))
    return change_owner(k, node, user, group)


# Times


def change_times(k: Kernel, node: Node, times: tuple[int | None, int | None] | None) -> int:
    """Set when *node* was read and written; None: both to now, which whoever may write it may do.  utimensat(2)."""
    keeper, user = keeper_of(k, node), identity(k)[0]
    if user not in (0, facts_of(k, node).owner[0]):
        if times is not None:
            raise SyscallError(EPERM)
        if not may(k, node, abi.W_OK):
            raise SyscallError(EACCES)
    now = k.clock.realtime_ns()
    keeper.set_times(node, *(times or (now, now)))
    return 0


def read_times(k: Kernel, addr: int, now: int) -> tuple[int | None, int | None] | None:
    """Return the two times at *addr*, with their special values; None: both are now."""
    if not addr:
        return None
    data = k.mem.read(addr, 2 * abi.TIMESPEC.size)
    pairs = [abi.TIMESPEC.unpack_from(data, at) for at in (0, abi.TIMESPEC.size)]
    if any(ns not in (abi.UTIME_NOW, abi.UTIME_OMIT) and not 0 <= ns < NS for _, ns in pairs):
        raise SyscallError(EINVAL)
    if all(ns == abi.UTIME_NOW for _, ns in pairs):
        return None
    special = {abi.UTIME_NOW: now, abi.UTIME_OMIT: None}
    first, second = (special[ns] if ns in special else seconds * NS + ns for seconds, ns in pairs)
    return first, second


def utimensat(k: Kernel, t: Task, dirfd: int, path: bytes | int, addr: int, flags: int) -> int:
    """Set times in nanoseconds; without a path those of the descriptor.  utimensat(2)."""
    if flags & ~(abi.AT_SYMLINK_NOFOLLOW | abi.AT_EMPTY_PATH):
        raise SyscallError(EINVAL)
    times = read_times(k, addr, k.clock.realtime_ns())
    if isinstance(path, int):
        if dirfd == abi.AT_FDCWD:
            raise SyscallError(EFAULT)
        if flags:
            raise SyscallError(EINVAL)
        node = node_of_fd(k, dirfd)
    else:
        node = node_at(k, dirfd, path, not flags & abi.AT_SYMLINK_NOFOLLOW, bool(flags & abi.AT_EMPTY_PATH))
    return 0 if times == (None, None) else change_times(k, node, times)


def futimesat(k: Kernel, t: Task, dirfd: int, path: bytes | int, addr: int) -> int:
    """Set times in microseconds; futimesat(2)."""
    times: tuple[int, int] | None = None
    if addr:
        data = k.mem.read(addr, 2 * abi.TIMEVAL.size)
        pairs = [abi.TIMEVAL.unpack_from(data, at) for at in (0, abi.TIMEVAL.size)]
        if any(not 0 <= us < 1_000_000 for _, us in pairs):
            raise SyscallError(EINVAL)
        times = pairs[0][0] * NS + pairs[0][1] * 1000, pairs[1][0] * NS + pairs[1][1] * 1000
    if isinstance(path, int):
        if dirfd == abi.AT_FDCWD:
            raise SyscallError(EFAULT)
        return change_times(k, node_of_fd(k, dirfd), times)
    return change_times(k, node_at(k, dirfd, path, True), times)


def utimes(k: Kernel, t: Task, path: bytes, addr: int) -> int:
    """Set times in microseconds; utimes(2)."""
    return futimesat(k, t, abi.AT_FDCWD, path, addr)


def utime(k: Kernel, t: Task, path: bytes, addr: int) -> int:
    """Set times in seconds; utime(2)."""
    times = None
    if addr:
        read, written = abi.UTIMBUF.unpack(k.mem.read(addr, abi.UTIMBUF.size))
        times = read * NS, written * NS
    return change_times(k, node_at(k, abi.AT_FDCWD, path, True), times)
