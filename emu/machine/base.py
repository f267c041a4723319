"""The frames whose contents no World changes: the program's segments, the vDSO's code, the vsyscall page.

They come first in guest RAM and stay there when the machine begins anew, so that only what a run changed must be put
back, and code that the engine has translated from them (it knows code by physical address) stays valid.
"""

from __future__ import annotations

import ctypes
import zlib

from emu.image.elf import Data, Segment
from emu.image.executable import Loadable
from emu.machine import accel
from emu.machine.entries import EAGER
from emu.machine.paging import PageTables
from emu.machine.ram import Ram
from syscalls.guest import PAGE, PROT_EXEC, PROT_READ
from syscalls.light import NamedTuple

SHARED = 32  # frames for code that comes from us, not from the program; each different page of it needs one
EXECUTABLE = PROT_READ | PROT_EXEC


def round_up(size: int) -> int:
    """Whole hardware pages."""
    return (size + PAGE - 1) & -PAGE


class Piece(NamedTuple):
    """*n_frames* contiguous frames, from number *first* on, which begin with *content*; the rest of them is zero."""

    first: int
    n_frames: int
    prot: int
    content: bytes | memoryview


class Span(NamedTuple):
    """A segment as it is loaded, in whole pages: *file_size* bytes from *offset* of the file on, then zeros."""

    addr: int
    size: int
    file_size: int
    prot: int
    offset: int
    piece: Piece  # its first pages; a large rest gets frames when it is touched


def in_pages(segment: Segment, data: Data) -> tuple[int, int, int, int, bytes | memoryview]:
    """Return *segment* in whole pages (address, size, size in the file, offset there), and what of *data* it shows."""
    start = segment.addr & -PAGE
    head = segment.addr - start
    file_size = round_up(head + segment.file_size) if segment.file_size else 0
    offset = segment.offset - head
    # padzero (fs/binfmt_elf.c): the rest of the last page is .bss, where there is one.
    shown = head + segment.file_size if segment.size > segment.file_size else file_size
    content = memoryview(data)[offset : offset + shown] if file_size else b""
    return start, round_up(head + segment.size), file_size, offset, content


def kept_frames(image: Loadable) -> int:
    """How many frames a :class:`Base` of *image* takes at most."""
    return sum(round_up(segment.addr % PAGE + segment.size) // PAGE for segment in image.segments) + SHARED + 1


class Base:
    """What guest RAM holds in every World; to be made before anything else takes frames."""

    def __init__(self, image: Loadable, ram: Ram) -> None:
        self._ram = ram
        self.spans = [self._span(image, number) for number in range(len(image.segments))]
        self.supervisor = ram.take(1)  # physical address of the page that only the CPU's own set-up uses
        self._shared_first = self._shared_next = ram.take(SHARED) // PAGE
        self._shared: dict[bytes, Piece] = {}
        ram.keep()
        self._mapped: list[tuple[int, Piece]] = []
        self._stale = False
        self._pristine = bytearray()  # of all kept frames; made when it is first needed

    def _span(self, image: Loadable, number: int) -> Span:
        segment = image.segments[number]
        start, size, file_size, offset, content = in_pages(segment, image.data)
        count = (size if size <= EAGER else file_size) // PAGE
        piece = Piece(self._ram.take(count) // PAGE, count, segment.prot, content)
        self._write(piece)
        return Span(start, size, file_size, segment.prot, offset, piece)

    def _write(self, piece: Piece) -> None:
        at = piece.first * PAGE
        self._ram.bytes[at : at + len(piece.content)] = piece.content

    def map(self, pages: PageTables, addr: int, piece: Piece) -> None:
        """Map *piece* at run-time address *addr*."""
        if piece.n_frames:
            pages.map_kept(addr, piece.first * PAGE, piece.n_frames, piece.prot)
            self._mapped.append((addr, piece))

    def map_code(self, pages: PageTables, addr: int, content: bytes) -> None:
        """Map executable pages of *content*, always the same frames for the same content."""
        self.map(pages, addr, self.code(content))

    def code(self, content: bytes) -> Piece:
        """Return the frames of executable pages of *content*."""
        piece = self._shared.get(content)
        if piece is None:
            piece = self._shared[content] = self._share(content)
        return piece

    def _share(self, content: bytes) -> Piece:
        count = round_up(len(content)) // PAGE
        if self._shared_next + count > self._shared_first + SHARED:
            self._shared.clear()
            self._shared_next, self._stale = self._shared_first, True
        piece = Piece(self._shared_next, count, EXECUTABLE, content.ljust(count * PAGE, b"\0"))
        self._shared_next += count
        self._write(piece)
        self._pristine = bytearray()
        return piece

    def restore(self, pages: PageTables) -> bool:
        """Put back whatever the guest, or anyone through *pages*, changed; tell whether code was among it.

        Afterwards nothing counts as mapped: the page tables are to be made anew.
        """
        changed, self._stale = self._stale or self._ram.lost, False
        pristine = self.pristine()
        if self._ram.lost:
            self.rewrite()
        else:
            for addr, piece in self._mapped:
                for number, dirty in pages.dirty(addr, piece.n_frames * PAGE):
                    at = (piece.first + number) * PAGE
                    accel.copy_pages(self._ram.host_addr + at, pristine + at, dirty)
                    changed = changed or bool(piece.prot & PROT_EXEC)
        self._mapped.clear()
        return changed

    def layout(self) -> list[list[int]]:
        """Where the shared pieces lie and what they hold: (first frame, frames, checksum); the same on new machines."""
        return [[piece.first, piece.n_frames, zlib.crc32(piece.content)] for piece in self._shared.values()]

    def pristine(self) -> int:
        """The host address of what all kept frames hold before anything ran; the supervisor's page is zero there."""
        if not self._pristine:
            self._pristine = self._contents()
        return ctypes.addressof(ctypes.c_char.from_buffer(self._pristine))

    def rewrite(self) -> None:
        """Put all kept frames back to what they were, the supervisor's page but for."""
        ctypes.memmove(self._ram.host_addr, self.pristine(), self._ram.kept * PAGE)

    def _contents(self) -> bytearray:
        contents = bytearray(self._ram.kept * PAGE)
        for piece in (*(span.piece for span in self.spans), *self._shared.values()):
            contents[piece.first * PAGE : piece.first * PAGE + len(piece.content)] = piece.content
        return contents
