"""What campaigns found in released Go, kept as files: each does the same again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from emu.fuzz.finding import read, tree
from emu.fuzz.replay import Programs, replay
from fixtures import store

FINDINGS = store.ROOT / "fixtures" / "findings"
PATHS = tree(FINDINGS)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.parent.name)
def test_a_known_finding_does_the_same_again(path: Path, binary: Callable[[str], Path]) -> None:
    """Judged from a snapshot, and booted from the entry point."""
    about = read(path).about
    name = next(name for name, fixture in store.fixtures().items() if fixture.sha256 == about.sha256)
    done = replay(path, Programs([binary(name)]))

    assert done.problem == ""


def test_every_known_finding_is_explained() -> None:
    """docs/findings.md has each of them by name."""
    page = (store.ROOT / "docs" / "findings.md").read_text()

    assert [path.parent.name for path in PATHS if f"findings/{path.parent.name}" not in page] == []
