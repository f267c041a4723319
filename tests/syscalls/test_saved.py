"""Saving and restoring the kernel: everything that a call can change comes back."""

from __future__ import annotations

import struct
from dataclasses import replace

from syscalls import abi
from syscalls.saved import restore, save
from syscalls.world import Response, World
from tests.syscalls.bytememory import BRK, BUFFER, Guest, guest

PMD = b"/sys/kernel/mm/transparent_hugepage/hpage_pmd_size\0"


def stir(g: Guest) -> None:
    """Make calls that change every part of the kernel's state."""
    g.call(257, abi.AT_FDCWD, g.put(PMD, 1024), abi.O_CLOEXEC)
    g.call(0, 3, BUFFER, 3)
    g.call(9, 0, 0x5000, 3, 0x22, -1)
    g.call(12, BRK + 5000)
    g.call(13, 10, g.put(struct.pack("<4Q", 0x401000, 0, 0, 0), 3000), 0, 8)
    g.call(14, abi.SIG_SETMASK, g.put(struct.pack("<Q", 0xFF0), 3000), 0, 8)
    g.call(158, abi.ARCH_SET_FS, 0x5000)
    g.call(35, g.put(struct.pack("<qq", 1, 0), 3000), 0)
    g.call(318, BUFFER, 100, 0)
    g.call(160, abi.RLIMIT_NOFILE, g.put(struct.pack("<QQ", 9, 9), 3000))
    g.call(80, g.put(b"/tmp\0", 1024))
    g.call(95, 0o77)
    g.call(157, abi.PR_SET_NAME, g.put(b"other\0"))
    g.call(157, abi.PR_SET_DUMPABLE, 0)
    g.call(157, abi.PR_SET_THP_DISABLE, 1)
    g.call(999)
    g.call(1, 1, BUFFER, 10)
    g.call(3, 2)
    g.call(39)


def seen(g: Guest) -> tuple[object, ...]:
    """Everything of the kernel that can be looked at."""
    k = g.kernel
    files = {fd: (k.files.get(fd).position, k.files.closes_on_exec(fd)) for fd in k.files.fds()}
    return (
        k.space.maps(), k.space.brk, k.space.total(), k.space.peak, k.rlimits[:], files, k.main.copy(), dict(k.actions),
        k.clock.monotonic_ns(), k.entropy.position, k.responses.counts(), k.cwd, k.umask, k.process.dumpable,
        k.process.thp_disabled,
        list(k.events), list(k.unknown), list(k.output), list(k.tasks), k.exit,
    )  # fmt: skip


def test_a_restored_kernel_is_the_saved_one() -> None:
    """Also after the run ended, and as often as one likes; a second run from it is the first one again."""
    g = guest(replace(World(), responses=(Response("getpid", when="2+", result=1),)))
    g.call(1, 1, g.put(b"before"), 6)
    state, before = save(g.kernel), seen(g)
    stir(g)
    after = seen(g)
    assert all(left != right for left, right in zip(before[:-2], after[:-2], strict=True))
    g.call(60, 3)
    assert g.kernel.tasks == {}

    restore(g.kernel, state)
    assert seen(g) == before
    assert g.kernel.tasks[1000] is g.task
    stir(g)
    assert seen(g) == after
    restore(g.kernel, state)
    assert seen(g) == before
