"""CPUs and waiting: affinity, yielding, futexes.

Affinity follows kernel/sched: a mask is as long as ``nr_cpu_ids`` asks, which is one more than the highest possible CPU
of the World.  Only one task runs so far, so a futex that has to wait has nobody to wake it: the run ends there and
says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syscalls import abi
from syscalls.errno import EAGAIN, EBUSY, EINVAL, ENOSYS, EPERM, ESRCH, ETIMEDOUT, SyscallError
from syscalls.outcome import Hang
from syscalls.time import read_timespec

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

SCHED_PRIORITIES = {0: (0, 0), 1: (1, 99), 2: (1, 99), 3: (0, 0), 5: (0, 0), 6: (0, 0)}
"""Policy -> (lowest, highest) static priority: sched_get_priority_max(2)."""


def task_of(k: Kernel, t: Task, pid: int) -> Task:
    """Return the task that *pid* names, 0 being the caller; raise EINVAL or ESRCH."""
    found = t if pid == 0 else k.tasks.get(pid)
    if found is None:
        raise SyscallError(EINVAL if pid < 0 else ESRCH)
    return found


def sched_getaffinity(k: Kernel, t: Task, pid: int, size: int, addr: int) -> int:
    """Store the affinity mask of *pid* and return its length in bytes; sched_getaffinity(2), "C library/kernel".

    EINVAL when *size* has fewer bits than there are possible CPUs, or is no multiple of 8.  A negative or unknown pid
    is ESRCH.
    """
    if size * 8 < k.nr_cpu_ids or size & 7:
        raise SyscallError(EINVAL)
    target = t if pid == 0 else k.tasks.get(pid)
    if target is None:
        raise SyscallError(ESRCH)
    length = min(size, (k.nr_cpu_ids + 63) // 64 * 8)
    k.mem.write(addr, target.cpus.to_bytes(length, "little"))
    return length


def sched_setaffinity(k: Kernel, t: Task, pid: int, size: int, addr: int) -> int:
    """Restrict *pid* to the CPUs of the mask at *addr* that exist; sched_setaffinity(2)."""
    length = (k.nr_cpu_ids + 63) // 64 * 8
    mask = int.from_bytes(k.mem.read(addr, min(size, length)), "little")
    target = t if pid == 0 else k.tasks.get(pid)
    if target is None:
        raise SyscallError(ESRCH)
    mask &= k.possible_cpus
    if not mask:
        raise SyscallError(EINVAL)
    target.cpus = mask
    if not mask >> target.cpu & 1:
        target.cpu = (mask & -mask).bit_length() - 1
    return 0


def getcpu(k: Kernel, t: Task, cpu: int, node: int, cache: int) -> int:
    """Store the CPU that the task runs on and its NUMA node (0), each where its pointer is not null; getcpu(2)."""
    if cpu:
        k.mem.write(cpu, abi.U32.pack(t.cpu))
    if node:
        k.mem.write(node, abi.U32.pack(0))
    return 0


def sched_yield(k: Kernel, t: Task) -> int:
    """Give way to another task: there is none.  sched_yield(2)."""
    return 0


def sched_getscheduler(k: Kernel, t: Task, pid: int) -> int:
    """Return SCHED_OTHER, the policy of every task; sched_getscheduler(2)."""
    task_of(k, t, pid)
    return 0


def sched_getparam(k: Kernel, t: Task, pid: int, addr: int) -> int:
    """Store the static priority, 0 under SCHED_OTHER; sched_getparam(2)."""
    if not addr or pid < 0:
        raise SyscallError(EINVAL)
    task_of(k, t, pid)
    k.mem.write(addr, abi.U32.pack(0))
    return 0


def sched_get_priority_max(k: Kernel, t: Task, policy: int) -> int:
    """Return the highest priority of *policy*; sched_get_priority_max(2)."""
    if policy not in SCHED_PRIORITIES:
        raise SyscallError(EINVAL)
    return SCHED_PRIORITIES[policy][1]


def sched_get_priority_min(k: Kernel, t: Task, policy: int) -> int:
    """Return the lowest priority of *policy*; sched_get_priority_min(2)."""
    if policy not in SCHED_PRIORITIES:
        raise SyscallError(EINVAL)
    return SCHED_PRIORITIES[policy][0]


def futex(k: Kernel, t: Task, addr: int, op: int, value: int, timeout: int, addr2: int, value3: int) -> int:
    """Wait on or wake the waiters of the 32-bit word at *addr*; futex(2).

    With one task nobody ever waits, so a wake reaches nobody, a wait with a timeout lasts exactly that long, and a wait
    without one ends the run as a hang.
    """
    command = op & ~(abi.FUTEX_PRIVATE_FLAG | abi.FUTEX_CLOCK_REALTIME)
    if command not in (abi.FUTEX_WAIT, abi.FUTEX_WAKE, abi.FUTEX_WAIT_BITSET, abi.FUTEX_WAKE_BITSET):
        raise SyscallError(ENOSYS)
    if op & abi.FUTEX_CLOCK_REALTIME and command in (abi.FUTEX_WAKE, abi.FUTEX_WAKE_BITSET):
        raise SyscallError(ENOSYS)
    waits = command in (abi.FUTEX_WAIT, abi.FUTEX_WAIT_BITSET)
    duration = read_timespec(k, timeout) if waits and timeout else None
    if addr & 3 or (command in (abi.FUTEX_WAIT_BITSET, abi.FUTEX_WAKE_BITSET) and not value3):
        raise SyscallError(EINVAL)
    if not waits:
        return 0
    (now,) = abi.U32.unpack(k.mem.read(addr, 4))
    if now != value:
        raise SyscallError(EAGAIN)
    if duration is None:
        k.exit = Hang(f"futex wait at {addr:#x} with no other task to wake it")
        return 0
    if command == abi.FUTEX_WAIT_BITSET:  # its timeout is a point in time: futex(2)
        clock = abi.CLOCK_REALTIME if op & abi.FUTEX_CLOCK_REALTIME else abi.CLOCK_MONOTONIC
        duration -= k.clock.read(clock)
    k.clock.sleep(duration)
    raise SyscallError(ETIMEDOUT)


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
    k.mem.write(size, abi.U64.pack(abi.ROBUST_LIST_HEAD_SIZE))
    k.mem.write(head, abi.U64.pack(target.robust_list))
    return 0


def rseq(k: Kernel, t: Task, addr: int, size: int, flags: int, signature: int) -> int:
    """Register, or with flag 1 unregister, a restartable sequence area; kernel/rseq.c (read)."""
    if flags & ~1:
        raise SyscallError(EINVAL)
    if t.rseq is None:
        valid = size >= abi.RSEQ_SIZE if k.release >= (6, 3) else size == abi.RSEQ_SIZE
        if flags or not valid or addr & (abi.RSEQ_SIZE - 1):
            raise SyscallError(EINVAL)
        # cpu_id_start and cpu_id; then, past rseq_cs and flags, node_id and mm_cid.
        k.mem.write(addr, abi.U32.pack(t.cpu) * 2)
        k.mem.write(addr + 20, abi.U32.pack(0) * 2)
        t.rseq = (addr, size, signature)
        return 0
    if t.rseq[:2] != (addr, size):
        raise SyscallError(EINVAL)
    if t.rseq[2] != signature:
        raise SyscallError(EPERM)
    if not flags:
        raise SyscallError(EBUSY)
    t.rseq = None
    return 0
