"""What became of functions and variables from release to release, as far as a name alone does not say it.

Functions that only changed their name are listed in :mod:`emu.boot.renames`, variables of one declared value in
:mod:`emu.boot.values` (its *sources*).  Here stands the rest: functions that were split, functions that the compiler
inlines from some release on (what they do is then found in the function that called them), and variables that moved.
Read in the sources named (of Go 1.9 to 1.27) and seen in the pclntab and the DWARF of real binaries of these releases.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

Release = tuple[int, int]


class Split(NamedTuple):
    """From *release* on, what *whole* did is done by *parts*."""

    whole: str
    parts: tuple[str, ...]
    release: Release


class Inlined(NamedTuple):
    """From *release* on, ordinary builds have no function *name*: its code stands in its callers."""

    name: str
    release: Release


class Moved(NamedTuple):
    """From *release* on, the variable or field *old* is *new*; with all its fields and elements."""

    old: str
    new: str
    release: Release


SPLITS = (
    # runtime1.go: GODEBUG is read before there is a heap, GOTRACEBACK once there is an environment.
    Split("runtime.parsedebugvars", ("runtime.parseRuntimeDebugVars", "runtime.finishDebugVarsSetup"), (1, 25)),
)

INLINED = (
    Inlined("runtime.tracebackinit", (1, 11)),  # traceback.go
    Inlined("runtime.archauxv", (1, 11)),  # os_linux.go, vdso_linux.go: vdsoauxv is what it calls
    Inlined("runtime.msigsave", (1, 12)),  # signal_unix.go
    Inlined("runtime.goenvs", (1, 12)),  # os_linux.go
    Inlined("runtime.initAlgAES", (1, 14)),  # alg.go
    Inlined("runtime.moduledataverify", (1, 16)),  # symtab.go
    Inlined("runtime.stackinit", (1, 18)),  # stack.go
    Inlined("runtime.mpreinit", (1, 21)),  # os_linux.go
    Inlined("runtime.cpuinit", (1, 22)),  # proc.go
    Inlined("runtime.secure", (1, 22)),  # security_unix.go
)

MOVED = (  # "[]" stands for any index
    Moved("runtime.stackpool[].first", "runtime.stackpool[].item.span.first", (1, 14)),  # stack.go
    Moved("runtime.stackpool[].last", "runtime.stackpool[].item.span.last", (1, 14)),
    Moved("runtime.m0.mcache", "runtime.mcache0", (1, 15)),  # mcache.go
    Moved("runtime.mheap_.pages.searchAddr", "runtime.mheap_.pages.searchAddr.a", (1, 15)),  # mpagealloc.go
    Moved("runtime.memstats.gc_sys", "runtime.memstats.gcMiscSys", (1, 16)),  # mstats.go
    Moved("runtime.gcpercent", "runtime.gcController.gcPercent", (1, 17)),  # mgcpacer.go
    Moved("runtime.heapminimum", "runtime.gcController.heapMinimum", (1, 17)),
    Moved("runtime.memstats.heap_live", "runtime.gcController.heapLive", (1, 17)),
    Moved("runtime.memstats.heap_marked", "runtime.gcController.heapMarked", (1, 17)),
    Moved("runtime.memstats.heap_scan", "runtime.gcController.heapScan", (1, 17)),
    Moved("runtime.memstats.triggerRatio", "runtime.gcController.triggerRatio", (1, 17)),
    Moved("runtime.memstats.gc_trigger", "runtime.gcController.trigger", (1, 17)),
    Moved("runtime.memstats.next_gc", "runtime.gcController.heapGoal", (1, 17)),
    Moved("runtime.mheap_.sweepdone", "runtime.mheap_.sweepDrained", (1, 17)),  # mgcsweep.go
    Moved("runtime.mheap_.sweepDrained", "runtime.sweep.active.state", (1, 18)),
    Moved("runtime.gcController.trigger", "runtime.gcController.triggered", (1, 19)),
    Moved("runtime.gcController.heapGoal", "runtime.gcController.gcPercentHeapGoal", (1, 19)),
    Moved("runtime.memstats.heap_inuse", "runtime.gcController.heapInUse", (1, 19)),
    Moved("runtime.memstats.heap_released", "runtime.gcController.heapReleased", (1, 19)),
    Moved("runtime.startupRandomData", "runtime.startupRand", (1, 22)),  # rand.go
    Moved("runtime.m0.fastrand", "runtime.m0.cheaprand", (1, 22)),
    Moved("runtime.methodValueCallFrameObjs[]._ptrdata", "runtime.methodValueCallFrameObjs[].ptrBytes", (1, 24)),
    Moved("runtime.ncpu", "runtime.numCPUStartup", (1, 25)),  # os_linux.go
    Moved("runtime.mheap_.allArenas", "runtime.mheap_.heapArenas", (1, 25)),  # mheap.go
    Moved("runtime.useAeshash", "internal/runtime/maps.UseAeshash", (1, 27)),  # internal/runtime/maps/runtime.go
    Moved("runtime.aeskeysched", "internal/runtime/maps.aeskeysched", (1, 27)),
    Moved("runtime.hashkey", "internal/runtime/maps.hashkey", (1, 27)),
)

INDEX = re.compile(r"\[\d+\]")


def splits(old: Collection[str], new: Collection[str]) -> Iterator[Split]:
    """Yield the splits between two programs that enter the functions *old* and *new*, whichever is the older."""
    for split in SPLITS:
        for whole, parts in ((old, new), (new, old)):
            if split.whole in whole and not any(part in whole for part in split.parts) and split.parts[0] in parts:
                yield split


def is_inlined(name: str, other: Collection[str]) -> bool:
    """Tell whether a program that enters the functions *other*, and not *name*, has it inlined."""
    return name not in other and any(row.name == name for row in INLINED)


def _is_of(name: str, whole: str) -> bool:
    # Is it `whole`, or a part of it?
    return name == whole or name.startswith((f"{whole}.", f"{whole}["))


def other_names(leaf: str) -> Iterator[str]:
    """Yield under which names older and newer releases have the leaf *leaf* of a variable, the nearest first."""
    indices = INDEX.findall(leaf)
    seen = [INDEX.sub("[]", leaf)]
    for name in seen:
        for row in MOVED:
            for here, there in ((row.old, row.new), (row.new, row.old)):
                if _is_of(name, here) and not (there.startswith(here) and _is_of(name, there)):
                    seen += {there + name[len(here) :]} - set(seen)
    for name in seen[1:]:
        if name.count("[]") == len(indices):
            between = name.split("[]")
            yield "".join(text for pair in zip(between, [*indices, ""], strict=True) for text in pair)
