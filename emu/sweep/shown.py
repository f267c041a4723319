"""The values of a row: which names there are, and how each is read off a stopped machine.

A name is that of a view (``runtime.allp``), of a declared value (``ncpu``: the same in every release, whatever the
variable is called; one that has a view is shown by that), or of a variable or a field (``runtime.sched.maxmcount``),
looked for in this order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from emu.boot.reader import Missing, Reader, locate
from emu.boot.values import BY_NAME, VALUES, Value
from emu.boot.views import VIEWS
from emu.image.image import Image
from emu.sweep.plan import PlanError

ABSENT = "null"
_VIEWS = dict(VIEWS)


def declared() -> tuple[str, ...]:
    """The declared values that are variables; those that have a view are larger and shown when asked for."""
    return tuple(value.name for value in VALUES if not value.view and _variables(value))


def _variables(value: Value) -> list[str]:
    return [source for source in value.sources if not source.endswith("*")]


def check(names: Iterable[str], images: Iterable[Image]) -> None:
    """Raise PlanError for a name that means nothing in any of *images*."""
    images = list(images)
    for name in names:
        value = BY_NAME.get(name)
        if name in _VIEWS or (value is not None and (value.view or _variables(value))):
            continue
        reasons = []
        for image in images:
            try:
                locate(image, name)
                break
            except Missing as absence:
                reasons.append(absence.reason)
        else:
            raise PlanError(f"no value, view or variable is named {name!r}: {reasons[0]}")


def getter(name: str) -> Callable[[Reader], Any]:
    """What reads the value *name*; it raises Missing."""
    value = BY_NAME.get(name)
    view = _VIEWS.get(value.view if value is not None and name not in _VIEWS else name)
    if view is not None:
        return view
    if value is None:
        return lambda reader: reader.value(name)
    sources = _variables(value)
    return lambda reader: _first(reader, sources)


def _first(reader: Reader, sources: list[str]) -> Any:
    # The first of the variables that this release has.
    for source in sources[:-1]:
        try:
            return reader.value(source)
        except Missing:
            continue
    return reader.value(sources[-1])


def read(getters: Iterable[Callable[[Reader], Any]], reader: Reader) -> tuple[str, ...]:
    """The values as JSON, :data:`ABSENT` for those that cannot be had."""
    found = []
    for get in getters:
        try:
            value = get(reader)
        except Missing:
            found.append(ABSENT)
            continue
        found.append(str(value) if type(value) is int else json.dumps(value, separators=(",", ":"), sort_keys=True))
    return tuple(found)
