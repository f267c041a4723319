"""The whole report of a boot: head, tree, key values, end."""

from __future__ import annotations

from collections.abc import Iterator

from emu.boot.record import BootRecord
from emu.report.paper import Paper
from emu.report.source import Sources
from emu.report.summary import Summary
from emu.report.tree import Tree

LEGEND = (
    "Functions in the order in which they ran; at the right where each is declared and how many instructions it took.",
    "> asked the kernel    = left in the program's memory    World: the key that decides the kernel's answer",
    "Where each value came from: Key values, at the end.",
)


def lines(
    record: BootRecord, paper: Paper, show_all: bool = False, sources: Sources | str | None = None
) -> Iterator[str]:
    """The report of *record*; *sources* are shown with each function (a text: why there are none)."""
    summary = Summary(record, paper, show_all)
    yield from summary.head()
    warning = sources if isinstance(sources, str) else sources.warning if sources else ""
    if warning:
        yield from paper.lay([("bad", warning)], "note     ", " " * 9)
    yield ""
    for text in LEGEND:
        yield from paper.lay([("faint", text)])
    yield ""
    tree = Tree(record, paper, show_all, sources if isinstance(sources, Sources) else None)
    yield from tree.lines()
    yield from summary.tail()
