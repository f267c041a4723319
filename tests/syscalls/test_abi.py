"""Numbers, flags and layouts against this system's kernel headers: one C program prints what they say."""

from __future__ import annotations

import errno as host_errno
import shutil
import subprocess
from pathlib import Path

import pytest

from syscalls import abi, errno, numbers
from syscalls.events import SyscallEvent
from syscalls.table import ROWS

HEADERS = (
    "linux/types.h", "linux/errno.h", "asm/unistd_64.h", "asm-generic/fcntl.h", "linux/fcntl.h", "linux/fs.h",
    "linux/limits.h", "linux/uio.h", "linux/stat.h", "linux/mman.h", "asm/mman.h", "linux/prctl.h", "asm/prctl.h",
    "linux/time.h", "linux/signal.h", "linux/futex.h", "linux/random.h", "linux/resource.h", "asm-generic/resource.h",
    "linux/auxvec.h", "asm/auxvec.h", "asm/stat.h", "linux/sysinfo.h", "linux/utsname.h", "linux/rseq.h",
    "linux/sched.h", "linux/wait.h", "linux/binfmts.h", "linux/pidfd.h",
    "linux/openat2.h", "linux/utime.h", "linux/falloc.h", "linux/memfd.h", "asm/statfs.h",
    "linux/eventpoll.h", "linux/poll.h", "linux/timerfd.h", "asm/ioctls.h", "asm/termios.h",
)  # fmt: skip

# The kernel's own numbers, which no header gives to programs; each has its source beside it in abi.py.
PRIVATE = {"TASK_SIZE", "MMAP_MIN_ADDR", "MAX_MAP_COUNT", "MAX_RW_COUNT", "N_SIGNALS", "IOV_MAX", "SIG_DFL", "SIG_IGN",
           "R_OK", "W_OK", "X_OK", "F_OK", "O_ASYNC", "SIGSET_SIZE", "ROBUST_LIST_HEAD_SIZE", "RSEQ_SIZE", "UTIME_NOW",
           "UTIME_OMIT", "EFD_SEMAPHORE",
           "SPLICE_F_MOVE", "SPLICE_F_NONBLOCK", "SPLICE_F_MORE", "SPLICE_F_GIFT"}  # fmt: skip
# Constants that came after the oldest headers we build with (Linux 6.1).
NEW = {"MADV_GUARD_INSTALL", "MADV_GUARD_REMOVE", "AT_HWCAP3", "AT_HWCAP4", "AT_RSEQ_FEATURE_SIZE", "AT_RSEQ_ALIGN",
       "SA_EXPOSE_TAGBITS", "MAP_32BIT"}  # fmt: skip
LAYOUTS = {
    "TIMESPEC": "struct timespec",
    "TIMEVAL": "struct timeval",
    "TIMEZONE": "struct timezone",
    "UTSNAME": "struct new_utsname",
    "RLIMIT": "struct rlimit64",
    "KERNEL_SIGACTION": "struct sigaction",
    "STACK_T": "stack_t",
    "IOVEC": "struct iovec",
    "STAT": "struct stat",
    "STATX": "struct statx",
    "STATFS": "struct statfs",
    "UTIMBUF": "struct utimbuf",
    "FLOCK": "struct flock",
    "OPEN_HOW": "struct open_how",
    "SYSINFO": "struct sysinfo",
    "ROBUST_LIST_HEAD": "struct robust_list_head",
    "CLONE_ARGS": "struct clone_args",
    "EPOLL_EVENT": "struct epoll_event",
    "POLLFD": "struct pollfd",
    "WINSIZE": "struct winsize",
    "TERMIOS": "struct termios",
    "ITIMERSPEC": "struct itimerspec",
}
# Fields by their place in the layout: (layout, index of the field) -> C name.
FIELDS = {
    ("STAT", 3): "st_mode", ("STAT", 6): "st_rdev", ("STAT", 7): "st_size", ("STAT", 8): "st_blksize",
    ("STAT", 9): "st_blocks", ("STAT", 10): "st_atime", ("STAT", 12): "st_mtime", ("STAT", 14): "st_ctime",
    ("STATX", 6): "stx_mode", ("STATX", 7): "stx_ino", ("STATX", 10): "stx_attributes_mask",
    ("STATX", 11): "stx_atime", ("STATX", 13): "stx_btime", ("STATX", 15): "stx_ctime", ("STATX", 17): "stx_mtime",
    ("STATX", 19): "stx_rdev_major", ("STATX", 21): "stx_dev_major", ("STATX", 23): "stx_mnt_id",
    ("STATFS", 7): "f_fsid", ("STATFS", 9): "f_namelen", ("STATFS", 11): "f_flags",
    ("FLOCK", 2): "l_start", ("FLOCK", 4): "l_pid",
    ("KERNEL_SIGACTION", 1): "sa_flags", ("KERNEL_SIGACTION", 2): "sa_restorer", ("KERNEL_SIGACTION", 3): "sa_mask",
    ("STACK_T", 1): "ss_flags", ("STACK_T", 2): "ss_size", ("SYSINFO", 4): "totalram", ("SYSINFO", 5): "freeram",
    ("SYSINFO", 10): "procs", ("SYSINFO", 11): "totalhigh", ("SYSINFO", 13): "mem_unit",
    ("UTSNAME", 2): "release", ("RLIMIT", 1): "rlim_max",
}  # fmt: skip


def constants() -> dict[str, int]:
    """Every number that abi.py defines."""
    return {name: value for name, value in vars(abi).items() if name.isupper() and isinstance(value, int)}


def source() -> str:
    lines = [f"#include <{header}>" for header in HEADERS if header != "linux/rseq.h"]
    lines += ["int printf(const char *, ...);", "int main(void) {"]
    for name in (*constants(), *errno.NUMBERS, *(f"__NR_{name}" for name in numbers.NUMBERS)):
        lines += [f"#ifdef {name}", f'printf("{name} %lld\\n", (long long)({name}));', "#endif"]
    lines += [f'printf("sizeof {name} %zu\\n", sizeof({spelled}));' for name, spelled in LAYOUTS.items()]
    for (name, index), field in FIELDS.items():
        lines.append(f'printf("offset {name}.{index} %zu\\n", __builtin_offsetof({LAYOUTS[name]}, {field}));')
    return "\n".join([*lines, "return 0; }"])


@pytest.fixture(scope="module")
def headers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Name -> value, as the headers have it."""
    if shutil.which("gcc") is None:
        pytest.skip("no C compiler to read the system's headers with")
    folder: Path = tmp_path_factory.mktemp("abi")
    (folder / "abi.c").write_text(source())
    subprocess.run(["gcc", "-w", "-o", str(folder / "abi"), str(folder / "abi.c")], check=True)
    out = subprocess.run([str(folder / "abi")], check=True, capture_output=True, text=True).stdout
    return {name: int(value) for name, value in (line.rsplit(" ", 1) for line in out.splitlines())}


def test_flags_and_commands(headers: dict[str, int]) -> None:
    """Each constant has the value that the headers give it, and those that no header has are known by name."""
    mine = constants()
    wrong = {name: (value, headers[name]) for name, value in mine.items()
             if name in headers and headers[name] & (1 << 64) - 1 != value & (1 << 64) - 1}  # fmt: skip

    assert wrong == {}
    assert {name for name in mine if name not in headers} <= PRIVATE | NEW


def test_error_numbers(headers: dict[str, int]) -> None:
    """Every error has the header's number; the aliases too."""
    assert {name: headers[name] for name in errno.NUMBERS if name in headers} == {
        name: value for name, value in errno.NUMBERS.items() if name in headers
    }
    assert set(errno.NUMBERS) - set(headers) <= {"ENOTSUP"}  # a name of the C library's
    assert len(errno.NAMES) == 131
    assert errno.NUMBERS["ENOTSUP"] == host_errno.ENOTSUP


def test_call_numbers(headers: dict[str, int]) -> None:
    """Every call has the header's number, and every row is named as the header names its number."""
    known = {name.removeprefix("__NR_"): value for name, value in headers.items() if name.startswith("__NR_")}

    assert {name: numbers.NUMBERS[name] for name in known} == known
    assert {name for name, nr in numbers.NUMBERS.items() if nr <= 450} == {
        name for name, nr in known.items() if nr <= 450
    }
    assert all(numbers.NAMES[row.nr] == row.name for row in ROWS)
    assert len({row.nr for row in ROWS}) == len(ROWS)


def test_layouts(headers: dict[str, int]) -> None:
    """Sizes of whole structures, and the offsets of the fields that handlers fill in."""
    assert {name: getattr(abi, name).size for name in LAYOUTS} == {name: headers[f"sizeof {name}"] for name in LAYOUTS}
    for name, index in FIELDS:
        layout = getattr(abi, name)
        probe = bytearray(layout.size)
        probe[headers[f"offset {name}.{index}"]] = 1
        touched = [
            i for i, value in enumerate(layout.unpack(probe)) if (any(value) if isinstance(value, bytes) else value)
        ]
        assert touched == [index], (name, index)


def test_events_are_small() -> None:
    """An event has slots: thousands of them are kept."""
    assert not hasattr(SyscallEvent(0, "read", (), 0, None, False, 1, 0), "__dict__")
