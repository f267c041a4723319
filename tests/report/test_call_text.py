"""System calls as text, in the way strace(1) shows them."""

from __future__ import annotations

from typing import Any

import pytest

from emu.boot.record import Syscall
from emu.report import calls
from emu.report.origins import explained


def call(name: str, arguments: list[Any], result: int = 0, errno: str | None = None) -> Syscall:
    return Syscall(name, arguments, result, errno, None, False, 0)


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (call("arch_prctl", [0x1002, "0x571288"]), "arch_prctl(ARCH_SET_FS, 0x571288) = 0"),
        (call("openat", [-100, "/x", 0x80000, 0], 3), 'openat(AT_FDCWD, "/x", O_RDONLY|O_CLOEXEC) = 3'),
        (call("openat", [-100, "/x", 0, 0], -2, "ENOENT"), 'openat(AT_FDCWD, "/x", O_RDONLY) = -1 ENOENT'),
        (call("open", ["/x", 0o101, 0o644], -30, "EROFS"), 'open("/x", O_WRONLY|O_CREAT, 420) = -1 EROFS'),
        (call("openat", [-100, "0x10", 0, 0], -14, "EFAULT"), "openat(AT_FDCWD, 0x10, O_RDONLY) = -1 EFAULT"),
        (
            call("mmap", ["0x0", 262144, 3, 0x22, -1, 0], 0x7FFFF7FBC000),
            "mmap(0x0, 262144, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7ffff7fbc000",
        ),
        (
            call("mmap", ["0x0", 131072, 0, 0x22, -1, 0], -12, "ENOMEM"),
            "mmap(0x0, 131072, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = -1 ENOMEM",
        ),
        (call("madvise", ["0x1000", 4096, 15]), "madvise(0x1000, 4096, MADV_NOHUGEPAGE) = 0"),
        (call("fcntl", [0, 1, 0]), "fcntl(0, F_GETFD, 0) = 0"),
        (
            call("read", [3, {"addr": "0x1", "size": 8, "text": "2097152\n"}, 20], 8),
            'read(3, "2097152\\n", 20) = 8',
        ),
        (
            call("rt_sigprocmask", [2, "0x0", {"addr": "0x1", "size": 8, "hex": "0040010000000000"}, 8]),
            "rt_sigprocmask(SIG_SETMASK, NULL, [TERM CHLD], 8) = 0",
        ),
        (
            call(
                "sched_getaffinity",
                [0, 8192, {"addr": "0x1", "size": 16, "hex": "0d00000000000000" + "0100000000000000"}],
                16,
            ),
            "sched_getaffinity(0, 8192, [CPUs 0,2-3,64]) = 16",
        ),
        (
            call("syscall_999", [1, 2, 3, 4, 5, 6], -38, "ENOSYS"),
            "syscall_999(0x1, 0x2, 0x3, 0x4, 0x5, 0x6) = -1 ENOSYS",
        ),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_calls(made: Syscall, text: str) -> None:
    """Flags and commands by name, buffers by content, addresses in hexadecimal, errors by name."""
    assert calls.text(made) == text


def test_what_an_affinity_mask_means() -> None:
    """The bits that the runtime counts; and what it does when there is no mask."""
    mask = {"addr": "0x1", "size": 8, "hex": "0500000000000000"}

    assert explained(call("sched_getaffinity", [0, 8192, mask], 8)).endswith("= 8 bytes, mask 0x5: 2 bits set")
    wide = {"addr": "0x1", "size": 128, "hex": "ff" * 125 + "000000"}
    assert explained(call("sched_getaffinity", [0, 8192, wide], 128)).endswith("= 128 bytes, a mask: 1,000 bits set")
    cut = {"addr": "0x1", "size": 256, "hex": "ff" * 128}
    assert explained(call("sched_getaffinity", [0, 8192, cut], 256)).endswith(
        "[CPUs 0-1023 and perhaps more]) = 256 bytes"
    )
    letters = {"addr": "0x1", "size": 8, "text": "AAAAAAAA"}
    assert explained(call("sched_getaffinity", [0, 8192, letters], 8)).endswith("mask 0x4141414141414141: 16 bits set")
    failed = explained(call("sched_getaffinity", [0, 8192, "0x1"], -1, "EPERM"))
    assert failed == "sched_getaffinity(0, 8192, 0x1) = -1 EPERM: the runtime then takes 1"


def test_descriptors_lead_to_paths() -> None:
    """A path belongs to its descriptor from open to close."""
    made = [
        call("openat", [-100, "/a", 0, 0], 3),
        call("read", [3, "0x1", 20], 0),
        call("close", [3]),
        call("read", [3, "0x1", 20], -9, "EBADF"),
        call("openat", [-100, "/b", 0, 0], -2, "ENOENT"),
        call("getpid", [], 1000),
    ]

    assert calls.paths(made) == ["/a", "/a", "/a", None, "/b", None]


def test_a_time_is_shown_as_one() -> None:
    """Seconds and nanoseconds of a struct timespec, not 16 bytes."""
    asked = {"addr": "0x1", "size": 16, "hex": "01000000000000004038000000000000"}

    assert calls.text(call("nanosleep", [asked, "0x0"], 0)) == "nanosleep({tv_sec=1, tv_nsec=14400}, NULL) = 0"
