"""What every test may ask for: fixture binaries by name and compiled native programs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures import store
from fixtures.native import compile_program

ON_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")


@pytest.fixture(scope="session")
def binary() -> Callable[[str], Path]:
    """Return a function from a manifest name ("hello-1.27.3") to an executable's path.

    A binary that a registry does not deliver skips the test with that reason; on CI it fails it.
    """

    def get(name: str) -> Path:
        try:
            return store.path(name)
        except store.FixtureError as error:
            if isinstance(store.fixtures()[name].origin, store.Fetched) and not ON_CI:
                pytest.skip(str(error))
            raise

    return get


@pytest.fixture(scope="session")
def native() -> Callable[..., Path]:
    """Return a function that compiles ``tests/native/NAME.c`` (with extra gcc flags) and returns the program's path.

    Without a compiler the test is skipped; on CI it fails.
    """

    def get(name: str, *flags: str) -> Path:
        if shutil.which("gcc") is None and not ON_CI:
            pytest.skip("gcc is not installed")
        return compile_program(store.ROOT / "tests" / "native" / f"{name}.c", flags)

    return get
