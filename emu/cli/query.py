"""``rt0 query``: SQL over the rows that sweeps computed."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emu.cli import options, output
from emu.cli.errors import OK, UsageError

DESCRIPTION = """\
Ask the store of `rt0 sweep` in SQL (DuckDB's). It has the table runs, a row for each World and binary, and the view
facts, a row for each of its values; docs/sweep.md describes them. Nothing is ever changed, and no other file read."""

EPILOG = """\
examples:
  rt0 query "SELECT vary->>'cpus' AS cpus, results->>'gomaxprocs' AS procs, count(*) FROM runs GROUP BY ALL"
  rt0 query "SELECT outcome, count(*) FROM runs GROUP BY outcome" --json
  rt0 query "SELECT settings FROM runs WHERE outcome = 'throw' LIMIT 1" --csv world.csv

exit status: 0; 2 for bad SQL or no store, with one line on standard error"""


def run(argv: Sequence[str]) -> int:
    """Run the command with *argv*, its arguments; return the exit status."""
    parser = options.Parser("query", DESCRIPTION, EPILOG)
    parser.add_argument("sql", metavar="SQL", help="one SELECT")
    options.add_output(parser)
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the answer as CSV; - for standard output")
    parser.add_argument("--store", type=Path, metavar="FILE", help="the store (default: that of `rt0 sweep`)")
    chosen = parser.parse(argv)
    output.check_target(chosen.json)

    from emu.sweep.store import StoreError, ask, default_path

    try:
        titles, rows = ask(chosen.store or default_path(), chosen.sql)
    except StoreError as error:
        raise UsageError(str(error)) from error
    _write(chosen.json, chosen.csv, titles, rows)
    if not chosen.quiet and chosen.json != output.STDOUT and str(chosen.csv) != output.STDOUT:
        from emu.report.grid import grid

        paper = output.paper(sys.stdout)
        cells = [[_cell(value) for value in row] for row in rows]
        right = [all(isinstance(row[n], int | float) for row in rows) for n in range(len(titles))]
        output.write_lines(grid(titles, cells, paper, right), sys.stdout)
    return OK


def _write(target: str | None, sheet: Path | None, titles: list[str], rows: list[tuple[Any, ...]]) -> None:
    if target is not None:
        keys = _distinct(titles)
        found = [dict(zip(keys, map(_plain, row), strict=True)) for row in rows]
        output.write_json(json.dumps(found, ensure_ascii=False, allow_nan=False), target)
    if sheet is None:
        return
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(titles)
    writer.writerows(rows)
    if str(sheet) == output.STDOUT:
        output.write_text(text.getvalue())
        return
    try:
        sheet.write_text(text.getvalue(), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--csv: {sheet}: {(error.strerror or str(error)).lower()}") from error


def _distinct(titles: list[str]) -> list[str]:
    # Columns of one title (of a join) get keys of their own, as DuckDB's own tables have them.
    keys: list[str] = []
    for title in titles:
        key, number = title, 0
        while key in keys:
            number += 1
            key = f"{title}_{number}"
        keys.append(key)
    return keys


def _plain(value: Any) -> Any:
    # `value` as JSON can hold it: bytes as Worlds have them, and what JSON has no word for as text.
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return f"hex:{value.hex()}"
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return str(value)


def _cell(value: Any) -> str:
    return "" if value is None else str(value)
