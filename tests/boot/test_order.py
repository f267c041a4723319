"""The order of each release: what the table says, against the functions of real binaries and the boots of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from emu.boot.catalogue import BY_NAME
from emu.boot.order import OLDEST, order, out_of_order
from emu.image.image import load
from tests.booted import UNSTRIPPED, booted

RELEASES = [(1, minor) for minor in range(9, 28)]


@pytest.mark.parametrize("name", [*UNSTRIPPED, "hello-1.27.3-pie", "hello-1.27.3-oldmod"])
def test_a_boot_enters_every_function_in_the_order_of_its_release(binary: Callable[[str], Path], name: str) -> None:
    """Each function of the release's order that the binary has is entered, one after the other, up to mstart."""
    path = binary(name)
    image, record = load(path), booted(path)
    wanted = tuple(function for function in order(image.release) if image.function(function) is not None)
    if record.functions[0].name == "main":  # linked with the C library, which has set FS already (asm_amd64.s, rt0_go)
        wanted = tuple(function for function in wanted if function != "runtime.settls")

    assert record.outcome["at"] == "runtime.mstart"
    assert out_of_order([*(call.name for call in record.functions), "runtime.mstart"], wanted) == []
    assert len(wanted) >= 40


@pytest.mark.parametrize("name", UNSTRIPPED)
def test_nothing_that_the_order_does_not_list_is_entered(binary: Callable[[str], Path], name: str) -> None:
    """The order is complete: a boot enters no catalogued function that its release's list lacks."""
    record = booted(binary(name))
    listed = order(load(binary(name)).release)

    assert {call.name for call in record.functions} - set(listed) == set()


@pytest.mark.parametrize("release", RELEASES, ids=str)
def test_each_order_names_catalogued_functions_once(release: tuple[int, int]) -> None:
    """Every name has its row in the catalogue, for that release, and none stands twice."""
    names = order(release)

    assert len(set(names)) == len(names)
    assert [name for name in names if name not in BY_NAME] == []
    assert [name for name in names if not BY_NAME[name].since <= release <= BY_NAME[name].until] == []


def test_changes_between_releases() -> None:
    """A few of the changes that the release notes and the sources tell of."""
    assert order((1, 9)) == OLDEST
    assert "runtime.getCPUCount" in order((1, 25))
    assert "runtime.getproccount" in order((1, 24))
    older, newer = order((1, 25)), order((1, 26))
    assert older.index("runtime.randinit") > older.index("runtime.mallocinit")
    assert newer.index("runtime.randinit") < newer.index("runtime.mallocinit")
    assert order((1, 99)) == order((1, 27))


def test_a_wrong_order_is_found() -> None:
    """The check names the pair that is the wrong way round, and a function that never ran."""
    assert out_of_order(["a", "b", "a", "c"], ("a", "b", "c")) == []
    assert out_of_order(["b", "a", "c"], ("a", "b", "c")) == [("a", "b")]
    assert out_of_order(["a", "c"], ("a", "b", "c")) == [("a", "b")]
