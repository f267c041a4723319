"""What the views and values assume of Go's runtime: variables and fields by release, with the kinds of their types.

Nothing reads this at run time: a variable or field that a program does not have is missing from the record, with a
reason.  It is what ``make layout-check`` holds against the debugging information of real programs, so that a name that
no release has, or one that a release has taken away, is noticed; and what the views and values ask for is held against
it, so that nothing is assumed without standing here.

Measured on Go 1.12 to 1.17 and 1.19 to 1.27 by DWARF, on 1.9, 1.11 and 1.18 as far as their programs prove it; 1.10
could not be looked at.  Fields that came with a security release of an older branch stand under their release:
secureMode is in 1.19.10 and 1.20.5 too.
"""

from __future__ import annotations

from emu.boot.catalogue import NEWEST, Release
from emu.boot.reader import STRIPPED, Missing, locate
from emu.image.image import Image
from syscalls.light import NamedTuple


class Assumed(NamedTuple):
    """One variable or field.  *path*: "runtime.sched.mnext", or with a type's field, "runtime.p:status"."""

    path: str
    kind: str  # as emu.image.types has it: "int32", "slice", "pointer", ...
    since: Release
    until: Release


# Path, kind, releases: "1.11-" is 1.11 and later.  An element stands for all of an array.
TABLE = """
internal/cpu.X86 struct 1.9-
internal/runtime/gc.SizeClassToSize array 1.25-
internal/runtime/maps.UseAeshash bool 1.27-
internal/runtime/maps.aeskeysched array 1.27-
internal/runtime/maps.hashkey array 1.27-
runtime.MemProfileRate int64 1.9-
runtime.aeskeysched array 1.9-1.26
runtime.allglen uintptr 1.9-
runtime.allgs slice 1.9-
runtime.allm pointer 1.9-
runtime.allp slice 1.11-
runtime.arenaHint:addr uintptr 1.11-
runtime.arenaHint:next pointer 1.11-
runtime.argc int32 1.9-
runtime.argslice slice 1.9-
runtime.argv pointer 1.9-
runtime.auxv slice 1.21-
runtime.cgroupCPU.version int64 1.25-
runtime.class_to_size array 1.9-1.24
runtime.crashFD uintptr 1.23-
runtime.debug struct 1.9-
runtime.emptymspan struct 1.9-
runtime.envs slice 1.9-
runtime.fastrandseed uintptr 1.14-1.21
runtime.firstmoduledata struct 1.9-
runtime.g0 struct 1.9-
runtime.g0.m pointer 1.9-
runtime.g0.stack.hi uintptr 1.9-
runtime.g0.stack.lo uintptr 1.9-
runtime.g0.stackguard0 uintptr 1.9-
runtime.g:atomicstatus uint32 1.9-
runtime.g:goid int64 1.9-1.19
runtime.g:goid uint64 1.20-
runtime.g:gopc uintptr 1.9-
runtime.g:m pointer 1.9-
runtime.g:stack.hi uintptr 1.9-
runtime.g:stack.lo uintptr 1.9-
runtime.g:stackguard0 uintptr 1.9-
runtime.g:stackguard1 uintptr 1.9-
runtime.g:startpc uintptr 1.9-
runtime.gcController.gcPercent int32 1.17-
runtime.gcController.gcPercentHeapGoal uint64 1.19-
runtime.gcController.heapMinimum uint64 1.17-
runtime.gcController.memoryLimit int64 1.19-
runtime.gcController.triggerRatio float64 1.17-1.18
runtime.gcpercent int32 1.9-1.16
runtime.globalRand.init bool 1.22-
runtime.gomaxprocs int32 1.9-
runtime.hashkey array 1.9-1.26
runtime.heapRandSeed uintptr 1.26-
runtime.heapminimum uint64 1.9-1.16
runtime.initSigmask array 1.9-
runtime.isIntel bool 1.9-
runtime.itabTable pointer 1.11-
runtime.itabTableInit.count uintptr 1.11-
runtime.itabTableType:count uintptr 1.11-
runtime.itabTableType:size uintptr 1.11-
runtime.m0 struct 1.9-
runtime.m0.g0 pointer 1.9-
runtime.m0.gsignal pointer 1.9-
runtime.m0.id int32 1.9
runtime.m0.id int64 1.11-
runtime.m0.mcache pointer 1.9-1.14
runtime.m0.p uintptr 1.9-
runtime.m0.tls[0] uintptr 1.9-
runtime.m:alllink pointer 1.9-
runtime.m:curg pointer 1.9-
runtime.m:g0 pointer 1.9-
runtime.m:gsignal pointer 1.9-
runtime.m:id int32 1.9
runtime.m:id int64 1.11-
runtime.m:locks int32 1.9-
runtime.m:mcache pointer 1.9-1.14
runtime.m:nextp uintptr 1.9-
runtime.m:p uintptr 1.9-
runtime.m:procid uint64 1.9-
runtime.m:sigmask array 1.9-
runtime.m:tls array 1.9-
runtime.mcache0 pointer 1.15-
runtime.mcache:alloc array 1.9-
runtime.memstats.next_gc uint64 1.9-1.16
runtime.memstats.triggerRatio float64 1.9-1.16
runtime.mheap_.arenaHints pointer 1.11-
runtime.mheap_.curArena.base uintptr 1.13-
runtime.mheap_.userArena.arenaHints pointer 1.20-
runtime.moduledata:bss uintptr 1.9-
runtime.moduledata:data uintptr 1.9-
runtime.moduledata:ebss uintptr 1.9-
runtime.moduledata:edata uintptr 1.9-
runtime.moduledata:end uintptr 1.9-
runtime.moduledata:etext uintptr 1.9-
runtime.moduledata:ftab slice 1.9-
runtime.moduledata:itablinks slice 1.9-1.26
runtime.moduledata:maxpc uintptr 1.9-
runtime.moduledata:minpc uintptr 1.9-
runtime.moduledata:next pointer 1.9-
runtime.moduledata:text uintptr 1.9-
runtime.moduledata:typelinks slice 1.9-1.26
runtime.modulesSlice pointer 1.9-
runtime.ncpu int32 1.9-1.24
runtime.numCPUStartup int32 1.25-
runtime.p:id int32 1.9-
runtime.p:link uintptr 1.9-
runtime.p:m uintptr 1.9-
runtime.p:mcache pointer 1.9-
runtime.p:runnext uintptr 1.9-
runtime.p:status uint32 1.9-
runtime.physHugePageShift uint64 1.13-
runtime.physHugePageSize uintptr 1.13-
runtime.physPageSize uintptr 1.9-
runtime.processorVersionInfo uint32 1.9-
runtime.sched.customGOMAXPROCS bool 1.25-
runtime.sched.lastpoll int64 1.20-
runtime.sched.lastpoll uint64 1.9-1.19
runtime.sched.maxmcount int32 1.9-
runtime.sched.mnext int64 1.11-
runtime.sched.npidle int32 1.20-
runtime.sched.npidle uint32 1.9-1.19
runtime.sched.pidle uintptr 1.9-
runtime.sched.procresizetime int64 1.9-
runtime.secureMode bool 1.21-
runtime.stackpool array 1.9-
runtime.stackpool[0].first pointer 1.9-1.13
runtime.stackpool[0].item.span.first pointer 1.14-
runtime.stackpool[0].item.span.last pointer 1.14-
runtime.stackpool[0].last pointer 1.9-1.13
runtime.startupRand slice 1.22-
runtime.startupRandomData slice 1.9-1.21
runtime.stealOrder.count uint32 1.9-
runtime.ticks.startTicks int64 1.22-
runtime.ticks.startTime int64 1.22-
runtime.traceback_cache uint32 1.9-
runtime.useAeshash bool 1.9-1.26
runtime.vdsoClockgettimeSym uintptr 1.11-
runtime.vdsoGetrandomSym uintptr 1.24-
runtime.vdsoGettimeofdaySym uintptr 1.11-
runtime.vdsoLoadEnd uintptr 1.24-
runtime.vdsoLoadStart uintptr 1.24-
runtime.work.markDoneSema uint32 1.9-
runtime.work.startSema uint32 1.9-
runtime.x86HasPOPCNT bool 1.12-
runtime.x86HasSSE41 bool 1.12-
"""


def _rows(table: str) -> tuple[Assumed, ...]:
    rows = []
    for line in table.split("\n"):
        if line:
            path, kind, releases = line.split()
            first, dash, last = releases.partition("-")
            since = _release(first)
            rows.append(Assumed(path, kind, since, _release(last) if last else NEWEST if dash else since))
    return tuple(rows)


def _release(text: str) -> Release:
    major, minor = text.split(".")
    return int(major), int(minor)


ASSUMED = _rows(TABLE)


def kind_in(image: Image, path: str) -> str | None:
    """Return the kind of the variable or field *path* in *image*; None if it has none; raise Missing if not known."""
    type_name, colon, field = path.partition(":")
    if colon:
        found = image.layouts.field(type_name, field)
        if found is None and image.layouts.named(type_name) is None:
            raise Missing(STRIPPED)
        return found[1].kind if found else None
    try:
        return locate(image, path)[1].kind
    except Missing as absence:
        if absence.reason == STRIPPED:
            raise
        return None


def problems(image: Image, rows: tuple[Assumed, ...] = ASSUMED) -> list[str]:
    """Return a sentence for each of *rows* that *image* contradicts, and for each that it should have and has not.

    What a program without debugging information does not prove is no problem.
    """
    wanted: dict[str, str | None] = {row.path: None for row in rows}
    wanted |= {row.path: row.kind for row in rows if row.since <= image.release <= row.until}
    found = []
    for path, kind in wanted.items():
        try:
            actual = kind_in(image, path)
        except Missing as absence:
            if image.dwarf:
                found.append(f"{image.go}: {path} is {absence.reason}, expected {kind or 'none'}")
            continue
        if actual != kind:
            found.append(f"{image.go}: {path} is {actual or 'not there'}, expected {kind or 'none'}")
    return found
