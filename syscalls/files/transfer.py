"""Moving bytes between files and guest memory: read, write, their vector and positioned forms, and lseek.

A fault in the middle of a buffer ends the call early with the bytes moved so far, as copy_to_user makes Linux's do;
only a fault at the first byte is EFAULT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from syscalls import abi
from syscalls.errno import EBADF, EINVAL, EPIPE, ESPIPE, SyscallError
from syscalls.files.opened import Directory, OpenFile, Plain, Stream
from syscalls.files.pollable import Pollable, gather, scatter
from syscalls.files.sizes import room
from syscalls.guest import GuestFault
from syscalls.light import TYPE_CHECKING
from syscalls.sending import send
from syscalls.siginfo import from_process
from syscalls.waits import Blocked

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

CHUNK = 1 << 16  # how much is moved at a time


def fill(k: Kernel, file: OpenFile, offset: int, addr: int, size: int) -> int:
    """Read *size* bytes of *file* at *offset* into guest memory; return how many arrived."""
    done = 0
    while done < size:
        try:
            data = file.read(k, offset + done, min(CHUNK, size - done))
        except Blocked:
            if not done:
                raise
            break
        if not data:
            break
        try:
            k.mem.write(addr + done, data)
        except GuestFault as fault:
            fits = fault.addr - addr - done
            if 0 < fits < len(data):
                k.mem.write(addr + done, data[:fits])
                done += fits
            if not done:
                raise
            break
        done += len(data)
        if len(data) < CHUNK:
            break
    return done


def drain(k: Kernel, file: OpenFile, offset: int, addr: int, size: int) -> int:
    """Write *size* bytes of guest memory to *file* at *offset*; return how many went."""
    if not size:
        return file.write_at(k, offset, b"")
    done = 0
    while done < size:
        part = min(CHUNK, size - done)
        try:
            data = k.mem.read(addr + done, part)
        except GuestFault as fault:
            fits = fault.addr - addr - done
            if 0 < fits < part:
                done += file.write_at(k, offset + done, k.mem.read(addr + done, fits))
            if not done:
                raise
            break
        try:
            went = file.write_at(k, offset + done, data)
        except SyscallError:
            if not done:
                raise
            break  # the next write meets it
        done += went
        if went < part:
            break
    return done


def tell_broken(k: Kernel, t: Task, file: OpenFile, error: SyscallError) -> None:
    """Send SIGPIPE where *error* is that of a stream that nobody outside reads any more; pipe(7)."""
    if error.errno == EPIPE and isinstance(file, Stream):
        send(k, t, abi.SIGPIPE, from_process(abi.SIGPIPE, t.pid, t.process.ids.uid))


def append(k: Kernel, t: Task, file: OpenFile, addr: int, size: int) -> int:
    """Write where the next write of *file* goes, and let the one after it go on from there."""
    start = file.write_start()
    if isinstance(file, Plain):
        size = room(k, t, file, start, size)
    try:
        done = drain(k, file, start, addr, size)
    except SyscallError as error:
        tell_broken(k, t, file, error)
        raise
    if file.seekable and done:
        file.position = start + done
    return done


def source(k: Kernel, fd: int) -> OpenFile:
    """Return the file of *fd*, open for reading; raise EBADF."""
    file = k.files.get(fd)
    if not file.readable:
        raise SyscallError(EBADF)
    return file


def target(k: Kernel, fd: int) -> OpenFile:
    """Return the file of *fd*, open for writing; raise EBADF."""
    file = k.files.get(fd)
    if not file.writable:
        raise SyscallError(EBADF)
    return file


def positioned(file: OpenFile, offset: int) -> None:
    """Raise what pread and pwrite refuse: a negative *offset*, or a file that has no positions."""
    if offset < 0:
        raise SyscallError(EINVAL)
    if not file.seekable:
        raise SyscallError(ESPIPE)


def check_readable(k: Kernel, file: OpenFile) -> None:
    """Raise EISDIR for a directory even when nothing is to be read."""
    if isinstance(file, Directory):
        file.read(k, 0, 0)


def read(k: Kernel, t: Task, fd: int, addr: int, size: int) -> int:
    """Read up to *size* bytes from the file's position; read(2)."""
    file = source(k, fd)
    if isinstance(file, Pollable):
        return scatter(k, t, file, [(addr, min(size, abi.MAX_RW_COUNT))])
    check_readable(k, file)
    done = fill(k, file, file.position, addr, min(size, abi.MAX_RW_COUNT))
    file.position += done if file.seekable else 0
    return done


def pread64(k: Kernel, t: Task, fd: int, addr: int, size: int, offset: int) -> int:
    """Read up to *size* bytes from *offset*, leaving the position alone; pread(2)."""
    if offset < 0:
        raise SyscallError(EINVAL)
    file = k.files.get(fd)
    positioned(file, offset)
    check_readable(k, source(k, fd))
    return fill(k, file, offset, addr, min(size, abi.MAX_RW_COUNT))


def write(k: Kernel, t: Task, fd: int, addr: int, size: int) -> int:
    """Write *size* bytes at the file's position; write(2)."""
    file = target(k, fd)
    if isinstance(file, Pollable):
        return gather(k, t, file, [(addr, min(size, abi.MAX_RW_COUNT))])
    return append(k, t, file, addr, min(size, abi.MAX_RW_COUNT))


def pwrite64(k: Kernel, t: Task, fd: int, addr: int, size: int, offset: int) -> int:
    """Write *size* bytes at *offset*, or at the end with O_APPEND, whatever the offset; pwrite(2), BUGS."""
    if offset < 0:
        raise SyscallError(EINVAL)
    file = k.files.get(fd)
    positioned(file, offset)
    file = target(k, fd)
    if file.flags & abi.O_APPEND:
        offset = file.write_start()
    return drain(k, file, offset, addr, room(k, t, file, offset, min(size, abi.MAX_RW_COUNT)))


def vectors(k: Kernel, addr: int, count: int) -> list[tuple[int, int]]:
    """Return the (address, size) pairs of an I/O vector; EINVAL when there are too many bytes or entries."""
    if count > abi.IOV_MAX:
        raise SyscallError(EINVAL)
    found = list(abi.IOVEC.iter_unpack(k.mem.read(addr, count * abi.IOVEC.size))) if count else []
    if any(size > 0x7FFF_FFFF_FFFF_FFFF for _, size in found):
        raise SyscallError(EINVAL)
    room, cut = abi.MAX_RW_COUNT, []
    for base, size in found:
        part = min(size, room)
        room -= part
        cut.append((base, part))
    return cut


def in_order(buffers: Iterable[tuple[int, int]], move: Callable[[int, int, int], int]) -> int:
    """Move the bytes of *buffers*, one after the other, by *move*: of what was moved before, address and size.

    It ends at one that is not filled, and at a failure: that is the call's own only where nothing was moved before it.
    """
    done = 0
    for base, size in buffers:
        try:
            part = move(done, base, size)
        except (GuestFault, SyscallError, Blocked):
            if not done:
                raise
            break
        done += part
        if part < size:
            break
    return done


def readv(k: Kernel, t: Task, fd: int, addr: int, count: int) -> int:
    """Read into several buffers, in order, until one is not filled; readv(2)."""
    file = source(k, fd)
    if isinstance(file, Pollable):
        return scatter(k, t, file, vectors(k, addr, count))
    check_readable(k, file)
    start = file.position
    done = in_order(vectors(k, addr, count), lambda done, base, size: fill(k, file, start + done, base, size))
    file.position += done if file.seekable else 0
    return done


def writev(k: Kernel, t: Task, fd: int, addr: int, count: int) -> int:
    """Write several buffers, in order; writev(2)."""
    file = target(k, fd)
    if isinstance(file, Pollable):
        return gather(k, t, file, vectors(k, addr, count))
    return in_order(vectors(k, addr, count), lambda _, base, size: append(k, t, file, base, size))


def lseek(k: Kernel, t: Task, fd: int, offset: int, whence: int) -> int:
    """Move the file's position; lseek(2)."""
    file = k.files.usable(fd)
    if not 0 <= whence <= abi.SEEK_HOLE:
        raise SyscallError(EINVAL)
    file.position = file.seek(offset, whence)
    return file.position
