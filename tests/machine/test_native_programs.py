"""The same small C programs, run by this machine's kernel and by ours on the emulated CPU: the same output."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from emu.image import elf
from emu.machine.machine import Machine
from emu.machine.outcome import Outcome
from syscalls.world import Uname, World


@dataclass(frozen=True)
class Program:
    """A static program as the loader wants it; no Go about it."""

    name: str
    file: elf.Elf
    kind: str = "exec"

    @property
    def data(self) -> elf.Data:
        return self.file.data

    @property
    def entry(self) -> int:
        return self.file.header.entry

    @property
    def segments(self) -> tuple[elf.Segment, ...]:
        return self.file.segments

    @property
    def program_headers(self) -> tuple[int, int, int]:
        header = self.file.header
        return self.file.address_of(header.phoff) or 0, header.phentsize, header.phnum


def host_world() -> World:
    """The defaults, with the release of the kernel that runs here: where it places mappings depends on it."""
    return replace(World(), uname=Uname(release=os.uname().release))


def run_static(path: Path) -> tuple[Outcome, str]:
    """Run a static program on the machine until it ends; how it ended, and what it printed."""
    machine = Machine(Program(path.name, elf.parse(path.read_bytes())), host_world())  # type: ignore[arg-type]
    outcome = machine.run()
    return outcome, b"".join(data for _, data in machine.kernel.output).decode()


@pytest.mark.parametrize("name", ["memory"])
def test_program_prints_what_it_prints_natively(native: Callable[..., Path], name: str) -> None:
    """Line by line: every call with its arguments and result, every byte read back."""
    path = native(name)
    there = subprocess.run([str(path)], check=True, capture_output=True, text=True).stdout

    outcome, here = run_static(path)

    assert outcome.exit_status == 0, outcome
    assert len(there.splitlines()) > 100
    assert here.splitlines() == there.splitlines()
