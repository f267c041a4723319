"""``--until exit``: whole programs, whose own files may hold anything."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from emu.boot.boot import END
from emu.cli.main import main
from emu.fuzz import grammar
from emu.fuzz.plan import CONTENTS, Answer, Plan
from emu.fuzz.target import Target
from emu.image.image import load
from syscalls.world import File, World
from syscalls.worldfile import load as load_world

Binary = Callable[[str], Path]
CONFIG = "/etc/initbug.conf"
BREAKS = b"v2: q"
NIL = "runtime error: invalid memory address or nil pointer dereference"


def world(content: bytes = b"v1\n") -> World:
    return World(files=(File(CONFIG, content),))


def test_a_file_of_the_world_may_hold_anything(binary: Binary) -> None:
    """What breaks the program in a run of its own breaks it in the search's runs, and nothing else does."""
    target = Target(load(binary("initbug-1.27.3")), world(), "runtime.main", END)
    row = grammar.FILE_ROWS[CONFIG]
    kinds = {}
    for content in (b"", b"v1", b"v2: x", BREAKS, b"xxxxxxxx"):
        result = target.run(Plan((Answer(row, 0, CONTENTS, content),)))
        kinds[content] = (result.outcome["kind"], result.outcome["message"])

    assert row >= grammar.OF_GO
    assert kinds.pop(BREAKS) == ("throw", NIL)
    assert {kind for kind, _ in kinds.values()} == {"reached"}


def test_rows_of_files_go_with_their_target(binary: Binary) -> None:
    """Those of a program before are no more."""
    image = load(binary("initbug-1.27.3"))
    known = len(grammar.ROWS) if CONFIG not in grammar.FILE_ROWS else grammar.OF_GO
    Target(image, world(), "runtime.main", END)
    assert len(grammar.ROWS) == known + 1
    Target(image, World(), "runtime.main", END)
    assert len(grammar.ROWS) == grammar.OF_GO
    assert CONFIG not in grammar.FILE_ROWS


def test_a_campaign_finds_what_an_init_breaks_on(binary: Binary, tmp_path: Path) -> None:
    """Two comparisons deep, from a file that is short; the World of the finding breaks the program again."""
    path, out, given = binary("initbug-1.27.3"), tmp_path / "campaign", tmp_path / "files.toml"
    given.write_text(f'[[file]]\npath = "{CONFIG}"\ncontent = "v1\\n"\n')
    options = ["--from", "main.init.0", "--until", "exit", "--world", str(given), "--seed", "1", "--max-runs", "3000"]
    assert main(["fuzz", str(path), *options, "--quiet", "--out", str(out)]) == 0

    worlds = [load_world(str(file)) for file in sorted(out.glob("findings/*/world.toml"))]
    contents = [file.content for one in worlds for file in one.files if file.path == CONFIG]
    breaking = [content for content in contents if content is not None and content.startswith(BREAKS)]
    assert breaking
    again = next(
        str(finding)
        for finding in sorted(out.glob("findings/*/world.toml"))
        if any(file.content in breaking for file in load_world(str(finding)).files)
    )
    assert main(["run", "--world", again, str(path)]) == 2


def test_the_planted_bug_is_one_natively(binary: Binary, tmp_path: Path) -> None:
    """The fixture's bug is the program's own: it breaks on this machine as well, where it may read such a file."""
    config = tmp_path / "initbug.conf"
    statuses, said = {}, {}
    for content in (b"v1\n", b"v2: x", BREAKS):
        config.write_bytes(content)
        env = {"INITBUG_CONFIG": str(config)}
        done = subprocess.run([binary("initbug-1.27.3")], env=env, capture_output=True, text=True, check=False)
        statuses[content], said[content] = done.returncode, done.stderr
    assert statuses == {b"v1\n": 0, b"v2: x": 0, BREAKS: 2}
    assert f"panic: {NIL}" in said[BREAKS]


def test_a_program_that_runs_others_begins_anew_each_time(binary: Binary, monkeypatch: pytest.MonkeyPatch) -> None:
    """No snapshot leads back from several processes: the runs are alike all the same, and no defect is made of it."""
    monkeypatch.setattr("emu.fuzz.target.WORTH", 2)
    image = load(binary("processes-1.27.3"))
    target = Target(image, replace(World(), argv=("processes", "/nothing")), until=END)
    first, *others = [target.run(Plan()) for _ in range(4)]

    assert (first.outcome["kind"], first.stack) == ("reached", ())
    assert len({call.tid for call in first.calls if call.name == "execve" and not call.result}) > 10
    for other in others:
        assert (other.outcome, other.calls, other.instructions) == (first.outcome, first.calls, first.instructions)
