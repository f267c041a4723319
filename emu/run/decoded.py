"""Arguments and results of system calls the way strace(1) prints them: names, structures, and nothing that is not used.

A pointer is followed in what the event kept from the call's beginning, else in memory as it is now that the call has
returned.  Calls that are not here :mod:`syscalls.trace` shows.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from emu.run import names, structures
from emu.run.names import pointer
from syscalls import abi
from syscalls.events import SyscallEvent
from syscalls.kinds import OUT
from syscalls.row import Syscall
from syscalls.trace import argument, narrowed

Texts = list[str]
Peek = Callable[[int, int], bytes | None]
"""Return so many bytes of the caller's memory, None where it cannot be read."""
STRINGS = 32  # of a vector, and bytes of each: strace -s 32


class Call:
    """A call that has returned."""

    def __init__(self, event: SyscallEvent, row: Syscall, peek: Peek) -> None:
        self.event, self.row, self.peek = event, row, peek
        self.args = [narrowed(kind, value) for kind, value in zip(row.kinds, event.args, strict=True)]

    @property
    def failed(self) -> bool:
        """Whether it failed."""
        return bool(self.event.errno)

    def bytes_at(self, index: int, size: int) -> bytes | None:
        """Return *size* bytes behind argument *index*; None where they cannot be had."""
        kept = self.event.detail.get(index)
        return kept[:size] if kept is not None and len(kept) >= size else self.peek(self.event.args[index], size)

    def behind(self, index: int, size: int, show: Callable[[bytes], str], out: bool = False) -> str:
        """Show what is behind argument *index*, or the address alone: always of what a failed call did not fill."""
        data = None if not self.event.args[index] or (out and self.failed) else self.bytes_at(index, size)
        return pointer(self.event.args[index]) if data is None else show(data)


Show = Callable[[Call, int], str]


def inside(size: int, show: Callable[[bytes], str]) -> Show:
    """Return what shows a structure that the call reads."""
    return lambda call, index: call.behind(index, size, show)


def filled(size: int, show: Callable[[bytes], str]) -> Show:
    """Return what shows a structure that the call fills."""
    return lambda call, index: call.behind(index, size, show, out=True)


def flagged(table: names.Bits, zero: str = "0") -> Show:
    """Return what shows an argument made of the bits of *table*."""
    return lambda call, index: names.bits(call.args[index] & 0xFFFF_FFFF, table, zero)


def named(table: Mapping[int, str]) -> Show:
    """Return what shows an argument that is one of *table*."""
    return lambda call, index: names.one(call.args[index], table)


def _octal(call: Call, index: int) -> str:
    return names.octal(call.args[index] & 0xFFFF)


def _signal(call: Call, index: int) -> str:
    return names.full_signal(call.args[index])


def _opening(call: Call, index: int) -> str:
    return names.opening(call.args[index])


def _offset(call: Call, index: int) -> str:
    return f"{call.event.args[index]:#x}" if call.event.args[index] else "0"


def _buffer(call: Call, index: int) -> str:
    # The bytes that a call reads, or filled: as many as argument index + 1 or the result says.
    given = call.row.kinds[index].direction != OUT
    if not given and (call.failed or call.event.result < 0):
        return pointer(call.event.args[index])
    size = call.args[index + 1] if given else call.event.result
    data = call.bytes_at(index, min(size, STRINGS + 1))
    return pointer(call.event.args[index]) if data is None else names.quoted(data)


def _random(call: Call, index: int) -> str:
    return call.behind(index, min(max(call.event.result, 0), STRINGS + 1), names.hexadecimal, out=True)


def _vector(call: Call, index: int) -> str:
    # An I/O vector: what it points to, as far as the call filled it.
    count = min(call.args[index + 1], STRINGS)
    data = call.peek(call.event.args[index], count * abi.IOVEC.size)
    if data is None:
        return pointer(call.event.args[index])
    return vectors(call, data, call.event.result if call.row.kinds[index].direction == OUT else None)


def vectors(call: Call, data: bytes, filled: int | None) -> str:
    """Show an I/O vector; *filled*: only so many bytes of it are the call's, of none where it failed."""
    shown = []
    for base, size in abi.IOVEC.iter_unpack(data):
        part = size if filled is None else min(size, max(filled, 0))
        text = None if filled is not None and call.failed else call.peek(base, min(part, STRINGS + 1))
        filled = None if filled is None else filled - part
        shown.append(f"{{iov_base={pointer(base) if text is None else names.quoted(text)}, iov_len={size}}}")
    return f"[{', '.join(shown)}]"


def _strings(call: Call, index: int) -> str:
    # A vector of strings, as execve(2) takes it.
    kept = call.event.detail.get(index)
    if kept is None:
        return pointer(call.event.args[index])
    words = kept.split(b"\0")[:-1]
    return f"[{', '.join([names.quoted(word) for word in words])}]"


def _environment(call: Call, index: int) -> str:
    kept = call.event.detail.get(index)
    count = "" if kept is None else f" /* {len(kept.split(bytes(1))) - 1} vars */"
    return pointer(call.event.args[index]) + count


def _entries(call: Call, index: int) -> str:
    data = None if call.failed else call.peek(call.event.args[index], call.event.result)
    count = "" if data is None else f" /* {structures.entries(data)} entries */"
    return pointer(call.event.args[index]) + count


def _clone3(call: Call, index: int) -> str:
    shown = call.behind(index, min(call.args[1], 88), structures.clone_args)
    data = call.bytes_at(index, 8)
    flags = int.from_bytes(data, "little") if data else 0
    if call.failed or not flags & abi.CLONE_PARENT_SETTID:
        return shown
    return f"{shown} => {{parent_tid=[{call.event.result}]}}"


def _resident(call: Call, index: int) -> str:
    count = -(-call.args[1] // 4096)
    end = ", ..." if count > STRINGS else ""
    return call.behind(
        index, min(count, STRINGS), lambda data: f"[{', '.join([str(byte & 1) for byte in data])}{end}]", out=True
    )


def _cpus(call: Call, index: int) -> str:
    data = call.event.detail.get(index)
    return pointer(call.event.args[index]) if call.failed or data is None else structures.cpus(data)


def _statx_flags(flags: int) -> str:
    sync = names.one(flags & 0x6000, names.STATX_SYNC)
    rest = names.bits(flags & ~0x6000, names.AT, "")
    return f"{sync}|{rest}" if rest else sync


SIGSET = inside(8, structures.signal_set)
TIMESPEC = inside(16, structures.timespec)
EPOLL_CTL = inside(12, structures.epoll_event)
SHOWN: dict[str, dict[int, Show]] = {
    "access": {1: flagged(names.ACCESS, "F_OK")},
    "chmod": {1: _octal},
    "clock_gettime": {1: filled(16, structures.timespec)},
    "clock_nanosleep": {2: TIMESPEC},
    "clone3": {0: _clone3},
    "creat": {1: _octal},
    "dup3": {2: flagged(names.OPEN)},
    "epoll_create1": {0: flagged(names.EPOLL_CREATE)},
    "epoll_ctl": {3: EPOLL_CTL},
    "eventfd2": {1: flagged(names.EVENTFD)},
    "execve": {1: _strings, 2: _environment},
    "execveat": {2: _strings, 3: _environment},
    "faccessat": {2: flagged(names.ACCESS, "F_OK")},
    "fchmod": {1: _octal},
    "fchmodat": {2: _octal},
    "fstat": {1: filled(56, structures.stat)},
    "getdents64": {1: _entries},
    "getrandom": {0: _random},
    "kill": {1: _signal},
    "lstat": {1: filled(56, structures.stat)},
    "mincore": {2: _resident},
    "mkdir": {1: _octal},
    "mkdirat": {2: _octal},
    "mmap": {5: _offset},
    "msync": {2: flagged(names.MSYNC)},
    "nanosleep": {0: TIMESPEC},
    "newfstatat": {2: filled(56, structures.stat)},
    "pipe": {0: filled(8, structures.pair)},
    "pipe2": {0: filled(8, structures.pair), 1: flagged(names.OPEN)},
    "pread64": {1: _buffer},
    "prlimit64": {2: inside(16, structures.rlimit), 3: filled(16, structures.rlimit)},
    "pwrite64": {1: _buffer},
    "read": {1: _buffer},
    "readv": {1: _vector},
    "rseq": {1: _offset, 3: _offset},
    "rt_sigaction": {
        0: _signal, 1: inside(32, structures.sigaction), 2: filled(32, structures.sigaction),
    },
    "rt_sigprocmask": {1: SIGSET, 2: filled(8, structures.signal_set)},
    "rt_sigsuspend": {0: SIGSET},
    "rt_sigtimedwait": {0: SIGSET, 1: filled(128, structures.siginfo), 2: TIMESPEC},
    "sched_getaffinity": {2: _cpus},
    "setitimer": {1: inside(32, structures.itimerval), 2: filled(32, structures.itimerval)},
    "sigaltstack": {0: inside(24, structures.stack), 1: filled(24, structures.stack)},
    "signalfd": {1: SIGSET},
    "signalfd4": {1: SIGSET, 3: flagged(names.SIGNALFD)},
    "stat": {1: filled(56, structures.stat)},
    "statx": {2: lambda call, _: _statx_flags(call.args[2]), 3: flagged(names.STATX), 4: filled(256, structures.statx)},
    "tgkill": {2: _signal},
    "timerfd_create": {1: flagged(names.TIMERFD)},
    "timerfd_gettime": {1: filled(32, structures.itimerspec)},
    "timerfd_settime": {2: inside(32, structures.itimerspec), 3: filled(32, structures.itimerspec)},
    "tkill": {1: _signal},
    "umask": {0: _octal},
    "utimensat": {2: inside(32, structures.dates)},
    "wait4": {2: flagged(names.WAIT4), 3: filled(144, structures.rusage)},
    "waitid": {2: filled(128, structures.siginfo), 3: flagged(names.WAITID), 4: filled(144, structures.rusage)},
    "write": {1: _buffer},
    "writev": {1: _vector},
}  # fmt: skip
"""How arguments are shown that their kinds do not say enough about, by index."""


def arguments(event: SyscallEvent, row: Syscall, peek: Peek = lambda _addr, _size: None) -> str:
    """The arguments of *event* as strace prints them."""
    from emu.run.particular import CALLS

    call = Call(event, row, peek)
    shows, texts = SHOWN.get(event.name, {}), []
    for index, (kind, value) in enumerate(zip(row.kinds, event.args, strict=True)):
        show, data = shows.get(index), event.detail.get(index)
        if show is not None:
            try:
                texts.append(show(call, index))
            except struct.error:  # less of it than there should be
                texts.append(pointer(value))
        elif kind.prefix == "O_" and kind.is_mask:
            texts.append(_opening(call, index))
        elif data is not None and not kind.path:
            texts.append(_plain(call, index, data))
        else:
            texts.append(argument(kind, value, data))
    change = CALLS.get(event.name)
    return ", ".join(change(call, texts) if change else texts)


def _plain(call: Call, index: int, data: bytes) -> str:
    # Bytes of which nothing more is known.
    if call.failed and call.row.kinds[index].direction == OUT:
        return pointer(call.event.args[index])
    return names.quoted(data)


def result(event: SyscallEvent, row: Syscall, peek: Peek, shown: str) -> str:
    """The result of *event*, which is *shown* without more, with what strace adds to it."""
    from emu.run.particular import RESULTS

    more = RESULTS.get(event.name)
    return shown if more is None or event.errno else more(Call(event, row, peek), shown)
