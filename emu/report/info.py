"""What a program is and what of it can be captured: gathered as JSON-ready values, then laid out as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from emu.boot.catalogue import NEWEST, ROWS, expected
from emu.boot.order import order
from emu.boot.reader import STRIPPED, Missing, locate
from emu.boot.values import VALUES, Value, spelled
from emu.image.image import Image
from emu.report import words
from emu.report.paper import Paper, Spans
from emu.report.tree import short_file

SCHEMA = "rt0.info/1"
INLINED = "inlined into its callers, or not linked"
KINDS = {"exec": "static executable", "pie": "static position-independent executable", "dynamic": "dynamic executable"}
ADDRESS_WIDTH = 18  # 0x and 16 digits, as gdb's `info files` prints them


def gather(image: Image) -> dict[str, Any]:
    """Everything that is known of *image* without running it, and which engine would run it."""
    build = image.build
    file, line = image.line_of(image.entry)
    entry = image.function_at(image.entry)
    return {
        "schema": SCHEMA,
        "binary": {
            "name": image.name,
            "sha256": image.sha256,
            "size": len(image.data),
            "kind": image.kind,
            "interpreter": image.interpreter,
            "stripped": image.stripped,
            "dwarf": image.dwarf,
        },
        "entry": {"pc": hex(image.entry), "function": entry.name if entry else None, "file": file, "line": line},
        "build": {
            "go": build.go,
            "found_by": build.found_by,
            "path": build.path,
            "module": build.module,
            "settings": dict(build.settings),
            "dependencies": [{"module": module, "version": version} for module, version in build.dependencies],
            "go_build_id": build.go_build_id,
            "gnu_build_id": build.gnu_build_id,
        },
        "sections": [
            {"name": s.name, "start": hex(s.addr), "end": hex(s.addr + s.size)} for s in image.sections if s.allocated
        ],
        "functions": functions(image),
        "absent": absent(image),
        "capture": capture(image),
        "engine": engine(),
        "notes": [*image.notes, *newer(image)],
    }


def functions(image: Image) -> list[dict[str, Any]]:
    """The bootstrap functions that the program has, in the order in which its release enters them."""
    names = order(image.release)
    rows = expected(image.release) if (0, 0) < image.release <= NEWEST else ROWS
    ranked = sorted(rows, key=lambda row: names.index(row.name) if row.name in names else len(names))
    found = []
    for row in ranked:
        function = image.function(row.name)
        if function is not None:
            signature = image.layouts.signature(row.name)
            found.append(
                {
                    "name": row.name,
                    "pc": hex(function.entry),
                    "file": function.file,
                    "line": function.line,
                    "arguments": [name for name, _ in signature.parameters] if signature else None,
                    "results": len(signature.results) if signature else None,
                    "doc": row.doc,
                }
            )
    return found


def absent(image: Image) -> list[dict[str, str]]:
    """The functions of the release's order that the program does not have."""
    return [{"name": name, "reason": INLINED} for name in order(image.release) if image.function(name) is None]


def capture(image: Image) -> dict[str, Any]:
    """What a boot can show, and why not the rest."""
    layouts = image.layouts
    typed = sum(1 for variable in layouts.globals() if variable.type.kind != "opaque")
    named = sum(1 for _ in layouts.globals())
    values = {value.name: _why_not(image, value) for value in VALUES}
    return {
        "types": "dwarf" if image.dwarf else "recovered" if image.recovered else None,
        "how_recovered": image.recovered,
        "why_no_types": None if image.typed else image.untyped or "the program has no debugging information",
        "globals": {"named": named, "typed": typed},
        "always": ["order of functions", "instructions", "system calls", "outcome"],
        "values": values,
        "variables": {value.name: spelled(value, _located(image, value)) for value in VALUES},
    }


def _why_not(image: Image, value: Value) -> str | None:
    # Why none of the value's variables can be read; None if one can.
    reason = None
    for source in value.sources:
        try:
            locate(image, source.rstrip("*."))
        except Missing as absence:
            reason = absence.reason
        else:
            return None
    return reason if value.sources or image.typed else STRIPPED


def _located(image: Image, value: Value) -> list[str]:
    # Those of the value's variables that the program has.
    found = []
    for source in value.sources:
        try:
            locate(image, source)
        except Missing:
            continue
        found.append(source)
    return found


def engine() -> dict[str, Any]:
    """What executes the guest's instructions."""
    from emu.machine import accel

    accelerated = accel.load()
    from emu.machine import libunicorn

    return {"name": f"Unicorn {libunicorn.version()}", "accelerated": accelerated, "reason": accel.reason() or None}


def newer(image: Image) -> list[str]:
    """A note for a release that this version does not know."""
    if image.release > NEWEST:
        return [f"{image.go} is newer than the newest release known here ({NEWEST[0]}.{NEWEST[1]}): some may be missed"]
    return [] if image.release[0] else ["the Go release is unknown"]


# As text


def lines(found: dict[str, Any], paper: Paper) -> Iterator[str]:
    """What :func:`gather` found, for a screen."""
    yield from _program(found, paper)
    yield from _sections(found, paper)
    yield from _functions(found, paper)
    yield from _capture(found, paper)


def _field(paper: Paper, name: str, text: str, style: str = "") -> Iterator[str]:
    yield from paper.lay([(style, text)], f"{name:<10}", " " * 10)


def _program(found: dict[str, Any], paper: Paper) -> Iterator[str]:
    binary, build, entry = found["binary"], found["build"], found["entry"]
    symbols = "stripped" if binary["stripped"] else "symbols"
    types = "DWARF types" if binary["dwarf"] else "no types"
    yield from _field(paper, "program", f"{binary['name']}: {KINDS[binary['kind']]}, {symbols}, {types}", "name")
    yield from _field(paper, "release", f"{build['go'] or 'unknown'} (by {build['found_by'] or 'nothing'})")
    place = f"{short_file(entry['file'])}:{entry['line']}" if entry["file"] else "unknown"
    yield from _field(paper, "entry", f"{entry['pc']}  {entry['function']}  {place}")
    if build["path"]:
        yield from _field(paper, "package", build["path"] + (f" of {build['module']}" if build["module"] else ""))
    if build["settings"]:
        yield from _field(paper, "settings", "  ".join(f"{name}={text}" for name, text in build["settings"].items()))
    if build["dependencies"]:
        yield from _field(paper, "modules", words.count(len(build["dependencies"]), "dependency", "dependencies"))
    for label, key in (("build ID", "go_build_id"), ("GNU ID", "gnu_build_id")):
        if build[key]:
            yield from _field(paper, label, build[key])
    yield from _field(paper, "sha256", binary["sha256"])
    used = found["engine"]
    how = "with the native accelerator" if used["accelerated"] else f"without the native accelerator: {used['reason']}"
    yield from _field(paper, "engine", f"{used['name']}, {how}")
    for note in found["notes"]:
        yield from _field(paper, "note", note, "bad")


def _sections(found: dict[str, Any], paper: Paper) -> Iterator[str]:
    yield ""
    yield paper.styled("head", "Sections")
    for s in found["sections"]:
        start, end = (f"0x{int(s[key], 16):0{ADDRESS_WIDTH - 2}x}" for key in ("start", "end"))
        yield from paper.lay([("", f"{start} - {end} is {s['name']}")], "  ", "    ")
    if not found["sections"]:
        yield "  the file has no section table"


def _functions(found: dict[str, Any], paper: Paper) -> Iterator[str]:
    yield ""
    yield paper.styled("head", "Functions of the bootstrap, in the order in which this release enters them")
    for f in found["functions"]:
        taken = ", ".join(f["arguments"]) if f["arguments"] is not None else "?"
        spans: Spans = [("faint", f"{f['pc']}  "), ("name", f["name"]), ("", f"({taken})")]
        yield from paper.lay(spans, "  ", " " * 12, f"{short_file(f['file'])}:{f['line']}")
    if found["absent"]:
        names = ", ".join(f["name"] for f in found["absent"])
        yield from paper.lay([("faint", f"not there as functions ({INLINED}): {names}")], "  ", "    ")


def _capture(found: dict[str, Any], paper: Paper) -> Iterator[str]:
    yield ""
    yield paper.styled("head", "What a boot can show")
    shown = found["capture"]
    yield from paper.lay([("", f"always: {', '.join(shown['always'])}")], "  ", "    ")
    if shown["types"]:
        count = f"{shown['globals']['typed']:,} of {shown['globals']['named']:,}"
        text = f"every change of {count} global variables by name and type; arguments and results of functions"
    else:
        text = f"no values by name: {shown['why_no_types']}"
    yield from paper.lay([("", text)], "  ", "    ")
    variables = shown["variables"]
    there = [variables[name] for name, reason in shown["values"].items() if reason is None]
    if there:
        yield from paper.lay([("value", f"values: {', '.join(there)}")], "  ", "    ")
    reasons: dict[str, list[str]] = {}
    for name, reason in shown["values"].items():
        if reason is not None:
            reasons.setdefault(reason, []).append(variables[name])
    for reason, names in reasons.items():
        yield from paper.lay([("faint", f"{reason}: {', '.join(names)}")], "  ", "    ")
