"""Where a value came from: the kernel's answers that it was computed from, and the World's keys that decide those."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from emu.boot import values
from emu.boot.record import BootRecord, FunctionCall, Syscall
from emu.boot.values import Captured, Value
from emu.boot.worldkeys import AUXV_KEYS, CALL_KEYS, CGROUP_FILES, PATH_KEYS
from emu.report import calls, setting, words
from syscalls import abi
from syscalls.worldfile.writer import inline_value

MAX_MASK = 128  # bits of a mask that is shown as a number
URANDOM = "/dev/urandom"
READS = ("read", "pread64")
POINTERS = ("AT_SYSINFO_EHDR", "AT_RANDOM", "AT_PHDR", "AT_ENTRY", "AT_EXECFN", "AT_PLATFORM", "AT_BASE")
STACK_TEXTS = {
    "argv": ("the arguments on the initial stack", "argv"),
    "envp": ("the environment on the initial stack", "env"),
    "sp": ("where the kernel put the initial stack", "memory.stack-top"),
}
CLOCKS = {"monotonic": ("the monotonic clock", "clock.monotonic"), "tsc": ("RDTSC", "clock.tsc")}


class Origin(NamedTuple):
    """One thing that a value was computed from: what was seen, and the World's ``key = value`` behind it, if any.

    *decided*: of several things that the value is chosen from, this is the one.
    """

    text: str
    world: str = ""
    decided: bool = False


class Origins:
    """Looks up origins in one record."""

    def __init__(self, record: BootRecord) -> None:
        self.record = record
        self.paths = calls.paths(record.syscalls)
        self.ends = _ends(record.syscalls)

    def world(self, key: str) -> str:
        """``key = value`` as the record's World has it."""
        return setting.setting(self.record.world, key)

    # System calls

    def key_of_call(self, index: int) -> str:
        """``key = value`` of the World behind the answer of system call *index*; empty if there is none to name."""
        call, path = self.record.syscalls[index], self.paths[index]
        if call.overridden:
            return f"responses (to {call.name})"
        if path is not None:
            # What was read says more than that the file could be opened, and than its end.
            read = call.result > 0 or (call.name in READS and index not in self.ends)
            told = bool(call.errno) or (read and call.name not in calls.OPENED)
            return self.key_of_path(path) if told else ""
        if call.name == "fcntl" and call.arguments[0] in (0, 1, 2):
            return self.world("process.closed-fds")
        key = CALL_KEYS.get(call.name)
        return self.world(key) if key else ""

    def key_of_path(self, path: str) -> str:
        """``key = value`` of the World behind the file at *path*."""
        files = {file["path"]: file for file in self.record.world["files"]}
        if path in files:
            return f"files.{inline_value(path)}"
        for bind in self.record.world["binds"]:
            if path == bind["guest"] or path.startswith(bind["guest"].rstrip("/") + "/"):
                return f"binds: {bind['guest']}"
        name = path.rpartition("/")[2]
        if name in CGROUP_FILES:
            return self.world(CGROUP_FILES[name])
        key = next((key for prefix, key in PATH_KEYS if path.startswith(prefix)), None)
        return self.world(key) if key else ""

    # Values

    def of(self, value: Value) -> list[Origin]:
        """What *value* was computed from, as far as this boot shows it."""
        found = {word: list(self._input(value, *word.split(":", 1))) for word in value.inputs}
        if value.name == "gomaxprocs":
            word = self._decides_gomaxprocs(value)
            found[word] = [origin._replace(decided=True) for origin in found[word]]
        return list(dict.fromkeys(origin for origins in found.values() for origin in origins))

    def _decides_gomaxprocs(self, value: Value) -> str:
        # schedinit, proc.go: GOMAXPROCS if it is a positive number, else the CPUs, or the control group's limit if that
        # is lower (cgroup_linux.go, from 1.25).
        env = dict(entry.partition("=")[::2] for entry in self.record.world["env"])
        if re.fullmatch(r"\+?0*[1-9][0-9]{0,9}", env.get("GOMAXPROCS", "")):
            return "env:GOMAXPROCS"
        cpus = values.read(self.record, values.BY_NAME["ncpu"])
        found = values.read(self.record, value)
        same = isinstance(cpus, Captured) and isinstance(found, Captured) and cpus.value == found.value
        return "value:ncpu" if same else next(word for word in value.inputs if word.startswith("file:"))

    def _input(self, value: Value, kind: str, detail: str) -> Iterator[Origin]:
        match kind:
            case "call":
                yield from self._calls(value, detail)
            case "file":
                yield from self._files(detail)
            case "auxv":
                yield self.auxv(detail)
                if detail == "AT_RANDOM" and value.name != "auxv":
                    yield from self._instead_of_random()
            case "env":
                yield self.env(detail)
            case "stack":
                text, key = STACK_TEXTS[detail]
                yield Origin(text, self.world(key))
            case "cpuid":
                yield self.cpuid(detail)
            case "clock":
                text, key = CLOCKS[detail]
                yield Origin(text, self.world(key))
            case "value":
                yield from self._value(detail)
            case "world":
                yield Origin(f"{setting.DIRECTLY[detail]}", f"{detail}.NAME")
            case "with" | "without":
                name, _, text = detail.partition(":")
                if self._has(name) == (kind == "with"):
                    yield Origin(f"the runtime's source: {text}")
            case "linker":
                yield Origin(f"the linker: {detail}")
            case _:
                yield Origin(f"the runtime's source: {detail}")

    def _calls(self, value: Value, name: str) -> Iterator[Origin]:
        # The calls of that name that the functions of `value.after`, and those within them, made.
        for index in self._calls_of(value):
            call = self.record.syscalls[index]
            if call.name == name:
                yield Origin(explained(call), self.key_of_call(index))

    def _files(self, prefix: str) -> Iterator[Origin]:
        # What was read from the files below `prefix`, or why it could not be.
        for index, (call, path) in enumerate(zip(self.record.syscalls, self.paths, strict=True)):
            if path is None or not path.startswith(prefix):
                continue
            if call.errno:
                yield Origin(f"{path}: {call.errno}", self.key_of_call(index))
            elif call.name in READS and index not in self.ends:
                yield Origin(f"{path}: {calls.argument(call, None, call.arguments[1])}", self.key_of_call(index))

    def _calls_of(self, value: Value) -> list[int]:
        functions = self.record.functions
        makers = {i for i, call in enumerate(functions) if call.name in value.after or values.writes(call, value)}
        found = []
        for i, call in enumerate(functions):
            above: int | None = i
            while above is not None and above not in makers:
                above = functions[above].parent
            if above is not None and (above == i or functions[above].name != "runtime.schedinit"):
                found += call.syscalls
        return sorted(set(found))

    def auxv(self, tag: str) -> Origin:
        """The entry *tag* of the auxiliary vector that the program got."""
        key = AUXV_KEYS.get(tag, "auxv")
        if tag in self.record.world["auxv"]:
            key = f"auxv.{tag}"
        elif tag == "AT_RANDOM" and self.record.world["at-random"] == "auto":
            key = "seed"
        for entry in self.record.views.get("auxv", ()):
            if entry["tag"] == tag:
                number = entry["value"]
                shown = hex(number) if tag in POINTERS else number
                behind = f", bytes {self._random_bytes()}" if tag == "AT_RANDOM" and self._random_bytes() else ""
                return Origin(f"auxv: {tag} = {shown}{behind}", self.world(key))
        return Origin(f"auxv: no {tag}", self.world(key))

    def _random_bytes(self) -> str:
        # What the program found behind AT_RANDOM, in hexadecimal; empty if that is not known.
        name = values.BY_NAME["startupRand"]
        for call in self.record.functions:
            for write in call.writes:
                if write.name in name.sources and write.after.get("elements"):
                    return bytes(write.after["elements"]).hex()
        return ""

    def _instead_of_random(self) -> Iterator[Origin]:
        # Where there are no random bytes on the stack, or they are used up, the runtime reads the device; failing
        # that, it takes the time (rand.go, readTimeRandom).
        found = list(self._files(URANDOM))
        yield from found
        if any(call.errno for call, path in zip(self.record.syscalls, self.paths, strict=True) if path == URANDOM):
            text, key = CLOCKS["monotonic"]
            yield Origin(f"{text} instead", self.world(key))

    def env(self, name: str) -> Origin:
        """The variable *name* of the environment."""
        for entry in self.record.world["env"]:
            known, _, text = entry.partition("=")
            if known == name:
                return Origin(f"environment: {name}={text}", f"env.{name} = {inline_value(text)}")
        return Origin(f"environment: no {name}", f"env.{name}")

    def cpuid(self, detail: str) -> Origin:
        """What CPUID said."""
        cpuid = self.record.world["cpuid"]
        if detail == "features":
            return Origin("CPUID's feature flags", "cpuid.features")
        if detail in cpuid:
            return Origin(f"CPUID: {detail} {cpuid[detail]}", self.world(f"cpuid.{detail}"))
        has = detail in cpuid["features"]
        return Origin(f"CPUID: {detail if has else 'no ' + detail}", f"cpuid.{detail} = {'true' if has else 'false'}")

    def _value(self, name: str) -> Iterator[Origin]:
        value = values.BY_NAME[name]
        found = values.read(self.record, value)
        if isinstance(found, Captured):
            left = self.left(value, found)
            yield Origin(f"{found.source} = {words.value(left, unit=value.unit)}")
            if "auxv:AT_RANDOM" in value.inputs:
                yield from self._input(value, "auxv", "AT_RANDOM")

    def left(self, value: Value, found: Captured) -> Any:
        """What the functions of *value* left in the variable that it was *found* in; later ones may have changed it."""
        for call in reversed(self.record.functions):
            for write in call.writes if call.name in value.after else ():
                if write.name == found.source:
                    return write.after
        return found.value

    def _has(self, name: str) -> bool:
        # Whether the program has the value, and uses it: a variable of an experiment that is off stays 0.
        found = values.read(self.record, values.BY_NAME[name])
        return isinstance(found, Captured) and bool(self.left(values.BY_NAME[name], found))


def _ends(made: Sequence[Syscall]) -> set[int]:
    # The reads that only found the end of a file of which something was read before.
    begun: set[int] = set()
    found = set()
    for index, call in enumerate(made):
        if call.name in calls.OPENED and not call.errno:
            begun.discard(call.result)
        elif call.name == "read" and not call.errno:
            fd = call.arguments[0]
            if call.result == 0 and fd in begun:
                found.add(index)
            begun.add(fd)
    return found


def explained(call: Syscall) -> str:
    """A call as text, with what its result means."""
    text = calls.text(call)
    if call.name == "sched_getaffinity" and call.errno:
        return f"{text}: the runtime then takes 1"
    if call.name == "sched_getaffinity" and isinstance(call.arguments[2], dict):
        shown = calls.content(call.arguments[2])
        mask = int.from_bytes(shown, "little")
        if call.arguments[2]["size"] > len(shown):  # the record has the first bytes only
            return f"{text} bytes"
        told = f"mask {mask:#x}" if mask.bit_length() <= MAX_MASK else "a mask"
        return f"{text} bytes, {told}: {words.count(mask.bit_count(), 'bit')} set"
    if call.name == "arch_prctl" and call.arguments[0] == abi.ARCH_SET_FS:
        return f"{text}: FS points there"
    return text


def maker(record: BootRecord, value: Value) -> int | None:
    """The index of the call that computed *value*; None if none is known."""
    for name in value.after:
        found = next((i for i, call in enumerate(record.functions) if call.name == name), None)
        if found is not None:
            return found
    return None


def moment(record: BootRecord, value: Value) -> int:
    """When *value* was computed: the index of the newest call by then, as far as the record knows."""
    for call in record.functions:
        if call.name in value.after:
            for write in call.writes:
                if values.of_leaf(write.name) is value:
                    return write.after_call
    found = maker(record, value)
    return len(record.functions) if found is None else found


def chain(record: BootRecord, value: Value) -> list[FunctionCall]:
    """The calls, from the outermost to the innermost, in which *value* was computed; empty if none is known."""
    best = maker(record, value)
    found: list[FunctionCall] = []
    while best is not None:
        found.insert(0, record.functions[best])
        best = record.functions[best].parent
    return found
