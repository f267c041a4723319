"""What strace(1) shows of a signal: ``{si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=1001, ...}``.

Which fields there are follows from the code and the signal: sigaction(2); compared with what strace 6.1 prints.
"""

from __future__ import annotations

from emu.run.names import full_signal
from syscalls import abi
from syscalls.siginfo import CHILD, SENDER, TIMER, Info

FAULTS = (abi.SIGILL, abi.SIGFPE, abi.SIGSEGV, abi.SIGBUS, abi.SIGTRAP)

GENERAL = {
    abi.SI_USER: "SI_USER", abi.SI_KERNEL: "SI_KERNEL", abi.SI_QUEUE: "SI_QUEUE", abi.SI_TIMER: "SI_TIMER",
    -3: "SI_MESGQ", -4: "SI_ASYNCIO", -5: "SI_SIGIO", abi.SI_TKILL: "SI_TKILL", -60: "SI_ASYNCNL",
}  # fmt: skip
# By signal, from 1 on: include/uapi/asm-generic/siginfo.h.
PARTICULAR = {
    abi.SIGILL: ("ILL_ILLOPC", "ILL_ILLOPN", "ILL_ILLADR", "ILL_ILLTRP", "ILL_PRVOPC", "ILL_PRVREG", "ILL_COPROC",
                 "ILL_BADSTK"),
    abi.SIGFPE: ("FPE_INTDIV", "FPE_INTOVF", "FPE_FLTDIV", "FPE_FLTOVF", "FPE_FLTUND", "FPE_FLTRES", "FPE_FLTINV",
                 "FPE_FLTSUB"),
    abi.SIGSEGV: ("SEGV_MAPERR", "SEGV_ACCERR", "SEGV_BNDERR", "SEGV_PKUERR"),
    abi.SIGBUS: ("BUS_ADRALN", "BUS_ADRERR", "BUS_OBJERR"),
    abi.SIGTRAP: ("TRAP_BRKPT", "TRAP_TRACE", "TRAP_BRANCH", "TRAP_HWBKPT"),
    abi.SIGCHLD: ("CLD_EXITED", "CLD_KILLED", "CLD_DUMPED", "CLD_TRAPPED", "CLD_STOPPED", "CLD_CONTINUED"),
}  # fmt: skip


def code_name(signum: int, code: int) -> str:
    """The name of si_code."""
    names = PARTICULAR.get(signum, ())
    if 0 < code <= len(names):
        return names[code - 1]
    return GENERAL.get(code) or (hex(code) if code >= 0 else str(code))


def siginfo(info: Info) -> str:
    """*info* as strace shows it."""
    signum, code = info.signum, info.code
    parts = [f"si_signo={full_signal(signum)}", f"si_code={code_name(signum, code)}"]
    if info.errno:
        parts.append(f"si_errno={info.errno}")
    fields = info.fields.ljust(CHILD.size, b"\0")
    pid, uid, value = SENDER.unpack_from(fields)
    sender = [f"si_pid={pid}", f"si_uid={uid}"]
    if code == abi.SI_TIMER:
        timer, overrun, value = TIMER.unpack_from(fields)
        parts += [f"si_timerid={timer:#x}" if timer else "si_timerid=0", f"si_overrun={overrun}", *_value(value)]
    elif code <= 0:
        parts += sender if code in (abi.SI_USER, abi.SI_TKILL) else [*sender, *_value(value)]
    elif signum == abi.SIGCHLD:
        pid, uid, status, user, system = CHILD.unpack_from(fields)
        shown = str(status) if code == abi.CLD_EXITED else full_signal(status)
        parts += [*sender, f"si_status={shown}", f"si_utime={user}", f"si_stime={system}"]
    elif signum in FAULTS:
        (addr,) = abi.U64.unpack_from(fields)
        parts.append(f"si_addr={addr:#x}" if addr else "si_addr=NULL")
    elif pid or uid:
        parts += sender
    return f"{{{', '.join(parts)}}}"


def _value(value: int) -> tuple[str, str]:
    number = (value & 0xFFFF_FFFF ^ 1 << 31) - (1 << 31)
    return f"si_int={number}", f"si_ptr={value:#x}" if value else "si_ptr=NULL"
