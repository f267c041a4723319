"""docs/sweep.md tells the store's schema as it is."""

from __future__ import annotations

import re
from collections.abc import Callable

import duckdb

from docs.generate import pages
from emu.sweep import store


def test_screens_are_current(golden: Callable[[str, str], None]) -> None:
    """``make docs`` (or ``make golden``) takes them afresh."""
    golden("docs/sweep.md", pages.sweep())


def test_page_has_every_column() -> None:
    """Names, types and order of the table's columns, and the names of the view's."""
    page = (pages.DOCS / "sweep.md").read_text()
    with duckdb.connect() as connection:
        connection.execute(store.SCHEMA)
        columns = connection.execute(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'runs' ORDER BY column_index"
        ).fetchall()
        view = connection.execute("SELECT column_name FROM duckdb_columns() WHERE table_name = 'facts'").fetchall()

    assert re.findall(r"^\| `(\w+)` \| (\w+) \|", page, re.MULTILINE) == columns
    section = page.partition("### `facts`")[2]
    assert view
    assert all(f"`{name}`" in section for (name,) in view)


def test_page_tells_the_batch() -> None:
    """How much a killed sweep can lose."""
    from emu.sweep.sweep import BATCH, BATCH_SECONDS

    assert f"({BATCH}, or {BATCH_SECONDS:g} seconds' worth)" in (pages.DOCS / "sweep.md").read_text()
