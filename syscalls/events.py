"""The log of system calls: one event a call, in order, with what its pointers showed at that moment."""

from __future__ import annotations

from syscalls.light import dataclass, field


@dataclass(slots=True)
class SyscallEvent:
    """One call.  *args* are the raw unsigned 64-bit values, as many as its row declares; six for an unknown call."""

    nr: int
    name: str
    args: tuple[int, ...]
    result: int  # -errno on failure
    errno: str | None
    overridden: bool  # a response rule of the World answered, not the kernel
    tid: int
    ticks: int  # instructions executed before it
    # Argument index -> the bytes behind that pointer (paths whole; buffers up to DETAIL_LIMIT), as the call left them.
    detail: dict[int, bytes] = field(default_factory=dict)
    function: str | None = None  # the innermost function of the program that made the call; the machine knows


DETAIL_LIMIT = 128
"""Bytes of a buffer that an event keeps."""

WHOLE_LIMIT = 1 << 16
"""Bytes that an event keeps of a buffer whose kind is to be kept whole; a set of CPUs has 8,192 at most."""
