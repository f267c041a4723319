"""Guest RAM: one host mapping, handed out in frames.

The mapping is anonymous and unreserved, so that a guest of gigabytes costs the host only what it touches.  Frames
are handed out upwards from the bottom, in contiguous runs where asked for; a frame that is given back reads as zero
when it is handed out again, because its host memory was dropped.  The first ones may be kept: their contents outlive
:meth:`Ram.reset`, and nobody else ever gets them.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Sequence

from syscalls.guest import PAGE, OutOfFrames

FEW = 1024  # frames that are rather overwritten than given back to the host
ZEROS = bytes(PAGE)
MAP_NORESERVE = 0x4000  # linux/mman.h; Python's mmap has it from 3.13 on

RamState = tuple[int, tuple[tuple[int, int], ...], bool, tuple[tuple[int, int], ...]]


class Budget:
    """How many frames the guest's pages may take, in all its processes together."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0

    def charge(self, count: int) -> None:
        """Take *count* frames more into account; raise :class:`OutOfFrames`."""
        if self.used + count > self.limit:
            raise OutOfFrames
        self.used += count


class Ram:
    """*size* bytes of guest-physical memory (a multiple of :data:`PAGE`), of which nothing is used yet."""

    def __init__(self, size: int) -> None:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
        self.host = mmap.mmap(-1, size, flags=flags)
        self.size = size
        self.bytes = memoryview(self.host)
        self.words = self.bytes.cast("Q")
        self.host_addr = ctypes.addressof(ctypes.c_char.from_buffer(self.host))
        self._next = 0  # frames below were handed out at least once
        self._free: list[tuple[int, int]] = []  # runs (first frame, count) that were given back
        self._clean: list[tuple[int, int]] = []  # likewise, and the engine has forgotten what code was in them
        self.kept = 0  # frames below stay what they are
        self.lost = False  # one of those was given back, and what it held is no longer sure
        # Frames that more than one page table, or a cache of programs, refers to: number -> how many more than one.
        self.shares: dict[int, int] = {}
        self.had_code = False  # frames that the guest could execute were given to it one by one: see PageTables.fill
        self.forget_code: Callable[[], None] = lambda: None  # the engine's: translations of what the kernel changed
        # Pages may be written that were code and cannot be executed now: the engine does not see it (notdirty_write).
        self.rewritten = False
        self.stale = False  # and frames were given back since, so that old translations may lie in wait for new code

    def close(self) -> None:
        """Give the mapping back to the host."""
        self.words.release()
        self.bytes.release()
        self.host.close()

    @property
    def frames_used(self) -> int:
        """Frames handed out now."""
        return self._next - sum(count for _, count in (*self._free, *self._clean))

    def take(self, count: int) -> int:
        """Return the physical address of *count* contiguous zeroed frames; raise :class:`OutOfFrames`."""
        found = _cut(self._free, count) if self._free else None
        if found is not None:
            return found * PAGE
        try:
            return self.take_new(count)
        except OutOfFrames:
            self._free = _joined(self._free)
            found = _cut(self._free, count)
            if found is None:
                raise
            return found * PAGE

    def give_back(self, addr: int, count: int) -> None:
        """Take back *count* frames from physical address *addr* on; their contents are gone."""
        first = addr // PAGE
        if first < self.kept:
            self.lost = True
            return
        self.clear(addr, count)
        self.stale = self.stale or self.had_code
        if self._free and self._free[-1][0] + self._free[-1][1] == first:  # the common case: one run, page by page
            self._free[-1] = (self._free[-1][0], self._free[-1][1] + count)
        else:
            self._free.append((first, count))

    def take_new(self, count: int) -> int:
        """Return the physical address of *count* frames that held no code that the engine knows; OutOfFrames."""
        found = _cut(self._clean, count) if self._clean else None
        if found is not None:
            return found * PAGE
        first = self._next
        if (first + count) * PAGE > self.size:
            raise OutOfFrames
        self._next = first + count
        return first * PAGE

    @property
    def crowded(self) -> bool:
        """Whether few frames are left that never held code: time that the engine forgets, and for :meth:`wash`."""
        frames = self.size // PAGE
        return self.stale and frames - self._next + sum(count for _, count in self._clean) < frames // 8

    def wash(self) -> None:
        """Take note that the engine has forgotten all code: what was given back is as good as new."""
        self._clean = _joined([*self._clean, *self._free])
        self._free.clear()
        self.stale = False

    def forget_rewritten(self) -> None:
        """Within a call that makes pages executable: let the engine forget what they may have held."""
        if self.rewritten:
            self.rewritten = False
            self.forget_code()

    def share(self, frame: int) -> None:
        """Count one more that refers to *frame*, a physical address."""
        number = frame // PAGE
        self.shares[number] = self.shares.get(number, 0) + 1

    def unshare(self, frame: int) -> bool:
        """Count one less that refers to *frame*; say whether others are left, so that it must not be given back."""
        number = frame // PAGE
        others = self.shares.get(number, 0)
        if not others:
            return False
        if others == 1:
            del self.shares[number]
        else:
            self.shares[number] = others - 1
        return True

    def clear(self, addr: int, count: int) -> None:
        """Make *count* frames read as zero, giving their memory back to the host."""
        self.host.madvise(mmap.MADV_DONTNEED, addr, count * PAGE)

    def keep(self) -> None:
        """Keep every frame that was handed out so far."""
        self.kept = self._next

    def state(self) -> RamState:
        """Return which frames are handed out; their contents are not among it."""
        return self._next, (*self._free, *self._clean), self.lost, tuple(self.shares.items())

    def restore(self, state: RamState) -> None:
        """Hand out frames as from when :meth:`state` returned *state*; the contents are the caller's to put back."""
        self._next, free, self.lost, shares = state
        self._free[:] = free
        self.shares.clear()
        self.shares.update(shares)
        self._clean.clear()

    def reset(self, used: Sequence[int] | None = None) -> None:
        """Take back all frames but those that are kept, so that they are handed out again in the same order.

        *used*: the physical addresses of those that hold anything, if it is known.  A few are overwritten, which is
        cheaper than to have the host take them and give them again (133 of a boot: 0.3 ms less, measured).
        """
        if used is not None and len(used) <= FEW:
            for addr in used:
                self.bytes[addr : addr + PAGE] = ZEROS
        elif self._next > self.kept:
            self.clear(self.kept * PAGE, self._next - self.kept)
        self._next = self.kept
        self._free.clear()
        self._clean.clear()
        self.shares.clear()
        self.lost = self.had_code = self.rewritten = self.stale = False


def run_of(take: Callable[[int], int], count: int) -> tuple[int, int]:
    """Take *count* contiguous frames, or fewer where there are none; return how many, and the first."""
    while True:
        try:
            return count, take(count)
        except OutOfFrames:
            if count == 1:
                raise
            count //= 2


def _cut(runs: list[tuple[int, int]], count: int) -> int | None:
    # Take *count* frames out of the first of *runs* that has as many; None if none has.
    for i, (first, free) in enumerate(runs):
        if free >= count:
            if free == count:
                del runs[i]
            else:
                runs[i] = (first + count, free - count)
            return first
    return None


def _joined(runs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    # The same frames in as few runs as there can be, in order.
    found: list[tuple[int, int]] = []
    for first, count in sorted(runs):
        if found and sum(found[-1]) == first:
            found[-1] = (found[-1][0], found[-1][1] + count)
        else:
            found.append((first, count))
    return found
