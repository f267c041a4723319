"""Futexes: waiting for a 32-bit word of guest memory to change, and waking who waits; futex(2), kernel/futex (read).

A waiter's channel is ("futex", number of the address space, address), so waiters are found by address and woken in the
order in which they came.  In memory that processes share, what lies behind the address takes its place, unless the call
says FUTEX_PRIVATE_FLAG.
"""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import EAGAIN, EINVAL, ENOSYS, EPERM, ESRCH, ETIMEDOUT, SyscallError
from syscalls.guest import GuestFault
from syscalls.light import TYPE_CHECKING
from syscalls.time import read_timespec
from syscalls.vma import SHARED
from syscalls.waits import TIMEOUT, WOKEN, Blocked, Channel, Wait, deadline_of

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

ALL = 0xFFFF_FFFF  # FUTEX_BITSET_MATCH_ANY
WAITS = (abi.FUTEX_WAIT, abi.FUTEX_WAIT_BITSET)
WITH_BITSET = (abi.FUTEX_WAIT_BITSET, abi.FUTEX_WAKE_BITSET)
REQUEUES = (abi.FUTEX_REQUEUE, abi.FUTEX_CMP_REQUEUE)
KNOWN = (*WAITS, abi.FUTEX_WAKE, abi.FUTEX_WAKE_BITSET, *REQUEUES, abi.FUTEX_WAKE_OP)
ROBUST_LIST_LIMIT = 2048
OWNER_DIED, WAITERS, TID_MASK = 0x4000_0000, 0x8000_0000, 0x3FFF_FFFF


def channel(t: Task, addr: int, private: int = 0) -> Channel:
    """Return what the waiters of the word at *addr* wait on; *private*: those of its address space alone."""
    if not private:
        area = t.process.space.areas.at(addr)
        if area is not None and area.flags & SHARED and (place := t.process.mem.physical(addr)) is not None:
            return ("shared futex", place)
    return ("futex", t.process.number, addr)


def futex(k: Kernel, t: Task, addr: int, op: int, value: int, timeout: int, addr2: int, value3: int) -> int:
    """Wait on or wake the waiters of the 32-bit word at *addr*; futex(2)."""
    command = op & ~(abi.FUTEX_PRIVATE_FLAG | abi.FUTEX_CLOCK_REALTIME)
    if command not in KNOWN or (op & abi.FUTEX_CLOCK_REALTIME and command not in WAITS):
        raise SyscallError(ENOSYS)
    if command in WAITS:
        return _wait(k, t, addr, op, value, timeout, value3 if command == abi.FUTEX_WAIT_BITSET else ALL)
    if addr & 3 or (command == abi.FUTEX_WAKE_BITSET and not value3):
        raise SyscallError(EINVAL)
    private = op & abi.FUTEX_PRIVATE_FLAG
    first = channel(t, addr, private)
    if command in REQUEUES:
        expected = value3 if command == abi.FUTEX_CMP_REQUEUE else None
        return _requeue(k, addr, first, value, timeout, addr2, channel(t, addr2, private), expected)
    if command == abi.FUTEX_WAKE_OP:
        return _wake_op(k, first, value, timeout, addr2, channel(t, addr2, private), value3)
    return wake(k, first, value, value3 if command == abi.FUTEX_WAKE_BITSET else ALL)


def _wait(k: Kernel, t: Task, addr: int, op: int, value: int, timeout: int, bits: int) -> int:
    if t.woken == WOKEN:
        return 0
    if t.woken == TIMEOUT:
        raise SyscallError(ETIMEDOUT)
    duration = read_timespec(k, timeout) if timeout else None
    if addr & 3 or not bits:
        raise SyscallError(EINVAL)
    (now,) = abi.U32.unpack(k.mem.read(addr, 4))
    if now != value:
        raise SyscallError(EAGAIN)
    deadline = deadline_of(t, 0, None)
    if duration is not None and deadline is None:
        if op & 127 == abi.FUTEX_WAIT_BITSET:  # its timeout is a point in time: futex(2)
            clock = abi.CLOCK_REALTIME if op & abi.FUTEX_CLOCK_REALTIME else abi.CLOCK_MONOTONIC
            duration -= k.clock.read(clock)
        deadline = k.clock.monotonic_ns() + duration
        if duration <= 0:
            raise SyscallError(ETIMEDOUT)
    # With a timeout it is restarted by its restart block, which is EINTR once a handler ran (kernel/futex/waitwake.c).
    what = f"futex {addr:#x}" + ("" if deadline is None else f" until {deadline} ns")
    on = channel(t, addr, op & abi.FUTEX_PRIVATE_FLAG)
    raise Blocked(Wait(what, (on,), deadline, restarts=deadline is None, data=bits))


def wake(k: Kernel, of: Channel, most: int, bits: int = ALL) -> int:
    """Wake up to *most* waiters of the channel *of* that wait for one of *bits*, and return how many there were."""
    most = max(most, 1)  # futex_wake: the count is looked at after a waiter was woken
    if bits == ALL:
        return k.wake(of, most)
    woken = 0
    for tid in k.scheduler.waiters(of):
        task = k.tasks[tid]
        if task.wait is not None and task.wait.data & bits and woken < most:
            k.scheduler.rouse(task, WOKEN)
            woken += 1
    return woken


def _requeue(
    k: Kernel, addr: int, first: Channel, most: int, move: int, addr2: int, second: Channel, expected: int | None
) -> int:
    # Wake some of *first*, and let up to *move* others wait on *second*; the count is of both.
    signed = [value - ((value & 0x8000_0000) << 1) for value in (most & ALL, move & ALL)]
    if min(signed) < 0 or addr2 & 3:
        raise SyscallError(EINVAL)
    if expected is not None and abi.U32.unpack(k.mem.read(addr, 4))[0] != expected:
        raise SyscallError(EAGAIN)
    woken = k.wake(first, signed[0])
    rest = k.scheduler.waiters(first)[: signed[1]]
    for tid in rest:
        k.scheduler.move(k.tasks[tid], second)
    return woken + (len(rest) if expected is not None else 0)


def _wake_op(k: Kernel, first: Channel, most: int, most2: int, addr2: int, second: Channel, encoded: int) -> int:
    if addr2 & 3:
        raise SyscallError(EINVAL)
    operation, comparison = encoded >> 28 & 7, encoded >> 24 & 15
    argument, against = _signed12(encoded >> 12), _signed12(encoded)
    if encoded >> 31:  # FUTEX_OP_ARG_SHIFT
        argument = 1 << (argument & 31)
    (old,) = abi.U32.unpack(k.mem.read(addr2, 4))
    new = {0: argument, 1: old + argument, 2: old | argument, 3: old & ~argument, 4: old ^ argument}.get(operation)
    if new is None or comparison > 5:
        raise SyscallError(ENOSYS)
    k.mem.write(addr2, abi.U32.pack(new & ALL))
    signed = old - ((old & 0x8000_0000) << 1)
    holds = (signed == against, signed != against, signed < against, signed <= against, signed > against,
             signed >= against)[comparison]  # fmt: skip
    woken = wake(k, first, most)
    return woken + (wake(k, second, most2 & ALL) if holds else 0)


def _signed12(value: int) -> int:
    value &= 0xFFF
    return value - ((value & 0x800) << 1)


def set_robust_list(k: Kernel, t: Task, head: int, size: int) -> int:
    """Remember where the list of robust futexes starts; set_robust_list(2)."""
    if size != abi.ROBUST_LIST_HEAD_SIZE:
        raise SyscallError(EINVAL)
    t.robust_list = head
    return 0


def get_robust_list(k: Kernel, t: Task, pid: int, head: int, size: int) -> int:
    """Store the head of the robust list and its length; get_robust_list(2)."""
    target = t if pid == 0 else k.tasks.get(pid)
    if target is None:
        raise SyscallError(ESRCH)
    if target.process is not t.process and t.process.ids.euid:
        raise SyscallError(EPERM)
    k.mem.write(size, abi.U64.pack(abi.ROBUST_LIST_HEAD_SIZE))
    k.mem.write(head, abi.U64.pack(target.robust_list))
    return 0


def release_robust_list(k: Kernel, t: Task) -> None:
    """Mark the locks that *t*, which ends, still holds as those of a dead owner, and wake a waiter of each.

    exit_robust_list of kernel/futex/core.c; a list that cannot be read is left where it ends.
    """
    if not t.robust_list:
        return
    mem = t.process.mem
    try:
        entry, offset, pending = abi.ROBUST_LIST_HEAD.unpack(mem.read(t.robust_list, abi.ROBUST_LIST_HEAD_SIZE))
        locks = []
        for _ in range(ROBUST_LIST_LIMIT):
            if entry & ~1 == t.robust_list:
                break
            if entry & ~1 != pending & ~1:
                locks.append((entry & ~1) + offset)
            (entry,) = abi.U64.unpack(mem.read(entry & ~1, 8))
        if pending & ~1:
            locks.append((pending & ~1) + offset)
        for addr in locks:
            _release(k, t, addr & 2**64 - 1)
    except GuestFault:
        return


def _release(k: Kernel, t: Task, addr: int) -> None:
    mem = t.process.mem
    (word,) = abi.U32.unpack(mem.read(addr, 4))
    if word & TID_MASK == t.tid:
        mem.write(addr, abi.U32.pack(word & WAITERS | OWNER_DIED))
        if word & WAITERS:
            k.wake(channel(t, addr), 1)
