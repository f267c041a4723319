"""The store: what is put down is read back, and nothing but a SELECT is answered."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from emu.boot.record import as_json
from emu.sweep import store
from emu.sweep.store import Program, Store, StoreError, ask
from emu.sweep.work import Row

PROGRAMS = (Program("aa" * 32, "one", "go1.21.13"), Program("bb" * 32, "two", "go1.27.3"))
NAMES = ("ncpu", 'odd "name"', "a.b[0]")
OUTCOME = as_json({"kind": "reached", "message": "reached runtime.mstart", "at": "runtime.mstart"})


def row(number: int, digest: str, *values: str) -> Row:
    """A row whose values are *values*, or the number."""
    return Row(number, digest, "cpus = 3\n", OUTCOME, (1000 + number, 40, 1), values or (str(number), '"0x1"', "[1,2]"))


def new(path: Path, shown: str = store.DECLARED, until: str = "runtime.mstart") -> Store:
    """The store at *path* for both programs."""
    return Store(path, PROGRAMS, shown, until)


def test_rows_come_back(tmp_path: Path) -> None:
    """What was written is known to the next sweep, and equal; of another question nothing is."""
    path = tmp_path / "deep" / "s.duckdb"
    rows = [row(0, "d0"), row(1, "d1", "18446744073709551615", "null", '{"len":1,"text":"\\u00e4"}')]
    first = new(path)
    assert first.known == set()
    first.write([(each, each.number, {"cpus": str(each.number), "exe": "\udcff"}, NAMES) for each in rows])

    again = new(path)

    assert again.known == {(0, "d0"), (1, "d1")}
    assert sorted(again.read(NAMES, {(0, "d0"): [0], (1, "d1"): [1, 5], (1, "d0"): [6]})) == [
        *rows,
        rows[1]._replace(number=5),
    ]
    assert new(path, "ncpu").known == set()
    assert new(path, until="runtime.osinit").known == set()


def test_other_code_knows_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of another version stay, but do not count."""
    path = tmp_path / "s.duckdb"
    new(path).write([(row(0, "d0"), 0, {}, NAMES)])
    monkeypatch.setattr(store, "version", lambda: "another")

    assert new(path).known == set()
    new(path).write([(row(0, "d0"), 0, {}, NAMES)])
    assert ask(path, "SELECT count(*) FROM runs")[1] == [(2,)]


def test_same_row_twice_is_one(tmp_path: Path) -> None:
    """Results are written once, whoever computes them again."""
    path = tmp_path / "s.duckdb"
    made = new(path)
    for _ in range(2):
        made.write([(row(0, "d0"), 0, {"cpus": "1"}, NAMES), (row(1, "d0"), 1, {}, NAMES)])

    assert ask(path, "SELECT count(*) FROM runs")[1] == [(2,)]


def test_batch_is_whole_or_nothing(tmp_path: Path) -> None:
    """A row that cannot be stored takes its batch along and leaves what was there."""
    path = tmp_path / "s.duckdb"
    made = new(path)
    made.write([(row(0, "d0"), 0, {}, NAMES)])

    with pytest.raises(StoreError):
        made.write([(row(1, "d1"), 0, {}, NAMES), (row(2, "d2", "{not json", "1", "2"), 0, {}, NAMES)])

    assert ask(path, "SELECT world FROM runs")[1] == [("d0",)]


def test_schema_answers_sql(tmp_path: Path) -> None:
    """Columns as docs/sweep.md has them; values by name in the view."""
    path = tmp_path / "s.duckdb"
    new(path).write([(row(n, f"d{n}"), 1, {"cpus": str(n)}, NAMES) for n in range(3)])

    titles, found = ask(path, "SELECT * FROM runs ORDER BY world LIMIT 1")
    plain = dict(zip(titles, found[0], strict=True))

    assert tuple(titles) == store.COLUMNS
    assert (plain["binary"], plain["go"], plain["outcome"]) == ("two", "go1.27.3", "reached")
    assert (plain["instructions"], plain["settings"]) == (1000, "cpus = 3\n")
    assert json.loads(plain["detail"]) == json.loads(OUTCOME)
    chosen = ask(path, "SELECT vary->>'cpus', results->>'ncpu' FROM runs ORDER BY 1")[1]
    assert chosen == [("0", "0"), ("1", "1"), ("2", "2")]
    facts = ask(path, "SELECT name, value FROM facts WHERE world = 'd2'")[1]
    assert facts == list(zip(NAMES, ("2", '"0x1"', "[1,2]"), strict=True))


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE runs",
        "INSERT INTO runs (image) VALUES ('x')",
        "SELECT 1; SELECT 2",
        "",
        "SELEC 1",
        "SELECT nothing FROM runs",
        "COPY runs TO 'out.csv'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "ATTACH 'other.duckdb'",
        "SELECT 1 / 0 + 'x'",
        "\udcff",  # a byte of the command line that is no UTF-8
    ],
)
def test_only_a_select_of_the_store(tmp_path: Path, sql: str) -> None:
    """Everything else is an error of one line, and changes nothing."""
    path = tmp_path / "s.duckdb"
    new(path).write([(row(0, "d0"), 0, {}, NAMES)])

    with pytest.raises(StoreError) as error:
        ask(path, sql)

    assert "\n" not in str(error.value)
    assert ask(path, "SELECT count(*) FROM runs")[1] == [(1,)]
    assert [each.name for each in tmp_path.iterdir()] == ["s.duckdb"]


def test_no_store(tmp_path: Path) -> None:
    """A file that is not there is not made by asking; one that is no database is named."""
    with pytest.raises(StoreError, match="there is no store yet"):
        ask(tmp_path / "none.duckdb", "SELECT 1")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(StoreError, match="not a valid DuckDB"):
        new(tmp_path / "text")
    with pytest.raises(StoreError, match=r"not a directory|file exists"):
        new(tmp_path / "text" / "below")
    assert not (tmp_path / "none.duckdb").exists()


def test_waits_for_another_writer(tmp_path: Path) -> None:
    """A lock that is held for a moment delays a batch, no more; one that stays is an error that says so."""
    path = tmp_path / "s.duckdb"
    made = new(path)
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read(1)"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store, "WAIT", 0.1)
            with pytest.raises(StoreError, match="lock"):
                made.write([(row(0, "d0"), 0, {}, NAMES)])
        timer = time.monotonic()
        holder.stdin.write("x")
        holder.stdin.close()
        made.write([(row(0, "d0"), 0, {}, NAMES)])
        assert time.monotonic() - timer < store.WAIT

    assert new(path).known == {(0, "d0")}


def test_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As the XDG specification has it; a relative path is ignored."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert store.default_path() == tmp_path / "rt0" / "sweeps.duckdb"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert store.default_path() == tmp_path / "home" / ".local" / "share" / "rt0" / "sweeps.duckdb"


def test_text_of_the_schema_is_what_the_columns_say() -> None:
    """The order of COLUMNS is that of the table, on which the insertion relies."""
    with duckdb.connect() as connection:
        connection.execute(store.SCHEMA)
        found = connection.execute("SELECT column_name FROM duckdb_columns() WHERE table_name = 'runs'").fetchall()

    assert tuple(name for (name,) in found) == store.COLUMNS
