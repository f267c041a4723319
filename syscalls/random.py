"""Entropy: one reproducible stream of bytes, drawn from ``World.seed``.

SHAKE-256 of the seed and a label, in blocks, so that any stretch of the stream is found without what came before.
Nothing here is secret and nothing comes from the host.
"""

from __future__ import annotations

try:
    # What hashlib hands on where OpenSSL is not asked for: loading that library takes 3 ms.
    from _sha3 import shake_256  # type: ignore[import-not-found]
except ImportError:  # pragma: no cover - another Python than CPython
    from hashlib import shake_256

from syscalls import abi
from syscalls.errno import EINVAL, SyscallError
from syscalls.guest import GuestFault
from syscalls.light import TYPE_CHECKING
from syscalls.world import World

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

BLOCK = 4096
CHUNK = 1 << 16  # how much of a large request is generated and stored at a time


class Entropy:
    """The stream behind getrandom and /dev/urandom; *position* counts the bytes already given out."""

    __slots__ = ("_block", "_index", "_label", "position")

    def __init__(self, world: World) -> None:
        self._label = f"rt0 entropy {world.seed} "
        self._index, self._block = -1, b""
        self.position = 0

    def take(self, size: int) -> bytes:
        """Return the next *size* bytes."""
        parts = []
        while size > 0:
            index, start = divmod(self.position, BLOCK)
            if index != self._index:
                self._index = index
                self._block = shake_256(f"{self._label}{index}".encode()).digest(BLOCK)
            part = self._block[start : start + size]
            parts.append(part)
            size -= len(part)
            self.position += len(part)
        return b"".join(parts)


def at_random(world: World) -> bytes:
    """Return the 16 bytes behind AT_RANDOM: the World's own, or drawn from its seed apart from the other stream."""
    if world.at_random is not None:
        return world.at_random
    return bytes(shake_256(f"rt0 AT_RANDOM {world.seed}".encode()).digest(16))


def fill(k: Kernel, addr: int, size: int) -> int:
    """Store *size* fresh bytes at *addr*; return how many fitted before a fault, and fault if none did."""
    done = 0
    while done < size:
        chunk = min(CHUNK, size - done)
        try:
            k.mem.write(addr + done, k.entropy.take(chunk))
        except GuestFault:
            if not done:
                raise
            break
        done += chunk
    return done


def getrandom(k: Kernel, t: Task, addr: int, size: int, flags: int) -> int:
    """Fill *size* bytes at *addr*; getrandom(2).  GRND_INSECURE came with Linux 5.6."""
    known = abi.GRND_NONBLOCK | abi.GRND_RANDOM | (abi.GRND_INSECURE if k.release >= (5, 6) else 0)
    if flags & ~known or flags & (abi.GRND_RANDOM | abi.GRND_INSECURE) == abi.GRND_RANDOM | abi.GRND_INSECURE:
        raise SyscallError(EINVAL)
    return fill(k, addr, min(size, 0x7FFF_FFFF))
