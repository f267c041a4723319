"""The World: everything that the fake kernel, the loader and the CPU will answer, as one frozen value.

Nothing else configures a run.  The defaults describe one small, fixed Linux machine, so that a run is a function of
the binary and the World alone.
Reading and writing TOML, ``KEY=VALUE`` strings and their errors live in :mod:`syscalls.worldfile`; this module holds
the types, their defaults and what each field means.
"""

from __future__ import annotations

from syscalls.cpuset import CpuSet
from syscalls.light import dataclass, field, replace

ABSENT = None
"""How a World says "there is no such thing" (no huge-page file, no AT_RANDOM, no vDSO symbol)."""


class WorldError(ValueError):
    """A World that cannot be: one line that names the key, what is wrong and what is allowed."""

    def __init__(self, key: str, problem: str, allowed: str = "", source: str = "") -> None:
        self.key, self.problem, self.allowed, self.source = key, problem, allowed, source
        where = "".join(f"{part}: " for part in (source, key) if part)
        super().__init__(where + problem + (f"; allowed: {allowed}" if allowed else ""))

    def within(self, source: str) -> WorldError:
        """The same error, naming the file that it stands in."""
        return WorldError(self.key, self.problem, self.allowed, source)


@dataclass(frozen=True, slots=True)
class Memory:
    """Guest memory: what there is, what limits it, where the kernel places things.  Bytes and addresses."""

    total: int = 4 << 30  # MemTotal of /proc/meminfo; and sysinfo
    limit: int = 2 << 30  # frames that the guest may ever touch; more is ENOMEM, or SIGKILL-like outcome "limit"
    mmap_base: int = 0x7FFF_F7FF_F000  # top of the top-down area for mmap without a hint (ASLR off, as under gdb)
    brk_start: int | None = None  # None: the page after the program's last segment
    stack_top: int = 0x7FFF_FFFF_F000  # the end of the initial stack (ASLR off)
    stack_size: int = 8 << 20  # RLIMIT_STACK's soft limit; the stack grows down to it
    load_bias: int = 0x5555_5555_4000  # where a static PIE is loaded (ASLR off)
    vdso_base: int = 0x7FFF_F7FF_D000
    honour_hints: bool = True  # False: an mmap hint that is free is ignored, as an old or unlucky kernel may
    overcommit: bool = True  # False: a writable mapping larger than `total` is ENOMEM


@dataclass(frozen=True, slots=True)
class Thp:
    """Transparent huge pages: the files below /sys/kernel/mm/transparent_hugepage."""

    pmd_size: bytes | None = b"2097152\n"  # content of hpage_pmd_size; None: no transparent_hugepage folder at all
    enabled: str = "madvise"  # always | madvise | never
    defrag: str = "madvise"  # always | defer | defer+madvise | madvise | never
    pool: int = 0  # HugePages_Total of /proc/meminfo: the *other* huge pages, which Go never reads


@dataclass(frozen=True, slots=True)
class Cpuid:
    """The CPU model: what CPUID says.  The engine's limits win: it never offers what it cannot execute."""

    vendor: str = "AuthenticAMD"  # 12 characters
    family: int = 15
    model: int = 107
    stepping: int = 1
    brand: str = "rt0 virtual CPU"
    # Feature flags by /proc/cpuinfo's names; what a World switches off is gone from CPUID and from /proc/cpuinfo alike.
    features: tuple[str, ...] = (
        "fpu", "tsc", "msr", "pae", "cx8", "cmov", "clflush", "mmx", "fxsr", "sse", "sse2", "syscall", "nx", "rdtscp",
        "lm", "constant_tsc", "nonstop_tsc", "pni", "pclmulqdq", "ssse3", "cx16", "sse4_1", "sse4_2", "movbe",
        "popcnt", "aes", "lahf_lm", "abm", "bmi1",
    )  # fmt: skip
    # Raw overrides: (leaf, subleaf) -> (eax, ebx, ecx, edx); written in TOML as "0x7.0" = [..., ..., ..., ...].
    leaves: tuple[tuple[int, int, int, int, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Clock:
    """Virtual time.  It passes by work done and by sleeping, never by the host's clock.  Nanoseconds."""

    realtime: int = 1_577_836_800_000_000_000  # CLOCK_REALTIME at the entry point: 2020-01-01T00:00:00Z
    monotonic: int = 1_000_000_000_000  # CLOCK_MONOTONIC at the entry point: up for 1,000 s
    picoseconds_per_instruction: int = 500  # 2 instructions a nanosecond
    nanoseconds_per_call: int | None = None  # what each system call takes; None: nothing, but see `lasting`
    tsc: int = 2_000_000_000_000  # RDTSC at the entry point
    tsc_hz: int = 2_000_000_000  # ticks of the TSC a virtual second


@dataclass(frozen=True, slots=True)
class Uname:
    """What uname(2) says; each at most 64 bytes."""

    sysname: str = "Linux"
    nodename: str = "rt0"
    release: str = "6.1.0"
    version: str = "#1 SMP PREEMPT_DYNAMIC"
    machine: str = "x86_64"
    domainname: str = "(none)"


@dataclass(frozen=True, slots=True)
class Cgroup:
    """The control group that the program stands in, and how the hierarchy is mounted."""

    version: int = 2  # 2, 1, or 0: no cgroup files at all
    path: str = "/"
    cpu_quota: int | None = None  # microseconds a period; None: no limit ("max", or -1 in version 1)
    cpu_period: int = 100_000  # microseconds
    memory_max: int | None = None  # bytes


@dataclass(frozen=True, slots=True)
class Process:
    """Who the program is."""

    pid: int = 1000
    ppid: int = 999
    uid: int = 0
    euid: int = 0
    gid: int = 0
    egid: int = 0
    secure: bool = False  # AT_SECURE
    closed_fds: tuple[int, ...] = ()  # of 0, 1, 2: descriptors that are closed at the start
    sigmask: int = 0  # blocked signals at the entry point; bit n-1 is signal n
    # Of 0, 1, 2: descriptors that are a terminal.  None: those of `rt0 run` itself that are, or none.
    terminals: tuple[int, ...] | None = None
    window: tuple[int, int] | None = None  # its rows and columns; None: those of `rt0 run`'s own, or 24 and 80
    termios: bytes | None = None  # the kernel's struct termios; None: that of `rt0 run`'s own, or a new terminal's


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a run ends by itself.  0: no such limit."""

    instructions: int = 2_000_000_000
    virtual_ns: int = 0
    # System calls, page faults, CPUID and RDTSC instructions: each costs a thousand times what others do.
    traps: int = 500_000


@dataclass(frozen=True, slots=True)
class File:
    """One file of the guest's tree that the user wrote down; it wins over what the kernel would derive."""

    path: str
    content: bytes | None = b""  # None: absent, whatever the derived tree has there
    mode: int = 0o644
    errno: str | None = None  # opening it fails with this


@dataclass(frozen=True, slots=True)
class Response:
    """A rule that changes what one call returns, whatever the kernel would have said.

    It applies to calls named *call* (a syscall's name) whose first path argument is *path* (or whose descriptor was
    opened from it; repeated slashes count as one), counted from 1 among the calls that match, as *when* says: ``N``,
    ``N..M``, ``N+`` (N and all later ones), ``N..M+S`` or ``N+S`` (every S-th), the grammar of
    ``strace -e inject=...:when=``.

    With *errno* or *result* the call is not performed: it returns ``-errno`` or *result* (*data*, if given, is
    stored into its first output buffer, cut to the buffer's size; *result* alone defaults to the bytes stored).
    With *arguments*, pairs of a number from 0 and a value, it is performed with those in place of the guest's own: a
    read that is cut short (its size), a mapping whose hint is ignored (its address).  The first matching rule wins.
    """

    call: str
    when: str = "1+"
    path: str | None = None
    errno: str | None = None
    result: int | None = None
    data: bytes | None = None
    arguments: tuple[tuple[int, int], ...] = ()


TWO_CPUS = CpuSet.first(2)


@dataclass(frozen=True, slots=True)
class World:
    """All that a user may vary.  Two runs of one image in equal Worlds are equal, byte for byte, on every host."""

    argv: tuple[str, ...] = ()  # empty: the binary's file name alone
    env: tuple[str, ...] = ("PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/root")  # "NAME=value", in order
    exe: str = ""  # AT_EXECFN and /proc/self/exe; empty: "/bin/" and the binary's file name
    cwd: str = "/"
    cpus: CpuSet = TWO_CPUS  # the affinity mask
    possible_cpus: CpuSet | None = None  # None: 0 to the highest of `cpus`; sysfs and the length of the mask follow
    page_size: int = 4096  # AT_PAGESZ, and what mmap, brk and friends round to
    seed: int = 1  # all entropy: AT_RANDOM, getrandom, /dev/urandom
    at_random: bytes | None = None  # the 16 bytes behind AT_RANDOM; None: drawn from `seed`
    schedule_seed: int = 0
    vdso: bool = True
    vsyscall: bool = True
    strict: bool = False  # True: a system call the table does not know ends the run (outcome "unsupported")
    # Changes to the auxiliary vector: (name or number, value or None for absent), applied in order to what Linux gives.
    auxv: tuple[tuple[str, int | None], ...] = ()
    memory: Memory = field(default_factory=Memory)
    thp: Thp = field(default_factory=Thp)
    cpuid: Cpuid = field(default_factory=Cpuid)
    clock: Clock = field(default_factory=Clock)
    uname: Uname = field(default_factory=Uname)
    cgroup: Cgroup = field(default_factory=Cgroup)
    process: Process = field(default_factory=Process)
    rlimits: tuple[tuple[str, int | None, int | None], ...] = ()  # (name, soft, hard); None: unlimited
    limits: Limits = field(default_factory=Limits)
    files: tuple[File, ...] = ()
    binds: tuple[tuple[str, str, bool], ...] = ()  # (host path, guest path, writable through)
    responses: tuple[Response, ...] = ()

    @property
    def possible(self) -> CpuSet:
        """The CPUs that the machine has, all online: at least those of the affinity mask."""
        return self.possible_cpus or CpuSet.first(self.cpus.highest + 1)


CALL_NS = 1_000
"""What a system call takes in a program that runs to its end: on Linux, getpid takes a tenth of that, mkdir tenfold."""


def lasting(world: World) -> World:
    """*world* for a program that runs to its end: its system calls take time, unless *world* says how much.

    A program that does nothing but make them until a time has passed (as Go's benchmarks do) would else make very many.
    """
    if world.clock.nanoseconds_per_call is not None:
        return world
    return replace(world, clock=replace(world.clock, nanoseconds_per_call=CALL_NS))
