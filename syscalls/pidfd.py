"""Descriptors that stand for processes; pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2)."""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import EBADF, EINVAL, EPERM, ESRCH, SyscallError
from syscalls.files.opened import OpenFile
from syscalls.files.pollable import READABLE, Pollable
from syscalls.kill import kill
from syscalls.light import TYPE_CHECKING

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.processes import Process
    from syscalls.tasks import Task


SIGINFO_SIZE = 128


class PidFd(Pollable):
    """A process; readable, for poll(2), once it has ended."""

    __slots__ = ("pid",)

    def __init__(self, k: Kernel, pid: int, flags: int = 0) -> None:
        super().__init__(k, "anon_inode:[pidfd]", abi.O_RDWR | flags)
        self.pid = pid

    def ready(self, k: Kernel) -> int:
        process = k.processes.get(self.pid)
        return READABLE if process is None or process.ended is not None else 0


def tell(k: Kernel, pid: int) -> None:
    """Let everybody who holds a descriptor for process *pid*, which has ended, know."""
    living = [each for each in k.processes.values() if each.ended is None]
    held = dict.fromkeys(file for each in living for file in each.files.open_files())
    for file in held:
        if isinstance(file, PidFd) and file.pid == pid:
            file.notify(k, READABLE)


def process_of(k: Kernel, file: OpenFile) -> int | None:
    """Return the number of the process that *file* stands for: it is one that was opened so, or its folder of /proc."""
    return file.pid if isinstance(file, PidFd) else None


def pidfd_open(k: Kernel, t: Task, pid: int, flags: int) -> int:
    """Return a descriptor for process *pid*, to be closed on exec; pidfd_open(2)."""
    if flags & ~abi.PIDFD_NONBLOCK or pid <= 0:
        raise SyscallError(EINVAL)
    if pid not in k.processes:
        raise SyscallError(EINVAL if pid in k.tasks else ESRCH)  # a thread that leads no process
    return k.files.put(k.files.lowest(), PidFd(k, pid, flags), close_on_exec=True)


def _target(k: Kernel, fd: int) -> Process:
    pid = process_of(k, k.files.get(fd))
    if pid is None:
        raise SyscallError(EBADF)
    found = k.processes.get(pid)
    if found is None:
        raise SyscallError(ESRCH)
    return found


def pidfd_send_signal(k: Kernel, t: Task, fd: int, signum: int, info: int, flags: int) -> int:
    """Send *signum* to the process of *fd*; pidfd_send_signal(2)."""
    if flags:
        raise SyscallError(EINVAL)
    target = _target(k, fd)
    if info and abi.U32.unpack(k.mem.read(info, SIGINFO_SIZE)[:4]) != (signum,):
        raise SyscallError(EINVAL)
    if info and target is not t.process:
        raise SyscallError(EPERM)  # as rt_sigqueueinfo: nobody may speak for the kernel to others
    return kill(k, t, target.pid, signum)


def pidfd_getfd(k: Kernel, t: Task, fd: int, other: int, flags: int) -> int:
    """Return a new descriptor for what descriptor *other* of the process of *fd* refers to; pidfd_getfd(2)."""
    if flags:
        raise SyscallError(EINVAL)
    target = _target(k, fd)
    if target.ended is not None:
        raise SyscallError(ESRCH)
    if t.process.ids.euid and target.ids.uid != t.process.ids.uid:
        raise SyscallError(EPERM)
    file = target.files.get(other)
    return k.files.put(k.files.lowest(), file, close_on_exec=True)
