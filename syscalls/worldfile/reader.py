"""From TOML and from KEY=VALUE to a World; every mistake is one line that names the key."""

from __future__ import annotations

import re
from collections.abc import Iterable

from syscalls.cpuid import BY_NAME
from syscalls.cpuset import CpuSet
from syscalls.light import TYPE_CHECKING, Any, replace
from syscalls.world import World, WorldError
from syscalls.worldfile.keys import ALIASES, KEYS, SECTIONS, Key
from syscalls.worldfile.kinds import Bad, Boolean, nearest, show
from syscalls.worldfile.tables import Features, Many, inline

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE = 64 << 20  # bytes; a World holds the contents of a few files at most


def load(path: str | Path | None, sets: Iterable[str] = ()) -> World:
    """Read the World file *path* (or a bundled World's bare name; None: the defaults), then apply *sets* in order.

    :raises WorldError: naming the file for what stands in it.
    """
    world = World()
    if path is not None:
        source, text = _contents(str(path))
        try:
            world = merge(world, _parse(text))
        except WorldError as error:
            raise error.within(source) from error
    for setting in sets:
        world = _set(world, setting)
    check(world)
    return world


def bundled() -> list[str]:
    """The names of the Worlds that come with the program."""
    return sorted(_bundle())


def from_toml(text: str) -> World:
    """The World that *text* describes; what it does not name has its default.

    :raises WorldError: for bad TOML, an unknown key, a wrong type or an impossible value.
    """
    world = merge(World(), _parse(text))
    check(world)
    return world


def apply(world: World, setting: str, literal: bool = False) -> World:
    """*world* with one ``KEY=VALUE`` applied.

    Parts of the key may be quoted (``files."/etc/x=y"=text``); after a key with elements comes an element's name.
    A line of a World's file, ``KEY = "VALUE"``, means here what it means there, unless VALUE is *literal*.

    :raises WorldError: as :func:`from_toml` does.
    """
    return apply_all(world, (setting,), literal)


def apply_all(world: World, settings: Iterable[str], literal: bool = False) -> World:
    """*world* with each ``KEY=VALUE`` of *settings* applied, in order; only the last World must be possible.

    :raises WorldError: as :func:`from_toml` does.
    """
    for setting in settings:
        world = _set(world, setting, literal)
    check(world)
    return world


def check(world: World) -> None:
    """Raise :class:`WorldError` if two keys of *world* cannot be true together."""
    missing = CpuSet(world.cpus.mask & ~world.possible.mask)
    if missing:
        raise WorldError("cpus", f"CPUs {missing} are not possible", f"some of possible-cpus, {world.possible}")
    if world.cpuid.family < 6 and world.cpuid.model > 15:
        raise WorldError("cpuid.model", f"{world.cpuid.model} is too large for family {world.cpuid.family}", "0 to 15")
    # A World made by hand may hold what no file can say.
    elements: dict[str, list[object]] = {
        "auxv": [name for name, _ in world.auxv],
        "rlimits": [name for name, _, _ in world.rlimits],
        "cpuid.leaves": [leaf[:2] for leaf in world.cpuid.leaves],
        "files": [file.path for file in world.files],
    }
    for key, names in elements.items():
        if len(set(names)) < len(names):
            repeated = next(name for n, name in enumerate(names) if name in names[:n])
            raise WorldError(key, f"{show(repeated)} is given twice", "each once")


# Files


def _bundle() -> dict[str, Path]:
    from pathlib import Path  # 4 ms to import, and a run without a World file does not need it

    return {path.stem: path for path in (Path(__file__).parent.parent / "worlds").glob("*.toml")}


def _contents(name: str) -> tuple[str, str]:
    # The name to show and the text of a World file.
    from pathlib import Path  # as above

    path = Path(name)
    try:
        if not path.exists():
            path = _bundle().get(name, path)
        if not path.exists():
            raise WorldError("", f"no such World: {show(name)}", f"a TOML file, or one of {', '.join(bundled())}")
        if not path.is_file():
            raise WorldError("", f"{show(name)} is not a regular file", "a TOML file")
        if path.stat().st_size > MAX_FILE:
            raise WorldError("", f"{show(name)} is larger than {MAX_FILE} bytes", "a TOML file")
        content = path.read_bytes()
    except OSError as error:
        raise WorldError("", f"{show(name)} cannot be read: {error.strerror}", "a TOML file") from error
    try:
        return name, content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        raise WorldError("", f"not UTF-8 (at line {line}, column {column})", "TOML", name) from error


def _parse(text: str) -> dict[str, Any]:
    import tomllib  # a run without a World file does not need it

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problem = str(error)
        if problem.endswith("(at end of document)"):
            lines = text.split("\n")
            place = f"(at line {len(lines)}, column {len(lines[-1]) + 1})"
            problem = problem.replace("(at end of document)", place)
        if re.match(r"Unterminated string|Illegal character '\\n'|Expected [\"']{1,4}'", problem):
            problem = f"a quote is not closed {problem[problem.rindex('(') :]}"
        raise WorldError("", f"bad TOML: {' '.join(problem.split())}") from error
    except (RecursionError, ValueError) as error:
        # Arrays nested thousands deep, and integers of thousands of digits (PEP 680 leaves both to Python).
        raise WorldError("", "bad TOML: nested too deeply, or a number too long") from error


# Keys


class _Changes:
    # What a document asks for: values by key, and CPU features to switch after the list of them.

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.features: dict[str, bool] = {}

    def add(self, key: Key, spelled: str, value: Any) -> None:
        if key.name in self.values:
            raise WorldError(spelled, f"{key.name} is given twice")
        try:
            self.values[key.name] = key.kind.read(value)
        except Bad as error:
            raise _named(spelled, error, key) from error


def merge(world: World, document: dict[str, Any]) -> World:
    """*world* with the keys of a TOML *document* applied; what contradicts itself is for :func:`check`."""
    changes = _Changes()
    for name, value in document.items():
        normal = name.replace("_", "-")
        if normal in SECTIONS and isinstance(value, dict):
            for inner, item in value.items():
                _add(changes, f"{normal}.{inner}", item)
        elif normal in SECTIONS and normal not in ALIASES:
            raise WorldError(normal, f"{show(value)} is not a table", _members(normal))
        else:
            _add(changes, name, value)
    world = _with(world, changes.values)
    features = Features()
    for name, on in changes.features.items():
        world = _with(world, {"cpuid.features": features.switched(world.cpuid.features, name, on)})
    return world


def _add(changes: _Changes, spelled: str, value: Any) -> None:
    normal = spelled.replace("_", "-")
    key = KEYS.get(ALIASES.get(normal, normal))
    if key is not None:
        changes.add(key, spelled, value)
        return
    feature = _feature(spelled)
    if feature is None:
        raise _unknown(spelled)
    try:
        changes.features[feature] = Boolean().read(value)
        if value:
            Features().checked(feature)
    except Bad as error:
        raise WorldError(spelled, error.problem, error.allowed or Boolean().allowed) from error


def _set(world: World, setting: str, literal: bool = False) -> World:
    parts, _, text = _split(setting)
    if not literal:
        text = _unquoted(text)
    spelled = ".".join(parts)
    # The longest run of parts that is a key; what is left over names an element.
    for count in (2, 1):
        normal = ".".join(parts[:count]).replace("_", "-")
        key = KEYS.get(ALIASES.get(normal, normal)) if len(parts) >= count else None
        if key is not None:
            return _with(world, {key.name: _value(world, key, spelled, parts[count:], text)})
    feature = _feature(spelled)
    if feature is None:
        raise _unknown(spelled)
    return _with(world, {"cpuid.features": _switch(world, spelled, feature, text)})


def _value(world: World, key: Key, spelled: str, element: list[str], text: str) -> Any:
    try:
        if not element:
            return key.kind.parse(text)
        if isinstance(key.kind, Many) and key.kind.item_type:
            return key.kind.with_item(key.get(world), ".".join(element), text)
    except Bad as error:
        raise _named(spelled, error, key) from error
    raise _unknown(spelled)


def _switch(world: World, spelled: str, feature: str, text: str) -> tuple[str, ...]:
    try:
        return Features().with_item(world.cpuid.features, feature, text)
    except Bad as error:
        allowed = error.allowed or (Features() if error.problem.startswith("the engine") else Boolean()).allowed
        raise WorldError(spelled, error.problem, allowed) from error


def split_setting(setting: str) -> tuple[str, str]:
    """The key of ``KEY=VALUE``, as it is spelled, and the text of the value.

    :raises WorldError: where there is no such thing.
    """
    _, spelled, text = _split(setting)
    return spelled, text


def _unquoted(text: str) -> str:
    # What a TOML string on one line says; other text as it is.
    stripped = text.strip()
    if len(stripped) < 2 or stripped[0] not in "\"'" or stripped[0] != stripped[-1]:
        return text
    try:
        found = inline(stripped)
    except Bad:
        return text
    return found if isinstance(found, str) else text


def _split(setting: str) -> tuple[list[str], str, str]:
    # KEY=VALUE as the parts of the dotted key, the key as it is spelled, and the text of the value; in KEY = VALUE the
    # blanks belong to neither.
    parts = []
    at = 0
    part = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^."'=][^.=]*?))(\s*)([.=])""", re.DOTALL)
    while match := part.match(setting, at):
        at = match.end()
        quoted = match[1]
        parts.append(re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else match[2] or match[3])
        if match[5] == "=":
            text = setting[at:]
            return parts, setting[: at - 1].strip(), text.strip() if match[4] else text
    if re.match(r"""\s*(["'])(?!.*\1\s*[.=])""", setting[at:], re.DOTALL):
        raise WorldError("", f"{show(setting)} has a quote in its key that is not closed", "KEY=VALUE")
    raise WorldError("", f"{show(setting)} is not a setting", "KEY=VALUE")


def _with(world: World, values: dict[str, Any]) -> World:
    # *world* with keys changed; grouped, so that each section is made once.
    sections: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        key = KEYS[name]
        sections.setdefault(key.section, {})[key.field] = value
    top = sections.pop("", {})
    for section, fields in sections.items():
        top[section] = replace(getattr(world, section), **fields)
    return replace(world, **top)


def _feature(spelled: str) -> str | None:
    # The CPU feature that a key such as cpuid.aes or cpuid.sse4-1 names.
    section, _, name = spelled.partition(".")
    if section != "cpuid":
        return None
    return next((known for known in (name, name.replace("-", "_")) if known in BY_NAME), None)


def _members(section: str) -> str:
    return ", ".join(name for name in KEYS if name.startswith(f"{section}."))


def _named(spelled: str, error: Bad, key: Key) -> WorldError:
    return WorldError(spelled + error.place, error.problem, error.allowed or key.kind.allowed)


def _unknown(spelled: str) -> WorldError:
    normal = spelled.replace("_", "-")
    if normal in SECTIONS:
        return WorldError(spelled, "it is a table and has no value of its own", _members(normal))
    known = [*KEYS, *SECTIONS, *(f"cpuid.{name}" for name in BY_NAME)]
    section = normal.partition(".")[0]
    allowed = _members(section) if section in SECTIONS else "the keys of a World"
    return WorldError(" ".join(spelled.split())[:60], f"unknown key{nearest(normal, known)}", allowed)
