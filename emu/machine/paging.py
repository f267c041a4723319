"""Four-level x86-64 page tables inside guest RAM, and guest memory as the kernel sees it.

The engine walks these tables by itself (Intel SDM vol. 3, 4.5), so permissions, the accessed and the dirty bits are
the hardware's.  A page that has a frame but may not be accessed (PROT_NONE) keeps its frame in a non-present entry.
Small mappings get their frames at once; in large ones a slice of 2 MiB is filled when it is first touched
(:meth:`PageTables.fault_in`), which is what keeps reservations and arenas of gigabytes free.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence

from emu.machine import accel
from emu.machine.entries import (
    ACCESSED,
    ADDRESS,
    ALIAS,
    BITS,
    COMMON,
    DIRTY,
    EAGER,
    HAS_FRAME,
    NO_EXECUTE,
    PRESENT,
    SLICE,
    USER,
    USER_TOP,
    VERSIONS,
    WRITABLE,
    LazyProt,
    TablesState,
)  # fmt: skip
from emu.machine.ram import ZEROS, Budget, Ram, run_of
from syscalls.guest import PAGE, PROT_EXEC, PROT_NONE, PROT_WRITE, GuestFault, GuestMemory, OutOfFrames


class PageTables:
    """The address space of one guest process; satisfies :class:`syscalls.guest.GuestMemory`."""

    def __init__(self, ram: Ram, limit_frames: int, flush: Callable[[], None], budget: Budget | None = None) -> None:
        """Make tables with nothing in them.  *budget* is that of other tables of the same guest, where there are any.

        Raises :class:`OutOfFrames`.
        """
        self.ram = ram
        self._flush = flush
        self.clear(limit_frames, budget)

    def clear(self, limit_frames: int, budget: Budget | None = None) -> None:
        """Begin anew, with nothing mapped, in a :class:`Ram` that has none of the old tables any more."""
        self.budget = Budget(limit_frames) if budget is None else budget
        self.number = 0  # tells these from others of the same machine, even later ones
        self.root = self.ram.take(1)
        self._table_frames = [self.root]
        self.lazy: LazyProt | None = None  # the kernel's, once there is one
        self.before_drop: Callable[[], None] | None = None  # an observer's: called while what unmap drops is there
        self.code_moved: Callable[[], None] | None = None  # the engine's: called when pages near code go or change
        self._code: set[int] = set()  # address // SLICE of all that ever held code
        self.frames = 0  # frames behind guest pages; page tables do not count
        self.new_code = False  # pages were made executable that are no kept frames as they were
        self.code_version = next(VERSIONS)  # as long as it is the same, code is mapped where it was
        self._tables: dict[int, int] = {}  # address // SLICE -> index of its page table in ram.words

    @property
    def tables(self) -> Mapping[int, int]:
        """Every page table: what it covers (address // SLICE) -> index of its first entry in ``ram.words``."""
        return self._tables

    def used_frames(self) -> list[int]:
        """The physical addresses of all tables, and of every frame behind a page that has D set, but the kept ones.

        Whatever else has a frame reads as zero, as long as nobody took D away.
        """
        words, kept, found = self.ram.words, self.ram.kept * PAGE, list(self._table_frames)
        for table in self._tables.values():
            for number in memoryview(accel.dirty_pages(self.ram.host_addr + 8 * table, 512)).cast("I"):
                frame = words[table + number] & ADDRESS
                if frame >= kept:
                    found.append(frame)
        return found

    def state(self) -> TablesState:
        """Return the tables as they are; what the pages hold is not among it."""
        numbers = accel.pack([frame // PAGE for frame in self._table_frames])
        contents = accel.load_pages(self.ram.host_addr, numbers)
        counts, addresses = (self.frames, self.budget.limit), self._table_frames[:]
        return TablesState(numbers, addresses, contents, dict(self._tables), *counts, self.new_code, self.code_version)

    def restore(self, state: TablesState) -> None:
        """Put back what :meth:`state` returned; frames that held tables and do no more are zero.

        The caller has all other frames and the engine's TLB to see to.
        """
        if self._table_frames != state.addresses:
            for frame in set(self._table_frames).difference(state.addresses):
                self.ram.bytes[frame : frame + PAGE] = ZEROS
            self._table_frames[:] = state.addresses
        accel.store_pages(self.ram.host_addr, state.numbers, state.contents)
        self._tables.clear()
        self._tables.update(state.tables)
        self.frames = self.budget.used = state.frames
        self.budget.limit, self.new_code = state.limit_frames, state.new_code
        if state.code_version != self.code_version:
            self.code_version = state.code_version
            if self.code_moved:
                self.code_moved()

    # Walking

    def table(self, slice_no: int) -> int:
        """Index into ``ram.words`` of the page table for the slice, made (with the levels above) when missing."""
        found = self._tables.get(slice_no)
        if found is not None:
            return found
        words = self.ram.words
        base = self.root // 8
        for shift in (18, 9, 0):
            at = base + (slice_no >> shift & 511)
            if not words[at]:
                self._table_frames.append(self.ram.take(1))
                words[at] = self._table_frames[-1] | PRESENT | WRITABLE | USER
            base = (words[at] & ADDRESS) // 8
        self._tables[slice_no] = base
        return base

    def entry(self, addr: int) -> int:
        """The page-table entry of *addr*'s page; 0 when there is none."""
        table = self._tables.get(addr // SLICE)
        return 0 if table is None else self.ram.words[table + (addr // PAGE & 511)]

    def entry_index(self, addr: int) -> int:
        """Where in ``ram.words`` the entry of *addr*'s page is; the page must have been mapped."""
        return self._tables[addr // SLICE] + (addr // PAGE & 511)

    def frames_of(self, addr: int, size: int) -> list[int]:
        """The guest-physical address of every page of the range, filled if it was not yet; raise GuestFault."""
        return [self._frame(page, HAS_FRAME) for page in range(addr, addr + size, PAGE)]

    def entries(self, addr: int, size: int) -> list[int]:
        """The entries of every page of the range."""
        found: list[int] = []
        for table, low, high in self._runs(addr, size, make=False):
            found += [0] * (high - low) if table is None else self.ram.words[table + low : table + high].tolist()
        return found

    def _runs(self, addr: int, size: int, make: bool) -> list[tuple[int | None, int, int]]:
        # The range as (page table, first entry, last entry + 1), a table at a time.
        page, end = addr // PAGE, (addr + size) // PAGE
        low = page & 511
        if low + end - page <= 512:  # the common case
            return [(self.table(page >> 9) if make else self._tables.get(page >> 9), low, low + end - page)]
        runs: list[tuple[int | None, int, int]] = []
        while page < end:
            stop = min(end, (page | 511) + 1)
            table = self.table(page >> 9) if make else self._tables.get(page >> 9)
            runs.append((table, page & 511, (page & 511) + stop - page))
            page = stop
        return runs

    def physical(self, addr: int) -> int | None:
        """The guest-physical address behind *addr*, whatever its permissions; None without a frame."""
        entry = self.entry(addr)
        return (entry & ADDRESS) + addr % PAGE if entry & HAS_FRAME else None

    # Mapping (syscalls.guest.GuestMemory)

    def map(self, addr: int, size: int, prot: int) -> None:
        """Map zero-filled pages; frames come at once up to :data:`EAGER` bytes, else when touched."""
        self.unmap(addr, size)
        if prot == PROT_NONE or size > EAGER:
            return
        self.fill(addr, size, prot)

    def map_kept(self, addr: int, first: int, count: int, prot: int) -> None:
        """Map *count* frames from physical address *first* on, which :meth:`Ram.keep` holds, with what is in them."""
        self.unmap(addr, count * PAGE)
        if prot & PROT_EXEC:
            self._note_code(addr, count * PAGE)
        self.charge(count)
        for table, low, high in self._runs(addr, count * PAGE, make=True):
            assert table is not None
            accel.fill_entries(self.ram.host_addr + 8 * (table + low), first | BITS[prot], high - low)
            first += (high - low) * PAGE

    def fill(self, addr: int, size: int, prot: int) -> None:
        """Give every page of the range, none of which has one, a fresh frame."""
        bits, left, page = BITS[prot], size // PAGE, addr // PAGE
        self.charge(left)
        take, table = self.ram.take, self._tables.get(page >> 9)
        if table is not None and (page & 511) + left <= 512 and not prot & PROT_EXEC:  # the common case
            try:
                first = take(left)
            except OutOfFrames:
                first = -1  # not in one piece
            if first >= 0:
                accel.fill_entries(self.ram.host_addr + 8 * (table + (page & 511)), first | bits, left)
                return
        if prot & PROT_EXEC:
            self._note_code(addr, size)
            self.new_code = self.ram.had_code = True
            if self.ram.stale:  # the engine knows code by its frame, and may remember what a used one once held
                take = self.ram.take_new
        try:
            for table, low, high in self._runs(addr, size, make=True):
                assert table is not None
                at = low
                while at < high:
                    count, first = run_of(take, high - at)
                    accel.fill_entries(self.ram.host_addr + 8 * (table + at), first | bits, count)
                    at += count
                    left -= count
        except OutOfFrames:  # the host's share is used up by page tables, before the guest's own limit
            self.frames -= left
            self.budget.used -= left
            raise

    def dirty(self, addr: int, size: int) -> list[tuple[int, bytes]]:
        """Where in the range pages have D set: (number of a page in the range, their numbers counted from there).

        The numbers are packed as :func:`emu.machine.accel.dirty_pages` returns them.
        """
        found = []
        at = 0
        for table, low, high in self._runs(addr, size, make=False):
            if table is not None:
                pages = accel.dirty_pages(self.ram.host_addr + 8 * (table + low), high - low)
                if pages:
                    found.append((at, pages))
            at += high - low
        return found

    def charge(self, count: int) -> None:
        """Count that many frames more of this process; raise :class:`OutOfFrames`."""
        self.budget.charge(count)
        self.frames += count

    def unmap(self, addr: int, size: int) -> None:
        """Drop every page of the range and give its frames back."""
        if self.before_drop is not None:
            self.before_drop()
        changed, words, raw = False, self.ram.words, self.ram.bytes
        runs: Sequence[tuple[int, int, int]]
        slice_no, low = addr // SLICE, addr // PAGE & 511
        if low + size // PAGE <= 512:  # the common case
            if slice_no not in self._tables:
                return
            runs = ((self._tables[slice_no], low, low + size // PAGE),)
        else:
            runs = self._present_runs(addr, size)
        for table, low, high in runs:
            if raw[8 * (table + low) : 8 * (table + high)].tobytes() == ZEROS[: 8 * (high - low)]:
                continue  # found out in a fortieth of the time that a look at each entry takes
            entries = words[table + low : table + high].tolist()
            changed = True
            self._release(entries)
            words[table + low : table + high] = memoryview(array("Q", bytes(8 * (high - low))))
        if changed:
            self._move_code(addr, size)
            self._flush()

    def _note_code(self, addr: int, size: int) -> None:
        self.code_version = next(VERSIONS)
        self._code.update(range(addr // SLICE, (addr + size - 1) // SLICE + 1))

    def _move_code(self, addr: int, size: int) -> None:
        if any(addr // SLICE <= number <= (addr + size - 1) // SLICE for number in self._code):
            self.code_version = next(VERSIONS)
            if self.code_moved:
                self.code_moved()

    def _present_runs(self, addr: int, size: int) -> list[tuple[int, int, int]]:
        # Like _runs, only where a page table exists; cheap for ranges of gigabytes that were never touched.
        first, last = addr // SLICE, (addr + size - 1) // SLICE
        if last - first > len(self._tables):
            slices = sorted(no for no in self._tables if first <= no <= last)
        else:
            slices = [no for no in range(first, last + 1) if no in self._tables]
        runs = []
        for no in slices:
            low = max(addr, no * SLICE) // PAGE & 511
            high = (min(addr + size, (no + 1) * SLICE) - no * SLICE) // PAGE
            runs.append((self._tables[no], low, high))
        return runs

    def _release(self, entries: list[int]) -> None:
        # Give the frames behind *entries* back, in contiguous runs.
        start, count, before, shared = 0, 0, self.frames, self.ram.shares
        for entry in entries:
            if not entry & HAS_FRAME:
                continue
            if not entry & ALIAS:
                self.frames -= 1
            frame = entry & ADDRESS
            if shared and self.ram.unshare(frame):
                continue
            if count and frame == start + count * PAGE:
                count += 1
                continue
            if count:
                self.ram.give_back(start, count)
            start, count = frame, 1
        if count:
            self.ram.give_back(start, count)
        self.budget.used -= before - self.frames

    def protect(self, addr: int, size: int, prot: int) -> None:
        """Change the permissions of the pages that have frames, keeping frame and dirtiness."""
        bits, words = BITS[prot], self.ram.words
        self._move_code(addr, size)
        if prot & PROT_EXEC:
            self._note_code(addr, size)
            self.new_code = self.ram.had_code = True
            self.ram.forget_rewritten()
        elif prot & PROT_WRITE:
            self.ram.rewritten = True
        keep = ADDRESS | ACCESSED | DIRTY | COMMON | ALIAS
        moves = bool(prot & PROT_WRITE and self.ram.shares) or bool(prot & PROT_EXEC and self.ram.stale)
        for table, low, high in self._present_runs(addr, size):
            entries = words[table + low : table + high].tolist()
            if moves:
                entries = [self._own(entry, prot) for entry in entries]
            new = array("Q", [entry & keep | bits if entry & HAS_FRAME else 0 for entry in entries])
            words[table + low : table + high] = memoryview(new)
        self._flush()

    def _own(self, entry: int, prot: int) -> int:
        # An entry that may get the permissions *prot*: with a frame of its own if that is to be written and others
        # see it, with one that never held code if it is to be executed.
        if not entry & HAS_FRAME or entry & COMMON:
            return entry
        old = entry & ADDRESS
        if prot & PROT_WRITE and old // PAGE in self.ram.shares:
            new = self.ram.take_new(1) if prot & PROT_EXEC else self.ram.take(1)
        elif prot & PROT_EXEC and self.ram.stale and entry & (PRESENT | NO_EXECUTE) != PRESENT:
            new = self.ram.take_new(1)
        else:
            return entry
        self.ram.bytes[new : new + PAGE] = self.ram.bytes[old : old + PAGE]
        if not self.ram.unshare(old):
            self.ram.give_back(old, 1)
        return entry & ~ADDRESS | new | DIRTY

    def drop(self) -> None:
        """Give every frame back, those of the tables too; nothing may be asked any more."""
        words = self.ram.words
        for table in self._tables.values():
            self._release(words[table : table + 512].tolist())
        for frame in self._table_frames:
            self.ram.give_back(frame, 1)
        self._tables.clear()
        self._table_frames.clear()
        self.lazy = None  # what asks for an address now gets a fault, not a frame

    def make_supervisor(self, addr: int) -> None:
        """Take *addr*'s page away from ring 3; it stays with the CPU's own set-up."""
        self.ram.words[self.entry_index(addr)] &= ~USER

    def alias(self, addr: int, size: int, prot: int, source: GuestMemory, at: int) -> bool:
        """Let the range be the very pages at *at* of *source*; see :class:`syscalls.guest.GuestMemory`."""
        assert isinstance(source, PageTables)
        entries = source.entries(at, size)
        if prot & PROT_EXEC or not all(entry & HAS_FRAME for entry in entries):
            return False
        self.unmap(addr, size)
        bits, words = BITS[prot] | COMMON | ALIAS | DIRTY, self.ram.words
        for offset, entry in zip(range(0, size, PAGE), entries, strict=True):
            here = addr + offset
            self.ram.share(entry & ADDRESS)
            words[source.entry_index(at + offset)] |= COMMON | DIRTY  # what is dirty in one place is it in all
            words[self.table(here // SLICE) + (here // PAGE & 511)] = entry & ADDRESS | bits
        return True

    def is_alias(self, addr: int, size: int, source: GuestMemory, at: int) -> bool:
        """Tell whether each page of the range is the very one at *at* of *source*."""
        assert isinstance(source, PageTables)
        both = HAS_FRAME | ADDRESS
        mine, others = self.entries(addr, size), source.entries(at, size)
        return all(one & HAS_FRAME and one & both == other & both for one, other in zip(mine, others, strict=True))

    def discard(self, addr: int, size: int) -> None:
        """Make the range read as zero, keeping its mapping: its frames are given back, and come anew when touched."""
        self.unmap(addr, size)

    def resident(self, addr: int, n_pages: int) -> bytes:
        """A byte for each page: 1 where it was touched since it was mapped, as the A and D bits say."""
        touched = ACCESSED | DIRTY
        return bytes(entry & HAS_FRAME != 0 and entry & touched != 0 for entry in self.entries(addr, n_pages * PAGE))

    # Demand

    def fault_in(self, addr: int) -> bool:
        """Fill the slice of a lazily mapped page that was touched; False when *addr* has no such mapping.

        Raises :class:`OutOfFrames`.
        """
        if not 0 <= addr < USER_TOP or self.entry(addr) & HAS_FRAME:
            return False
        found = self.lazy(addr) if self.lazy else None
        if found is None or found[2] == PROT_NONE:
            return False
        begin, prot = addr // SLICE * SLICE, found[2]
        low, high = max(found[0], begin), min(found[1], begin + SLICE)
        at, size = 8 * (self.table(addr // SLICE) + (low // PAGE & 511)), (high - low) // PAGE * 8
        if self.ram.bytes[at : at + size].tobytes() == ZEROS[:size]:
            try:
                self.fill(low, high - low, prot)
            except OutOfFrames:  # near the limit, page by page
                self.fill(addr // PAGE * PAGE, PAGE, prot)
        else:
            for page in range(low, high, PAGE):
                if not self.entry(page):
                    self.fill(page, PAGE, prot)
        return True

    # Contents

    def _frame(self, addr: int, need: int) -> int:
        # Physical address of a page that the guest may access in the way *need* (entry bits) says.
        entry = self.entry(addr)
        if not entry and self.fault_in(addr):
            entry = self.entry(addr)
        if entry & need != need:
            raise GuestFault(addr, bool(need & WRITABLE))
        return entry & ADDRESS

    def read(self, addr: int, size: int) -> bytes:
        """Return *size* bytes, as the guest may read them; raise :class:`GuestFault`."""
        table, offset = self._tables.get(addr // SLICE), addr % PAGE
        if table is not None and offset + size <= PAGE:
            entry = self.ram.words[table + (addr // PAGE & 511)]
            if entry & PRESENT:  # the common case
                at = (entry & ADDRESS) + offset
                return bytes(self.ram.bytes[at : at + size])
        parts = []
        while size > 0:
            count = min(size, PAGE - addr % PAGE)
            at = self._frame(addr, PRESENT) + addr % PAGE
            parts.append(self.ram.bytes[at : at + count])
            addr += count
            size -= count
        return b"".join(parts)

    def peek(self, addr: int, size: int) -> bytes:
        """Return what :meth:`read` would, but give no page a frame that the guest has not touched: for observers."""
        table, offset = self._tables.get(addr // SLICE), addr % PAGE
        if table is not None and offset + size <= PAGE:
            entry = self.ram.words[table + (addr // PAGE & 511)]
            if entry & PRESENT:  # the common case
                at = (entry & ADDRESS) + offset
                return bytes(self.ram.bytes[at : at + size])
        parts = []
        while size > 0:
            count = min(size, PAGE - addr % PAGE)
            entry = self.entry(addr)
            if entry & PRESENT:
                at = (entry & ADDRESS) + addr % PAGE
                parts.append(bytes(self.ram.bytes[at : at + count]))
            elif not entry and self._readable_later(addr):
                parts.append(bytes(count))
            else:
                raise GuestFault(addr)
            addr += count
            size -= count
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def peek_word(self, addr: int) -> int:
        """Return the 64-bit word at *addr*, as :meth:`peek` reads it."""
        entry = self.entry(addr)
        if entry & PRESENT and not addr & 7:
            return self.ram.words[((entry & ADDRESS) + (addr & PAGE - 1)) // 8]
        return int.from_bytes(self.peek(addr, 8), "little")

    def _readable_later(self, addr: int) -> bool:
        # Whether fault_in would give the page a frame.
        found = self.lazy(addr) if self.lazy and 0 <= addr < USER_TOP else None
        return found is not None and found[2] != PROT_NONE

    def write(self, addr: int, data: bytes) -> None:
        """Store *data* where the guest may write all of it, else raise :class:`GuestFault` and store nothing."""
        self._store(addr, data, PRESENT | WRITABLE)

    def poke(self, addr: int, data: bytes) -> None:
        """Store *data* as the loader does: into any page that has a frame, read-only or not."""
        self._store(addr, data, HAS_FRAME)

    def _store(self, addr: int, data: bytes, need: int) -> None:
        places = []
        done = 0
        while done < len(data):
            here = addr + done
            count = min(len(data) - done, PAGE - here % PAGE)
            places.append((self._frame(here, need) + here % PAGE, done, count))
            done += count
        for at, start, count in places:
            self.ram.bytes[at : at + count] = data[start : start + count]
            index = self.entry_index(addr + start)
            self.ram.words[index] |= DIRTY
            if self.lazy and self.ram.words[index] < NO_EXECUTE:  # not the loader's, and may have been translated
                self.ram.forget_code()
