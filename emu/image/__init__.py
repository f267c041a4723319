"""The program as a file: ELF, build info, function table, module data, symbols, types; what a stripped one still tells.

``load(path)`` gives an :class:`Image` or raises :class:`ImageError`.
"""

from emu.image.elf import Section, Segment
from emu.image.errors import ImageError
from emu.image.image import Image, load, parse
from emu.image.pclntab import Function
from emu.image.types import Global, Layouts, Leaf, Signature, Type

__all__ = [
    "Function", "Global", "Image", "ImageError", "Layouts", "Leaf", "Section", "Segment", "Signature", "Type",
    "load", "parse",
]  # fmt: skip
