"""Small guests that come to grief: the bundled hello with a few instructions in place of ``runtime.osinit``.

``python -m tests.boot.guests`` prints a JSON object: of each guest the outcome, the totals and how many functions were
seen, as this process's engine (``RT0_ACCEL``) has them.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import cache

from emu.boot.boot import boot
from emu.boot.record import BootRecord
from emu.image.image import Image, load, parse
from syscalls.world import Limits, World
from syscalls.worldfile import load as load_world
from tests.booted import BUNDLED

PLACE = "runtime.osinit"
LIMIT = 400_000  # instructions; the boot up to osinit takes some 1,000
ANYWHERE = 0x1234_5678_9000  # where nothing is mapped
LOOP = b"\xeb\xfe"


@cache
def original() -> Image:
    """The bundled hello."""
    return load(BUNDLED)


def place() -> int:
    """The address of the patched function."""
    function = original().function(PLACE)
    assert function is not None
    return function.entry


def global_addr(name: str) -> int:
    """The address of a variable."""
    variable = original().layouts.global_(name)
    assert variable is not None
    return variable.addr


def to_rax(value: int) -> bytes:
    """``mov rax, value``."""
    return b"\x48\xb8" + value.to_bytes(8, "little")


JUMP_RAX = b"\xff\xe0"
STORE_AT_RAX = b"\x88\x00"  # mov [rax], al
PREFIX = len(to_rax(0))


def codes() -> dict[str, bytes]:
    """What stands at the place, by the guest's name."""
    return {
        "wild jump": to_rax(ANYWHERE) + JUMP_RAX,
        "null call": b"\x31\xc0\xff\xd0",  # xor eax, eax; call rax
        "read of null": b"\x31\xc0\x8a\x00",  # xor eax, eax; mov al, [rax]
        "store to code": to_rax(place()) + STORE_AT_RAX,
        "store to the kernel": to_rax(0xFFFF_8000_0000_0000) + STORE_AT_RAX,
        "data is executed": to_rax(global_addr("runtime.sched")) + JUMP_RAX,
        "stack is executed": b"\x48\x89\xe0" + JUMP_RAX,  # mov rax, rsp
        "ud2": b"\x0f\x0b",
        "hlt": b"\xf4",
        "cli": b"\xfa",
        "in": b"\x90\xec\x90" + LOOP,  # in al, dx
        "outsb": b"\x48\x89\xe6\x6e" + LOOP,  # mov rsi, rsp; outsb
        "jump out of the address space": to_rax(1 << 63) + JUMP_RAX,
        "store out of the address space": to_rax(1 << 63) + STORE_AT_RAX,
        "mov cr3": b"\x0f\x20\xd8",  # mov rax, cr3
        "wrmsr": b"\x0f\x30",
        "division by zero": b"\x31\xc9\xf7\xf1",  # xor ecx, ecx; div ecx
        "division overflow": b"\xba\x01\0\0\0\xb9\x01\0\0\0\xf7\xf1",  # edx:eax = 1 << 32 and more, by 1
        "int3": b"\xcc",
        "int 0x80": b"\xcd\x80",
        "avx": b"\xc5\xfc\x58\xc0",  # vaddps ymm0, ymm0, ymm0
        "avx-512": b"\x62\xf1\x7c\x48\x58\xc0",  # vaddps zmm0, zmm0, zmm0
        "loop": LOOP,
        "loop of calls": b"\xb8\x27\0\0\0\x0f\x05\xeb\xf7",  # mov eax, getpid; syscall; again
        "loop of cpuid": b"\x31\xc0\x0f\xa2\xeb\xfa",
        "loop of rdtsc": b"\x0f\x31\xeb\xfc",
        "endless stack": b"\x50\xeb\xfd",  # push rax; again
        "loop through osinit": b"\xe8" + (-6 % 2**32).to_bytes(4, "little"),  # call itself
        "exit": b"\xbf\x07\0\0\0\xb8\xe7\0\0\0\x0f\x05",  # exit_group(7)
        "lost stack": to_rax(ANYWHERE) + b"\x48\x89\xc4\xff\x34\x25\0\0\0\0",  # mov rsp, rax; push [0]
        "jump to a function without a stack": to_rax(ANYWHERE) + b"\x48\x89\xc4" + to_rax(entry_of("runtime.schedinit"))
        + JUMP_RAX,
    }  # fmt: skip


def entry_of(name: str) -> int:
    """The address of a function."""
    function = original().function(name)
    assert function is not None
    return function.entry


def patched(code: bytes) -> Image:
    """The bundled hello with *code* at the place."""
    data = bytearray(original().data)
    at = original().elf.offset_of(place())
    data[at : at + 1 + len(code)] = b"\x90" + code  # nop, so that a loop does not go through the function's entry
    return parse(bytes(data), "patched")


LIMITS = {
    "loop": Limits(instructions=LIMIT),
    "loop of calls": Limits(instructions=0, traps=500),
    "loop of cpuid": Limits(instructions=0, traps=500),
    "loop of rdtsc": Limits(instructions=0, traps=500),
}


def run(name: str) -> BootRecord:
    """The record of one guest."""
    world = replace(load_world(None), limits=LIMITS.get(name, World().limits))
    return boot(patched(codes()[name]), world)


def summary(record: BootRecord) -> dict[str, object]:
    """What both engines must agree on."""
    return {**record.outcome, "totals": record.totals, "functions": len(record.functions), "notes": list(record.notes)}


if __name__ == "__main__":
    json.dump({name: summary(run(name)) for name in codes()}, sys.stdout)
