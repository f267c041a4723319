"""One row of the table: what a system call is called, takes, does, and how much of it is done."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from syscalls.errno import NAMES, SyscallError
from syscalls.kinds import IN, INOUT, OUT, Kind
from syscalls.light import TYPE_CHECKING, Any, NamedTuple, NoReturn

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

SUPPORTED, PARTIAL, ABSENT = "supported", "partial", "absent"

# What a successful call returns: for the trace and the documentation.
ZERO, COUNT, NEW_FD, ADDRESS, NUMBER, NEVER = "0", "count", "fd", "addr", "number", "never"

Handler = Callable[..., int]
"""``handler(kernel, task, *arguments)``: a non-negative integer, or SyscallError, GuestFault or OutOfFrames raised.

Arguments arrive narrowed as their kinds say; a path arrives as bytes.
"""


class Syscall(NamedTuple):
    """One call.  *since* is the first kernel release that has it: in an older World it fails with ENOSYS."""

    nr: int
    name: str
    kinds: tuple[Kind, ...]
    result: str
    handler: Handler
    level: str = SUPPORTED
    note: str = ""
    since: tuple[int, int] = (0, 0)


LATER: dict[Handler, tuple[str, str]] = {}
"""The handlers that :func:`later` made, with the module and the name of what they call."""


def later(module: str, name: str) -> Handler:
    """Return a handler that calls *name* of *module*, which is imported when it is first called: few programs do."""
    found: list[Handler] = []

    def handler(k: Kernel, t: Task, *args: Any) -> int:
        if not found:
            found.append(resolved(handler))
        return found[0](k, t, *args)

    LATER[handler] = module, name
    return handler


def resolved(handler: Handler) -> Handler:
    """Return what *handler* stands for, imported."""
    if handler not in LATER:
        return handler
    module, name = LATER[handler]
    made: Handler = getattr(importlib.import_module(module), name)
    return made


def fails(errno: int) -> Handler:
    """Return the handler of an absent call: it always fails with *errno*."""

    def fail(k: Kernel, t: Task, *_: Any) -> NoReturn:
        raise SyscallError(errno)

    fail.__doc__ = f"Fail with {NAMES[errno]}."
    return fail


class Compiled:
    """What the dispatcher needs of a row, worked out once."""

    __slots__ = (
        "fd_index",
        "fds",
        "handler",
        "inputs",
        "name",
        "narrow",
        "nr",
        "outputs",
        "path_index",
        "paths",
        "plain",
        "row",
        "width",
    )

    def __init__(self, row: Syscall) -> None:
        self.row, self.nr, self.name, self.handler = row, row.nr, row.name, row.handler
        self.width = len(row.kinds)
        # (index, first value that is another one when narrowed, all bits, sign bit) of each argument that is narrower
        # than a register, or signed.
        self.narrow = tuple(
            (index, 1 << (kind.bits - kind.signed), (1 << kind.bits) - 1, 1 << (kind.bits - 1) if kind.signed else 0)
            for index, kind in enumerate(row.kinds)
            if kind.bits < 64 or kind.signed
        )
        # (index, whether it may be null) of each argument that is a path, and the first of them.
        self.paths = tuple((index, kind.nullable) for index, kind in enumerate(row.kinds) if kind.path)
        self.path_index = self.paths[0][0] if self.paths else -1
        self.fds = tuple(index for index, kind in enumerate(row.kinds) if kind.fd)
        self.fd_index = self.fds[0] if self.fds else -1
        buffers = [(index, kind) for index, kind in enumerate(row.kinds) if kind.direction and not kind.path]
        self.inputs = tuple((index, kind) for index, kind in buffers if kind.direction in (IN, INOUT))
        self.outputs = tuple((index, kind) for index, kind in buffers if kind.direction in (OUT, INOUT))
        self.plain = self.path_index < 0 and not buffers

    def narrowed(self, args: tuple[int, ...]) -> tuple[int, ...] | list[int]:
        """Return *args*, registers, as the handler takes them."""
        values: tuple[int, ...] | list[int] = args
        for index, most, mask, sign in self.narrow:
            value = args[index]
            if value >= most:
                if values is args:
                    values = list(args)
                value &= mask
                values[index] = value - ((value & sign) << 1)  # type: ignore[index]  # a list by now
        return values
