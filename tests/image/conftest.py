"""Images of the fixture binaries, analysed once a session into a cache of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from emu.image import Image, load


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before = os.environ.get("RT0_CACHE")
    os.environ["RT0_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["RT0_CACHE"]
    else:
        os.environ["RT0_CACHE"] = before


@pytest.fixture(scope="session")
def image(binary: Callable[[str], Path]) -> Callable[[str], Image]:
    """Return a function from a fixture's name to its Image."""
    return cache(lambda name: load(binary(name), dynamic=True))
