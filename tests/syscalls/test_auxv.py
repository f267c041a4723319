"""The auxiliary vector: set and order against this machine's, and the World's changes."""

from __future__ import annotations

import platform
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from syscalls import abi, auxv, release
from syscalls.auxv import LoadFacts
from syscalls.world import Process, Uname, World, WorldError

FACTS = LoadFacts(0x400040, 7, 0x401000, random=0x7001, execfn=0x7002, platform=0x7003, vdso=0x7000_0000)


def tags(world: World) -> list[str]:
    return [auxv.NAMES[tag] for tag, _ in auxv.build(world, FACTS)]


def test_order_of_linux_6_1() -> None:
    """As create_elf_tables writes them."""
    assert tags(World()) == [
        "AT_SYSINFO_EHDR", "AT_MINSIGSTKSZ", "AT_HWCAP", "AT_PAGESZ", "AT_CLKTCK", "AT_PHDR", "AT_PHENT", "AT_PHNUM",
        "AT_BASE", "AT_FLAGS", "AT_ENTRY", "AT_UID", "AT_EUID", "AT_GID", "AT_EGID", "AT_SECURE", "AT_RANDOM",
        "AT_HWCAP2", "AT_EXECFN", "AT_PLATFORM", "AT_NULL",
    ]  # fmt: skip


def test_same_entries_as_this_machine() -> None:
    """A World with this kernel's release has the tags that this process was given, in the same order."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        pytest.skip("only an x86-64 Linux has a vector to compare with")
    native = [tag for tag, _ in struct.iter_unpack("<QQ", Path("/proc/self/auxv").read_bytes())]
    world = replace(World(), uname=Uname(release=platform.release()))
    facts = FACTS if abi.AT_SYSINFO_EHDR in native else FACTS._replace(vdso=0)

    assert [tag for tag, _ in auxv.build(world, facts)] == native


def test_values() -> None:
    """What the loader knows, who runs it, and what the CPU has; the page size exactly as the World says."""
    world = replace(World(), page_size=12288, process=Process(uid=1, euid=2, gid=3, egid=4, secure=True))
    values = dict(auxv.build(world, FACTS))

    assert values[abi.AT_PAGESZ] == 12288
    assert (values[abi.AT_UID], values[abi.AT_EUID], values[abi.AT_GID], values[abi.AT_EGID]) == (1, 2, 3, 4)
    assert (values[abi.AT_PHDR], values[abi.AT_PHENT], values[abi.AT_PHNUM]) == (0x400040, 56, 7)
    assert (values[abi.AT_ENTRY], values[abi.AT_SECURE], values[abi.AT_CLKTCK]) == (0x401000, 1, 100)
    assert values[abi.AT_HWCAP] & 1 << 26  # SSE2, bit 26 of CPUID 1 EDX
    assert values[abi.AT_HWCAP2] == 0
    assert (values[abi.AT_RANDOM], values[abi.AT_EXECFN], values[abi.AT_PLATFORM]) == (0x7001, 0x7002, 0x7003)


def test_signal_frame_size_follows_the_kernel_s_sum() -> None:
    """With an XSAVE area of 2,440 bytes the same sum is the 3,376 that Linux 6.18 showed on such a CPU."""
    assert auxv.MINSIGSTKSZ == 1440
    assert (auxv.SIGFRAME - 512 + 2440 + 4 + 15) & ~15 == 3376


@pytest.mark.parametrize(
    ("version", "present", "absent"),
    [("5.13.0", set(), {51, 27, 28}), ("5.14.0", {51}, {27, 28}), ("6.3.0", {51, 27, 28}, set())],
)
def test_entries_come_with_their_releases(version: str, present: set[int], absent: set[int]) -> None:
    """AT_MINSIGSTKSZ from 5.14, AT_RSEQ_* from 6.3."""
    found = {tag for tag, _ in auxv.build(replace(World(), uname=Uname(release=version)), FACTS)}

    assert present <= found
    assert not absent & found


def test_changes_of_the_world() -> None:
    """Replaced in place, taken out, added before the end; by name, short name or number."""
    changes = (("AT_PAGESZ", 65536), ("random", None), ("AT_HWCAP", None), ("99", 7), ("AT_PAGESZ", 16384))
    entries = auxv.build(replace(World(), auxv=changes), FACTS)

    assert [tag for tag, _ in entries].index(abi.AT_PAGESZ) == 2
    assert dict(entries)[abi.AT_PAGESZ] == 16384
    assert not {abi.AT_RANDOM, abi.AT_HWCAP} & {tag for tag, _ in entries}
    assert entries[-2:] == ((99, 7), (abi.AT_NULL, 0))


@pytest.mark.parametrize("name", ["AT_NOTHING", "AT_NULL", ""])
def test_impossible_changes_are_refused(name: str) -> None:
    """An unknown name, and the end of the vector itself."""
    with pytest.raises(WorldError):
        auxv.build(replace(World(), auxv=((name, 1),)), FACTS)


def test_no_vdso_no_entry() -> None:
    """A World without a vDSO gives no AT_SYSINFO_EHDR."""
    assert abi.AT_SYSINFO_EHDR not in dict(auxv.build(World(), FACTS._replace(vdso=0)))


def test_packed_as_on_the_stack() -> None:
    """Sixteen bytes an entry."""
    entries = auxv.build(World(), FACTS)

    assert list(struct.iter_unpack("<QQ", auxv.pack(entries))) == list(entries)


@pytest.mark.parametrize(
    ("text", "version"), [("4.19.76-linuxkit", (4, 19)), ("6.1.0", (6, 1)), ("10.2", (10, 2)), ("odd", (6, 1))]
)
def test_releases(text: str, version: tuple[int, int]) -> None:
    """Major and minor; a text that starts with no number counts as the default."""
    assert release.parse(text) == version
