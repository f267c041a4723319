"""Files of snapshots: other machines, in other processes, with other engines, go on from them; the rest is refused."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from emu.boot.boot import MSTART
from emu.image.image import Image
from emu.machine import snapfile, snapshot
from emu.machine.machine import Machine
from emu.machine.snapfile import CHECKSUM, MARK, SnapshotError
from syscalls.numbers import NUMBERS
from syscalls.world import World
from tests.booted import image_of
from tests.machine.test_snapshot import everything, run_to

GO_ON = """
import sys
from pathlib import Path
from emu.boot.boot import MSTART
from emu.machine import snapfile
from emu.machine.machine import Machine
from syscalls.world import World
from tests.booted import image_of
from tests.machine.test_snapshot import everything, run_to
machine = Machine(image_of(), World(), profiled=True)
snapfile.from_file(Path(sys.argv[1]), machine)
outcome = run_to(machine, MSTART)
seen = everything(machine)
print(outcome.kind, seen["instructions"], seen["memory"], [(e.name, e.args, e.result, e.detail) for e in seen["calls"]])
"""


@pytest.fixture(scope="module")
def image() -> Image:
    """The bundled hello."""
    return image_of()


@pytest.fixture
def written(image: Image, tmp_path: Path) -> Path:
    """A snapshot in the middle of a file's being read: an open descriptor, and calls that were made."""
    machine = Machine(image, World(), profiled=True)
    machine.before_call = lambda nr, _: nr == NUMBERS["read"]
    assert run_to(machine, MSTART).at == "read"
    path = tmp_path / "reading.snapshot"
    snapfile.to_file(machine, snapshot.take(machine), path)
    return path


def without_profile(machine: Machine) -> dict[str, Any]:
    """Everything but what files do not keep."""
    return everything(machine) | {"profile": 0}


def test_another_machine_goes_on(image: Image, written: Path) -> None:
    """As a cold start would have, and again from the snapshot that reading it returned."""
    whole, other = Machine(image, World(), profiled=True), Machine(image, World(), profiled=True)
    run_to(whole, MSTART)
    taken = snapfile.from_file(written, other)
    assert other.kernel.files.fds() == [0, 1, 2, 3]

    for _ in range(2):
        assert run_to(other, MSTART).kind == "reached"
        assert without_profile(other) == without_profile(whole)
        snapshot.restore(other, taken)


def test_a_file_written_again_is_the_same(image: Image, written: Path, tmp_path: Path) -> None:
    """Byte for byte: nothing is lost on the way."""
    machine = Machine(image, World(), profiled=True)
    taken = snapfile.from_file(written, machine)
    snapfile.to_file(machine, taken, tmp_path / "again")

    assert (tmp_path / "again").read_bytes() == written.read_bytes()


@pytest.mark.parametrize("accel", ["0", "1"])
def test_another_process_goes_on(image: Image, written: Path, accel: str) -> None:
    """With and without the accelerator."""
    whole = Machine(image, World(), profiled=True)
    run_to(whole, MSTART)
    seen = everything(whole)
    calls = [(e.name, e.args, e.result, e.detail) for e in seen["calls"]]
    env = os.environ | {"RT0_ACCEL": accel}
    done = subprocess.run([sys.executable, "-c", GO_ON, written], capture_output=True, text=True, check=True, env=env)

    assert done.stdout.strip() == f"reached {seen['instructions']} {seen['memory']} {calls}"


def test_other_moments_and_programs(binary: Callable[[str], Path], tmp_path: Path) -> None:
    """At a function of a position-independent program, after the run of which nothing is left."""
    image = image_of(binary("hello-1.21.13-pie"))
    machine, other = Machine(image, World(), profiled=True), Machine(image, World(), profiled=True)
    run_to(machine, "runtime.schedinit")
    taken = snapshot.take(machine)
    run_to(machine, MSTART)
    end = without_profile(machine)
    snapfile.to_file(machine, taken, tmp_path / "x")
    run_to(other, MSTART)
    snapfile.from_file(tmp_path / "x", other)
    run_to(other, MSTART)

    assert without_profile(other) == end


def sealed(body: bytes) -> bytes:
    """*body* with its checksum."""
    return body + hashlib.sha256(body).digest()


def edited(content: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """A file whose description was changed and that was sealed again."""
    size = int.from_bytes(content[8:16], "little")
    description = json.loads(content[16 : 16 + size])
    change(description)
    text = json.dumps(description, sort_keys=True).encode()
    return sealed(MARK + len(text).to_bytes(8, "little") + text + content[16 + size : -CHECKSUM])


def refused(path: Path, content: bytes, image: Image, world: World | None = None) -> str:
    """The one line with which *content* is refused; the machine is as new afterwards."""
    path.write_bytes(content)
    machine = Machine(image, world or World(), profiled=True)
    with pytest.raises(SnapshotError) as error:
        snapfile.from_file(path, machine)
    assert run_to(machine, MSTART).kind == "reached"
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(f"{path.name}: ")


def test_files_for_others_are_refused(image: Image, written: Path, binary: Callable[[str], Path]) -> None:
    """Another program, another World, another version, no file."""
    content = written.read_bytes()
    other = image_of(binary("hello-1.24.11"))

    assert refused(written, content, other) == "a snapshot of another program"
    assert refused(written, content, image, World(seed=2)) == "a snapshot of another World"
    assert refused(written, content[:7] + b"\x02" + content[8:], image).startswith("a snapshot of version 02")
    assert refused(written, b"\x7fELF", image) == "not a snapshot"
    with pytest.raises(SnapshotError, match="nowhere: No such file"):
        snapfile.from_file(Path("nowhere"), Machine(image, World(), profiled=True))


def test_damaged_files_are_refused(image: Image, written: Path) -> None:
    """Cut anywhere, or with any bit turned."""
    content, rng = written.read_bytes(), Random(5)
    for _ in range(6):
        assert "cut off or damaged" in refused(written, content[: rng.randrange(8, len(content))], image)
        turned = bytearray(content)
        turned[rng.randrange(8, len(content))] ^= 1 << rng.randrange(8)
        assert "cut off or damaged" in refused(written, bytes(turned), image)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("kernel"),
        lambda d: d["kernel"].pop("areas"),
        lambda d: d["kernel"]["files"]["opened"][0].__setitem__(0, "Teapot"),
        lambda d: d["kernel"]["process"].pop(),
        lambda d: d["registers"].update(rax="x"),
        lambda d: d["wide"].update(xmm0="zz"),
        lambda d: d["frames"].append(1 << 31),
        lambda d: d["frames"].pop(),
        lambda d: d["tables"]["numbers"].append(-1),
        lambda d: d["ram"].pop(),
        lambda d: d.update(task=7),
        lambda d: d["own"].pop("_traps"),
        lambda d: d.update(layout=[]),
    ],
    ids=range(13),
)
def test_descriptions_that_cannot_be_are_refused(
    image: Image, written: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    """With a checksum that is right."""
    assert refused(written, edited(written.read_bytes(), change), image)
