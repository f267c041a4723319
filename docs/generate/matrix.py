"""docs/matrix.md: which programs of which release boot, what is captured of them, what the native machine says.

``python -m docs.generate.matrix [NAME...]`` links what is missing, boots every program of the matrix (or those named),
verifies the unstripped ones natively, and writes what it saw to matrix.json, of which the page is made.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from bench.history import WORLD
from docs.generate.boxes import table
from docs.generate.spelling import number
from docs.generate.survey import Json, dumped, summary
from emu.boot.boot import MSTART, boot
from emu.boot.catalogue import NEWEST
from emu.compare.causes import CAUSES
from emu.compare.verify import verify
from emu.image.image import load
from fixtures import cells, store
from fixtures.cells import CGO, COLUMNS, PIE, STATIC, Cell

FILE = Path(__file__).resolve().parent / "matrix.json"
OLDEST = 9  # of Go 1
MARK = "—"
NO_PROGRAM = "no program was found, and no toolchain of it is at hand"
WHY_EMPTY = {
    (1, 10): NO_PROGRAM,
    PIE: "no toolchain of it is at hand to link one, and none was found",
    CGO: "no toolchain of it is at hand to link one, and none was found",
    ((1, 18), STATIC): "what was found of it is stripped, and no toolchain is at hand",
}
"""Why a cell is empty: by release, by column, or by both."""


def seen(cell: Cell) -> Json:
    """Boot the program of *cell*, and verify it if it has symbols; raises fixtures.store.FixtureError."""
    path = cells.path(cell)
    image = load(path)
    row = {"column": cell.column, "how": cell.how, **summary(image, boot(image, WORLD))}
    if not cell.stripped and row["outcome"]["at"] == MSTART:
        verdict = verify(image, path)
        row["verify"] = {
            "ok": verdict.ok,
            "end": verdict.end,
            "compared": dict(verdict.compared),
            "equal": dict(verdict.equal),
            "causes": {cause: count for cause, count in verdict.causes.items() if count},
            "differences": len(verdict.differences),
        }
    return row


@cache
def recorded() -> dict[str, Json]:
    """What matrix.json has, by the cell's name."""
    rows: dict[str, Json] = json.loads(FILE.read_text())
    return rows


def releases() -> Iterator[tuple[int, int]]:
    """Every release that the matrix tells of."""
    yield from ((1, minor) for minor in range(OLDEST, NEWEST[1] + 1))


def overview() -> str:
    """Release by release, how many programs of each kind boot."""
    rows = [[".".join(map(str, release)), *(_cell(release, column) for column in COLUMNS)] for release in releases()]
    return table(["Go", *COLUMNS], rows)


def _cell(release: tuple[int, int], column: str) -> str:
    found = [recorded()[cell.name] for cell in cells.cells() if (cell.release, cell.column) == (release, column)]
    if not found:
        return MARK
    good = sum(_boots(row) for row in found)
    agreeing = [row["verify"]["ok"] for row in found if "verify" in row]
    verified = f", {sum(agreeing)} of {len(agreeing)} verified" if agreeing else ""
    return f"{good} of {len(found)} boot{verified}"


def _boots(row: Json) -> bool:
    counts = row["functions"]
    return bool(row["outcome"]["at"] == MSTART and counts["in order"] == counts["wanted"])


def programs() -> str:
    """Every program, with what its boot showed."""
    rows = []
    for cell in cells.cells():
        row = recorded()[cell.name]
        counts, sources = row["functions"], ", ".join(row["sources"]) or MARK
        missing = ", ".join(f"{count} {reason}" for reason, count in row["missing"].items()) or MARK
        ends = row["outcome"]["at"] or row["outcome"]["kind"]
        rows.append(
            [
                row["go"], f"`{cell.name}`", cell.column, ends.removeprefix("runtime."),
                f"{counts['in order']} of {counts['wanted']}", number(row["instructions"]), number(row["leaves"]),
                str(row["views"]), sources, missing,
            ]
        )  # fmt: skip
    head = ["Go", "program", "linked", "reaches", "in order", "instructions", "leaves", "views", "from", "missing"]
    return table(head, rows)


def verdicts() -> str:
    """Every program with symbols, with what the native machine said."""
    rows = []
    for cell in cells.cells():
        row = recorded()[cell.name]
        if "verify" not in row:
            continue
        found = row["verify"]
        shares = (_share(found, what) for what in ("functions in order", "instructions", "system calls", "leaves"))
        causes = ", ".join(f"{number(count)} {cause}" for cause, count in found["causes"].items()) or "none"
        verdict = "agree" if found["ok"] else f"**{found['differences']} without a cause**"
        rows.append([row["go"], f"`{cell.name}`", cell.column, *shares, causes, verdict])
    head = ["Go", "program", "linked", "functions", "instructions", "system calls", "leaves", "by cause", "verdict"]
    return table(head, rows)


def _share(found: Json, what: str) -> str:
    equal, compared = found["equal"][what], found["compared"][what]
    return number(compared) if equal == compared else f"{number(equal)} of {number(compared)}"


def absent() -> str:
    """The empty cells, with the reason."""
    have = {(cell.release, cell.column) for cell in cells.cells()}
    reasons: dict[str, list[str]] = {}
    for release in releases():
        for column in COLUMNS:
            if (release, column) not in have:
                reason = WHY_EMPTY.get(release) or WHY_EMPTY.get((release, column)) or WHY_EMPTY[column]
                reasons.setdefault(reason, []).append(f"{release[0]}.{release[1]} {column}")
    return "\n".join(f"- {', '.join(names)}: {reason}." for reason, names in reasons.items())


def causes() -> str:
    """The causes that occur, and what each is."""
    there = {cause for row in recorded().values() for cause in row.get("verify", {}).get("causes", {})}
    return "\n".join(f"- {cause}: {text}." for cause, text in CAUSES.items() if cause in there)


def total(what: str) -> str:
    """A sum over all programs: "programs", "verified" or "leaves"."""
    rows = recorded().values()
    judged = [row["verify"] for row in rows if "verify" in row]
    return number({
        "programs": len(rows),
        "boot": sum(map(_boots, rows)),
        "verified": sum(one["ok"] for one in judged),
        "judged": len(judged),
        "leaves": sum(one["compared"]["leaves"] for one in judged),
    }[what])  # fmt: skip


def kept(name: str) -> str:
    """How many of the leaves of the program *name* its cut copy shows: "92 of 711"."""
    return f"{number(recorded()[f'{name}, cut']['leaves'])} of {number(recorded()[name]['leaves'])}"


FACTS: Mapping[str, Callable[..., str]] = {
    "overview": overview,
    "programs": programs,
    "verdicts": verdicts,
    "absent": absent,
    "causes": causes,
    "kept": kept,
    "matrix": total,
}


def main(names: list[str]) -> None:
    """See the programs called *names*, or all, and write down what was seen; what cannot be had keeps its row."""
    rows: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {}
    for cell in cells.cells():
        if names and cell.name not in names:
            continue
        try:
            rows[cell.name] = seen(cell)
        except store.FixtureError as error:
            sys.stderr.write(f"{cell.name}: {error}\n")
            continue
        sys.stdout.write(f"{cell.name}: {'boots' if _boots(rows[cell.name]) else 'does not boot as it should'}\n")
        sys.stdout.flush()
        wanted = [cell.name for cell in cells.cells()]
        FILE.write_text(dumped({name: rows[name] for name in wanted if name in rows}))


if __name__ == "__main__":
    main(sys.argv[1:])
