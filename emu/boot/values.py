"""The values that everyone asks about: what each means, which function computes it, and what it is computed from.

The diff of all globals finds far more than stands here; this table says which of it a reader wants to see by name.
A value is looked for under its *sources*, in order of trust: variables or fields, spelled as the record's ``globals``
spell them (a ``*`` at the end stands for every leaf that begins so), then the *view* of that name.

What a value is computed from (*inputs*), one word each:

``call:NAME``     a system call made by one of the functions of *after*
``file:PATH``     a file that one of them opened, by the beginning or the end of its path
``auxv:AT_X``     an entry of the auxiliary vector
``env:NAME``      a variable of the environment
``stack:argv``    the arguments on the initial stack; ``stack:envp`` the environment there; ``stack:sp`` the stack
``cpuid:NAME``    a feature, or another thing that CPUID says
``clock:NAME``    the clock: ``monotonic`` or ``tsc``
``value:NAME``    another value of this table
``linker:TEXT``   written into the file when it was linked
``world:KEY``     a key of the World that changes it directly
``source:TEXT``   a constant of the runtime's source
``with:NAME:TEXT`` and ``without:NAME:TEXT``  the same, in releases that have, or have not, the value NAME of this table

Names and meanings were read in the sources of Go 1.12 to 1.27 (runtime2.go, os_linux.go, proc.go, malloc.go,
mgcpacer.go, runtime1.go, alg.go) and are checked against records of real binaries by ``tests/boot/test_values.py``.
"""

from __future__ import annotations

from collections.abc import Container

from emu.boot.reader import NOT_IN_RELEASE, NOT_REACHED, Missing, Reader
from emu.boot.record import BootRecord
from syscalls.light import Any, NamedTuple


class Value(NamedTuple):
    """One value.  *after*: the functions that compute it, the innermost first; *key*: it belongs in the summary."""

    name: str
    unit: str  # "CPUs", "bytes", "address", "ns", ...; "hex" for digits that mean something; empty for what has none
    doc: str
    after: tuple[str, ...]
    sources: tuple[str, ...] = ()
    view: str = ""
    inputs: tuple[str, ...] = ()
    key: bool = True


class Captured(NamedTuple):
    """A value that was read; *source* is the variable or view that holds it."""

    value: Any
    source: str


class Absent(NamedTuple):
    """A value that cannot be had; *reason* is one of those of :mod:`emu.boot.reader`."""

    reason: str


ALG = ("internal/runtime/maps.AlgInit", "runtime.alginit")
CPUS = ("runtime.getCPUCount", "runtime.getproccount", "runtime.osinit")
DEBUG = ("runtime.parseRuntimeDebugVars", "runtime.parsedebugvars", "runtime.finishDebugVarsSetup")
GC = ("runtime.(*gcControllerState).init", "runtime.gcinit")
RANDOM = ("runtime.randinit", "runtime.getRandomData", "runtime.schedinit")
PROCS = ("runtime.procresize",)
RT0_GO = "runtime.rt0_go"
CGROUP = "/sys/fs/cgroup/"
THP_FILE = "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"

VALUES: tuple[Value, ...] = (
    # rt0_go
    Value("g0.stack.hi", "address", "Where the stack of g0 ends: the stack pointer in rt0_go.", ("runtime.rt0_go",),
          ("runtime.g0.stack.hi",), inputs=("stack:sp",)),
    Value("g0.stack.lo", "address",
          "Where rt0_go supposes that g0's stack begins: 64 KiB below (104 bytes less up to Go 1.20).",
          ("runtime.rt0_go",), ("runtime.g0.stack.lo",), inputs=("value:g0.stack.hi", "source:64 KiB, asm_amd64.s")),
    Value("g0.stackguard0", "address", "Below it, a function's prologue asks for more stack.", ("runtime.rt0_go",),
          ("runtime.g0.stackguard0",), inputs=("value:g0.stack.lo",), key=False),
    Value("g0.m", "address", "The thread that g0 belongs to: m0.", ("runtime.rt0_go",), ("runtime.g0.m",), key=False),
    Value("m0.g0", "address", "The goroutine that schedules on m0.", ("runtime.rt0_go",), ("runtime.m0.g0",),
          key=False),
    Value("m0.tls[0]", "address", "Thread-local storage: the current g, found through FS.", ("runtime.rt0_go",),
          ("runtime.m0.tls[0]",), inputs=("call:arch_prctl",), key=False),
    Value("isIntel", "", "CPUID's vendor is GenuineIntel.", ("runtime.rt0_go",), ("runtime.isIntel",),
          inputs=("cpuid:vendor",), key=False),
    Value("processorVersionInfo", "hex", "CPUID leaf 1's EAX: family, model and stepping.", ("runtime.rt0_go",),
          ("runtime.processorVersionInfo",), inputs=("cpuid:family", "cpuid:model", "cpuid:stepping")),
    # args
    Value("argc", "arguments", "How many arguments there are, the program's own name included.", ("runtime.args",),
          ("runtime.argc",), inputs=("stack:argv",)),
    Value("argv", "address", "Where the pointers to the arguments lie, on the initial stack.", ("runtime.args",),
          ("runtime.argv",), inputs=("stack:sp",)),
    Value("auxv", "", "The auxiliary vector: what the kernel tells every program.",
          ("runtime.sysargs", "runtime.args"), ("runtime.auxv",), "auxv",
          ("auxv:AT_PAGESZ", "auxv:AT_RANDOM", "auxv:AT_SYSINFO_EHDR", "auxv:AT_SECURE", "world:auxv")),
    Value("physPageSize", "bytes", "The size of a page of memory.", ("runtime.sysauxv", "runtime.args"),
          ("runtime.physPageSize",), inputs=("auxv:AT_PAGESZ",)),
    Value("startupRand", "bytes", "The 16 random bytes that the kernel put on the stack; taken away once used.",
          ("runtime.sysauxv", "runtime.args"), ("runtime.startupRand", "runtime.startupRandomData"),
          inputs=("auxv:AT_RANDOM",), key=False),
    Value("secureMode", "", "The program runs with more rights than its user.", ("runtime.sysauxv", "runtime.args"),
          ("runtime.secureMode",), inputs=("auxv:AT_SECURE",)),
    Value("vdsoLoadStart", "address", "Where the vDSO begins.", ("runtime.vdsoInitFromSysinfoEhdr",),
          ("runtime.vdsoLoadStart",), inputs=("auxv:AT_SYSINFO_EHDR",), key=False),
    Value("vdsoLoadEnd", "address", "Where the vDSO ends.", ("runtime.vdsoInitFromSysinfoEhdr",),
          ("runtime.vdsoLoadEnd",), inputs=("auxv:AT_SYSINFO_EHDR",), key=False),
    Value("vdsoClockgettimeSym", "address", "The vDSO's clock_gettime; 0: the clock costs a system call.",
          ("runtime.vdsoParseSymbols", "runtime.sysauxv", "runtime.args"), ("runtime.vdsoClockgettimeSym",),
          inputs=("auxv:AT_SYSINFO_EHDR",)),
    Value("vdsoGettimeofdaySym", "address", "The vDSO's gettimeofday.",
          ("runtime.vdsoParseSymbols", "runtime.sysauxv", "runtime.args"), ("runtime.vdsoGettimeofdaySym",),
          inputs=("auxv:AT_SYSINFO_EHDR",), key=False),
    Value("vdsoGetrandomSym", "address", "The vDSO's getrandom; 0: it has none.",
          ("runtime.vdsoParseSymbols", "runtime.sysauxv", "runtime.args"), ("runtime.vdsoGetrandomSym",),
          inputs=("auxv:AT_SYSINFO_EHDR",), key=False),
    # osinit
    Value("ncpu", "CPUs", "CPUs that the program may run on: what runtime.NumCPU returns.", CPUS,
          ("runtime.numCPUStartup", "runtime.ncpu"), inputs=("call:sched_getaffinity",)),
    Value("physHugePageSize", "bytes", "The size of a transparent huge page; 0: unknown, so none is asked for.",
          ("runtime.getHugePageSize", "runtime.osinit"), ("runtime.physHugePageSize",), inputs=(f"file:{THP_FILE}",)),
    # schedinit
    Value("sched.maxmcount", "threads", "How many threads a program may have before it throws.",
          ("runtime.schedinit",), ("runtime.sched.maxmcount",), inputs=("source:10000, proc.go",)),
    Value("crashFD", "hex", "Where a crash is written to besides standard error; all ones: nowhere.",
          ("runtime.schedinit",), ("runtime.crashFD",), inputs=("source:^uintptr(0), proc.go",), key=False),
    Value("MemProfileRate", "bytes", "How many bytes lie between two samples of the memory profile; 0: it is off.",
          ("runtime.schedinit",), ("runtime.MemProfileRate",),
          inputs=("linker:disableMemoryProfiling: nothing in the program reads the profile",), key=False),
    Value("ticks.startTicks", "ticks", "The TSC when the program started.", ("runtime.(*ticksType).init",),
          ("runtime.ticks.startTicks",), inputs=("clock:tsc",), key=False),
    Value("ticks.startTime", "ns", "The clock when the program started.", ("runtime.(*ticksType).init",),
          ("runtime.ticks.startTime",), inputs=("clock:monotonic",), key=False),
    Value("sched.lastpoll", "ns", "When the network was last polled: now.", ("runtime.schedinit",),
          ("runtime.sched.lastpoll",), inputs=("clock:monotonic",), key=False),
    Value("modules", "", "What moduledataverify checked: each module's functions and addresses.",
          ("runtime.moduledataverify1", "runtime.schedinit"), view="modules",
          inputs=("linker:runtime.firstmoduledata",)),
    Value("modulesSlice", "address", "The list of modules.", ("runtime.modulesinit",), ("runtime.modulesSlice",),
          key=False),
    Value("itabTable", "interface tables",
          "Pairs of interface and type that the program's code uses, and room for more.",
          ("runtime.itabsinit", "runtime.schedinit"), ("runtime.itabTableInit.count",), "runtime.itabTable",
          ("linker:the list of interface tables",)),
    Value("fastrandseed", "hex", "The seed of the runtime's random numbers.", RANDOM, ("runtime.fastrandseed",),
          inputs=("auxv:AT_RANDOM", "clock:monotonic"), key=False),
    Value("globalRand.init", "", "The runtime's random generator, ChaCha8, is seeded.", RANDOM,
          ("runtime.globalRand.init",), inputs=("auxv:AT_RANDOM",)),
    # mallocinit
    Value("physHugePageShift", "", "physHugePageSize as a power of two.", ("runtime.mallocinit",),
          ("runtime.physHugePageShift",), inputs=("value:physHugePageSize",)),
    Value("sizeclasses", "size classes", "Sizes to which small objects are rounded up.", ("runtime.mallocinit",),
          view="sizeclasses", inputs=("source:sizeclasses.go, checked by mallocinit",)),
    Value("heapRandSeed", "hex", "Random bits that move the heap to an address that cannot be guessed; used up.",
          ("runtime.mallocinit",), ("runtime.heapRandSeed",), inputs=("value:globalRand.init", "auxv:AT_RANDOM")),
    Value("arenaHints", "addresses", "Where the heap would like its next arenas, in this order.",
          ("runtime.mallocinit",), ("runtime.mheap_.arenaHints",), "runtime.mheap_.arenaHints",
          ("without:heapRandSeed:0xc0 << 32 and upwards, malloc.go", "value:heapRandSeed",
           "with:heapRandSeed:two bits of the base stay in each hint, so hints may repeat (randHeapBasePrefixMask)")),
    Value("userArena.arenaHints", "addresses", "Where user arenas would like to be.", ("runtime.mallocinit",),
          ("runtime.mheap_.userArena.arenaHints",), "runtime.mheap_.userArena.arenaHints",
          ("without:heapRandSeed:0x40c0 << 32 and upwards, malloc.go", "value:heapRandSeed"), False),
    Value("mcache0", "address", "The first cache of spans, until the first P gets it.", ("runtime.mallocinit",),
          ("runtime.mcache0", "runtime.m0.mcache"), key=False),
    Value("heap arena", "address", "The arena that the heap grows in.", ("runtime.schedinit",),
          ("runtime.mheap_.curArena.base",), inputs=("call:mmap",), key=False),
    Value("stackpool", "", "Free stacks, by size.", ("runtime.stackinit", "runtime.schedinit"),
          view="runtime.stackpool", key=False),
    # mcommoninit
    Value("m0.id", "", "The number of the first thread.", ("runtime.mcommoninit",), ("runtime.m0.id",), key=False),
    Value("sched.mnext", "threads", "Threads made so far: the number of the next one.", ("runtime.mcommoninit",),
          ("runtime.sched.mnext",), inputs=("source:0, and one more",)),
    Value("allm", "address", "The list of all threads: m0.", ("runtime.mcommoninit",), ("runtime.allm",), key=False),
    Value("m0.gsignal", "address", "The goroutine that handles m0's signals.",
          ("runtime.mpreinit", "runtime.mcommoninit"), ("runtime.m0.gsignal",), key=False),
    # CPU
    Value("X86", "", "What the CPU has, as far as Go's code asks.",
          ("internal/cpu.Initialize", "runtime.cpuinit", "runtime.schedinit"), ("internal/cpu.X86.*",),
          "internal/cpu.X86", ("cpuid:features", "env:GODEBUG")),
    Value("x86HasPOPCNT", "", "A copy that compiled code checks.", ("runtime.cpuinit", "runtime.schedinit"),
          ("runtime.x86HasPOPCNT",), inputs=("cpuid:popcnt",), key=False),
    Value("x86HasSSE41", "", "A copy that compiled code checks.", ("runtime.cpuinit", "runtime.schedinit"),
          ("runtime.x86HasSSE41",), inputs=("cpuid:sse4_1",), key=False),
    Value("useAeshash", "", "Maps hash with the CPU's AES instructions.", ALG,
          ("internal/runtime/maps.UseAeshash", "runtime.useAeshash"),
          inputs=("cpuid:aes", "cpuid:ssse3", "cpuid:sse4_1")),
    Value("aeskeysched", "bytes", "The key of the AES hash.", ALG,
          ("internal/runtime/maps.aeskeysched", "runtime.aeskeysched"), inputs=("auxv:AT_RANDOM",)),
    Value("hashkey", "", "The key of the portable hash.", ALG,
          ("internal/runtime/maps.hashkey*", "runtime.hashkey*"), "hash", ("auxv:AT_RANDOM",), False),
    # arguments, environment, debugging
    Value("initSigmask", "", "Signals that were blocked when the program started; given back to its children.",
          ("runtime.rtsigprocmask", "runtime.msigsave", "runtime.schedinit"), ("runtime.initSigmask*",),
          "runtime.initSigmask", ("call:rt_sigprocmask",)),
    Value("argslice", "", "The arguments as Go strings: os.Args.", ("runtime.goargs",), ("runtime.argslice",),
          "runtime.argslice", ("stack:argv",)),
    Value("envs", "", "The environment as Go strings: os.Environ.", ("runtime.goenvs_unix", "runtime.goenvs"),
          ("runtime.envs",), "runtime.envs", ("stack:envp",)),
    Value("debug", "", "Debug variables that are not 0.", DEBUG, ("runtime.debug.*",), "runtime.debug",
          ("env:GODEBUG", "linker:runtime.godebugDefault, from go.mod")),
    Value("traceback_cache", "", "How much a traceback shows: level << 2, crash 1, all 2.",
          ("runtime.finishDebugVarsSetup", "runtime.parsedebugvars"), ("runtime.traceback_cache",),
          inputs=("env:GOTRACEBACK",)),
    # collector
    Value("gcPercent", "%", "How much the heap may grow before a collection; -1: no limit.", GC,
          ("runtime.gcController.gcPercent", "runtime.gcpercent"), inputs=("env:GOGC",)),
    Value("heapMinimum", "bytes", "Below it, nothing is collected.", GC,
          ("runtime.gcController.heapMinimum", "runtime.heapminimum"),
          inputs=("value:gcPercent", "source:4 MiB at 100 %")),
    Value("memoryLimit", "bytes", "What the collector tries to stay under.", GC,
          ("runtime.gcController.memoryLimit",), inputs=("env:GOMEMLIMIT",)),
    Value("next_gc", "bytes", "The heap's size at which the first collection starts.", ("runtime.gcinit",),
          ("runtime.memstats.next_gc", "runtime.gcController.gcPercentHeapGoal"), inputs=("value:gcPercent",),
          key=False),
    Value("triggerRatio", "", "Part of the growth at which a collection starts.", ("runtime.gcinit",),
          ("runtime.memstats.triggerRatio", "runtime.gcController.triggerRatio"), inputs=("source:7/8, mgc.go",),
          key=False),
    Value("work.startSema", "", "One collection may start at a time.", ("runtime.gcinit",),
          ("runtime.work.startSema",), inputs=("source:1, mgc.go",), key=False),
    Value("work.markDoneSema", "", "One may end at a time.", ("runtime.gcinit",), ("runtime.work.markDoneSema",),
          inputs=("source:1, mgc.go",), key=False),
    # processors
    Value("cgroup", "", "The control group's version, if its CPU limit can be read.",
          ("runtime.defaultGOMAXPROCSInit",), ("runtime.cgroupCPU.version",),
          inputs=("file:/proc/self/cgroup", "file:/proc/self/mountinfo"), key=False),
    Value("gomaxprocs", "Ps", "How many goroutines run at the same time.", ("runtime.procresize",),
          ("runtime.gomaxprocs",), inputs=("env:GOMAXPROCS", "value:ncpu", f"file:{CGROUP}")),
    Value("customGOMAXPROCS", "", "GOMAXPROCS was given, so changes of the machine do not change it.",
          ("runtime.schedinit",), ("runtime.sched.customGOMAXPROCS",), inputs=("env:GOMAXPROCS",), key=False),
    Value("allp", "", "Every P: the right to run Go code, and a cache of memory.", PROCS, ("runtime.allp",),
          "runtime.allp", ("value:gomaxprocs",)),
    Value("m0.p", "address", "The P of m0: the first one.", ("runtime.acquirep", *PROCS), ("runtime.m0.p",),
          key=False),
    Value("sched.pidle", "address", "The list of idle Ps.", PROCS, ("runtime.sched.pidle",), key=False),
    Value("sched.npidle", "Ps", "Ps that have nothing to do.", PROCS, ("runtime.sched.npidle",),
          inputs=("value:gomaxprocs",)),
    Value("sched.procresizetime", "ns", "When the number of Ps last changed: now.", PROCS,
          ("runtime.sched.procresizetime",), inputs=("clock:monotonic",), key=False),
    Value("stealOrder.count", "Ps", "Ps that an idle one looks through for work.", PROCS,
          ("runtime.stealOrder.count",), inputs=("value:gomaxprocs",), key=False),
    # newproc
    Value("allglen", "goroutines", "Goroutines made so far.", ("runtime.newproc1", "runtime.newproc"),
          ("runtime.allglen",), inputs=("source:the main goroutine",)),
    Value("main goroutine", "", "The goroutine that will run runtime.main, and from there main.main.",
          ("runtime.newproc1", "runtime.newproc"), ("runtime.allgs",), "runtime.allgs", ("linker:runtime.mainPC",)),
)  # fmt: skip

BY_NAME = {value.name: value for value in VALUES}
_EXACT = {source: value for value in reversed(VALUES) for source in value.sources if not source.endswith("*")}
_PREFIXES = tuple((source[:-1], value) for value in VALUES for source in value.sources if source.endswith("*"))


def of_leaf(name: str) -> Value | None:
    """The value that the leaf *name* of a global is a part of, or None."""
    found = _EXACT.get(name)
    return found or next((value for prefix, value in _PREFIXES if name.startswith(prefix)), None)


def spelled(value: Value, known: Container[str]) -> str:
    """*value* by the name of its variable, if that is *known*, else of its view; of more than one, by its own name."""
    names = (*(source for source in value.sources if source in known), value.view)
    return next((name for name in names if "." in name), value.name)


def declared(reader: Reader) -> tuple[dict[str, Any], dict[str, str]]:
    """Every declared variable of the program, as it is now; and of the values that none of them holds, why not."""
    found: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for value in VALUES:
        reasons = []
        for source in value.sources:
            if source.endswith("*"):
                continue
            try:
                found[source] = reader.value(source)
            except Missing as absence:
                reasons.append(absence.reason)
        if reasons and not value.view and not any(source in found for source in value.sources):
            missing[value.name] = next((reason for reason in reasons if reason != NOT_IN_RELEASE), NOT_IN_RELEASE)
    return found, missing


def read(record: BootRecord, value: Value) -> Captured | Absent:
    """What *record* says about *value*: its view if it has one, else the first of its variables that there is."""
    known = [source for source in value.sources if source in record.globals]
    if not known and value.view not in record.views:
        return Absent(record.missing.get(value.name) or record.missing.get(value.view) or NOT_REACHED)
    if not reached(record, value):
        return Absent(NOT_REACHED)
    if value.view in record.views:
        return Captured(record.views[value.view], known[0] if known else value.view)
    return Captured(record.globals[known[0]], known[0])


def reached(record: BootRecord, value: Value) -> bool:
    """Tell whether one of the functions that compute *value* was entered and left, or wrote it."""
    for index, call in enumerate(record.functions):
        if call.name not in value.after:
            continue
        # rt0_go never returns; what it computes itself is there once it has called something.
        if call.returned or writes(call, value) or (call.name == RT0_GO and index + 1 < len(record.functions)):
            return True
    return False


def writes(call: Any, value: Value) -> bool:
    """Tell whether *call*, a call of the record, changed a leaf of *value*."""
    return any(of_leaf(write.name) is value for write in call.writes)
