"""What the kernel asks of the machine that runs it: memory, ticks and the faults between them.

The kernel never sees an engine.  It is handed objects that satisfy these protocols; unit tests hand it plain byte
arrays, ``emu.machine`` hands it page tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from syscalls.errno import EFAULT, ENOMEM, SyscallError
from syscalls.light import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from syscalls.program import Program
    from syscalls.world import World

PAGE = 4096
"""Bytes of a hardware page: what x86-64 page tables map, whatever page size the World tells the guest."""

PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC = 0, 1, 2, 4


class GuestFault(Exception):
    """The kernel touched guest memory that the guest itself could not; becomes EFAULT (or a fatal signal)."""

    errno = EFAULT

    def __init__(self, addr: int, write: bool = False) -> None:
        super().__init__(f"{'write to' if write else 'read of'} unmapped guest address {addr:#x}")
        self.addr = addr
        self.write = write


class OutOfFrames(Exception):
    """The machine has no guest frame left; becomes ENOMEM."""

    errno = ENOMEM


FAILURES = (SyscallError, GuestFault, OutOfFrames)
"""What a call fails with: each has the number that it then returns."""


class GuestMemory(Protocol):
    """The virtual memory of one guest process.  Addresses and sizes of mapping calls are multiples of :data:`PAGE`."""

    def read(self, addr: int, size: int) -> bytes:
        """Return *size* bytes at *addr*; raise :class:`GuestFault` with the first address the guest cannot read."""
        ...

    def write(self, addr: int, data: bytes) -> None:
        """Store *data* at *addr*; raise :class:`GuestFault` if any byte is unmapped or read-only, storing nothing."""
        ...

    def poke(self, addr: int, data: bytes) -> None:
        """Store *data* at *addr* whatever the permissions there; raise :class:`GuestFault` where nothing is mapped."""
        ...

    def map(self, addr: int, size: int, prot: int) -> None:
        """Map zero-filled pages with *prot*, replacing what was there; raise :class:`OutOfFrames`."""
        ...

    def unmap(self, addr: int, size: int) -> None:
        """Remove every page of the range; what is not mapped is ignored."""
        ...

    def protect(self, addr: int, size: int, prot: int) -> None:
        """Give every mapped page of the range *prot*, keeping contents and dirtiness."""
        ...

    def discard(self, addr: int, size: int) -> None:
        """Make every mapped page of the range read as zero again (MADV_DONTNEED)."""
        ...

    def physical(self, addr: int) -> int | None:
        """Return a number for what lies at *addr*, the same in each memory that shares it; None while nothing does."""
        ...

    def resident(self, addr: int, n_pages: int) -> bytes:
        """Return a byte for each hardware page from *addr* on: 1 where a frame is behind it, else 0."""
        ...

    def alias(self, addr: int, size: int, prot: int, source: GuestMemory, at: int) -> bool:
        """Let the range be the very pages at *at* of *source*, not copies, with *prot*.

        False, and nothing done, where that cannot be: where one of those is missing, or *prot* lets them be executed.
        """
        ...

    def is_alias(self, addr: int, size: int, source: GuestMemory, at: int) -> bool:
        """Tell whether each page of the range is the very one at *at* of *source*."""
        ...


class Execution(NamedTuple):
    """A program to be started: what execve(2) knows of it."""

    data: bytes  # the file
    exe: str  # its place in the guest's tree
    name: str  # as it was called: AT_EXECFN
    argv: tuple[str, ...]
    env: tuple[str, ...]
    random: bytes  # 16 of them: AT_RANDOM
    world: World  # with the identity that the process has now
    read: Callable[[str], bytes]  # another file of the guest, its interpreter; raises SyscallError


class Start(NamedTuple):
    """A program that was loaded into a memory of its own, and where its CPU begins."""

    mem: GuestMemory
    program: Program
    entry: int
    sp: int


class Memories(Protocol):
    """What a machine offers that can hold several processes."""

    def copy(self, mem: GuestMemory, common: Sequence[tuple[int, int]]) -> GuestMemory:
        """Return a copy of *mem*, in which the ranges (address, size) of *common* are the same memory, not a copy.

        Raises :class:`OutOfFrames`.
        """
        ...

    def load(self, execution: Execution) -> Start:
        """Load a program; raise SyscallError (ENOEXEC, ENOENT, ...) or :class:`OutOfFrames`."""
        ...

    def serve(self, mem: GuestMemory, mapping_at: Callable[[int], tuple[int, int, int] | None]) -> None:
        """Ask *mapping_at* from now on what lies at an address of *mem* that was touched: (start, end, prot)."""
        ...

    def drop(self, mem: GuestMemory) -> None:
        """Give back all of *mem*, which no process has any more."""
        ...
