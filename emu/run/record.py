"""What happened in a run, as JSON: the system calls, who ran when, and the end.

It is written while the program runs, an entry a line, so that it takes no memory; the file has its name when it is
whole.  The same program in the same World gives the same bytes.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from syscalls.events import SyscallEvent
from syscalls.trace import line

SCHEMA = "rt0.run/1"


class RunRecord:
    """One record in the making."""

    def __init__(self, name: str, binary: Mapping[str, Any], world: Mapping[str, Any]) -> None:
        """Begin the record of *binary* in *world*; raise OSError when the folder of *name* cannot be written.

        A device or a pipe is written to as it is: a file renamed over ``/dev/null`` would take its place.
        """
        path = Path(name)
        special = path.exists() and not path.is_file()
        if not special:  # the name of a pipe behind /dev/fd is no path
            path = path.resolve()
        self._path = path
        self._new = None if special else path.with_name(f".{path.name}.{os.getpid()}.new")
        self._file = (self._new or path).open("w", encoding="utf-8")
        self._write(f'{{"schema": {json.dumps(SCHEMA)},\n"binary": {_text(binary)},\n"world": {_text(world)},\n')
        self._write('"events": [')
        self._separator = "\n"
        self._ran = 0
        self._calls = self._switches = 0

    def call(self, event: SyscallEvent) -> None:
        """Write down a system call: thread, instructions before it, the call as text, its result."""
        self._calls += 1
        entry = {"call": line(event).rpartition(" = ")[0], "result": event.result, "at": event.ticks, "task": event.tid}
        if event.errno:
            entry["errno"] = event.errno
        self._entry(entry)

    def ran(self, tid: int, instructions: int) -> None:
        """Write down that task *tid* had the CPU until so many instructions were executed in all."""
        self._switches += 1
        self._entry({"ran": tid, "until": instructions})

    def _entry(self, entry: Mapping[str, Any]) -> None:
        self._write(f"{self._separator}{_text(entry)}")
        self._separator = ",\n"

    def _write(self, text: str) -> None:
        try:
            self._file.write(text)
        except OSError as error:  # the file is what cannot be written, and not the program that cannot be read
            raise OSError(error.errno, error.strerror, f"--record: {self._path}") from error

    def end(self, outcome: Mapping[str, Any], instructions: int) -> None:
        """Write down how the program ended, and give the file its name."""
        totals = {"instructions": instructions, "switches": self._switches, "syscalls": self._calls}
        self._write(f'\n],\n"outcome": {_text(outcome)},\n"totals": {_text(totals)}}}\n')
        try:
            self._file.close()
        except OSError as error:  # as above: what was held back is written now
            raise OSError(error.errno, error.strerror, f"--record: {self._path}") from error
        if self._new is not None:
            self._new.replace(self._path)

    def drop(self) -> None:
        """Leave nothing behind, unless it was ended."""
        with contextlib.suppress(OSError):  # it was said already
            self._file.close()
        if self._new is not None:
            self._new.unlink(missing_ok=True)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
