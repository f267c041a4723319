"""The golden fixture: compares exactly, and rewrites only when asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from fixtures import store

TEST = """
def test_page(golden):
    golden({name!r}, {text!r})


def test_other():
    assert True
"""


def run_pytest(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a test in *folder* that compares ``page.md`` there with *text*, with this repository's conftest."""
    (folder / "conftest.py").write_text((store.ROOT / "tests" / "conftest.py").read_text())
    (folder / "test_it.py").write_text(TEST.format(name=str(folder / "page.md"), text=text))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", *options]
    env = {**os.environ, "PYTHONPATH": str(store.ROOT)}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_golden_file_that_differs_fails_with_the_difference(tmp_path: Path) -> None:
    """One changed line is shown, the file is left as it was."""
    (tmp_path / "page.md").write_text("one\ntwo\n")
    done = run_pytest(tmp_path, "one\n2\n")

    assert done.returncode == 1
    assert "-two" in done.stdout
    assert "+2" in done.stdout
    assert (tmp_path / "page.md").read_text() == "one\ntwo\n"


def test_update_rewrites_and_shows_and_runs_nothing_else(tmp_path: Path) -> None:
    """With the option the file is new, the change was printed, and tests without golden files did not run."""
    done = run_pytest(tmp_path, "one\n2\n", "--update-golden")

    assert "1 passed, 1 deselected" in done.stdout
    assert "+2" in done.stdout
    assert (tmp_path / "page.md").read_text() == "one\n2\n"
    assert "2 passed" in run_pytest(tmp_path, "one\n2\n").stdout
