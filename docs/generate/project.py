"""Facts of the project that pages state: reasons, bundled Worlds, fixtures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from docs.generate.boxes import table
from docs.generate.spelling import number
from emu.boot import reader
from emu.boot.schema import schema
from fixtures.store import Built, fixtures
from syscalls import worldfile


def reasons() -> str:
    """The reasons for which a value can be missing."""
    found = (reader.NOT_IN_RELEASE, reader.STRIPPED, reader.NOT_REACHED, reader.UNREADABLE)
    return ", ".join(f"`{reason}`" for reason in found)


def worlds() -> str:
    """The Worlds that come with rt0."""
    return ", ".join(f"`{name}`" for name in worldfile.bundled())


def binaries() -> str:
    """Every fixture: release, kind, what it holds, size, where it is from."""
    rows = []
    for name, fixture in fixtures().items():
        origin = fixture.origin
        if isinstance(origin, Built):
            flags = " ".join(origin.flags)
            source = f"built by {origin.toolchain}, go.mod {origin.gomod}" + (f", `{flags}`" if flags else "")
        else:
            source = f"{origin.registry} {origin.package} {origin.version}, `{origin.member}`"
        holds = "stripped" if fixture.stripped else "symbols and DWARF" if fixture.dwarf else "symbols"
        rows.append([f"`{name}`", fixture.go, fixture.kind, holds, number(fixture.size), source])
    return table(["name", "Go", "kind", "holds", "bytes", "from"], rows)


def fields(*path: str) -> str:
    """The fields of a part of the record, from its published schema: "functions writes"."""
    at: dict[str, Any] = schema()
    for step in path:
        at = at["properties"][step]
        at = at.get("items", at)
    rows = [[f"`{name}`", kind(field), about(field)] for name, field in at["properties"].items()]
    return table(["field", "is", "meaning"], rows)


def kind(field: dict[str, Any]) -> str:
    """What values a field of the schema has."""
    if "anyOf" in field:
        return " or ".join(kind(part) for part in field["anyOf"])
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("pattern", "").startswith("^0x"):
        return "address"
    return str(field.get("type", "any value"))


def about(field: dict[str, Any]) -> str:
    """What the schema says of a field, or of what an alternative of it says."""
    parts = [field, *field.get("anyOf", ())]
    return next((str(part["description"]) for part in parts if "description" in part), "")


FACTS: Mapping[str, Callable[..., str]] = {
    "fields": fields,
    "reasons": reasons,
    "worlds": worlds,
    "fixtures": binaries,
}
