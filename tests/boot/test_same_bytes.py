"""The same image in the same World gives the same bytes: whoever runs it, where, when, and on which engine."""

from __future__ import annotations

import ast
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from emu.boot.boot import boot
from emu.cli.main import main
from emu.image.image import load
from fixtures import store
from syscalls.worldfile import from_toml, to_toml
from syscalls.worldfile import load as load_world
from tests.boot.digests import WORLDS, digests
from tests.booted import UNSTRIPPED, boot_in, image_of

NOBODY = 65534
DEFAULT = ("--default",)
SOME = ("esbuild-0.1.0", "hello-1.21.13", "hello-1.27.3", "hello-1.27.3-pie", "hello-1.27.3-stripped")
ALL = (*UNSTRIPPED, *SOME[3:], "hello-1.27.3-oldmod", "hello-1.21.13-pie", "hello-1.24.11-pie")
HOST = {"calendar", "datetime", "getpass", "grp", "locale", "platform", "pwd", "random", "sched", "secrets", "socket"}
HOST |= {"tempfile", "time", "uuid"}
"""Modules that say something about the host or the moment."""


def in_a_process(
    paths: list[Path], environment: dict[str, str] | None = None, cwd: Path = store.ROOT, options: tuple[str, ...] = ()
) -> dict[str, str]:
    """The digests that another process finds."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.boot.digests", *options, *paths],
        capture_output=True, text=True, check=True, cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(store.ROOT), **(environment or {})},
    )  # fmt: skip
    found: dict[str, str] = json.loads(run.stdout)
    return found


@pytest.fixture(scope="module")
def paths(binary: Callable[[str], Path]) -> list[Path]:
    """The programs that most of these tests boot."""
    return [binary(name) for name in SOME]


@pytest.fixture(scope="module")
def here(paths: list[Path]) -> dict[str, str]:
    """The digests that this process finds."""
    return digests([str(path) for path in paths])


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may read and write."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


@pytest.mark.parametrize("name", UNSTRIPPED)
def test_twice_in_one_process(binary: Callable[[str], Path], name: str) -> None:
    """With the same Image, with one loaded anew, and with boots of other Worlds in between."""
    image, world = image_of(binary(name)), load_world(None)
    first = boot(image, world).to_json()
    boot(image, load_world(None, ("cpus=7", "page-size=0")))

    assert boot(image, world).to_json() == first
    assert boot(load(binary(name)), load_world(None)).to_json() == first


def test_worlds_differ(here: dict[str, str]) -> None:
    """The digests are of something: no two Worlds and no two programs have the same."""
    assert len(set(here.values())) == len(here) == len(SOME) * len(WORLDS)


def test_two_processes(paths: list[Path], here: dict[str, str]) -> None:
    """Another process, at another moment, finds the same."""
    assert in_a_process(paths) == here


def test_accelerator_on_and_off(binary: Callable[[str], Path], paths: list[Path], here: dict[str, str]) -> None:
    """Counting inside the engine or by hooks: every fixture in the default World, some in every World."""
    everything = [binary(name) for name in ALL]
    off, on = ({"RT0_ACCEL": "0"}, {"RT0_ACCEL": "1"})

    assert in_a_process(everything, off, options=DEFAULT) == in_a_process(everything, on, options=DEFAULT)
    assert in_a_process(paths[1:3], off).items() <= here.items()


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONHASHSEED": "1", "TZ": "Asia/Kolkata", "LANG": "de_DE.UTF-8", "LC_ALL": "tr_TR.UTF-8"},
        {
            "PYTHONHASHSEED": "2",
            "TZ": "America/St_Johns",
            "LC_ALL": "C",
            "PYTHONUTF8": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        {
            "GODEBUG": "cpu.all=off",
            "GOMAXPROCS": "9",
            "GOGC": "1",
            "GOTRACEBACK": "crash",
            "USER": "x",
        },
        {"PYTHONOPTIMIZE": "2", "COLUMNS": "20", "NO_COLOR": "1"},
    ],
    ids=["hash seed, zone and language", "others", "variables that Go reads", "Python's options"],
)
def test_another_environment(paths: list[Path], here: dict[str, str], environment: dict[str, str]) -> None:
    """Nothing of this process's environment reaches the guest or the record."""
    assert in_a_process(paths, environment) == here


def test_another_folder_and_another_path(paths: list[Path], here: dict[str, str], tmp_path: Path) -> None:
    """Copies of the programs, under the same names elsewhere, run from elsewhere."""
    copies = [Path(shutil.copy(path, tmp_path)) for path in paths]

    assert in_a_process(copies, cwd=tmp_path) == here
    relative = [Path(path.name) for path in copies]
    assert in_a_process(relative, cwd=tmp_path, options=DEFAULT).items() <= here.items()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user(paths: list[Path], here: dict[str, str], open_folder: Path) -> None:
    """Nobody, without a cache of root's."""
    copies = [Path(shutil.copy(path, open_folder)) for path in paths]

    assert in_a_process(copies, {"RT0_CACHE": str(open_folder / "cache")}, options=("--drop-to", str(NOBODY))) == here


def test_a_cold_cache_a_warm_one_and_none(paths: list[Path], here: dict[str, str], tmp_path: Path) -> None:
    """What the analysis finds and what the cache gives back are the same."""
    cached, uncached = {"RT0_CACHE": str(tmp_path / "cache")}, {"RT0_CACHE": "off"}
    cold = in_a_process(paths, cached, options=DEFAULT)
    assert any((tmp_path / "cache").rglob("*"))
    warm, without = (in_a_process(paths, environment, options=DEFAULT) for environment in (cached, uncached))

    assert cold == warm == without
    assert cold.items() <= here.items()


def test_no_trace_of_the_host(binary: Callable[[str], Path], tmp_path: Path) -> None:
    """Neither paths of this machine nor its name are in a record, bound folders included."""
    (tmp_path / "secret-name").write_text("shown to the guest")
    world = replace(load_world(None), binds=((str(tmp_path), "/mnt", False),))
    text = boot_in(binary("hello-1.27.3"), world).to_json()

    for word in (str(tmp_path), str(Path.home() / ".cache"), str(store.ROOT), f'"{socket.gethostname()}"', sys.prefix):
        assert word not in text, word


@pytest.mark.parametrize("package", ["syscalls", "emu/machine", "emu/boot"])
def test_nothing_asks_the_host(package: str) -> None:
    """No module on the way to a record imports what tells the time, draws numbers or knows the host."""
    found = []
    for path in (store.ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                names = [f"{node.value.id}.{node.attr}"] if (node.value.id, node.attr) == ("os", "urandom") else []
            else:
                continue
            found += [
                f"{path.relative_to(store.ROOT)}: {name}" for name in names if name in HOST or name == "os.urandom"
            ]

    assert found == []


def test_three_ways_to_say_a_world(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Short options, --set and a TOML file that spell the same World give the same JSON."""
    (tmp_path / "world.toml").write_text(
        'cpus = "0,2-3,64"\npage-size = 16384\nseed = 5\nthp = "absent"\nenv = ["A=b"]\n'
        "[limits]\ninstructions = 1000000\n"
    )
    short = ["--cpus", "0,2-3,64", "--page-size", "16384", "--seed", "5", "--thp", "absent"]
    short += ["--max-instructions", "1000000", "--set", 'env=["A=b"]']
    keys = ["cpus=0,2-3,64", "page-size=16KiB", "seed=5", "thp=absent", 'env=["A=b"]', "limits.instructions=1_000_000"]
    texts = []
    for options in (
        short,
        [word for key in keys for word in ("--set", key)],
        ["--world", str(tmp_path / "world.toml")],
    ):
        assert main(["boot", "--json", *options]) == 0
        texts.append(capsys.readouterr().out)

    assert texts[0] == texts[1] == texts[2]
    record = json.loads(texts[0])
    assert record["globals"]["runtime.numCPUStartup"] == 4
    assert record["globals"]["runtime.physHugePageSize"] == 0


@pytest.mark.parametrize("name", WORLDS)
def test_a_world_written_and_read_again(name: str) -> None:
    """The TOML that a World is written as boots to the same bytes."""
    world = load_world(None, WORLDS[name])

    assert boot_in(None, from_toml(to_toml(world))).to_json() == boot_in(None, world).to_json()


def test_json_is_sorted_and_stable(capsys: pytest.CaptureFixture[str]) -> None:
    """Keys stand in order, at every level, so that equal records are equal texts."""
    assert main(["boot", "--json"]) == 0
    text = capsys.readouterr().out

    assert json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False) == text.rstrip("\n")
