"""When two JSON values of records differ, and whether in more than addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from emu.compare.align import matches

ADDRESS = re.compile(r"0x[0-9a-f]+")
# A 64-bit number in the upper half of user space lies in the stack, a mapping or a position-independent program
# (Documentation/arch/x86/x86_64/mm.rst); a pid, a size or a time of the clock does not.
HIGH = range(1 << 46, 1 << 47)
MIN_HEAP = 1 << 32  # what a uintptr that large is: the lowest address that Go's heap, a stack or a mapping has
POINTER_TYPES = ("uintptr", "unsafe.Pointer")
POINTER_FIELDS = (
    "addr", "hi", "lo", "stackguard0", "stackguard1", "link", "m", "p", "g0", "gsignal", "curg", "runnext", "alllink",
    "nextp", "chunk", "callerpc", "startpc", "gopc",
)  # fmt: skip
"""Fields and parameters of the runtime that hold an address in a number."""
LOW_POINTERS = range(1 << 16, 1 << 47)  # what such a field holds: a program may be linked low
FIELD = "field of an address"  # stands for a Go type where only the field's name is known
VALUE, POINTED = "value", "address"  # kinds of differences


def difference(a: Any, b: Any, kind: str = "") -> str | None:
    """Return how *a* and *b*, of the Go type *kind* if known, differ: VALUE, POINTED (only in addresses), or None."""
    if type(a) is not type(b):
        return VALUE
    if a == b:
        return None
    if isinstance(a, dict) and a.keys() == b.keys():
        return _worst(difference(a[name], b[name], kind_of(name)) for name in a)
    if isinstance(a, list) and len(a) == len(b):
        return _worst(difference(x, y, kind.rpartition("]")[2]) for x, y in zip(a, b, strict=True))
    return POINTED if is_address(a, kind) and is_address(b, kind) else VALUE


def kind_of(path: str) -> str:
    """Return the Go type that the last field of *path* has, as far as its name says it."""
    return FIELD if path.rpartition(".")[2].partition("[")[0] in POINTER_FIELDS else ""


def _worst(kinds: Iterator[str | None]) -> str | None:
    found = set(kinds)
    return VALUE if VALUE in found else POINTED if POINTED in found else None


def is_address(value: Any, kind: str = "") -> bool:
    """Tell whether *value*, of the Go type *kind* if known, is an address other than nil."""
    if isinstance(value, str):
        return bool(ADDRESS.fullmatch(value)) and value != "0x0"
    if isinstance(value, int) and not isinstance(value, bool):
        if kind == FIELD:
            return value in LOW_POINTERS
        return value in HIGH or (kind in POINTER_TYPES and value >= MIN_HEAP)
    return False


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Return *value* as a flat table of paths, the entries of the auxiliary vector by tag.

    A list of numbers or texts is one leaf, and so is what is a slice or a string in Go.
    """
    if isinstance(value, dict) and value and not {"len"} <= value.keys():
        parts = [(f"{path}.{name}" if path else name, inner) for name, inner in value.items()]
    elif isinstance(value, list) and value and all(isinstance(i, dict) and i.keys() == {"tag", "value"} for i in value):
        parts = [(f"{path}.{item['tag']}" if path else str(item["tag"]), item["value"]) for item in value]
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        parts = [(f"{path}[{i}]", inner) for i, inner in enumerate(value)]
    else:
        return {path: value} if path or value else {}
    return {name: leaf for prefix, inner in parts for name, leaf in leaves(inner, prefix).items()}


def changed_leaves(a: Any, b: Any) -> list[dict[str, Any]]:
    """Return the leaves that differ between *a* and *b*, as :func:`changed_entries` does."""
    return changed_entries(leaves(a), leaves(b))


def changed_entries(a: dict[str, Any], b: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the entries that differ: path, kind, and each side's value where it has one."""
    found = []
    for path in dict.fromkeys((*a, *b)):
        sides = {side: held[path] for side, held in (("a", a), ("b", b)) if path in held}
        kind = difference(sides["a"], sides["b"], kind_of(path)) if len(sides) == 2 else VALUE
        if kind:
            found.append({"path": path, "kind": kind, **sides})
    return found


def aligned(a: Sequence[str], b: Sequence[str]) -> Iterator[tuple[int | None, int | None]]:
    """Align two lists of names by order, and what stays over by name alone, in order of both."""
    pairs = matches(a, b)
    rest: dict[str, list[int]] = {}
    for i, j in pairs:
        if i is not None and j is None:
            rest.setdefault(a[i], []).append(i)
    taken = set()
    joined = []
    for i, j in pairs:
        if i is None and j is not None and rest.get(b[j]):
            i = rest[b[j]].pop(0)  # noqa: PLW2901 - the pair is completed
            taken.add(i)
        joined.append((i, j))
    yield from ((i, j) for i, j in joined if j is not None or i not in taken)
