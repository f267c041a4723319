"""Bootstrap functions that changed their names from release to release, for comparing one release with another.

Each line of descent lists names by age; the later ones do what the earlier one did.  Where several releases' names
are beside each other in one binary they are different functions.  Sources: runtime/proc.go (schedinit),
runtime/os_linux.go, runtime/vdso_linux.go and runtime/runtime1.go of the releases named.
"""

from __future__ import annotations

from collections.abc import Collection

DESCENT: tuple[tuple[str, ...], ...] = (
    ("runtime.vdso_init_from_sysinfo_ehdr", "runtime.vdsoInitFromSysinfoEhdr"),  # 1.11
    ("runtime.nanotime", "runtime.nanotime1"),  # 1.14: nanotime is inlined, and nanotime1 left
    ("runtime.lock", "runtime.lock2"),  # 1.14: lock is inlined
    ("runtime.getRandomData", "runtime.randinit"),  # 1.22: random numbers from ChaCha8, seeded once
    ("runtime.getproccount", "runtime.getCPUCount"),  # 1.25
    ("runtime.parsedebugvars", "runtime.parseRuntimeDebugVars"),  # 1.25; its end became finishDebugVarsSetup
    ("runtime.alginit", "internal/runtime/maps.AlgInit"),  # 1.27
    (
        "runtime.atoi32",
        "runtime.atoi",  # 1.12
        "runtime.atoi64",  # 1.18
        "internal/runtime/strconv.Atoi64",  # 1.25
        "internal/strconv.ParseInt",  # 1.26
    ),
)


def renamed(old: Collection[str], new: Collection[str]) -> dict[str, str]:
    """Return which name of *old* each name of *new* stands for that only one of both has, whichever is the older."""
    found = {}
    for names in DESCENT:
        gone = [name for name in names if name in old and name not in new]
        come = [name for name in names if name in new and name not in old]
        if len(gone) == len(come) == 1:
            found[come[0]] = gone[0]
    return found
