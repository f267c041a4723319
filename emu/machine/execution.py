"""Programs that the guest itself starts: what Linux's ``load_elf_binary`` (fs/binfmt_elf.c) does at execve.

Any executable of x86-64 will do, Go or not; one that names a loader gets it from the guest's tree.  The read-only
segments of what was run before are still there, as in a page cache: the engine knows code by its frame, so that nothing
is translated twice.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from emu.image import elf
from emu.image.errors import ImageError
from emu.image.executable import Loadable
from emu.machine import load as loader
from emu.machine import stack
from emu.machine.base import Base, in_pages
from emu.machine.entries import EAGER, VSYSCALL
from emu.machine.paging import PageTables
from emu.machine.ram import Budget, Ram
from syscalls import auxv as auxiliary
from syscalls import vdso as vdso_image
from syscalls.errno import ELIBBAD, ENOEXEC, SyscallError
from syscalls.guest import PAGE, PROT_EXEC, PROT_READ, PROT_WRITE, Execution, OutOfFrames, Start
from syscalls.light import NamedTuple
from syscalls.program import Loader, Program
from syscalls.world import World


class Part(NamedTuple):
    """A segment of a file, in whole pages, as :class:`emu.machine.base.Span`."""

    addr: int
    size: int
    file_size: int
    prot: int
    offset: int
    content: bytes | memoryview
    first: int | None  # the physical address of the frames that hold a read-only one


class File(NamedTuple):
    """An executable that was looked at."""

    headers: elf.Elf
    parts: tuple[Part, ...]


def map_supervisor(pages: PageTables, base: Base) -> None:
    """Let *pages* have the page that only the CPU's own set-up uses."""
    pages.map_kept(loader.SUPERVISOR_PAGE, base.supervisor, 1, PROT_READ | PROT_WRITE | PROT_EXEC)
    pages.make_supervisor(loader.SUPERVISOR_PAGE)


def _place(world: World, file: File, vdso: tuple[int, int] | None) -> int:
    """Return where the interpreter of *file* lies: below the vDSO and its data, or where mappings begin."""
    if file.headers.header.type == elf.ET_EXEC:
        return 0
    top = min(world.memory.mmap_base, vdso[0] - PAGE) if vdso else world.memory.mmap_base
    return (top - max(part.addr + part.size for part in file.parts)) & -PAGE


class Programs:
    """Loads programs into new page tables, and remembers them by what is in their files."""

    def __init__(self, ram: Ram, base: Base, image: Loadable, budget: Budget, new: Callable[[], PageTables]) -> None:
        """*image* is the machine's first program, whose segments *base* holds; *new* makes page tables."""
        self._ram, self._base, self._budget, self._new = ram, base, budget, new
        self._image = image
        self._files: dict[bytes, File] = {}

    def load(self, execution: Execution) -> Start:
        """Load a program; raise SyscallError or OutOfFrames."""
        file = self._file(execution.data)
        wanted = file.headers.interpreter
        loader = None
        if wanted is not None:
            content = execution.read(wanted)
            loader = wanted, content, self._loader(content)
        pages = self._new()
        try:
            return self._fill(pages, file, loader, execution)
        except BaseException:  # Ctrl-C and bugs of ours, too: nobody else knows of these pages
            pages.drop()
            raise

    def _loader(self, content: bytes) -> File:
        found = self._file(content)
        if found.headers.interpreter is not None:
            raise SyscallError(ELIBBAD)  # not an interpreter itself: fs/binfmt_elf.c looks at its own headers only
        return found

    def _file(self, data: bytes) -> File:
        import hashlib  # most programs execute no other

        key = hashlib.sha256(data).digest()
        found = self._files.get(key)
        if found is None:
            try:
                headers = elf.parse(data)
            except ImageError:
                raise SyscallError(ENOEXEC) from None
            first = memoryview(self._image.data) == data
            found = self._files[key] = File(
                headers,
                tuple(
                    (self._kept(number) if first else None) or self._part(headers, segment)
                    for number, segment in enumerate(headers.segments)
                ),
            )
        return found

    def _kept(self, number: int) -> Part | None:
        # A read-only segment of the machine's first program, if it still is what it was.
        span = self._base.spans[number]
        first, size = span.piece.first * PAGE, span.piece.n_frames * PAGE
        if span.prot & PROT_WRITE or size != span.size:
            return None
        if self._ram.bytes[first : first + len(span.piece.content)] != span.piece.content:
            return None
        for frame in range(first, first + size, PAGE):
            self._ram.share(frame)
        return Part(span.addr, span.size, span.file_size, span.prot, span.offset, span.piece.content, first)

    def _part(self, headers: elf.Elf, segment: elf.Segment) -> Part:
        start, size, file_size, offset, content = in_pages(segment, headers.data)
        first = None
        if not segment.prot & PROT_WRITE and size == file_size:
            self._budget.charge(size // PAGE)
            try:
                first = self._ram.take_new(size // PAGE)
            except OutOfFrames:
                self._budget.used -= size // PAGE
                raise
            self._ram.bytes[first : first + len(content)] = content
        return Part(start, size, file_size, segment.prot, offset, content, first)

    def _map_file(self, pages: PageTables, file: File, bias: int) -> list[tuple[int, int, int, int]]:
        # Map all segments; return what a Program tells of them.
        segments: list[tuple[int, int, int, int]] = []
        for part in file.parts:
            self._map(pages, part, part.addr + bias)
            if part.file_size:
                segments.append((part.addr + bias, part.file_size, part.prot, part.offset))
            if part.size > part.file_size:
                segments.append((part.addr + bias + part.file_size, part.size - part.file_size, part.prot, -1))
        return segments

    def _fill(
        self, pages: PageTables, file: File, loader_file: tuple[str, bytes, File] | None, execution: Execution
    ) -> Start:
        world, header = execution.world, file.headers.header
        bias = 0 if header.type == elf.ET_EXEC else world.memory.load_bias
        segments = self._map_file(pages, file, bias)
        end = max(addr + size for addr, size, _, _ in segments)
        if world.vsyscall:
            self._map_code(pages, VSYSCALL, vdso_image.vsyscall_page())
        vdso = loader.load_vdso(world, pages, partial(self._map_code, pages))
        entry, top = header.entry + bias, world.memory.stack_top
        base, start_at, interpreter = 0, entry, None
        if loader_file is not None:
            path, content, parsed = loader_file
            base = _place(world, parsed, vdso)
            start_at = parsed.headers.header.entry + base
            interpreter = Loader(path, lambda: content, tuple(self._map_file(pages, parsed, base)))

        def make_auxv(at: stack.StackAddresses) -> stack.Auxv:
            facts = auxiliary.LoadFacts(
                phdr=(file.headers.address_of(header.phoff) or 0) + bias,
                phnum=header.phnum,
                entry=entry,
                random=at.random,
                execfn=at.execfn,
                platform=at.platform,
                base=base,
                vdso=vdso[0] if vdso else 0,
            )
            return auxiliary.build(world, facts)

        made = stack.build(
            top, argv=execution.argv, env=execution.env, execfn=execution.name, random=execution.random,
            make_auxv=make_auxv,
        )  # fmt: skip
        low = loader.load_stack(world, pages, made, top)
        data = execution.data
        program = Program(
            name=execution.exe.rpartition("/")[2],
            exe=execution.exe,
            argv=execution.argv,
            env=execution.env,
            segments=tuple(segments),
            brk_start=world.memory.brk_start or end,
            stack=(low, top),
            auxv=made.auxv,
            arg_range=made.arg_range,
            env_range=made.env_range,
            vdso=vdso,
            vvar=(vdso[0] - PAGE, vdso[0]) if vdso else None,
            read_file=lambda: data,
            loader=interpreter,
        )
        return Start(pages, program, start_at, made.sp)

    def _map(self, pages: PageTables, part: Part, addr: int) -> None:
        if part.first is not None:
            self._map_frames(pages, addr, part.first, part.size // PAGE, part.prot)
            return
        # A large rest gets frames when it is touched.
        size = part.size if part.size <= EAGER else part.file_size
        if size:
            pages.fill(addr, size, part.prot)
            pages.poke(addr, bytes(part.content))

    def _map_frames(self, pages: PageTables, addr: int, first: int, count: int, prot: int) -> None:
        pages.map_kept(addr, first, count, prot)
        for frame in range(first, first + count * PAGE, PAGE):
            self._ram.share(frame)

    def _map_code(self, pages: PageTables, addr: int, content: bytes) -> None:
        piece = self._base.code(content)
        self._map_frames(pages, addr, piece.first * PAGE, piece.n_frames, piece.prot)
