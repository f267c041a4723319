"""/proc/<pid>: what the kernel shows of a process.

Formats: proc_pid_*(5) and fs/proc/{array,base,task_mmu}.c; compared with a 6.18 kernel line by line.
"""

from __future__ import annotations

from syscalls import release, rlimits
from syscalls.cpuset import CpuSet
from syscalls.tree import cgroup
from syscalls.tree.facts import Identity, ProcessFacts, VmSizes
from syscalls.tree.mounts import Mount
from syscalls.tree.nodes import Directory, Entry, FileNode, Link, Node, fixed, text
from syscalls.tree.system import HZ, last_capability
from syscalls.world import World

PAGE = 4096
MAX_NODES = 1024  # CONFIG_NODES_SHIFT=10, as the distributions' kernels have it
COMM = 15  # bytes of a thread's name

# (title, unit) by the number of the resource: fs/proc/base.c, lnames
LIMITS = (
    ("Max cpu time", "seconds"),
    ("Max file size", "bytes"),
    ("Max data size", "bytes"),
    ("Max stack size", "bytes"),
    ("Max core file size", "bytes"),
    ("Max resident set", "bytes"),
    ("Max processes", "processes"),
    ("Max open files", "files"),
    ("Max locked memory", "bytes"),
    ("Max address space", "bytes"),
    ("Max file locks", "locks"),
    ("Max pending signals", "signals"),
    ("Max msgqueue size", "bytes"),
    ("Max nice priority", ""),
    ("Max realtime priority", ""),
    ("Max realtime timeout", "us"),
)


def folder(world: World, facts: ProcessFacts, mounts: tuple[Mount, ...]) -> Directory:
    """The folder of the process; /proc/self leads to it.  Its files are made when they are looked up."""
    entries: dict[str, Entry] = {
        **_shared(world, facts),
        "auxv": lambda: FileNode(facts.auxv, 0o400),
        "cgroup": lambda: text(lambda: cgroup.proc_cgroup(world)),
        "cmdline": lambda: FileNode(facts.command_line),
        "cwd": lambda: Link(facts.cwd or world.cwd),
        "environ": lambda: FileNode(facts.environment, 0o400),
        "exe": lambda: Link(facts.runs or facts.exe),
        "fd": lambda: Directory({}, 0o500, lambda name: _fd(facts, name), lambda: map(str, facts.fds())),
        "limits": lambda: text(lambda: limits(world, facts)),
        "maps": lambda: text(facts.maps),
        "mountinfo": lambda: fixed("".join(mount.mountinfo() for mount in mounts)),
        "mounts": lambda: fixed("".join(mount.mounts() for mount in mounts)),
        "oom_score_adj": lambda: fixed("0\n", 0o644),
        "root": lambda: Link("/"),
        "statm": lambda: text(lambda: statm(facts.vm())),
        "task": lambda: Directory(
            {}, 0o555, lambda name: _task(world, facts, name), lambda: map(str, tids(world, facts))
        ),
    }
    if world.cgroup.version == 0:
        del entries["cgroup"]  # a kernel without CONFIG_CGROUPS
    return Directory(entries)


def tids(world: World, facts: ProcessFacts) -> list[int]:
    """The threads, by number."""
    return list(facts.tids()) or [identity(world, facts).pid]


def identity(world: World, facts: ProcessFacts) -> Identity:
    """Who the process is."""
    if facts.identity is not None:
        return facts.identity()
    me = world.process
    users, owners = (me.uid, me.euid, me.euid), (me.gid, me.egid, me.egid)
    return Identity(me.pid, me.ppid, me.pid, me.pid, users, owners)


def _shared(world: World, facts: ProcessFacts, tid: int | None = None) -> dict[str, Entry]:
    # What the process and each of its threads have alike.
    of = identity(world, facts).pid if tid is None else tid
    return {
        "comm": text(lambda: f"{comm(facts, of)}\n", 0o644),
        "stat": text(lambda: stat(world, facts, of)),
        "status": text(lambda: status(world, facts, of)),
    }


def number(name: str) -> int | None:
    """The number that *name* spells, as the kernel spells it; None for another name."""
    plain = name.isascii() and name.isdecimal() and len(name) <= 10 and str(int(name)) == name
    return int(name) if plain else None


def _task(world: World, facts: ProcessFacts, name: str) -> Node | None:
    tid = number(name)
    return Directory(_shared(world, facts, tid)) if tid in tids(world, facts) else None


def _fd(facts: ProcessFacts, name: str) -> Node | None:
    fd, open_files = number(name), facts.fds()
    return Link(open_files[fd]) if fd is not None and fd in open_files else None


def comm(facts: ProcessFacts, tid: int) -> str:
    """A thread's name, of at most 15 bytes."""
    name = facts.comm(tid) if facts.comm else facts.name
    return name.encode("utf-8", "surrogateescape")[:COMM].decode("utf-8", "surrogateescape")


def status(world: World, facts: ProcessFacts, tid: int) -> str:
    """/proc/<pid>/status; lines that came with a later kernel are left out of an older World."""
    who, vm, signals = identity(world, facts), facts.vm(), facts.signals()
    kernel = release.parse(world.uname.release)
    everything = (1 << last_capability(world) + 1) - 1
    capable = everything if who.users[1] == 0 else 0
    name = comm(facts, tid).replace("\\", "\\\\").replace("\n", "\\n")
    width = world.possible.highest + 1
    cpus = CpuSet(facts.cpus(tid)) if facts.cpus else world.cpus
    queue = (rlimits.initial(world) if facts.rlimits is None else facts.rlimits())[11][0]
    nodes = ",".join(["00000000"] * (MAX_NODES // 32 - 1) + ["00000001"])
    lines = [
        f"Name:\t{name}", f"Umask:\t{who.umask:04o}", f"State:\t{who.state}", f"Tgid:\t{who.pid}", "Ngid:\t0",
        f"Pid:\t{tid}", f"PPid:\t{who.ppid}", "TracerPid:\t0", f"Uid:\t{ids(who.users)}",
        f"Gid:\t{ids(who.owners)}", "FDSize:\t64", f"Groups:\t{' '.join(map(str, who.groups))} ", f"NStgid:\t{who.pid}",
        f"NSpid:\t{tid}", f"NSpgid:\t{who.pgid}", f"NSsid:\t{who.sid}",
        *(f"{title}:\t{size >> 10:>8} kB" for title, size in _vm_rows(vm)),
        "CoreDumping:\t0",
        *([f"THP_enabled:\t{int(world.thp.pmd_size is not None)}"] if kernel >= (5, 0) else []),
        f"Threads:\t{len(tids(world, facts))}", f"SigQ:\t0/{queue}", f"SigPnd:\t{0:016x}",
        f"ShdPnd:\t{signals.pending:016x}", f"SigBlk:\t{signals.blocked:016x}", f"SigIgn:\t{signals.ignored:016x}",
        f"SigCgt:\t{signals.caught:016x}", f"CapInh:\t{0:016x}", f"CapPrm:\t{capable:016x}",
        f"CapEff:\t{capable:016x}", f"CapBnd:\t{everything:016x}", f"CapAmb:\t{0:016x}",
        f"NoNewPrivs:\t{int(facts.no_new_privs())}", "Seccomp:\t0",
        *(["Seccomp_filters:\t0"] if kernel >= (5, 9) else []),
        "Speculation_Store_Bypass:\tnot vulnerable",
        f"Cpus_allowed:\t{cpus.sysfs_mask(width)}", f"Cpus_allowed_list:\t{cpus}",
        f"Mems_allowed:\t{nodes}", "Mems_allowed_list:\t0", "voluntary_ctxt_switches:\t0",
        "nonvoluntary_ctxt_switches:\t0",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def ids(three: tuple[int, int, int]) -> str:
    """Real, effective and saved id, and the effective one again, which counts for files."""
    return "\t".join(map(str, (*three, three[1])))


def _vm_rows(vm: VmSizes) -> list[tuple[str, int]]:
    anonymous = vm.resident - vm.resident_file - vm.resident_shared
    return [
        ("VmPeak", max(vm.peak, vm.total)), ("VmSize", vm.total), ("VmLck", 0), ("VmPin", 0), ("VmHWM", vm.resident),
        ("VmRSS", vm.resident), ("RssAnon", anonymous), ("RssFile", vm.resident_file), ("RssShmem", vm.resident_shared),
        ("VmData", vm.data), ("VmStk", vm.stack), ("VmExe", vm.text), ("VmLib", 0), ("VmPTE", vm.tables),
        ("VmSwap", 0), ("HugetlbPages", 0),
    ]  # fmt: skip


def stat(world: World, facts: ProcessFacts, tid: int) -> str:
    """/proc/<pid>/stat: the 52 fields of proc_pid_stat(5)."""
    who, vm, signals = identity(world, facts), facts.vm(), facts.signals()
    started = world.clock.monotonic * HZ // 10**9
    used = facts.cpu_ns() * HZ // 10**9
    low = 0x7FFF_FFFF  # fields 31 to 34 show the signals below 32 only
    soft_rss = (rlimits.initial(world) if facts.rlimits is None else facts.rlimits())[5][0]
    fields = [
        tid, f"({comm(facts, tid)})", who.state[0], who.ppid, who.pgid, who.sid, 0, -1, 4194304,  # to flags
        0, 0, 0, 0, used, 0, 0, 0, 20, 0, len(tids(world, facts)), 0, started,  # faults, times, priority, to starttime
        vm.total, vm.resident // PAGE, soft_rss, vm.start_code, vm.end_code, vm.start_stack, 0, 0,  # to kstkeip
        signals.pending & low, signals.blocked & low, signals.ignored & low, signals.caught & low,
        0, 0, 0, 17, world.cpus.lowest, 0, 0, 0, 0, 0,  # wchan, to exit_signal, processor, to cguest_time
        vm.start_data, vm.end_data, vm.start_brk, vm.arg_start, vm.arg_end, vm.env_start, vm.env_end, 0,
    ]  # fmt: skip
    return " ".join(map(str, fields)) + "\n"


def statm(vm: VmSizes) -> str:
    """/proc/<pid>/statm, in pages."""
    pages = (vm.total, vm.resident, vm.resident_file + vm.resident_shared, vm.text, 0, vm.data + vm.stack, 0)
    return " ".join(str(size // PAGE) for size in pages) + "\n"


def limits(world: World, facts: ProcessFacts) -> str:
    """/proc/<pid>/limits."""
    rows = rlimits.initial(world) if facts.rlimits is None else facts.rlimits()
    lines = [f"{'Limit':<25} {'Soft Limit':<20} {'Hard Limit':<20} {'Units':<10}\n"]
    for (title, unit), pair in zip(LIMITS, rows, strict=True):
        soft, hard = ("unlimited" if value == rlimits.INFINITY else str(value) for value in pair)
        lines.append(f"{title:<25} {soft:<20} {hard:<20} " + (f"{unit:<10}\n" if unit else "\n"))
    return "".join(lines)
