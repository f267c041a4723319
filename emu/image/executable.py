"""An executable as the machine needs it: what is loaded and where it begins, whatever language it was written in.

Running a program asks nothing of its function table or its types, which take long to work out the first time: a test
binary that ``go test`` has just built is run once.
"""

from __future__ import annotations

from functools import cached_property

from emu.image import elf
from emu.image.elf import Data, Elf, Segment
from emu.image.errors import ImageError
from emu.image.files import file_name, open_file, refused
from syscalls.light import Protocol


class Loadable(Protocol):
    """What a machine loads: an :class:`Executable`, or the :class:`emu.image.image.Image` of a Go program."""

    @property
    def name(self) -> str:
        """The file's name, without its folder."""
        ...

    @property
    def sha256(self) -> str:
        """Of the whole file."""
        ...

    @property
    def kind(self) -> str:
        """As :attr:`emu.image.image.Image.kind`: "exec", "pie" or "dynamic"."""
        ...

    @property
    def data(self) -> Data:
        """The whole file."""
        ...

    @property
    def entry(self) -> int:
        """The address of the first instruction."""
        ...

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What is loaded, by rising address."""
        ...

    @property
    def program_headers(self) -> tuple[int, int, int]:
        """Where AT_PHDR, AT_PHENT and AT_PHNUM point: (link-time address or 0, bytes each, count)."""
        ...


class _HasElf(Protocol):
    @property
    def elf(self) -> Elf:
        """What the file's headers say."""
        ...


class FromElf:
    """What :class:`Loadable` asks and the headers of a file answer, for a class that has them as *elf*."""

    __slots__ = ()

    @property
    def data(self: _HasElf) -> Data:
        """The whole file."""
        return self.elf.data

    @property
    def entry(self: _HasElf) -> int:
        """The address of the first instruction."""
        return self.elf.header.entry

    @property
    def segments(self: _HasElf) -> tuple[Segment, ...]:
        """What is loaded, by rising address."""
        return self.elf.segments

    @property
    def program_headers(self: _HasElf) -> tuple[int, int, int]:
        """Where AT_PHDR, AT_PHENT and AT_PHNUM point: (link-time address or 0, bytes each, count)."""
        return self.elf.program_headers


class Executable(FromElf):
    """An ELF executable for x86-64; satisfies :class:`Loadable`."""

    def __init__(self, file: Elf, name: str) -> None:
        self.elf, self.name = file, name
        self.kind = file.kind

    @cached_property
    def sha256(self) -> str:
        """Of the whole file; worked out when it is asked for."""
        import hashlib

        return hashlib.sha256(self.elf.data).hexdigest()

    @property
    def go(self) -> str:
        """The Go version that it states, or nothing."""
        from emu.image import analysis
        from emu.image.symbols import SymbolTable

        return analysis.stated_version(self.elf, SymbolTable(self.elf)) or ""


def load(path: str, *, dynamic: bool = False) -> Executable:
    """Return the executable at *path*; raise ImageError, with the path in its one line, for what is none.

    One that names a loader is refused unless *dynamic*: then whoever runs it has to see to that
    (:class:`emu.image.starter.Starter`).
    """
    try:
        file = elf.parse(open_file(path))
        if file.interpreter and not dynamic:
            raise ImageError(f"needs the loader {file.interpreter}: dynamic programs are not supported yet")
        return Executable(file, file_name(path))
    except (OSError, ValueError) as error:
        raise refused(path, error) from error
