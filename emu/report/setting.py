"""Keys of a record's World as ``key = value``, in the form that ``--set`` and a World's file both take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from emu.boot.record import Json
from emu.report import words
from syscalls.cpuset import CpuSet
from syscalls.world import World
from syscalls.worldfile import as_dict
from syscalls.worldfile.writer import inline_name, inline_value

MAX_VALUE = 60  # characters of a value that stands beside something else
DEFAULTS = "2 CPUs, pages of 4 KiB, seed 1, nothing of this machine"
DIRECTLY = {"auxv": "every entry, by its name"}  # what a key changes that has elements
BY_ELEMENT = ("auxv", "rlimits", "leaves")
PLAIN_MODE = "0o644"


def value(world: Json, key: str) -> str:
    """The value of *key* in *world*, cut where it is too long for one line."""
    found: Any = world
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    text = inline_value(found)
    if len(text) <= MAX_VALUE:
        return text
    if isinstance(found, (list, dict)):
        return words.count(len(found), "entry", "entries")
    return inline_value(str(found)[:MAX_VALUE]) + "..."


def setting(world: Json, key: str) -> str:
    """``key = value`` of *world*."""
    return f"{key} = {value(world, key)}"


def changes(world: Json) -> list[str]:
    """``key = value`` for each key of *world* that has not its default; whole, but for contents of files."""
    default = as_dict(World())
    default["possible-cpus"] = CpuSet.first(CpuSet.parse(world["cpus"]).highest + 1).spelled()  # what auto gives
    found: list[str] = []
    for name, item in world.items():
        if item != default[name]:
            found += _changed(name, item, default[name])
    return found


def _changed(key: str, item: Any, default: Any) -> Iterator[str]:
    name = key.rpartition(".")[2]
    if name == "env":
        yield from _environment(item, default)
    elif name == "features":
        yield from (f"cpuid.{one} = false" for one in default if one not in item)
        yield from (f"cpuid.{one} = true" for one in item if one not in default)
    elif name == "files" and all(file["mode"] == PLAIN_MODE and "errno" not in file for file in item):
        yield from (f"files.{inline_name(file['path'])} = {_short(file['content'])}" for file in item)
    elif name == "binds":
        yield from (f"binds: {bind['guest']}" for bind in item)
    elif name in BY_ELEMENT:
        yield from (f"{key}.{inline_name(one)} = {inline_value(x)}" for one, x in item.items())
    elif isinstance(item, dict):
        for one, x in item.items():
            if x != default[one]:
                yield from _changed(f"{key}.{one}", x, default[one])
    else:
        yield f"{key} = {inline_value(item)}"


def _environment(env: list[str], default: list[str]) -> Iterator[str]:
    # Variables that were added or changed; all of them, if others than those went or moved, or one is no readable text.
    names = [entry.partition("=")[0] for entry in env]
    spelled = any(entry.startswith(("hex:", "text:")) for entry in env)
    if (
        spelled
        or names[: len(default)] != [entry.partition("=")[0] for entry in default]
        or len(set(names)) < len(names)
    ):
        yield f"env = {inline_value(env)}"
        return
    for entry in env:
        if entry not in default:
            name, _, text = entry.partition("=")
            yield f"env.{inline_name(name)} = {inline_value(text)}"


def _short(content: str) -> str:
    text = inline_value(content)
    return text if len(text) <= MAX_VALUE else f"{inline_value(content[:MAX_VALUE])}..."
