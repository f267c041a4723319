"""Output to devices and pipes: they are written to, never replaced."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from emu.cli.main import main
from tests.booted import BUNDLED

RT0 = Path(sys.executable).with_name("rt0")


@pytest.mark.parametrize("option", ["--json"])
def test_a_pipe_receives_the_record_and_stays_a_pipe(tmp_path: Path, option: str) -> None:
    """As in ``rt0 boot --json >(jq .)``; a file renamed over it would have taken its place."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()

    status = main(["boot", "--quiet", option, str(pipe)])
    reader.join(timeout=60)

    assert status == 0
    assert received[0].startswith(b'{"binary":')
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes device nodes")
def test_a_device_stays_a_device(tmp_path: Path) -> None:
    """A null device as the target of --json."""
    device = tmp_path / "null"
    try:
        os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        device.write_bytes(b"")
    except PermissionError:
        pytest.skip("this container makes no device nodes")

    assert main(["boot", "--quiet", "--json", str(device)]) == 0
    assert stat.S_ISCHR(device.stat().st_mode)


def test_a_link_is_followed(tmp_path: Path) -> None:
    """The file behind a symbolic link is written; the link stays."""
    (tmp_path / "link").symlink_to(tmp_path / "file")

    assert main(["boot", "--quiet", "--json", str(tmp_path / "link")]) == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes().startswith(b'{"binary":')


@pytest.mark.parametrize("option", ["boot --json", "run --record", "sweep --no-store --jobs 1 --quiet --csv"])
def test_a_process_substitution_receives_the_output(tmp_path: Path, option: str) -> None:
    """``>(...)`` is a name below /dev/fd: the pipe behind it has none of its own."""
    got = tmp_path / "got"
    reader, writer = os.pipe()
    with open(got, "wb") as sink:
        copying = subprocess.Popen(["cat"], stdin=reader, stdout=sink)
    done = subprocess.run(
        [RT0, *option.split(), f"/dev/fd/{writer}", BUNDLED], pass_fds=[writer], capture_output=True, check=False
    )
    os.close(reader)
    os.close(writer)

    assert (done.returncode, done.stderr) == (0, b"")
    assert copying.wait(60) == 0
    assert got.stat().st_size > 100


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes device nodes")
@pytest.mark.parametrize("option", ["--record", "--strace"])
def test_what_a_run_writes_leaves_a_device_in_its_place(tmp_path: Path, option: str) -> None:
    """A full disk: written to, not replaced by a file of its name; the line names it, and not the program."""
    device = tmp_path / "full"
    try:
        os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 7))
        device.open("rb").close()
    except PermissionError:
        pytest.skip("this container makes no device nodes")

    done = subprocess.run([RT0, "run", option, device, BUNDLED], capture_output=True, check=False)

    assert done.returncode == 2
    assert done.stderr == f"rt0: {option}: {device}: no space left on device\n".encode()
    assert stat.S_ISCHR(device.stat().st_mode)
    assert list(tmp_path.iterdir()) == [device]
