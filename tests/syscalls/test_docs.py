"""The generated page of system calls is current, and the table says of each row what the page needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from syscalls.docs import render
from syscalls.row import ABSENT, PARTIAL, SUPPORTED, Syscall, resolved
from syscalls.table import ROWS

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "syscalls.md"


def test_the_page_is_current() -> None:
    """``python -m syscalls.docs > docs/syscalls.md`` would change nothing."""
    assert PAGE.read_text(encoding="utf-8") == render()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_row_says_enough(row: Syscall) -> None:
    """A level; a note where something is missing; a docstring; sizes that name existing arguments."""
    assert row.level in (SUPPORTED, PARTIAL, ABSENT)
    assert row.level == SUPPORTED or row.note
    assert resolved(row.handler).__doc__
    for kind in row.kinds:
        assert kind.size_arg is None or kind.size_arg < len(row.kinds)
        assert not kind.direction or kind.path or kind.size or kind.size_arg is not None
