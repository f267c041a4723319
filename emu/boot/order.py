"""The order in which each release enters the functions of the bootstrap, from 1.9 to 1.27.

One list for the oldest release, and for each later one what changed: what is gone, and what stands behind what.  Only
functions that exist as functions in ordinary builds are listed (a name that the linker's table does not have was
inlined); what a binary lacks is left out by whoever compares.

How it is known: native single steps of 1.9.2, 1.11.2, 1.12.5, 1.12.9, 1.13.8, 1.14.2, 1.15.3, 1.16.2, 1.17.2, 1.19.3,
1.19.8, 1.20.7, 1.21.13, 1.22.10, 1.23.9, 1.24.11, 1.25.5, 1.26.6 and 1.27.3; 1.10 was only read (runtime/proc.go,
schedinit; os_linux.go, osinit).  ``tests/boot/test_order.py`` and ``test_stripped.py`` check it against emulated boots.
"""

from __future__ import annotations

from itertools import pairwise

from emu.boot.catalogue import FIRST, Release
from syscalls.light import NamedTuple


def _names(text: str) -> tuple[str, ...]:
    # Names without a package are the runtime's.
    return tuple(name if "/" in name or name in BARE else f"runtime.{name}" for name in text.split())


BARE = ("_rt0_amd64_linux", "_rt0_amd64", "main")

OLDEST = _names(
    "_rt0_amd64_linux main rt0_go settls check"
    " args sysargs sysauxv archauxv vdso_init_from_sysinfo_ehdr"
    " osinit getproccount"
    " schedinit tracebackinit moduledataverify moduledataverify1 stackinit mallocinit (*mheap).init allocmcache"
    " mcommoninit mpreinit malg alginit getRandomData modulesinit typelinksinit itabsinit msigsave"
    " goargs goenvs goenvs_unix parsedebugvars gcinit nanotime gogetenv atoi32 procresize acquirep"
    " newproc newproc1 mstart"
)


class Step(NamedTuple):
    """What a release changed: functions that are *gone* (or moved), then groups of names *after* a name."""

    release: Release
    gone: str
    after: dict[str, str]


STEPS = (
    # _rt0_amd64 is shared by all operating systems (asm_amd64.s).
    Step((1, 10), "main", {"_rt0_amd64_linux": "_rt0_amd64"}),
    # tracebackinit and archauxv are inlined; CPU features move to internal/cpu; the vDSO's parser is renamed.
    Step(
        (1, 11),
        "tracebackinit archauxv vdso_init_from_sysinfo_ehdr",
        {
            "sysauxv": "vdsoauxv vdsoInitFromSysinfoEhdr vdsoFindVersion vdsoParseSymbols",
            "malg": "cpuinit",
            "alginit": "initAlgAES",
        },
    ),
    Step(
        (1, 12),
        "msigsave goenvs atoi32",
        {"cpuinit": "internal/cpu.Initialize", "itabsinit": "rtsigprocmask", "gogetenv": "atoi"},
    ),
    Step((1, 13), "", {"getproccount": "getHugePageSize"}),
    # uname, for the kernels that corrupt vector registers; fastrandinit, inlined, draws its seed before there is an m.
    Step(
        (1, 14),
        "initAlgAES getRandomData nanotime",
        {"getHugePageSize": "osArchInit", "allocmcache": "getRandomData", "gcinit": "nanotime1"},
    ),
    Step((1, 16), "osArchInit moduledataverify", {"gcinit": "lock2"}),
    Step((1, 17), "", {"gcinit": "(*gcControllerState).init"}),
    # Hashes and random numbers are ready before the first m.
    Step(
        (1, 18),
        "stackinit cpuinit internal/cpu.Initialize alginit getRandomData",
        {
            "allocmcache": "cpuinit internal/cpu.Initialize alginit getRandomData",
            "itabsinit": "stkobjinit",
        },
    ),
    # secure came with the security releases 1.19.10 and 1.20.5; atoi64 with GOMEMLIMIT.
    Step((1, 19), "atoi", {"goenvs_unix": "secure", "gogetenv": "atoi64"}),
    Step((1, 20), "", {"allocmcache": "getGodebugEarly"}),
    Step((1, 21), "mpreinit", {}),
    Step(
        (1, 22),
        "cpuinit getRandomData secure",
        {
            "schedinit": "(*ticksType).init",
            "internal/cpu.Initialize": "randinit",
            "goenvs_unix": "checkfds",
            "(*gcControllerState).init": "stackalloc",
        },
    ),
    Step((1, 23), "", {"schedinit": "traceLockInit", "stackalloc": "makeslice"}),
    Step((1, 24), "", {"traceLockInit": "lockVerifyMSize", "getHugePageSize": "vgetrandomInit"}),
    # GODEBUG is read before anything else, for memory to be named from the first mapping on; control groups limit Ps.
    Step(
        (1, 25),
        "getproccount getGodebugEarly parsedebugvars atoi64",
        {
            "osinit": "getCPUCount",
            "lockVerifyMSize": "getGodebugEarly parseRuntimeDebugVars",
            "checkfds": "finishDebugVarsSetup",
            "makeslice": "defaultGOMAXPROCSInit",
            "gogetenv": "internal/runtime/strconv.Atoi64 defaultGOMAXPROCS",
        },
    ),
    # The heap's base is random from here on, so the random numbers come first.
    Step(
        (1, 26),
        "randinit internal/runtime/strconv.Atoi64",
        {"moduledataverify1": "randinit", "gogetenv": "internal/strconv.ParseInt"},
    ),
    Step((1, 27), "alginit", {"internal/cpu.Initialize": "internal/runtime/maps.AlgInit"}),
)


def order(release: Release) -> tuple[str, ...]:
    """The names in order of first entry in *release*; that of the nearest known one for a release out of range."""
    names = list(OLDEST)
    for step in STEPS:
        if step.release > max(release, FIRST):
            break
        gone = _names(step.gone)
        names = [name for name in names if name not in gone]
        for anchor, group in step.after.items():
            at = names.index(_names(anchor)[0]) + 1
            names[at:at] = _names(group)
    return tuple(names)


def out_of_order(entered: list[str], wanted: tuple[str, ...]) -> list[tuple[str, str]]:
    """The neighbours of *wanted* of which the second was not entered after the first, among *entered* in order.

    A name counts where it is first entered after its predecessor: some functions are entered again and again.
    """
    wrong = []
    at = -1
    for before, name in pairwise(("", *wanted)):
        found = next((i for i in range(at + 1, len(entered)) if entered[i] == name), None)
        if found is None:
            wrong.append((before, name))
        else:
            at = found
    return wrong
