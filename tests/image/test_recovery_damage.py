"""Damaged stripped programs: nothing but our refusals, within time and memory, and nothing shown at a wrong place."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from emu.image import Image, parse
from emu.image.buildinfo import MAGIC
from tests.image.samples import leaves, without_sections
from tests.image.test_damage import damages

COUNT = 1000 if os.environ.get("RT0_TEST_DAMAGE") else 8  # damages of each of five parts, of each of four releases


@pytest.mark.parametrize("name", ["esbuild-0.1.0", "hello-1.19.8", "hello-1.24.11", "hello-1.27.3"])
def test_damages_are_survived_and_mislead_nobody(name: str, binary: Callable[[str], Path]) -> None:
    """Of build info, pclntab, moduledata and type descriptors; `make test-damage` tries 20,000."""
    report = damages("damage_recovery", binary(name), 1, COUNT)

    assert report["misplaced"] == "", report["misplaced"]
    assert [sum(ends.values()) for ends in report["outcomes"].values()] == [COUNT] * 5
    assert report["outcomes"]["build info"]["recovered"] == COUNT  # a lie about the release costs some of the variables


@pytest.mark.parametrize("stated", ["go1.27.2", "go1.24.3", "go1.12.3", "go1.18.3", "go1.99.3"])
def test_a_lie_about_the_release_misleads_nobody(
    stated: str, binary: Callable[[str], Path], image: Callable[[str], Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program is looked at with other releases' references: what is shown is still where it is."""
    monkeypatch.setenv("RT0_CACHE", "off")
    data = bytearray(without_sections(binary("hello-1.27.3").read_bytes()))
    at = data.index(b"go1.27.3", data.index(MAGIC))
    data[at : at + 8] = stated.encode()

    liar = parse(bytes(data), "liar")

    assert liar.go == stated
    assert leaves(liar.layouts).items() <= leaves(image("hello-1.27.3").layouts).items()
    assert bool(leaves(liar.layouts)) == (stated != "go1.12.3")  # with which 1.27 shares no code
