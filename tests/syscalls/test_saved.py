"""Saving and restoring the kernel: everything that a call can change comes back."""

from __future__ import annotations

import json
import struct
from dataclasses import replace

from syscalls import abi
from syscalls.files.pipes import PipeEnd
from syscalls.files.pollable import Source
from syscalls.saved import restore, save
from syscalls.sending import send_process
from syscalls.statefile import from_json, to_json
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


def test_a_call_that_waits_has_its_file_in_a_saved_state() -> None:
    """Also when the descriptor names another file by then; as a value, and as JSON that another kernel reads."""
    g = guest()
    assert g.call(22, BUFFER) == 0
    assert g.kernel.call(g.task, 0, (3, BUFFER + 64, 8, 0, 0, 0)) is None
    files = g.kernel.files
    held = files.get(3)
    files.put(3, files.get(1))
    assert held.refs == 1
    state = save(g.kernel)
    text = json.dumps(to_json(state))

    def go_on(each: Guest) -> bytes:
        task, k = each.kernel.main, each.kernel
        writer = k.files.get(4)
        assert isinstance(writer, PipeEnd)
        assert writer.give(k, task, Source(k, [(each.put(b"piped"), 5)])) == 5
        assert k.next_task(None) is task
        assert k.resume(task) == 5
        assert writer.pipe.readers == 0
        if each is g:  # the other kernel has a file of its own
            assert held.refs == 0
        return each.get(5, 64)

    assert go_on(g) == b"piped"
    restore(g.kernel, state)
    assert held.refs == 1
    assert go_on(g) == b"piped"
    other = guest()
    restore(other.kernel, from_json(json.loads(text), other.kernel))
    assert go_on(other) == b"piped"


def test_the_end_of_a_task_lets_go_of_what_its_call_held() -> None:
    """A pipe whose reader was killed in its read has no reader."""
    g = guest()
    assert g.call(22, BUFFER) == 0
    assert g.kernel.call(g.task, 0, (3, BUFFER + 64, 8, 0, 0, 0)) is None
    held = g.kernel.files.get(3)
    g.kernel.files.drop(3)
    assert held.refs == 1
    g.kernel.forget(g.task)
    assert held.refs == 0


def test_a_signal_that_is_read_is_in_a_saved_state() -> None:
    """Also in another kernel, which has to know that somebody reads signals."""
    g = guest()
    mask = g.put(struct.pack("<Q", 1 << abi.SIGUSR1 - 1))
    assert g.call(14, abi.SIG_BLOCK, mask, 0, 8) == 0
    assert g.call(289, -1, mask, 8, 0) == 3
    state = save(g.kernel)
    other = guest()
    restore(other.kernel, from_json(json.loads(json.dumps(to_json(state))), other.kernel))
    k, task = other.kernel, other.kernel.main
    assert k.call(task, 0, (3, BUFFER, 128, 0, 0, 0)) is None

    send_process(k, k.process, abi.SIGUSR1)

    assert k.next_task(None) is task
    assert k.resume(task) == 128
    assert other.get(4) == struct.pack("<i", abi.SIGUSR1)
