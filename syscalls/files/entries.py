"""Changing directories: mkdir, mknod, symlink, link, unlink, rmdir, rename, and their forms with a descriptor.

The order of the checks is the kernel's (fs/namei.c of Linux 6.1, read): what the last name is, whether it is there, the
file system, permissions, then types.  What is mounted cannot be moved or removed (EBUSY), nothing moves between file
systems (EXDEV), and procfs and sysfs take nothing.
"""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import (
    EACCES,
    EBUSY,
    EEXIST,
    EINVAL,
    EISDIR,
    ENOENT,
    ENOTDIR,
    ENOTEMPTY,
    EPERM,
    EROFS,
    EXDEV,
    SyscallError,
)  # fmt: skip
from syscalls.files.opened import DISK
from syscalls.files.paths import (
    base_of,
    facts_of,
    filesystem_of,
    identity,
    locate,
    magic_fd,
    may,
    permissions,
    place_for_new,
    text,
    tree_of,
)  # fmt: skip
from syscalls.light import TYPE_CHECKING

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task
    from syscalls.tree import Folder, Node, Place

DOT, DOTS, ROOT = ".", "..", ""


def entry_at(k: Kernel, dirfd: int, path: bytes) -> tuple[Place, str]:
    """Return the place of *path*'s last name, which is not followed, and that name, which may be a dot or nothing."""
    base, spelled = base_of(k, dirfd, path), text(path)
    bare = spelled.rstrip("/")
    place = tree_of(k).locate(bare or spelled, base, follow=False)
    place.slash = spelled.endswith("/")
    return place, bare.rpartition("/")[2]


def new_entry(k: Kernel, dirfd: int, path: bytes, in_proc: int, in_sysfs: int, directory: bool = False) -> Place:
    """Return the place where *path* is to be created; raise EEXIST, or what its folder refuses with."""
    place, last = entry_at(k, dirfd, path)
    if last in (DOT, DOTS, ROOT) or place.node is not None:
        raise SyscallError(EEXIST)
    if place.slash and not directory:
        raise SyscallError(ENOENT)
    place_for_new(k, place, in_proc, in_sysfs)
    return place


def folder_of(place: Place) -> Folder:
    """Return the folder of *place*, whose entries can change."""
    from syscalls.tree import Folder

    if not isinstance(place.folder, Folder):
        raise SyscallError(EROFS)
    return place.folder


def mkdirat(k: Kernel, t: Task, dirfd: int, path: bytes, mode: int) -> int:
    """Create a directory; mkdir(2)."""
    place = new_entry(k, dirfd, path, ENOENT, EPERM, directory=True)
    folder_of(place).new_folder(place.name, permissions(k, mode & 0o1777))
    return 0


def mkdir(k: Kernel, t: Task, path: bytes, mode: int) -> int:
    """Create a directory; mkdir(2)."""
    return mkdirat(k, t, abi.AT_FDCWD, path, mode)


def mknodat(k: Kernel, t: Task, dirfd: int, path: bytes, mode: int, device: int) -> int:
    """Create a regular file or a named pipe; mknod(2).  Devices and sockets are EPERM, whoever asks."""
    kind = mode & abi.S_IFMT
    if kind == abi.S_IFDIR:
        raise SyscallError(EPERM)
    if kind not in (0, abi.S_IFREG, abi.S_IFIFO, abi.S_IFCHR, abi.S_IFBLK, abi.S_IFSOCK):
        raise SyscallError(EINVAL)
    place = new_entry(k, dirfd, path, ENOENT, EACCES)
    if kind in (abi.S_IFCHR, abi.S_IFBLK, abi.S_IFSOCK):
        raise SyscallError(EPERM)
    if kind == abi.S_IFIFO:
        folder_of(place).new_fifo(place.name, permissions(k, mode))
    else:
        folder_of(place).new_file(place.name, permissions(k, mode))
    return 0


def mknod(k: Kernel, t: Task, path: bytes, mode: int, device: int) -> int:
    """Create a regular file or a named pipe; mknod(2)."""
    return mknodat(k, t, abi.AT_FDCWD, path, mode, device)


def symlinkat(k: Kernel, t: Task, target: bytes, dirfd: int, path: bytes) -> int:
    """Create a symbolic link with the text *target*; symlink(2)."""
    if not target:
        raise SyscallError(ENOENT)
    place = new_entry(k, dirfd, path, ENOENT, EPERM)
    folder_of(place).new_link(place.name, text(target))
    return 0


def symlink(k: Kernel, t: Task, target: bytes, path: bytes) -> int:
    """Create a symbolic link; symlink(2)."""
    return symlinkat(k, t, target, abi.AT_FDCWD, path)


def linkat(k: Kernel, t: Task, from_fd: int, path: bytes, to_fd: int, new: bytes, flags: int) -> int:
    """Give the file at *path* a second name, *new*; link(2)."""
    from syscalls.tree import StoredFile

    if flags & ~(abi.AT_SYMLINK_FOLLOW | abi.AT_EMPTY_PATH):
        raise SyscallError(EINVAL)
    node = link_source(k, from_fd, path, flags)
    place = new_entry(k, to_fd, new, ENOENT, EPERM)
    if k.tree.mount_of(node) != k.tree.mount_of(place.folder):
        raise SyscallError(EXDEV)
    if node.mode & abi.S_IFMT == abi.S_IFDIR:
        raise SyscallError(EPERM)
    if not node.links and not (isinstance(node, StoredFile) and node.linkable):
        raise SyscallError(ENOENT)
    folder_of(place).attach(place.name, node)
    return 0


def link_source(k: Kernel, dirfd: int, path: bytes, flags: int) -> Node:
    """Return the node that is to get a second name."""
    if not path:
        if not flags & abi.AT_EMPTY_PATH:
            raise SyscallError(ENOENT)
        node = k.files.get(dirfd).node
    else:
        file = magic_fd(k, dirfd, path) if flags & abi.AT_SYMLINK_FOLLOW else None
        found = locate(k, dirfd, path, follow=bool(flags & abi.AT_SYMLINK_FOLLOW)).node if file is None else file.node
        if found is None and file is None:
            raise SyscallError(ENOENT)
        node = found
    if node is None:
        raise SyscallError(EXDEV)  # a pipe: on a file system of its own
    return node


def link(k: Kernel, t: Task, path: bytes, new: bytes) -> int:
    """Give a file a second name; link(2)."""
    return linkat(k, t, abi.AT_FDCWD, path, abi.AT_FDCWD, new, 0)


def check_delete(k: Kernel, place: Place, node: Node) -> None:
    """Raise what removing *node* from its folder is refused with (may_delete, fs/namei.c)."""
    folder = place.folder
    if not may(k, folder, abi.W_OK | abi.X_OK):
        raise SyscallError(EACCES)
    user = identity(k)[0]
    if user and folder.mode & abi.S_ISVTX and user not in (facts_of(k, folder).owner[0], facts_of(k, node).owner[0]):
        raise SyscallError(EPERM)
    if filesystem_of(k, folder) != DISK:
        raise SyscallError(EPERM)


def is_mount(k: Kernel, node: Node) -> bool:
    """Say whether something is mounted at *node*."""
    path = node.path
    return any(mount.point == path for mount in k.tree.mounts)


def unlinkat(k: Kernel, t: Task, dirfd: int, path: bytes, flags: int) -> int:
    """Remove a name, or with AT_REMOVEDIR an empty directory; unlink(2), rmdir(2)."""
    if flags & ~abi.AT_REMOVEDIR:
        raise SyscallError(EINVAL)
    if flags:
        return remove_directory(k, *entry_at(k, dirfd, path))
    place, last = entry_at(k, dirfd, path)
    if last in (DOT, DOTS, ROOT):
        raise SyscallError(EISDIR)
    node = place.node
    if node is None:
        raise SyscallError(ENOENT)
    if place.slash:
        raise SyscallError(EISDIR if node.mode & abi.S_IFMT == abi.S_IFDIR else ENOTDIR)
    check_delete(k, place, node)
    if node.mode & abi.S_IFMT == abi.S_IFDIR:
        raise SyscallError(EISDIR)
    if is_mount(k, node):
        raise SyscallError(EBUSY)
    folder_of(place).detach(place.name)
    return 0


def remove_directory(k: Kernel, place: Place, last: str) -> int:
    """Remove the empty directory at *place*; rmdir(2)."""
    from syscalls.tree import Folder

    if last in (DOT, DOTS, ROOT):
        raise SyscallError({DOT: EINVAL, DOTS: ENOTEMPTY, ROOT: EBUSY}[last])
    node = place.node
    if node is None:
        raise SyscallError(ENOENT)
    check_delete(k, place, node)
    if node.mode & abi.S_IFMT != abi.S_IFDIR:
        raise SyscallError(ENOTDIR)
    if is_mount(k, node):
        raise SyscallError(EBUSY)
    if not isinstance(node, Folder) or not node.is_empty():
        raise SyscallError(ENOTEMPTY)
    path = node.path
    folder_of(place).detach(place.name)
    if follow_directory(k, path, f"{path} (deleted)"):
        k.tree.store.lost[f"{path} (deleted)"] = node
    return 0


def unlink(k: Kernel, t: Task, path: bytes) -> int:
    """Remove a name; unlink(2)."""
    return unlinkat(k, t, abi.AT_FDCWD, path, 0)


def rmdir(k: Kernel, t: Task, path: bytes) -> int:
    """Remove an empty directory; rmdir(2)."""
    return unlinkat(k, t, abi.AT_FDCWD, path, abi.AT_REMOVEDIR)


def follow_directory(k: Kernel, old: str, new: str) -> bool:
    """Let a working directory at or below *old* be called *new*, where that has gone; say whether there is one."""
    found = False
    for process in k.processes.values():
        if process.cwd == old or process.cwd.startswith(f"{old}/"):
            process.cwd = new + process.cwd[len(old) :]
            found = True
    return found


def renameat2(k: Kernel, t: Task, from_fd: int, path: bytes, to_fd: int, new: bytes, flags: int) -> int:
    """Move *path* to *new*, in place of what is there; rename(2)."""
    if flags & ~(abi.RENAME_NOREPLACE | abi.RENAME_EXCHANGE | abi.RENAME_WHITEOUT):
        raise SyscallError(EINVAL)
    if flags & (abi.RENAME_NOREPLACE | abi.RENAME_WHITEOUT) and flags & abi.RENAME_EXCHANGE:
        raise SyscallError(EINVAL)
    if flags & abi.RENAME_WHITEOUT:
        raise SyscallError(EINVAL)  # a whiteout is a device, and nobody makes one here
    source, source_last = entry_at(k, from_fd, path)
    place, last = entry_at(k, to_fd, new)
    if k.tree.mount_of(source.folder) != k.tree.mount_of(place.folder):
        raise SyscallError(EXDEV)
    if source_last in (DOT, DOTS, ROOT):
        raise SyscallError(EBUSY)
    if last in (DOT, DOTS, ROOT):
        raise SyscallError(EEXIST if flags & abi.RENAME_NOREPLACE else EBUSY)
    move(k, source, place, flags)
    return 0


def move(k: Kernel, source: Place, place: Place, flags: int) -> None:
    """Rename what is at *source* to *place*."""
    node, there = source.node, place.node
    if node is None:
        raise SyscallError(ENOENT)
    if there is not None and flags & abi.RENAME_NOREPLACE:
        raise SyscallError(EEXIST)
    if there is None and flags & abi.RENAME_EXCHANGE:
        raise SyscallError(ENOENT)
    is_folder = node.mode & abi.S_IFMT == abi.S_IFDIR
    if not is_folder and (source.slash or (place.slash and not flags & abi.RENAME_EXCHANGE)):
        raise SyscallError(ENOTDIR)
    if is_folder and is_within(place.folder, node):
        raise SyscallError(EINVAL)
    if there is not None and is_within(source.folder, there):
        raise SyscallError(EINVAL if flags & abi.RENAME_EXCHANGE else ENOTEMPTY)
    if there is node:
        return  # two names of one file: rename(2)
    check_delete(k, source, node)
    if there is None:
        place_for_new(k, place, ENOENT, EPERM)
    else:
        check_delete(k, place, there)
        if not flags & abi.RENAME_EXCHANGE:
            check_replaced(is_folder, there)
    if is_mount(k, node) or (there is not None and is_mount(k, there)):
        raise SyscallError(EBUSY)
    old, new = node.path, f"{place.folder.path.rstrip('/')}/{place.name}"
    if there is not None and flags & abi.RENAME_EXCHANGE:
        folder_of(source).swap(source.name, folder_of(place), place.name)
        return
    folder_of(source).move(source.name, folder_of(place), place.name)
    if is_folder:
        follow_directory(k, old, new)


def check_replaced(is_folder: bool, there: Node) -> None:
    """Raise what putting a file or folder in place of *there* is refused with."""
    from syscalls.tree import Directory, Folder

    if is_folder and not isinstance(there, Directory):
        raise SyscallError(ENOTDIR)
    if not is_folder and isinstance(there, Directory):
        raise SyscallError(EISDIR)
    if isinstance(there, Directory) and not (isinstance(there, Folder) and there.is_empty()):
        raise SyscallError(ENOTEMPTY)


def is_within(folder: Node, other: Node) -> bool:
    """Say whether *folder* is *other* or lies below it."""
    node: Node | None = folder
    while node is not None and node is not other:
        node = node.parent
    return node is not None


def renameat(k: Kernel, t: Task, from_fd: int, path: bytes, to_fd: int, new: bytes) -> int:
    """Move a file; rename(2)."""
    return renameat2(k, t, from_fd, path, to_fd, new, 0)


def rename(k: Kernel, t: Task, path: bytes, new: bytes) -> int:
    """Move a file; rename(2)."""
    return renameat2(k, t, abi.AT_FDCWD, path, abi.AT_FDCWD, new, 0)
