"""The one table of a World's keys: reading, writing, errors and documentation all come from it."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter

from syscalls.light import Any, NamedTuple
from syscalls.world import World
from syscalls.worldfile.kinds import (
    U64,
    Boolean,
    Cpus,
    Hex,
    HexBytes,
    HugePageSize,
    Integer,
    Kind,
    OneOf,
    Optional,
    Path,
    Text,
)
from syscalls.worldfile.records import Binds, Files, Responses
from syscalls.worldfile.tables import (
    Arguments,
    Auxv,
    Descriptors,
    Environment,
    Features,
    Leaves,
    Many,
    Rlimits,
    Signals,
    Window,
)

I64 = (1 << 63) - 1
TOP = 1 << 47  # the end of what 48-bit addresses give to user space


class Key(NamedTuple):
    """One key: its dotted name, its kind, and a sentence for the reader."""

    name: str
    kind: Kind
    doc: str

    @property
    def section(self) -> str:
        """The World's field that holds this one; empty for a field of the World itself."""
        return self.name.rpartition(".")[0]

    @property
    def field(self) -> str:
        """The name of the dataclass field."""
        return self.name.rpartition(".")[2].replace("-", "_")

    def get(self, world: World) -> Any:
        """This key's value in *world*."""
        return GETTERS[self.name](world)


PAGES = Hex(0x1_0000, TOP - 4096, step=4096)

TABLE: tuple[Key, ...] = (
    Key("argv", Arguments(), "The program's arguments, its name first; empty: the binary's file name alone."),
    Key("env", Environment(), "The environment, in order; env.NAME sets one variable."),
    Key("exe", Path(empty=True), "AT_EXECFN and /proc/self/exe; empty: /bin/ and the binary's file name."),
    Key("cwd", Path(), "The working directory; made where there is none."),
    Key("cpus", Cpus(), "The CPUs that the program may run on: its affinity mask, which Go counts."),
    Key("possible-cpus", Optional(Cpus(), "auto"), "The CPUs that the machine has; auto: 0 to the highest of cpus."),
    Key("page-size", Integer(0, 1 << 31, size=True), "AT_PAGESZ, in bytes; the program sees bad sizes too."),
    Key("seed", Integer(0, U64), "All entropy: AT_RANDOM, getrandom and /dev/urandom."),
    Key(
        "at-random",
        Optional(HexBytes("32 hexadecimal digits, the 16 bytes", exactly=16), "auto"),
        "The 16 bytes behind AT_RANDOM; auto: drawn from seed.",
    ),
    Key("schedule-seed", Integer(0, U64), "The order in which threads get the CPU."),
    Key("vdso", Boolean(), "Whether there is a vDSO."),
    Key("vsyscall", Boolean(), "Whether there is a vsyscall page."),
    Key("strict", Boolean(), "Whether an unknown system call ends the run instead of failing with ENOSYS."),
    Key("auxv", Auxv(), "Changes to the auxiliary vector: AT_ name or number, then a value or absent."),
    Key("memory.total", Integer(1 << 20, 1 << 46, size=True), "MemTotal of /proc/meminfo, in bytes."),
    Key("memory.limit", Integer(1 << 20, 1 << 40, size=True), "What the program may touch at most, in bytes."),
    Key("memory.mmap-base", PAGES, "The top of the area from which mmap places mappings downwards."),
    Key("memory.brk-start", Optional(PAGES, "auto"), "The first break; auto: after the program's last segment."),
    Key("memory.stack-top", PAGES, "The end of the initial stack."),
    Key("memory.stack-size", Integer(128 << 10, 1 << 40, size=True, step=4096), "The stack's soft limit, in bytes."),
    Key("memory.load-bias", Hex(0, TOP - 4096, step=4096), "Where a position-independent program is loaded."),
    Key("memory.vdso-base", PAGES, "Where the vDSO lies."),
    Key("memory.honour-hints", Boolean(), "Whether mmap places a mapping at a hint that is free."),
    Key("memory.overcommit", Boolean(), "Whether a writable mapping may be larger than memory.total."),
    Key(
        "thp.pmd-size",
        Optional(HugePageSize(), "absent"),
        "The content of .../transparent_hugepage/hpage_pmd_size; absent: no such folder. Also spelled thp.",
    ),
    Key("thp.enabled", OneOf("always", "madvise", "never"), "Which memory may get transparent huge pages."),
    Key("thp.defrag", OneOf("always", "defer", "defer+madvise", "madvise", "never"), "How hard the kernel tries."),
    Key("thp.pool", Integer(0, 1 << 32), "HugePages_Total of /proc/meminfo: explicit huge pages, which Go never uses."),
    Key(
        "cpuid.vendor",
        OneOf("AuthenticAMD", "GenuineIntel"),
        "The CPU's vendor, which decides the layout of some leaves.",
    ),
    Key("cpuid.family", Integer(3, 270), "The CPU's family, as /proc/cpuinfo shows it."),
    Key("cpuid.model", Integer(0, 255), "The CPU's model."),
    Key("cpuid.stepping", Integer(0, 15), "The CPU's stepping."),
    Key("cpuid.brand", Text(47, ascii_only=True), "The CPU's name."),
    Key("cpuid.features", Features(), "What the CPU has, by /proc/cpuinfo's names; cpuid.NAME switches one."),
    Key("cpuid.leaves", Leaves(), "Raw answers of CPUID, less the bits that the engine cannot execute."),
    Key("clock.realtime", Integer(0, I64), "CLOCK_REALTIME at the entry point, in nanoseconds since 1970."),
    Key("clock.monotonic", Integer(0, I64), "CLOCK_MONOTONIC at the entry point, in nanoseconds."),
    Key("clock.picoseconds-per-instruction", Integer(1, 10**9), "How fast virtual time passes by work."),
    Key(
        "clock.nanoseconds-per-call",
        Optional(Integer(0, 10**9), "auto"),
        "What each system call takes; auto: 1000 in `rt0 run` and `rt0 sweep --run`, 0 elsewhere.",
    ),
    Key("clock.tsc", Integer(0, I64), "RDTSC at the entry point."),
    Key("clock.tsc-hz", Integer(1_000_000, 10**11), "Ticks of the TSC in a virtual second."),
    Key("uname.sysname", Text(64), "The kernel's name."),
    Key("uname.nodename", Text(64), "The host's name."),
    Key("uname.release", Text(64), "The kernel's release, such as 5.3.0."),
    Key("uname.version", Text(64), "The kernel's build."),
    Key("uname.machine", Text(64), "The machine's architecture."),
    Key("uname.domainname", Text(64), "The NIS domain."),
    Key("cgroup.version", Integer(0, 2), "The version of the control groups: 2, 1, or 0 for none."),
    Key("cgroup.path", Path(), "The program's control group."),
    Key("cgroup.cpu-quota", Optional(Integer(1000, I64 // 1000), "max"), "CPU time a period, in microseconds."),
    Key("cgroup.cpu-period", Integer(1000, 1_000_000), "The period, in microseconds."),
    Key("cgroup.memory-max", Optional(Integer(0, I64, size=True), "max"), "The group's memory limit, in bytes."),
    Key("process.pid", Integer(1, (1 << 22) - 1), "The process id."),
    Key("process.ppid", Integer(0, (1 << 22) - 1), "The parent's process id."),
    Key("process.uid", Integer(0, (1 << 32) - 2), "The real user id."),
    Key("process.euid", Integer(0, (1 << 32) - 2), "The effective user id."),
    Key("process.gid", Integer(0, (1 << 32) - 2), "The real group id."),
    Key("process.egid", Integer(0, (1 << 32) - 2), "The effective group id."),
    Key("process.secure", Boolean(), "AT_SECURE: whether the program counts as set-user-ID."),
    Key("process.closed-fds", Descriptors(), "Standard descriptors that are closed at the start."),
    Key("process.sigmask", Signals(), "Signals that are blocked at the entry point."),
    Key(
        "process.terminals",
        Optional(Descriptors(), "auto"),
        "Standard descriptors that are a terminal, not pipes; auto: those of `rt0 run` that are one, none elsewhere.",
    ),
    Key("process.window", Optional(Window(), "auto"), "The terminal's rows and columns; auto: as it has, or 24, 80."),
    Key(
        "process.termios",
        Optional(HexBytes("72 hexadecimal digits, a struct termios of the kernel", exactly=36), "auto"),
        "How the terminal is set at the start; auto: as it is, or as a new one.",
    ),
    Key("rlimits", Rlimits(), "Resource limits by getrlimit(2)'s names."),
    Key("limits.instructions", Integer(0, I64), "Instructions after which a run ends; 0: no limit."),
    Key("limits.virtual-ns", Integer(0, I64), "Virtual nanoseconds after which a run ends; 0: no limit."),
    Key(
        "limits.traps", Integer(0, I64), "System calls, page faults, CPUIDs and RDTSCs after which a run ends; 0: none."
    ),
    Key("files", Files(), "Files of the guest; each wins over what the kernel would derive. files.PATH sets one."),
    Key("binds", Binds(), "Host files and folders that the guest sees; writes stay in memory, unless `writable`."),
    Key("responses", Responses(), "Rules that change what single system calls return."),
)

GETTERS = {key.name: attrgetter(key.name.replace("-", "_")) for key in TABLE}
KEYS: Mapping[str, Key] = {key.name: key for key in TABLE}
SECTIONS: tuple[str, ...] = tuple(dict.fromkeys(key.section for key in TABLE if key.section))
# Other spellings.  In TOML, [[file]] reads better than [[files]]; thp alone is short for its one Go-relevant file.
ALIASES: Mapping[str, str] = {"file": "files", "bind": "binds", "response": "responses", "thp": "thp.pmd-size"}


class KeyInfo(NamedTuple):
    """One key for a reader: name, type, default as TOML or text shows it, and a sentence."""

    key: str
    type: str
    default: str
    doc: str


def describe_keys() -> list[KeyInfo]:
    """Every key of the World, in the order of the table; elements of maps follow their key."""
    from syscalls.worldfile.writer import inline_value  # the writer needs this table

    world = World()
    infos = []
    for key in TABLE:
        infos.append(KeyInfo(key.name, key.kind.type, inline_value(key.kind.write(key.get(world))), key.doc))
        if isinstance(key.kind, Many) and key.kind.item_type:
            element = "cpuid.NAME" if key.name == "cpuid.features" else f"{key.name}.NAME"
            infos.append(KeyInfo(element, key.kind.item_type, "", f"One element of {key.name}."))
    return infos
