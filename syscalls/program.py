"""What the kernel must know of the program that the machine has loaded: where its parts lie, and its file."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from syscalls.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from syscalls.tree.stored import StoredFile


class Loader(NamedTuple):
    """The interpreter of a program that names one (PT_INTERP): ld.so, which loads the program's libraries."""

    path: str
    read_file: Callable[[], bytes]
    segments: tuple[tuple[int, int, int, int], ...]  # as those of a program


class Program(NamedTuple):
    """One loaded program as it stands before its first instruction.  Ranges are (start, end), of run-time addresses."""

    name: str
    exe: str  # the guest path: AT_EXECFN, /proc/self/exe, /proc/self/maps
    argv: tuple[str, ...]
    env: tuple[str, ...]
    segments: tuple[tuple[int, int, int, int], ...]  # (addr, size, prot, file offset), whole pages; offset -1: no file
    brk_start: int
    stack: tuple[int, int]
    auxv: tuple[tuple[int, int], ...] = ()
    arg_range: tuple[int, int] = (0, 0)  # the bytes of argv's strings on the stack
    env_range: tuple[int, int] = (0, 0)
    vdso: tuple[int, int] | None = None
    vvar: tuple[int, int] | None = None
    read_file: Callable[[], bytes] = bytes  # the executable's bytes: /proc/self/exe, and pages dropped by madvise
    loader: Loader | None = None


class ProgramFile:
    """The executable as the file behind the mappings that the loader made."""

    def __init__(
        self, path: str, read: Callable[[], bytes], device: tuple[int, int] = (8, 1), inode: int | None = None
    ) -> None:
        """Stand for the file at *path*, whose inode number is, like any file's of the tree, a checksum of that path."""
        self.path, self.device = path, device
        self.inode = zlib.crc32(path.encode("utf-8", "surrogateescape")) if inode is None else inode
        self.content = read
        self.stored: StoredFile | None = None
        self.writable = False

    def part(self, offset: int, size: int) -> bytes:
        """Return up to *size* bytes from *offset* on."""
        return self.content()[offset : offset + size]

    def end(self) -> int | None:
        """None: the loader maps no more than there is."""
        return None
