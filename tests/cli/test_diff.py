"""``rt0 diff``: exit status 0 whether or not records differ, 2 and one line for what is no record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emu.cli.main import main
from tests.booted import booted

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def two(tmp_path: Path) -> tuple[str, str]:
    """Paths of the records of the bundled hello on 2 and on 3 CPUs."""
    a, b = tmp_path / "a.json", tmp_path / "b.json"
    a.write_text(booted().to_json())
    b.write_text(booted(None, "cpus=3").to_json())
    return str(a), str(b)


def test_text_by_default(two: tuple[str, str], capsys: Capture) -> None:
    assert main(["diff", *two]) == 0

    assert "ncpu  2 CPUs -> 3 CPUs  <- World: cpus" in capsys.readouterr().out


def test_all_folds_nothing(two: tuple[str, str], capsys: Capture) -> None:
    assert main(["diff", *two, "--all"]) == 0

    assert "(--all)" not in capsys.readouterr().out


def test_json_alone_on_standard_output(two: tuple[str, str], capsys: Capture, golden: object) -> None:
    """One line with sorted keys, of the parts that scripts rely on."""
    assert main(["diff", *two, "--json"]) == 0

    out = capsys.readouterr().out
    found = json.loads(out)
    assert out == json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    assert callable(golden)
    golden("tests/cli/diff-shape.txt", "\n".join(sorted(shape(found))) + "\n")


def shape(value: object, path: str = "") -> set[str]:
    """Each path of *value* with the JSON type that stands there; elements of a list share one path."""
    if isinstance(value, dict) and path.count(".") < 4:
        return {line for name, inner in value.items() for line in shape(inner, f"{path}.{name}")} or {f"{path} {{}}"}
    if isinstance(value, list):
        return {line for inner in value for line in shape(inner, f"{path}[]")} or {f"{path} []"}
    if path.endswith((".value", ".after", ".before", "[].a", "[].b")):
        return {f"{path} any"}
    return {f"{path} {type(value).__name__}"}


def test_json_into_a_file(two: tuple[str, str], tmp_path: Path, capsys: Capture) -> None:
    """Beside the text, or alone with --quiet; equal records give status 0 as well."""
    target = tmp_path / "diff.json"

    assert main(["diff", two[0], two[0], "--json", str(target), "--quiet"]) == 0

    assert capsys.readouterr().out == ""
    assert json.loads(target.read_text())["equal"] is True


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", "the file is empty"),
        ('{"schema":', "not JSON, or cut off: Expecting value: line 1 column 11 (char 10)"),
        ('{"schema": "rt0.boot/9"}', "a record of schema 'rt0.boot/9'; this reads 'rt0.boot/1'"),
        ("{}", "JSON, but no record of a boot (rt0.boot/1)"),
    ],
)
def test_what_is_no_record_is_one_line(
    content: str, line: str, two: tuple[str, str], tmp_path: Path, capsys: Capture
) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(content)

    assert main(["diff", two[0], str(bad)]) == 2

    assert capsys.readouterr().err == f"rt0: {bad}: {line}\n"


def test_bad_usage_is_one_line(two: tuple[str, str], tmp_path: Path, capsys: Capture) -> None:
    for arguments, line in (
        ([two[0]], "diff: the following arguments are required: B.json"),
        ([two[0], str(tmp_path / "none")], f"{tmp_path / 'none'}: no such file or directory"),
        ([two[0], str(tmp_path)], f"{tmp_path}: is a directory"),
        ([*two, "--", "x"], "diff: arguments after --: nothing is run"),
    ):
        assert main(["diff", *arguments]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"rt0: {line}")
        assert error.count("\n") == 1
