"""What open files are made of, saved and put back as one: an open file may hold others (an epoll, a socket's queue).

Whatever is reached from the descriptors is :class:`Kept`: a snapshot has the values of its slots, with copies of lists,
dictionaries, sets and byte arrays however they are nested.  Restoring puts copies of those back into the same objects.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from operator import attrgetter


class Kept:
    """An object whose slots a snapshot keeps."""

    __slots__ = ()


Snapshot = dict[Kept, dict[str, object]]
PLAIN = frozenset((int, bool, bytes, str, type(None)))
"""The types of most values: nothing in them can change."""

GETTERS: dict[type, tuple[list[str], Callable[[object], tuple[object, ...]]]] = {}
"""The names of all slots, and what gets their values, for each class that was asked for."""


def slots_of(kind: type) -> list[str]:
    """Return the names of all slots of the class *kind*."""
    return [name for base in kind.__mro__ for name in base.__dict__.get("__slots__", ())]


def values_of(item: Kept) -> tuple[list[str], tuple[object, ...]]:
    """Return the names and the values of all slots of *item*, which has two or more."""
    kind = type(item)
    if kind not in GETTERS:
        GETTERS[kind] = slots_of(kind), attrgetter(*slots_of(kind))
    names, get = GETTERS[kind]
    return names, get(item)


def copied(value: object, found: list[Kept] | None = None) -> object:
    """Return *value* with what can change of it copied, but for objects that are kept, which *found* collects."""
    if isinstance(value, Kept):
        if found is not None:
            found.append(value)
        return value
    kind = type(value)
    if kind in (list, tuple, deque, set):
        return kind([copied(item, found) for item in value]) if value else kind()  # type: ignore[attr-defined]
    if isinstance(value, dict):
        return {copied(key, found): copied(item, found) for key, item in value.items()}
    return bytearray(value) if isinstance(value, bytearray) else value


def snapshot(roots: Iterable[Kept]) -> Snapshot:
    """Return the values of *roots* and of everything that is reached from them."""
    taken: Snapshot = {}
    left = list(roots)
    while left:
        item = left.pop()
        if item not in taken:
            taken[item] = {
                name: value if type(value) in PLAIN else copied(value, left)
                for name, value in zip(*values_of(item), strict=True)
            }
    return taken


def restore(taken: Snapshot) -> None:
    """Put back the values that :func:`snapshot` found."""
    for item, values in taken.items():
        if values_of(item)[1] == tuple(values.values()):
            continue  # most were not touched
        for name, value in values.items():
            setattr(item, name, value if type(value) in PLAIN else copied(value))
