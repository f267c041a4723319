"""The floating-point state of the engine's CPU as FXSAVE stores it (Intel SDM vol. 1, 10.5.1), in two raw calls.

The engine names x87 registers by their place, FXSAVE by their distance from the top of the stack.
"""

from __future__ import annotations

import ctypes

from emu.machine.engine import Engine
from emu.machine.libunicorn import REG

SIZE = 512
MXCSR_AT, MXCSR_MASK_AT, ST_AT, XMM_AT = 24, 28, 32, 160
MXCSR_MASK = 0xFFFF
CONTROL, MXCSR = 0x37F, 0x1F80
EMPTY = 0xFFFF  # the tags of eight empty registers

_NAMES = ("fpcw", "fpsw", "fptag", "mxcsr", *(f"fp{n}" for n in range(8)), *(f"xmm{n}" for n in range(16)))


class BadState(ValueError):
    """MXCSR has a bit that the CPU does not know: FXRSTOR faults."""


class FloatingPoint:
    """Reads and writes the floating-point registers of *engine*."""

    def __init__(self, engine: Engine) -> None:
        self._handle, library = engine.handle, engine.library
        self._read, self._write = library.uc_reg_read_batch, library.uc_reg_write_batch
        count = len(_NAMES)
        self._count = ctypes.c_int(count)
        self._ids = (ctypes.c_int * count)(*(REG[name] for name in _NAMES))
        self._area = ctypes.create_string_buffer(SIZE)
        self._tags = ctypes.c_uint64()
        base = ctypes.addressof(self._area)
        places = [0, 2, 0, MXCSR_AT, *range(ST_AT, XMM_AT, 16), *range(XMM_AT, XMM_AT + 256, 16)]
        self._pointers = (ctypes.c_void_p * count)(*(base + place for place in places))
        self._pointers[2] = ctypes.addressof(self._tags)
        fresh = bytearray(SIZE)
        fresh[0:2] = CONTROL.to_bytes(2, "little")
        fresh[MXCSR_AT : MXCSR_AT + 4] = MXCSR.to_bytes(4, "little")
        self._fresh = bytes(fresh)

    def save(self) -> bytes:
        """Return what FXSAVE would store."""
        self._read(self._handle, self._ids, self._pointers, self._count)
        area = bytearray(self._area.raw)
        tags = self._tags.value
        area[4:8] = bytes((sum((tags >> 2 * n & 3 != 3) << n for n in range(8)), 0, 0, 0))
        area[MXCSR_MASK_AT : MXCSR_MASK_AT + 4] = MXCSR_MASK.to_bytes(4, "little")
        _turn(area, area[3] >> 3 & 7)
        return bytes(area)

    def load(self, area: bytes) -> None:
        """Let the registers be what FXRSTOR would make them; raise BadState."""
        if int.from_bytes(area[MXCSR_AT : MXCSR_AT + 4], "little") & ~MXCSR_MASK:
            raise BadState
        turned = bytearray(area)
        _turn(turned, -(area[3] >> 3 & 7))
        self._put(bytes(turned), sum((0 if area[4] >> n & 1 else 3) << 2 * n for n in range(8)))

    def reset(self) -> None:
        """Let the registers be what they are in a new program."""
        self._put(self._fresh, EMPTY)

    def _put(self, area: bytes, tags: int) -> None:
        ctypes.memmove(self._area, area, SIZE)
        self._tags.value = tags
        self._write(self._handle, self._ids, self._pointers, self._count)


def _turn(area: bytearray, by: int) -> None:
    # The eight x87 registers of *area*, the one at place *by* becoming the first.
    if by:
        registers = [bytes(area[at : at + 16]) for at in range(ST_AT, XMM_AT, 16)]
        area[ST_AT:XMM_AT] = b"".join(registers[by:] + registers[:by])
