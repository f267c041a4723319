"""Open files and what they hold as JSON: every kind alike, by the slots of its class (:mod:`syscalls.files.kept`)."""

from __future__ import annotations

import importlib
from collections import deque

from syscalls.files.kept import Kept, Snapshot, slots_of
from syscalls.files.opened import Facts
from syscalls.light import TYPE_CHECKING, Any
from syscalls.tree import Node

if TYPE_CHECKING:
    from syscalls.statetree import Reader, Writer

CONTAINERS: dict[str, type] = {"list": list, "tuple": tuple, "deque": deque, "set": set}
NAMES = {kind: name for name, kind in CONTAINERS.items()}


MODULES = (
    "syscalls.files.epoll", "syscalls.files.eventfd", "syscalls.files.fifos", "syscalls.files.timerfd",
    "syscalls.net.calls",
)  # fmt: skip


def kinds() -> dict[str, type[Kept]]:
    """Return the classes of what is kept, by name, having imported those that a run does when it needs them."""
    for module in MODULES:
        importlib.import_module(module)
    found: dict[str, type[Kept]] = {}
    left: list[type[Kept]] = [Kept]
    while left:
        kind = left.pop()
        left += kind.__subclasses__()
        found[kind.__name__] = kind
    return found


def to_json(taken: Snapshot, tree: Writer) -> tuple[list[Any], dict[Kept, int]]:
    """Return the objects of *taken* as JSON's types, and the place of each in that list.

    Raises ValueError for one that holds something which cannot be written down.
    """
    places = {item: place for place, item in enumerate(taken)}
    return [
        [type(item).__name__, {name: value_to_json(value, places, tree) for name, value in values.items()}]
        for item, values in taken.items()
    ], places


def value_to_json(value: Any, places: dict[Kept, int], tree: Writer) -> Any:
    """Return *value* as JSON's types; what is kept is named by its place, a node as *tree* does."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (bytes, bytearray)):
        return {type(value).__name__: value.hex()}
    if isinstance(value, Facts):
        return {"facts": [list(item) if isinstance(item, tuple) else item for item in value]}
    if isinstance(value, Kept):
        return {"kept": places[value]}
    if isinstance(value, dict):
        return {
            "dict": [
                [value_to_json(key, places, tree), value_to_json(item, places, tree)] for key, item in value.items()
            ]
        }
    if isinstance(value, Node):
        return {"node": tree.refer(value)}
    if type(value) not in NAMES:
        raise ValueError(f"an open file holds a {type(value).__name__}: such a state cannot be written to a file")
    return {NAMES[type(value)]: [value_to_json(item, places, tree) for item in value]}


def from_json(data: list[Any], tree: Reader) -> tuple[Snapshot, list[Kept]]:
    """Return what :func:`to_json` made *data* of, with new objects, and those in the order of that list."""
    known = kinds()
    made: list[Kept] = []
    for name, _ in data:
        kind = known[name]
        made.append(kind.__new__(kind))
        for slot in slots_of(kind):
            setattr(made[-1], slot, None)
    taken: Snapshot = {}
    for item, (_, values) in zip(made, data, strict=True):
        names = slots_of(type(item))
        if set(values) != set(names):
            raise ValueError(f"not the parts of a {type(item).__name__}")
        taken[item] = {name: value_from_json(values[name], made, tree) for name in names}
    return taken, made


def value_from_json(value: Any, made: list[Kept], tree: Reader) -> Any:
    """Return what :func:`value_to_json` made *value* of."""
    if not isinstance(value, dict):
        return value
    ((name, inner),) = value.items()
    if name == "bytes":
        return bytes.fromhex(inner)
    if name == "bytearray":
        return bytearray.fromhex(inner)
    if name == "facts":
        values: list[Any] = [tuple(item) if isinstance(item, list) else item for item in inner]
        return Facts(*values)
    if name == "kept":
        return made[inner]
    if name == "dict":
        return {value_from_json(key, made, tree): value_from_json(item, made, tree) for key, item in inner}
    if name == "node":
        return tree.find(inner)
    return CONTAINERS[name](value_from_json(item, made, tree) for item in inner)
