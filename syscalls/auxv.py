"""The auxiliary vector: every entry that Linux gives a program on x86-64, in Linux's order, then the World's changes.

Order and set: create_elf_tables (fs/binfmt_elf.c) and ARCH_DLINFO (arch/x86/include/asm/elf.h), compared with
``LD_SHOW_AUXV=1 /bin/true`` on Linux 6.18.  AT_MINSIGSTKSZ came with 5.14, AT_RSEQ_* with 6.3.
"""

from __future__ import annotations

from struct import Struct

from syscalls import abi, cpuid, release
from syscalls.light import NamedTuple
from syscalls.world import World, WorldError

ENTRY = Struct("<QQ")
CLOCK_TICKS = 100  # AT_CLKTCK: USER_HZ
HWCAP2_RING3MWAIT, HWCAP2_FSGSBASE = 1, 2
PHDR_SIZE = 56
# AT_RSEQ_FEATURE_SIZE: struct rseq up to mm_cid; AT_RSEQ_ALIGN: its alignment.
RSEQ_FEATURE_SIZE, RSEQ_ALIGN = 28, 32

# What a signal frame takes without XSAVE (arch/x86/kernel/signal.c, init_sigframe_size): struct sigframe_ia32 as the
# largest frame, padding to 16 bytes, the 512 bytes of FXSAVE, struct fregs_state for 32-bit programs, padding to 64.
# The same sum with an XSAVE area of 2,440 bytes (and its 4-byte marker) gives the 3,376 seen on Linux 6.18.
SIGFRAME = 732 + 15 + 512 + 112 + 63
MINSIGSTKSZ = (SIGFRAME + 15) & ~15

NUMBERS: dict[str, int] = {name: value for value, name in abi.names("AT_").items() if 0 <= value < 64}
"""``"AT_PAGESZ"`` -> 6: the names that a World's ``auxv`` may use."""
NAMES: dict[int, str] = {value: name for name, value in NUMBERS.items()}


class LoadFacts(NamedTuple):
    """What the loader knows.  Run-time addresses."""

    phdr: int  # the program headers
    phnum: int
    entry: int
    random: int  # the 16 bytes of AT_RANDOM
    execfn: int  # the program's path, a string
    platform: int  # the string "x86_64"
    base: int = 0  # the interpreter; 0: none
    vdso: int = 0  # 0: none


def linux(world: World, facts: LoadFacts) -> list[tuple[int, int]]:
    """Return what Linux itself would give, AT_NULL included."""
    version = release.parse(world.uname.release)
    process = world.process
    entries = [(abi.AT_SYSINFO_EHDR, facts.vdso)] if facts.vdso else []
    if version >= (5, 14):
        entries.append((abi.AT_MINSIGSTKSZ, MINSIGSTKSZ))
    entries += [
        (abi.AT_HWCAP, cpuid.cpuid(world, 1, 0)[3]),
        (abi.AT_PAGESZ, world.page_size),
        (abi.AT_CLKTCK, CLOCK_TICKS),
        (abi.AT_PHDR, facts.phdr),
        (abi.AT_PHENT, PHDR_SIZE),
        (abi.AT_PHNUM, facts.phnum),
        (abi.AT_BASE, facts.base),
        (abi.AT_FLAGS, 0),
        (abi.AT_ENTRY, facts.entry),
        (abi.AT_UID, process.uid),
        (abi.AT_EUID, process.euid),
        (abi.AT_GID, process.gid),
        (abi.AT_EGID, process.egid),
        (abi.AT_SECURE, int(process.secure)),
        (abi.AT_RANDOM, facts.random),
        (abi.AT_HWCAP2, HWCAP2_FSGSBASE if "fsgsbase" in world.cpuid.features else 0),
        (abi.AT_EXECFN, facts.execfn),
        (abi.AT_PLATFORM, facts.platform),
    ]
    if version >= (6, 3):
        entries += [(abi.AT_RSEQ_FEATURE_SIZE, RSEQ_FEATURE_SIZE), (abi.AT_RSEQ_ALIGN, RSEQ_ALIGN)]
    return [*entries, (abi.AT_NULL, 0)]


def number(name: str) -> int:
    """Return the tag that *name* (``"AT_RANDOM"``, ``"random"``, ``"25"``) spells; raise WorldError."""
    spelled = name.upper()
    for candidate in (spelled, f"AT_{spelled}"):
        if candidate in NUMBERS:
            return NUMBERS[candidate]
    if name.isdecimal():
        return int(name)
    raise WorldError(f"auxv.{name}", "no such entry", f"a number, or one of {', '.join(NUMBERS)}")


def build(world: World, facts: LoadFacts) -> tuple[tuple[int, int], ...]:
    """Return the vector of *world*: (tag, value) pairs with AT_NULL last.

    A change replaces the first entry of its tag where that stands, or adds one before AT_NULL; None takes all of
    them out.  A change of AT_NULL itself is refused with WorldError: it would hide the end.
    """
    entries = linux(world, facts)
    for name, value in world.auxv:
        tag = number(name)
        if tag == abi.AT_NULL:
            raise WorldError(f"auxv.{name}", "the end of the vector cannot be changed")
        tags = [entry[0] for entry in entries]
        if value is None:
            entries = [entry for entry in entries if entry[0] != tag]
        elif tag in tags:
            entries[tags.index(tag)] = (tag, value)
        else:
            entries.insert(-1, (tag, value))
    return tuple(entries)


def pack(entries: tuple[tuple[int, int], ...]) -> bytes:
    """Return the vector as it lies on the stack, and as /proc/self/auxv shows it."""
    return b"".join(ENTRY.pack(tag, value) for tag, value in entries)
