"""The log of system calls: one event a call, in order, with what its pointers showed at that moment."""

from __future__ import annotations

from syscalls.light import dataclass


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
    detail: dict[int, bytes]
    function: str | None  # the innermost function of the program that made the call; the machine knows

    # By hand, as one is made for each call: four times as fast as the constructor that all light classes share.
    def __init__(
        self, nr: int, name: str, args: tuple[int, ...], result: int, errno: str | None, overridden: bool, tid: int,
        ticks: int, detail: dict[int, bytes] | None = None, function: str | None = None,
    ) -> None:  # fmt: skip
        self.nr = nr
        self.name = name
        self.args = args
        self.result = result
        self.errno = errno
        self.overridden = overridden
        self.tid = tid
        self.ticks = ticks
        self.detail = {} if detail is None else detail
        self.function = function


DETAIL_LIMIT = 128
"""Bytes of a buffer that an event keeps."""

WHOLE_LIMIT = 1 << 16
"""Bytes that an event keeps of a buffer whose kind is to be kept whole; a set of CPUs has 8,192 at most."""
