"""Every command that the README or a page of docs/ shows is run, and does what is said of it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from docs.generate import boxes, console, pages
from docs.generate.subjects import PROGRAMS, subject
from emu.cli.main import COMMANDS, main
from syscalls.worldfile import bundled, from_toml
from tests.conftest import ON_CI

ROOT = pages.DOCS.parent
PAGES = sorted((ROOT / "README.md", *pages.DOCS.glob("*.md")))
SHOWN = {command.line: command for page in PAGES for command in console.commands(page.read_text())}
ESBUILD = PROGRAMS["old"][2]


@pytest.fixture
def clone(tmp_path: Path, binary: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder like a reader's: a clone's docs, and the program from npm unpacked beside them."""
    program = tmp_path / ESBUILD
    program.parent.mkdir(parents=True)
    program.symlink_to(binary(PROGRAMS["old"][0]))
    (tmp_path / "docs").symlink_to(pages.DOCS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_pages_show_commands() -> None:
    """The pages are found, and so are their commands."""
    assert {"README.md", "walk.md", "world.md", "record.md"} <= {page.name for page in PAGES}
    assert len(SHOWN) >= 30


@pytest.mark.parametrize("line", SHOWN)
def test_command_ends_as_the_page_says(line: str, clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its exit status is 0 or the one behind it, and it says nothing on standard error."""
    assert clone.is_dir()
    command = SHOWN[line]

    status = main(command.words[1:])

    assert (status, capsys.readouterr().err) == (command.status, "")


VARYING = [line for line in SHOWN if line.startswith("rt0 boot") and "--world walk" in line and "--json" not in line]


@pytest.mark.parametrize("line", VARYING)
def test_command_gives_the_record_that_the_page_tells_of(
    line: str, clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a reader's own run shows is, byte for byte, what the page was made from."""
    assert clone.is_dir()
    words = SHOWN[line].words[2:]
    key = "old" if words[0] == ESBUILD else "new"
    options = words[words.index("walk") + 1 :]

    main(["boot", *words, "--json"])

    assert json.loads(capsys.readouterr().out) == subject(key, tuple(boxes.settings(options))).record


def test_readme_is_current(golden: Callable[[str, str], None]) -> None:
    """Its screens are what the commands print, its table has every command; ``make docs`` rewrites both."""
    if shutil.which("jq") is None and not ON_CI:
        pytest.skip("jq is not installed")
    golden("README.md", pages.readme())


def test_changed_screen_is_noticed() -> None:
    """A console block whose output differs is put right, and a command that fails is an error."""
    block = "```console\n$ rt0 --version\nrt0 0.0.0\n```\n"

    assert console.refreshed(block, console.shell) == "```console\n$ rt0 --version\nrt0 0.1.0\n```\n"
    with pytest.raises(console.CommandFailed, match="unknown key"):
        console.shell("rt0 boot --set cpu=3 | head")


def test_readme_names_the_commands_that_exist() -> None:
    """No other ``rt0`` command is promised anywhere in the README."""
    named = set(re.findall(r"(?:^|`|\$ )rt0 ([a-z]+)", (ROOT / "README.md").read_text(), re.MULTILINE))

    assert named - {"boots"} == set(COMMANDS)


def test_world_files_of_the_docs_are_worlds() -> None:
    """Each file in docs/worlds reads without complaint, and the README shows the example as it is."""
    files = {path.name: path.read_text() for path in (pages.DOCS / "worlds").glob("*.toml")}

    assert all(from_toml(text) for text in files.values())
    assert f"```toml\n{files['example.toml']}```" in (ROOT / "README.md").read_text()


def test_paths_and_targets_that_pages_name_exist() -> None:
    """Files in backticks and links are there; so is every make target."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named: set[str] = set()
    for page in PAGES:
        text = page.read_text()
        paths = re.findall(r"`((?:emu|syscalls|docs|tests|fixtures|bench)/[\w./-]+)`", text)
        links = re.findall(r"\]\((?!http)([\w./-]+)\)", text)
        named |= set(re.findall(r"(?:^make |`make\s|^make .* {2,}make )([a-z-]+)", text, re.MULTILINE))

        assert [path for path in paths if not (ROOT / path).exists() and "NAME" not in path] == [], page.name
        assert [link for link in links if not (page.parent / link).exists()] == [], page.name
    assert {"boot", "docs", "test-fuzz", "suites"} <= named <= targets


OF_OTHERS = {"--check"}  # `python -m bench.fuzzing --check`


def test_options_that_pages_name_exist(capsys: pytest.CaptureFixture[str]) -> None:
    """Behind a command those of that command; alone, those of some command."""
    options: dict[str, set[str]] = {}
    for words in (*([name] for name in COMMANDS), ["bench", "record"], ["bench", "compare"]):
        assert main([*words, "--help"]) == 0
        options[" ".join(words)] = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
    options["bench"] |= options["bench record"] | options["bench compare"]
    shown = 0
    for page in PAGES:
        for line in page.read_text().splitlines():
            for command, rest in re.findall(r"\brt0 (bench record|bench compare|[a-z]+)\b((?:(?!\brt0 )[^`|])*)", line):
                named = set(re.findall(r"(?<!\S)\[?(--[a-z][a-z-]*)", rest.partition(" -- ")[0]))
                assert named <= options.get(command, set()), (page.name, line)
                shown += len(named)
            alone = set(re.findall(r"`(--[a-z][a-z-]*)", line))
            assert alone <= set().union(*options.values()) | OF_OTHERS, (page.name, line)
    assert shown > 50


def test_bundled_world_of_the_walk() -> None:
    """The World that the commands name comes with the program."""
    assert "walk" in bundled()
