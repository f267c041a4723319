"""New threads and processes; clone(2), clone3(2), fork(2), vfork(2).

The kernel makes the task; the machine, which is told by ``Kernel.born`` and ``Kernel.gone``, makes and drops its CPU.
"""

from __future__ import annotations

import contextlib

from syscalls import abi
from syscalls.errno import E2BIG, EAGAIN, EINVAL, ENOSYS, EPERM, SyscallError
from syscalls.guest import GuestFault
from syscalls.light import TYPE_CHECKING, NamedTuple, replace
from syscalls.pidfd import PidFd
from syscalls.processes import Place, Process
from syscalls.waits import Blocked, Wait

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

NAMESPACES = (
    abi.CLONE_NEWNS | abi.CLONE_NEWUSER | abi.CLONE_NEWPID | abi.CLONE_NEWNET | abi.CLONE_NEWUTS | abi.CLONE_NEWIPC
    | abi.CLONE_NEWCGROUP
)  # fmt: skip
THREAD = abi.CLONE_VM | abi.CLONE_FS | abi.CLONE_FILES | abi.CLONE_SIGHAND | abi.CLONE_THREAD
"""What every library's thread asks for: all is shared."""

MOST_TASKS = 10_000
"""Tasks that a guest may have at once; more is EAGAIN, as at RLIMIT_NPROC or the pids limit of a control group."""


class CloneArgs(NamedTuple):
    """struct clone_args, as far as it is used; clone(2) is brought into the same form."""

    flags: int
    pidfd: int
    child_tid: int
    parent_tid: int
    exit_signal: int
    stack: int  # the initial stack pointer, 0 for the parent's
    tls: int


def clone(k: Kernel, t: Task, flags: int, stack: int, parent_tid: int, child_tid: int, tls: int) -> int:
    """Make a task; clone(2), with the order of arguments of x86-64."""
    if flags & abi.CLONE_PIDFD and flags & abi.CLONE_PARENT_SETTID:
        raise SyscallError(EINVAL)
    flags &= 0xFFFF_FFFF
    return make(k, t, CloneArgs(flags & ~0xFF, parent_tid, child_tid, parent_tid, flags & 0xFF, stack, tls))


def clone3(k: Kernel, t: Task, addr: int, size: int) -> int:
    """Make a task; clone3(2).  Neither chosen thread ids nor control groups can be asked for."""
    if size < abi.CLONE_ARGS_SIZE_VER0:
        raise SyscallError(EINVAL)
    if size > 4096:
        raise SyscallError(E2BIG)
    data = k.mem.read(addr, size)
    known = min(size, abi.CLONE_ARGS.size)
    if any(data[known:]):
        raise SyscallError(E2BIG)
    flags, pidfd, child, parent, signal, stack, stack_size, tls, set_tid, n_tids, _ = abi.CLONE_ARGS.unpack(
        data[:known].ljust(abi.CLONE_ARGS.size, b"\0")
    )
    if set_tid or n_tids or flags & (abi.CLONE_INTO_CGROUP | abi.CLONE_DETACHED | 0xFF) or signal > 64:
        raise SyscallError(EINVAL)
    if bool(stack) != bool(stack_size):
        raise SyscallError(EINVAL)
    return make(k, t, CloneArgs(flags, pidfd, child, parent, signal, stack + stack_size, tls))


def fork(k: Kernel, t: Task) -> int:
    """Make a process with a copy of the caller's memory; fork(2)."""
    return make(k, t, CloneArgs(0, 0, 0, 0, abi.SIGCHLD, 0, 0))


def vfork(k: Kernel, t: Task) -> int:
    """Make a process that has the caller's memory until it runs a program or ends; vfork(2)."""
    return make(k, t, CloneArgs(abi.CLONE_VFORK | abi.CLONE_VM, 0, 0, 0, abi.SIGCHLD, 0, 0))


def make(k: Kernel, t: Task, args: CloneArgs) -> int:
    """Make the task that *args* describe, and return its id."""
    flags = args.flags
    if t.woken is not None and t.wait is not None:
        return t.wait.data  # the child of CLONE_VFORK does not use the memory any more
    if flags & abi.CLONE_SIGHAND and not flags & abi.CLONE_VM:
        raise SyscallError(EINVAL)
    if flags & abi.CLONE_THREAD and not flags & abi.CLONE_SIGHAND:
        raise SyscallError(EINVAL)
    if flags & NAMESPACES:
        # A kernel with namespaces, of which only root may make any; here there is but the first of each kind.
        raise SyscallError(EPERM if t.process.ids.euid else EINVAL)
    if flags & abi.CLONE_PIDFD and flags & (abi.CLONE_THREAD | abi.CLONE_DETACHED):
        raise SyscallError(EINVAL)
    if flags & abi.CLONE_CLEAR_SIGHAND and flags & abi.CLONE_SIGHAND:
        raise SyscallError(EINVAL)
    if flags & abi.CLONE_THREAD and flags & THREAD != THREAD:
        raise SyscallError(EINVAL)
    if flags & abi.CLONE_SETTLS and args.tls >= abi.TASK_SIZE:
        raise SyscallError(EPERM)
    check_count(k, t)
    if flags & abi.CLONE_THREAD:
        return start(k, t, thread(k, t), args)
    child = process(k, t, args)
    pid = start(k, t, child, args)
    if flags & abi.CLONE_VFORK:
        child.process.maker_waits = True
        raise Blocked(Wait(f"vfork: process {pid}", (("vfork", pid),), killable_only=True, data=pid))
    return pid


def check_count(k: Kernel, t: Task) -> None:
    """Raise EAGAIN when there are as many tasks as the guest, or RLIMIT_NPROC its user, may have."""
    if max(len(k.tasks), len(k.processes)) >= MOST_TASKS:
        raise SyscallError(EAGAIN)
    limit, uid = k.rlimits[abi.RLIMIT_NPROC][0], t.process.ids.uid
    if not uid or len(k.tasks) < limit:  # root has CAP_SYS_RESOURCE
        return
    if sum(1 for task in k.tasks.values() if task.process.ids.uid == uid) >= limit:
        raise SyscallError(EAGAIN)


def thread(k: Kernel, t: Task) -> Task:
    """Return a new thread of the process of *t*, not yet among the kernel's tasks; what is inherited is, no more."""
    return replace(
        t, tid=k.new_tid(), altstack=(0, abi.SS_DISABLE, 0), clear_child_tid=0, robust_list=0, rseq=None, pending=0,
        queued=(), pdeath_signal=0, call=None, wait=None, woken=None, alarm=0, ran=0, since=0,
        restart=-1, restore_mask=None, returns=False, trap=(0, 0, 0),
    )  # fmt: skip


def process(k: Kernel, t: Task, args: CloneArgs) -> Task:
    """Return the first task of a new process, which is among the kernel's processes already."""
    flags, maker = args.flags, t.process
    if k.memories is None:
        raise SyscallError(ENOSYS)
    fd = -1
    if flags & abi.CLONE_PIDFD:
        fd = k.files.lowest()
        k.mem.write(args.pidfd, abi.U32.pack(fd))
    first = thread(k, t)
    pid = first.pid = first.tid
    made = first.process = Process(pid, maker.pid, maker.program, maker.place, maker.ids)
    made.number = maker.number if flags & abi.CLONE_VM else pid
    made.pgid, made.sid = maker.pgid, maker.sid
    made.exit_signal = args.exit_signal
    if flags & abi.CLONE_PARENT:
        made.ppid, made.exit_signal = maker.ppid, maker.exit_signal
    made.dumpable, made.thp_disabled = maker.dumpable, maker.thp_disabled
    made.rlimits = maker.rlimits[:]
    made.actions = maker.actions if flags & abi.CLONE_SIGHAND else dict(maker.actions)
    if flags & abi.CLONE_CLEAR_SIGHAND:
        made.actions = {n: action for n, action in made.actions.items() if action[0] == abi.SIG_IGN}
    if not flags & abi.CLONE_FS:
        made.place = Place(maker.cwd, maker.umask)
    if flags & abi.CLONE_VM:
        made.mem, made.space = maker.mem, maker.space
    else:
        made.space = maker.space.fork(k.memories, made.rlimits)
        made.mem = made.space.mem
        first.rseq = t.rseq
    if not flags & abi.CLONE_VM or flags & abi.CLONE_VFORK:
        first.altstack = t.altstack
    made.files = maker.files if flags & abi.CLONE_FILES else maker.files.copy(made.rlimits)
    k.processes[pid] = made
    if fd >= 0:
        k.files.put(fd, PidFd(k, pid), close_on_exec=True)
    return first


def start(k: Kernel, t: Task, child: Task, args: CloneArgs) -> int:
    """Let *child*, made by *t*, run when its turn comes; return its id."""
    if args.flags & abi.CLONE_SETTLS:
        child.fs_base = args.tls
    if args.flags & abi.CLONE_PARENT_SETTID:
        with contextlib.suppress(GuestFault):  # kernel_clone does not look
            k.mem.write(args.parent_tid, abi.U32.pack(child.tid))
    if args.flags & abi.CLONE_CHILD_SETTID:
        with contextlib.suppress(GuestFault):  # schedule_tail does not look: the child runs without
            child.process.mem.write(args.child_tid, abi.U32.pack(child.tid))
    if args.flags & abi.CLONE_CHILD_CLEARTID:
        child.clear_child_tid = args.child_tid
    k.tasks[child.tid] = child
    k.scheduler.add(child)
    k.born.append((t, child, args.stack))
    return child.tid


def unshare(k: Kernel, t: Task, flags: int) -> int:
    """Have from now on what was shared with other processes for oneself; unshare(2)."""
    if flags & ~(NAMESPACES | abi.CLONE_FS | abi.CLONE_FILES | abi.CLONE_SYSVSEM | THREAD):
        raise SyscallError(EINVAL)
    if flags & NAMESPACES:
        raise SyscallError(EPERM if t.process.ids.euid else EINVAL)
    if flags & (abi.CLONE_THREAD | abi.CLONE_SIGHAND | abi.CLONE_VM) and len(k.tasks_of(t.process)) > 1:
        raise SyscallError(EINVAL)
    me = t.process
    others = [each for each in k.processes.values() if each is not me and each.ended is None]
    if flags & abi.CLONE_FS and any(each.place is me.place for each in others):
        me.place = Place(me.cwd, me.umask)
    if flags & abi.CLONE_FILES and any(each.files is me.files for each in others):
        me.files = me.files.copy(me.rlimits)
        k.enter(me)
    return 0
