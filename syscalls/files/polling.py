"""poll and select: which of some descriptors are ready; poll(2), select(2), fs/select.c of Linux 6.1 (read)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from syscalls import abi
from syscalls.errno import EBADF, EINVAL, SyscallError
from syscalls.files.epoll import put_mask
from syscalls.files.opened import OpenFile, Stream
from syscalls.light import TYPE_CHECKING
from syscalls.time import NS, read_timespec
from syscalls.waits import TIMEOUT, Blocked, Channel, Wait, deadline_of

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

ALWAYS = abi.POLLERR | abi.POLLHUP | abi.POLLNVAL
# What makes a descriptor one of select's readable, writable and exceptional ones.
SETS = (
    abi.POLLRDNORM | abi.POLLRDBAND | abi.POLLIN | abi.POLLHUP | abi.POLLERR | abi.POLLNVAL,
    abi.POLLWRBAND | abi.POLLWRNORM | abi.POLLOUT | abi.POLLERR | abi.POLLNVAL,
    abi.POLLPRI | abi.POLLNVAL,
)
Left = Callable[[int], None]  # stores how much of the timeout is left, in nanoseconds


def wait_for(k: Kernel, t: Task, what: str, wanted: Iterable[tuple[OpenFile, int]], timeout_ns: int | None) -> None:
    """Wait until one of the (file, events) *wanted* may be ready; return when the timeout has passed."""
    if timeout_ns == 0 or t.woken == TIMEOUT:
        return
    channels: dict[Channel, None] = {}
    for file, events in wanted:
        channels.update(dict.fromkeys(file.channels(events | ALWAYS)))
    deadline = deadline_of(t, k.clock.monotonic_ns(), timeout_ns)
    raise Blocked(Wait(what, tuple(channels), deadline, restarts=False))


def store_left(k: Kernel, t: Task, timeout_ns: int | None, store: Left) -> None:
    """Let *store* say what is left of the timeout, as Linux's own calls do; a fault is as if it had not been asked."""
    if not timeout_ns:
        return
    deadline = t.wait.deadline if t.woken and t.wait else None
    store(timeout_ns if deadline is None else max(deadline - k.clock.monotonic_ns(), 0))


def poll(k: Kernel, t: Task, addr: int, count: int, timeout: int) -> int:
    """Say which of *count* descriptors are ready, waiting up to *timeout* milliseconds; poll(2)."""
    return _poll(k, t, addr, count, None if timeout < 0 else timeout * (NS // 1000))


def ppoll(k: Kernel, t: Task, addr: int, count: int, timeout: int, mask: int, size: int) -> int:
    """Like poll, with a timespec, where what is left is stored, and a signal mask; poll(2)."""
    timeout_ns = first_timeout(k, t, timeout) if timeout else None
    put_mask(k, t, mask, size)
    ready = _poll(k, t, addr, count, timeout_ns)
    store_left(k, t, timeout_ns, lambda left: k.mem.write(timeout, abi.TIMESPEC.pack(*divmod(left, NS))))
    return ready


def first_timeout(k: Kernel, t: Task, addr: int) -> int:
    """Return the timeout at *addr*: only the first call of a wait looks at whether it is 0."""
    return read_timespec(k, addr) if t.woken is None else 1


def _ready(k: Kernel, file: OpenFile, timeout_ns: int | None) -> int:
    # What can be done now.  Who does not wait would never see what comes from outside, unless it is asked for.
    if timeout_ns == 0 and isinstance(file, Stream):
        file.look(k)
    return file.ready(k)


def _poll(k: Kernel, t: Task, addr: int, count: int, timeout_ns: int | None) -> int:
    if count > k.files.limit:
        raise SyscallError(EINVAL)
    entries = list(abi.POLLFD.iter_unpack(k.mem.read(addr, count * abi.POLLFD.size))) if count else []
    found, wanted, ready = [], [], 0
    for fd, events, _ in entries:
        got = 0
        if fd >= 0 and not k.files.is_open(fd):
            got = abi.POLLNVAL
        elif fd >= 0:
            file, mask = k.files.get(fd), (events & 0xFFFF) | abi.POLLERR | abi.POLLHUP
            got = _ready(k, file, timeout_ns) & mask
            wanted.append((file, mask))
        ready += got != 0
        found.append((fd, events, got))
    if not ready:
        wait_for(k, t, f"poll of {count} descriptors", wanted, timeout_ns)
    for index, (_, _, got) in enumerate(found):
        k.mem.write(addr + index * abi.POLLFD.size + 6, got.to_bytes(2, "little"))
    return ready


def select(k: Kernel, t: Task, count: int, reading: int, writing: int, failing: int, timeout: int) -> int:
    """Say which descriptors of three sets are ready, waiting up to the timeval at *timeout*; select(2)."""
    timeout_ns = None
    if timeout:
        seconds, micros = abi.TIMEVAL.unpack(k.mem.read(timeout, abi.TIMEVAL.size))
        if seconds < 0 or micros < 0:
            raise SyscallError(EINVAL)
        timeout_ns = seconds * NS + micros * 1000 if t.woken is None else 1
    ready = _select(k, t, count, (reading, writing, failing), timeout_ns)
    store_left(
        k, t, timeout_ns,
        lambda left: k.mem.write(timeout, abi.TIMEVAL.pack(left // NS, left % NS // 1000)),
    )  # fmt: skip
    return ready


def pselect6(k: Kernel, t: Task, count: int, reading: int, writing: int, failing: int, timeout: int, mask: int) -> int:
    """Like select, with a timespec and a signal mask, whose address and size stand at *mask*; select(2)."""
    timeout_ns = first_timeout(k, t, timeout) if timeout else None
    if mask:
        put_mask(k, t, *abi.IOVEC.unpack(k.mem.read(mask, abi.IOVEC.size)))
    ready = _select(k, t, count, (reading, writing, failing), timeout_ns)
    store_left(k, t, timeout_ns, lambda left: k.mem.write(timeout, abi.TIMESPEC.pack(*divmod(left, NS))))
    return ready


def _select(k: Kernel, t: Task, count: int, sets: tuple[int, ...], timeout_ns: int | None) -> int:
    if count < 0:
        raise SyscallError(EINVAL)
    count = min(count, max(k.files.fds(), default=0) // 64 * 64 + 64)  # core_sys_select: no more than the table holds
    size = (count + 63) // 64 * 8
    asked = [int.from_bytes(k.mem.read(addr, size), "little") if addr and size else 0 for addr in sets]
    found, ready = [0, 0, 0], 0
    wanted = []
    for fd in range(count):
        mask = _mask(asked, fd)
        if not mask:
            continue
        if not k.files.is_open(fd):
            raise SyscallError(EBADF)
        file = k.files.get(fd)
        got = _ready(k, file, timeout_ns) & mask
        wanted.append((file, mask))
        for index, events in enumerate(SETS):
            if asked[index] >> fd & 1 and got & events:
                found[index] |= 1 << fd
                ready += 1
    if not ready:
        wait_for(k, t, f"select of {count} descriptors", wanted, timeout_ns)
    for addr, bits in zip(sets, found, strict=True):
        if addr and size:
            k.mem.write(addr, bits.to_bytes(size, "little"))
    return ready


def _mask(asked: list[int], fd: int) -> int:
    mask = 0
    for bits, events in zip(asked, SETS, strict=True):
        if bits >> fd & 1:
            mask |= events
    return mask
