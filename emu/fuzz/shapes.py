"""The shapes of what the kernel hands over in bytes: how to make one that Linux could, and how to tell.

Each shape makes legal bytes from a random generator and from numbers that the program is known to compare with
(*hints*), and judges any bytes.  Sources: the man page or kernel document that each shape names.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from functools import lru_cache
from random import Random
from typing import NamedTuple

from syscalls.abi import AT_NULL

Hints = Sequence[int]
"""In order."""
U64 = (1 << 64) - 1
MIN_WORD = 3  # characters
CHECKED = 256  # contents of which it is remembered whether they are legal
HINTED, KEENLY = 0.4, 0.8  # how often a value is a hint, if one fits


def word_of(hint: int) -> bytes:
    """The text that *hint* is when it is compared as one integer; empty if it is none."""
    data = hint.to_bytes(8, "little").rstrip(b"\0") if hint >= 0 else b""
    return data if len(data) >= MIN_WORD and data.isascii() and data.decode("ascii").isprintable() else b""


def text_of(hint: int) -> bytes:
    """Like :func:`word_of`, of any length: a character is compared as a number, too."""
    data = hint.to_bytes(8, "little").rstrip(b"\0") if hint > 0 else b""
    return data if data.isascii() and data.decode("ascii").isprintable() else b""


class Own(tuple[int, ...]):
    """Hints that are taken more often than others."""

    __slots__ = ()


def _hinted(rng: Random, hints: Hints) -> bool:
    return rng.random() < (KEENLY if isinstance(hints, Own) else HINTED)


class Shape(NamedTuple):
    """One shape: *make* yields legal bytes, *legal* says whether a Linux kernel may hand those over."""

    name: str
    make: Callable[[Random, Hints], bytes]
    legal: Callable[[bytes], bool]


def number(rng: Random, low: int, high: int, hints: Hints) -> int:
    """An integer of [*low*, *high*]: a hint, an end of the range, near a power of two, or any."""
    if _hinted(rng, hints):
        first, last = bisect_left(hints, low), bisect_right(hints, high)
        if first < last:
            return hints[rng.randrange(first, last)]
    choice = rng.randrange(3)
    if choice == 0:
        return rng.choice((low, high, min(low + 1, high), max(high - 1, low)))
    if choice == 1:
        near = (1 << rng.randrange(max(high.bit_length(), 1))) + rng.randint(-1, 1)
        return min(max(near, low), high)
    return rng.randint(low, high)


# CPU masks: sched_getaffinity(2).  The kernel copies nr_cpu_ids rounded up to whole words, of at most 8192 CPUs.
MAX_MASK = 1024
SOME, MANY_SHARE = 64, 0.1  # CPUs, and how often there are more


def _mask(rng: Random, hints: Hints) -> bytes:
    size = 8 * rng.choice((1, 1, 1, 2, 3, 4, 8, 16, rng.randint(1, 128), 128))
    bits = size * 8
    style = rng.randrange(4)
    if style == 0:
        value = 1 << rng.randrange(bits)
    elif style == 1:
        # Seldom many: a P is made for each, which takes 6,000 instructions.
        value = (1 << number(rng, 1, bits if rng.random() < MANY_SHARE else min(bits, SOME), hints)) - 1
    elif style == 2:
        value = sum(1 << bit for bit in {rng.randrange(bits) for _ in range(rng.randint(1, 8))})
    else:
        value = rng.getrandbits(bits if rng.random() < MANY_SHARE else SOME) or 1
    return value.to_bytes(size, "little")


def _is_mask(data: bytes) -> bool:
    return 8 <= len(data) <= MAX_MASK and len(data) % 8 == 0 and any(data)


# hpage_pmd_size: Documentation/admin-guide/mm/transhuge.rst.  x86-64 has 2 MiB only; the same code of Go reads it on
# machines with other sizes, 1 MiB (s390) to 512 MiB (arm64 with pages of 64 KiB).
MIN_HUGE_PAGE, MAX_HUGE_PAGE = 1 << 20, 1 << 29
HUGE_PAGES = frozenset(1 << shift for shift in range(20, 30))


def _huge_page(rng: Random, hints: Hints) -> bytes:
    known = hints[bisect_left(hints, MIN_HUGE_PAGE) : bisect_right(hints, MAX_HUGE_PAGE)]
    fitting = [hint for hint in known if hint in HUGE_PAGES]
    return b"%d\n" % (rng.choice(fitting) if fitting and _hinted(rng, hints) else 1 << rng.randint(20, 29))


def _is_huge_page(data: bytes) -> bool:
    return re.fullmatch(rb"[1-9][0-9]*\n", data) is not None and int(data) in HUGE_PAGES


# cpu.max: Documentation/admin-guide/cgroup-v2.rst; the limits of tg_set_cfs_bandwidth (kernel/sched/core.c).
MIN_QUOTA, MAX_QUOTA, MAX_PERIOD = 1_000, (1 << 44) // 1000, 1_000_000


def _cpu_max(rng: Random, hints: Hints) -> bytes:
    period = 100_000 if rng.random() < 0.5 else number(rng, MIN_QUOTA, MAX_PERIOD, hints)
    if rng.random() < 0.2:
        return b"max %d\n" % period
    if rng.random() < 0.5:  # so many CPUs, and a little
        return b"%d %d\n" % (max(period * number(rng, 1, 256, hints) // rng.choice((1, 2, 3)), MIN_QUOTA), period)
    return b"%d %d\n" % (number(rng, MIN_QUOTA, MAX_QUOTA, hints), period)


def _is_cpu_max(data: bytes) -> bool:
    found = re.fullmatch(rb"(max|[1-9][0-9]{3,14}) ([1-9][0-9]{3,6})\n", data)
    if not found or not MIN_QUOTA <= int(found[2]) <= MAX_PERIOD:
        return False
    return found[1] == b"max" or MIN_QUOTA <= int(found[1]) <= MAX_QUOTA


def _period(rng: Random, hints: Hints) -> bytes:
    return b"%d\n" % number(rng, MIN_QUOTA, MAX_PERIOD, hints)


def _is_period(data: bytes) -> bool:
    return re.fullmatch(rb"[1-9][0-9]{3,6}\n", data) is not None and MIN_QUOTA <= int(data) <= MAX_PERIOD


def _quota(rng: Random, hints: Hints) -> bytes:
    return b"-1\n" if rng.random() < 0.2 else b"%d\n" % number(rng, MIN_QUOTA, MAX_QUOTA, hints)


def _is_quota(data: bytes) -> bool:
    if data == b"-1\n":
        return True
    return re.fullmatch(rb"[1-9][0-9]{3,14}\n", data) is not None and MIN_QUOTA <= int(data) <= MAX_QUOTA


# /proc/self/cgroup: cgroups(7).  Names of groups hold anything but a slash and a newline.
CONTROLLERS = (b"cpu,cpuacct", b"cpu", b"cpuset", b"memory", b"pids", b"name=systemd", b"net_cls,net_prio", b"misc")


def _path(rng: Random, most: int = 4) -> bytes:
    words = (b"a", b"user.slice", b"kubepods", b"x" * rng.choice((1, 7, 64, 255)), b"a b", b"0::", b"..", b"cpu", b"\\")
    return b"/" + b"/".join(rng.choice(words) for _ in range(rng.randrange(most)))


def _cgroup(rng: Random, _: Hints) -> bytes:
    lines = [b"%d:%s:%s\n" % (n, name, _path(rng)) for n, name in enumerate(rng.sample(CONTROLLERS, 4), 1)]
    if rng.random() < 0.6:
        lines = lines[: rng.randrange(4)]
    if rng.random() < 0.8:
        lines.append(b"0::%s%s\n" % (_path(rng), rng.choice((b"", b"", b"", b" (deleted)"))))
    return b"".join(lines)


CGROUP_LINE = re.compile(rb"(0:|[1-9][0-9]{0,2}:[a-z_,=.A-Z0-9]+):/[^\n\0]*\n")


def _all_lines(data: bytes, line: re.Pattern[bytes]) -> bool:
    # A line at a time: one pattern for all of them goes back and forth too long.
    return all(line.fullmatch(one + b"\n") for one in data[:-1].split(b"\n")) if data.endswith(b"\n") else not data


@lru_cache(maxsize=CHECKED)
def _is_cgroup(data: bytes) -> bool:
    return _all_lines(data, CGROUP_LINE)


# /proc/self/mountinfo: proc_pid_mountinfo(5); blanks, newlines and backslashes stand in octal.
FILE_SYSTEMS = (b"cgroup2", b"cgroup", b"ext4", b"proc", b"tmpfs", b"overlay", b"fuse.x")
CGROUP_OPTIONS = (b"rw", b"rw,cpu,cpuacct", b"rw,cpu", b"rw,nsdelegate", b"rw,memory", b"rw,xattr,name=systemd")


def _escaped(path: bytes) -> bytes:
    return path.replace(b"\\", b"\\134").replace(b" ", b"\\040")


def _mount_line(rng: Random, n: int) -> bytes:
    root = b"/" if rng.random() < 0.6 else _escaped(_path(rng))
    point = rng.choice(
        (b"/sys/fs/cgroup", b"/sys/fs/cgroup/cpu", b"/sys/fs/cgroup/cpu,cpuacct", _escaped(_path(rng, 12)))
    )
    optional = rng.choice((b"", b"", b"shared:%d " % n, b"shared:1 master:2 ", b"propagate_from:2 unbindable "))
    fields = (n, rng.randint(1, n), root, point, optional, rng.choice(FILE_SYSTEMS), rng.choice(CGROUP_OPTIONS))
    return b"%d %d 0:22 %s %s rw,relatime %s- %s none %s\n" % fields


def _mountinfo(rng: Random, _: Hints) -> bytes:
    return b"".join(_mount_line(rng, n) for n in range(20, 20 + rng.randint(1, rng.choice((2, 6, 40)))))


MOUNT_LINE = re.compile(
    rb"\d+ \d+ \d+:\d+ /[^\s\0]* /[^\s\0]* [^\s\0]+ (?:[a-z_]+(?::\d+)? )*- [^\s\0]+ [^\s\0]+ [^\s\0]+\n"
)


@lru_cache(maxsize=CHECKED)
def _is_mountinfo(data: bytes) -> bool:
    return _all_lines(data, MOUNT_LINE)


# /proc/self/auxv: getauxval(3), pairs up to AT_NULL.  Only what the World does not fix already.
def _auxv(rng: Random, _: Hints) -> bytes:
    pairs = [(6, 4096), (16, 0x178BFBFF), (23, 0), (17, 100), (51, 3632)]
    chosen = rng.sample(pairs, rng.randint(1, len(pairs)))
    return b"".join(struct.pack("<QQ", tag, value) for tag, value in (*chosen, (AT_NULL, 0)))


def _is_auxv(data: bytes) -> bool:
    words = list(struct.iter_unpack("<QQ", data)) if len(data) % 16 == 0 else []
    return bool(words) and words[-1] == (AT_NULL, 0) and all(v == 4096 for tag, v in words if tag == 6)


# struct utsname: uname(2), six fields of 65 bytes with a null at the end of each.
def _utsname(rng: Random, _: Hints) -> bytes:
    release = rng.choice((
        b"6.1.0-13-amd64", b"5.3.0", b"5.4.2", b"5.4", b"5.2.16-generic", b"4.19.0", b"3.10.0-1160.el7.x86_64",
        b"%d.%d.%d" % (rng.randrange(8), rng.randrange(25), rng.randrange(260)), b"5.4.0+", b"10.0.1", b"6.1.0-rc7",
        b"5.3.%d-%s" % (rng.randrange(20), b"x" * rng.choice((1, 30, 55))),
    ))  # fmt: skip
    return b"".join(part[:64].ljust(65, b"\0") for part in (b"Linux", b"host", release, b"#1 SMP", b"x86_64", b""))


def _is_utsname(data: bytes) -> bool:
    if len(data) != 390 or any(data[at] for at in range(64, 390, 65)):
        return False
    release = data[130:195].split(b"\0")[0]
    return data[:6] == b"Linux\0" and re.match(rb"\d{1,3}\.\d{1,3}", release) is not None


# struct timespec: clock_gettime(2).
def _timespec(rng: Random, hints: Hints) -> bytes:
    return struct.pack("<qq", number(rng, 0, 1 << 33, hints), number(rng, 0, 999_999_999, hints))


def _is_timespec(data: bytes) -> bool:
    if len(data) != 16:
        return False
    seconds, ns = int.from_bytes(data[:8], "little"), int.from_bytes(data[8:], "little")
    return seconds <= 1 << 33 and ns < 1_000_000_000


# A signal mask: rt_sigprocmask(2).  SIGKILL and SIGSTOP cannot be blocked.
UNBLOCKABLE = 1 << 8 | 1 << 18


def _sigset(rng: Random, _: Hints) -> bytes:
    mask = rng.choice((0, U64, 1 << rng.randrange(64), rng.getrandbits(64)))
    return struct.pack("<Q", mask & ~UNBLOCKABLE)


def _is_sigset(data: bytes) -> bool:
    return len(data) == 8 and not int.from_bytes(data, "little") & UNBLOCKABLE


# The action that was there: rt_sigaction(2).  What a program inherits is SIG_DFL or SIG_IGN.
def _sigaction(rng: Random, _: Hints) -> bytes:
    return struct.pack("<4Q", rng.randrange(2), 0, 0, 0)


def _is_sigaction(data: bytes) -> bool:
    return len(data) == 32 and data[0] <= 1 and not any(data[1:])


# The alternate stack: sigaltstack(2).  None is inherited through execve.
NO_STACK = struct.pack("<QiiQ", 0, 2, 0, 0)


# A limit: getrlimit(2).
def _rlimit(rng: Random, hints: Hints) -> bytes:
    soft, hard = sorted((number(rng, 0, 1 << 30, hints), rng.choice((number(rng, 0, 1 << 30, hints), U64))))
    return struct.pack("<QQ", soft, hard)


def _is_rlimit(data: bytes) -> bool:
    return len(data) == 16 and data[:8][::-1] <= data[8:][::-1]


def _bytes(rng: Random, _: Hints) -> bytes:
    return rng.randbytes(rng.choice((1, 8, 15, 16, 32, 64)))


def edited(rng: Random, hints: Hints, content: bytes) -> bytes:
    """*content*, of a file that a person wrote, changed at one place: by a word or a byte that the program compares
    with, by a byte of any kind, or by what is left out.
    """
    words = [word for word in map(word_of, hints) if word]
    letters = [hint for hint in hints if 0 < hint < 256]
    at = rng.choice((0, 0, len(content), rng.randint(0, len(content))))
    choice = rng.random()
    if words and choice < 0.4:
        piece = rng.choice(words)
    elif letters and choice < 0.7:
        piece = bytes((rng.choice(letters),))
    elif choice < 0.9:
        piece = rng.choice((b"\n", b" ", b"=", b"0", b"1", rng.randbytes(1)))
    else:
        return content[:at]
    return content[:at] + piece + content[at + len(piece) * rng.randrange(2) :]


def _contents(rng: Random, hints: Hints) -> bytes:
    content = b""
    for _ in range(rng.randrange(4)):
        content = edited(rng, hints, content)
    return content


MASK = Shape("CPU mask", _mask, _is_mask)
HUGE_PAGE = Shape("size of a huge page", _huge_page, _is_huge_page)
CPU_MAX = Shape("cpu.max", _cpu_max, _is_cpu_max)
PERIOD = Shape("period", _period, _is_period)
QUOTA = Shape("quota", _quota, _is_quota)
CGROUP = Shape("groups", _cgroup, _is_cgroup)
MOUNTINFO = Shape("mounts", _mountinfo, _is_mountinfo)
AUXV = Shape("auxiliary vector", _auxv, _is_auxv)
UTSNAME = Shape("utsname", _utsname, _is_utsname)
TIMESPEC = Shape("timespec", _timespec, _is_timespec)
SIGSET = Shape("signal mask", _sigset, _is_sigset)
SIGACTION = Shape("action", _sigaction, _is_sigaction)
ALTSTACK = Shape("alternate stack", lambda _rng, _hints: NO_STACK, lambda data: data == NO_STACK)
RLIMIT = Shape("limit", _rlimit, _is_rlimit)
ENTROPY = Shape("random bytes", _bytes, lambda data: len(data) > 0)
ANYTHING = Shape("contents", _contents, lambda _: True)
