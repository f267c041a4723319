"""An executable as the machine needs it: what is loaded and where it begins, whatever language it was written in.

Running a program asks nothing of its function table or its types, which take long to work out the first time: a test
binary that ``go test`` has just built is run once.
"""

from __future__ import annotations

import os
from functools import cached_property

from emu.image import elf
from emu.image.elf import Data, Elf, Segment
from emu.image.errors import ImageError
from emu.image.files import open_file, shown_path
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


class Executable:
    """An ELF executable for x86-64; satisfies :class:`Loadable`."""

    def __init__(self, file: Elf, name: str) -> None:
        self.elf, self.name = file, name
        self.kind = "dynamic" if file.interpreter else "exec" if file.header.type == elf.ET_EXEC else "pie"

    @cached_property
    def sha256(self) -> str:
        """Of the whole file; worked out when it is asked for."""
        import hashlib

        return hashlib.sha256(self.elf.data).hexdigest()

    @property
    def data(self) -> Data:
        """The whole file."""
        return self.elf.data

    @property
    def entry(self) -> int:
        """The address of the first instruction."""
        return self.elf.header.entry

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What is loaded, by rising address."""
        return self.elf.segments

    @property
    def program_headers(self) -> tuple[int, int, int]:
        """Where AT_PHDR, AT_PHENT and AT_PHNUM point: (link-time address or 0, bytes each, count)."""
        header = self.elf.header
        return self.elf.address_of(header.phoff) or 0, header.phentsize, header.phnum

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
        return Executable(file, os.path.basename(path.rstrip("/")))  # noqa: PTH119 - pathlib takes 4 ms to import
    except OSError as error:
        raise ImageError(f"{shown_path(path)}: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:  # an ImageError, or a path with a NUL byte
        raise ImageError(f"{shown_path(path)}: {error}") from error
