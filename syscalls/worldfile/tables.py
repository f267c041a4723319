"""The kinds of keys that hold many values: lists and maps by name.

Each also takes one element at a time (:meth:`Many.with_item`), which is what ``--set env.NAME=value`` and its like do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from syscalls import abi, cpuid, rlimits
from syscalls.light import Any
from syscalls.worldfile.kinds import U64, Argument, Bad, Boolean, Hex, Integer, Kind, Optional, nearest, show

# The flags of openat(2) and its relatives have the same prefix; they start at 0x100.
AUXV_TAGS: Mapping[str, int] = {name: tag for tag, name in abi.names("AT_").items() if 0 <= tag < 0x100}
SIGNALS: Mapping[str, int] = {name: n for n, name in abi.names("SIG").items() if re.fullmatch("SIG[A-Z0-9]+", name)}
U32 = (1 << 32) - 1


def inline(text: str) -> Any:
    """The TOML value that *text* is; raise :class:`Bad`."""
    import tomllib  # not needed by a run without such a setting

    try:
        document = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError) as error:
        raise Bad(f"{show(text)} is not a TOML value") from error
    if list(document) != ["value"]:
        raise Bad(f"{show(text)} is not one TOML value")
    return document["value"]


class Many(Kind):
    """A kind with elements; its text on a command line is an inline TOML value."""

    item_type = ""  # what one element is, for documentation; empty: elements cannot be set alone

    def parse(self, text: str) -> Any:
        return self.read(inline(text))

    def with_item(self, current: Any, name: str, text: str) -> Any:
        """*current* with the element *name* set from a command line's *text*; only of a kind with ``item_type``."""
        raise NotImplementedError


def as_list(value: Any, of: str) -> list[Any]:
    """*value*, if it is a TOML array; else raise :class:`Bad`."""
    if not isinstance(value, list):
        raise Bad(f"{show(value)} is not an array of {of}")
    return value


def as_table(value: Any, of: str) -> dict[str, Any]:
    """*value*, if it is a TOML table; else raise :class:`Bad`."""
    if not isinstance(value, dict):
        raise Bad(f"{show(value)} is not a table of {of}")
    return value


class Arguments(Many):
    """A list of strings."""

    def __init__(self) -> None:
        super().__init__("list of texts", 'an array of strings without NUL, such as ["a", "b"]')

    def read(self, value: Any) -> tuple[str, ...]:
        return tuple(Argument().read(item) for item in as_list(value, "strings"))

    def write(self, value: Any) -> list[str]:
        return [Argument().write(item) for item in value]


class Environment(Arguments):
    """The environment: strings in order, or a table of them."""

    item_type = "text"

    def __init__(self) -> None:
        super().__init__()
        self.allowed = 'an array such as ["NAME=value"] or a table such as {NAME = "value"}, without NUL'

    def read(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, dict):
            return super().read(value)
        return tuple(f"{self._name(name)}={Argument().read(text)}" for name, text in value.items())

    def with_item(self, current: Any, name: str, text: str) -> tuple[str, ...]:
        new = f"{self._name(name)}={Argument().read(text)}"
        entries = tuple(new if entry.partition("=")[0] == name else entry for entry in current)
        return entries if new in entries else (*entries, new)

    def _name(self, name: str) -> str:
        if not name or "=" in name or "\0" in name:
            raise Bad(f"{show(name)} is not a name", 'a name that is not empty and holds no "="')
        return name


class Auxv(Many):
    """Changes to the auxiliary vector: a table from a tag's name or number to a value, or absent."""

    item_type = "integer or absent"
    value = Optional(Integer(0, U64), "absent")

    def __init__(self) -> None:
        super().__init__("table", 'AT_ names (or tag numbers) with integers from 0 to 2**64-1 or "absent"')

    def read(self, value: Any) -> tuple[tuple[str, int | None], ...]:
        changes: tuple[tuple[str, int | None], ...] = ()
        for name, item in as_table(value, "AT_ names").items():
            tag = self.tag(name)
            if any(tag == known for known, _ in changes):
                raise Bad(f"{tag} is given twice")
            changes += ((tag, self.value.read(item)),)
        return changes

    def write(self, value: Any) -> dict[str, int | str]:
        return {name: self.value.write(item) for name, item in value}

    def with_item(self, current: Any, name: str, text: str) -> tuple[Any, ...]:
        return tuple({**dict(current), self.tag(name): self.value.parse(text)}.items())

    def tag(self, name: str) -> str:
        """The one spelling of the tag *name*: its AT_ name, or the number of one that has no name here."""
        if re.fullmatch("[0-9]{1,10}", name) and int(name) <= U32:
            number = int(name)
            name = next((known for known, tag in AUXV_TAGS.items() if tag == number), str(number))
        elif name not in AUXV_TAGS:
            raise Bad(f"unknown entry {show(name)}{nearest(name, AUXV_TAGS)}")
        if name == "AT_NULL":
            raise Bad("AT_NULL ends the vector and cannot be changed")
        return name


class Rlimits(Many):
    """Resource limits by getrlimit(2)'s names in lower case: one value for both, or ``soft:hard``."""

    item_type = "soft:hard"
    value = Optional(Integer(0, U64 - 1, size=True), "unlimited")

    def __init__(self) -> None:
        super().__init__("table", 'limits such as nofile = 1024 or nofile = "1024:4096" or core = "unlimited"')

    def read(self, value: Any) -> tuple[tuple[str, int | None, int | None], ...]:
        return tuple(self._limit(name, item) for name, item in as_table(value, "limits").items())

    def write(self, value: Any) -> dict[str, int | str]:
        return {
            name: self.value.write(soft)
            if soft == hard
            else f"{self.value.write(soft)}:{self.value.write(hard)}"
            for name, soft, hard in value
        }  # fmt: skip

    def with_item(self, current: Any, name: str, text: str) -> tuple[Any, ...]:
        return tuple({limit[0]: limit for limit in (*current, self._limit(name, text))}.values())

    def _limit(self, name: str, item: Any) -> tuple[str, int | None, int | None]:
        if name not in rlimits.NAMES:
            known = ", ".join(rlimits.NAMES)
            raise Bad(f"unknown limit {show(name)}{nearest(name, rlimits.NAMES)}", known)
        if not isinstance(item, str):
            limit = self.value.read(item)
            return name, limit, limit
        soft_text, colon, hard_text = item.partition(":")
        soft = self.value.parse(soft_text)
        hard = self.value.parse(hard_text) if colon else soft
        if hard is not None and (soft is None or soft > hard):
            raise Bad(f"{show(item)} has a soft limit above the hard one")
        return name, soft, hard


class Features(Many):
    """CPU features by /proc/cpuinfo's names, without those that the engine cannot execute."""

    item_type = "boolean"

    def __init__(self) -> None:
        super().__init__("list of words", "of these: " + ", ".join(cpuid.EXECUTABLE))

    def read(self, value: Any) -> tuple[str, ...]:
        return cpuid.ordered(self.checked(name) for name in as_list(value, "feature names"))

    def parse(self, text: str) -> tuple[str, ...]:
        if text.lstrip().startswith("["):
            return self.read(inline(text))
        return self.read([name for name in re.split(r"[\s,]+", text.strip()) if name])

    def write(self, value: Any) -> list[str]:
        return list(value)

    def with_item(self, current: Any, name: str, text: str) -> tuple[str, ...]:
        return self.switched(current, name, Boolean().parse(text))

    def switched(self, current: tuple[str, ...], name: str, on: bool) -> tuple[str, ...]:
        """*current* with the feature *name* on or off; any known feature may be off."""
        if on:
            return cpuid.ordered((*current, self.checked(name)))
        return tuple(other for other in current if other != name)

    def checked(self, name: Any) -> str:
        """*name*, if the engine executes that feature; else raise :class:`Bad`."""
        feature = cpuid.BY_NAME.get(name) if isinstance(name, str) else None
        if feature is None:
            suggestion = nearest(name, cpuid.BY_NAME) if isinstance(name, str) else ""
            raise Bad(f"unknown CPU feature {show(name)}{suggestion}")
        if feature.why_not:
            raise Bad(f"the engine cannot execute {name}: {feature.why_not}")
        return feature.name


class Leaves(Many):
    """Raw CPUID leaves: ``"0x7.0" = [eax, ebx, ecx, edx]``; without the dot, subleaf 0."""

    item_type = "[eax, ebx, ecx, edx]"
    register = Hex(0, U32)

    def __init__(self) -> None:
        super().__init__("table", 'leaves such as "0x7.0" = [eax, ebx, ecx, edx], each from 0 to 0xffffffff')

    def read(self, value: Any) -> tuple[Any, ...]:
        leaves: tuple[Any, ...] = ()
        for name, item in as_table(value, "leaves").items():
            leaf = self._leaf(name, item)
            if any(leaf[:2] == known[:2] for known in leaves):
                raise Bad(f"leaf {name} is given twice")
            leaves += (leaf,)
        return leaves

    def write(self, value: Any) -> dict[str, list[str]]:
        return {
            f"{leaf:#x}.{subleaf}": [self.register.write(word) for word in words] for leaf, subleaf, *words in value
        }

    def with_item(self, current: Any, name: str, text: str) -> tuple[Any, ...]:
        new = self._leaf(name, inline(text))
        return tuple({leaf[:2]: leaf for leaf in (*current, new)}.values())

    def _leaf(self, name: str, item: Any) -> tuple[int, ...]:
        leaf, dot, subleaf = name.partition(".")
        words = as_list(item, "registers")
        if len(words) != 4:
            raise Bad(f"leaf {show(name)} has {len(words)} registers")
        number = (self.register.parse(leaf), self.register.parse(subleaf) if dot else 0)
        return (*number, *(self.register.read(word) for word in words))


class Integers(Many):
    """A list of integers; on a command line also without the brackets."""

    between = r"[\s,]+"  # what stands between two of them there

    def parse(self, text: str) -> tuple[int, ...]:
        if text.lstrip().startswith("["):
            return self.read(inline(text))
        return self.read([item for item in re.split(self.between, text.strip()) if item])

    def read(self, value: Any) -> tuple[int, ...]:
        raise NotImplementedError

    def write(self, value: Any) -> list[int]:
        return list(value)


class Descriptors(Integers):
    """Some of the descriptors 0, 1 and 2."""

    def __init__(self) -> None:
        super().__init__("list of integers", "some of 0, 1 and 2")

    def read(self, value: Any) -> tuple[int, ...]:
        return tuple(sorted({Integer(0, 2).read(item) for item in as_list(value, "descriptors")}))


class Window(Integers):
    """The size of a terminal."""

    between = r"[\s,x]+"
    cells = Integer(0, 0xFFFF)

    def __init__(self) -> None:
        super().__init__("list of integers", "rows and columns, such as [24, 80]")

    def read(self, value: Any) -> tuple[int, int]:
        found = [self.cells.read(item) for item in as_list(value, "integers")]
        if len(found) != 2:
            raise Bad(f"{show(value)} are not two integers")
        return found[0], found[1]


class Signals(Many):
    """A signal mask: bit n-1 is signal n; also an array of names and numbers."""

    mask = Hex(0, U64)

    def __init__(self) -> None:
        super().__init__("signal mask", 'a mask such as "0x200" or an array such as ["SIGUSR1", 34], no KILL, no STOP')

    def read(self, value: Any) -> int:
        if isinstance(value, list):
            mask = 0
            for item in value:
                mask |= 1 << self._number(item) - 1
        else:
            mask = self.mask.read(value)
        if mask & (1 << abi.SIGKILL - 1 | 1 << abi.SIGSTOP - 1):
            raise Bad("SIGKILL and SIGSTOP cannot be blocked")
        return mask

    def parse(self, text: str) -> int:
        return self.read(inline(text) if text.lstrip().startswith("[") else text)

    def write(self, value: Any) -> str:
        return self.mask.write(value)

    def _number(self, item: Any) -> int:
        if isinstance(item, str) and item in SIGNALS:
            return SIGNALS[item]
        if isinstance(item, str):
            raise Bad(f"unknown signal {show(item)}{nearest(item, SIGNALS)}")
        return Integer(1, abi.N_SIGNALS).read(item)
