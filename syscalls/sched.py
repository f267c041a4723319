"""CPUs: affinity, yielding, policies, restartable sequences.

Affinity follows kernel/sched: a mask is as long as ``nr_cpu_ids`` asks, which is one more than the highest possible CPU
of the World.
"""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import EBUSY, EINVAL, EPERM, ESRCH, SyscallError
from syscalls.light import TYPE_CHECKING

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
    """Give way to the other tasks that can run; sched_yield(2)."""
    k.yielded = True
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
