"""The initial stack: argc, argv, envp, the auxiliary vector and the strings and bytes behind them.

Laid out as Linux does (fs/exec.c ``copy_strings``, fs/binfmt_elf.c ``create_elf_tables``): from the top down a null
word, the execfn, the environment, the arguments, the platform name and 16 random bytes; then, 16-byte aligned, the
vectors.  With address-space randomisation off (as under gdb) even the addresses equal the native machine's.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from syscalls.light import dataclass
from syscalls.world import WorldError

PLATFORM = b"x86_64\0"
RANDOM_SIZE = 16
EXPANSION = 128 << 10  # mapped below the strings from the start (fs/exec.c, setup_arg_pages)

MAX_STRING = 128 << 10  # bytes of one argument or variable (MAX_ARG_STRLEN of uapi/linux/binfmts.h)
MOST, LEAST = 6 << 20, 128 << 10  # of all of them: a quarter of the stack's limit, within these (fs/exec.c)

Auxv = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class StackAddresses:
    """Where the parts of the stack that the auxiliary vector points at lie."""

    execfn: int
    platform: int
    random: int


@dataclass(frozen=True, slots=True)
class InitialStack:
    """The finished stack: *data* belongs at *sp*, up to the stack's top."""

    sp: int
    data: bytes
    arg_range: tuple[int, int]
    env_range: tuple[int, int]
    auxv: Auxv

    def lowest(self, page: int, limit: int) -> int:
        """Where the mapping of the stack begins, for pages of *page* bytes and a stack of at most *limit* bytes.

        Below it the stack grows when touched.
        """
        top = self.sp + len(self.data)
        strings = self.arg_range[0] & -page
        return min(max(strings - EXPANSION, top - limit & -page), self.sp & -page)


def check_size(argv: tuple[str, ...], env: tuple[str, ...], stack_limit: int) -> None:
    """Raise WorldError for what execve(2) refuses with E2BIG; *stack_limit* is that of the stack, in bytes."""
    room = max(min(MOST, stack_limit // 4), LEAST)
    for key, items in (("argv", argv), ("env", env)):
        longest = max((len(_strings((item,))) for item in items), default=0)
        if longest > MAX_STRING:
            raise WorldError(key, f"one string has {longest} bytes", f"at most {MAX_STRING}, as execve(2) does")
    size = len(_strings(argv + env)) + 8 * (len(argv) + len(env))
    if size > room:
        allowed = f"at most {room}, a quarter of memory.stack-size, as execve(2) does"
        raise WorldError("argv", f"arguments and environment take {size} bytes", allowed)


def _strings(items: tuple[str, ...]) -> bytes:
    return b"".join(item.encode("utf-8", "surrogateescape") + b"\0" for item in items)


def _addresses(items: tuple[str, ...], start: int) -> list[int]:
    found = []
    for item in items:
        found.append(start)
        start += len(item.encode("utf-8", "surrogateescape")) + 1
    return found


def build(
    top: int,
    *,
    argv: tuple[str, ...],
    env: tuple[str, ...],
    execfn: str,
    random: bytes,
    make_auxv: Callable[[StackAddresses], Auxv],
) -> InitialStack:
    """Lay the stack out below *top*; *make_auxv* is asked for the vector once its pointers are known.

    *make_auxv* returns the vector with its terminating (0, 0).
    """
    execfn_bytes, env_bytes, arg_bytes = _strings((execfn,)), _strings(env), _strings(argv)
    execfn_at = top - 8 - len(execfn_bytes)
    env_at = execfn_at - len(env_bytes)
    arg_at = env_at - len(arg_bytes)
    platform_at = arg_at // 16 * 16 - len(PLATFORM)  # arch_align_stack, then STACK_ALLOC
    random_at = platform_at - RANDOM_SIZE
    auxv = make_auxv(StackAddresses(execfn_at, platform_at, random_at))
    vector_words = [len(argv), *_addresses(argv, arg_at), 0, *_addresses(env, env_at), 0]
    words = vector_words + [value for pair in auxv for value in pair]
    sp = (random_at - 8 * len(words)) // 16 * 16  # STACK_ROUND
    data = bytearray(top - sp)

    def put(addr: int, content: bytes) -> None:
        data[addr - sp : addr - sp + len(content)] = content

    put(sp, struct.pack(f"<{len(words)}Q", *(word & 2**64 - 1 for word in words)))
    for addr, content in (
        (random_at, random),
        (platform_at, PLATFORM),
        (arg_at, arg_bytes),
        (env_at, env_bytes),
        (execfn_at, execfn_bytes),
    ):
        put(addr, content)
    return InitialStack(sp, bytes(data), (arg_at, env_at), (env_at, execfn_at), auxv)
