"""The bootstrap functions: what each is for, where it is observed, what its values mean.

One row a function, under the name that the pclntab gives it.  A row is used wherever the program has a function of
that name, so that a release newer than this table still shows all it shares with the older ones; ``since`` and
``until`` only say which releases *should* have it (read in the sources, checked against real binaries by
``tests/boot/test_catalogue.py``).  The order in which a release runs them stands in :mod:`emu.boot.order`.
"""

from __future__ import annotations

from syscalls.light import dataclass

Release = tuple[int, int]
FIRST, NEWEST = (1, 9), (1, 27)


@dataclass(frozen=True, slots=True)
class Row:
    """One function.  *within*: it serves the whole runtime, so only a call made directly by one of these counts."""

    name: str
    doc: str
    since: Release = FIRST
    until: Release = NEWEST
    within: tuple[str, ...] = ()


SCHEDINIT = ("runtime.schedinit",)
DEFAULT_PROCS = ("runtime.schedinit", "runtime.defaultGOMAXPROCS", "runtime.adjustCgroupGOMAXPROCS")

ROWS = (
    # From the kernel's jump to the entry point until C-like Go can run.
    Row("_rt0_amd64_linux", "The ELF entry point: the kernel jumps here with argc at the top of the stack."),
    Row("_rt0_amd64", "Takes argc and argv off the stack.", since=(1, 10)),
    Row(
        "main",
        "Jumps to rt0_go: after the C library's start where that was linked in; straight from the entry up to 1.9.",
    ),
    Row(
        "runtime.rt0_go",
        "Makes g0 of the kernel's stack, asks who the CPU is, sets up thread-local storage, calls the rest.",
    ),
    Row("runtime.settls", "Points FS at m0.tls, so that the current g can be found."),
    Row(
        "runtime.check", "Tests its own assumptions: sizes of types, atomics, arithmetic. Computes nothing that stays."
    ),
    Row("runtime.args", "Keeps argc and argv, and walks on to what lies behind them."),
    Row("runtime.sysargs", "Steps over argv and envp to the auxiliary vector; reads /proc/self/auxv if it is empty."),
    Row("runtime.sysauxv", "Reads the auxiliary vector: page size, random bytes, vDSO, secure mode."),
    Row("runtime.archauxv", "Architecture's share of the auxiliary vector; on amd64 the vDSO.", until=(1, 10)),
    Row("runtime.vdsoauxv", "Given AT_SYSINFO_EHDR, looks up the vDSO's clock functions.", since=(1, 11)),
    Row("runtime.vdso_init_from_sysinfo_ehdr", "Finds the vDSO's dynamic section.", until=(1, 10)),
    Row("runtime.vdsoInitFromSysinfoEhdr", "Finds the vDSO's dynamic section.", since=(1, 11)),
    Row("runtime.vdsoFindVersion", "Finds the version LINUX_2.6 in the vDSO.", since=(1, 11)),
    Row("runtime.vdsoParseSymbols", "Looks the clock functions up in the vDSO's hash table.", since=(1, 11)),
    Row("runtime.osinit", "Asks the operating system: how many CPUs, how large a huge page."),
    Row(
        "runtime.getproccount",
        "Counts the set bits of the affinity mask; 1 if the kernel refuses to give one.",
        until=(1, 24),
    ),
    Row(
        "runtime.getCPUCount",
        "Counts the set bits of the affinity mask; 1 if the kernel refuses to give one.",
        since=(1, 25),
    ),
    Row(
        "runtime.getHugePageSize",
        "Reads the size of a transparent huge page from sysfs; 0 if it is absent or no power of two.",
        since=(1, 13),
    ),
    Row(
        "runtime.osArchInit",
        "Asks uname whether this kernel corrupts AVX registers in signals (5.2 to 5.4.1).",
        since=(1, 14),
        until=(1, 15),
    ),
    Row(
        "runtime.vgetrandomInit", "Asks the vDSO's getrandom for the size of its state, if there is one.", since=(1, 24)
    ),
    # schedinit and what it calls.
    Row("runtime.schedinit", "The bootstrap proper: memory, the first m, arguments, debug variables, collector, Ps."),
    Row("runtime.tracebackinit", "Keeps the addresses of functions that tracebacks treat specially.", until=(1, 10)),
    Row("runtime.traceLockInit", "Ranks the execution tracer's locks.", since=(1, 23)),
    Row(
        "runtime.lockVerifyMSize",
        "Checks that m fits the size class that spare low bits of its address rely on.",
        since=(1, 24),
    ),
    Row(
        "runtime.getGodebugEarly",
        "Finds GODEBUG in the raw environment, before there is a heap for envs.",
        since=(1, 20),
    ),
    Row("runtime.parseRuntimeDebugVars", "Sets debug.* from defaults, the linker's and GODEBUG.", since=(1, 25)),
    Row("runtime.(*ticksType).init", "Takes the first pair of clock and TSC readings.", since=(1, 22)),
    Row("runtime.moduledataverify", "Checks each module.", until=(1, 15)),
    Row(
        "runtime.moduledataverify1",
        "Checks the function table that the linker wrote: header, sorted entries, pc range.",
    ),
    Row("runtime.stackinit", "Empties the pools of free stacks.", until=(1, 17)),
    Row(
        "runtime.mallocinit",
        "Checks the page size and the size classes, sets up the heap, and lists where arenas may go.",
    ),
    Row("runtime.(*mheap).init", "Sets up the heap's allocators of spans, caches and specials, and its central lists."),
    Row("runtime.allocmcache", "Makes the first per-P cache of spans."),
    Row(
        "runtime.cpuinit",
        "Runs internal/cpu and copies the flags that generated code checks.",
        since=(1, 11),
        until=(1, 21),
    ),
    Row(
        "internal/cpu.Initialize",
        "Reads the CPU's features by CPUID, and what GODEBUG=cpu.* takes away.",
        since=(1, 12),
    ),
    Row("runtime.getRandomData", "Stretches AT_RANDOM's 16 bytes, or reads /dev/urandom.", until=(1, 21)),
    Row("runtime.randinit", "Seeds the runtime's ChaCha8 from AT_RANDOM, or /dev/urandom.", since=(1, 22)),
    Row(
        "runtime.alginit",
        "Chooses the hash: AES instructions if the CPU has them, else a portable one; draws its keys.",
        until=(1, 26),
    ),
    Row(
        "internal/runtime/maps.AlgInit",
        "Chooses the hash: AES instructions if the CPU has them, else a portable one; draws its keys.",
        since=(1, 27),
    ),
    Row("runtime.initAlgAES", "Draws the keys of the AES hash.", since=(1, 11), until=(1, 13)),
    Row(
        "runtime.mcommoninit",
        "Gives m0 its number, its random state and a signal stack: the first heap memory of many releases.",
    ),
    Row("runtime.mpreinit", "Allocates m0's signal-handling goroutine, gsignal.", until=(1, 20)),
    Row(
        "runtime.malg",
        "Allocates a goroutine with a stack.",
        within=("runtime.mpreinit", "runtime.mcommoninit", "runtime.newproc1"),
    ),
    Row("runtime.modulesinit", "Lists the modules: one, for a program that loads none."),
    Row("runtime.typelinksinit", "Merges duplicate types of several modules; nothing to do for one."),
    Row("runtime.itabsinit", "Enters the linker's interface tables into the hash table."),
    Row("runtime.stkobjinit", "Finds the pointer mask for arguments of reflect's method values.", since=(1, 18)),
    Row("runtime.msigsave", "Keeps the signal mask that the program was started with.", until=(1, 11)),
    Row(
        "runtime.rtsigprocmask",
        "Reads the signal mask that the program was started with.",
        since=(1, 12),
        within=SCHEDINIT,
    ),
    Row("runtime.goargs", "Makes a Go slice of argv."),
    Row("runtime.goenvs", "Copies the environment.", until=(1, 11)),
    Row("runtime.goenvs_unix", "Copies the environment into Go strings."),
    Row("runtime.secure", "In secure mode, forces a harmless GOTRACEBACK.", since=(1, 19), until=(1, 21)),
    Row("runtime.checkfds", "Opens /dev/null for each of descriptors 0, 1, 2 that is closed.", since=(1, 22)),
    Row("runtime.parsedebugvars", "Sets debug.* from defaults and GODEBUG, and the traceback level.", until=(1, 24)),
    Row(
        "runtime.finishDebugVarsSetup", "Sets the traceback level, and what of GODEBUG may change later.", since=(1, 25)
    ),
    Row("runtime.gcinit", "Sets the collector's goal from GOGC and GOMEMLIMIT."),
    Row("runtime.(*gcControllerState).init", "Sets the pacer's starting point.", since=(1, 17)),
    Row(
        "runtime.stackalloc",
        "Allocates the stack that a crash on the last stack would use.",
        since=(1, 22),
        within=SCHEDINIT,
    ),
    Row("runtime.makeslice", "Allocates the buffers of the mutex profile.", since=(1, 23), within=SCHEDINIT),
    Row("runtime.defaultGOMAXPROCSInit", "Finds the control group's CPU limit files.", since=(1, 25)),
    Row("runtime.lock", "Takes sched.lock.", until=(1, 13), within=SCHEDINIT),
    Row("runtime.lock2", "Takes sched.lock.", since=(1, 15), within=SCHEDINIT),
    Row("runtime.nanotime", "Reads the monotonic clock.", until=(1, 13), within=SCHEDINIT),
    Row(
        "runtime.nanotime1",
        "Reads the monotonic clock, through the vDSO where there is one.",
        since=(1, 14),
        within=SCHEDINIT,
    ),
    Row("runtime.gogetenv", "Looks up GOMAXPROCS.", within=SCHEDINIT),
    Row("runtime.atoi", "Parses GOMAXPROCS.", until=(1, 18), within=SCHEDINIT),
    Row("runtime.atoi32", "Parses GOMAXPROCS.", until=(1, 11), within=SCHEDINIT),
    Row("runtime.atoi64", "Parses GOMAXPROCS.", since=(1, 19), until=(1, 24), within=SCHEDINIT),
    Row("internal/runtime/strconv.Atoi64", "Parses GOMAXPROCS.", since=(1, 25), until=(1, 25), within=SCHEDINIT),
    Row("internal/strconv.ParseInt", "Parses GOMAXPROCS.", since=(1, 26), within=SCHEDINIT),
    Row(
        "runtime.defaultGOMAXPROCS",
        "CPUs of the mask, lowered to the control group's limit (at least 2).",
        since=(1, 25),
    ),
    Row("runtime.procresize", "Makes the Ps, gives the first to m0 and puts the rest on the idle list."),
    Row("runtime.acquirep", "Ties a P to the current m.", within=("runtime.procresize",)),
    Row("runtime.newproc", "Makes the main goroutine: it will run runtime.main."),
    Row("runtime.newproc1", "Allocates and fills the goroutine."),
    Row("runtime.mstart", "Starts m0: the scheduler takes over, and never returns."),
)

BY_NAME = {row.name: row for row in ROWS}


def expected(release: Release) -> list[Row]:
    """The rows that *release* should have."""
    return [row for row in ROWS if row.since <= release <= row.until]
