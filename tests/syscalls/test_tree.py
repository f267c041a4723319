"""The derived tree: exact contents, agreement between views, and formats compared with a real kernel."""

from __future__ import annotations

import re
import stat as stat_bits
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from syscalls import cpuid, rlimits
from syscalls.cpuset import CpuSet
from syscalls.tree import Device, Directory, FileNode, ProcessFacts, SignalSets, Tree, VmSizes, build
from syscalls.world import Cgroup, Memory, Process, Thp, Uname, World
from syscalls.worldfile import apply, load

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="compares with a Linux kernel")
THP = "/sys/kernel/mm/transparent_hugepage"
CPU = "/sys/devices/system/cpu"


def tree_of(world: World, **facts: object) -> Tree:
    return build(world, ProcessFacts("hello", "/bin/hello", **facts))  # type: ignore[arg-type]


def read(tree: Tree, path: str) -> str:
    node = tree.resolve(path)
    assert isinstance(node, FileNode)
    return node.content().decode()


def names(tree: Tree, path: str) -> list[str]:
    node = tree.resolve(path)
    assert isinstance(node, Directory)
    return node.names()


def rows(text: str) -> dict[str, str]:
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


# Transparent huge pages


def test_huge_page_files_follow_the_world() -> None:
    """The words of enabled and defrag are bracketed; hpage_pmd_size holds exactly the World's bytes."""
    tree = tree_of(World(thp=Thp(enabled="always", defrag="defer+madvise")))

    assert read(tree, f"{THP}/hpage_pmd_size") == "2097152\n"
    assert read(tree, f"{THP}/enabled") == "[always] madvise never\n"
    assert read(tree, f"{THP}/defrag") == "always defer [defer+madvise] madvise never\n"
    assert read(tree, f"{THP}/shmem_enabled") == "always within_size advise [never] deny force\n"
    assert read(tree, f"{THP}/khugepaged/max_ptes_none") == "511\n"


@pytest.mark.parametrize("content", [b"", b"-1\n", b"garbage", b"\x00\xff", b"9" * 23 + b"\n"])
def test_any_content_can_stand_in_hpage_pmd_size(content: bytes) -> None:
    """Users feed it odd things on purpose."""
    node = tree_of(World(thp=Thp(pmd_size=content))).resolve(f"{THP}/hpage_pmd_size")

    assert isinstance(node, FileNode)
    assert node.content() == content
    assert node.size == 4096


def test_without_a_huge_page_size_the_folder_is_gone() -> None:
    """As in a kernel without CONFIG_TRANSPARENT_HUGEPAGE; other views know it too."""
    tree = tree_of(apply(World(), "thp=absent"))

    assert tree.lookup(THP) is None
    assert tree.lookup(f"{THP}/enabled") is None
    assert "transparent_hugepage" not in names(tree, "/sys/kernel/mm")
    assert "AnonHugePages" not in read(tree, "/proc/meminfo")
    assert "THP_enabled:\t0\n" in read(tree, "/proc/self/status")


@on_linux
def test_huge_page_files_look_as_on_this_kernel() -> None:
    """Same words in the same order; the bracket may be elsewhere."""
    tree = tree_of(World())
    if not Path(THP).is_dir():
        pytest.skip("this kernel has no transparent huge pages")
    for name in ("enabled", "defrag", "shmem_enabled"):
        real = Path(f"{THP}/{name}").read_text()
        assert read(tree, f"{THP}/{name}").translate({91: None, 93: None}) == real.translate({91: None, 93: None})
    assert "defrag" in names(tree, f"{THP}/khugepaged")
    for name in names(tree, f"{THP}/khugepaged"):
        assert re.fullmatch(r"\d+\n", Path(f"{THP}/khugepaged/{name}").read_text())


# CPUs


def test_cpu_views_agree() -> None:
    """Affinity in status, the machine's CPUs in sysfs, cpuinfo, stat and CPUID: one World."""
    world = World(cpus=CpuSet.parse("1,3"), possible_cpus=CpuSet.first(4))
    tree = tree_of(world)
    status = rows(read(tree, "/proc/self/status"))

    assert (status["Cpus_allowed"], status["Cpus_allowed_list"]) == ("a", "1,3")
    for name in ("online", "possible", "present"):
        assert read(tree, f"{CPU}/{name}") == "0-3\n"
    assert read(tree, f"{CPU}/offline") == "\n"
    assert [name for name in names(tree, CPU) if name.startswith("cpu")] == ["cpu0", "cpu1", "cpu2", "cpu3"]
    assert read(tree, "/proc/cpuinfo").count("processor\t: ") == 4
    assert re.findall(r"^cpu(\d+)", read(tree, "/proc/stat"), re.MULTILINE) == ["0", "1", "2", "3"]
    assert cpuid.cpuid(world, 1, 0)[cpuid.EBX] >> 16 & 0xFF == 4
    assert read(tree, "/sys/devices/system/node/node0/cpulist") == "0-3\n"
    assert read(tree, "/sys/fs/cgroup/cpuset.cpus.effective") == "0-3\n"
    assert read(tree, f"{CPU}/cpu3/node0/cpulist") == "0-3\n"
    assert read(tree, f"{CPU}/cpu3/topology/thread_siblings") == "8\n"
    assert read(tree, f"{CPU}/cpu3/topology/core_siblings_list") == "0-3\n"


def test_a_sparse_machine_of_many_cpus() -> None:
    """CPUs beyond 64 and 1,024, with holes, in every view."""
    world = World(cpus=CpuSet.parse("0,2-3,64,1500"))
    tree = tree_of(replace(world, possible_cpus=world.cpus))

    assert read(tree, f"{CPU}/possible") == "0,2-3,64,1500\n"
    assert tree.lookup(f"{CPU}/cpu1") is None
    assert tree.lookup(f"{CPU}/cpu1500/online") is not None
    for name in ("cpu01", "cpu", "cpu-1", "cpu1501", "cpu²", "cpu99999999999999999999"):
        assert tree.lookup(f"{CPU}/{name}") is None
    assert read(tree_of(world), f"{CPU}/possible") == "0-1500\n"
    assert rows(read(tree, "/proc/self/status"))["Cpus_allowed"].startswith("10000000,00000000,")
    assert read(tree_of(World(cpus=CpuSet.parse("8191-9000"))), f"{CPU}/kernel_max") == "9000\n"
    assert read(tree, f"{CPU}/kernel_max") == "8191\n"


def test_cpuinfo_tells_the_model_that_cpuid_tells() -> None:
    """Vendor, family, model, flags and sizes come from one place."""
    world = apply(apply(World(cpus=CpuSet.first(1)), "cpuid.brand=Test CPU"), "cpuid.aes=false")
    first = rows(read(tree_of(world), "/proc/cpuinfo").split("\n\n")[0])

    assert first["vendor_id"] == "AuthenticAMD"
    assert (first["cpu family"], first["model"], first["stepping"]) == ("15", "107", "1")
    assert first["model name"] == "Test CPU"
    assert first["flags"] == cpuid.flags(world)
    assert "aes" not in first["flags"].split()
    assert first["cpuid level"] == str(cpuid.cpuid(world, 0, 0)[cpuid.EAX])
    assert (first["cpu MHz"], first["bogomips"]) == ("2000.000", "4000.00")
    assert first["address sizes"] == "48 bits physical, 48 bits virtual"


def labels(text: str) -> list[str]:
    return [line.partition(":")[0] for line in text.splitlines()]


def is_subsequence(ours: list[str], theirs: list[str]) -> bool:
    rest = iter(theirs)
    return bool(ours) and all(label in rest for label in ours)


@on_linux
def test_cpuinfo_has_the_lines_of_this_kernel() -> None:
    """The same labels, tabs included, in the same order; a host may have more."""
    ours = labels(read(tree_of(World(cpus=CpuSet.first(1))), "/proc/cpuinfo"))
    theirs = labels(Path("/proc/cpuinfo").read_text().split("\n\n")[0] + "\n\n")
    if "vendor_id\t: AuthenticAMD" not in Path("/proc/cpuinfo").read_text():
        ours.remove("TLB size\t")  # only AMD's CPUs have that line

    assert is_subsequence(ours, theirs)


@on_linux
def test_flags_stand_in_the_order_of_this_kernel() -> None:
    """Those that both have, in the kernel's order."""
    match = re.search(r"^flags\t\t: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    assert match is not None
    real = match[1].split()
    everything = World(cpuid=replace(World().cpuid, features=cpuid.EXECUTABLE))
    ours = [name for name in cpuid.flags(everything).split() if name in real]

    assert ours == [name for name in real if name in ours]
    assert len(ours) > 20


# Memory


def test_meminfo_follows_the_world_and_the_process() -> None:
    """What the program does not use is free; the pool of huge pages is the World's."""
    world = World(memory=Memory(total=8 << 30), thp=Thp(pool=3))
    vm = VmSizes(total=1 << 30, resident=10 << 20, resident_file=2 << 20)
    tree = tree_of(world, vm=lambda: vm)
    info = rows(read(tree, "/proc/meminfo"))

    assert info["MemTotal"] == f"{8 << 20} kB"
    assert info["MemFree"] == f"{(8 << 20) - (10 << 10) - 3 * 2048} kB"
    assert (info["AnonPages"], info["Mapped"]) == ("8192 kB", "2048 kB")
    assert (info["HugePages_Total"], info["HugePages_Free"], info["Hugetlb"]) == ("3", "3", "6144 kB")
    assert read(tree, "/proc/sys/vm/nr_hugepages") == "3\n"
    assert read(tree, "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages") == "3\n"
    status = rows(read(tree, "/proc/self/status"))
    assert (status["VmSize"], status["VmRSS"], status["RssAnon"]) == ("1048576 kB", "10240 kB", "8192 kB")
    assert read(tree, "/proc/self/statm").split()[:3] == ["262144", "2560", "512"]
    assert read(tree, "/proc/self/stat").split()[22:24] == [str(1 << 30), "2560"]


@on_linux
def test_meminfo_has_the_lines_of_this_kernel() -> None:
    """Labels, order and columns; a newer kernel has more lines."""
    ours, theirs = read(tree_of(World()), "/proc/meminfo"), Path("/proc/meminfo").read_text()

    assert is_subsequence([label for label in labels(ours) if "Huge" not in label], labels(theirs))
    shape = re.compile(r"^([\w()]+:\s*)(\d+)( kB)?$")
    for line in (*ours.splitlines(), *theirs.splitlines()):
        match = shape.fullmatch(line)
        assert match is not None, line
        assert len(match[1] + match[2]) == 24 or len(match[2]) > 8, line


def test_contents_are_those_of_the_moment_of_opening() -> None:
    """A file is rendered anew each time it is opened."""
    sizes = iter([VmSizes(resident=1 << 20), VmSizes(resident=2 << 20)])
    tree = tree_of(World(), vm=lambda: next(sizes))

    first, second = read(tree, "/proc/meminfo"), read(tree, "/proc/meminfo")
    assert rows(first)["AnonPages"] == "1024 kB"
    assert rows(second)["AnonPages"] == "2048 kB"


# The process


def test_the_process_shows_what_the_kernel_knows() -> None:
    """Strings and vectors are passed through byte by byte."""
    tree = tree_of(
        World(process=Process(pid=77, ppid=5)),
        command_line=lambda: b"hello\0-v\0",
        environment=lambda: b"A=\xff\0",
        auxv=lambda: bytes(16),
        maps=lambda: "00400000-00401000 r-xp 00000000 08:01 2 /bin/hello\n",
        tids=lambda: (77, 78),
        comm=lambda tid: f"a name of thread {tid}",
        fds=lambda: {0: "/dev/null", 3: "/etc/x"},
        signals=lambda: SignalSets(blocked=1, caught=1 << 10),
    )

    assert tree.resolve("/proc/self").path == "/proc/77"
    assert read(tree, "/proc/self/cmdline") == "hello\0-v\0"
    environ = tree.resolve("/proc/77/environ")
    assert isinstance(environ, FileNode)
    assert environ.content() == b"A=\xff\0"
    assert read(tree, "/proc/self/auxv") == "\0" * 16
    assert read(tree, "/proc/self/maps").endswith("/bin/hello\n")
    assert read(tree, "/proc/self/comm") == "a name of threa\n"
    assert names(tree, "/proc/self/task") == ["77", "78"]
    assert names(tree, "/proc/self/fd") == ["0", "3"]
    assert tree.resolve("/proc/self/fd/0").path == "/dev/null"
    assert tree.lookup("/proc/self/fd/1") is None
    assert tree.lookup("/proc/self/task/79") is None
    assert tree.lookup("/proc/78") is None
    status = rows(read(tree, "/proc/self/task/78/status"))
    assert (status["Tgid"], status["Pid"], status["PPid"], status["Threads"]) == ("77", "78", "5", "2")
    assert (status["SigBlk"], status["SigCgt"]) == ("0000000000000001", "0000000000000400")
    assert read(tree, "/proc/self/stat").startswith("77 (a name of threa) R 5 77 77 ")


def test_exe_is_the_program() -> None:
    """/proc/self/exe leads to the file, which holds the program's bytes."""
    tree = tree_of(World(), program=lambda: b"\x7fELF")
    node = tree.resolve("/proc/self/exe")

    assert tree.resolve("/proc/self/exe", follow=False).mode == 0o120777
    assert isinstance(node, FileNode)
    assert (node.path, node.content(), node.size, node.mode) == ("/bin/hello", b"\x7fELF", 4, 0o100755)


def test_limits_are_the_kernels() -> None:
    """Those of the World at first, those of setrlimit(2) afterwards."""
    world = apply(World(), "rlimits.nofile=512:unlimited")
    text = read(tree_of(world), "/proc/self/limits")
    later = list(rlimits.initial(world))
    later[3] = (1, 2)

    assert text.splitlines()[0] == "Limit                     Soft Limit           Hard Limit           Units     "
    assert "Max open files            512                  unlimited            files     \n" in text
    assert "Max stack size            8388608              unlimited            bytes     \n" in text
    assert "Max nice priority         0                    0                    \n" in text
    changed = read(tree_of(world, rlimits=lambda: later), "/proc/self/limits")
    assert "Max stack size            1                    2                    bytes     \n" in changed


@on_linux
@pytest.mark.parametrize("name", ["limits", "status", "stat", "statm"])
def test_process_files_look_as_on_this_kernel(name: str) -> None:
    """Labels and columns of limits and status, the number of fields of stat and statm."""
    ours, theirs = read(tree_of(World()), f"/proc/self/{name}"), Path(f"/proc/self/{name}").read_text()

    if name == "limits":
        assert [line[:26] for line in ours.splitlines()] == [line[:26] for line in theirs.splitlines()]
        assert [line[68:] for line in ours.splitlines()] == [line[68:] for line in theirs.splitlines()]
    elif name == "status":
        assert is_subsequence(labels(ours), labels(theirs))
        sizes = [line for line in ours.splitlines() if line.startswith(("Vm", "Rss", "Huge"))]
        assert len(sizes) > 10
        for line in sizes:
            assert re.fullmatch(r"\w+:\t *\d+ kB", line)
            assert len(line.partition("\t")[2]) == 11
    else:
        assert len(ours.rpartition(")")[2].split()) == len(theirs.rpartition(")")[2].split())


def test_identity_and_capabilities_follow_the_user() -> None:
    """Only user 0 has capabilities; how many there are depends on the kernel."""
    ordinary = rows(read(tree_of(World(process=Process(uid=1000, euid=1000, gid=7, egid=7))), "/proc/self/status"))
    old = rows(read(tree_of(World(uname=Uname(release="4.19.76-linuxkit"))), "/proc/self/status"))
    root = rows(read(tree_of(World()), "/proc/self/status"))

    assert (ordinary["Uid"], ordinary["Gid"]) == ("1000\t1000\t1000\t1000", "7\t7\t7\t7")
    assert (ordinary["CapEff"], ordinary["CapBnd"]) == ("0" * 16, "000001ffffffffff")
    assert (root["CapEff"], old["CapEff"]) == ("000001ffffffffff", "0000003fffffffff")
    assert "THP_enabled" in root
    assert "THP_enabled" not in old


# Names, time and devices


def test_version_and_names_follow_uname() -> None:
    """uname(2), /proc/version and /proc/sys/kernel say the same."""
    tree = tree_of(load("walk"))

    assert read(tree, "/proc/sys/kernel/osrelease") == "4.19.76-linuxkit\n"
    assert read(tree, "/proc/sys/kernel/hostname") == "rt0\n"
    assert read(tree, "/proc/version").startswith("Linux version 4.19.76-linuxkit (")
    assert read(tree, "/proc/version").endswith(") #1 SMP Thu Oct 17 19:31:58 UTC 2019\n")
    assert read(tree, "/proc/sys/net/core/somaxconn") == "128\n"
    assert read(tree_of(World()), "/proc/sys/net/core/somaxconn") == "4096\n"


def test_time_is_the_clocks() -> None:
    """Uptime, idle time and the time of boot come from one clock."""
    tree = tree_of(World(), monotonic_ns=lambda: 1_234_567_890_123, cpu_ns=lambda: 2_500_000_000)

    assert read(tree, "/proc/uptime") == "1234.56 2466.62\n"
    stat = read(tree, "/proc/stat").splitlines()
    assert stat[:3] == [
        "cpu  250 0 0 246662 0 0 0 0 0 0",
        "cpu0 250 0 0 123206 0 0 0 0 0 0",
        "cpu1 0 0 0 123456 0 0 0 0 0 0",
    ]
    assert "btime 1577835800" in stat  # 2020-01-01 less the 1,000 s that the machine has been up
    assert read(tree, "/proc/self/stat").split()[21] == "100000"


def test_overcommit_is_the_worlds() -> None:
    """proc_sys_vm(5): 1 always allows, 0 refuses what could never fit."""
    assert read(tree_of(World()), "/proc/sys/vm/overcommit_memory") == "1\n"
    assert read(tree_of(World(memory=Memory(overcommit=False))), "/proc/sys/vm/overcommit_memory") == "0\n"
    assert read(tree_of(World()), "/proc/sys/kernel/pid_max") == "32768\n"
    assert read(tree_of(World(cpus=CpuSet.first(1000))), "/proc/sys/kernel/pid_max") == "1024000\n"


@on_linux
@pytest.mark.parametrize("name", ["null", "zero", "full", "random", "urandom", "tty"])
def test_devices_have_this_kernels_numbers(name: str) -> None:
    """Major and minor as stat(2) tells them, where the host has the device."""
    device = tree_of(World()).resolve(f"/dev/{name}")
    assert isinstance(device, Device)
    assert device.name == name
    assert device.mode == 0o020666
    host = Path(f"/dev/{name}")
    if not host.exists():
        pytest.skip(f"this container has no /dev/{name}")
    numbers = host.stat().st_rdev
    assert stat_bits.S_ISCHR(host.stat().st_mode)
    assert device.rdev == (numbers >> 8 & 0xFFF, numbers & 0xFF)


# Control groups


def go_cpu_limit(tree: Tree) -> float | None:
    """What Go 1.25 and later find: the steps of internal/runtime/cgroup/cgroup.go, written from their description."""
    own, version = "", 0
    for line in read(tree, "/proc/self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" and not version:
            own, version = path, 2
        elif "cpu" in controllers.split(","):
            own, version = path, 1
    for line in read(tree, "/proc/self/mountinfo").splitlines():
        before, after = line.split(" - ")
        root, point = before.split(" ")[3:5]
        fstype, _, options = after.split(" ", 2)
        matches = fstype == "cgroup2" if version == 2 else fstype == "cgroup" and "cpu" in options.split(",")
        if matches and root == "/":
            folder = point + ("" if own == "/" else own)
            if version == 2:
                quota, period = read(tree, f"{folder}/cpu.max").split()
                return None if quota == "max" else int(quota) / int(period)
            micros = int(read(tree, f"{folder}/cpu.cfs_quota_us"))
            return None if micros < 0 else micros / int(read(tree, f"{folder}/cpu.cfs_period_us"))
    return None


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("path", ["/", "/docker/abc", "/a b/c"])
def test_go_finds_its_cpu_limit(version: int, path: str) -> None:
    """/proc/self/cgroup and mountinfo lead to the files with the World's quota, at any depth."""
    limited = World(cgroup=Cgroup(version=version, path=path, cpu_quota=150_000, cpu_period=50_000))
    free = World(cgroup=Cgroup(version=version, path=path))

    assert go_cpu_limit(tree_of(limited)) == 3.0
    assert go_cpu_limit(tree_of(free)) is None


def test_version_2_files() -> None:
    """Exact contents, in the program's own group; the groups above have no limit."""
    tree = tree_of(World(cgroup=Cgroup(path="/a/b", cpu_quota=150_000, memory_max=(1 << 30) + 5)))

    assert read(tree, "/proc/self/cgroup") == "0::/a/b\n"
    assert read(tree, "/sys/fs/cgroup/a/b/cpu.max") == "150000 100000\n"
    assert read(tree, "/sys/fs/cgroup/a/b/memory.max") == "1073741824\n"
    assert read(tree, "/sys/fs/cgroup/a/b/cgroup.procs") == "1000\n"
    assert read(tree, "/sys/fs/cgroup/a/cpu.max") == "max 100000\n"
    assert read(tree, "/sys/fs/cgroup/a/memory.max") == "max\n"
    assert read(tree, "/sys/fs/cgroup/a/cgroup.procs") == ""
    assert "cpu" in read(tree, "/sys/fs/cgroup/cgroup.controllers").split()
    assert read(tree_of(World()), "/sys/fs/cgroup/cpu.max") == "max 100000\n"


def test_version_1_files() -> None:
    """A hierarchy a mount, links for controllers that share one, and no limit as Linux writes it."""
    tree = tree_of(World(cgroup=Cgroup(version=1, path="/x", cpu_quota=50_000, memory_max=1 << 30)))

    assert read(tree, "/proc/self/cgroup") == "4:pids:/x\n3:memory:/x\n2:cpu,cpuacct:/x\n1:cpuset:/x\n"
    assert read(tree, "/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us") == "50000\n"
    assert read(tree, "/sys/fs/cgroup/cpu/x/cpu.cfs_period_us") == "100000\n"
    assert read(tree, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us") == "-1\n"
    assert read(tree, "/sys/fs/cgroup/memory/x/memory.limit_in_bytes") == "1073741824\n"
    assert read(tree, "/sys/fs/cgroup/memory/memory.limit_in_bytes") == "9223372036854771712\n"
    assert read(tree, "/sys/fs/cgroup/cpuset/cpuset.cpus") == "0-1\n"
    assert tree.resolve("/sys/fs/cgroup/cpu").path == "/sys/fs/cgroup/cpu,cpuacct"


def test_version_0_has_no_control_groups() -> None:
    """Neither files nor mounts nor the process's own list."""
    tree = tree_of(World(cgroup=Cgroup(version=0)))

    assert tree.lookup("/proc/self/cgroup") is None
    assert "cgroup" not in read(tree, "/proc/self/mountinfo")
    assert names(tree, "/sys/fs/cgroup") == []


@on_linux
def test_mountinfo_has_the_fields_of_this_kernel() -> None:
    """Every line of both parses by the same pattern: proc_pid_mountinfo(5)."""
    pattern = re.compile(r"\d+ \d+ \d+:\d+ /\S* /\S* [\w,=]+( \S+:\d+)* - [\w.]+ \S+ \S+")
    ours = read(tree_of(World(cgroup=Cgroup(version=1))), "/proc/self/mountinfo")
    theirs = Path("/proc/self/mountinfo").read_text()

    assert len(ours.splitlines()) > 5
    for line in (*ours.splitlines(), *theirs.splitlines()):
        assert pattern.fullmatch(line), line
    parents = {line.split()[0]: line.split()[1] for line in ours.splitlines()}
    assert all(parent == "1" or parent in parents for parent in parents.values())
