"""System calls in the way strace(1) shows them: flags by name, buffers by content, errors by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emu.boot.record import Syscall
from emu.report import words
from syscalls import abi
from syscalls.cpuset import CpuSet
from syscalls.kernel import COMPILED
from syscalls.kinds import Kind
from syscalls.row import ADDRESS, Compiled

BY_NAME: dict[str, Compiled] = {row.name: row for row in COMPILED.values()}
HOW = {abi.SIG_BLOCK: "SIG_BLOCK", abi.SIG_UNBLOCK: "SIG_UNBLOCK", abi.SIG_SETMASK: "SIG_SETMASK"}
OPENED = ("open", "openat", "creat")
TIMED = ("nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres")
LONG_HEX = 24  # digits of a buffer that is no text
LONG_TEXT = 40


def text(call: Syscall, after_name: str = "") -> str:
    """``openat(AT_FDCWD, "/proc/self/cgroup", O_CLOEXEC) = 3``; *after_name* goes behind the name."""
    row = BY_NAME.get(call.name)
    kinds: Sequence[Kind | None] = row.row.kinds if row else [None] * len(call.arguments)
    shown = [argument(call, kind, value) for kind, value in zip(kinds, call.arguments, strict=True)]
    if call.name in OPENED and "O_CREAT" not in shown[-2]:
        shown.pop()  # the mode, which only a new file has
    return f"{call.name}{after_name}({', '.join(shown)}) = {result(call)}"


def result(call: Syscall) -> str:
    """What the call returned."""
    if call.errno:
        return f"-1 {call.errno}"
    row = BY_NAME.get(call.name)
    return hex(call.result) if row and row.row.result == ADDRESS else str(call.result)


def argument(call: Syscall, kind: Kind | None, value: Any) -> str:
    """One argument."""
    if kind is None or isinstance(value, dict):
        return buffer(call, value) if isinstance(value, dict) else hex(value)
    if kind.path:
        return words.quoted(value) if not value.startswith("0x") else value
    if isinstance(value, str):
        return "NULL" if value == "0x0" and kind.direction else value
    if kind.name == "how":
        return HOW.get(value, str(value))
    if kind.prefix:
        return flags(value, kind.prefix) if kind.is_mask else abi.names(kind.prefix).get(value, str(value))
    return str(value) if value < 1 << 32 else hex(value)


def flags(value: int, prefix: str) -> str:
    """A mask as the names of its bits, joined by ``|``."""
    names = abi.names(prefix)
    bits = [name for bit, name in names.items() if bit > 0 and not bit & (bit - 1) and value & bit]
    rest = value
    for bit in names:
        if bit > 0 and not bit & (bit - 1):
            rest &= ~bit
    if prefix == "O_" and not value & abi.O_ACCMODE:
        bits.insert(0, "O_RDONLY")
    if rest:
        bits.append(hex(rest))
    return "|".join(bits) or names.get(0, "0")


def buffer(call: Syscall, value: dict[str, Any]) -> str:
    """What the kernel read or wrote behind a pointer."""
    if call.name in ("sched_getaffinity", "sched_setaffinity"):
        return affinity(content(value), value["size"])
    if call.name == "rt_sigprocmask":
        return signals(int.from_bytes(content(value), "little"))
    if call.name in TIMED and value["size"] == abi.TIMESPEC.size:
        seconds, nanoseconds = abi.TIMESPEC.unpack(content(value))
        return f"{{tv_sec={seconds}, tv_nsec={nanoseconds}}}"
    if "text" in value:
        shown = words.quoted(value["text"], LONG_TEXT)
        cut = value["size"] > len(value["text"].encode()) and not shown.endswith("...")
        return shown + "..." if cut else shown
    digits: str = value["hex"]
    return f"0x{digits[:LONG_HEX]}" + ("..." if len(digits) > LONG_HEX or value["size"] * 2 > len(digits) else "")


def content(value: dict[str, Any]) -> bytes:
    """The bytes of a buffer that are known."""
    return value["text"].encode() if "text" in value else bytes.fromhex(value["hex"])


def affinity(data: bytes, size: int) -> str:
    """An affinity mask of *size* bytes as the CPUs that it holds, as far as its bytes are known."""
    mask = int.from_bytes(data, "little")
    more = " and perhaps more" if size > len(data) else ""
    return f"[CPUs {CpuSet(mask)}{more}]" if mask else f"[no CPU{more}]"


def signals(mask: int) -> str:
    """A signal mask; bit n-1 is signal n."""
    numbers = [n for n in range(1, abi.N_SIGNALS + 1) if mask >> (n - 1) & 1]
    names = abi.names("SIG")
    return "[" + " ".join(names.get(n, str(n)).removeprefix("SIG") for n in numbers) + "]"


def paths(calls: Sequence[Syscall]) -> list[str | None]:
    """For each call the path that it names, or that its descriptor was opened from."""
    opened: dict[int, str] = {}
    found: list[str | None] = []
    for call in calls:
        row = BY_NAME.get(call.name)
        path = None
        if row and row.path_index >= 0:
            path = str(call.arguments[row.path_index])
            if call.name in OPENED and not call.errno:
                opened[call.result] = path
        elif row and row.fd_index >= 0:
            path = opened.get(call.arguments[row.fd_index])
            if call.name == "close":
                opened.pop(call.arguments[row.fd_index], None)
        found.append(path)
    return found
