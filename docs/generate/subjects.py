"""The two programs that the pages look at, and their records in the World ``walk`` or one that differs by a key.

*old* is Go 1.13.8, the nearest to the hand walk's 1.13.3 that a registry has with DWARF; *new* is the program that
comes with rt0.  Each goes by the file name that a reader's copy has, because argv[0] lies on the stack and every
address below it depends on its length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

from emu.boot.boot import boot
from emu.image.image import Image, load
from fixtures import store
from syscalls import worldfile

WORLD = "walk"
# Key -> (fixture, the name that the reader's file has, how a command names it; empty: the default program).
PROGRAMS = {
    "old": ("esbuild-0.1.0", "esbuild", "package/bin/esbuild"),
    "new": ("hello-1.27.3", "hello", ""),
}


class NoSuchFigure(LookupError):
    """A page asks for something that the record does not have."""


@dataclass(frozen=True)
class Subject:
    """One record, as the JSON has it, with the program and the settings that it is of."""

    key: str
    record: dict[str, Any]
    image: Image
    settings: tuple[str, ...] = ()

    @property
    def go(self) -> str:
        """The release, "1.13.8"."""
        return str(self.record["binary"]["go"]).removeprefix("go")

    @cached_property
    def functions(self) -> list[dict[str, Any]]:
        """The calls, in order of entry."""
        calls: list[dict[str, Any]] = self.record["functions"]
        return calls

    def calls(self, name: str) -> list[dict[str, Any]]:
        """Every call of the bootstrap function *name*; raises NoSuchFigure if there is none."""
        found = [call for call in self.functions if call["name"] == name]
        if not found:
            raise NoSuchFigure(f"{self.key}: {name} was not called")
        return found

    def within(self, name: str) -> Iterator[dict[str, Any]]:
        """Every call of *name* and everything that those called."""
        inside: set[int] = set()
        for index, call in enumerate(self.functions):
            if call["name"] == name or call["parent"] in inside:
                inside.add(index)
                yield call

    def writers(self, variable: str) -> list[str]:
        """The functions that changed a global."""
        return [call["name"] for call in self.functions if any(write["name"] == variable for write in call["writes"])]

    def value(self, path: str) -> Any:
        """The global, or the view's part, that *path* names: "runtime.ncpu", "views:runtime.m0/id"."""
        if not path.startswith("views:"):
            try:
                return self.record["globals"][path]
            except KeyError:
                raise NoSuchFigure(f"{self.key}: no global {path} in the record") from None
        name, *steps = path.removeprefix("views:").split("/")
        name, steps = self._view(name, steps)
        at = self.record["views"][name]
        for step in steps:
            try:
                at = at[int(step)] if isinstance(at, list) else at[step]
            except (KeyError, IndexError, ValueError):
                raise NoSuchFigure(f"{self.key}: {path} has no {step}") from None
        return at

    def _view(self, name: str, steps: list[str]) -> tuple[str, list[str]]:
        # A view may be called "internal/cpu.X86": take the longest name that there is.
        for cut in range(len(steps), -1, -1):
            whole = "/".join((name, *steps[:cut]))
            if whole in self.record["views"]:
                return whole, steps[cut:]
        raise NoSuchFigure(f"{self.key}: no view {name}")

    def varied(self, *settings: str) -> Subject:
        """The same program in the same World with *settings* (``KEY=VALUE``) applied as well."""
        return subject(self.key, (*self.settings, *settings))


@cache
def image(key: str) -> Image:
    """The program *key*, under the name of the reader's copy; raises fixtures.store.FixtureError."""
    fixture, name, _ = PROGRAMS[key]
    return replace(load(store.path(fixture)), name=name)


@cache
def subject(key: str, settings: tuple[str, ...] = ()) -> Subject:
    """The program *key* booted in the World ``walk`` with *settings*."""
    world = worldfile.load(WORLD, settings)
    return Subject(key, boot(image(key), world).as_dict(), image(key), settings)


@cache
def in_world(key: str, path: str) -> Subject:
    """The program *key* booted in the World of a file, relative to the repository."""
    world = worldfile.load(store.ROOT / path)
    return Subject(key, boot(image(key), world).as_dict(), image(key), (f"--world {path}",))
