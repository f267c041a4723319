"""The direction of imports, read from the sources with ``ast``, so that a wrong arrow fails before it is needed.

``cli -> run, sweep, bench, fuzz, report, compare -> boot -> machine -> image``, ``machine -> syscalls``.  A layer may
import any layer below it; the six beside each other import none of the others.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("emu", "syscalls")

_MACHINE = {"emu.machine", "emu.image", "syscalls"}
_BOOT = {"emu.boot", *_MACHINE}
_CONSUMERS = ("emu.run", "emu.sweep", "emu.bench", "emu.fuzz", "emu.report", "emu.compare")
MAY_IMPORT: dict[str, set[str]] = {
    "syscalls": set(),
    "emu": set(),  # emu/__init__.py: what the package is and its version; every layer may read that
    "emu.image": set(),
    "emu.machine": _MACHINE - {"emu.machine"},
    "emu.boot": _MACHINE,
    **dict.fromkeys(_CONSUMERS, _BOOT),
    "emu.cli": {*_CONSUMERS, *_BOOT},
}
DEPENDENCIES = {
    Requirement(text).name for text in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
}
STANDARD = "syscalls.light"  # in place of parts of the standard library: any layer may import it
TOOLS = {"emu.image.reference.code": {"capstone"}}  # a tool of the project's own makers, and what it takes from "dev"
LIGHT = {"unicorn"}  # the engine itself; every other library costs 0.02 to 0.8 s to import and is imported where used


@dataclass(frozen=True, slots=True)
class Import:
    """One import: the module that holds it, what it names, its line, and whether it runs when the module is loaded."""

    importer: str
    target: str
    line: int
    at_load: bool


def layer_of(module: str) -> str:
    """Return the layer that *module* belongs to: its first two names below ``emu``, else its first."""
    names = module.removesuffix(".__init__").split(".")
    return ".".join(names[:2]) if names[0] == "emu" else names[0]


def imports(module: str, source: str) -> Iterator[Import]:
    """Yield every import of *source*, wherever it stands; relative ones are resolved against *module*.

    ``from a import b`` names ``a.b``, which may be a module or something in one.
    """
    tree = ast.parse(source)
    late = {id(node) for function in ast.walk(tree) if _runs_later(function) for node in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            base = f"{_absolute(module, node)}." if isinstance(node, ast.ImportFrom) else ""
            for alias in node.names:
                yield Import(module, base + alias.name, node.lineno, id(node) not in late)


def _runs_later(node: ast.AST) -> bool:
    # The body of a function runs when called, that of `if TYPE_CHECKING:` never.
    checking = isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
    return checking or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def _absolute(module: str, node: ast.ImportFrom) -> str:
    parent = module.split(".")[: -node.level] if node.level else []
    return ".".join([*parent, *([node.module] if node.module else [])])


def wrong_arrows(modules: dict[str, str]) -> list[str]:
    """Return a sentence for each import of *modules* (name to source) that the layers do not allow."""
    found = []
    for name, source in modules.items():
        here = layer_of(name)
        if here not in MAY_IMPORT:
            found.append(f"{name}: layer {here} is not in the table")
            continue
        for entry in imports(name, source):
            tool = entry.target.partition(".")[0] in TOOLS.get(name, ())
            problem = None if tool else _problem(here, entry.target)
            found += [f"{name}:{entry.line} imports {entry.target}: {problem}"] if problem else []
    return found


def _problem(here: str, target: str) -> str | None:
    top, _, _ = target.partition(".")
    if target.startswith(f"{STANDARD}."):
        return None
    if top in SOURCES:
        there = layer_of(target)
        # `from emu import __version__` names no layer; a folder that is not in the table is found by its own modules.
        allowed = there in (here, "emu") or there in MAY_IMPORT[here] or there not in MAY_IMPORT
        return None if allowed else f"{here} may not import {there}"
    if top in sys.stdlib_module_names:
        return None
    if here == "syscalls":
        return "syscalls may import the standard library and itself only"
    return None if top in DEPENDENCIES else "not a declared dependency"


def loaded_with(start: str, modules: dict[str, str]) -> set[str]:
    """Return the modules of *modules* that importing *start* loads, directly or through others."""
    seen: set[str] = set()
    todo = {start}
    while todo:
        target = todo.pop()
        names = target.split(".")
        # Importing a.b.c loads a, a.b and a.b.c, each a module or a package, as far as they exist.
        prefixes = [".".join(names[: i + 1]) for i in range(len(names))]
        for name in [*prefixes, *(f"{prefix}.__init__" for prefix in prefixes)]:
            if name in modules and name not in seen:
                seen.add(name)
                todo |= {entry.target for entry in imports(name, modules[name]) if entry.at_load}
    return seen


def project() -> dict[str, str]:
    """Return every module of the installed packages: dotted name (a package's ends in ``.__init__``) to source."""
    paths = [path for top in SOURCES for path in sorted((ROOT / top).rglob("*.py"))]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text() for path in paths}


def test_every_import_points_down() -> None:
    """No module of the project imports a layer that stands above or beside its own."""
    assert wrong_arrows(project()) == []


def test_command_line_loads_nothing_heavy() -> None:
    """What the command line loads before it knows its task imports none of the slow libraries."""
    modules = project()
    found = [
        f"{name}:{entry.line} imports {entry.target} when it is loaded"
        for name in sorted(loaded_with("emu.cli.main", modules) | loaded_with("emu.boot", modules))
        for entry in imports(name, modules[name])
        if entry.at_load and entry.target.partition(".")[0] in DEPENDENCIES - LIGHT
    ]

    assert found == []


@pytest.mark.parametrize(
    ("module", "source", "sentence"),
    [
        ("syscalls.kernel", "import unicorn", "syscalls may import the standard library and itself only"),
        ("syscalls.kernel", "from emu.machine import ram", "syscalls may not import emu.machine"),
        ("syscalls.kernel", "def f():\n    import emu.boot", "syscalls may not import emu.boot"),
        ("emu.image.elf", "from emu.machine.ram import Ram", "emu.image may not import emu.machine"),
        ("emu.image.elf", "from syscalls.world import World", "emu.image may not import syscalls"),
        ("emu.image.elf", "from ..machine import ram", "emu.image may not import emu.machine"),
        ("emu.machine.cpu", "from emu import boot", "emu.machine may not import emu.boot"),
        ("emu.boot.record", "import emu.report.text", "emu.boot may not import emu.report"),
        ("emu.report.text", "from emu.sweep import table", "emu.report may not import emu.sweep"),
        ("emu.boot.record", "import requests", "not a declared dependency"),
    ],
)
def test_a_wrong_arrow_is_found(module: str, source: str, sentence: str) -> None:
    """Each way to write a wrong import is seen: absolute, relative, `from emu`, inside a function."""
    (found,) = wrong_arrows({module: source})

    assert found.startswith(f"{module}:")
    assert found.endswith(sentence)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("syscalls.kernel", "import os\nfrom syscalls.world import World\nfrom . import abi"),
        ("emu.machine.cpu", "import unicorn\nfrom syscalls import kernel\nfrom emu import __version__"),
        ("emu.machine.__init__", "from . import cpu\nfrom ..image import elf"),
        ("emu.cli.main", "from emu.boot import record\nfrom emu.report import text\nimport unicorn"),
    ],
)
def test_a_right_arrow_passes(module: str, source: str) -> None:
    """Imports that point down, inside the layer or to a declared dependency are no finding."""
    assert wrong_arrows({module: source}) == []


def test_an_unknown_layer_is_found() -> None:
    """A new folder below emu needs its place in the table first."""
    assert wrong_arrows({"emu.extra.thing": "import os"}) == ["emu.extra.thing: layer emu.extra is not in the table"]


def test_loading_follows_imports_but_not_functions() -> None:
    """A heavy import counts when loading reaches it, and not inside a function or for type checkers alone."""
    late = "if TYPE_CHECKING:\n    import emu.sweep\ndef f():\n    import emu.report"
    modules = {
        "emu.__init__": "",
        "emu.cli.__init__": "",
        "emu.cli.main": f"from emu.boot import record\n{late}",
        "emu.boot.__init__": "",
        "emu.boot.record": "from . import tree",
        "emu.boot.tree": "",
        "emu.boot.unused": "",
        "emu.report.__init__": "import rich",
        "emu.sweep.__init__": "",
    }

    assert set(modules) - loaded_with("emu.cli.main", modules) == {
        "emu.boot.unused",
        "emu.report.__init__",
        "emu.sweep.__init__",
    }
