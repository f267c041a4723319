"""Damages files by one byte and reads them, in a process of its own under a memory limit.

``python -m tests.image.damage FILE SEED [SHARE]`` prints a JSON object: how many damages of each part were tried and
how they ended ("image", "refused", "unreadable"), the slowest in seconds of CPU time, and a traceback of anything else.
There are 10,000; SHARE, a fraction, makes them fewer.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from emu.image import ImageError, Layouts, parse
from emu.image import elf as elf_module
from emu.image.buildinfo import MAGIC, read
from emu.image.elf import Data
from emu.image.errors import Unreadable
from emu.image.golayout import build
from emu.image.image import Image
from emu.image.moduledata import locate
from emu.image.symbols import SymbolTable
from tests.image.samples import decompressed

MEMORY = 512 << 20  # bytes of address space
MODULEDATA = 560  # bytes of it that are damaged
LEAVES = 200  # of each global, at most


def walk_layouts(found: Layouts) -> None:
    """Touch what a run would: every global, some of its leaves, by address and by name."""
    for variable in found.globals():
        for i, _ in enumerate(found.leaves(variable.type, path=variable.name)):
            if i == LEAVES:
                break
    for name in ("runtime.schedinit", "runtime.sysauxv", "runtime.procresize"):
        found.signature(name)
    found.field("runtime.schedt", "maxmcount")


def walk(image: Image) -> None:
    """Ask *image* what a run would ask."""
    for name in ("runtime.schedinit", "runtime.osinit", "main.main", "os.(*File).Write"):
        function = image.function(name)
        if function:
            image.line_of(function.entry + 1)
            image.function_at(function.end - 1)
    image.symbol("runtime.sched")
    assert isinstance(image.notes, tuple)
    walk_layouts(image.layouts)


def read_headers(data: Data) -> None:
    """Read the headers and every section of *data*."""
    found = elf_module.parse(data)
    for section in found.sections:
        found.section(section.name)


def read_tables(data: Data) -> None:
    """Read build info, function table and module data of *data*, as of a stripped file: without its symbols."""
    found = elf_module.parse(data)
    found = found._replace(sections=tuple(s for s in found.sections if s.type != elf_module.SHT_SYMTAB))
    symbols = SymbolTable(found)
    table, _ = locate(found, symbols, read(found, symbols).release)
    for i, (_, entry) in zip(range(200), table.names(), strict=False):
        if i % 20 == 0:
            table.find(entry)


def read_symbols(data: Data) -> None:
    """Read the symbols of *data*, and its build and tables with their help."""
    found = elf_module.parse(data)
    symbols = SymbolTable(found)
    locate(found, symbols, read(found, symbols).release)
    symbols.at(found.header.entry)


def read_types(data: Data) -> None:
    """Read the DWARF of *data*."""
    found = elf_module.parse(data)
    walk_layouts(Layouts(build(found, SymbolTable(found))[0]))


def read_all(data: Data) -> None:
    """Load *data* and ask it everything."""
    walk(parse(data, "damaged", dynamic=True))


def parts(data: bytes) -> list[tuple[str, int, range, Callable[[Data], None]]]:
    """Return (name, how many damages, where, reader) of what is damaged in *data*."""
    found = elf_module.parse(data)
    header = found.header

    def section(*names: str) -> range:
        s = found.section(*names)
        assert s, names
        return range(s.offset, s.offset + s.file_size)

    symbols = SymbolTable(found)
    _, module = locate(found, symbols, read(found, symbols).release)
    assert module
    described = found.offset_of(module.addr)
    pclntab = section(".gopclntab")
    blob = data.index(MAGIC)
    return [
        ("headers", 3000, range(header.phoff + header.phnum * header.phentsize), read_headers),
        ("section table", 3000, range(header.shoff, header.shoff + header.shnum * header.shentsize), read_headers),
        ("build info", 700, range(blob, blob + 800), read_tables),
        ("pclntab header", 900, pclntab[:72], read_tables),
        ("pclntab", 1200, pclntab, read_tables),
        ("moduledata", 1000, range(described, described + MODULEDATA), read_tables),
        ("symbols", 40, section(".symtab"), read_symbols),
        ("debug_abbrev", 40, section(".debug_abbrev", ".zdebug_abbrev"), read_types),
        ("debug_info", 60, section(".debug_info", ".zdebug_info"), read_types),
        ("headers, whole", 30, range(header.phoff + header.phnum * header.phentsize), read_all),
        ("anything, whole", 30, range(len(data)), read_all),
    ]


def main(path: str, seed: int, share: float = 1) -> dict[str, object]:
    """Run every damage, or a *share* of them, and return what happened."""
    os.environ["RT0_CACHE"] = "off"
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    data = decompressed(Path(path).read_bytes())
    draw = random.Random(seed)
    outcomes: dict[str, Counter[str]] = {}
    slowest, unexpected = 0.0, ""
    buffer = mmap.mmap(-1, len(data))  # a file that can be changed in place
    buffer.write(data)
    for name, count, where, reader in parts(data):
        outcomes[name] = Counter()
        for _ in range(max(1, round(count * share))):
            at = draw.choice(where)
            before, buffer[at] = (
                buffer[at],
                draw.choice([buffer[at] ^ 1 << draw.randrange(8), 0, 255, draw.randrange(256)]),
            )
            start = time.process_time()
            try:
                reader(buffer)
                outcomes[name]["image"] += 1
            except ImageError:
                outcomes[name]["refused"] += 1
            except Unreadable:
                outcomes[name]["unreadable"] += 1
            except Exception:  # noqa: BLE001 - reported, and the test fails on it
                unexpected = unexpected or f"{name} at {at:#x}, {before} to {buffer[at]}:\n{traceback.format_exc()}"
            slowest = max(slowest, time.process_time() - start)
            buffer[at] = before
    return {"outcomes": outcomes, "slowest": slowest, "unexpected": unexpected}


if __name__ == "__main__":
    json.dump(main(sys.argv[1], int(sys.argv[2]), *map(float, sys.argv[3:])), sys.stdout)
