"""Functions and symbols of an ELF file as pyelftools reads them: independent of the project's own reader."""

from __future__ import annotations

from pathlib import Path

from elftools.elf.elffile import ELFFile

from emu.compare.native.stepper import Function


def symbols(path: Path) -> dict[str, int]:
    """Return the link-time address of every named symbol of *path*."""
    with path.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        return {symbol.name: symbol["st_value"] for symbol in table.iter_symbols() if symbol.name}


def functions(path: Path, bias: int = 0) -> list[Function]:
    """Return every function symbol of *path* that has a size, moved by *bias*."""
    with path.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        rows = [(s.name, s["st_value"] + bias, s["st_size"]) for s in table.iter_symbols() if _is_function(s)]
    return [Function(name, entry, entry + size) for name, entry, size in rows if size]


def _is_function(symbol: object) -> bool:
    return bool(symbol["st_info"]["type"] == "STT_FUNC")  # type: ignore[index]


def mstart(path: Path) -> int:
    """Return the link-time address where the bootstrap ends: the entry of ``runtime.mstart`` (".abi0" from Go 1.17)."""
    found = symbols(path)
    return found.get("runtime.mstart.abi0") or found["runtime.mstart"]
