"""Resource limits: what the kernel starts a process with, and what the World changes.  getrlimit(2).

The one source for getrlimit, prlimit64, ``/proc/self/limits`` and every handler that obeys a limit.
"""

from __future__ import annotations

from syscalls import abi
from syscalls.world import World

INFINITY = abi.RLIM_INFINITY

NAMES: dict[str, int] = {name.removeprefix("RLIMIT_").lower(): value for value, name in abi.names("RLIMIT_").items()}
"""``"nofile"`` -> RLIMIT_NOFILE: the spelling of a World's ``rlimits``."""

NR_OPEN = 1_048_576  # the default of /proc/sys/fs/nr_open, above which no RLIMIT_NOFILE may be set


def initial(world: World) -> list[tuple[int, int]]:
    """Return (soft, hard) for each of the 16 resources, by number.

    The defaults are those of include/asm-generic/resource.h (Linux 6.x); NPROC and SIGPENDING follow the memory
    as kernel/fork.c counts it (half of max_threads: a thread may use an eighth of memory with 16 KiB stacks).
    """
    threads = max(world.memory.total // (8 * 16_384), 20) // 2
    limits = [(INFINITY, INFINITY)] * abi.RLIM_NLIMITS
    limits[abi.RLIMIT_STACK] = (world.memory.stack_size, INFINITY)
    limits[abi.RLIMIT_CORE] = (0, INFINITY)
    limits[abi.RLIMIT_NPROC] = limits[abi.RLIMIT_SIGPENDING] = (threads, threads)
    limits[abi.RLIMIT_NOFILE] = (1024, 4096)
    limits[abi.RLIMIT_MEMLOCK] = (8 << 20, 8 << 20)
    limits[abi.RLIMIT_MSGQUEUE] = (819_200, 819_200)
    limits[abi.RLIMIT_NICE] = limits[abi.RLIMIT_RTPRIO] = (0, 0)
    for name, soft, hard in world.rlimits:
        limits[NAMES[name.lower().removeprefix("rlimit_")]] = (
            INFINITY if soft is None else soft,
            INFINITY if hard is None else hard,
        )
    return limits
