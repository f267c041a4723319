"""House rules that a machine can check: sizes, dependencies, what is packaged, what must not be written down."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.test_layering import ROOT, imports, project

MAX_LINES, MAX_TABLE_LINES, MAX_FUNCTION_LINES = 500, 800, 60
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = [Requirement(text) for text in PYPROJECT["project"]["dependencies"]]
DEV = [Requirement(text) for text in PYPROJECT["project"]["optional-dependencies"]["dev"]]
PINS = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))


def tracked(*patterns: str) -> list[Path]:
    """Return the files of the repository that git knows or would know, by *patterns*."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def long_functions(source: str) -> list[str]:
    """Return "name: lines" for each function of *source* that is longer than the house allows."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                found.append(f"{node.name}: {lines} lines")
    return found


def test_files_and_functions_stay_readable() -> None:
    """No source file outgrows 500 lines (800 for a pure table), no function 60."""
    found = []
    for path in tracked("*.py"):
        source = path.read_text()
        limit = MAX_TABLE_LINES if path.stem in ("table", "tables", "catalogue") else MAX_LINES
        if source.count("\n") > limit:
            found.append(f"{path.relative_to(ROOT)}: {source.count(chr(10))} lines")
        found += [f"{path.relative_to(ROOT)}: {entry}" for entry in long_functions(source)]

    assert found == []


def test_a_long_function_is_found() -> None:
    """The check sees a function of 61 lines, and not one of 60."""
    body = "    x = 1\n"
    assert long_functions("def f():\n" + body * 59) == []
    assert long_functions("def f():\n" + body * 60) == ["f: 61 lines"]


def test_every_dependency_is_imported_somewhere() -> None:
    """Nothing is installed on a user's machine that no module imports; test_layering.py has the other direction."""
    used = {entry.target.partition(".")[0] for name, text in project().items() for entry in imports(name, text)}

    assert {requirement.name for requirement in RUNTIME} - used == set()


@pytest.mark.parametrize("requirement", [*RUNTIME, *DEV], ids=str)
def test_pinned_version_lies_in_the_declared_range(requirement: Requirement) -> None:
    """What CI installs is something that a user may install."""
    assert PINS[requirement.name] in requirement.specifier


def test_package_data_is_there() -> None:
    """Each pattern of package data names at least one file, and the bundled program may be executed."""
    for package, patterns in PYPROJECT["tool"]["setuptools"]["package-data"].items():
        for pattern in patterns:
            assert list((ROOT / package).glob(pattern)), f"{package}/{pattern}"
    assert (ROOT / "emu" / "bundled" / "hello").stat().st_mode & 0o111 == 0o111


def test_every_package_folder_is_a_package() -> None:
    """A folder of sources without __init__.py would be left out of the wheel."""
    folders = {path.parent for top in ("emu", "syscalls") for path in (ROOT / top).rglob("*.py")}

    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_make_lists_every_command() -> None:
    """`make help` explains each phony target but itself's stamp."""
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    listed = subprocess.run(["make", "-C", str(ROOT), "-s", "help"], capture_output=True, text=True, check=True).stdout

    assert re.findall(r"make ([\w-]+)", listed) == phony.split()


def test_packages_script_is_silent_when_nothing_is_missing() -> None:
    """The second `make` is instant because what is there is not installed again."""
    done = subprocess.run([ROOT / ".ci" / "packages", "sh", "ls"], capture_output=True, text=True, check=True)

    assert done.stdout + done.stderr == ""


def test_packages_script_says_what_to_install(tmp_path: Path) -> None:
    """Without apt-get it names the Debian packages of the missing commands and goes on."""
    for tool in ("id", "sh"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    done = subprocess.run(
        [ROOT / ".ci" / "packages", "sh", "qemu-x86_64", "cc"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": str(tmp_path)},
    )

    assert "not installed: qemu-user gcc libc6-dev" in done.stderr


def test_nothing_of_one_machine_is_written_down() -> None:
    """No absolute path of a build machine and no package index stands in the repository's text."""
    here = "|".join(re.escape(str(folder)) for folder in (ROOT, Path.home()) if len(folder.parts) > 2)
    folders = "|".join(filter(None, (here, r"/(?:work|root)/\w")))  # an invented /home/someone is no machine's
    index = r"--(?:extra-)?index-url|\bhttps?://[^\s/]*(?:pypi|npmjs|mirror)"
    pattern = re.compile(rf"(?:^|[\s\"'(=])(?:{folders})|{index}")
    found = []
    for path in tracked():
        if path.suffix not in (".xz", "") and path != Path(__file__):
            lines = path.read_text(errors="replace").splitlines()
            found += [f"{path.relative_to(ROOT)}:{n}" for n, line in enumerate(lines, 1) if pattern.search(line)]

    assert found == []
