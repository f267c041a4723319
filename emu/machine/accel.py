"""Choose how instructions are counted, and the same few host-memory loops in C or in Python.

The native module stands in for functions of libunicorn (``_accel.h`` says which and why), so it must be loaded before
``unicorn`` is imported: whoever imports ``unicorn`` calls :func:`load` first.  It proves itself on a throwaway engine
(1.3 ms, measured); where it is missing, switched off by ``RT0_ACCEL=0``, or wrong about the library at hand, counts
come from Unicorn's own hooks and are the same, slower.

Measured on a busy 2-core machine, CPU seconds, best of 10 or more (100 million rounds of a loop, 10 million calls):

| program | Unicorn, uncounted | only block counts and a budget, in C | this, in C |
|---|---|---|---|
| loop of 2 instructions | 0.395 | 0.254 | 0.258 |
| loop with a store | 0.562 | 0.279 | 0.288 |
| loop with a call | 0.129 | 0.074 | 0.072 |

(It is faster than Unicorn because Unicorn asks for stops after each load and store too.)  An iteration of a REP
instruction costs 6 ns, against 4 ns uncounted.  Through Python's hooks a block costs 0.8 us and a new one some 20 us:
Go 1.27's hello, to runtime.mstart, 0.12 s in place of 0.035 s.  ``instructions()`` takes 33 ns, reading seven registers
0.19 us, D of 65,536 page-table entries 37 us, comparing an equal MiB 24 us, copying 86 pages 7 us.

Host addresses and sizes are the caller's word: nothing here checks them.
"""

from __future__ import annotations

import ctypes
import os
import sys
from array import array
from collections.abc import Sequence
from types import ModuleType

from emu.machine.counting import Counter, PlainCounter
from syscalls.light import Any

PAGE = 4096
# Of a page-table entry (Intel SDM vol. 3, 4.5 and 4.8)
_USER, _DIRTY, _ADDRESS = 1 << 2, 1 << 6, 0x000F_FFFF_FFFF_F000


class _State:
    native: ModuleType | None = None
    reason: str | None = None  # None: load() was not called


def load() -> bool:
    """Load the native module if that is still possible; tell whether it is in use.

    Loads libunicorn.  Only the first call does anything.
    """
    if _State.reason is None:
        _State.reason = _load()
    return _State.native is not None


def reason() -> str:
    """Return why the native module is not in use, or an empty string."""
    load()
    assert _State.reason is not None
    return _State.reason


def _load() -> str:
    if os.environ.get("RT0_ACCEL") == "0":
        return "switched off by RT0_ACCEL=0"
    if "unicorn" in sys.modules:
        return "unicorn was imported before it"
    flags = sys.getdlopenflags()
    sys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL)
    try:
        from emu.machine import _accel
    except ImportError as error:
        return f"not built: {error}"
    finally:
        sys.setdlopenflags(flags)
    from emu.machine import libunicorn

    wrong = _accel.attach(libunicorn.library()._handle)
    if not wrong:
        _State.native = _accel
    return wrong


def native() -> ModuleType | None:
    """Return the native module if it is in use, for its raw register access."""
    return _State.native if load() else None


def counter(uc: Any) -> Counter:
    """Return a new counter, the fastest at hand, for an engine for 64-bit x86 that is not running.

    *uc* is a ``unicorn.Uc`` or an :class:`emu.machine.libunicorn.Core`; the counter lives as long.  A second one for
    the same engine takes over from the first.
    """
    counting: Counter = _State.native.Counter(uc._uch.value) if _State.native else PlainCounter(uc)
    uc.rt0_counter = counting  # translated code holds its address
    return counting


def dirty_pages(ptes: int, n: int, clear: bool = False) -> bytes:
    """Return which of the *n* page-table entries at host address *ptes* have D set, as packed native uint32 numbers.

    With *clear* their D is taken away; the engine's TLB must be flushed before it runs again.
    """
    if _State.native:
        found: bytes = _State.native.dirty_pages(ptes, n, clear)
        return found
    entries = (ctypes.c_uint64 * n).from_address(ptes)
    dirty = array("I", (i for i, entry in enumerate(entries) if entry & _DIRTY))
    if clear:
        for i in dirty:
            entries[i] &= ~_DIRTY
    return dirty.tobytes()


def copy_pages(to: int, from_: int, pages: bytes | bytearray | memoryview) -> None:
    """Copy pages between two arrays of pages at host addresses; *pages* as :func:`dirty_pages` returns it."""
    if _State.native:
        _State.native.copy_pages(to, from_, pages)
        return
    for page in memoryview(pages).cast("B").cast("I"):
        ctypes.memmove(to + page * PAGE, from_ + page * PAGE, PAGE)


def clean_pages(ram: int, tables: Sequence[int], kept: int, pristine: int, but: bytes = b"") -> bool:
    """Make the frame behind each dirty page zero, or, if its number is below *kept*, what it is in *pristine*.

    *ram* and *pristine* are host addresses of arrays of frames; *tables* says at which words of *ram* a page table
    begins.  Frames with the numbers *but* (in order, packed as :func:`dirty_pages` returns them) stay as they are.
    Tells whether the guest may execute one of the pages.
    """
    packed = array("Q", tables).tobytes()
    if _State.native:
        found: bool = _State.native.clean_pages(ram, packed, kept, pristine, but)
        return found
    code, spared = False, set(memoryview(but).cast("I"))
    for table in tables:
        entries = (ctypes.c_uint64 * 512).from_address(ram + 8 * table)
        for entry in entries:
            if not entry & _DIRTY:
                continue
            at = entry & _ADDRESS
            code = code or (not entry >> 63 and bool(entry & _USER))
            if at // PAGE in spared:
                continue
            if at < kept * PAGE:
                ctypes.memmove(ram + at, pristine + at, PAGE)
            else:
                ctypes.memset(ram + at, 0, PAGE)
    return code


def pack(pages: Sequence[int]) -> bytes:
    """Return page numbers as :func:`store_pages` and :func:`copy_pages` take them."""
    return array("I", pages).tobytes()


def store_pages(to: int, pages: bytes, data: bytes) -> None:
    """Store the pages that follow each other in *data* at the numbers *pages* (packed as above) of an array of pages.

    Raises ValueError if they are not as many.
    """
    if _State.native:
        _State.native.store_pages(to, pages, data)
        return
    if len(pages) // 4 * PAGE != len(data):
        raise ValueError("as many pages as numbers are needed")
    for i, page in enumerate(memoryview(pages).cast("I")):
        ctypes.memmove(to + page * PAGE, data[i * PAGE : (i + 1) * PAGE], PAGE)


def load_pages(from_: int, pages: bytes) -> bytes:
    """Return the pages at the numbers *pages* (packed as above) of an array of pages, one after the other."""
    if _State.native:
        found: bytes = _State.native.load_pages(from_, pages)
        return found
    return b"".join(ctypes.string_at(from_ + page * PAGE, PAGE) for page in memoryview(pages).cast("I"))


def dirty_frames(ram: int, tables: Sequence[int], one: int) -> bytes:
    """Return the numbers of the frames behind dirty pages, and of *one*, in order, each once, packed as above.

    *ram* and *tables* as for :func:`clean_pages`.
    """
    packed = array("Q", tables).tobytes()
    if _State.native:
        frames: bytes = _State.native.dirty_frames(ram, packed, one)
        return frames
    found = {one}
    for table in tables:
        entries = (ctypes.c_uint64 * 512).from_address(ram + 8 * table)
        found.update((entry & _ADDRESS) // PAGE for entry in entries if entry & _DIRTY)
    return pack(sorted(found))


def fill_entries(ptes: int, first: int, n: int) -> None:
    """Store page-table entries for *n* contiguous frames at host address *ptes*; *first* is the first entry."""
    if _State.native:
        _State.native.fill_entries(ptes, first, n)
        return
    entries = array("Q", range(first, first + n * PAGE, PAGE))
    ctypes.memmove(ptes, entries.buffer_info()[0], 8 * n)


def dirty_differences(ptes: int, n: int, a: int, b: int) -> list[tuple[int, int]]:
    """Return (offset, length) of each run of 8-byte words in which *n* pages at host addresses *a* and *b* differ.

    Only pages whose page-table entries at host address *ptes* have D set are looked at.
    """
    if _State.native:
        found: list[tuple[int, int]] = _State.native.dirty_differences(ptes, n, a, b)
        return found
    runs: list[tuple[int, int]] = []
    for page in memoryview(dirty_pages(ptes, n)).cast("I"):
        start = page * PAGE
        ours, theirs = ctypes.string_at(a + start, PAGE), ctypes.string_at(b + start, PAGE)
        if ours == theirs:
            continue
        for at in range(0, PAGE, 8):
            if ours[at : at + 8] != theirs[at : at + 8]:
                if runs and sum(runs[-1]) == start + at:
                    begin, total = runs.pop()
                    runs.append((begin, total + 8))
                else:
                    runs.append((start + at, 8))
    return runs
