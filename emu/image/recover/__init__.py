"""What a program without DWARF still tells: its variables by its own code, its types by its own descriptors."""

from emu.image.recover.itabs import with_itabs
from emu.image.recover.recovery import Program, Recovered, recover
from emu.image.recover.unnamed import with_symbols

__all__ = ["Program", "Recovered", "recover", "with_itabs", "with_symbols"]
