"""What every test may ask for: fixture binaries by name and compiled native programs."""

from __future__ import annotations

import difflib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures import store
from fixtures.native import compile_program

UPDATE = "--update-golden"
ON_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")


def delivered(path: Callable[[str], Path], name: str) -> Path:
    """What *path* returns for *name*; where a registry does not deliver it the test is skipped, and on CI fails."""
    try:
        return path(name)
    except store.FixtureError as error:
        if ON_CI:
            raise
        pytest.skip(str(error))


def busybox_path() -> str:
    """Where busybox is; where it is not installed the test is skipped, and on CI fails."""
    found = shutil.which("busybox")
    if found is None:
        assert not ON_CI, "busybox is not installed"
        pytest.skip("busybox is not installed (apt-get install busybox-static)")
    return found


@pytest.fixture(scope="session")
def busybox() -> str:
    """Return the path of a shell with the ordinary commands, which needs no library."""
    return busybox_path()


@pytest.fixture(scope="session")
def binary() -> Callable[[str], Path]:
    """Return a function from a manifest name ("hello-1.27.3") to an executable's path.

    A binary that a registry does not deliver skips the test with that reason; on CI it fails it.
    """

    def get(name: str) -> Path:
        is_fetched = isinstance(store.fixtures()[name].origin, store.Fetched)
        return delivered(store.path, name) if is_fetched else store.path(name)

    return get


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that rewrites what the ``golden`` fixture compares with."""
    parser.addoption(UPDATE, action="store_true", help="rewrite golden files and generated pages, showing the change")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """When golden files are to be rewritten, run only the tests that have some."""
    if config.getoption(UPDATE):
        others = [item for item in items if "golden" not in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


@pytest.fixture
def golden(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Callable[[str, str], None]:
    """Return a function that asserts that the file *name*, relative to the repository, holds exactly *text*.

    With ``--update-golden`` (``make golden``) it prints the difference and rewrites the file instead.
    """

    def check(name: str, text: str) -> None:
        path = store.ROOT / name
        old = path.read_text() if path.exists() else ""
        lines = difflib.unified_diff(old.splitlines(), text.splitlines(), f"{name} now", f"{name} new", lineterm="")
        change = "\n".join(lines)
        if request.config.getoption(UPDATE) and old != text:
            with capsys.disabled():
                print(f"\n{change}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        else:
            assert old == text, f"{name} is not current; `make golden` rewrites it:\n{change}"

    return check


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
