"""What snapshots need of the accelerator, natively and in Python: counts put back, coverage, pages made clean."""

from __future__ import annotations

import ctypes
from array import array

import pytest

from emu.machine import accel
from tests.machine.bare import CODE, PAGE, Bare

BOTH = pytest.mark.parametrize("plain", [False, True], ids=["native", "plain"])
LOOP = bytes.fromhex("b905000000 ffc9 75fc 90 90")  # mov ecx, 5; dec ecx; jnz; nop; nop
END = CODE + len(LOOP)
TOTAL = 1 + 5 * 2 + 2
USER, DIRTY, NO_EXECUTE = 1 << 2, 1 << 6, 1 << 63


@pytest.fixture(params=["native", "python"])
def _host_loops(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test twice: with the native loops and with Python's."""
    if request.param == "python":
        monkeypatch.setattr(accel._State, "native", None)
    else:
        assert accel.load()


@BOTH
def test_counts_go_on_from_a_restored_state(plain: bool) -> None:
    """Totals and executions are those of the moment; nothing of the run in between is left."""
    bare = Bare(LOOP, plain)
    bare.run(CODE, CODE + 9)
    state, profile, total = bare.counter.state(), sorted(bare.counter.profile()), bare.total()
    for _ in range(2):
        bare.run(CODE + 9, END)
        assert bare.total() == TOTAL
        bare.counter.restore(state)
        assert (bare.total(), sorted(bare.counter.profile())) == (total, profile)


@BOTH
def test_restored_counts_have_no_limit(plain: bool) -> None:
    """A limit that was set is gone; a new one counts from the restored total."""
    bare = Bare(LOOP, plain)
    bare.counter.set_limit(4)
    bare.run(CODE, END)
    assert bare.counter.limit_reached()
    bare.counter.restore(array("q", [100]).tobytes())
    assert not bare.counter.limit_reached()
    bare.run(CODE, END)
    assert bare.total() == 100 + TOTAL
    bare.counter.restore(array("q", [100]).tobytes())
    bare.counter.set_limit(104)
    bare.run(CODE, END)
    assert bare.counter.limit_reached()
    assert 104 <= bare.total() < 100 + TOTAL


@BOTH
def test_executed_counts_from_a_state_on(plain: bool) -> None:
    """Each block at its place of ``places()``, however often it was met before; no more than 255."""
    bare = Bare(LOOP, plain)
    nothing = bare.counter.state()
    bare.run(CODE, END)
    places, first = bare.counter.places(), bare.counter.executed(nothing)
    between = bare.counter.state()
    assert len(places) == len(first)
    assert dict(zip([pc for pc, _ in places], first, strict=True))[CODE + 5] == 4  # the fifth round came straight in
    assert not any(bare.counter.executed(between))
    for _ in range(100):
        bare.run(CODE, END)

    assert bare.counter.places()[: len(places)] == places
    assert max(bare.counter.executed(between)) == 255
    assert min(n for n in bare.counter.executed(between) if n) == 100


@BOTH
def test_state_of_another_counter_is_refused(plain: bool) -> None:
    """More blocks than there are cannot be put back."""
    bare = Bare(LOOP, plain)
    bare.run(CODE, END)
    with pytest.raises(ValueError, match=r"."):
        bare.counter.restore(array("q", [0] * 99).tobytes())


@pytest.mark.usefixtures("_host_loops")
def test_clean_pages_puts_dirty_frames_back() -> None:
    """A dirty frame that is kept gets its first contents, another one zeros; others are left alone."""
    ram = (ctypes.c_uint8 * (6 * PAGE))(*([7] * (6 * PAGE)))
    pristine = (ctypes.c_uint8 * (2 * PAGE))(*([1] * (2 * PAGE)))
    at = ctypes.addressof(ram)
    ctypes.memset(at, 0, PAGE)  # frame 0: the table
    entries = (ctypes.c_uint64 * 512).from_buffer(ram)
    entries[0] = 1 * PAGE | DIRTY | USER | NO_EXECUTE | 1
    entries[9] = 2 * PAGE | DIRTY | USER | NO_EXECUTE
    entries[511] = 3 * PAGE | USER | 1  # clean
    entries[12] = 4 * PAGE | DIRTY | 1  # the supervisor's own

    assert not accel.clean_pages(at, [0], 2, ctypes.addressof(pristine))
    assert [bytes(ram)[frame * PAGE : (frame + 1) * PAGE] for frame in range(1, 6)] == [
        bytes([1]) * PAGE, bytes(PAGE), bytes([7]) * PAGE, bytes(PAGE), bytes([7]) * PAGE,
    ]  # fmt: skip
    entries[13] = 5 * PAGE | DIRTY | USER | 1
    assert accel.clean_pages(at, [0], 2, ctypes.addressof(pristine))  # code of the guest's


@pytest.mark.usefixtures("_host_loops")
def test_clean_pages_leaves_frames_that_are_stored_anyway() -> None:
    """Frames that are said to stay do, wherever their entries are; whether there is code is told all the same."""
    ram = (ctypes.c_uint8 * (8 * PAGE))(*([7] * (8 * PAGE)))
    at = ctypes.addressof(ram)
    ctypes.memset(at, 0, PAGE)  # frame 0: the table
    entries = (ctypes.c_uint64 * 512).from_buffer(ram)
    for place, frame in ((0, 4), (7, 1), (8, 7), (15, 2), (300, 6), (510, 3), (511, 5)):
        entries[place] = frame * PAGE | DIRTY | USER | (0 if frame == 6 else NO_EXECUTE)

    assert accel.clean_pages(at, [0], 0, at, accel.pack([1, 4, 6]))
    left = [frame for frame in range(1, 8) if bytes(ram)[frame * PAGE : (frame + 1) * PAGE] != bytes(PAGE)]
    assert left == [1, 4, 6]


@pytest.mark.usefixtures("_host_loops")
def test_store_pages_puts_each_at_its_number() -> None:
    """In the order given; as many as there are numbers, or none."""
    target = ctypes.create_string_buffer(3 * PAGE)
    at = ctypes.addressof(target)
    accel.store_pages(at, accel.pack([2, 0]), b"a" * PAGE + b"b" * PAGE)

    assert target.raw == b"b" * PAGE + bytes(PAGE) + b"a" * PAGE
    with pytest.raises(ValueError, match="as many pages"):
        accel.store_pages(at, accel.pack([1]), b"a")


@pytest.mark.usefixtures("_host_loops")
def test_fill_entries_maps_frames_that_follow_each_other() -> None:
    """Each entry is the one before it and a page more; those around them stay; bit 63 is no sign."""
    table = (ctypes.c_uint64 * 6)(*([5] * 6))
    first = NO_EXECUTE | 0x7000 | USER | 1
    accel.fill_entries(ctypes.addressof(table) + 8, first, 3)

    assert list(table) == [5, first, first + PAGE, first + 2 * PAGE, 5, 5]


@pytest.mark.usefixtures("_host_loops")
def test_dirty_frames_are_told_once_and_in_order() -> None:
    """Two pages of one frame count once; the frame that is asked for beside them is among them."""
    ram = (ctypes.c_uint64 * (2 * 512))()
    ram[512 + 3] = 9 * PAGE | DIRTY | NO_EXECUTE
    ram[7], ram[8] = 4 * PAGE | DIRTY, 5 * PAGE | USER
    ram[511] = 9 * PAGE | DIRTY
    at = ctypes.addressof(ram)

    assert accel.dirty_frames(at, [512, 0], 6) == accel.pack([4, 6, 9])
    assert accel.dirty_frames(at, [0, 512], 9) == accel.pack([4, 9])


@pytest.mark.usefixtures("_host_loops")
def test_pages_are_loaded_in_the_order_of_their_numbers() -> None:
    """What store_pages stored."""
    source = ctypes.create_string_buffer(b"a" * PAGE + b"b" * PAGE + b"c" * PAGE)

    assert accel.load_pages(ctypes.addressof(source), accel.pack([2, 0])) == b"c" * PAGE + b"a" * PAGE
    assert accel.load_pages(ctypes.addressof(source), b"") == b""
