"""Loading a program: its segments, stack, vDSO and the pages that only the CPU needs.

What Linux's ``load_elf_binary`` (fs/binfmt_elf.c) does for a program without an interpreter: whole file pages are
mapped, so the first and last page of a segment show the file's bytes around it; what lies behind a writable
segment's file part is zero.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from emu.image.image import Image
from emu.machine import stack
from emu.machine.paging import VSYSCALL, PageTables
from syscalls import auxv as auxiliary
from syscalls import vdso as vdso_image
from syscalls.guest import PAGE, PROT_EXEC, PROT_READ, PROT_WRITE
from syscalls.program import Program
from syscalls.random import at_random
from syscalls.world import World

# The page that the CPU is started from: code for one IRETQ to ring 3, and the descriptor table it needs.
SUPERVISOR_PAGE = 0xFFFF_8000_0000_0000
USER_CS, USER_SS, USER_FLAGS = 0x33, 0x2B, 0x202  # as Linux's user tasks have them
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


def round_up(size: int) -> int:
    """Whole hardware pages."""
    return (size + PAGE - 1) & -PAGE


def load(image: Image, world: World, pages: PageTables) -> Loaded:
    """Fill *pages* with the program, its stack and its vDSO; return what the kernel and the CPU must know."""
    bias = 0 if image.kind == "exec" else world.memory.load_bias
    segments = _load_segments(image, pages, bias)
    end = max(addr + size for addr, size, _, _ in segments)
    vdso = _load_vdso(world, pages)
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

    made = stack.build(top, argv=argv, env=world.env, execfn=exe, random=at_random(world), make_auxv=make_auxv)
    low = _load_stack(world, pages, made, top)
    _load_vsyscall(world, pages)
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
        read_file=lambda: bytes(image.data),
    )
    return Loaded(program, image.entry + bias, made.sp, bias)


def _load_segments(image: Image, pages: PageTables, bias: int) -> list[tuple[int, int, int, int]]:
    segments = []
    for segment in image.segments:
        start = segment.addr & -PAGE
        head = segment.addr - start
        file_size = round_up(head + segment.file_size) if segment.file_size else 0
        size = round_up(head + segment.size)
        pages.map(start + bias, size, segment.prot)
        if file_size:
            offset = segment.offset - head
            content = bytearray(image.data[offset : offset + file_size])
            if segment.size > segment.file_size:
                del content[head + segment.file_size :]  # padzero: the rest of the page is .bss
            pages.poke(start + bias, bytes(content))
            segments.append((start + bias, file_size, segment.prot, offset))
        if size > file_size:
            segments.append((start + bias + file_size, size - file_size, segment.prot, -1))
    return segments


def _load_stack(world: World, pages: PageTables, made: stack.InitialStack, top: int) -> int:
    low = made.lowest(PAGE, world.memory.stack_size)
    pages.map(low, top - low, PROT_READ | PROT_WRITE)
    pages.poke(made.sp, made.data)
    return low


def _load_vdso(world: World, pages: PageTables) -> tuple[int, int] | None:
    if not world.vdso:
        return None
    built = vdso_image.build(world)
    base = world.memory.vdso_base
    size = round_up(len(built.image))
    pages.map(base, size, PROT_READ | PROT_EXEC)
    pages.poke(base, built.image)
    pages.map(base - PAGE, PAGE, PROT_READ)
    pages.poke(base - PAGE, built.vvar)
    return base, base + size


def _load_vsyscall(world: World, pages: PageTables) -> None:
    if world.vsyscall:
        pages.map(VSYSCALL, PAGE, PROT_READ | PROT_EXEC)
        pages.poke(VSYSCALL, vdso_image.vsyscall_page())


def load_supervisor(pages: PageTables, entry: int, sp: int) -> tuple[int, int]:
    """Map the page that takes the CPU to ring 3 at *entry* with stack *sp*; return (descriptor table, its stack)."""
    frame = struct.pack("<5Q", entry, USER_CS, USER_FLAGS, sp, USER_SS)
    pages.map(SUPERVISOR_PAGE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC)
    pages.poke(SUPERVISOR_PAGE, IRETQ.ljust(GDT_AT, b"\0") + DESCRIPTORS + frame)
    pages.make_supervisor(SUPERVISOR_PAGE)
    table = SUPERVISOR_PAGE + GDT_AT
    return table, table + len(DESCRIPTORS)
