"""The files of /proc that describe the whole machine: meminfo, cpuinfo, stat, version and their like.

Formats: proc(5) and fs/proc/*.c, arch/x86/kernel/cpu/proc.c; compared with a 6.18 kernel line by line.
"""

from __future__ import annotations

from collections.abc import Iterator

from syscalls import abi, cpuid, release, rlimits
from syscalls.tree.facts import ProcessFacts
from syscalls.tree.nodes import Directory, Entry, fixed, text
from syscalls.world import World

HZ = 100  # USER_HZ: the unit of processor times in /proc
HUGE_PAGE = 2 << 20
PID_MAX_LIMIT = 1 << 22


def monotonic_ns(world: World, facts: ProcessFacts) -> int:
    """CLOCK_MONOTONIC as the files show it."""
    return facts.monotonic_ns() if facts.monotonic_ns else world.clock.monotonic


def free_memory(world: World, resident: int) -> int:
    """Bytes that are free when the program has *resident* bytes in use; sysinfo(2) says the same."""
    return max(world.memory.total - resident - world.thp.pool * HUGE_PAGE, 0)


def meminfo(world: World, facts: ProcessFacts) -> str:
    """/proc/meminfo.  Nothing but the program runs, so what is not the program's is free."""
    vm = facts.vm()
    total, free = world.memory.total, free_memory(world, vm.resident)
    from_file, shared = vm.resident_file, vm.resident_shared
    anonymous, cached = vm.resident - from_file - shared, from_file + shared
    rows = {
        "MemTotal": total, "MemFree": free, "MemAvailable": free, "Buffers": 0, "Cached": cached, "SwapCached": 0,
        "Active": anonymous, "Inactive": cached, "Active(anon)": anonymous, "Inactive(anon)": shared,
        "Active(file)": 0, "Inactive(file)": from_file, "Unevictable": 0, "Mlocked": 0, "SwapTotal": 0, "SwapFree": 0,
        "Dirty": 0, "Writeback": 0, "AnonPages": anonymous, "Mapped": cached, "Shmem": shared, "KReclaimable": 0,
        "Slab": 0, "SReclaimable": 0, "SUnreclaim": 0, "KernelStack": 0, "PageTables": vm.tables, "NFS_Unstable": 0,
        "Bounce": 0, "WritebackTmp": 0, "CommitLimit": max(total - world.thp.pool * HUGE_PAGE, 0) // 2,
        "Committed_AS": vm.data + vm.stack, "VmallocTotal": 34_359_738_367 << 10, "VmallocUsed": 0,
        "VmallocChunk": 0, "Percpu": 0,
    }  # fmt: skip
    if world.thp.pmd_size is not None:
        rows |= {"AnonHugePages": 0, "ShmemHugePages": 0, "ShmemPmdMapped": 0, "FileHugePages": 0, "FilePmdMapped": 0}
    lines = [f"{name + ':':<16}{size >> 10:>8} kB\n" for name, size in rows.items()]
    pool = world.thp.pool
    for name, count in (("Total", pool), ("Free", pool), ("Rsvd", 0), ("Surp", 0)):
        lines.append(f"{f'HugePages_{name}:':<16}{count:>8}\n")
    for name, size in (("Hugepagesize", HUGE_PAGE), ("Hugetlb", pool * HUGE_PAGE)):
        lines.append(f"{name + ':':<16}{size >> 10:>8} kB\n")
    return "".join(lines)


def cpuinfo(world: World) -> str:
    """/proc/cpuinfo: a block for each CPU of the machine, from the same model as CPUID."""
    model = world.cpuid
    leaves = cpuid.Table(world)
    intel = model.vendor == "GenuineIntel"
    bits = leaves.query(cpuid.ADDRESS_SIZES, 0)[cpuid.EAX]
    khz = world.clock.tsc_hz // 1000
    mhz, bogomips = f"{khz // 1000}.{khz % 1000:03d}", f"{2 * khz // 1000}.{2 * khz % 1000 // 10:02d}"
    count = len(world.possible)
    before = (
        f"vendor_id\t: {model.vendor}\ncpu family\t: {model.family}\nmodel\t\t: {model.model}\n"
        f"model name\t: {model.brand or 'unknown'}\nstepping\t: {model.stepping}\n"
        f"cpu MHz\t\t: {mhz}\ncache size\t: {cpuid.L2[2]} KB\nphysical id\t: 0\nsiblings\t: {count}\n"
    )
    after = (
        f"fpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: {leaves.query(0, 0)[cpuid.EAX]}\nwp\t\t: yes\n"
        f"flags\t\t: {cpuid.flags(world)}\nbugs\t\t:\nbogomips\t: {bogomips}\n"
        + ("" if intel else "TLB size\t: 1024 4K pages\n")
        + f"clflush size\t: {cpuid.LINE}\ncache_alignment\t: {cpuid.LINE}\n"
        f"address sizes\t: {bits & 0xFF} bits physical, {bits >> 8 & 0xFF} bits virtual\npower management:\n\n"
    )
    return "".join(
        f"processor\t: {n}\n{before}core id\t\t: {n}\ncpu cores\t: {count}\n"
        f"apicid\t\t: {n}\ninitial apicid\t: {n}\n{after}"
        for n in world.possible
    )


def stat(world: World, facts: ProcessFacts) -> str:
    """/proc/stat: the program's time on the first CPU of its mask, everything else idle since the start."""
    ticks = monotonic_ns(world, facts) * HZ // 10**9
    used = facts.cpu_ns() * HZ // 10**9
    count = len(world.possible)
    boot = (world.clock.realtime - world.clock.monotonic) // 10**9
    return (
        f"cpu  {used} 0 0 {max(ticks * count - used, 0)} 0 0 0 0 0 0\n"
        + "".join(_cpu_line(n, used if n == world.cpus.lowest else 0, ticks) for n in world.possible)
        + f"intr 0\nctxt 0\nbtime {max(boot, 0)}\nprocesses {world.process.pid}\nprocs_running 1\nprocs_blocked 0\n"
        "softirq 0 0 0 0 0 0 0 0 0 0 0\n"
    )


def _cpu_line(number: int, used: int, ticks: int) -> str:
    return f"cpu{number} {used} 0 0 {max(ticks - used, 0)} 0 0 0 0 0 0\n"


def uptime(world: World, facts: ProcessFacts) -> str:
    """/proc/uptime: seconds since the start, and seconds of idleness summed over the CPUs."""
    up = monotonic_ns(world, facts) // 10**7
    idle = max(up * len(world.possible) - facts.cpu_ns() // 10**7, 0)
    return f"{up // 100}.{up % 100:02d} {idle // 100}.{idle % 100:02d}\n"


def version(world: World) -> str:
    """/proc/version: linux_proc_banner."""
    name = world.uname
    return f"{name.sysname} version {name.release} (rt0@rt0) (gcc (GCC) 12.2.0) {name.version}\n"


def sysctl(world: World) -> Directory:
    """/proc/sys."""
    name = world.uname
    modern = release.parse(name.release) >= (5, 4)
    # Pid numbers: 1,024 a CPU but at least 32,768 (kernel/pid.c, pid_idr_init).
    pid_max = min(max(32_768, 1024 * len(world.possible)), PID_MAX_LIMIT)
    soft_threads = rlimits.initial(world)[abi.RLIMIT_NPROC][0]
    return _settings(
        {
            "fs": {"file-max": (1 << 63) - 1, "nr_open": rlimits.NR_OPEN, "pipe-max-size": 1 << 20},
            "kernel": {
                "cap_last_cap": last_capability(world),
                "domainname": name.domainname,
                "hostname": name.nodename,
                "ngroups_max": 65_536,
                "osrelease": name.release,
                "ostype": name.sysname,
                "pid_max": pid_max,
                "randomize_va_space": 0,
                "threads-max": 2 * soft_threads,
                "version": name.version,
            },
            "net/core": {"somaxconn": 4096 if modern else 128},
            "vm": {
                "max_map_count": abi.MAX_MAP_COUNT,
                "mmap_min_addr": abi.MMAP_MIN_ADDR,
                "nr_hugepages": world.thp.pool,
                # 1 always allows; 0 refuses what could never fit: proc_sys_vm(5)
                "overcommit_memory": 1 if world.memory.overcommit else 0,
                "overcommit_ratio": 50,
            },
        }
    )


def _settings(values: dict[str, dict[str, int | str]]) -> Directory:
    entries: dict[str, Entry] = {}
    for folder, settings in values.items():
        files: dict[str, Entry] = {name: fixed(f"{value}\n", 0o644) for name, value in settings.items()}
        first, _, second = folder.partition("/")
        entries[first] = Directory({second: Directory(files)} if second else files)
    return Directory(entries)


def last_capability(world: World) -> int:
    """The highest capability of the World's kernel: capabilities(7)."""
    kernel = release.parse(world.uname.release)
    if kernel >= (5, 9):
        return 40  # CAP_CHECKPOINT_RESTORE
    return 39 if kernel >= (5, 8) else 37  # CAP_BPF, CAP_AUDIT_READ


def files(world: World, facts: ProcessFacts) -> Iterator[tuple[str, Entry]]:
    """The entries of /proc that belong to no process."""
    yield "cpuinfo", text(lambda: cpuinfo(world))
    yield "filesystems", fixed("nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tdevtmpfs\n\text4\n")
    yield "loadavg", text(lambda: f"0.00 0.00 0.00 1/{max(len(facts.tids()), 1)} {world.process.pid}\n")
    yield "meminfo", text(lambda: meminfo(world, facts))
    yield "stat", text(lambda: stat(world, facts))
    yield "sys", lambda: sysctl(world)
    yield "uptime", text(lambda: uptime(world, facts))
    yield "version", text(lambda: version(world))
