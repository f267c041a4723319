"""Which key of the World decides what the kernel, the loader and the CPU answer: by call, by file, by entry of auxv.

Whoever says where a value came from, or why it differs between two boots, reads these tables.  They follow
``syscalls/`` (each handler and each file of the tree) and the World's own page.
"""

from __future__ import annotations

# The World's key behind the answer of a call, and behind the content of a file (by the beginning of its path).
CALL_KEYS = {
    "sched_getaffinity": "cpus", "rt_sigprocmask": "process.sigmask", "uname": "uname.release", "getrandom": "seed",
    "clock_gettime": "clock.monotonic", "gettimeofday": "clock.realtime", "time": "clock.realtime",
    "getpid": "process.pid", "gettid": "process.pid", "getppid": "process.ppid", "getuid": "process.uid",
    "geteuid": "process.euid", "getgid": "process.gid", "getegid": "process.egid", "getrlimit": "rlimits",
    "prlimit64": "rlimits", "sysinfo": "memory.total", "getcpu": "cpus",
}  # fmt: skip
THP = "/sys/kernel/mm/transparent_hugepage/"
PATH_KEYS = (
    (THP + "hpage_pmd_size", "thp.pmd-size"), (THP + "enabled", "thp.enabled"), (THP + "defrag", "thp.defrag"),
    ("/sys/devices/system/cpu/", "possible-cpus"), ("/proc/self/cgroup", "cgroup.path"),
    ("/proc/self/mountinfo", "cgroup.version"), ("/proc/self/auxv", "auxv"), ("/proc/meminfo", "memory.total"),
    ("/proc/cpuinfo", "cpuid.features"), ("/dev/urandom", "seed"), ("/dev/random", "seed"),
)  # fmt: skip
CGROUP_FILES = {
    "cpu.max": "cgroup.cpu-quota", "cpu.cfs_quota_us": "cgroup.cpu-quota", "cpu.cfs_period_us": "cgroup.cpu-period",
    "memory.max": "cgroup.memory-max", "memory.limit_in_bytes": "cgroup.memory-max",
}  # fmt: skip
AUXV_KEYS = {
    "AT_PAGESZ": "page-size", "AT_RANDOM": "at-random", "AT_SYSINFO_EHDR": "vdso", "AT_SECURE": "process.secure",
    "AT_UID": "process.uid", "AT_EUID": "process.euid", "AT_GID": "process.gid", "AT_EGID": "process.egid",
    "AT_HWCAP": "cpuid.features", "AT_EXECFN": "exe",
}  # fmt: skip
