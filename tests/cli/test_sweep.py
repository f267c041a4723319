"""``rt0 sweep`` and ``rt0 query`` as commands: rows against arithmetic and against ``rt0 boot``, files, errors."""

from __future__ import annotations

import csv
import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import pytest

from emu.boot.record import BootRecord
from emu.boot.values import BY_NAME
from emu.boot.warm import Warm
from emu.cli.main import main
from emu.image.image import load
from emu.sweep import shown
from syscalls.world import World
from syscalls.worldfile import load as load_world
from tests.booted import BUNDLED

Capture = pytest.CaptureFixture[str]
HELLO = str(BUNDLED)
CPUS = ("1", "2", "3", "8", "64", "65", "1024")
THP = {"absent": 0, "0": 0, "2097152": 2097152, "garbage": 0}
PAGES = ("4096", "16384", "65536")
ISSUE = (
    "--vary", f"cpus={','.join(CPUS)}", "--vary", f"thp={','.join(THP)}", "--vary", f"page-size={','.join(PAGES)}",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def swept(capsys: Capture, *argv: str) -> Any:
    """The rows that ``rt0 sweep ARGV --json`` prints; nothing else may be printed."""
    assert main(["sweep", *argv, "--json"]) == 0
    out, errors = capsys.readouterr()
    assert errors == ""
    return json.loads(out)


def expected(record: BootRecord, name: str) -> Any:
    """What the record's globals say of the declared value *name*."""
    return next((record.globals[each] for each in BY_NAME[name].sources if each in record.globals), None)


def test_84_worlds(capsys: Capture) -> None:
    """Every row is right by arithmetic, and every declared value that varies is what a captured boot has."""
    rows = swept(capsys, HELLO, *ISSUE)

    assert [row["vary"] for row in rows] == [
        {"cpus": cpus, "thp": thp, "page-size": size} for cpus, thp, size in product(CPUS, THP, PAGES)
    ]
    warm = Warm(load(BUNDLED))
    for row in rows:
        vary, values = row["vary"], row["values"]
        assert row["outcome"]["kind"] == "reached"
        assert values["ncpu"] == values["gomaxprocs"] == int(vary["cpus"])
        assert values["sched.npidle"] == int(vary["cpus"]) - 1  # m0 has the first
        assert values["physHugePageSize"] == THP[vary["thp"]]
        assert values["physPageSize"] == int(vary["page-size"])
        record = warm.boot(load_world(None, [f"{key}={text}" for key, text in vary.items()]))
        assert (row["outcome"], row["totals"]) == (record.outcome, record.totals)
        assert values == {name: expected(record, name) for name in values}
        assert len(values) >= 10


def test_rows_equal_what_the_boot_command_prints(capsys: Capture) -> None:
    """For some of the Worlds, through both commands."""
    names = "runtime.gomaxprocs,runtime.physPageSize,runtime.physHugePageSize,runtime.allp,auxv"
    rows = swept(capsys, HELLO, "--vary", "cpus=1,65", "--vary", "page-size=4096,65536", "--show", names)

    assert len(rows) == 4
    for row in rows:
        vary = row["vary"]
        assert main(["boot", HELLO, "--cpus", vary["cpus"], "--page-size", vary["page-size"], "--json"]) == 0
        record = json.loads(capsys.readouterr().out)
        assert list(row["values"]) == sorted(names.split(","))
        assert (row["outcome"], row["totals"]) == (record["outcome"], record["totals"])
        for name, value in row["values"].items():
            assert value == record["views"].get(name, record["globals"].get(name)), name


def test_screen_names_what_changed_what(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row for each World, then a line for each knob: what follows from it, and nothing else of note."""
    monkeypatch.setenv("COLUMNS", "140")
    arguments = [HELLO, *ISSUE, "--vary", "process.pid=7,8", "--show", "ncpu,physHugePageSize,physPageSize"]
    assert main(["sweep", *arguments]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()

    assert lines[0].split()[4:] == ["outcome", "ncpu", "physHugePageSize", "physPageSize", "instructions", "syscalls"]
    assert len(lines) == 1 + 168 + 1 + 4
    assert lines[1].split()[:8] == ["1", "absent", "4096", "7", "reached", "1", "0", "4096"]
    knobs = {line.split()[0]: line.split("changes ")[1] for line in lines[-4:]}
    assert knobs == {
        "cpus": "ncpu, instructions, syscalls",
        "thp": "physHugePageSize, instructions, syscalls",
        "page-size": "physPageSize, instructions, syscalls",
        "process.pid": "nothing",
    }


def test_screen_fits_its_width(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns that have no room are named below instead of broken."""
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["sweep", HELLO, "--vary", "cpus=1,2", "--vary", "seed=1,2"]) == 0
    out = capsys.readouterr().out

    assert max(map(len, out.splitlines())) <= 80
    assert re.search(r"\d+ more values varied", out)


def test_failures_are_rows(capsys: Capture) -> None:
    """A World that cannot be, a throw, a limit, too little memory: each is a row with its outcome."""
    vary = ("--vary", "page-size=4096,1024", "--vary", "cpus=2,0", "--vary", "limits.instructions=0,50000")
    rows = swept(capsys, HELLO, *vary, "--vary", "memory.limit=1G,1M")

    knobs = ("cpus", "memory.limit", "page-size", "limits.instructions")
    kinds = {tuple(row["vary"][knob] for knob in knobs): row["outcome"]["kind"] for row in rows}
    assert len(kinds) == 16
    assert all(kind == "error" for (cpus, memory, *_), kind in kinds.items() if cpus == "0" or memory == "1M")
    assert kinds["2", "1G", "4096", "0"] == "reached"
    assert kinds["2", "1G", "4096", "50000"] == kinds["2", "1G", "1024", "50000"] == "limit"
    assert kinds["2", "1G", "1024", "0"] == "throw"
    for row in rows:
        if row["outcome"]["kind"] == "error":
            assert re.match(r"cpus: 0 CPUs|memory\.limit: ", row["outcome"]["message"])
            assert (row["values"], row["totals"]) == ({}, {})


def test_several_binaries_and_worlds(capsys: Capture, tmp_path: Path) -> None:
    """Both are knobs; the same World on each program; options apply on top of each World."""
    other = tmp_path / "other"
    other.write_bytes(BUNDLED.read_bytes() + b"\0")
    (tmp_path / "a.toml").write_text("cpus = 5\n")
    worlds = ("--worlds", str(tmp_path / "a.toml"), "walk")
    rows = swept(capsys, HELLO, str(other), "--thp", "0", "--show", "ncpu,physHugePageSize", *worlds)

    assert [row["vary"] for row in rows] == [
        {"binary": binary, "world": world} for binary in ("hello", "other") for world in worlds[1:]
    ]
    assert [row["values"]["ncpu"] for row in rows] == [5, load_world("walk").cpus.mask.bit_count()] * 2
    assert all(row["values"]["physHugePageSize"] == 0 for row in rows)


def test_points_of_a_file(capsys: Capture, tmp_path: Path) -> None:
    """A file's points, and the product with what the command line varies."""
    (tmp_path / "points.csv").write_text("cpus,thp\n1,absent\n7,2097152\n")
    rows = swept(capsys, HELLO, "--vary-file", str(tmp_path / "points.csv"), "--vary", "seed=1,2", "--show", "ncpu")

    assert [(row["vary"]["cpus"], row["vary"]["seed"], row["values"]["ncpu"]) for row in rows] == [
        ("1", "1", 1), ("1", "2", 1), ("7", "1", 7), ("7", "2", 7),
    ]  # fmt: skip


def test_second_sweep_computes_nothing(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the store has is not booted again, whatever the World is called; with --no-store it is."""
    first = swept(capsys, HELLO, "--vary", "cpus=1,2,3", "--vary", "seed=1,4")

    def no_crew(*_: object) -> None:
        raise AssertionError("workers are not wanted")

    monkeypatch.setattr("emu.sweep.crews.LocalCrew", no_crew)
    assert swept(capsys, HELLO, "--vary", "cpus=1,2,3", "--vary", "seed=1,4") == first
    # The same three Worlds, called otherwise.
    renamed = swept(capsys, HELLO, "--vary", "cpus=0x1,0x3,0x7", "--set", "seed=4")
    assert [row["totals"] for row in renamed] == [row["totals"] for row in first if row["vary"]["seed"] == "4"]
    monkeypatch.setenv("RT0_DEBUG", "1")
    with pytest.raises(AssertionError, match="not wanted"):
        main(["sweep", HELLO, "--vary", "cpus=1,2,3", "--no-store", "--quiet"])


def test_files(capsys: Capture, tmp_path: Path) -> None:
    """CSV and Parquet hold what JSON has; numbers are numbers there."""
    sheet, parquet, target = tmp_path / "t.csv", tmp_path / "t.parquet", tmp_path / "t.json"
    arguments = [HELLO, "--vary", "cpus=1,2,0", "--show", "ncpu,useAeshash,runtime.allp,m0.p,heapRandSeed"]
    assert (
        main(["sweep", *arguments, f"--json={target}", "--csv", str(sheet), "--parquet", str(parquet), "--quiet"]) == 0
    )
    assert capsys.readouterr() == ("", "")

    rows = json.loads(target.read_text())
    with open(sheet, newline="") as file:
        plain = list(csv.DictReader(file))
    with duckdb.connect() as connection:
        found = connection.read_parquet(str(parquet))
        kinds = dict(zip(found.columns, map(str, found.dtypes), strict=True))
        columns = [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]

    assert [row["ncpu"] for row in plain] == ["1", "2", ""]
    assert [row["outcome"] for row in plain] == ["reached", "reached", "error"]
    assert [row["ncpu"] for row in columns] == [1, 2, None]
    assert (kinds["ncpu"], kinds["useAeshash"], kinds["runtime.allp"]) == ("BIGINT", "BOOLEAN", "VARCHAR")
    for row, flat in zip(rows, columns, strict=True):
        assert flat["cpus"] == row["vary"]["cpus"]
        assert flat["instructions"] == row["totals"].get("instructions")
        if row["values"]:
            assert json.loads(flat["runtime.allp"]) == row["values"]["runtime.allp"]
            assert flat["heapRandSeed"] == row["values"]["heapRandSeed"]


def test_query(capsys: Capture, tmp_path: Path) -> None:
    """SQL over what was swept: as a table, as JSON, as CSV."""
    assert main(["sweep", HELLO, "--vary", "cpus=1,2,70", "--quiet"]) == 0
    sql = "SELECT results->>'gomaxprocs' AS procs, syscalls FROM runs ORDER BY instructions"

    assert main(["query", sql]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["procs", "syscalls"]
    assert [line.split()[0] for line in lines[1:]] == ["1", "2", "70"]
    assert main(["query", sql, "--json"]) == 0
    assert [row["procs"] for row in json.loads(capsys.readouterr().out)] == ["1", "2", "70"]
    assert main(["query", sql, "--csv", str(tmp_path / "q.csv"), "--quiet"]) == 0
    assert (tmp_path / "q.csv").read_text().startswith("procs,syscalls\n1,")
    assert main(["query", sql, "--csv", "-"]) == 0
    assert capsys.readouterr().out == (tmp_path / "q.csv").read_text()


def test_stored_settings_boot_again(capsys: Capture, tmp_path: Path) -> None:
    """A row's World, taken out of the store, is the World that it came from."""
    assert main(["sweep", HELLO, "--vary", "cpus=0\\,2-3,9", "--set", "seed=3", "--quiet"]) == 0
    assert main(["query", "SELECT settings FROM runs WHERE vary->>'cpus' = '0,2-3'", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    path = tmp_path / "world.toml"
    path.write_text(found["settings"])

    assert load_world(path) == load_world(None, ["cpus=0,2-3", "seed=3"]) != World()


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        ([], "required: BINARY"),
        (["/nowhere/hello"], "/nowhere/hello: no such file"),
        ([HELLO, "--vary", "cpu=1"], "cpu: unknown key (did you mean"),
        ([HELLO, "--vary", "cpus"], "is not a setting"),
        ([HELLO, "--vary", "cpus=none"], "cpus: "),
        ([HELLO, "--vary", "seed=9..1"], "9..1 is no range"),
        ([HELLO, "--vary-file", "/nowhere.csv"], "/nowhere.csv: no such file"),
        ([HELLO, "--worlds", "/nowhere.toml"], "no such World"),
        ([HELLO, "--world", "walk", "--worlds", "walk"], "one of them at a time"),
        ([HELLO, "--show", "ncpu,nothing"], "no value, view or variable is named 'nothing'"),
        ([HELLO, "--show", "ncpu,"], "has an empty name"),
        ([HELLO, HELLO], "the same binary is given twice"),
        ([HELLO, "--until", "main.nowhere"], "has no function main.nowhere"),
        ([HELLO, "--jobs", "0"], "is no number from 1 on"),
        ([HELLO, "--store", "/proc/nothing/x.duckdb"], "/proc/nothing"),
        ([HELLO, "--csv", "/proc/nothing/x.csv"], "no such directory"),
        ([HELLO, "--parquet", "/proc/nothing/x.parquet"], "no such directory"),
        ([HELLO, "--cluster", "tcp://127.0.0.1:1"], "no scheduler answers at tcp://127.0.0.1:1"),
    ],
    ids=str,
)
def test_bad_usage_is_one_line(capsys: Capture, argv: list[str], problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit status 2, one line on standard error that says what and where, nothing on standard output."""
    monkeypatch.setattr("emu.sweep.crews.TIMEOUT", 1)
    assert main(["sweep", *argv]) == 2

    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith("rt0: ")
    assert problem in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("argv", [["SELEC"], ["SELECT 1; SELECT 2"], [], ["SELECT 1", "--store", "/proc/nothing/x"]])
def test_bad_query_is_one_line(capsys: Capture, argv: list[str]) -> None:
    """As for every command."""
    assert main(["sweep", HELLO, "--quiet"]) == 0
    assert main(["query", *argv]) == 2

    out, errors = capsys.readouterr()
    assert (out, errors.count("\n")) == ("", 1)


def test_every_declared_name_can_be_shown() -> None:
    """The default names are those of the table, and each has a way to be read."""
    assert set(shown.declared()) <= set(BY_NAME)
    assert {"ncpu", "gomaxprocs", "physPageSize", "physHugePageSize"} <= set(shown.declared())


def test_answers_are_json_whatever_they_hold(tmp_path: Path, capsys: Capture) -> None:
    """Two columns of one title, bytes, numbers and keys that JSON has no word for: nothing is lost, all can be read."""
    store = tmp_path / "s.duckdb"
    with duckdb.connect(str(store)):
        pass
    ask = (
        "SELECT 1 AS a, 2 AS a, 'nan'::FLOAT AS n, '\\x00\\xFF'::BLOB AS b, "
        "[1e400] AS l, map{'2020-01-01'::DATE: 3} AS m"
    )

    assert main(["query", "--store", str(store), ask, "--json"]) == 0

    def refused(word: str) -> None:
        raise AssertionError(word)

    found = json.loads(capsys.readouterr().out, parse_constant=refused)
    assert found == [{"a": 1, "a_1": 2, "n": "nan", "b": "hex:00ff", "l": ["inf"], "m": {"2020-01-01": 3}}]


def test_the_table_as_csv_on_standard_output(capsys: Capture, tmp_path: Path) -> None:
    """``--csv -``: what the file would hold, and no table beside it."""
    asked = ["sweep", HELLO, "--vary", "cpus=1,2", "--no-store", "--jobs", "1"]
    assert main([*asked, "--csv", str(tmp_path / "x.csv"), "--quiet"]) == 0
    capsys.readouterr()

    assert main([*asked, "--csv", "-"]) == 0
    assert capsys.readouterr().out == (tmp_path / "x.csv").read_text()
    assert [file.name for file in tmp_path.iterdir()] == ["x.csv"]
