"""Guest memory for unit tests: a dictionary of pages with permissions, and a kernel over it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from syscalls.errno import ENOEXEC, SyscallError
from syscalls.guest import (
    PAGE,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
    Execution,
    GuestFault,
    GuestMemory,
    OutOfFrames,
    Start,
)  # fmt: skip
from syscalls.kernel import Kernel
from syscalls.program import Program
from syscalls.tasks import Task
from syscalls.world import World

CODE, DATA, BRK = 0x400000, 0x500000, 0x600000
STACK = (0x7FFF_FFDF_F000, 0x7FFF_FFFF_F000)
BUFFER = 0x10_0000_0000  # one page, readable and writable, outside of what the kernel knows: for arguments
BAD = 0xDEAD_0000  # never mapped
LARGE = 1 << 16  # pages


class ByteMemory:
    """Pages by number; a page that was mapped and never written has no bytes yet.

    Mappings beyond 256 MiB are kept as ranges; their pages come to be when they are protected one by one.
    """

    def __init__(self, n_frames: int = 1 << 20) -> None:
        """Allow *n_frames* written pages at once."""
        self.prots: dict[int, int] = {}
        self.pages: dict[int, bytearray] = {}
        self.reserved: list[tuple[int, int]] = []  # ranges of page numbers
        self.n_frames = n_frames

    def _check(self, addr: int, size: int, need: int) -> None:
        for page in range(addr // PAGE, (addr + size - 1) // PAGE + 1 if size else addr // PAGE):
            if not self.prots.get(page, PROT_NONE) & need:
                raise GuestFault(max(addr, page * PAGE), need == PROT_WRITE)

    def read(self, addr: int, size: int) -> bytes:
        self._check(addr, size, PROT_READ)
        out = b""
        while len(out) < size:
            page, start = divmod(addr + len(out), PAGE)
            part = min(PAGE - start, size - len(out))
            out += bytes(self.pages[page][start : start + part]) if page in self.pages else bytes(part)
        return out

    def poke(self, addr: int, data: bytes) -> None:
        if addr // PAGE not in self.prots:
            raise GuestFault(addr, True)
        self.pages.setdefault(addr // PAGE, bytearray(PAGE))[:] = data  # whole pages only

    def write(self, addr: int, data: bytes) -> None:
        self._check(addr, len(data), PROT_WRITE)
        done = 0
        while done < len(data):
            page, start = divmod(addr + done, PAGE)
            part = min(PAGE - start, len(data) - done)
            if page not in self.pages:
                if len(self.pages) >= self.n_frames:
                    raise OutOfFrames
                self.pages[page] = bytearray(PAGE)
            self.pages[page][start : start + part] = data[done : done + part]
            done += part

    def map(self, addr: int, size: int, prot: int) -> None:
        assert addr % PAGE == size % PAGE == 0, (hex(addr), hex(size))
        if prot and size // PAGE > self.n_frames:
            raise OutOfFrames
        self.unmap(addr, size)
        if size // PAGE > LARGE:
            self.reserved.append((addr // PAGE, (addr + size) // PAGE))
        else:
            self.prots.update(dict.fromkeys(range(addr // PAGE, (addr + size) // PAGE), prot))

    def unmap(self, addr: int, size: int) -> None:
        assert addr % PAGE == size % PAGE == 0, (hex(addr), hex(size))
        for page in self._within(addr, size):
            del self.prots[page]
            self.pages.pop(page, None)
        low, high = addr // PAGE, (addr + size) // PAGE
        pieces = [piece for a, b in self.reserved for piece in ((a, min(b, low)), (max(a, high), b))]
        self.reserved = [(a, b) for a, b in pieces if a < b]

    def protect(self, addr: int, size: int, prot: int) -> None:
        assert addr % PAGE == size % PAGE == 0, (hex(addr), hex(size))
        for page in self._within(addr, size):
            self.prots[page] = prot
        for low, high in self.reserved:
            pages = range(max(low, addr // PAGE), min(high, (addr + size) // PAGE))
            assert len(pages) <= LARGE, "no test changes a large mapping as a whole"
            self.prots.update(dict.fromkeys(pages, prot))

    def discard(self, addr: int, size: int) -> None:
        for page in self._within(addr, size):
            self.pages.pop(page, None)

    def physical(self, addr: int) -> int | None:
        page = self.pages.get(addr // PAGE)
        return None if page is None else id(page) * PAGE + addr % PAGE

    def resident(self, addr: int, n_pages: int) -> bytes:
        return bytes(page in self.pages for page in range(addr // PAGE, addr // PAGE + n_pages))

    def alias(self, addr: int, size: int, prot: int, source: GuestMemory, at: int) -> bool:
        assert isinstance(source, ByteMemory)
        here, there, count = addr // PAGE, at // PAGE, size // PAGE
        if not all(page in source.prots for page in range(there, there + count)):
            return False
        self.map(addr, size, prot)
        for i in range(count):
            self.pages[here + i] = source.pages.setdefault(there + i, bytearray(PAGE))
        return True

    def is_alias(self, addr: int, size: int, source: GuestMemory, at: int) -> bool:
        assert isinstance(source, ByteMemory)
        pages = [(self.pages.get((addr + i) // PAGE), source.pages.get((at + i) // PAGE)) for i in range(0, size, PAGE)]
        return all(one is not None and one is other for one, other in pages)

    def _within(self, addr: int, size: int) -> list[int]:
        first, last = addr // PAGE, (addr + size) // PAGE
        if last - first < len(self.prots):
            return [page for page in range(first, last) if page in self.prots]
        return [page for page in self.prots if first <= page < last]


class ByteMemories:
    """Memories of several processes; the one program there is begins with "program" and lies where the first does."""

    def __init__(self) -> None:
        self.dropped: list[GuestMemory] = []

    def copy(self, mem: GuestMemory, common: Sequence[tuple[int, int]]) -> ByteMemory:
        assert isinstance(mem, ByteMemory)
        twin = ByteMemory(mem.n_frames)
        shared = {page for addr, size in common for page in range(addr // PAGE, (addr + size) // PAGE)}
        for page in shared & set(mem.prots):
            mem.pages.setdefault(page, bytearray(PAGE))
        twin.prots, twin.reserved = dict(mem.prots), list(mem.reserved)
        twin.pages = {page: data if page in shared else bytearray(data) for page, data in mem.pages.items()}
        return twin

    def load(self, execution: Execution) -> Start:
        if not execution.data.startswith(b"program"):
            raise SyscallError(ENOEXEC)
        loaded = program(name=execution.name, exe=execution.exe, argv=execution.argv, env=execution.env)
        return Start(memory_of(loaded), loaded, CODE, STACK[1] - 64)

    def serve(self, mem: GuestMemory, mapping_at: Callable[[int], tuple[int, int, int] | None]) -> None:
        """Byte memory has all its pages from the start."""

    def drop(self, mem: GuestMemory) -> None:
        self.dropped.append(mem)


def memory_of(loaded: Program, n_frames: int = 1 << 20) -> ByteMemory:
    """Return a memory with *loaded*, its stack and the argument page."""
    mem = ByteMemory(n_frames)
    for addr, size, prot, _ in loaded.segments:
        mem.map(addr, size, prot)
    mem.map(loaded.stack[0], loaded.stack[1] - loaded.stack[0], PROT_READ | PROT_WRITE)
    mem.map(BUFFER, 4 * PAGE, PROT_READ | PROT_WRITE)
    return mem


@dataclass
class Guest:
    """A kernel with one task, and a page for arguments at :data:`BUFFER`."""

    kernel: Kernel
    mem: ByteMemory
    task: Task
    now: list[int]

    def call(self, nr: int, *args: int) -> int:
        """Make a system call; missing arguments are 0, negative ones two's complement.

        Time passes until it returns; 0 for one that never does.
        """
        values = [arg & (1 << 64) - 1 for arg in args] + [0] * (6 - len(args))
        result = self.kernel.call(self.task, nr, tuple(values))
        while result is None and not self.task.ended and self.kernel.next_task(None) is self.task:
            result = self.kernel.resume(self.task)
        return 0 if result is None else result

    def put(self, data: bytes, offset: int = 0) -> int:
        """Store *data* into the argument page and return its address."""
        self.mem.write(BUFFER + offset, data)
        return BUFFER + offset

    def get(self, size: int, offset: int = 0) -> bytes:
        """Return bytes of the argument page."""
        return self.mem.read(BUFFER + offset, size)


def program(**changes: object) -> Program:
    """Return a program of two segments, with its break at :data:`BRK`."""
    values: dict[str, object] = {
        "name": "hello",
        "exe": "/bin/hello",
        "argv": ("hello",),
        "env": (),
        "segments": ((CODE, 0x2000, 5, 0), (DATA, 0x1000, 3, 0x2000), (DATA + 0x1000, 0x1000, 3, -1)),
        "brk_start": BRK,
        "stack": STACK,
    }
    return Program(**(values | changes))  # type: ignore[arg-type]  # the values above are what the fields say


def guest(world: World | None = None, n_frames: int = 1 << 20, **changes: object) -> Guest:
    """Return a fresh kernel in *world* over byte memory that can hold *n_frames* pages."""
    loaded = program(**changes)
    mem = memory_of(loaded, n_frames)
    now = [0]
    kernel = Kernel(world or World(), mem, loaded, lambda: now[0])
    kernel.memories = ByteMemories()
    return Guest(kernel, mem, kernel.main, now)
