"""The dispatcher: narrowing, errors, the log, unknown numbers, and the ways in which a run ends."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from syscalls import abi
from syscalls.errno import EBADF, ENOMEM, ENOSYS
from syscalls.guest import PROT_READ, PROT_WRITE
from syscalls.outcome import Exit, Killed, Unsupported
from syscalls.trace import line
from syscalls.world import Process, Uname, World
from tests.syscalls.bytememory import BAD, BUFFER, STACK, guest

READ, WRITE, CLOSE, MMAP, GETPID, EXIT, KILL = 0, 1, 3, 9, 39, 60, 62


def test_an_event_holds_what_the_row_declares() -> None:
    """Raw arguments, as many as the call has; the result; the instructions executed before it."""
    g = guest()
    g.now[0] = 1234

    assert g.call(CLOSE, 99, 5, 6) == -EBADF

    event = g.kernel.events[-1]
    assert (event.nr, event.name, event.args, event.result, event.errno) == (3, "close", (99,), -EBADF, "EBADF")
    assert (event.overridden, event.tid, event.ticks, dict(event.detail)) == (False, 1000, 1234, {})


def test_buffers_are_kept_as_the_call_left_them() -> None:
    """A path, what was read, what was written: the log shows them even when memory has changed since."""
    g = guest()
    path = b"/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"
    g.call(257, abi.AT_FDCWD, g.put(path + b"\0", 1024), 0)
    g.call(READ, 3, BUFFER, 20)
    g.call(WRITE, 1, g.put(b"hi there", 512), 8)
    g.put(b"\xff" * 4096)

    assert [event.detail for event in g.kernel.events] == [{1: path}, {1: b"2097152\n"}, {1: b"hi there"}]


def test_integers_are_narrowed_as_c_does() -> None:
    """The upper half of a register is noise to an int: descriptor 1 with garbage above it is descriptor 1."""
    g = guest()

    assert g.call(WRITE, 0xABCD_0000_0001, g.put(b"x"), 1) == 1
    assert g.call(CLOSE, 0xFFFF_FFFF) == -EBADF  # -1
    assert g.call(0xFFFF_FFFF_0000_0000 | GETPID) == 1000  # so is the number's


@pytest.mark.parametrize("nr", [335, 423, 425, 999, 0xFFFF_FFFF])
def test_unknown_numbers_are_enosys_and_remembered(nr: int) -> None:
    """A number without a row does not exist; the log keeps all six registers."""
    g = guest()

    assert g.call(nr, 1, 2, 3, 4, 5, 6) == -ENOSYS
    assert g.call(nr) == -ENOSYS
    assert g.kernel.unknown == [nr]
    assert g.kernel.events[0].args == (1, 2, 3, 4, 5, 6)
    assert g.kernel.exit is None


def test_unknown_numbers_have_their_names() -> None:
    """A call that Linux has and the table has not is called by its name."""
    g = guest()
    g.call(425)
    g.call(999)

    assert [event.name for event in g.kernel.events] == ["io_uring_setup", "syscall_999"]


def test_a_strict_world_ends_at_an_unknown_call() -> None:
    """``strict`` makes the first unknown number the end of the run."""
    g = guest(World(strict=True))
    g.call(425)

    assert g.kernel.exit == Unsupported(425)


def test_calls_newer_than_the_kernel_do_not_exist() -> None:
    """close_range came with 5.9: an older World answers ENOSYS, which is no unknown number."""
    old = guest(replace(World(), uname=Uname(release="4.19.76-linuxkit")))

    assert old.call(436, 9, 9, 0) == -ENOSYS
    assert old.kernel.unknown == []
    assert guest().call(436, 9, 9, 0) == 0


def test_running_out_of_frames_is_enomem() -> None:
    """What the machine cannot back with memory fails, and leaves no mapping behind."""
    g = guest(n_frames=1024)
    before = g.kernel.space.maps()

    assert g.call(MMAP, 0, 64 << 20, 3, 0x22, -1) == -ENOMEM
    assert g.kernel.space.maps() == before


def test_a_handler_bug_is_not_swallowed() -> None:
    """Anything but the three guest errors is ours, and gets out."""
    g = guest()
    g.kernel.files = None  # type: ignore[assignment]  # a bug, made on purpose

    with pytest.raises(AttributeError):
        g.call(CLOSE, 1)


def test_output_goes_to_the_sink_and_nowhere_else(capfd: pytest.CaptureFixture[str]) -> None:
    """Standard output and error of the guest are collected, never the host's."""
    g = guest()
    seen: list[tuple[int, bytes]] = []
    g.kernel.sink = lambda fd, data: seen.append((fd, data))
    g.call(33, 1, 7)  # dup2
    g.call(WRITE, 7, g.put(b"out"), 3)
    g.call(WRITE, 2, g.put(b"err"), 3)

    assert seen == g.kernel.output == [(1, b"out"), (2, b"err")]
    assert capfd.readouterr() == ("", "")


def test_closed_descriptors_of_the_world() -> None:
    """A World may start a program without some of 0, 1 and 2; the lowest number is given out first."""
    g = guest(replace(World(), process=Process(closed_fds=(0, 2))))

    assert g.call(72, 0, abi.F_GETFD) == -EBADF
    assert g.call(72, 1, abi.F_GETFD) == 0
    assert g.call(2, g.put(b"/dev/null\0"), abi.O_RDWR) == 0
    assert g.call(2, g.put(b"/dev/null\0"), abi.O_RDWR) == 2


def test_exit_of_the_last_task_ends_the_run() -> None:
    """The status is cut to eight bits; the word that it asked to have cleared has nobody any more who could look."""
    g = guest()
    g.call(218, g.put(b"\x07\0\0\0"))
    g.call(EXIT, -2)

    assert g.kernel.exit == Exit(254)
    assert g.get(4) == b"\x07\0\0\0"  # mm_release, kernel/fork.c; tests/native/sharedfutex.c sees it natively


def test_exit_with_a_bad_clear_address() -> None:
    """A word that cannot be cleared does not keep the task from leaving."""
    g = guest()
    g.call(218, BAD)
    g.call(EXIT, 0)

    assert g.kernel.exit == Exit(0)


def test_fatal_signal_ends_the_run() -> None:
    """A default action that kills does so at once."""
    g = guest()
    g.call(KILL, 0, abi.SIGSEGV)

    assert g.kernel.exit == Killed(11)


def test_the_stack_grows_down_to_its_limit() -> None:
    """A touch below the stack extends it, but not beyond RLIMIT_STACK nor into the guard gap of a neighbour."""
    g = guest()
    space = g.kernel.space
    low, high = STACK

    assert space.grow_stack(low - 0x5123)
    assert space.areas.at(low - 0x5123) is not None
    assert g.mem.prots[(low - 0x5123) // 4096] == PROT_READ | PROT_WRITE
    assert not space.grow_stack(high - (8 << 20) - 1)
    assert g.call(MMAP, low - 0x20_0000, 4096, 3, 0x32, -1) == low - 0x20_0000
    assert not space.grow_stack(low - 0x20_0000 + 0x10_0000)  # 1 MiB above it: inside the gap
    assert space.grow_stack(low - 0x20_0000 + 0x10_1000)


def test_trace_lines() -> None:
    """What a reader sees: names for flags, text for paths, errors by name."""
    g = guest()
    g.call(257, abi.AT_FDCWD, g.put(b"/no\twhere\0"), abi.O_RDONLY | abi.O_CLOEXEC)
    g.call(MMAP, 0xC0_0000_0000, 0x400_0000, 0, 0x22, -1)
    g.call(204, 0, 8192, BUFFER)
    g.call(14, abi.SIG_SETMASK, 0, BUFFER, 8)
    g.call(28, 0xC0_0000_0000, 4096, abi.MADV_NOHUGEPAGE)
    g.call(158, abi.ARCH_SET_FS, 0x1000)
    g.call(21, g.put(b"/\0"), abi.R_OK | abi.X_OK)
    g.call(999, 7)

    assert [line(event) for event in g.kernel.events] == [
        r'openat(AT_FDCWD, "/no\twhere", O_RDONLY|O_CLOEXEC, 0) = -1 ENOENT',
        "mmap(0xc000000000, 67108864, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0xc000000000",
        r'sched_getaffinity(0, 8192, "\x03\x00\x00\x00\x00\x00\x00\x00") = 8',
        r'rt_sigprocmask(SIG_SETMASK, NULL, "\x00\x00\x00\x00\x00\x00\x00\x00", 8) = 0',
        "madvise(0xc000000000, 4096, MADV_NOHUGEPAGE) = 0",
        "arch_prctl(ARCH_SET_FS, 0x1000) = 0",
        'access("/", X_OK|R_OK) = 0',
        "syscall_999(0x7, 0x0, 0x0, 0x0, 0x0, 0x0) = -1 ENOSYS",
    ]


def test_the_kernel_loads_no_heavy_module() -> None:
    """A child process that makes a kernel and a few calls has imported the standard library and syscalls alone."""
    code = """
import sys
from tests.syscalls.bytememory import BUFFER, guest
g = guest()
g.call(257, -100, g.put(b"/proc/self/maps\\0"), 0)
g.call(0, 3, BUFFER, 4096)
loaded = {name.partition(".")[0] for name in sys.modules}
print(sorted(loaded & {"unicorn", "capstone", "lief", "drgn", "rich", "elftools", "msgspec", "emu"}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
