"""New threads, and the end of threads and processes; clone(2), clone3(2), exit(2), exit_group(2).

The kernel makes the task; the machine, which is told by ``Kernel.born`` and ``Kernel.gone``, makes and drops its CPU.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

from syscalls import abi
from syscalls.errno import E2BIG, EAGAIN, EINVAL, ENOSYS, SyscallError
from syscalls.futex import release_robust_list
from syscalls.guest import GuestFault
from syscalls.light import replace
from syscalls.outcome import Exit, Killed

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.processes import Process
    from syscalls.tasks import Task

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


def make(k: Kernel, t: Task, args: CloneArgs) -> int:
    """Make the task that *args* describe, and return its id."""
    flags = args.flags
    if flags & abi.CLONE_SIGHAND and not flags & abi.CLONE_VM:
        raise SyscallError(EINVAL)
    if flags & abi.CLONE_THREAD and not flags & abi.CLONE_SIGHAND:
        raise SyscallError(EINVAL)
    if flags & (abi.CLONE_NEWNS | abi.CLONE_NEWUSER | abi.CLONE_NEWPID | abi.CLONE_NEWNET):
        raise SyscallError(EINVAL)  # a kernel without namespaces
    if not flags & abi.CLONE_THREAD:
        raise SyscallError(ENOSYS)
    if flags & THREAD != THREAD or flags & abi.CLONE_PIDFD:
        raise SyscallError(EINVAL)
    if len(k.tasks) >= MOST_TASKS:
        raise SyscallError(EAGAIN)
    return start(k, t, thread(k, t), args)


def thread(k: Kernel, t: Task) -> Task:
    """Return a new thread of the process of *t*, not yet among the kernel's tasks; what is inherited is, no more."""
    return replace(
        t, tid=k.new_tid(), altstack=(0, abi.SS_DISABLE, 0), clear_child_tid=0, robust_list=0, rseq=None, pending=0,
        pdeath_signal=0, call=None, wait=None, woken=None, alarm=0, ran=0,
    )  # fmt: skip


def start(k: Kernel, t: Task, child: Task, args: CloneArgs) -> int:
    """Let *child*, made by *t*, run when its turn comes; return its id."""
    if args.flags & abi.CLONE_SETTLS:
        if args.tls >= abi.TASK_SIZE:
            raise SyscallError(EINVAL)
        child.fs_base = args.tls
    if args.flags & abi.CLONE_PARENT_SETTID:
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


def exit_task(k: Kernel, t: Task, status: int) -> int:
    """End one thread; the last one ends the process.  exit(2), set_tid_address(2)."""
    release_robust_list(k, t)
    k.forget(t)
    if not any(task.process is t.process for task in k.tasks.values()):
        end_process(k, t.process, Exit(status & 0xFF))
    return 0


def exit_group(k: Kernel, t: Task, status: int) -> int:
    """End every thread of the process; exit_group(2)."""
    end_process(k, t.process, Exit(status & 0xFF))
    return 0


def end_process(k: Kernel, process: Process, how: Exit | Killed) -> None:
    """Let *process* be gone with all its tasks; with the first process the run ends."""
    process.ended = how
    if process is k.main.process:
        k.exit = how
        return
    for task in [task for task in k.tasks.values() if task.process is process]:
        k.forget(task)
