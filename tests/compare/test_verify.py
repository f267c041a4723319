"""``verify`` finds what is wrong: emulated runs that were broken on purpose, and the command's exit statuses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from emu.cli.main import main
from emu.compare import verify as module
from emu.compare.causes import CAUSES, IMPOSED, LAYOUT
from emu.compare.text import lines
from emu.compare.verify import verify
from emu.image.image import load
from fixtures.store import ROOT
from syscalls.cpuset import CpuSet
from syscalls.world import World

Paths = Callable[[str], Path]
NAME = "hello-1.21.13"  # the shortest boot


def other_mask(world: World) -> World:
    """One more CPU in the affinity mask than the native program has."""
    return replace(world, cpus=CpuSet(world.cpus.mask | 1 << world.possible.highest))


def larger_pages(world: World) -> World:
    """Pages four times as large."""
    return replace(world, page_size=world.page_size * 4)


def no_such_pages(world: World) -> World:
    """A page size that the runtime refuses."""
    return replace(world, page_size=12288)


def lower_mappings(world: World) -> World:
    """Mappings begin five pages lower."""
    return replace(world, memory=replace(world.memory, mmap_base=world.memory.mmap_base - 5 * 4096))


def test_a_flipped_bit_of_the_mask_is_found(binary: Paths) -> None:
    """The first difference is the mask that getproccount got, and then the count that osinit kept."""
    path = binary(NAME)
    cpu = min(os.sched_getaffinity(0))
    verdict = verify(load(path), path, cpus=[cpu], alter=other_mask)

    assert not verdict.ok
    assert verdict.first is not None
    assert (verdict.first.kind, verdict.first.function) == ("system call", "runtime.getproccount")
    found = {one.name: (one.emulated, one.native, one.function) for one in verdict.differences}
    assert found["runtime.ncpu"] == (2, 1, "runtime.osinit")
    text = "\n".join(lines(verdict))
    assert "the first was computed by runtime.getproccount" in text
    assert "runtime.ncpu, in runtime.osinit" in text


def test_a_boot_that_ends_early_is_found(binary: Paths) -> None:
    """The runtime throws here and goes on there; what made it throw stands first."""
    path = binary(NAME)
    verdict = verify(load(path), path, alter=no_such_pages)

    assert verdict.first is not None
    assert (verdict.first.name, verdict.first.function) == ("runtime.physPageSize", "runtime.sysauxv")
    (end,) = (one for one in verdict.differences if one.kind == "end")
    assert (end.emulated, end.native) == ("exit status 2", "runtime.mstart")


def test_addresses_are_compared_by_what_they_point_at(binary: Paths) -> None:
    """Where every mapping lies elsewhere, the addresses of mappings have a cause and all else is equal."""
    path = binary(NAME)
    verdict = verify(load(path), path, alter=lower_mappings)

    assert verdict.differences == ()
    assert verdict.causes[LAYOUT] > 10
    compared, equal = verdict.compared, verdict.equal
    words = (compared["bytes of heap and stack"] - equal["bytes of heap and stack"]) // 8
    assert words > 0
    assert equal["leaves"] + verdict.causes[LAYOUT] - words == compared["leaves"]
    assert verdict.equal["leaves without an address"] == verdict.compared["leaves without an address"]


@pytest.mark.parametrize(("cpus", "beyond"), [("60000-60000", "60000"), ("8000-8001,9000", "8000-8001,9000")])
def test_cpus_that_the_host_has_not(capsys: pytest.CaptureFixture[str], cpus: str, beyond: str) -> None:
    """The kernel would take what there is of the mask, and the comparison would be of something else."""
    before = os.sched_getaffinity(0)

    assert main(["verify", "--cpus", cpus]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"rt0: --cpus: {cpus}: this host allows CPUs ")
    assert errors.endswith(f" only, not {beyond}\n")
    assert os.sched_getaffinity(0) == before


def test_command_agrees(binary: Paths, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Status 0, the table on the screen, and all of it as JSON in a file."""
    target = tmp_path / "verdict.json"

    assert main(["verify", str(binary(NAME)), f"--json={target}", "--env", "GOGC=off", "--", "-x"]) == 0
    out, errors = capsys.readouterr()
    assert errors == ""
    assert "nothing differs without a cause" in out
    found = json.loads(target.read_text())
    assert found["schema"] == "rt0.verify/1"
    assert found["ok"] is True
    assert found["differences"] == []
    assert found["causes"].keys() == CAUSES.keys()
    assert found["world"]["argv"] == [NAME, "-x"]
    assert "GOGC=off" in found["world"]["env"]


def test_command_disagrees(binary: Paths, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Status 1, and the differences in the JSON on standard output: sysauxv is the first that shows the page size."""
    monkeypatch.setattr(module, "verify", partial(verify, alter=larger_pages))

    assert main(["verify", str(binary(NAME)), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is False
    assert found["differences"][0] == {
        "kind": "leaf",
        "name": "runtime.physPageSize",
        "emulated": 16384,
        "native": 4096,
        "function": "runtime.sysauxv",
    }


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["verify", "--", "x"],
            "rt0: 'x' after -- would be an argument of the bundled hello; a program goes before --",
        ),
        (["verify", "/bin/true"], "rt0: /bin/true: "),
        (["verify", "/no/such"], "rt0: /no/such: no such file or directory"),
        (["verify", "x", "--cpus", "0-"], "rt0: --cpus: '0-' is not a list of CPUs"),
        (["verify", "x", "--env", "A"], "rt0: --env: 'A' is not NAME=VALUE"),
    ],
)
def test_bad_usage_is_one_line(capsys: pytest.CaptureFixture[str], argv: list[str], message: str) -> None:
    """Status 2 and one line that says what is wrong."""
    assert main(argv) == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith(message)
    assert errors.count("\n") == 1


def test_other_systems_are_told(
    binary: Paths, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 2 where there is no Linux on x86-64 to be the judge."""
    monkeypatch.setattr("platform.machine", lambda: "aarch64")

    assert main(["verify", str(binary(NAME))]) == 2
    assert capsys.readouterr().err == "rt0: native runs need Linux on x86-64; this is linux on aarch64\n"


def test_page_names_every_cause() -> None:
    """docs/verify.md lists what is excused, what is taken away, and nothing else."""
    page = (ROOT / "docs" / "verify.md").read_text()
    sections = dict(part.split("\n", 1) for part in page.split("\n## ")[1:])

    def first_column(title: str) -> list[str]:
        rows = [line for line in sections[title].splitlines() if line.startswith("|")]
        return [row.split("|")[1].strip() for row in rows[2:]]

    assert first_column("Differences with a cause") == list(CAUSES)
    assert first_column("What is told to both machines") == list(IMPOSED)
