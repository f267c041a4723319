"""The record's views as one line of words each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from emu.report import calls, words
from syscalls.auxv import NAMES as AUXV_NAMES

# Entries of the auxiliary vector that Go on amd64 looks at (runtime/os_linux.go, sysauxv; all releases).
USED_TAGS = ("AT_PAGESZ", "AT_RANDOM", "AT_SECURE", "AT_SYSINFO_EHDR")
ADDRESS_TAGS = ("AT_RANDOM", "AT_SYSINFO_EHDR")
MAX_NAMED = 3  # Ps, hints or strings that are shown one by one


def auxv(view: list[dict[str, Any]]) -> str:
    """How many entries, and those that Go uses."""
    used = [
        f"{entry['tag']} {hex(entry['value']) if entry['tag'] in ADDRESS_TAGS else entry['value']}"
        for entry in view
        if entry["tag"] in USED_TAGS
    ]
    return f"{words.count(len(view) - 1, 'entry', 'entries')}; Go uses {', '.join(used) or 'none of them'}"


def some(items: Sequence[str], limit: int = MAX_NAMED) -> str:
    """The first few of *items* and how many more there are."""
    more = len(items) - limit
    return ", ".join(items[:limit]) + (f", and {more} more" if more > 0 else "")


def strings(view: list[str | None]) -> str:
    """Go strings by content."""
    return f"{len(view)}: {some([words.quoted(item or '') for item in view])}" if view else "none"


def processors(view: list[dict[str, Any]]) -> str:
    """How many Ps in which state."""
    states = Counter(p["status_name"] for p in view)
    return f"{words.count(len(view), 'P')}: {', '.join(f'{n} {state}' for state, n in states.items())}"


def goroutines(view: list[dict[str, Any]]) -> str:
    """The main goroutine, and how many others there are."""
    g = view[0]
    shown = f"goroutine {g['goid']}, {g['status_name']}, will run {g.get('function')}"
    return shown + (f", and {words.count(len(view) - 1, 'other')}" if len(view) > 1 else "")


def size_classes(view: list[int]) -> str:
    """The smallest and largest sizes."""
    return f"{len(view)}: {', '.join(map(str, view[:6]))}, ... {view[-1]} bytes"


def addresses(view: list[str]) -> str:
    """The first few addresses of a list."""
    distinct = len(set(view))
    among = f" ({distinct} different ones)" if distinct < len(view) else ""
    return f"{words.count(len(view), 'address', 'addresses')}{among}: {some(view)}"


def interface_tables(view: dict[str, Any]) -> str:
    """How full the table is."""
    return f"{view['count']} in a table of {view['size']} places"


def modules(view: list[dict[str, Any]]) -> str:
    """Each module's functions and addresses."""
    parts = [f"{words.count(m['functions'], 'function')} at {m['minpc']}-{m['maxpc']}" for m in view]
    return f"{words.count(len(view), 'module')}: {'; '.join(parts)}"


def flags(view: dict[str, Any]) -> str:
    """The flags that are set."""
    found = [name.removeprefix("Has") for name, on in view.items() if on is True]
    return ", ".join(found) or "none"


def nonzero(view: dict[str, Any]) -> str:
    """The variables that are not 0."""
    return ", ".join(f"{name}={words.value(x)}" for name, x in view.items() if x not in (0, False)) or "all 0"


def sigmask(view: list[int]) -> str:
    """The signals of a sigset, two words of 32 bits."""
    return calls.signals(sum(word << 32 * i for i, word in enumerate(view)))


def stack_pools(view: list[dict[str, Any]]) -> str:
    """Which orders have free stacks."""
    used = [str(pool["order"]) for pool in view if int(pool["first"], 16)]
    return f"{words.count(len(view), 'order')}; free stacks in {', '.join(used) or 'none'}"


def hashing(view: dict[str, Any]) -> str:
    """The key of the portable hash."""
    key: list[int] = view.get("hashkey", [])
    return ", ".join(hex(word) for word in key)


DESCRIPTIONS: dict[str, Callable[[Any], str]] = {
    "auxv": auxv,
    "hash": hashing,
    "internal/cpu.X86": flags,
    "modules": modules,
    "runtime.allgs": goroutines,
    "runtime.allp": processors,
    "runtime.argslice": strings,
    "runtime.debug": nonzero,
    "runtime.envs": strings,
    "runtime.initSigmask": sigmask,
    "runtime.itabTable": interface_tables,
    "runtime.mheap_.arenaHints": addresses,
    "runtime.mheap_.userArena.arenaHints": addresses,
    "runtime.stackpool": stack_pools,
    "sizeclasses": size_classes,
}


def described(name: str, view: Any) -> str:
    """The view *name* as one line."""
    describe = DESCRIPTIONS.get(name)
    return describe(view) if describe else words.value(view)


def described_write(name: str, after: Any) -> str:
    """What a function left in the variable of view *name*, where that says as much as the view; empty if not.

    The view is read when the boot is over: what lies behind the variable's pointers may be something else by then.
    """
    elements = after.get("elements") if isinstance(after, dict) else None
    if not elements:
        return ""
    if name in ("runtime.argslice", "runtime.envs"):
        return strings([item["text"] for item in elements])
    if name == "auxv":
        pairs = zip(elements[::2], elements[1::2], strict=False)
        return auxv([{"tag": AUXV_NAMES.get(tag, str(tag)), "value": value} for tag, value in pairs])
    return ""
