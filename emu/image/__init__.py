"""The program as a file: ELF, build info, function table, module data, symbols, types; what a stripped one still tells.

``load(path)`` gives an :class:`Image` or raises :class:`ImageError`.  Names are imported when they are asked for: the
machine needs little of this, and a run nothing of what knows Go (10 ms).
"""

from importlib import import_module

from syscalls.light import TYPE_CHECKING

if TYPE_CHECKING:
    from emu.image.elf import Section, Segment
    from emu.image.errors import ImageError
    from emu.image.image import Image, load, parse
    from emu.image.pclntab import Function
    from emu.image.types import Global, Layouts, Leaf, Signature, Type

__all__ = [
    "Function", "Global", "Image", "ImageError", "Layouts", "Leaf", "Section", "Segment", "Signature", "Type",
    "load", "parse",
]  # fmt: skip
HOMES = {
    "elf": ("Section", "Segment"), "errors": ("ImageError",), "image": ("Image", "load", "parse"),
    "pclntab": ("Function",), "types": ("Global", "Layouts", "Leaf", "Signature", "Type"),
}  # fmt: skip


def __getattr__(name: str) -> object:
    for module, names in HOMES.items():
        if name in names:
            return getattr(import_module(f"emu.image.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
