"""Jumps to where no address can be.

To a CPU the fault is the jump's, of which nothing is done (Intel SDM vol. 2, JMP, CALL and RET; measured).  The engine
jumps and then faults, so the jump is taken back: RIP, RSP and the count are what they were before it.  The return
address that a call has stored stays where it is, below the stack.
"""

from __future__ import annotations

from emu.machine.decode import LONGEST, branch, lengths
from emu.machine.engine import Engine
from syscalls.guest import PAGE, GuestFault, GuestMemory

USER_HALF, WORD = 1 << 47, 8


def take_back(engine: Engine, mem: GuestMemory) -> None:
    """Within the hook of a general protection fault: undo the jump that led to RIP, if RIP is no address."""
    pc = engine.read("rip")
    if pc < USER_HALF or pc >= 2**64 - USER_HALF:
        return
    counter = engine.counter
    start, count = counter.block_pc(), counter.block_size()
    code = _code(mem, start, count * LONGEST)
    sizes = lengths(code)[:count]
    if not count or len(sizes) < count:
        return
    before = sum(sizes[:-1])
    kind, dropped = branch(code[before : before + sizes[-1]])
    sp = engine.read("rsp")
    if kind == "ret":
        sp -= WORD + dropped
        if int.from_bytes(mem.read(sp, WORD), "little") != pc:
            return  # something else led here
    elif kind == "call":
        sp += WORD
    elif kind != "jmp":
        return
    counter.leave_at(start + before)
    engine.write("rip", start + before)
    engine.write("rsp", sp)


def _code(mem: GuestMemory, start: int, size: int) -> bytes:
    # As much as there is.
    found = b""
    while len(found) < size:
        at = start + len(found)
        try:
            found += mem.read(at, min(size - len(found), PAGE - at % PAGE))
        except GuestFault:
            break
    return found
