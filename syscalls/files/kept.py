"""What open files are made of, saved and put back as one: an open file may hold others (an epoll, a socket's queue).

Whatever is reached from the descriptors is :class:`Kept`: a snapshot has the values of its slots, with copies of lists,
dictionaries, sets and byte arrays however they are nested.  Restoring puts copies of those back into the same objects.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable


class Kept:
    """An object whose slots a snapshot keeps."""

    __slots__ = ()


Snapshot = dict[Kept, dict[str, object]]


def slots_of(kind: type) -> list[str]:
    """Return the names of all slots of the class *kind*."""
    return [name for base in kind.__mro__ for name in base.__dict__.get("__slots__", ())]


def copied(value: object, found: list[Kept] | None = None) -> object:
    """Return *value* with what can change of it copied, but for objects that are kept, which *found* collects."""
    if isinstance(value, Kept):
        if found is not None:
            found.append(value)
        return value
    kind = type(value)
    if kind in (list, tuple, deque, set):
        return kind(copied(item, found) for item in value)  # type: ignore[attr-defined]
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
            taken[item] = {name: copied(getattr(item, name), left) for name in slots_of(type(item))}
    return taken


def restore(taken: Snapshot) -> None:
    """Put back the values that :func:`snapshot` found."""
    for item, values in taken.items():
        for name, value in values.items():
            setattr(item, name, copied(value))
