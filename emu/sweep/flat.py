"""A table as columns of plain values: CSV, and Parquet for other tools."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from emu.sweep.store import StoreError, reason

MAX_BIGINT = (1 << 63) - 1


def columns(rows: Iterable[dict[str, Any]], knobs: Sequence[str], names: Sequence[str]) -> dict[str, list[Any]]:
    """A column for each knob, the outcome, each of *names* and the totals; what is no number or text is JSON.

    A value that is called like a knob gets ``value:`` before its name.
    """
    titles = {name: f"value:{name}" if name in knobs else name for name in names}
    found: dict[str, list[Any]] = {knob: [] for knob in knobs}
    found |= {title: [] for title in ("outcome", "message", *titles.values(), "instructions", "syscalls")}
    for row in rows:
        for knob in knobs:
            found[knob].append(row["vary"].get(knob))
        found["outcome"].append(row["outcome"]["kind"])
        found["message"].append(row["outcome"]["message"])
        for name, title in titles.items():
            found[title].append(_plain(row["values"].get(name)))
        for name in ("instructions", "syscalls"):
            found[name].append(row["totals"].get(name))
    return found


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict) and set(value) == {"len", "text"}:
        return value["text"]
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def write_csv(path: Path, table: dict[str, list[Any]]) -> None:
    """Write *table* to *path*, whole or not at all; raises OSError.  A device or a pipe is written to as it is."""
    if path.exists() and not path.is_file():  # by the name as it is: that of a pipe behind /dev/fd is no path
        with open(path, "w", newline="", encoding="utf-8", errors="backslashreplace") as special:
            write_rows(special, table)
        return
    path = path.resolve()
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "x", newline="", encoding="utf-8", errors="backslashreplace") as file:
            write_rows(file, table)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_rows(file: TextIO, table: dict[str, list[Any]]) -> None:
    """Write *table* as CSV to *file*."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))


def _encodable(value: Any) -> Any:
    # Bytes of the command line that are no UTF-8 are lone surrogates, which DuckDB does not take.
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def write_parquet(path: Path, table: dict[str, list[Any]]) -> None:
    """Write *table* to *path*, whole or not at all, each column with the narrowest type that holds it.

    Raises StoreError.
    """
    import duckdb

    path = path.resolve()
    if path.exists() and not path.is_file():
        raise StoreError(f"{path}: not a regular file, and Parquet needs one")
    kinds = {f"c{n}": _kind(column) for n, column in enumerate(table.values())}
    rows = [dict(zip(kinds, map(_encodable, row), strict=True)) for row in zip(*table.values(), strict=True)]
    names = ", ".join(f"c{n} AS {_quoted(title)}" for n, title in enumerate(table))
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with duckdb.connect() as connection:
            connection.execute(
                f"CREATE TABLE t AS SELECT unnest(from_json(?, '{json.dumps([kinds])}'), recursive := true)",
                [json.dumps(rows)],
            )
            where = str(temporary).replace("'", "''")
            connection.execute(f"COPY (SELECT {names} FROM t) TO '{where}' (FORMAT parquet)")
        temporary.replace(path)
    except duckdb.Error as error:
        raise StoreError(f"{path}: {reason(error)}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _kind(column: list[Any]) -> str:
    kinds = {type(value) for value in column if value is not None}
    if kinds == {bool}:
        return "BOOLEAN"
    if kinds == {int}:
        numbers = [value for value in column if value is not None]
        return "BIGINT" if max(numbers) <= MAX_BIGINT else "UBIGINT" if min(numbers) >= 0 else "VARCHAR"
    return "DOUBLE" if kinds == {float} else "VARCHAR"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
