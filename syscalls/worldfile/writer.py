"""A World as TOML, as a digest, and as a dictionary for records."""

from __future__ import annotations

import functools
import re

from syscalls.light import Any
from syscalls.world import World
from syscalls.worldfile.keys import GETTERS, KEYS, TABLE, Key
from syscalls.worldfile.reader import check
from syscalls.worldfile.records import Records

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_ROWS = tuple((key.name, GETTERS[key.name], isinstance(key.kind, Records), key.get(World())) for key in TABLE)
_SINGULAR = {"files": "file", "binds": "bind", "responses": "response"}


def to_toml(world: World, changes_only: bool = False) -> str:
    """*world* as TOML that reads back equal; with *changes_only*, without the keys that have their default.

    A file with every key keeps its meaning when a later release changes a default.

    :raises WorldError: for a World that cannot be (:func:`syscalls.worldfile.check`).
    """
    check(world)
    top: list[str] = []
    sections: dict[str, list[str]] = {}
    tables: list[str] = []
    for name, get, is_records, default in _ROWS:
        value = get(world)
        if changes_only and value == default:
            continue
        section, written = _lines(name, value)
        if is_records:
            tables += written
        elif section:
            sections.setdefault(section, []).extend(written)
        else:
            top += written
    for section, lines in sections.items():
        if lines or not changes_only:
            tables += ["", f"[{section}]", *lines]
    # Plain keys of the top come first: after a table's header they would belong to it.
    return "\n".join([*top, *tables]).lstrip("\n") + "\n"


@functools.lru_cache(maxsize=1024)  # most keys have the same value in all Worlds of a sweep
def _lines(name: str, value: Any) -> tuple[str, tuple[str, ...]]:
    # The lines that the key *name* takes, and the section that they belong to.
    key = KEYS[name]
    written = key.kind.write(value)
    if isinstance(key.kind, Records):
        return "", tuple(_array_of_tables(key, written))
    if isinstance(written, dict):
        return key.name, tuple(f"{inline_name(name)} = {inline_value(item)}" for name, item in written.items())
    return key.section, (f"{key.name.rpartition('.')[2]} = {inline_value(written)}",)


def _array_of_tables(key: Key, written: list[dict[str, Any]]) -> list[str]:
    lines = []
    for table in written:
        lines += ["", f"[[{_SINGULAR[key.name]}]]"]
        lines += [f"{inline_name(name)} = {inline_value(item)}" for name, item in table.items()]
    return lines


def inline_value(value: Any) -> str:
    """A TOML value on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, list):
        return "[" + ", ".join(inline_value(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{inline_name(name)} = {inline_value(item)}" for name, item in value.items()) + "}"
    raise TypeError(f"no TOML for {value!r}")


def inline_name(name: str) -> str:
    """A part of a TOML key: bare where it can be, else quoted."""
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else _quoted(name)


def _quoted(text: str) -> str:
    return '"' + "".join(_ESCAPES.get(c, c if c.isprintable() else f"\\U{ord(c):08x}") for c in text) + '"'


def digest(world: World) -> str:
    """The SHA-256 of the World's complete TOML, in hexadecimal: equal for equal Worlds, on every host."""
    import hashlib  # 3 ms, and most runs want no digest

    return hashlib.sha256(to_toml(world).encode()).hexdigest()


def as_dict(world: World) -> dict[str, Any]:
    """The World as a record shows it: JSON types, sorted keys, the possible CPUs spelled out, no path of the host."""
    found: dict[str, Any] = {}
    for key in TABLE:
        written = key.kind.write(key.get(world))
        if key.name == "possible-cpus":
            written = world.possible.spelled()
        elif key.name == "binds":
            written = [{"guest": bind["guest"], "writable": bind["writable"]} for bind in written]
        if isinstance(written, dict):
            written = dict(sorted(written.items()))
        place = found.setdefault(key.section, {}) if key.section else found
        place[key.name.rpartition(".")[2]] = written
    return _sorted(found)


def _sorted(table: dict[str, Any]) -> dict[str, Any]:
    return {name: _sorted(item) if isinstance(item, dict) else item for name, item in sorted(table.items())}
