"""From a path to an open file: open, openat, readlink, getcwd, chdir, access.

The tree resolves paths; this module knows what opening what it finds does.  Descriptor names below /proc/self/fd lead
straight to their files, as Linux's magic links do.  The order of the checks is the kernel's: EMFILE is found before the
path is looked at, EEXIST before permissions.  Sources: open(2), path_resolution(7), fs/namei.c of Linux 6.1 (read).
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from syscalls import abi
from syscalls.abi import O_ACCMODE, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_PATH, O_RDONLY, O_TMPFILE, O_TRUNC
from syscalls.errno import (
    EACCES,
    EEXIST,
    EINVAL,
    EISDIR,
    ELOOP,
    ENOENT,
    ENOTDIR,
    ENXIO,
    EPERM,
    ERANGE,
    EROFS,
    SyscallError,
)  # fmt: skip
from syscalls.files import opened
from syscalls.files.opened import DISK, PROC, SYSFS, Facts, OpenFile

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task
    from syscalls.tree import Node

FILESYSTEMS = {"proc": PROC, "sysfs": SYSFS, "cgroup": SYSFS, "cgroup2": SYSFS}
DIRENT_TYPES = {abi.S_IFIFO: 1, abi.S_IFCHR: 2, abi.S_IFDIR: 4, abi.S_IFREG: 8, abi.S_IFLNK: 10}
# What open remembers of its flags: the rest only say how to open (do_dentry_open; O_CLOEXEC belongs to the descriptor).
FORGOTTEN = O_CREAT | O_EXCL | abi.O_NOCTTY | O_TRUNC | abi.O_CLOEXEC


def text(path: bytes) -> str:
    """Return *path* as the tree spells it: undecodable bytes as surrogates."""
    return path.decode("utf-8", "surrogateescape")


def base_of(k: Kernel, dirfd: int, path: bytes) -> str:
    """Return the directory that a relative *path* starts from; raise EBADF or ENOTDIR."""
    if dirfd == abi.AT_FDCWD or path.startswith(b"/"):
        return k.cwd
    file = k.files.get(dirfd)
    if file.facts.mode & abi.S_IFMT != abi.S_IFDIR:
        raise SyscallError(ENOTDIR)
    return file.facts.place


def find(k: Kernel, dirfd: int, path: bytes, follow: bool = True) -> Node:
    """Return the node at *path*; raise what path resolution fails with."""
    base = base_of(k, dirfd, path)
    return k.tree.resolve(text(path), base, follow)


def magic_fd(k: Kernel, dirfd: int, path: bytes) -> OpenFile | None:
    """Return the open file that *path* names by its descriptor (/dev/stdin, /proc/self/fd/3), or None."""
    from syscalls.tree import Link

    if b"fd/" not in path and b"/std" not in path:
        return None
    folder = f"/proc/{k.main.pid}/fd/"
    node = find(k, dirfd, path, follow=False)
    for _ in range(40):  # MAXSYMLINKS
        if not isinstance(node, Link):
            return None
        if node.path.startswith(folder):
            return k.files.get(int(node.path.removeprefix(folder)))
        node = k.tree.resolve(node.target, posixpath.dirname(node.path), follow=False)
    raise SyscallError(ELOOP)


def facts_of(k: Kernel, node: Node) -> Facts:
    """Return what stat says of *node*."""
    from syscalls.tree import Device, Directory

    mount = k.tree.mount_of(node)
    return Facts(
        node.path,
        node.mode,
        node.size,
        node.inode,
        mount.device,
        node.subdirectories + 2 if isinstance(node, Directory) else 1,
        node.rdev if isinstance(node, Device) else (0, 0),
        FILESYSTEMS.get(mount.fstype, DISK),
    )


def permits(k: Kernel, mode: int, wanted: int, user: int, group: int) -> bool:
    """Say whether *user* and *group* may use a file of root's with *mode* for *wanted* (R_OK, W_OK, X_OK)."""
    if user == 0:  # CAP_DAC_OVERRIDE: everything but executing what nobody may execute
        return not wanted & abi.X_OK or bool(mode & 0o111) or mode & abi.S_IFMT == abi.S_IFDIR
    bits = mode >> 3 if group == 0 else mode
    return bits & wanted == wanted


def openat(k: Kernel, t: Task, dirfd: int, path: bytes, flags: int, mode: int) -> int:
    """Open *path* and return its descriptor; openat(2)."""
    if flags & O_TMPFILE == O_TMPFILE and flags & O_ACCMODE == O_RDONLY:
        raise SyscallError(EINVAL)
    if flags & (O_CREAT | O_DIRECTORY) == O_CREAT | O_DIRECTORY and not flags & O_PATH and k.release >= (6, 4):
        raise SyscallError(EINVAL)  # open(2), HISTORY; older kernels ignored O_DIRECTORY where a file was created
    if flags & O_PATH:
        flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | abi.O_CLOEXEC
    if not path:
        raise SyscallError(ENOENT)
    fd = k.files.lowest()
    file = open_file(k, dirfd, path, flags)
    return k.files.put(fd, file, bool(flags & abi.O_CLOEXEC))


def open_(k: Kernel, t: Task, path: bytes, flags: int, mode: int) -> int:
    """Open *path*; open(2)."""
    return openat(k, t, abi.AT_FDCWD, path, flags, mode)


def creat(k: Kernel, t: Task, path: bytes, mode: int) -> int:
    """Create *path* for writing; creat(2)."""
    return openat(k, t, abi.AT_FDCWD, path, O_CREAT | abi.O_WRONLY | O_TRUNC, mode)


def open_file(k: Kernel, dirfd: int, path: bytes, flags: int) -> OpenFile:
    """Return the file that *path* and *flags* open."""
    exclusive = flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL
    if flags & O_CREAT and path.endswith(b"/"):
        raise SyscallError(EISDIR)
    try:
        magic = None if flags & O_NOFOLLOW or exclusive else magic_fd(k, dirfd, path)
        if magic is not None:
            return magic
        node = find(k, dirfd, path, follow=not flags & O_NOFOLLOW and not exclusive)
    except SyscallError as error:
        if error.errno == ENOENT and flags & O_CREAT:
            raise SyscallError(cannot_create(k, dirfd, path)) from None
        raise
    if exclusive:
        raise SyscallError(EEXIST)
    check_type(node.mode, flags)
    if flags & O_PATH:
        return opened.PathOnly(path, flags & ~abi.O_CLOEXEC, facts_of(k, node))
    return open_node(k, path, node, flags)


def cannot_create(k: Kernel, dirfd: int, path: bytes) -> int:
    """Return the error of creating *path*, which does not exist: nothing can be created here."""
    parent = find(k, dirfd, posixpath.dirname(path) or b".")
    if parent.mode & abi.S_IFMT != abi.S_IFDIR:
        return ENOTDIR
    filesystem = FILESYSTEMS.get(k.tree.mount_of(parent).fstype, DISK)
    return {PROC: ENOENT, SYSFS: EACCES}.get(filesystem, EROFS)  # as procfs, sysfs and a read-only mount answer


def check_type(mode: int, flags: int) -> None:
    """Raise what opening a link, or a directory for writing, fails with."""
    kind = mode & abi.S_IFMT
    if flags & O_DIRECTORY and kind != abi.S_IFDIR:
        raise SyscallError(ENOTDIR)
    if flags & O_PATH:
        return
    if kind == abi.S_IFLNK:
        raise SyscallError(ELOOP)
    if kind == abi.S_IFDIR and (flags & O_ACCMODE != O_RDONLY or flags & O_CREAT):
        raise SyscallError(EISDIR)


def open_node(k: Kernel, path: bytes, node: Node, flags: int) -> OpenFile:
    """Open *node* as its kind demands."""
    from syscalls.tree import Device, Directory, FileNode

    facts = facts_of(k, node)
    process = k.world.process
    access = flags & O_ACCMODE
    writes = access != O_RDONLY or bool(flags & O_TRUNC)
    if writes and isinstance(node, FileNode) and facts.filesystem == DISK:
        raise SyscallError(EROFS)
    wanted = (abi.R_OK, abi.W_OK, abi.R_OK | abi.W_OK, abi.R_OK | abi.W_OK)[access]
    if not permits(k, node.mode, wanted | (abi.W_OK if writes else 0), process.euid, process.egid):
        raise SyscallError(EACCES)
    if flags & abi.O_NOATIME and process.euid:
        raise SyscallError(EPERM)
    kept = flags & ~FORGOTTEN | abi.O_LARGEFILE
    if isinstance(node, Directory):
        names = [(b".", 4), (b"..", 4)]
        names += [(name.encode("utf-8", "surrogateescape"), entry_type(node, name)) for name in node.names()]
        return opened.Directory(path, kept, facts, names)
    if isinstance(node, Device):
        if node.name == "tty":
            raise SyscallError(ENXIO)  # no controlling terminal
        return opened.Device(path, kept, facts, node.name)
    assert isinstance(node, FileNode)
    if writes and facts.filesystem == SYSFS:
        # kernfs_fop_open: nobody may write what has no write bits; what has them is read-only here.
        raise SyscallError(EROFS if node.mode & 0o222 else EACCES)
    return opened.Regular(path, kept, facts, node.content())


def entry_type(directory: Node, name: str) -> int:
    """Return the DT_ value of entry *name*; 0, unknown, for one that went away."""
    from syscalls.tree import Directory

    child = directory.get(name) if isinstance(directory, Directory) else None
    return DIRENT_TYPES.get(child.mode & abi.S_IFMT, 0) if child else 0


def readlinkat(k: Kernel, t: Task, dirfd: int, path: bytes, addr: int, size: int) -> int:
    """Store the text of the link at *path*, cut to *size*, without a null; readlink(2)."""
    from syscalls.tree import Link

    if size <= 0:
        raise SyscallError(EINVAL)
    node = find(k, dirfd, path, follow=False)
    if not isinstance(node, Link):
        raise SyscallError(EINVAL)
    target = node.target.encode("utf-8", "surrogateescape")[:size]
    k.mem.write(addr, target)
    return len(target)


def readlink(k: Kernel, t: Task, path: bytes, addr: int, size: int) -> int:
    """Store the text of the link at *path*; readlink(2)."""
    return readlinkat(k, t, abi.AT_FDCWD, path, addr, size)


def getcwd(k: Kernel, t: Task, addr: int, size: int) -> int:
    """Store the working directory with its null and return their length; getcwd(2), "C library/kernel"."""
    path = k.cwd.encode("utf-8", "surrogateescape") + b"\0"
    if len(path) > size:
        raise SyscallError(ERANGE)
    k.mem.write(addr, path)
    return len(path)


def chdir(k: Kernel, t: Task, path: bytes) -> int:
    """Make *path* the working directory; chdir(2)."""
    node = find(k, abi.AT_FDCWD, path)
    if node.mode & abi.S_IFMT != abi.S_IFDIR:
        raise SyscallError(ENOTDIR)
    k.cwd = node.path
    return 0


def fchdir(k: Kernel, t: Task, fd: int) -> int:
    """Make the directory of *fd* the working directory; chdir(2)."""
    facts = k.files.get(fd).facts
    if facts.mode & abi.S_IFMT != abi.S_IFDIR:
        raise SyscallError(ENOTDIR)
    k.cwd = facts.place
    return 0
