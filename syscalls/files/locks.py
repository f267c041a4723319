"""Advisory locks: flock's on whole files, fcntl's on ranges, owned by a process or by an open file.

A process that ends closes its files, and with them goes what it locked.  Deadlocks of F_SETLKW are not looked for
(EDEADLK): such tasks wait for ever, and the run says so.  Sources: flock(2), fcntl(2), fs/locks.c of Linux 6.1 (read).
"""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import EAGAIN, EBADF, EINVAL, EOVERFLOW, EWOULDBLOCK, SyscallError
from syscalls.light import TYPE_CHECKING, NamedTuple
from syscalls.waits import Blocked, Wait

if TYPE_CHECKING:
    from syscalls.files.opened import OpenFile
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

END = 1 << 63  # of a range without one
CHANNEL = ("lock",)


class Lock(NamedTuple):
    """A lock on *file* from *start* up to *end*; *whole* says that it is flock's, which knows nothing of the others."""

    file: tuple[int, int, int]  # the numbers of its file system, and its own
    owner: OpenFile | int  # the open file, or the process's number
    exclusive: bool
    start: int = 0
    end: int = END
    whole: bool = False

    def meets(self, other: Lock) -> bool:
        """Say whether both are on common bytes."""
        return (
            self.file == other.file and self.whole == other.whole and self.start < other.end and other.start < self.end
        )


def file_of(file: OpenFile) -> tuple[int, int, int]:
    """Return what names the file that *file* has open."""
    facts = file.facts
    return (*facts.device, facts.inode)


def same_owner(one: Lock, other: Lock) -> bool:
    """Say whether both belong to one owner."""
    return one.owner is other.owner or (isinstance(one.owner, int) and one.owner == other.owner)


def conflict(k: Kernel, new: Lock) -> Lock | None:
    """Return the first lock that *new* cannot be beside."""
    k.locks[:] = [lock for lock in k.locks if is_alive(k, lock.owner)]
    against = [lock for lock in k.locks if lock.meets(new) and not same_owner(lock, new)]
    return next((lock for lock in against if lock.exclusive or new.exclusive), None)


def is_alive(k: Kernel, owner: OpenFile | int) -> bool:
    """Say whether *owner* is an open file, or a process that has not ended."""
    if not isinstance(owner, int):
        return True
    process = k.processes.get(owner)
    return process is not None and process.ended is None


def place(k: Kernel, new: Lock, lock: bool) -> None:
    """Put *new* in place of what its owner has in its range, or with *lock* false only take that away."""
    kept: list[Lock] = []
    for old in k.locks:
        if not (old.meets(new) and same_owner(old, new)):
            kept.append(old)
            continue
        if old.start < new.start:
            kept.append(old._replace(end=new.start))
        if new.end < old.end:
            kept.append(old._replace(start=new.end))
    if lock:
        joined = new
        for old in [each for each in kept if each.file == new.file and each.whole == new.whole]:
            touches = old.start == joined.end or old.end == joined.start
            if touches and same_owner(old, new) and old.exclusive == new.exclusive:
                kept.remove(old)
                joined = joined._replace(start=min(old.start, joined.start), end=max(old.end, joined.end))
        kept.append(joined)
    k.locks[:] = sorted(kept, key=lambda each: each.start)
    k.wake(CHANNEL)


def closed(k: Kernel, file: OpenFile) -> None:
    """Let go of the locks that closing a descriptor of *file* ends: all of the process's own on it.  fcntl(2)."""
    if k.locks:
        key, pid = file_of(file), k.process.pid
        k.locks[:] = [lock for lock in k.locks if lock.file != key or lock.owner != pid]
        k.wake(CHANNEL)


def released(k: Kernel, file: OpenFile) -> None:
    """Let go of the locks of *file*, which nobody has open any more."""
    k.locks[:] = [lock for lock in k.locks if lock.owner is not file]
    k.wake(CHANNEL)


def flock(k: Kernel, t: Task, fd: int, operation: int) -> int:
    """Lock a whole file for an open file, or unlock it; flock(2)."""
    kind = operation & ~abi.LOCK_NB
    if kind not in (abi.LOCK_SH, abi.LOCK_EX, abi.LOCK_UN):
        raise SyscallError(EINVAL)
    file = k.files.usable(fd)
    new = Lock(file_of(file), file, kind == abi.LOCK_EX, whole=True)
    if kind == abi.LOCK_UN:
        place(k, new, lock=False)
        return 0
    place(k, new, lock=False)  # converting a lock first gives the old one up: flock(2)
    if conflict(k, new) is not None:
        if operation & abi.LOCK_NB:
            raise SyscallError(EWOULDBLOCK)
        raise Blocked(Wait(f"flock {fd}", (CHANNEL,)))
    place(k, new, lock=True)
    return 0


def range_of(file: OpenFile, whence: int, start: int, length: int) -> tuple[int, int]:
    """Return the first byte of a struct flock's range and the one after its last; fcntl(2)."""
    if whence == abi.SEEK_CUR:
        start += file.position
    elif whence == abi.SEEK_END:
        start += file.facts.size
    elif whence != abi.SEEK_SET:
        raise SyscallError(EINVAL)
    if start > END - 1 or (length > 0 and start + length - 1 > END - 1):
        raise SyscallError(EOVERFLOW)
    first, end = (start + length, start) if length < 0 else (start, start + length if length else END)
    if first < 0:
        raise SyscallError(EINVAL)
    return first, end


RECORD_COMMANDS = (
    abi.F_GETLK, abi.F_SETLK, abi.F_SETLKW, abi.F_OFD_GETLK, abi.F_OFD_SETLK, abi.F_OFD_SETLKW,
)  # fmt: skip


def record_lock(k: Kernel, t: Task, file: OpenFile, command: int, addr: int) -> int:
    """Set, clear or ask for a lock of the process (F_SETLK and others) or of the open file (F_OFD_*); fcntl(2)."""
    kind, whence, start, length, pid = abi.FLOCK.unpack(k.mem.read(addr, abi.FLOCK.size))
    asks = command in (abi.F_GETLK, abi.F_OFD_GETLK)
    by_file = command in (abi.F_OFD_GETLK, abi.F_OFD_SETLK, abi.F_OFD_SETLKW)
    if kind not in (abi.F_RDLCK, abi.F_WRLCK) and (asks or kind != abi.F_UNLCK):
        raise SyscallError(EINVAL)
    if by_file and pid:
        raise SyscallError(EINVAL)
    first, end = range_of(file, whence, start, length)
    new = Lock(file_of(file), file if by_file else k.process.pid, kind == abi.F_WRLCK, first, end)
    if asks:
        report(k, addr, conflict(k, new), (whence, start, length, pid))
        return 0
    if (kind == abi.F_RDLCK and not file.readable) or (kind == abi.F_WRLCK and not file.writable):
        raise SyscallError(EBADF)
    if kind != abi.F_UNLCK and conflict(k, new) is not None:
        if command in (abi.F_SETLK, abi.F_OFD_SETLK):
            raise SyscallError(EAGAIN)
        raise Blocked(Wait("a lock of a file", (CHANNEL,)))
    place(k, new, lock=kind != abi.F_UNLCK)
    return 0


def report(k: Kernel, addr: int, lock: Lock | None, asked: tuple[int, int, int, int]) -> None:
    """Store what stands in the way of a lock, or that nothing does."""
    if lock is None:
        k.mem.write(addr, abi.FLOCK.pack(abi.F_UNLCK, *asked))
        return
    kind = abi.F_WRLCK if lock.exclusive else abi.F_RDLCK
    length = 0 if lock.end == END else lock.end - lock.start
    owner = lock.owner if isinstance(lock.owner, int) else -1
    k.mem.write(addr, abi.FLOCK.pack(kind, abi.SEEK_SET, lock.start, length, owner))
