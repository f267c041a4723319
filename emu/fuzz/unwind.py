"""Who called whom when a run stopped: by frame pointers, which Go keeps on amd64 since 1.7 (cmd/internal/obj/x86).

Assembly functions without a frame have only their return address on the stack, so the word at the stack pointer is
taken for one when a call instruction stands before the place that it names.
"""

from __future__ import annotations

import struct

from emu.boot.catalogue import BY_NAME
from emu.image.image import Image
from emu.machine.machine import Machine
from syscalls.guest import GuestFault

MAX_FRAMES = 64
# How the runtime gives up: not what it was doing (runtime/panic.go, all releases).
GIVING_UP = (
    "runtime.exit", "runtime.fatalthrow", "runtime.throw", "runtime.fatal", "runtime.dopanic", "runtime.gopanic",
    "runtime.panic", "runtime.goPanic", "runtime.systemstack", "runtime.mcall", "runtime.preprintpanics",
    "runtime.die", "runtime.crash", "runtime.startpanic", "runtime.raise", "runtime.sigpanic", "runtime.abort",
)  # fmt: skip


def frames(machine: Machine) -> list[int]:
    """Return the program counter and the return addresses below it, the innermost first; run-time addresses."""
    found = [machine.pc]
    try:
        (at_top,) = struct.unpack("<Q", machine.pages.peek(machine.engine.read("rsp"), 8))
        if _follows_call(machine, at_top):
            found.append(at_top)
    except GuestFault:
        return found
    frame = machine.engine.read("rbp")
    while len(found) < MAX_FRAMES:
        try:
            above, back = struct.unpack("<QQ", machine.pages.peek(frame, 16))
        except GuestFault:
            break
        if not _follows_call(machine, back):
            break
        if found[-1] != back:
            found.append(back)
        if above <= frame:
            break
        frame = above
    return found


def _follows_call(machine: Machine, addr: int) -> bool:
    try:
        code = machine.pages.peek(addr - 7, 7)
    except GuestFault:
        return False
    if code[2] == 0xE8:  # CALL rel32
        return True
    # CALL r/m64 (FF /2) of 2, 3, 4, 6 or 7 bytes
    return any(code[-size] == 0xFF and code[1 - size] >> 3 & 7 == 2 for size in (2, 3, 4, 6, 7))


def functions(machine: Machine, image: Image) -> list[str]:
    """Return the names of the functions on the stack, the innermost first."""
    bias = machine.loaded.bias
    names = []
    for number, addr in enumerate(frames(machine)):
        function = image.function_at(addr - bias - (1 if number else 0))
        if function is not None:
            names.append(function.name)
    return names


def culprit(names: list[str]) -> str:
    """The innermost function that was not part of giving up; empty if there is none."""
    return next((name for name in names if not name.startswith(GIVING_UP)), names[0] if names else "")


def bootstrap(names: list[str]) -> tuple[str, ...]:
    """Those of *names* that are functions of the bootstrap."""
    return tuple(name for name in names if name in BY_NAME)
