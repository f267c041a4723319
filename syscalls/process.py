"""What a process asks of its surroundings and sets of its own: uname, sysinfo, arch_prctl, prctl, resource limits."""

from __future__ import annotations

import functools
from collections.abc import Callable

from syscalls import abi, rlimits
from syscalls.errno import EBADF, EINVAL, ENODEV, ENOMEM, ENOTDIR, EPERM, SyscallError
from syscalls.files.paths import find
from syscalls.ids import process_named
from syscalls.light import TYPE_CHECKING
from syscalls.shared import Memory
from syscalls.time import NS
from syscalls.vma import Vma, make

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.processes import Process
    from syscalls.tasks import Task

UNAME_FIELD = 65
COMM_SIZE = 16
ANON_NAME_SIZE = 80  # ANON_VMA_NAME_MAX_LEN, the terminating null included
ANON_NAME_CHARACTERS = frozenset(range(0x20, 0x7F)) - frozenset(b"\\`$[]")
"""What a mapping's name may hold: prctl(2), PR_SET_VMA."""


def uname(k: Kernel, t: Task, addr: int) -> int:
    """Store the six strings of the World's ``uname``; uname(2)."""
    name = k.world.uname
    fields = (name.sysname, name.nodename, name.release, name.version, name.machine, name.domainname)
    k.mem.write(addr, abi.UTSNAME.pack(*(text.encode()[: UNAME_FIELD - 1] for text in fields)))
    return 0


def sysinfo(k: Kernel, t: Task, addr: int) -> int:
    """Store uptime, memory and the number of processes; sysinfo(2).  No load, no swap, one byte a unit."""
    from syscalls.facts import whole
    from syscalls.tree.system import free_memory

    uptime = -(-k.clock.monotonic_ns() // NS)  # rounded up, as do_sysinfo does
    total = k.world.memory.total
    free = free_memory(k.world, whole(k).resident)  # the same as MemFree of /proc/meminfo
    k.mem.write(addr, abi.SYSINFO.pack(uptime, 0, 0, 0, total, free, 0, 0, 0, 0, len(k.tasks), 0, 0, 1))
    return 0


def arch_prctl(k: Kernel, t: Task, code: int, addr: int) -> int:
    """Set or store the FS or GS base; arch_prctl(2).  An address outside user space is EPERM."""
    if code in (abi.ARCH_SET_FS, abi.ARCH_SET_GS):
        if addr >= abi.TASK_SIZE:
            raise SyscallError(EPERM)
        if code == abi.ARCH_SET_FS:
            t.fs_base = addr
        else:
            t.gs_base = addr
        return 0
    if code in (abi.ARCH_GET_FS, abi.ARCH_GET_GS):
        k.mem.write(addr, abi.U64.pack(t.fs_base if code == abi.ARCH_GET_FS else t.gs_base))
        return 0
    if code == abi.ARCH_GET_CPUID:
        return 1  # CPUID is not trapped
    raise SyscallError(ENODEV if code == abi.ARCH_SET_CPUID else EINVAL)


def set_tid_address(k: Kernel, t: Task, addr: int) -> int:
    """Remember the word to clear when the thread ends, and return its id; set_tid_address(2)."""
    t.clear_child_tid = addr
    return t.tid


def prctl(k: Kernel, t: Task, option: int, arg2: int, arg3: int, arg4: int, arg5: int) -> int:
    """Operate on the process; prctl(2).  An option that is not listed here is EINVAL, as on a kernel without it."""
    handler = PRCTL.get(option)
    if handler is None:
        raise SyscallError(EINVAL)
    return handler(k, t, arg2, arg3, arg4, arg5)


def _set_name(k: Kernel, t: Task, addr: int, *_: int) -> int:
    t.comm = k.read_text(addr, COMM_SIZE - 1).decode("utf-8", "surrogateescape")
    return 0


def _get_name(k: Kernel, t: Task, addr: int, *_: int) -> int:
    k.mem.write(addr, t.comm.encode("utf-8", "surrogateescape").ljust(COMM_SIZE, b"\0"))
    return 0


def _set_pdeath_signal(k: Kernel, t: Task, signum: int, *_: int) -> int:
    if not 0 <= signum <= abi.N_SIGNALS:
        raise SyscallError(EINVAL)
    t.pdeath_signal = signum
    return 0


def _get_pdeath_signal(k: Kernel, t: Task, addr: int, *_: int) -> int:
    k.mem.write(addr, abi.U32.pack(t.pdeath_signal))
    return 0


def _set_dumpable(k: Kernel, t: Task, value: int, *_: int) -> int:
    if value not in (0, 1):
        raise SyscallError(EINVAL)
    k.process.dumpable = value
    return 0


def _get_dumpable(k: Kernel, t: Task, *_: int) -> int:
    return k.process.dumpable


def _read_capability(k: Kernel, t: Task, capability: int, *_: int) -> int:
    if capability > 40:  # CAP_LAST_CAP, Linux 5.9 and later
        raise SyscallError(EINVAL)
    return 1  # a bounding set without gaps


def _set_timer_slack(k: Kernel, t: Task, slack: int, *_: int) -> int:
    t.timer_slack_ns = slack if 0 < slack < 1 << 63 else 50_000
    return 0


def _get_timer_slack(k: Kernel, t: Task, *_: int) -> int:
    return t.timer_slack_ns


def _set_no_new_privs(k: Kernel, t: Task, value: int, arg3: int, arg4: int, arg5: int) -> int:
    if value != 1 or arg3 or arg4 or arg5:
        raise SyscallError(EINVAL)
    t.no_new_privs = True
    return 0


def _get_no_new_privs(k: Kernel, t: Task, *rest: int) -> int:
    if any(rest):
        raise SyscallError(EINVAL)
    return int(t.no_new_privs)


def _set_thp_disable(k: Kernel, t: Task, value: int, arg3: int, arg4: int, arg5: int) -> int:
    if arg3 or arg4 or arg5:
        raise SyscallError(EINVAL)
    k.process.thp_disabled = bool(value)
    return 0


def _set_subreaper(k: Kernel, t: Task, value: int, *_: int) -> int:
    k.process.subreaper = bool(value)
    return 0


def _get_subreaper(k: Kernel, t: Task, addr: int, *_: int) -> int:
    k.mem.write(addr, abi.U32.pack(int(k.process.subreaper)))
    return 0


def _set_keepcaps(k: Kernel, t: Task, value: int, *_: int) -> int:
    if value not in (0, 1):
        raise SyscallError(EINVAL)
    t.keeps_caps = bool(value)
    return 0


def _get_keepcaps(k: Kernel, t: Task, *_: int) -> int:
    return int(t.keeps_caps)


def _get_thp_disable(k: Kernel, t: Task, *rest: int) -> int:
    if any(rest):
        raise SyscallError(EINVAL)
    return int(k.process.thp_disabled)


def _get_seccomp(k: Kernel, t: Task, *_: int) -> int:
    return 0  # no filter


def _set_vma(k: Kernel, t: Task, attribute: int, addr: int, size: int, name: int) -> int:
    # Names came with Linux 5.17 (CONFIG_ANON_VMA_NAME, taken as switched on); before, EINVAL.
    if attribute != abi.PR_SET_VMA_ANON_NAME or k.release < (5, 17):
        raise SyscallError(EINVAL)
    label = anonymous_name(k.read_text(name, ANON_NAME_SIZE)) if name else ""
    if label is None:
        raise SyscallError(EINVAL)
    space, call = k.space, (abi.PR_SET_VMA, addr, size, label)
    moment = space.areas.moment
    if moment and space.recall(call) is not None:
        return 0
    length, pieces = space.pieces(addr, size)
    named = 0
    for piece in pieces:
        shown = label
        if piece.backing is not None:
            if not isinstance(piece.backing, Memory) or k.release < (6, 2):
                raise SyscallError(EBADF)
            shown = label.replace("[anon:", "[anon_shmem:", 1)
        space.areas.change(piece.start, piece.end, functools.partial(called, shown))
        named += piece.end - piece.start
    if named != length:
        raise SyscallError(ENOMEM)
    if moment:
        moment.learn(call, 0, space.areas)
    return 0


def called(name: str, area: Vma) -> Vma:
    """Return *area* with that name."""
    return make((*area[:-1], name))


@functools.lru_cache(maxsize=64)
def anonymous_name(text: bytes) -> str | None:
    """Return what the maps show for a mapping that is called *text*, or None where it may not be called so."""
    if len(text) >= ANON_NAME_SIZE or not ANON_NAME_CHARACTERS.issuperset(text):
        return None
    return f"[anon:{text.decode('ascii')}]" if text else ""


PRCTL: dict[int, Callable[..., int]] = {
    abi.PR_SET_PDEATHSIG: _set_pdeath_signal,
    abi.PR_GET_PDEATHSIG: _get_pdeath_signal,
    abi.PR_SET_DUMPABLE: _set_dumpable,
    abi.PR_GET_DUMPABLE: _get_dumpable,
    abi.PR_SET_NAME: _set_name,
    abi.PR_GET_NAME: _get_name,
    abi.PR_GET_SECCOMP: _get_seccomp,
    abi.PR_CAPBSET_READ: _read_capability,
    abi.PR_SET_TIMERSLACK: _set_timer_slack,
    abi.PR_GET_TIMERSLACK: _get_timer_slack,
    abi.PR_SET_NO_NEW_PRIVS: _set_no_new_privs,
    abi.PR_GET_NO_NEW_PRIVS: _get_no_new_privs,
    abi.PR_SET_THP_DISABLE: _set_thp_disable,
    abi.PR_GET_THP_DISABLE: _get_thp_disable,
    abi.PR_SET_CHILD_SUBREAPER: _set_subreaper,
    abi.PR_GET_CHILD_SUBREAPER: _get_subreaper,
    abi.PR_GET_KEEPCAPS: _get_keepcaps,
    abi.PR_SET_KEEPCAPS: _set_keepcaps,
    abi.PR_SET_VMA: _set_vma,
}


def getrlimit(k: Kernel, t: Task, resource: int, addr: int) -> int:
    """Store the soft and hard limit of *resource*; getrlimit(2)."""
    if resource >= abi.RLIM_NLIMITS:
        raise SyscallError(EINVAL)
    k.mem.write(addr, abi.RLIMIT.pack(*k.rlimits[resource]))
    return 0


def setrlimit(k: Kernel, t: Task, resource: int, addr: int) -> int:
    """Change the limits of *resource*; setrlimit(2)."""
    set_limit(k, k.rlimits, resource, k.mem.read(addr, abi.RLIMIT.size))
    return 0


def prlimit64(k: Kernel, t: Task, pid: int, resource: int, new: int, old: int) -> int:
    """Change (where *new* is not null) and report the limits of *resource* of *pid*; prlimit(2)."""
    data = k.mem.read(new, abi.RLIMIT.size) if new else None
    target = process_named(k, t, pid)
    if target is not t.process and not same_user(t.process, target):
        raise SyscallError(EPERM)
    if resource >= abi.RLIM_NLIMITS:
        raise SyscallError(EINVAL)
    before = target.rlimits[resource]
    if data is not None:
        set_limit(k, target.rlimits, resource, data)
    if old:
        k.mem.write(old, abi.RLIMIT.pack(*before))
    return 0


def same_user(one: Process, other: Process) -> bool:
    """Say whether *one* is root, or *other* belongs to nobody but its user and group: check_prlimit_permission."""
    mine, theirs = one.ids, other.ids
    return not mine.euid or ({mine.uid} == set(theirs.users) and {mine.gid} == set(theirs.main))


def set_limit(k: Kernel, limits: list[tuple[int, int]], resource: int, data: bytes) -> None:
    """Set *resource* of *limits* to the struct rlimit in *data*; raise EINVAL or EPERM."""
    soft, hard = abi.RLIMIT.unpack(data)
    if resource >= abi.RLIM_NLIMITS or soft > hard:
        raise SyscallError(EINVAL)
    if resource == abi.RLIMIT_NOFILE and hard > rlimits.NR_OPEN:
        raise SyscallError(EPERM)
    if hard > limits[resource][1] and k.process.ids.euid:
        raise SyscallError(EPERM)  # CAP_SYS_RESOURCE
    limits[resource] = (soft, hard)


def chroot(k: Kernel, t: Task, path: bytes) -> int:
    """Refuse to make *path* the root directory, if it is one: EPERM; chroot(2)."""
    if find(k, abi.AT_FDCWD, path).mode & abi.S_IFMT != abi.S_IFDIR:
        raise SyscallError(ENOTDIR)
    raise SyscallError(EPERM)


def umask(k: Kernel, t: Task, mask: int) -> int:
    """Set the file mode creation mask and return the old one; umask(2)."""
    before, k.process.umask = k.process.umask, mask & 0o777
    return before
