"""Where a value came from: the kernel's answers that it was computed from, and the World's keys that decide those."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from emu.boot import values
from emu.boot.record import BootRecord, FunctionCall, Syscall
from emu.boot.values import Captured, Value
from emu.report import calls, words
from syscalls import abi

# The World's key behind the answer of a call, and behind the content of a file (by the beginning of its path).
CALL_KEYS = {
    "sched_getaffinity": "cpus", "rt_sigprocmask": "process.sigmask", "uname": "uname.release", "getrandom": "seed",
    "clock_gettime": "clock.monotonic", "gettimeofday": "clock.realtime", "time": "clock.realtime",
    "getpid": "process.pid", "gettid": "process.pid", "getppid": "process.ppid", "getuid": "process.uid",
    "geteuid": "process.euid", "getgid": "process.gid", "getegid": "process.egid", "getrlimit": "rlimits",
    "prlimit64": "rlimits", "sysinfo": "memory.total", "getcpu": "cpus",
}  # fmt: skip
THP = "/sys/kernel/mm/transparent_hugepage/"
PATH_KEYS = (
    (THP + "hpage_pmd_size", "thp.pmd-size"), (THP + "enabled", "thp.enabled"), (THP + "defrag", "thp.defrag"),
    ("/sys/devices/system/cpu/", "possible-cpus"), ("/proc/self/cgroup", "cgroup.path"),
    ("/proc/self/mountinfo", "cgroup.version"), ("/proc/self/auxv", "auxv"), ("/proc/meminfo", "memory.total"),
    ("/proc/cpuinfo", "cpuid.features"), ("/dev/urandom", "seed"), ("/dev/random", "seed"),
)  # fmt: skip
CGROUP_FILES = {
    "cpu.max": "cgroup.cpu-quota", "cpu.cfs_quota_us": "cgroup.cpu-quota", "cpu.cfs_period_us": "cgroup.cpu-period",
    "memory.max": "cgroup.memory-max", "memory.limit_in_bytes": "cgroup.memory-max",
}  # fmt: skip
AUXV_KEYS = {
    "AT_PAGESZ": "page-size", "AT_RANDOM": "at-random", "AT_SYSINFO_EHDR": "vdso", "AT_SECURE": "process.secure",
    "AT_UID": "process.uid", "AT_EUID": "process.euid", "AT_GID": "process.gid", "AT_EGID": "process.egid",
    "AT_HWCAP": "cpuid.features", "AT_EXECFN": "exe",
}  # fmt: skip
MAX_KEY = 60  # characters of a World's value
MAX_MASK = 128  # bits of a mask that is shown as a number
POINTERS = ("AT_SYSINFO_EHDR", "AT_RANDOM", "AT_PHDR", "AT_ENTRY", "AT_EXECFN", "AT_PLATFORM", "AT_BASE")
STACK_TEXTS = {
    "argv": ("the arguments on the initial stack", "argv"),
    "envp": ("the environment on the initial stack", "env"),
    "sp": ("where the kernel put the initial stack", "memory.stack-top"),
}
CLOCKS = {"monotonic": ("the monotonic clock", "clock.monotonic"), "tsc": ("RDTSC", "clock.tsc")}


class Origin(NamedTuple):
    """One thing that a value was computed from: what was seen, and the World's ``key = value`` behind it, if any."""

    text: str
    world: str = ""


class Origins:
    """Looks up origins in one record."""

    def __init__(self, record: BootRecord) -> None:
        self.record = record
        self.paths = calls.paths(record.syscalls)

    def world(self, key: str) -> str:
        """``key = value`` as the record's World has it."""
        return f"{key} = {self.world_value(key)}"

    def world_value(self, key: str) -> str:
        """The World's value of *key*, short enough for one line."""
        found: Any = self.record.world
        for part in key.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        if isinstance(found, bool):
            return "true" if found else "false"
        if isinstance(found, list):
            text = f"[{', '.join(words.quoted(str(item)) for item in found)}]"
            return text if len(text) <= MAX_KEY else words.count(len(found), "entry", "entries")
        text = str(found).strip()[:MAX_KEY]
        return words.quoted(text) if isinstance(found, str) and (not text or " " in text) else text

    # System calls

    def key_of_call(self, index: int) -> str:
        """``key = value`` of the World behind the answer of system call *index*; empty if there is none to name."""
        call, path = self.record.syscalls[index], self.paths[index]
        if call.overridden:
            return f"responses (to {call.name})"
        if path is not None:
            # What was read says more than that the file could be opened, and than its end.
            told = bool(call.errno) or (call.name not in calls.OPENED and call.name != "close" and call.result > 0)
            return self.key_of_path(path) if told else ""
        if call.name == "fcntl" and call.arguments[0] in (0, 1, 2):
            return self.world("process.closed-fds")
        key = CALL_KEYS.get(call.name)
        return self.world(key) if key else ""

    def key_of_path(self, path: str) -> str:
        """``key = value`` of the World behind the file at *path*."""
        files = {file["path"]: file for file in self.record.world["files"]}
        if path in files:
            return f"files.{words.quoted(path)}"
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
        return [origin for word in value.inputs for origin in self._input(value, *word.split(":", 1))]

    def _input(self, value: Value, kind: str, detail: str) -> Iterator[Origin]:
        match kind:
            case "call":
                yield from self._calls(value, detail)
            case "file":
                yield from self._files(detail)
            case "auxv":
                yield self.auxv(detail)
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
            elif call.name in ("read", "pread64") and call.result:
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
        changes = self.record.world["auxv"]
        key = AUXV_KEYS.get(tag, "auxv")
        if tag in changes:
            key = f"auxv.{tag}"
        elif tag == "AT_RANDOM" and self.record.world["at-random"] == "auto":
            key = "seed"
        shown = f"{key} = {changes[tag]}" if tag in changes else self.world(key)
        for entry in self.record.views.get("auxv", ()):
            if entry["tag"] == tag:
                number = entry["value"]
                return Origin(f"auxv: {tag} = {hex(number) if tag in POINTERS else number}", shown)
        return Origin(f"auxv: no {tag}", shown)

    def env(self, name: str) -> Origin:
        """The variable *name* of the environment."""
        for entry in self.record.world["env"]:
            known, _, text = entry.partition("=")
            if known == name:
                return Origin(f"environment: {name}={text}", f"env.{name} = {words.quoted(text)}")
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
        found = values.read(self.record, values.BY_NAME[name])
        if isinstance(found, Captured):
            value = values.BY_NAME[name]
            yield Origin(f"{found.source} = {words.value(found.value, unit=value.unit)}")


def explained(call: Syscall) -> str:
    """A call as text, with what its result means."""
    text = calls.text(call)
    if call.name == "sched_getaffinity" and call.errno:
        return f"{text}: the runtime then takes 1"
    if call.name == "sched_getaffinity" and isinstance(call.arguments[2], dict):
        shown = calls.content(call.arguments[2])
        mask = int.from_bytes(shown, "little")
        if call.arguments[2]["size"] > len(shown):  # an event keeps the first bytes only
            return f"{text} bytes"
        told = f"mask {mask:#x}" if mask.bit_length() <= MAX_MASK else "a mask"
        return f"{text} bytes, {told}: {words.count(mask.bit_count(), 'bit')} set"
    if call.name == "arch_prctl" and call.arguments[0] == abi.ARCH_SET_FS:
        return f"{text}: FS points there"
    return text


def chain(record: BootRecord, value: Value) -> list[FunctionCall]:
    """The calls, from the outermost to the innermost, in which *value* was computed; empty if none is known."""
    best: int | None = None
    for name in value.after:
        best = next((i for i, call in enumerate(record.functions) if call.name == name), None)
        if best is not None:
            break
    found: list[FunctionCall] = []
    while best is not None:
        found.insert(0, record.functions[best])
        best = record.functions[best].parent
    return found
