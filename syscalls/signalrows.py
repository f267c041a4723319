"""The rows of the table for signals and timers."""

from __future__ import annotations

from syscalls import kill, signals, sigwait, timers
from syscalls.kinds import INT, PID, SIGNAL, SIZE, UINT, choice, flags, in_struct, out_struct
from syscalls.row import NEVER, NUMBER, ZERO, Syscall

HOW = choice("how", "SIG_")
SIGSET, NEW_SIGSET = in_struct("sigset", 8), out_struct("sigset", 8)
SIGINFO, NEW_SIGINFO = in_struct("siginfo", 128), out_struct("siginfo", 128)
ITIMER, CLOCK = choice("which", "ITIMER_"), choice("clock", "CLOCK_")
NEW_ITIMERSPEC = out_struct("itimerspec", 32)
TIMESPEC = in_struct("timespec", 16)

ROWS: tuple[Syscall, ...] = (
    Syscall(13, "rt_sigaction", (SIGNAL, in_struct("sigaction", 32), out_struct("sigaction", 32), SIZE), ZERO,
            signals.rt_sigaction),
    Syscall(14, "rt_sigprocmask", (HOW, SIGSET, NEW_SIGSET, SIZE), ZERO, signals.rt_sigprocmask),
    Syscall(15, "rt_sigreturn", (), NUMBER, sigwait.rt_sigreturn),
    Syscall(34, "pause", (), NEVER, sigwait.pause),
    Syscall(62, "kill", (PID, SIGNAL), ZERO, kill.kill),
    Syscall(127, "rt_sigpending", (NEW_SIGSET, SIZE), ZERO, signals.rt_sigpending),
    Syscall(128, "rt_sigtimedwait", (SIGSET, NEW_SIGINFO, TIMESPEC, SIZE), NUMBER, sigwait.rt_sigtimedwait),
    Syscall(129, "rt_sigqueueinfo", (PID, SIGNAL, SIGINFO), ZERO, kill.rt_sigqueueinfo),
    Syscall(130, "rt_sigsuspend", (SIGSET, SIZE), NEVER, sigwait.rt_sigsuspend),
    Syscall(131, "sigaltstack", (in_struct("stack_t", 24), out_struct("stack_t", 24)), ZERO, signals.sigaltstack),
    Syscall(200, "tkill", (PID, SIGNAL), ZERO, kill.tkill),
    Syscall(234, "tgkill", (PID, PID, SIGNAL), ZERO, kill.tgkill),
    Syscall(297, "rt_tgsigqueueinfo", (PID, PID, SIGNAL, SIGINFO), ZERO, kill.rt_tgsigqueueinfo),
    Syscall(36, "getitimer", (ITIMER, out_struct("itimerval", 32)), ZERO, timers.getitimer),
    Syscall(37, "alarm", (UINT,), NUMBER, timers.alarm),
    Syscall(38, "setitimer", (ITIMER, in_struct("itimerval", 32), out_struct("itimerval", 32)), ZERO,
            timers.setitimer),
    Syscall(222, "timer_create", (CLOCK, in_struct("sigevent", 64), out_struct("int", 4)), ZERO, timers.timer_create),
    Syscall(223, "timer_settime", (INT, flags("flags", "TIMER_"), in_struct("itimerspec", 32), NEW_ITIMERSPEC), ZERO,
            timers.timer_settime),
    Syscall(224, "timer_gettime", (INT, NEW_ITIMERSPEC), ZERO, timers.timer_gettime),
    Syscall(225, "timer_getoverrun", (INT,), NUMBER, timers.timer_getoverrun),
    Syscall(226, "timer_delete", (INT,), ZERO, timers.timer_delete),
)  # fmt: skip
