"""Files of snapshots: what another process, on another computer, goes on from.

Layout, little-endian: the mark, the length of the description (8 bytes) and it (JSON), the pages (zlib), and the
SHA-256 of all that.  The description holds the registers by name, the frames that are handed out, the accounts of
memory and the kernel's state; the pages are those of the tables, then those of memory.  Profiles are not kept: what ran
before counts in the total alone.

A file is read for a machine of the same program and World, whichever engine it has; everything else is refused with one
line.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from array import array
from dataclasses import asdict
from pathlib import Path

from emu.machine import accel, snapshot
from emu.machine.entries import VERSIONS, TablesState
from emu.machine.machine import OWN_STATE, Machine
from emu.machine.outcome import Outcome
from emu.machine.snapshot import Snapshot
from syscalls import saved, statefile
from syscalls.guest import PAGE
from syscalls.light import Any
from syscalls.worldfile import digest

MARK = b"rt0snap\x01"
CHECKSUM = 32
GENERAL = (
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
    "rip", "rflags", "fs_base", "gs_base", "mxcsr", "fpcw", "fpsw", "fptag",
)  # fmt: skip
WIDE = {**{f"fp{n}": 10 for n in range(8)}, **{f"xmm{n}": 16 for n in range(16)}}
MOST = 4 << 30  # bytes of pages


class SnapshotError(ValueError):
    """A file that is no snapshot for this machine; one line that names it and says why."""


def to_file(machine: Machine, taken: Snapshot, path: Path) -> None:
    """Write *taken*, which *machine* is restored to on the way, to *path*; whole or not at all.

    Raises ValueError if it is not a snapshot of *machine*'s run.
    """
    snapshot.restore(machine, taken)
    description = json.dumps(_described(machine, taken), sort_keys=True).encode()
    pages = zlib.compress(taken.tables.contents + taken.pages, 1)
    content = b"".join((MARK, len(description).to_bytes(8, "little"), description, pages))
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.write_bytes(content + hashlib.sha256(content).digest())
    new.replace(path)


def _described(machine: Machine, taken: Snapshot) -> dict[str, Any]:
    engine, tables = machine.engine, taken.tables
    own = dict(zip(OWN_STATE, taken.own, strict=True))
    if isinstance(own["_outcome"], Outcome):
        own["_outcome"] = asdict(own["_outcome"])
    return {
        "image": machine.image.sha256,
        "world": digest(machine.kernel.world),
        "layout": machine.base.layout(),
        "task": taken.contexts[0][0],
        "registers": {name: engine.read(name) for name in GENERAL},
        "wide": {name: engine.read_wide(name, size).hex() for name, size in WIDE.items()},
        "total": machine.counter.instructions() + machine.counter.block_size(),
        "ram": taken.ram,
        "tables": {
            "numbers": memoryview(tables.numbers).cast("I").tolist(),
            "tables": list(tables.tables.items()),
            "frames": tables.frames,
            "limit_frames": tables.limit_frames,
            "new_code": tables.new_code,
        },
        "frames": memoryview(taken.frames).cast("I").tolist(),
        "kernel": statefile.to_json(taken.state),
        "own": own,
    }


def from_file(path: Path, machine: Machine) -> Snapshot:
    """Let *machine* become what the snapshot at *path* is, and return that as one of its own.

    Whatever *machine* did before is gone.  Raises SnapshotError.
    """
    try:
        description, pages = _parts(path.read_bytes(), path)
    except OSError as error:
        raise SnapshotError(f"{path.name}: {error.strerror}") from error
    for key, ours, what in (
        ("image", machine.image.sha256, "program"),
        ("world", digest(machine.kernel.world), "World"),
    ):
        if description.get(key) != ours:
            raise SnapshotError(f"{path.name}: a snapshot of another {what}")
    machine.begin_anew(machine.kernel.world)
    try:
        return _put(machine, description, pages, path)
    except SnapshotError:
        machine.begin_anew(machine.kernel.world)
        raise
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        machine.begin_anew(machine.kernel.world)
        raise SnapshotError(f"{path.name}: the description is not one of a snapshot: {error!r}") from error


def _parts(content: bytes, path: Path) -> tuple[dict[str, Any], bytes]:
    if not content.startswith(MARK[:7]):
        raise SnapshotError(f"{path.name}: not a snapshot")
    if content[7:8] != MARK[7:]:
        raise SnapshotError(f"{path.name}: a snapshot of version {content[7:8].hex()}; this one reads {MARK[7:].hex()}")
    body, checksum = content[:-CHECKSUM], content[-CHECKSUM:]
    if len(content) < len(MARK) + 8 + CHECKSUM or hashlib.sha256(body).digest() != checksum:
        raise SnapshotError(f"{path.name}: cut off or damaged: the checksum differs")
    start = len(MARK) + 8
    end = start + int.from_bytes(content[len(MARK) : start], "little")
    try:
        description = json.loads(body[start:end])
        pages = zlib.decompressobj().decompress(body[end:], MOST)
    except (ValueError, zlib.error) as error:
        raise SnapshotError(f"{path.name}: not readable: {error}") from error
    if not isinstance(description, dict):
        raise SnapshotError(f"{path.name}: the description is no table")
    return description, pages


def _put(machine: Machine, description: dict[str, Any], pages: bytes, path: Path) -> Snapshot:
    if machine.base.layout() != description["layout"]:
        raise SnapshotError(f"{path.name}: the machine's own code lies elsewhere: made by another release of rt0")
    # To ring 3, where all segments are as they stay.
    machine.run(machine.loaded.entry, "the entry point")
    tables, frames = description["tables"], description["frames"]
    numbers = accel.pack(tables["numbers"])
    size = len(tables["numbers"]) * PAGE
    most = machine.ram.size // PAGE
    if any(not 0 <= frame < most for frame in (*tables["numbers"], *frames)) or len(pages) != size + len(frames) * PAGE:
        raise SnapshotError(f"{path.name}: frames that the machine does not have")
    state = statefile.from_json(description["kernel"], machine.kernel)
    next_frame, free, lost, shares = description["ram"]
    described = TablesState(
        numbers,
        [int(number) * PAGE for number in tables["numbers"]],
        pages[:size],
        {int(number): int(table) for number, table in tables["tables"]},
        int(tables["frames"]),
        int(tables["limit_frames"]),
        bool(tables["new_code"]),
        next(VERSIONS),
    )
    runs, shared = (tuple((int(first), int(count)) for first, count in pairs) for pairs in (free, shares))
    handed_out = int(next_frame), runs, bool(lost), shared
    snapshot.put_memory(machine, described, handed_out, accel.pack(frames), pages[size:])
    _put_registers(machine, description)
    machine.counter.restore(array("q", [int(description["total"])]).tobytes())
    saved.restore(machine.kernel, state)
    machine.task = machine.kernel.running = machine.kernel.tasks[description["task"]]
    own = dict(description["own"])
    if own["_outcome"] is not None:
        own["_outcome"] = Outcome(**own["_outcome"])
    machine.become(tuple(own[name] for name in OWN_STATE))
    return snapshot.take(machine)


def _put_registers(machine: Machine, description: dict[str, Any]) -> None:
    for name in GENERAL:
        machine.engine.write(name, int(description["registers"][name]))
    for name, width in WIDE.items():
        machine.engine.write_wide(name, bytes.fromhex(description["wide"][name]).ljust(width, b"\0"))
    machine.engine.flush_tlb()
