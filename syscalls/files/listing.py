"""Listing directories: getdents64 and getdents.

The names are those of the moment when a listing began, in sorted order, so that offsets stay what they are while
entries come and go; what has gone meanwhile is left out.  Beginning again, at offset 0, looks anew.
"""

from __future__ import annotations

from syscalls.errno import EINVAL, ENOENT, ENOTDIR, SyscallError
from syscalls.files.opened import Directory
from syscalls.light import TYPE_CHECKING

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task
    from syscalls.tree import Node

HEAD_64 = 19  # struct linux_dirent64 up to d_name: inode, offset, length, type
HEAD = 18  # struct linux_dirent up to d_name: inode, offset, length; the type is the last byte of the record


def entry(file: Directory, index: int) -> tuple[str, Node] | None:
    """Return the name and the node of entry *index*, the first two of which are dots; None for one that went away."""
    if index < 2:
        here = file.folder
        return ("..", here.parent or here) if index else (".", here)
    name = file.names[index - 2]
    node = file.folder.get(name)
    return None if node is None else (name, node)


def listed(file: Directory, size: int, wide: bool) -> tuple[bytes, int]:
    """Return as many entries as fit into *size* bytes, and the position after them."""
    data, position = b"", file.position
    while position < len(file.names) + 2:
        found = entry(file, position)
        position += 1
        if found is None:
            continue
        name, kind = found[0].encode("utf-8", "surrogateescape"), found[1].kind >> 12  # DT_* are the types of st_mode
        head = HEAD_64 if wide else HEAD
        length = (head + len(name) + (1 if wide else 2) + 7) & -8
        if len(data) + length > size:
            if not data:
                raise SyscallError(EINVAL)
            return data, position - 1
        record = found[1].inode.to_bytes(8, "little") + position.to_bytes(8, "little") + length.to_bytes(2, "little")
        if wide:
            data += (record + bytes((kind,)) + name).ljust(length, b"\0")
        else:
            data += (record + name).ljust(length - 1, b"\0") + bytes((kind,))
    return data, position


def directory(k: Kernel, fd: int) -> Directory:
    """Return the open directory *fd*; raise EBADF or ENOTDIR."""
    file = k.files.usable(fd)
    if not isinstance(file, Directory):
        raise SyscallError(ENOTDIR)
    if file.folder.gone:
        raise SyscallError(ENOENT)
    return file


def read_entries(k: Kernel, fd: int, addr: int, size: int, wide: bool) -> int:
    """Store entries of the directory *fd* and return their size."""
    file = directory(k, fd)
    if not file.position:
        file.names = tuple(file.folder.names())
    data, position = listed(file, size, wide)
    k.mem.write(addr, data)
    file.position = position
    return len(data)


def getdents64(k: Kernel, t: Task, fd: int, addr: int, size: int) -> int:
    """Store as many directory entries as fit; getdents(2).  EINVAL when not even one does."""
    return read_entries(k, fd, addr, size, wide=True)


def getdents(k: Kernel, t: Task, fd: int, addr: int, size: int) -> int:
    """Store as many directory entries as fit, in the old form; getdents(2)."""
    return read_entries(k, fd, addr, size, wide=False)
