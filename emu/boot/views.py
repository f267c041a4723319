"""Views: what a diff of globals cannot show, because it lies behind pointers or was there from the start.

One entry a view in :data:`VIEWS`: its name, and a function that reads it off the stopped machine.  A view that cannot
be had is listed as missing, with one of the reasons of :mod:`emu.boot.reader`.
"""

from __future__ import annotations

from collections.abc import Callable

from emu.boot.reader import NOT_IN_RELEASE, NOT_REACHED, Missing, Reader
from syscalls.auxv import NAMES as AUXV_NAMES
from syscalls.light import Any

P_STATUS = ("idle", "running", "syscall", "gcstop", "dead")  # runtime2.go, _Pidle ... _Pdead
G_STATUS = {
    0: "idle",
    1: "runnable",
    2: "running",
    3: "syscall",
    4: "waiting",
    6: "dead",
    8: "copystack",
    9: "preempted",
}
MAX_AUXV = 64
WORD = 8


def strings(path: str) -> Callable[[Reader], Any]:
    """A view of a []string by content."""

    def view(r: Reader) -> list[str | None]:
        addr, count, _ = r.slice(path)
        if not addr:
            raise Missing(NOT_REACHED)
        return [r.decoder.string(r.word(addr + 16 * i), r.word(addr + 16 * i + 8))["text"] for i in range(count)]

    return view


def struct(path: str) -> Callable[[Reader], Any]:
    """A view of every field of a struct variable; of those whose place is known, where that is not all of them."""

    def view(r: Reader) -> Any:
        try:
            return r.value(path)
        except Missing:
            parts = r.parts(path)
            if not parts:
                raise
            return parts

    return view


def auxv(r: Reader) -> list[dict[str, Any]]:
    """The auxiliary vector as it lies on the stack: past argv and envp, until AT_NULL."""
    at = r.machine.loaded.sp
    at += WORD * (r.word(at) + 2)
    while r.word(at):
        at += WORD
    at += WORD
    entries = []
    for _ in range(MAX_AUXV):
        tag, value = r.word(at), r.word(at + WORD)
        name = AUXV_NAMES.get(tag, str(tag))
        entries.append({"tag": name, "value": value})
        if not tag:
            break
        at += 2 * WORD
    return entries


def processors(r: Reader) -> list[dict[str, Any]]:
    """Every P that procresize made."""
    addr, kind = r.place("runtime.allp")
    if kind.kind == "array":  # up to Go 1.9
        pointers = [r.word(addr + WORD * i) for i in range(kind.length)]
    else:
        base, count, _ = r.slice("runtime.allp")
        pointers = [r.word(base + WORD * i) for i in range(count)]
    found = []
    for p in pointers:
        if p:
            row = r.fields("runtime.p", p, "id", "status", "m", "mcache", "runnext", "link")
            status = row.get("status")
            row["status_name"] = P_STATUS[status] if isinstance(status, int) and status < len(P_STATUS) else None
            found.append({"addr": hex(p), **row})
    if not found:
        raise Missing(NOT_REACHED)
    return found


def first_m(r: Reader) -> dict[str, Any]:
    """The thread that the program was started with."""
    addr, _ = r.place("runtime.m0")
    paths = ("id", "procid", "g0", "gsignal", "curg", "p", "mcache", "sigmask", "tls", "locks", "alllink", "nextp")
    return {"addr": hex(addr), **r.fields("runtime.m", addr, *paths)}


def first_g(r: Reader) -> dict[str, Any]:
    """The goroutine of the scheduler, on the kernel's stack."""
    addr, _ = r.place("runtime.g0")
    return {"addr": hex(addr), **r.fields("runtime.g", addr, "stack.lo", "stack.hi", "stackguard0", "stackguard1", "m")}


def goroutines(r: Reader) -> list[dict[str, Any]]:
    """Every goroutine made so far; the first is the main one, whose function is runtime.main."""
    base, count, _ = r.slice("runtime.allgs")
    if not count:
        raise Missing(NOT_REACHED)
    found = []
    for i in range(count):
        g = r.word(base + WORD * i)
        row = r.fields("runtime.g", g, "goid", "atomicstatus", "stack.lo", "stack.hi", "startpc", "gopc", "m")
        status = row.pop("atomicstatus", None)
        row["status"] = status["value"] if isinstance(status, dict) else status  # an atomic.Uint32 since 1.19
        row["status_name"] = G_STATUS.get(row["status"])
        for field, name in (("startpc", "function"), ("gopc", "created_by")):
            if field in row:
                row[name] = function_name(r, int(row[field]))
                row[field] = hex(int(row[field]))
        found.append({"addr": hex(g), **row})
    return found


def function_name(r: Reader, pc: int) -> str | None:
    """The function that run-time address *pc* is in."""
    function = r.image.function_at(pc - r.bias)
    return function.name if function else None


def size_classes(r: Reader) -> list[int]:
    """Bytes of each size class."""
    for path in ("runtime.class_to_size", "internal/runtime/gc.SizeClassToSize"):
        if r.has(path):
            sizes: list[int] = r.value(path)
            return sizes
    raise Missing(NOT_IN_RELEASE)


def arena_hints(path: str) -> Callable[[Reader], Any]:
    """A view of a list of addresses at which the heap would like its arenas."""

    def view(r: Reader) -> list[str]:
        chain = r.chain("runtime.arenaHint", r.pointer(path), "next")
        return [hex(r.field("runtime.arenaHint", hint, "addr")) for hint in chain]

    return view


def stack_pools(r: Reader) -> list[dict[str, Any]]:
    """For each order of small stacks, the first and the last span that has free ones."""
    _, kind = r.place("runtime.stackpool")
    middle = ".item.span" if r.has("runtime.stackpool[0].item.span.first") else ""
    return [
        {"order": i, **{end: r.value(f"runtime.stackpool[{i}]{middle}.{end}") for end in ("first", "last")}}
        for i in range(kind.length)
    ]


def first_cache(r: Reader) -> dict[str, Any]:
    """The span cache of the first P (mcache0 until procresize gives it away)."""
    base, count, _ = r.slice("runtime.allp")
    if not count:
        raise Missing(NOT_REACHED)
    cache = int(r.field("runtime.p", r.word(base), "mcache"), 16)
    if not cache:
        raise Missing(NOT_REACHED)
    alloc: list[str] = r.field("runtime.mcache", cache, "alloc")
    empty, _ = r.place("runtime.emptymspan")
    used = [i for i, span in enumerate(alloc) if int(span, 16) != empty]
    return {"addr": hex(cache), "span_classes": len(alloc), "with_a_span": used}


def interface_tables(r: Reader) -> dict[str, Any]:
    """The hash table of interface tables."""
    table = r.pointer("runtime.itabTable")
    return r.fields("runtime.itabTableType", table, "size", "count")


def modules(r: Reader) -> list[dict[str, Any]]:
    """Every module, with what moduledataverify went through."""
    addr, _ = r.place("runtime.firstmoduledata")
    found = []
    for module in r.chain("runtime.moduledata", addr, "next", limit=64):
        row = r.fields(
            "runtime.moduledata", module, "minpc", "maxpc", "text", "etext", "data", "edata", "bss", "ebss", "end"
        )
        row = {name: hex(value) if isinstance(value, int) else value for name, value in row.items()}
        for path, name in (("ftab", "functions"), ("typelinks", "typelinks"), ("itablinks", "itablinks")):
            if r.find("runtime.moduledata", path) is not None:
                row[name] = r.field("runtime.moduledata", module, path)["len"]
        row["functions"] -= 1  # the last entry only says where the last function ends
        found.append(row)
    return found


def hashing(r: Reader) -> dict[str, Any]:
    """Which hash maps use, and its keys."""
    found: dict[str, Any] = {}
    for prefix, aes, keys in (
        ("runtime.", "useAeshash", ("aeskeysched", "hashkey")),
        ("internal/runtime/maps.", "UseAeshash", ("aeskeysched", "hashkey")),
    ):
        for name in (aes, *keys):
            if r.has(prefix + name):
                found[name] = r.value(prefix + name)
    if not found:
        raise Missing(NOT_IN_RELEASE)
    return found


VIEWS: tuple[tuple[str, Callable[[Reader], Any]], ...] = (
    ("runtime.argslice", strings("runtime.argslice")),
    ("runtime.envs", strings("runtime.envs")),
    ("auxv", auxv),
    ("runtime.g0", first_g),
    ("runtime.m0", first_m),
    ("runtime.allp", processors),
    ("runtime.allgs", goroutines),
    ("runtime.stackpool", stack_pools),
    ("sizeclasses", size_classes),
    ("runtime.mheap_.arenaHints", arena_hints("runtime.mheap_.arenaHints")),
    ("runtime.mheap_.userArena.arenaHints", arena_hints("runtime.mheap_.userArena.arenaHints")),
    ("mcache", first_cache),
    ("runtime.itabTable", interface_tables),
    ("modules", modules),
    ("internal/cpu.X86", struct("internal/cpu.X86")),
    ("runtime.debug", struct("runtime.debug")),
    ("runtime.initSigmask", struct("runtime.initSigmask")),
    ("hash", hashing),
)


def views(reader: Reader) -> tuple[dict[str, Any], dict[str, str]]:
    """Every view by name; and of those that cannot be had, why."""
    found: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for name, view in VIEWS:
        try:
            found[name] = view(reader)
        except Missing as absence:
            missing[name] = absence.reason
    return found, missing
