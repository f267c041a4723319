"""docs/suites.md: what Go's own tests say of rt0, made of what ``python -m bench.suites`` wrote down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from bench.suites import results
from bench.suites.causes import cause
from bench.suites.verdicts import ABSENT, UNFINISHED
from docs.generate.boxes import table
from docs.generate.spelling import number
from fixtures.suites import PACKAGES, RELEASES

WITHOUT = "without a cause"
NO_TIME = "rt0 was ended at the cap on wall time before it got there"
MARK = "—"
SHOWN = 12  # names in a line; more are counted


def _row(release: str, package: str) -> results.Json | None:
    return results.rows().get(results.key(release, package))


def _there() -> Iterator[tuple[str, str, results.Json]]:
    for release in RELEASES:
        for package in PACKAGES:
            if (row := _row(release, package)) is not None:
                yield release, package, row


def _why(release: str, package: str, row: results.Json, test: str) -> str | None:
    there, here = row["differences"][test]
    if row["emulated"]["end"].startswith("cap ") and here in (ABSENT, UNFINISHED):
        return NO_TIME
    return cause(release, package, test, (there, here))


def _reasons(release: str, package: str, row: results.Json) -> dict[str, list[str]]:
    # The tests that differ, by cause and verdicts: "PASS natively, FAIL in rt0: why".
    found: dict[str, list[str]] = {}
    for name, (there, here) in row["differences"].items():
        why = _why(release, package, row, name) or f"**{WITHOUT}**"
        found.setdefault(f"{there} natively, {here} in rt0, {why}", []).append(name)
    if not row["differences"] and not results.same_end(row):
        found[f"{row['native']['end']} natively, {row['emulated']['end']} in rt0, **{WITHOUT}**"] = ["how it ends"]
    return found


def overview() -> str:
    """Release by release, what was run and how much is the same."""
    rows = []
    for release in RELEASES:
        found = [(package, row) for name, package, row in _there() if name == release]
        whys = [_why(release, package, row, name) for package, row in found for name in row["differences"]]
        late, unknown = whys.count(NO_TIME), whys.count(None)
        tests, same = (sum(row[what] for _, row in found) for what in ("tests", "same"))
        whole = sum(row["tests"] == row["same"] and results.same_end(row) for _, row in found)
        times = [sum(row[side]["cpu"] for _, row in found) for side in ("native", "emulated")]
        rows.append(
            [
                release, f"{whole} of {len(found)}", number(tests), number(same),
                *map(number, (len(whys) - late - unknown, late, unknown)), *(f"{seconds:.0f} s" for seconds in times),
            ]
        )  # fmt: skip
    head = [
        "Go",
        "packages all the same",
        "tests",
        "same",
        "differ by cause",
        "not reached in time",
        WITHOUT,
        "CPU natively",
        "CPU in rt0",
    ]
    return table(head, rows)


def packages() -> str:
    """Every package in every release."""
    rows = []
    for package in PACKAGES:
        for release in RELEASES:
            row = _row(release, package)
            if row is None:
                continue
            sides = [row["native"], row["emulated"]]
            rows.append(
                [
                    f"`{package}`", release, number(row["tests"]),
                    "all" if row["same"] == row["tests"] else number(row["same"]),
                    *(_counts(side["verdicts"]) for side in sides),
                    *(side["end"] for side in sides),
                    *(f"{side['wall']:.2f} s" for side in sides),
                    *(f"{side['cpu']:.2f} s" for side in sides),
                ]
            )  # fmt: skip
    head = ["package", "Go", "tests", "same"]
    head += [f"{what} {where}" for what in ("verdicts", "ends", "wall", "CPU") for where in ("natively", "in rt0")]
    return table(head, rows)


def _counts(verdicts: Mapping[str, int]) -> str:
    return ", ".join(f"{number(count)} {verdict}" for verdict, count in verdicts.items() if count) or MARK


def differences() -> str:
    """Every test whose verdicts differ, by package and cause."""
    lines = []
    for release, package, row in _there():
        for reason, names in _reasons(release, package, row).items():
            shown = ", ".join(f"`{name}`" for name in names[:SHOWN])
            more = f" and {number(len(names) - SHOWN)} more" if len(names) > SHOWN else ""
            lines.append(f"- `{package}` of {release}: {shown}{more}: {reason}.")
    return "\n".join(lines) or "None."


def absent() -> str:
    """The packages that were not run yet."""
    missing = [
        f"`{package}` of {release}" for release in RELEASES for package in PACKAGES if _row(release, package) is None
    ]
    return ", ".join(missing) or "none"


def runtime() -> str:
    """How much of the runtime's own tests is the same, release by release."""
    parts = []
    for release in RELEASES:
        row = _row(release, "runtime")
        if row is not None:
            said = _counts(row["emulated"]["verdicts"])
            share = 100 * row["same"] / row["tests"]
            parts.append(f"{number(row['same'])} of {number(row['tests'])} ({share:.1f} %) of {release} ({said})")
    return " and ".join(parts) or MARK


FACTS: Mapping[str, Callable[..., str]] = {
    "overview": overview,
    "packages": packages,
    "differences": differences,
    "absent": absent,
    "runtime": runtime,
}
