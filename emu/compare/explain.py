"""Which keys of two Worlds differ, and which of them a value of the boot depends on.

A value's inputs are declared in :mod:`emu.boot.values`, what decides them in :mod:`emu.boot.worldkeys`; nothing is
guessed.  If the same program ran in two Worlds, nothing but the keys that differ can have made a difference: a boot is
a function of program and World.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

from emu.boot.record import Json
from emu.boot.values import BY_NAME, Value
from emu.boot.worldkeys import AUXV_KEYS, CALL_KEYS, CGROUP_FILES, PATH_KEYS

STACK_KEYS = {
    "argv": ("argv",),
    "envp": ("env",),
    # What lies on the initial stack moves what lies below it.
    "sp": ("memory.stack-top", "argv", "env", "exe", "auxv", "at-random", "vdso"),
}
CLOCK_KEYS = {"monotonic": ("clock.monotonic",), "tsc": ("clock.tsc", "clock.tsc-hz")}
CGROUP = "/sys/fs/cgroup/"
ABSENT = object()


def flat(world: Json) -> Json:
    """Return the World as one key a value: "thp.pmd-size", "env.HOME", "cpuid.features.aes"."""
    found: Json = {}
    for key, value in world.items():
        if key == "env" and isinstance(value, list):
            pairs = (str(entry).partition("=") for entry in value)
            found |= {f"env.{name}": text for name, _, text in pairs}
        elif key in ("files", "binds") and isinstance(value, list) and all(isinstance(item, dict) for item in value):
            found |= {f"{key}.{item.get('path', item.get('guest'))}": item for item in value}
        else:
            found |= dict(_flat(key, value))
    return found


def _flat(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(f"{key}.{name}", inner)
    elif key == "cpuid.features" and isinstance(value, list):
        yield from ((f"{key}.{name}", True) for name in value)
    else:
        yield key, value


def changes(a: Json, b: Json) -> list[Json]:
    """Return the keys that differ between two Worlds, with both values; a value that is not there is left out."""
    one, two = flat(a), flat(b)
    return [
        {"key": key, **{side: held[key] for side, held in (("a", one), ("b", two)) if key in held}}
        for key in sorted(one | two)
        if one.get(key, ABSENT) != two.get(key, ABSENT)
    ]


def causes(value: Value, changed: Collection[str]) -> list[str]:
    """Return which of the World's *changed* keys *value* depends on, by what is declared."""
    wanted = set(_keys(value, {value.name}))
    return sorted(key for key in changed if any(key == name or key.startswith(f"{name}.") for name in wanted))


def _keys(value: Value, seen: set[str]) -> Iterator[str]:
    for word in value.inputs:
        kind, detail = word.split(":", 1)
        if kind == "value" and detail not in seen:
            seen.add(detail)
            yield from _keys(BY_NAME[detail], seen)
        elif kind in _BY_KIND:
            yield from _BY_KIND[kind](detail)


def _of_call(name: str) -> Iterator[str]:
    yield "responses"
    if name in CALL_KEYS:
        yield CALL_KEYS[name]


def _of_file(path: str) -> Iterator[str]:
    yield from ("responses", "files", "binds")
    yield from (key for prefix, key in PATH_KEYS if prefix.startswith(path) or path.startswith(prefix))
    if path == CGROUP:
        yield from ("cgroup.version", "cgroup.path", *CGROUP_FILES.values())


def _of_auxv(tag: str) -> Iterator[str]:
    yield f"auxv.{tag}"
    if tag in AUXV_KEYS:
        yield AUXV_KEYS[tag]
    if tag == "AT_RANDOM":
        yield "seed"


def _of_cpuid(detail: str) -> Iterator[str]:
    yield from ("cpuid.features",) if detail == "features" else (f"cpuid.{detail}", f"cpuid.features.{detail}")


_BY_KIND: dict[str, Callable[[str], Iterator[str]]] = {
    "call": _of_call,
    "file": _of_file,
    "auxv": _of_auxv,
    "env": lambda name: iter((f"env.{name}",)),
    "stack": lambda what: iter(STACK_KEYS[what]),
    "cpuid": _of_cpuid,
    "clock": lambda which: iter(CLOCK_KEYS[which]),
}
