"""Moving bytes between files without the guest's memory, and files that never had a name.

sendfile, copy_file_range, preadv, pwritev, memfd_create.
"""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import EBADF, EINVAL, EISDIR, EOPNOTSUPP, EOVERFLOW, ESPIPE, SyscallError
from syscalls.files import opened, transfer
from syscalls.files.opened import Directory, OpenFile, Plain
from syscalls.files.paths import facts_of, text
from syscalls.files.pollable import Pollable
from syscalls.files.sizes import room
from syscalls.light import TYPE_CHECKING
from syscalls.waits import Blocked

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

CHUNK = 1 << 16
LOFF = abi.U64.size
MEMFD_NAME_MAX = 249


def read_offset(k: Kernel, addr: int, file: OpenFile, size: int) -> int:
    """Return the offset at *addr*, or the file's position where that is null; a negative one is refused."""
    if not addr:
        return file.position
    offset = int.from_bytes(k.mem.read(addr, LOFF), "little", signed=True)
    if offset < 0:
        raise SyscallError(EOVERFLOW if size >= -offset else EINVAL)  # rw_verify_area
    return offset


def advance(k: Kernel, addr: int, file: OpenFile, offset: int) -> None:
    """Store the *offset* that a call got to where it had its start from."""
    if addr:
        k.mem.write(addr, offset.to_bytes(LOFF, "little", signed=True))
    elif file.seekable:
        file.position = offset


def copy(k: Kernel, source: OpenFile, start: int, target: OpenFile, at: int, size: int) -> int:
    """Move up to *size* bytes; return how many went.  Raises what stops it before the first."""
    done = 0
    while done < size:
        data = source.read(k, start + done, min(CHUNK, size - done))
        if not data:
            break
        try:
            went = target.write_at(k, at + done, data)
        except (SyscallError, Blocked):
            if not done:
                raise
            break
        done += went
        if went < len(data):
            break
    return done


def sendfile(k: Kernel, t: Task, out_fd: int, in_fd: int, offset: int, size: int) -> int:
    """Move bytes from a file with positions to any other; sendfile(2)."""
    source, target = transfer.source(k, in_fd), transfer.target(k, out_fd)
    if offset and not source.seekable:
        raise SyscallError(ESPIPE)
    if not source.seekable or isinstance(source, Directory) or target.flags & abi.O_APPEND:
        raise SyscallError(EINVAL)
    start, at = read_offset(k, offset, source, size), target.write_start()
    if isinstance(target, Pollable):
        from syscalls.files import splices

        done = splices.send_file(k, t, source, start, target, min(size, abi.MAX_RW_COUNT))
    else:
        try:
            done = copy(k, source, start, target, at, room(k, t, target, at, min(size, abi.MAX_RW_COUNT)))
        except SyscallError as error:
            transfer.tell_broken(k, t, target, error)
            raise
    if target.seekable:
        target.position = at + done
    advance(k, offset, source, start + done)
    return done


def copy_file_range(
    k: Kernel, t: Task, in_fd: int, in_offset: int, out_fd: int, out_offset: int, size: int, flags: int
) -> int:
    """Move bytes between two regular files; copy_file_range(2)."""
    source, target = transfer.source(k, in_fd), transfer.target(k, out_fd)
    if flags:
        raise SyscallError(EINVAL)
    for file in (source, target):
        if isinstance(file, Directory):
            raise SyscallError(EISDIR)
        if not isinstance(file, Plain):
            raise SyscallError(EINVAL)
    if target.flags & abi.O_APPEND:
        raise SyscallError(EBADF)
    start, at = read_offset(k, in_offset, source, size), read_offset(k, out_offset, target, size)
    size = min(size, abi.MAX_RW_COUNT, max(source.end() - start, 0))
    same = isinstance(source, Plain) and isinstance(target, Plain) and source.stored is target.stored
    if same and start < at + size and at < start + size:
        raise SyscallError(EINVAL)
    done = copy(k, source, start, target, at, room(k, t, target, at, size))
    advance(k, in_offset, source, start + done)
    advance(k, out_offset, target, at + done)
    return done


def preadv(k: Kernel, t: Task, fd: int, addr: int, count: int, offset: int, high: int) -> int:
    """Read into several buffers from *offset*, leaving the position alone; preadv(2)."""
    if offset < 0:
        raise SyscallError(EINVAL)
    file = transfer.source(k, fd)
    transfer.positioned(file, offset)
    transfer.check_readable(k, file)
    buffers = transfer.vectors(k, addr, count)
    return transfer.in_order(buffers, lambda done, base, size: transfer.fill(k, file, offset + done, base, size))


def pwritev(k: Kernel, t: Task, fd: int, addr: int, count: int, offset: int, high: int) -> int:
    """Write several buffers at *offset*, leaving the position alone; pwritev(2)."""
    if offset < 0:
        raise SyscallError(EINVAL)
    file = transfer.target(k, fd)
    transfer.positioned(file, offset)
    if file.flags & abi.O_APPEND:
        offset = file.write_start()

    def write(done: int, base: int, size: int) -> int:
        at = offset + done
        return transfer.drain(k, file, at, base, room(k, t, file, at, size))

    return transfer.in_order(transfer.vectors(k, addr, count), write)


KNOWN_RWF = abi.RWF_HIPRI | abi.RWF_DSYNC | abi.RWF_SYNC | abi.RWF_NOWAIT


def preadv2(k: Kernel, t: Task, fd: int, addr: int, count: int, offset: int, high: int, flags: int) -> int:
    """As preadv, or readv with an offset of -1; the flags change nothing where nothing waits.  preadv(2)."""
    if flags & ~KNOWN_RWF:
        raise SyscallError(EOPNOTSUPP)
    return transfer.readv(k, t, fd, addr, count) if offset == -1 else preadv(k, t, fd, addr, count, offset, high)


def pwritev2(k: Kernel, t: Task, fd: int, addr: int, count: int, offset: int, high: int, flags: int) -> int:
    """As pwritev, or writev with an offset of -1; the flags change nothing where nothing waits.  pwritev(2)."""
    if flags & ~KNOWN_RWF:
        raise SyscallError(EOPNOTSUPP)
    return transfer.writev(k, t, fd, addr, count) if offset == -1 else pwritev(k, t, fd, addr, count, offset, high)


def memfd_create(k: Kernel, t: Task, name: bytes, flags: int) -> int:
    """Open a new file in memory that has no name; memfd_create(2).  MFD_HUGETLB finds an empty pool (EINVAL)."""
    if flags & ~(abi.MFD_CLOEXEC | abi.MFD_ALLOW_SEALING):
        raise SyscallError(EINVAL)
    if len(name) > MEMFD_NAME_MAX:
        raise SyscallError(EINVAL)
    fd = k.files.lowest()
    node = k.tree.root.new_unnamed(0o777, f"memfd:{text(name)}")
    node.seals = 0 if flags & abi.MFD_ALLOW_SEALING else abi.F_SEAL_SEAL
    facts = facts_of(k, node)._replace(device=MEMFD_DEVICE)
    file = opened.Plain(b"memfd:" + name, abi.O_RDWR | abi.O_LARGEFILE, facts, node)
    return k.files.put(fd, file, bool(flags & abi.MFD_CLOEXEC))


MEMFD_DEVICE = (0, 1)  # the kernel's own tmpfs, which is mounted nowhere
