"""The store: every row that was ever computed, in one DuckDB file, for SQL and for sweeps that go on.

The schema is that of :data:`SCHEMA`; docs/sweep.md explains it.  One process writes at a time, and only for as long as
a batch takes: the file is opened, one transaction is committed, and it is closed, so that other sweeps and queries come
in between.  A process that is killed loses the batch that it was about to write.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache, lru_cache
from operator import add
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from emu.sweep.version import version
from emu.sweep.work import Row

SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    image VARCHAR,          -- SHA-256 of the binary
    world VARCHAR,          -- digest of the World
    shown VARCHAR,          -- which values were read: the names, or 'declared'
    until VARCHAR,          -- the function that the boot was to reach
    version VARCHAR,        -- of the code that computed it
    "binary" VARCHAR,       -- the binary's file name
    go VARCHAR,             -- its release, "go1.27.3"
    vary JSON,              -- what the knobs of the sweep that computed it said
    settings VARCHAR,       -- the World as TOML, for `rt0 boot --world`; without what has its default
    outcome VARCHAR,        -- reached, throw, exit, signal, limit, unsupported
    message VARCHAR,
    detail JSON,            -- the whole outcome, as the record has it
    instructions BIGINT,
    syscalls BIGINT,
    tasks BIGINT,
    results JSON,           -- the values by name
    PRIMARY KEY (image, world, shown, until, version)
);
CREATE VIEW IF NOT EXISTS facts AS
    SELECT "binary", go, vary, world, unnest(json_keys(results)) AS name,
        json_extract(results, '$."' || replace(unnest(json_keys(results)), '"', '\\"') || '"') AS value
    FROM runs;
"""
COLUMNS = (
    "image", "world", "shown", "until", "version", "binary", "go", "vary", "settings", "outcome", "message", "detail",
    "instructions", "syscalls", "tasks", "results",
)  # fmt: skip
TYPES = {"vary": "JSON", "detail": "JSON", "results": "JSON"} | dict.fromkeys(
    ("instructions", "syscalls", "tasks"), "BIGINT"
)
DECLARED = "declared"
WAIT = 20.0  # seconds that we wait for another process's batch
MEMORY, THREADS = "256MB", 2

T = TypeVar("T")


class StoreError(Exception):
    """The store cannot be used; the message is one line."""


class Program(NamedTuple):
    """What the store says of a binary."""

    image: str
    name: str
    go: str


def default_path() -> Path:
    """``$XDG_DATA_HOME/rt0/sweeps.duckdb``, else below ``~/.local/share``."""
    base = Path(os.environ.get("XDG_DATA_HOME", ""))
    if not base.is_absolute():
        try:
            base = Path.home() / ".local" / "share"
        except RuntimeError as error:
            raise StoreError("there is no home folder for the store: name a file with --store") from error
    return base / "rt0" / "sweeps.duckdb"


def connect(path: Path, *, read_only: bool = False) -> Any:
    """Open the store, waiting while another process writes to it; raise StoreError."""
    import duckdb

    settings: dict[str, Any] = {"threads": THREADS, "memory_limit": MEMORY}
    if read_only:
        # A query sees this file and no other, neither to read nor to write.
        settings["enable_external_access"] = "false"
    until = time.monotonic() + WAIT
    while True:
        try:
            return duckdb.connect(str(path), read_only=read_only, config=settings)
        except duckdb.IOException as error:
            if "lock" not in str(error) or time.monotonic() > until:
                raise StoreError(f"{path}: {reason(error)}") from error
            time.sleep(0.05)
        except duckdb.Error as error:
            raise StoreError(f"{path}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """What DuckDB says, on one line."""
    return " ".join(str(error).split())


class Store:
    """The rows of one sweep in the store at *path*, which is made if it is not there; raises StoreError."""

    def __init__(self, path: Path, programs: tuple[Program, ...], names: str, until: str) -> None:
        self.path, self._programs = path, programs
        self._names, self._until = names, until
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{path.parent}: {(error.strerror or str(error)).lower()}") from error
        self.known: set[tuple[int, str]] = self._with(self._begin)
        """The (program's number, World's digest) of every row that need not be computed."""

    def _begin(self, connection: Any) -> set[tuple[int, str]]:
        if not connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'runs'").fetchall():
            connection.execute(SCHEMA)
            return set()
        found = connection.execute(
            "SELECT DISTINCT image, world FROM runs WHERE shown = ? AND until = ? AND version = ?", self._kind()
        ).fetchall()
        numbers = self._numbers()
        return {(numbers[image], world) for image, world in found if image in numbers}

    def _kind(self) -> list[str]:
        return [self._names, self._until, version()]

    def _numbers(self) -> dict[str, int]:
        return {program.image: number for number, program in enumerate(self._programs)}

    def _with(self, act: Callable[[Any], T]) -> T:
        import duckdb

        connection = connect(self.path)
        try:
            return act(connection)
        except duckdb.Error as error:
            raise StoreError(f"{self.path}: {reason(error)}") from error
        finally:
            connection.close()

    def write(self, rows: Iterable[tuple[Row, int, dict[str, str], tuple[str, ...]]]) -> None:
        """Put down *rows*, each with the number of its program, its knobs and the names of its values; all or none."""
        text = "[" + ",".join(self._json(*row) for row in rows) + "]"
        shape = json.dumps([{name: TYPES.get(name, "VARCHAR") for name in COLUMNS}])

        def insert(connection: Any) -> None:
            connection.execute("BEGIN")
            connection.execute(
                f"INSERT OR REPLACE INTO runs SELECT unnest(from_json(?, '{shape}'), recursive := true)",
                [text],
            )
            connection.execute("COMMIT")

        self._with(insert)

    def _json(self, row: Row, number: int, vary: dict[str, str], names: tuple[str, ...]) -> str:
        program = self._programs[number]
        assert row.totals is not None
        kind, message = _ended(row.outcome)
        plain = {
            "image": program.image, "world": row.digest, "shown": self._names, "until": self._until,
            "version": version(), "binary": _text(program.name), "go": program.go,
            "vary": {_text(knob): _text(text) for knob, text in vary.items()}, "settings": row.world,
            "outcome": kind, "message": message,
            **dict(zip(("instructions", "syscalls", "tasks"), row.totals, strict=True)),
        }  # fmt: skip
        results = ",".join(map(add, _keys(names), row.values))
        return f'{json.dumps(plain)[:-1]},"detail":{row.outcome},"results":{{{results}}}}}'

    def read(self, names: tuple[str, ...], wanted: dict[tuple[int, str], list[int]]) -> Iterator[Row]:
        """The rows of *wanted*: (program's number, World's digest) -> the points that they are."""
        numbers = self._numbers()
        found = self._with(
            lambda connection: connection.execute(
                "SELECT image, world, settings, detail, instructions, syscalls, tasks, results FROM runs "
                "WHERE shown = ? AND until = ? AND version = ? AND image IN (SELECT unnest(?))",
                [*self._kind(), list(numbers)],
            ).fetchall()
        )
        for image, digest, settings, detail, instructions, syscalls, tasks, results in found:
            values = json.loads(results)
            texts = tuple(json.dumps(values[name], separators=(",", ":"), sort_keys=True) for name in names)
            for index in wanted.get((numbers.get(image, -1), digest), ()):
                yield Row(index, digest, settings, detail, (instructions, syscalls, tasks), texts)


@cache
def _keys(names: tuple[str, ...]) -> list[str]:
    # What stands before each value of an object.
    return [f"{json.dumps(name)}:" for name in names]


@lru_cache(maxsize=256)
def _ended(outcome: str) -> tuple[str, str]:
    plain = json.loads(outcome)
    return plain["kind"], plain["message"]


def _text(text: str) -> str:
    # Bytes of the command line that are no UTF-8 are lone surrogates here, which no database takes.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def ask(path: Path, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The titles and rows that *sql* selects from the store at *path*, which it cannot change; raises StoreError."""
    import duckdb

    if not path.exists():
        raise StoreError(f"{path}: there is no store yet: rt0 sweep makes one")
    connection = connect(path, read_only=True)
    try:
        statements = connection.extract_statements(_text(sql))
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise StoreError("one SELECT is needed")
        found = connection.execute(statements[0])
        return [column[0] for column in found.description], found.fetchall()
    except duckdb.Error as error:
        raise StoreError(reason(error)) from error
    finally:
        connection.close()
