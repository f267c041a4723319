"""Make the native machine show the World where a kernel and a CPU cannot be talked into it.

Before its first instruction the program gets the World's random bytes, and the World's own vDSO in place of the
kernel's.  While it is stepped, CPUID, RDTSC and RDTSCP and the system calls that tell the time or give entropy are
answered as the World answers them, and it reads the World's /proc/self/maps.  Everything else is this kernel's and
this CPU's doing.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace

from emu.compare.mirror import MAPS
from emu.compare.native.process import NativeUnavailable, Process, Registers
from emu.compare.native.stepper import CPUID, RDTSC, RDTSCP, SYSCALL
from syscalls import abi, vdso
from syscalls.cpuid import Table
from syscalls.errno import EFAULT
from syscalls.guest import PAGE
from syscalls.numbers import NUMBERS
from syscalls.random import Entropy, at_random
from syscalls.time import NS, Clock
from syscalls.world import World

LOW, U64 = 0xFFFF_FFFF, (1 << 64) - 1
OPENAT = NUMBERS["openat"]
MAPS_PATH = str(MAPS).encode()
EXIT, EXIT_GROUP = NUMBERS["exit"], NUMBERS["exit_group"]
MMAP, MPROTECT = NUMBERS["mmap"], NUMBERS["mprotect"]


class Exiting(Exception):
    """The program asks to end, with *status*; it still stands there, its memory as it was."""

    def __init__(self, status: int) -> None:
        super().__init__(f"exit status {status}")
        self.status = status


def impose(process: Process, world: World) -> World:
    """Give *process*, which has not run, the random bytes and the vDSO of *world*; return the World with their places.

    Raises NativeUnavailable if the kernel refuses the memory.
    """
    process.write(process.auxv()[abi.AT_RANDOM], at_random(world))
    if not world.vdso:
        return world
    made = vdso.build(world)
    size = PAGE + (len(made.image) + PAGE - 1) // PAGE * PAGE
    private = abi.MAP_PRIVATE | abi.MAP_ANONYMOUS
    start = process.call(MMAP, 0, size, abi.PROT_READ | abi.PROT_WRITE, private, -1, 0)
    if start < 0:
        raise NativeUnavailable(f"no memory for a vDSO: mmap failed with error {-start}")
    process.write(start, made.vvar[:PAGE] + made.image)
    process.call(MPROTECT, start, size, abi.PROT_READ | abi.PROT_EXEC)
    process.patch_auxv({abi.AT_SYSINFO_EHDR: start + PAGE})
    return replace(world, memory=replace(world.memory, vdso_base=start + PAGE))


class SharedTime:
    """The moments at which the emulated program asked for the time, to be told to the native one in the same order.

    A moment is a count of instructions, as the clock takes it.
    """

    def __init__(self) -> None:
        self._moments: list[int] = []

    def recorded(self, ticks: Callable[[], int]) -> Callable[[], int]:
        """Return *ticks*, keeping what it returns."""

        def tick() -> int:
            now = ticks()
            self._moments.append(now)
            return now

        return tick

    def replayed(self) -> Callable[[], int]:
        """Return a counter that goes through what was kept; asked more often, it stays at the last moment."""
        rest: Iterator[int] = iter(self._moments)
        last = 0

        def tick() -> int:
            nonlocal last
            last = next(rest, last)
            return last

        return tick


class Answers:
    """What *world* answers to a native program; an instance is the stepper's ``answer``."""

    def __init__(self, world: World, time: SharedTime) -> None:
        self._table = Table(world)
        self._clock = Clock(world, time.replayed())
        self._entropy = Entropy(world)
        self._cpu = world.cpus.lowest
        self._calls: dict[int, Callable[[Process, Registers], int | None]] = {
            NUMBERS["clock_gettime"]: self._clock_gettime,
            NUMBERS["gettimeofday"]: self._gettimeofday,
            NUMBERS["getrandom"]: self._getrandom,
            OPENAT: self._openat,
            NUMBERS["read"]: self._read,
            NUMBERS["close"]: self._close,
            EXIT: self._exit,
            EXIT_GROUP: self._exit,
        }
        self._maps = next((file.content for file in world.files if file.path == str(MAPS)), None)
        self._open: dict[int, io.BytesIO] = {}  # descriptors of /proc/self/maps

    def __call__(self, instruction: str, process: Process) -> bool:
        """Put the World's answer into *process* if the World has one."""
        registers = process.registers
        if instruction == CPUID:
            answer = self._table.query(registers.rax & LOW, registers.rcx & LOW)
            registers.rax, registers.rbx, registers.rcx, registers.rdx = answer
        elif instruction in (RDTSC, RDTSCP):
            now = self._clock.tsc()
            registers.rax, registers.rdx = now & LOW, now >> 32
            if instruction == RDTSCP:
                registers.rcx = self._cpu  # IA32_TSC_AUX: node << 12 | CPU
        elif instruction == SYSCALL and registers.rax in self._calls:
            return self._call(process, registers)
        else:
            return False
        return True

    def _call(self, process: Process, registers: Registers) -> bool:
        try:
            answer = self._calls[registers.rax](process, registers)
        except OSError:  # a pointer of the program's leads nowhere
            answer = -EFAULT
        if answer is None:
            return False
        registers.rax = answer & U64
        registers.rcx, registers.r11 = registers.rip + 2, registers.eflags
        return True

    def _clock_gettime(self, process: Process, registers: Registers) -> int:
        process.write(registers.rsi, abi.TIMESPEC.pack(*divmod(self._clock.read(registers.rdi), NS)))
        return 0

    def _gettimeofday(self, process: Process, registers: Registers) -> int:
        seconds, ns = divmod(self._clock.realtime_ns(), NS)
        process.write(registers.rdi, abi.TIMEVAL.pack(seconds, ns // 1000))
        return 0

    def _getrandom(self, process: Process, registers: Registers) -> int:
        process.write(registers.rdi, self._entropy.take(registers.rsi))
        return int(registers.rsi)

    def _openat(self, process: Process, registers: Registers) -> int | None:
        # This kernel opens it, and what is read is ours.
        asked = process.read_some(registers.rsi, len(MAPS_PATH) + 1)
        if self._maps is None or asked != MAPS_PATH + b"\0":
            return None
        fd = process.call(OPENAT, registers.rdi, registers.rsi, registers.rdx, registers.r10)
        if fd >= 0:
            self._open[fd] = io.BytesIO(self._maps)
        return fd

    def _read(self, process: Process, registers: Registers) -> int | None:
        file = self._open.get(registers.rdi)
        if file is None:
            return None
        data = file.read(registers.rdx)
        process.write(registers.rsi, data)
        return len(data)

    def _close(self, _process: Process, registers: Registers) -> None:
        self._open.pop(registers.rdi, None)

    def _exit(self, _process: Process, registers: Registers) -> int:
        raise Exiting(registers.rdi & 0xFF)
