"""The rows of the table for processes: their making and end, who they are, and waiting for them."""

from __future__ import annotations

from syscalls import clone, ending, execve, ids, pidfd, process, reaping
from syscalls.errno import EINVAL
from syscalls.kinds import (
    ADDR,
    DIRFD,
    FD,
    INT,
    PATH,
    PID,
    SIGNAL,
    SIZE,
    UINT,
    choice,
    flags,
    in_buf,
    in_strings,
    in_struct,
    out_struct,
)  # fmt: skip
from syscalls.row import ABSENT, COUNT, NEVER, NEW_FD, NUMBER, PARTIAL, ZERO, Syscall, fails

NEW_U32 = out_struct("uint32", 4)
NEW_RUSAGE = out_struct("rusage", 144)
OPTIONS = UINT
ARGV, ENVP = in_strings("argv"), in_strings("envp")
NO_NAMESPACES = "Namespaces are EINVAL, and EPERM for other users than root."
USAGE = "Processor time only; the counters are 0."
ALL_THREADS = "Changes the whole process, not one thread."
FILES_TOO = "The effective id is always the one that counts for files."

ROWS: tuple[Syscall, ...] = (
    Syscall(39, "getpid", (), NUMBER, ids.getpid),
    Syscall(56, "clone", (flags("flags", "CLONE_", 64), ADDR, ADDR, ADDR, ADDR), NUMBER, clone.clone, PARTIAL,
            NO_NAMESPACES),
    Syscall(57, "fork", (), NUMBER, clone.fork),
    Syscall(58, "vfork", (), NUMBER, clone.vfork),
    Syscall(59, "execve", (PATH, ARGV, ENVP), ZERO, execve.execve, PARTIAL,
            "ELF executables of x86-64, with the loader that they name, and scripts."),
    Syscall(60, "exit", (INT,), NEVER, ending.exit_task),
    Syscall(61, "wait4", (PID, out_struct("status", 4), OPTIONS, NEW_RUSAGE), NUMBER, reaping.wait4, PARTIAL,
            "Children that stop or go on are not reported."),
    Syscall(98, "getrusage", (INT, NEW_RUSAGE), ZERO, reaping.getrusage, PARTIAL, USAGE),
    Syscall(100, "times", (out_struct("tms", 32),), NUMBER, reaping.times),
    Syscall(102, "getuid", (), NUMBER, ids.getuid),
    Syscall(104, "getgid", (), NUMBER, ids.getgid),
    Syscall(105, "setuid", (UINT,), ZERO, ids.setuid, PARTIAL, ALL_THREADS),
    Syscall(106, "setgid", (UINT,), ZERO, ids.setgid, PARTIAL, ALL_THREADS),
    Syscall(107, "geteuid", (), NUMBER, ids.geteuid),
    Syscall(108, "getegid", (), NUMBER, ids.getegid),
    Syscall(109, "setpgid", (PID, PID), ZERO, ids.setpgid),
    Syscall(110, "getppid", (), NUMBER, ids.getppid),
    Syscall(111, "getpgrp", (), NUMBER, ids.getpgrp),
    Syscall(112, "setsid", (), NUMBER, ids.setsid),
    Syscall(113, "setreuid", (UINT, UINT), ZERO, ids.setreuid, PARTIAL, ALL_THREADS),
    Syscall(114, "setregid", (UINT, UINT), ZERO, ids.setregid, PARTIAL, ALL_THREADS),
    Syscall(115, "getgroups", (INT, ADDR), COUNT, ids.getgroups),
    Syscall(116, "setgroups", (INT, ADDR), ZERO, ids.setgroups, PARTIAL, ALL_THREADS),
    Syscall(117, "setresuid", (UINT, UINT, UINT), ZERO, ids.setresuid, PARTIAL, ALL_THREADS),
    Syscall(118, "getresuid", (NEW_U32, NEW_U32, NEW_U32), ZERO, ids.getresuid),
    Syscall(119, "setresgid", (UINT, UINT, UINT), ZERO, ids.setresgid, PARTIAL, ALL_THREADS),
    Syscall(120, "getresgid", (NEW_U32, NEW_U32, NEW_U32), ZERO, ids.getresgid),
    Syscall(121, "getpgid", (PID,), NUMBER, ids.getpgid),
    Syscall(122, "setfsuid", (UINT,), NUMBER, ids.setfsuid, PARTIAL, FILES_TOO),
    Syscall(123, "setfsgid", (UINT,), NUMBER, ids.setfsgid, PARTIAL, FILES_TOO),
    Syscall(124, "getsid", (PID,), NUMBER, ids.getsid),
    Syscall(161, "chroot", (PATH,), ZERO, process.chroot, PARTIAL, "EPERM, as to root without CAP_SYS_CHROOT."),
    Syscall(186, "gettid", (), NUMBER, ids.gettid),
    Syscall(231, "exit_group", (INT,), NEVER, ending.exit_group),
    Syscall(247, "waitid", (choice("kind", "P_"), PID, out_struct("siginfo", 28), OPTIONS, NEW_RUSAGE), ZERO,
            reaping.waitid, PARTIAL, "Children that stop or go on are not reported."),
    Syscall(272, "unshare", (flags("flags", "CLONE_", 64),), ZERO, clone.unshare, PARTIAL,
            "The file table and CLONE_FS; " + NO_NAMESPACES),
    Syscall(308, "setns", (FD, INT), ZERO, fails(EINVAL), ABSENT, "No descriptor stands for a namespace."),
    Syscall(322, "execveat", (DIRFD, PATH, ARGV, ENVP, flags("flags", "AT_")), ZERO, execve.execveat, PARTIAL,
            "As execve.", (3, 19)),
    Syscall(424, "pidfd_send_signal", (FD, SIGNAL, in_struct("siginfo", 128), UINT), ZERO, pidfd.pidfd_send_signal,
            since=(5, 1)),
    Syscall(434, "pidfd_open", (PID, UINT), NEW_FD, pidfd.pidfd_open, since=(5, 3)),
    Syscall(435, "clone3", (in_buf(1), SIZE), NUMBER, clone.clone3, PARTIAL, NO_NAMESPACES, (5, 3)),
    Syscall(438, "pidfd_getfd", (FD, FD, UINT), NEW_FD, pidfd.pidfd_getfd, since=(5, 6)),
)  # fmt: skip
