"""Who a process is: process and thread ids, groups, sessions, users; credentials(7).

Users and groups are the process's, not each thread's: libraries change those of all threads at once.  Root may become
anybody, everybody else only who it is already (CAP_SETUID and CAP_SETGID go with user 0).
"""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import EACCES, EFAULT, EINVAL, EPERM, ESRCH, SyscallError
from syscalls.light import TYPE_CHECKING

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.processes import Process, Triple
    from syscalls.tasks import Task

USER, GROUP = "users", "main"
KEEP = 0xFFFF_FFFF
"""-1, for an id that is to stay."""

NGROUPS_MAX = 65_536


def getpid(k: Kernel, t: Task) -> int:
    """Return the process id; getpid(2)."""
    return t.pid


def gettid(k: Kernel, t: Task) -> int:
    """Return the thread id; gettid(2)."""
    return t.tid


def getppid(k: Kernel, t: Task) -> int:
    """Return the parent's process id; getppid(2)."""
    return t.process.ppid


# Groups and sessions


def process_named(k: Kernel, t: Task, pid: int) -> Process:
    """Return the process that *pid* names, 0 being the caller's and a thread's id its process's; raise ESRCH."""
    if pid in (0, t.pid):
        return t.process
    task = k.tasks.get(pid)
    found = task.process if task is not None else k.processes.get(pid)
    if found is None:
        raise SyscallError(ESRCH)
    return found


def getpgrp(k: Kernel, t: Task) -> int:
    """Return the caller's process group; getpgrp(2)."""
    return t.process.pgid


def getpgid(k: Kernel, t: Task, pid: int) -> int:
    """Return the process group of *pid*; getpgid(2)."""
    return process_named(k, t, pid).pgid


def getsid(k: Kernel, t: Task, pid: int) -> int:
    """Return the session of *pid*; getsid(2)."""
    return process_named(k, t, pid).sid


def setpgid(k: Kernel, t: Task, pid: int, pgid: int) -> int:
    """Move *pid*, the caller or a child of it that runs no program of its own yet, into a group; setpgid(2)."""
    if (pgid or pid) < 0:
        raise SyscallError(EINVAL)
    target = t.process if pid in (0, t.pid) else k.processes.get(pid)
    if target is None or (target is not t.process and target.ppid != t.pid):
        raise SyscallError(ESRCH)
    if target is not t.process:
        if target.sid != t.process.sid:
            raise SyscallError(EPERM)
        if target.executed:
            raise SyscallError(EACCES)
    if target.sid == target.pid:
        raise SyscallError(EPERM)  # the leader of a session
    group = pgid or target.pid
    members = [each for each in k.processes.values() if each.pgid == group]
    if group != target.pid and not any(each.sid == t.process.sid for each in members):
        raise SyscallError(EPERM)
    target.pgid = group
    return 0


def setsid(k: Kernel, t: Task) -> int:
    """Begin a session and a group, of both of which the caller is the leader, and return its id; setsid(2)."""
    me = t.process
    if any(each.pgid == me.pid for each in k.processes.values()):
        raise SyscallError(EPERM)
    me.sid = me.pgid = me.pid
    return me.pid


# Users and groups


def getuid(k: Kernel, t: Task) -> int:
    """Return the real user id; getuid(2)."""
    return t.process.ids.uid


def geteuid(k: Kernel, t: Task) -> int:
    """Return the effective user id; geteuid(2)."""
    return t.process.ids.euid


def getgid(k: Kernel, t: Task) -> int:
    """Return the real group id; getgid(2)."""
    return t.process.ids.gid


def getegid(k: Kernel, t: Task) -> int:
    """Return the effective group id; getegid(2)."""
    return t.process.ids.egid


def _store(k: Kernel, addresses: Triple, values: Triple) -> int:
    for addr, value in zip(addresses, values, strict=True):
        k.mem.write(addr, abi.U32.pack(value))
    return 0


def getresuid(k: Kernel, t: Task, real: int, effective: int, saved: int) -> int:
    """Store the real, effective and saved user ids; getresuid(2)."""
    return _store(k, (real, effective, saved), t.process.ids.users)


def getresgid(k: Kernel, t: Task, real: int, effective: int, saved: int) -> int:
    """Store the real, effective and saved group ids; getresgid(2)."""
    return _store(k, (real, effective, saved), t.process.ids.main)


def _become(t: Task, which: str, values: Triple) -> int:
    # Let the ids of *which*, "users" or "main" group, be *values*.
    before = t.process.ids
    t.process.ids = before._replace(**{which: values})
    if (before.euid, before.egid) != (t.process.ids.euid, t.process.ids.egid):
        t.process.dumpable = 0  # commit_creds
    return 0


def _ids(t: Task, which: str) -> Triple:
    return t.process.ids.users if which == USER else t.process.ids.main


def _privileged(t: Task) -> bool:
    return t.process.ids.euid == 0


def _set_one(t: Task, which: str, new: int) -> int:
    real, _, saved = _ids(t, which)
    if new == KEEP:
        raise SyscallError(EINVAL)
    if _privileged(t):
        return _become(t, which, (new, new, new))
    if new not in (real, saved):
        raise SyscallError(EPERM)
    return _become(t, which, (real, new, saved))


def setuid(k: Kernel, t: Task, uid: int) -> int:
    """Become user *uid*, root for good; setuid(2)."""
    return _set_one(t, USER, uid)


def setgid(k: Kernel, t: Task, gid: int) -> int:
    """Become group *gid*; setgid(2)."""
    return _set_one(t, GROUP, gid)


def _set_two(t: Task, which: str, real: int, effective: int) -> int:
    before = _ids(t, which)
    new_real = before[0] if real == KEEP else real
    new_effective = before[1] if effective == KEEP else effective
    if not _privileged(t) and (new_real not in before[:2] or new_effective not in before):
        raise SyscallError(EPERM)
    saved = new_effective if real != KEEP or (effective != KEEP and new_effective != before[0]) else before[2]
    return _become(t, which, (new_real, new_effective, saved))


def setreuid(k: Kernel, t: Task, real: int, effective: int) -> int:
    """Set the real and the effective user id; setreuid(2)."""
    return _set_two(t, USER, real, effective)


def setregid(k: Kernel, t: Task, real: int, effective: int) -> int:
    """Set the real and the effective group id; setregid(2)."""
    return _set_two(t, GROUP, real, effective)


def _set_three(t: Task, which: str, wanted: Triple) -> int:
    before = _ids(t, which)
    new = [old if value == KEEP else value for old, value in zip(before, wanted, strict=True)]
    if not _privileged(t) and any(value not in before for value in new):
        raise SyscallError(EPERM)
    return _become(t, which, (new[0], new[1], new[2]))


def setresuid(k: Kernel, t: Task, real: int, effective: int, saved: int) -> int:
    """Set the three user ids; setresuid(2)."""
    return _set_three(t, USER, (real, effective, saved))


def setresgid(k: Kernel, t: Task, real: int, effective: int, saved: int) -> int:
    """Set the three group ids; setresgid(2)."""
    return _set_three(t, GROUP, (real, effective, saved))


def setfsuid(k: Kernel, t: Task, uid: int) -> int:
    """Return the id of the user whose rights count for files, which stays the effective one; setfsuid(2)."""
    return t.process.ids.euid


def setfsgid(k: Kernel, t: Task, gid: int) -> int:
    """Return the id of the group whose rights count for files, which stays the effective one; setfsgid(2)."""
    return t.process.ids.egid


def getgroups(k: Kernel, t: Task, size: int, addr: int) -> int:
    """Store the supplementary groups, unless *size* is 0, and return how many there are; getgroups(2)."""
    groups = t.process.ids.groups
    if size < 0 or 0 < size < len(groups):
        raise SyscallError(EINVAL)
    if size and groups:
        k.mem.write(addr, b"".join(map(abi.U32.pack, groups)))
    return len(groups)


def setgroups(k: Kernel, t: Task, size: int, addr: int) -> int:
    """Set the supplementary groups; setgroups(2)."""
    if not _privileged(t):
        raise SyscallError(EPERM)
    if not 0 <= size <= NGROUPS_MAX:
        raise SyscallError(EINVAL)
    if size and not addr:
        raise SyscallError(EFAULT)
    data = k.mem.read(addr, 4 * size)
    groups = sorted(number for (number,) in abi.U32.iter_unpack(data))  # groups_sort
    t.process.ids = t.process.ids._replace(groups=tuple(groups))
    return 0
