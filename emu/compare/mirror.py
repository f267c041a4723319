"""A World that shows what this host shows: what the native kernel told a stopped process, as the World's keys.

What the keys cannot express goes in as files.  The CPU is the host's as far as the engine executes it.  Time and
entropy are the World's own: :mod:`emu.compare.impose` makes the native side see them, and that CPU too.
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from emu.compare.native.process import NativeUnavailable
from emu.compare.native.process import Process as NativeProcess
from syscalls import abi
from syscalls import auxv as auxiliary
from syscalls.cpuid import EXECUTABLE
from syscalls.cpuset import CpuSet
from syscalls.errno import EINVAL
from syscalls.numbers import NUMBERS
from syscalls.rlimits import NAMES as RLIMITS
from syscalls.world import Cgroup, Cpuid, File, Memory, Process, Response, Thp, Uname, World

HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage")
CPUS = Path("/sys/devices/system/cpu")
DOMAIN = Path("/proc/sys/kernel/domainname")
MAPS = Path("/proc/self/maps")
"""Shows on each side its kernel's own mappings, so that both are given what it says at the first instruction.  C
libraries look their stack up in it (pthread_getattr_np); Go never reads it before ``runtime.mstart``."""
MASK_SIZE = 8192  # bytes: for 65,536 CPUs
KERNEL_MAPPINGS = ("[vvar]", "[vvar_vclock]", "[vdso]")
CPU_LIMITS = ("cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us")  # what Go 1.25 reads (internal/runtime/cgroup)
# Entries whose values are addresses: the loader of either side knows its own.
ADDRESSES = frozenset((
    abi.AT_NULL, abi.AT_SYSINFO_EHDR, abi.AT_PHDR, abi.AT_BASE, abi.AT_ENTRY, abi.AT_RANDOM, abi.AT_EXECFN,
    abi.AT_PLATFORM, abi.AT_IGNORE,
))  # fmt: skip
START_BRK = 47 - 3  # proc_pid_stat(5): field 47, counted from the state, which is field 3


def mirror(process: NativeProcess, argv: tuple[str, ...], env: Mapping[str, str]) -> World:
    """Return the World that *process* sees, which stands at its first instruction and got *argv* and *env*.

    Raises OSError where /proc or /sys cannot be read, and NativeUnavailable on a kernel that offers no vDSO: then
    there is no place for the World's.
    """
    vector = process.auxv()
    if abi.AT_SYSINFO_EHDR not in vector:
        raise NativeUnavailable("this kernel offers programs no vDSO (is it booted with vdso=0?)")
    folder = Path(f"/proc/{process.pid}")
    cpus = CpuSet.of(os.sched_getaffinity(process.pid))
    possible, cpu_files = _possible_cpus()
    world = World(
        argv=argv,
        env=tuple(f"{name}={value}" for name, value in env.items()),
        exe=process.path,
        cwd=str((folder / "cwd").readlink()),
        cpus=cpus,
        possible_cpus=possible,
        page_size=vector[abi.AT_PAGESZ],
        vsyscall=any(name == "[vsyscall]" for _, _, name in process.maps()),
        memory=_memory(process, folder),
        thp=_huge_pages(),
        cpuid=_cpu(),
        uname=_uname(),
        cgroup=Cgroup(version=0),  # its files are the host's own, below
        process=_identity(vector, folder),
        rlimits=tuple(_limits(process.pid)),
        files=(*_files(folder), *cpu_files),
        responses=_refusals(process),
    )
    return replace(world, auxv=_auxv_changes(world, vector))


def _auxv_changes(world: World, vector: Mapping[int, int]) -> tuple[tuple[str, int | None], ...]:
    # What makes the World's auxiliary vector say what the kernel's says, addresses apart.
    nowhere = auxiliary.LoadFacts(0, vector[abi.AT_PHNUM], 0, 0, 0, 0)
    built = dict(auxiliary.linux(world, nowhere))
    tags = sorted({*built, *vector} - ADDRESSES)
    return tuple(
        (auxiliary.NAMES.get(tag, str(tag)), vector.get(tag)) for tag in tags if built.get(tag) != vector.get(tag)
    )


def _possible_cpus() -> tuple[CpuSet, list[File]]:
    # The kernel's masks are as long as nr_cpu_ids asks, or as NR_CPUS where it was built without CPUMASK_OFFSTACK: then
    # longer than the possible CPUs.  The World's are as long as its possible CPUs ask; sysfs shows the real ones.
    size = ctypes.CDLL(None).syscall(NUMBERS["sched_getaffinity"], 0, MASK_SIZE, ctypes.create_string_buffer(MASK_SIZE))
    possible = CpuSet.parse_list((CPUS / "possible").read_text())
    if size * 8 - 64 < possible.highest + 1 <= size * 8:
        return possible, []
    names = (name for name in ("possible", "present", "online") if (CPUS / name).exists())
    return CpuSet.first(size * 8), [File(str(CPUS / name), (CPUS / name).read_bytes()) for name in names]


def _refusals(process: NativeProcess) -> tuple[Response, ...]:
    # A kernel built without ANON_VMA_NAME does not know the one prctl that Go 1.25 and later make.
    if process.call(NUMBERS["prctl"], abi.PR_SET_VMA, abi.PR_SET_VMA_ANON_NAME, 0, 0, 0) == -EINVAL:
        return (Response("prctl", errno="EINVAL"),)
    return ()


def _memory(process: NativeProcess, folder: Path) -> Memory:
    spans = {name: (low, high) for low, high, name in process.maps() if name}
    stack = spans["[stack]"]
    # Up to Linux 6.18 the kernel's own mappings lie at the top of the area for mmap; what is below them is free.
    own = [low for name, (low, high) in spans.items() if name in KERNEL_MAPPINGS and high <= stack[0]]
    soft, _ = resource.prlimit(process.pid, resource.RLIMIT_STACK)
    total = re.search(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    fields = os.fsdecode((folder / "stat").read_bytes()).rpartition(")")[2].split()
    default = Memory()
    return replace(
        default,
        total=int(total[1]) << 10 if total else default.total,
        mmap_base=min(own, default=default.mmap_base),
        brk_start=int(fields[START_BRK]),
        stack_top=stack[1],
        stack_size=default.stack_size if soft == resource.RLIM_INFINITY else soft,
        load_bias=process.bias(),
    )


def _huge_pages() -> Thp:
    if not HUGE_PAGES.exists():
        return Thp(pmd_size=None)
    chosen = {name: re.search(r"\[(\S+)\]", (HUGE_PAGES / name).read_text()) for name in ("enabled", "defrag")}
    default = Thp()
    return Thp(
        pmd_size=(HUGE_PAGES / "hpage_pmd_size").read_bytes(),
        enabled=chosen["enabled"][1] if chosen["enabled"] else default.enabled,
        defrag=chosen["defrag"][1] if chosen["defrag"] else default.defrag,
    )


def _cpu() -> Cpuid:
    first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    facts = dict(re.findall(r"^(.*?)\s*: (.*)$", first, re.MULTILINE))
    default = Cpuid()
    flags = facts.get("flags", "").split()
    return Cpuid(
        vendor=facts["vendor_id"] if facts.get("vendor_id") == "GenuineIntel" else default.vendor,
        family=int(facts.get("cpu family", default.family)),
        model=int(facts.get("model", default.model)),
        stepping=int(facts.get("stepping", default.stepping)),
        brand=facts.get("model name", default.brand)[:47],
        features=tuple(name for name in EXECUTABLE if name in flags),
    )


def _uname() -> Uname:
    said = os.uname()
    domain = DOMAIN.read_text().strip() if DOMAIN.exists() else Uname().domainname
    return Uname(said.sysname, said.nodename, said.release, said.version, said.machine, domain)


def _identity(vector: Mapping[int, int], folder: Path) -> Process:
    lines = os.fsdecode((folder / "status").read_bytes()).split("\n")  # a program's name may be any bytes
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return Process(
        pid=int(status["Pid"]),
        ppid=int(status["PPid"]),
        uid=vector[abi.AT_UID],
        euid=vector[abi.AT_EUID],
        gid=vector[abi.AT_GID],
        egid=vector[abi.AT_EGID],
        secure=bool(vector.get(abi.AT_SECURE, 0)),
        sigmask=int(status["SigBlk"], 16),
    )


def _limits(pid: int) -> Iterator[tuple[str, int | None, int | None]]:
    for name, number in RLIMITS.items():
        soft, hard = (None if value == resource.RLIM_INFINITY else value for value in resource.prlimit(pid, number))
        yield name, soft, hard


def _files(folder: Path) -> Iterator[File]:
    # What the World would not word as this kernel does, and the files with the CPU limits of the process's own groups.
    for name in ("cgroup", "mountinfo", MAPS.name):
        content = (folder / name).read_bytes() if (folder / name).exists() else None
        yield File(f"/proc/self/{name}", content, mode=0o444)
    for place in sorted(cpu_groups((folder / "cgroup").read_text(), (folder / "mountinfo").read_text())):
        for name in CPU_LIMITS:
            file = Path(place, name)
            if file.is_file():
                yield File(str(file), file.read_bytes())


def cpu_groups(cgroup: str, mountinfo: str) -> set[str]:
    """Return the folders of the control groups that can limit CPU time, from the texts of /proc/PID; cgroups(7)."""
    own = {}  # controllers, comma-separated ("" for version 2) -> the group's path
    for line in cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        own[controllers] = path
    found = set()
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        kind, _, options = after.split(maxsplit=2)
        for controllers, path in own.items():
            ours = kind == "cgroup2" and not controllers
            theirs = kind == "cgroup" and "cpu" in controllers.split(",") and "cpu" in options.split(",")
            if ours or theirs:
                inside = path.removeprefix(root.rstrip("/")) if path.startswith(root) else path
                found.add(point + inside.rstrip("/"))
    return found
