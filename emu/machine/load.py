"""Loading a program: its segments, stack, vDSO and the pages that only the CPU needs.

What Linux's ``load_elf_binary`` (fs/binfmt_elf.c) does for a program without an interpreter: whole file pages are
mapped, so the first and last page of a segment show the file's bytes around it; what lies behind a writable
segment's file part is zero.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial

from emu.image.executable import Loadable
from emu.image.starter import Starter
from emu.machine import stack
from emu.machine.base import Base, round_up
from emu.machine.entries import VSYSCALL
from emu.machine.paging import PageTables
from syscalls import auxv as auxiliary
from syscalls import vdso as vdso_image
from syscalls.guest import PAGE, PROT_EXEC, PROT_READ, PROT_WRITE
from syscalls.light import dataclass
from syscalls.program import Program
from syscalls.random import at_random
from syscalls.world import World

# The page that the CPU is started from: code for one IRETQ to ring 3, and the descriptor table it needs.
SUPERVISOR_PAGE = 0xFFFF_8000_0000_0000
USER_CS, USER_SS, USER_FLAGS = 0x33, 0x2B, 0x202  # as Linux's user tasks have them
# What execve leaves in a new program's floating-point unit: all exceptions masked (arch/x86/kernel/fpu/core.c).
FRESH_FLOATING_POINT = (("mxcsr", 0x1F80), ("fpcw", 0x37F), ("fptag", 0xFFFF))
IRETQ = b"\x48\xcf"
DESCRIPTORS = struct.pack("<7Q", 0, 0, 0, 0, 0, 0x00CF_F300_0000_FFFF, 0x00AF_FB00_0000_FFFF)
GDT_AT = 16


@dataclass(frozen=True, slots=True)
class Loaded:
    """Where things are, once loaded."""

    program: Program
    entry: int
    sp: int
    bias: int  # added to every link-time address


def load_bias(image: Loadable, world: World) -> int:
    """What is added to every link-time address of *image*."""
    return 0 if image.kind == "exec" else world.memory.load_bias


def load(image: Loadable, world: World, pages: PageTables, base: Base) -> Loaded:
    """Fill *pages* with the program, its stack and its vDSO; return what the kernel and the CPU must know."""
    bias = load_bias(image, world)
    segments = _load_segments(base, pages, bias)
    end = max(addr + size for addr, size, _, _ in segments)
    vdso = load_vdso(world, pages, partial(base.map_code, pages))
    argv = world.argv or (image.name,)
    exe = world.exe or f"/bin/{image.name}"
    top = world.memory.stack_top
    phdr, _, phnum = image.program_headers

    def make_auxv(at: stack.StackAddresses) -> stack.Auxv:
        facts = auxiliary.LoadFacts(
            phdr=phdr + bias,
            phnum=phnum,
            entry=image.entry + bias,
            random=at.random,
            execfn=at.execfn,
            platform=at.platform,
            vdso=vdso[0] if vdso else 0,
        )
        return auxiliary.build(world, facts)

    stack.check_size(argv, world.env, world.memory.stack_size)
    made = stack.build(top, argv=argv, env=world.env, execfn=exe, random=at_random(world), make_auxv=make_auxv)
    low = load_stack(world, pages, made, top)
    if world.vsyscall:
        base.map_code(pages, VSYSCALL, vdso_image.vsyscall_page())
    program = Program(
        name=image.name,
        exe=exe,
        argv=argv,
        env=world.env,
        segments=tuple(segments),
        brk_start=world.memory.brk_start or end,
        stack=(low, top),
        auxv=made.auxv,
        arg_range=made.arg_range,
        env_range=made.env_range,
        vdso=vdso,
        vvar=(vdso[0] - PAGE, vdso[0]) if vdso else None,
        read_file=lambda: bytes(image.program.data if isinstance(image, Starter) else image.data),
    )
    return Loaded(program, image.entry + bias, made.sp, bias)


def _load_segments(base: Base, pages: PageTables, bias: int) -> list[tuple[int, int, int, int]]:
    segments = []
    for span in base.spans:
        start = span.addr + bias
        pages.unmap(start, span.size)
        base.map(pages, start, span.piece)
        if span.file_size:
            segments.append((start, span.file_size, span.prot, span.offset))
        if span.size > span.file_size:
            segments.append((start + span.file_size, span.size - span.file_size, span.prot, -1))
    return segments


def load_stack(world: World, pages: PageTables, made: stack.InitialStack, top: int) -> int:
    """Map the initial stack below *top*; return where it begins."""
    low = made.lowest(PAGE, world.memory.stack_size)
    pages.map(low, top - low, PROT_READ | PROT_WRITE)
    pages.poke(made.sp, made.data)
    return low


def load_vdso(world: World, pages: PageTables, map_code: Callable[[int, bytes], None]) -> tuple[int, int] | None:
    """Map the vDSO, its code by *map_code*, and its data in the page below; return where it begins and ends."""
    if not world.vdso:
        return None
    built = vdso_image.build(world)
    at = world.memory.vdso_base
    map_code(at, built.image)
    pages.map(at - PAGE, PAGE, PROT_READ)
    pages.poke(at - PAGE, built.vvar)
    return at, at + round_up(len(built.image))


def load_supervisor(pages: PageTables, base: Base, entry: int, sp: int) -> tuple[int, int]:
    """Map the page that takes the CPU to ring 3 at *entry* with stack *sp*; return (descriptor table, its stack)."""
    frame = struct.pack("<5Q", entry, USER_CS, USER_FLAGS, sp, USER_SS)
    content = IRETQ.ljust(GDT_AT, b"\0") + DESCRIPTORS + frame
    pages.ram.bytes[base.supervisor : base.supervisor + len(content)] = content
    pages.map_kept(SUPERVISOR_PAGE, base.supervisor, 1, PROT_READ | PROT_WRITE | PROT_EXEC)
    pages.make_supervisor(SUPERVISOR_PAGE)
    table = SUPERVISOR_PAGE + GDT_AT
    return table, table + len(DESCRIPTORS)
