"""A native process under ptrace: started without address randomisation, stopped, read, run to an address.

ptrace(2), personality(2), proc_pid_mem(5) and proc_pid_auxv(5) through ctypes.  Measured on a virtual machine, a step
costs 24 us here and 21 us in a C program that does nothing else: the trap costs, so there is no compiled helper.

One thread of the caller must do everything: ptrace belongs to the thread that started the process.  Threads that the
program itself starts are not traced; a Go program starts none before ``runtime.mstart``.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Never, Self

PTRACE_PEEKUSER, PTRACE_POKEUSER, PTRACE_CONT, PTRACE_SINGLESTEP = 3, 6, 7, 9
PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_SETOPTIONS = 12, 13, 0x4200
PTRACE_O_EXITKILL = 0x00100000
WAIT_ALL = 0x40000000  # __WALL, wait4(2)
AT_NULL, AT_IGNORE, AT_ENTRY = 0, 1, 9
BREAKPOINT = b"\xcc"  # int3
SYSCALL_CODE = b"\x0f\x05"
NO_CALL = (1 << 64) - 1  # orig_rax outside of a system call: nothing to restart

# Becomes the program: everything that must happen between fork and exec, in a process that runs no other thread.
_LAUNCHER = """
import ctypes, os, signal, sys
path, cpus, n_env = sys.argv[1], sys.argv[2], int(sys.argv[3])
environment, argv = sys.argv[4 : 4 + n_env], sys.argv[4 + n_env :]
libc = ctypes.CDLL(None, use_errno=True)
try:
    if cpus:
        os.sched_setaffinity(0, [int(cpu) for cpu in cpus.split(",")])
except OSError as error:
    sys.exit(f"CPUs {cpus}: {error}")
for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and what is ignored stays so across exec
    signal.signal(number, signal.SIG_DFL)
if libc.personality(0x0040000) == -1 or libc.ptrace(0, 0, None, None) == -1:
    sys.exit(os.strerror(ctypes.get_errno()))
try:
    os.execve(path, argv, dict(entry.split("=", 1) for entry in environment))
except OSError as error:
    sys.exit(str(error))
"""


class NativeUnavailable(Exception):
    """The native machine cannot judge here: not Linux on x86-64, or ptrace or the program's start was refused."""


class Registers(ctypes.Structure):
    """``struct user_regs_struct`` of <sys/user.h>: every field an unsigned 64-bit value."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi"),
            *("orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs"),
        )
    ]


@dataclass(frozen=True, slots=True)
class Ended:
    """The program ended before it reached where it was to stop: *status* or *signal*, and what it had printed."""

    status: int | None
    signal: int | None
    output: bytes


class ProgramEnded(Exception):
    """Raised by whatever runs the program when it ends instead."""

    def __init__(self, ended: Ended) -> None:
        how = f"exit status {ended.status}" if ended.signal is None else f"{signal.Signals(ended.signal).name}"
        super().__init__(f"the program ended with {how}: {ended.output.decode(errors='replace').strip()}")
        self.ended = ended


class Process:
    """A program stopped at its first instruction, to be used as a context manager, which ends it.

    *argv* holds argv[0] too.  *env* is the whole environment.  *cpus* is the affinity; None leaves the caller's.
    Descriptors 0 to 2 are open, on nothing to read and on a file that nobody sees, and no others.  After *timeout_s*
    seconds the program is killed, so that nothing waits for ever.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        argv: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        cpus: Iterable[int] | None = None,
        timeout_s: float = 120,
    ) -> None:
        if sys.platform != "linux" or platform.machine() != "x86_64":
            raise NativeUnavailable(f"native runs need Linux on x86-64; this is {sys.platform} on {platform.machine()}")
        self.path = str(Path(path).resolve())
        self.registers = Registers()
        self._registers_at = ctypes.addressof(self.registers)
        self._status = ctypes.c_int()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - close() closes it
        self._ptrace = ctypes.PyDLL(None, use_errno=True).ptrace  # never blocks: keeps the interpreter's lock
        self._ptrace.restype = ctypes.c_long
        self._ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self._wait4 = ctypes.CDLL(None, use_errno=True).wait4
        self.pid = self._start([self.path] if argv is None else argv, env or {}, cpus)
        self._alive = True
        self._watchdog = threading.Timer(timeout_s, os.kill, (self.pid, signal.SIGKILL))
        self._watchdog.daemon = True
        self._watchdog.start()
        self._memory = -1
        try:
            self._await_exec()
            self._memory = os.open(f"/proc/{self.pid}/mem", os.O_RDWR)
        except BaseException:  # Ctrl-C too: the program is stopped, and nobody else knows of it
            self.close()
            raise

    def _start(self, argv: Sequence[str], env: Mapping[str, str], cpus: Iterable[int] | None) -> int:
        affinity = ",".join(map(str, sorted(cpus))) if cpus is not None else ""
        environment = [f"{key}={value}" for key, value in env.items()]
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER]
        command = [*launcher, self.path, affinity, str(len(environment)), *environment, *argv]
        output = self._output.fileno()
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ]
        return os.posix_spawn(sys.executable, command, {}, file_actions=actions)

    def _await_exec(self) -> None:
        try:
            self._wait()
        except ProgramEnded as end:
            raise NativeUnavailable(f"{self.path} could not be started under ptrace: {end}") from None
        self._request(PTRACE_SETOPTIONS, PTRACE_O_EXITKILL)

    def _request(self, request: int, data: int = 0) -> None:
        if self._ptrace(request, self.pid, None, data) == -1:
            raise OSError(ctypes.get_errno(), f"ptrace request {request}: {os.strerror(ctypes.get_errno())}")

    def _wait(self) -> None:
        # Wait for the next stop and read its registers.  A stop that is not a trap is a signal that nothing here
        # expects before mstart: end the program by it.
        while self._wait4(self.pid, ctypes.byref(self._status), WAIT_ALL, None) == -1:
            if ctypes.get_errno() != 4:  # EINTR
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        status = self._status.value
        if status & 0xFF != 0x7F:
            self._alive = False
            self._raise_ended(os.waitstatus_to_exitcode(status))
        if status >> 8 != signal.SIGTRAP:
            self._raise_ended(-(status >> 8 & 0xFF))
        self._ptrace(PTRACE_GETREGS, self.pid, None, self._registers_at)

    def _raise_ended(self, code: int) -> Never:
        self._output.seek(0)
        status, number = (code, None) if code >= 0 else (None, -code)
        raise ProgramEnded(Ended(status, number, self._output.read()))

    def step(self) -> None:
        """Execute one instruction (one iteration of a ``rep`` one) and read the registers; raises ProgramEnded."""
        self._ptrace(PTRACE_SINGLESTEP, self.pid, None, None)
        self._wait()

    def trap(self) -> Never:
        """Raise ProgramEnded, as the next instruction is INT3: its SIGTRAP cannot be told from that of a step."""
        self._raise_ended(-signal.SIGTRAP)

    def run_to(self, addr: int) -> None:
        """Run at full speed until the program is about to execute *addr*; raises ProgramEnded if it never does."""
        if self.registers.rip == addr:
            return
        original = self.read(addr, 1)
        os.pwrite(self._memory, BREAKPOINT, addr)
        try:
            self._request(PTRACE_CONT)
            self._wait()
        finally:
            if self._alive:
                os.pwrite(self._memory, original, addr)
        self.registers.rip = addr  # int3 leaves it one past
        self.set_registers()

    def set_registers(self) -> None:
        """Give the program the registers as they now stand in :attr:`registers`."""
        self._request(PTRACE_SETREGS, self._registers_at)

    def call(self, nr: int, *args: int) -> int:
        """Make the program perform system call *nr* where it stands, and return the result (``-errno`` on failure).

        Registers and memory are afterwards as they were, but for what the call itself did.
        """
        before = Registers.from_buffer_copy(self.registers)
        code = self.read(before.rip, len(SYSCALL_CODE))
        self.write(before.rip, SYSCALL_CODE)
        self.registers.rax, self.registers.orig_rax = nr, NO_CALL
        for name, value in zip(("rdi", "rsi", "rdx", "r10", "r8", "r9"), args, strict=False):
            setattr(self.registers, name, value & NO_CALL)
        self.set_registers()
        self.step()
        result = int(self.registers.rax)
        self.write(before.rip, code)
        ctypes.memmove(self._registers_at, ctypes.addressof(before), ctypes.sizeof(before))
        self.registers.orig_rax = NO_CALL
        self.set_registers()
        return result - (1 << 64) if result >> 63 else result

    def read_some(self, addr: int, size: int) -> bytes:
        """Return up to *size* bytes at *addr*, as many as are mapped in a row; raises OSError if the first is not."""
        return os.pread(self._memory, size, addr)

    def read(self, addr: int, size: int) -> bytes:
        """Return *size* bytes of the program's memory at *addr*; raises OSError where nothing is mapped."""
        data = self.read_some(addr, size)
        if len(data) != size:
            raise OSError(14, f"only {len(data)} of {size} bytes at {addr:#x} are mapped")
        return data

    def write(self, addr: int, data: bytes) -> None:
        """Store *data* at *addr*, whatever the page's permissions; raises OSError where nothing is mapped."""
        os.pwrite(self._memory, data, addr)

    def patch_auxv(self, changes: Mapping[int, int | None]) -> None:
        """Give entries of the auxiliary vector on the initial stack other values; None makes the program not see one.

        To be called before the program has run: it finds the vector above argc, argv and envp at the stack pointer.
        Raises KeyError for a tag that the kernel did not give.
        """
        addr = self.registers.rsp + 8 * (1 + self._word(self.registers.rsp) + 1)
        while self._word(addr):  # envp
            addr += 8
        places = {}
        addr += 8
        while tag := self._word(addr):
            places[tag] = addr
            addr += 16
        for tag, value in changes.items():
            self.write(places[tag], struct.pack("<QQ", *((AT_IGNORE, 0) if value is None else (tag, value))))

    def _word(self, addr: int) -> int:
        return int.from_bytes(self.read(addr, 8), "little")

    def auxv(self) -> dict[int, int]:
        """Return the auxiliary vector as the kernel gave it to the program; tag to value."""
        data = Path(f"/proc/{self.pid}/auxv").read_bytes()
        return {tag: value for tag, value in struct.iter_unpack("<QQ", data) if tag != AT_NULL}

    def maps(self) -> list[tuple[int, int, str]]:
        """Return the program's mappings now: (first address, end, name or "")."""
        text = os.fsdecode(Path(f"/proc/{self.pid}/maps").read_bytes())  # a file's name may be any bytes
        rows = [line.split(maxsplit=5) for line in text.split("\n") if line]
        spans = [[int(part, 16) for part in row[0].split("-")] for row in rows]
        return [(low, high, row[5] if len(row) > 5 else "") for (low, high), row in zip(spans, rows, strict=True)]

    def bias(self) -> int:
        """Return what the kernel added to the file's addresses: 0 but for position-independent programs."""
        with open(self.path, "rb") as file:
            header = file.read(32)
        return self.auxv()[AT_ENTRY] - int(struct.unpack_from("<Q", header, 24)[0])

    def close(self) -> None:
        """End the program and free what was held; more than one call does no harm."""
        self._watchdog.cancel()
        if self._alive:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, WAIT_ALL)
            self._alive = False
        if self._memory >= 0:
            os.close(self._memory)
            self._memory = -1
        self._output.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
