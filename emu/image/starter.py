"""A dynamically linked program is started by the guest itself: a few instructions that make the first execve.

So the program, its loader and its libraries all come from the guest's tree, and are loaded as any other program is.
"""

from __future__ import annotations

from emu.image.elf import Data, Segment
from emu.image.executable import Executable

AT = 0x400000
PROT_READ, PROT_EXEC = 1, 4
CODE = bytes.fromhex(
    "488d742408"  # lea rsi, [rsp+8]: argv
    "488b0424"  # mov rax, [rsp]: argc
    "488d54c608"  # lea rdx, [rsi+rax*8+8]: envp
    "4889d1"  # mov rcx, rdx
    "488b01"  # mov rax, [rcx]: to the end of envp
    "4883c108"  # add rcx, 8
    "4885c0"  # test rax, rax
    "75f4"  # jnz -12
    "488b01"  # mov rax, [rcx]: to AT_EXECFN of the auxiliary vector
    "4883c110"  # add rcx, 16
    "4883f81f"  # cmp rax, 31
    "75f3"  # jne -13
    "488b79f8"  # mov rdi, [rcx-8]: its value, the program's path
    "b83b000000"  # mov eax, 59
    "0f05"  # syscall: execve
    "bf7f000000"  # mov edi, 127: it failed
    "b8e7000000"  # mov eax, 231
    "0f05"  # syscall: exit_group
)


class Starter:
    """What begins *program*, which names a loader; satisfies :class:`emu.image.executable.Loadable`."""

    kind, entry = "exec", AT
    segments = (Segment(AT, len(CODE), 0, len(CODE), PROT_READ | PROT_EXEC),)
    program_headers = (0, 56, 0)

    def __init__(self, program: Executable) -> None:
        self.program, self.name = program, program.name

    @property
    def sha256(self) -> str:
        """Of the program's file."""
        return self.program.sha256

    @property
    def go(self) -> str:
        """The Go version that the program states, or nothing."""
        return self.program.go

    @property
    def data(self) -> Data:
        """What is loaded first."""
        return CODE
