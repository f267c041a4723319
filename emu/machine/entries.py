"""What page tables are made of: the entries of x86-64 (Intel SDM vol. 3, 4.5), and the state of all of them.

Bits that the hardware leaves to the machine say what it keeps of a page.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from syscalls.guest import PAGE, PROT_EXEC, PROT_NONE, PROT_WRITE
from syscalls.light import NamedTuple

PRESENT, WRITABLE, USER, ACCESSED, DIRTY = 1 << 0, 1 << 1, 1 << 2, 1 << 5, 1 << 6
HAS_FRAME = 1 << 9  # a bit that the hardware ignores: the entry owns a frame, present or not
COMMON = 1 << 10  # likewise: the frame is one of memory that is shared, and stays so whoever writes
ALIAS = 1 << 11  # likewise: another page counts it already
NO_EXECUTE = 1 << 63
ADDRESS = 0x000F_FFFF_FFFF_F000
SLICE = 512 * PAGE  # what one page table covers
EAGER = 4 << 20  # mappings up to this size get their frames at once
USER_TOP = 1 << 47
VSYSCALL = 0xFFFF_FFFF_FF60_0000


LazyProt = Callable[[int], "tuple[int, int, int] | None"]
"""Says which mapping an address without a frame lies in: (start, end, prot), or None."""


def entry_bits(prot: int) -> int:
    """The bits of a page-table entry for *prot*, without frame and dirtiness."""
    if prot == PROT_NONE:
        return HAS_FRAME
    bits = HAS_FRAME | PRESENT | USER
    if prot & PROT_WRITE:
        bits |= WRITABLE
    if not prot & PROT_EXEC:
        bits |= NO_EXECUTE
    return bits


BITS = tuple(map(entry_bits, range(8)))
"""The same by *prot*."""


class TablesState(NamedTuple):
    """What :meth:`PageTables.state` returns."""

    numbers: bytes  # of the tables' frames, packed as uint32
    addresses: list[int]  # the same, as physical addresses
    contents: bytes
    tables: dict[int, int]
    frames: int
    limit_frames: int
    new_code: bool
    code_version: int


VERSIONS = itertools.count()
"""Numbers, each given once, of the places that code is mapped at."""
