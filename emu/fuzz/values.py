"""What is read out of the program's memory when a run has reached its end, for :mod:`emu.fuzz.models`.

Every run is read, so that where things are is found out once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from emu.boot.reader import MAX_LENGTH, Reader
from emu.image.image import Image
from emu.machine.machine import Machine
from syscalls.guest import GuestFault

# By the name that a model knows; the first that the program has.
VALUES = {
    "ncpu": ("runtime.numCPUStartup", "runtime.ncpu"),
    "physHugePageSize": ("runtime.physHugePageSize",),
    "physPageSize": ("runtime.physPageSize",),
    "gomaxprocs": ("runtime.gomaxprocs",),
    "npidle": ("runtime.sched.npidle",),
    "containermaxprocs": ("runtime.debug.containermaxprocs",),
}
LOOKED_AT = 4  # Ps from each end of allp


class Values:
    """The places of :data:`VALUES` and of allp in *image*, which *machine* runs."""

    def __init__(self, machine: Machine, image: Image) -> None:
        self._machine = machine
        reader = Reader(machine, image)
        self._integers: list[tuple[str, int, int, bool]] = []  # name, address, bytes, whether it has a sign
        for name, paths in VALUES.items():
            path = next((path for path in paths if reader.has(path)), None)
            if path is not None:
                addr, kind = reader.place(path)
                self._integers.append((name, addr, kind.size, kind.kind.startswith("int")))
        self._allp = reader.place("runtime.allp")[0] if reader.has("runtime.allp") else 0
        fields = [reader.find("runtime.p", field) for field in ("id", "status")]
        self._fields = [(field[0], field[0] + field[1].size) for field in fields if field is not None]
        if len(self._fields) != len(fields):
            self._allp = 0

    def read(self) -> dict[str, Any]:
        """Return the integers by name, ``auxv``, and ``allp`` (see :meth:`processors`) where it can be read."""
        peek = self._machine.pages.peek
        found: dict[str, Any] = {
            name: int.from_bytes(peek(addr, size), "little", signed=signed)
            for name, addr, size, signed in self._integers
        }
        found["auxv"] = self._machine.kernel.program.auxv
        if self._allp:
            try:
                found["allp"] = self.processors()
            except GuestFault:
                return found
        return found

    def processors(self) -> tuple[int, list[tuple[int, int, int]]]:
        """How many Ps ``allp`` has, and (index, id, status) of the first and the last ones; raises GuestFault."""
        peek = self._machine.pages.peek
        start, length = memoryview(peek(self._allp, 16)).cast("Q")
        length = min(length, MAX_LENGTH)
        addresses = memoryview(peek(start, 8 * length)).cast("Q")
        chosen: Iterable[int] = range(length)
        if length > 2 * LOOKED_AT:
            chosen = (*range(LOOKED_AT), *range(length - LOOKED_AT, length))
        (number, number_end), (status, status_end) = self._fields
        size = max(number_end, status_end)
        found = []
        for index in chosen:
            raw = peek(addresses[index], size)
            found.append(
                (
                    index,
                    int.from_bytes(raw[number:number_end], "little", signed=True),
                    int.from_bytes(raw[status:status_end], "little", signed=True),
                )
            )
        return length, found
