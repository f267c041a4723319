"""The screen of a boot: what a reader can learn from it alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from emu.boot.record import BootRecord
from emu.report import boot as report
from emu.report.origins import Origins
from emu.report.paper import Paper
from tests.booted import BUNDLED, booted
from tests.untyped import booted_untyped

Golden = Callable[[str, str], None]


def screen(record: BootRecord, width: int = 200, show_all: bool = False, paper: Paper | None = None) -> str:
    return "\n".join(report.lines(record, paper or Paper(width), show_all)) + "\n"


def block(text: str, start: str) -> str:
    """The key value that begins with *start*, without line breaks and repeated blanks."""
    lines = text[text.index("Key values") :].split("\n")
    first = next(i for i, line in enumerate(lines) if line.startswith(f"  {start}"))
    end = next(i for i in range(first + 1, len(lines)) if not lines[i].startswith("      "))
    return " ".join(" ".join(lines[first:end]).split())


def test_the_whole_screen(binary: Callable[[str], Path], golden: Golden) -> None:
    """Go 1.27.3's hello on 100 columns; a change of the screen is reviewed as one."""
    golden("tests/report/hello-1.27.3.txt", screen(booted(binary("hello-1.27.3")), 100))


def test_a_narrow_screen(binary: Callable[[str], Path], golden: Golden) -> None:
    """60 columns, up to schedinit, in a World without huge pages."""
    record = booted(binary("hello-1.21.13"), "thp=absent", "cpus=0x5", until="runtime.schedinit")
    text = screen(record, 60)

    assert max(map(len, text.split("\n"))) <= 60
    golden("tests/report/hello-1.21.13-narrow.txt", text)


def test_where_ncpu_comes_from() -> None:
    """Value, functions, the kernel's answer and the World's key stand together."""
    found = block(screen(booted(BUNDLED, "cpus=0,2-3,64")), "runtime.numCPUStartup")

    assert "= 4 CPUs osinit > getCPUCount" in found
    assert "<- sched_getaffinity(0, 8192, [CPUs 0,2-3,64]) = 16 bytes, mask 0x1000000000000000d: 4 bits set" in found
    assert found.endswith('World: cpus = "0,2-3,64"')


def test_where_ncpu_comes_from_when_the_kernel_refuses(tmp_path: Path) -> None:
    """A World's response is named as what decided it."""
    world = tmp_path / "refuse.toml"
    world.write_text('[[response]]\ncall = "sched_getaffinity"\nerrno = "EPERM"\n')
    found = block(screen(booted(world=str(world))), "runtime.numCPUStartup")

    assert "= 1 CPU osinit" in found
    assert "= -1 EPERM: the runtime then takes 1 World: responses (to sched_getaffinity)" in found


@pytest.mark.parametrize(
    ("setting", "value", "origin"),
    [
        ("thp=absent", "0 bytes", '/hpage_pmd_size: ENOENT World: thp.pmd-size = "absent"'),
        ("thp=2097153", "0 bytes", '/hpage_pmd_size: "2097153\\n" World: thp.pmd-size = 2097153'),
        ("thp=4096", "4096 bytes (4 KiB)", '/hpage_pmd_size: "4096\\n" World: thp.pmd-size = 4096'),
    ],
)
def test_where_the_huge_page_size_comes_from(setting: str, value: str, origin: str) -> None:
    """The file, its content and the key that changes it."""
    found = block(screen(booted(BUNDLED, setting)), "runtime.physHugePageSize")

    assert f"= {value} osinit > getHugePageSize" in found
    assert found.endswith(origin)


def test_a_file_of_the_world_is_named() -> None:
    """What the user wrote down wins over what the kernel derives, and is named."""
    path = "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"
    found = block(screen(booted(BUNDLED, f'files."{path}"=8192\n')), "runtime.physHugePageSize")

    assert "= 8192 bytes (8 KiB)" in found
    assert found.endswith(f'World: files."{path}"')


def test_values_from_the_environment() -> None:
    """GOMAXPROCS wins over the mask, and what was not set can be set."""
    text = screen(booted(BUNDLED, "env.GOMAXPROCS=7"))

    assert '<- environment: GOMAXPROCS=7 decided World: env.GOMAXPROCS = "7"' in block(
        text, "runtime.gomaxprocs = 7 Ps"
    )
    assert "<- environment: no GOGC World: env.GOGC" in block(text, "runtime.gcController.gcPercent = 100%")


@pytest.mark.parametrize(
    ("settings", "decides"),
    [
        ((), "<- runtime.numCPUStartup = 2 CPUs decided"),
        (("env.GOMAXPROCS=0",), "<- runtime.numCPUStartup = 2 CPUs decided"),
        (("cpus=8", "cgroup.cpu-quota=300000"), '<- /sys/fs/cgroup/cpu.max: "300000 100000\\n" decided'),
        (("env.GOMAXPROCS=2",), "<- environment: GOMAXPROCS=2 decided"),
    ],
    ids=str,
)
def test_what_decided_gomaxprocs_is_marked(settings: tuple[str, ...], decides: str) -> None:
    """Of the variable, the mask and the control group, one."""
    found = block(screen(booted(BUNDLED, *settings)), "runtime.gomaxprocs")

    assert decides in found
    assert found.count(" decided") == 1


def test_a_value_is_shown_as_its_function_left_it() -> None:
    """Bits of heapRandSeed are taken later, and the heap takes its hint: neither is what mallocinit left."""
    record = booted()
    seed = [
        (call.name, write.after) for call in record.functions for write in call.writes if "heapRandSeed" in write.name
    ]
    drawn = next(after for name, after in seed if name == "runtime.mallocinit")
    text = screen(record)
    tree = text[: text.index("Key values")]

    assert drawn != record.globals["runtime.heapRandSeed"]
    assert f"runtime.heapRandSeed = {drawn:#x}; {record.globals['runtime.heapRandSeed']:#x} at the end" in text
    assert f"<- runtime.heapRandSeed = {drawn:#x}\n" in text
    hints = record.views["runtime.mheap_.arenaHints"]
    assert len(hints) > 50
    assert [hint for hint in hints if hint in tree] == []
    assert "Ps: 1 running" not in tree


def test_what_was_before_is_what_was_left_before(binary: Callable[[str], Path]) -> None:
    """The 16 bytes behind startupRand are cleared when it is set to nil; they were those of AT_RANDOM all the same."""
    at_random = "000102030405060708090a0b0c0d0e0f"
    record = booted(binary("hello-1.27.3"), f"at-random={at_random}")
    writes = [write for call in record.functions for write in call.writes if write.name == "runtime.startupRand"]

    assert [bytes(side["elements"]).hex() for side in (writes[0].after, writes[1].before)] == [at_random] * 2
    assert f"= runtime.startupRand: len 16 {at_random} -> nil" in screen(record)


def test_random_values_name_what_they_are_made_of(binary: Callable[[str], Path]) -> None:
    """The bytes behind AT_RANDOM and the seed; without them, the device, and without that, the time."""
    at_random = "000102030405060708090a0b0c0d0e0f"
    given = screen(booted(binary("hello-1.27.3"), f"at-random={at_random}"))
    drawn = screen(booted())
    device = screen(booted(BUNDLED, "auxv.AT_RANDOM=absent"))
    rule = 'responses=[{call="openat",path="/dev/urandom",errno="ENOENT"}]'
    nothing = screen(booted(BUNDLED, "auxv.AT_RANDOM=absent", rule))

    for start in ("runtime.globalRand.init", "internal/runtime/maps.aeskeysched", "runtime.mheap_.arenaHints"):
        assert f', bytes {at_random} World: at-random = "{at_random}"' in block(given, start)
        assert "World: seed = 1" in block(drawn, start)
        assert '<- auxv: no AT_RANDOM World: auxv.AT_RANDOM = "absent" <- /dev/urandom: 0x' in block(device, start)
        assert "World: seed = 1" in block(device, start)
        assert "<- /dev/urandom: ENOENT World: responses (to openat)" in block(nothing, start)
        assert "<- the monotonic clock instead" in block(nothing, start)
    assert "<- /dev/urandom" not in drawn


def test_where_the_heap_would_like_to_be(binary: Callable[[str], Path]) -> None:
    """A constant up to Go 1.25, random bits since."""
    assert "0xc0 << 32" in block(screen(booted(binary("hello-1.25.5"))), "runtime.mheap_.arenaHints")
    assert "Seed" not in block(screen(booted(binary("hello-1.25.5"))), "runtime.mheap_.arenaHints")
    assert "0xc0 << 32" not in block(screen(booted(binary("hello-1.26.6"))), "runtime.mheap_.arenaHints")


def test_an_empty_file_is_something_that_was_read() -> None:
    """Nothing in hpage_pmd_size is an answer, and has its key; the end of a file after its content is none."""
    text = screen(booted(BUNDLED, "thp="))

    assert block(text, "runtime.physHugePageSize").endswith('/hpage_pmd_size: "" World: thp.pmd-size = ""')
    assert '> read(3, "", 20) = 0  World: thp.pmd-size = ""\n' in text
    assert '> read(3, "", 65536) = 0\n' in text


def test_every_key_behind_the_auxiliary_vector_is_named() -> None:
    """The vector is made of several keys, processorVersionInfo of three."""
    text = screen(booted())
    auxv, version = block(text, "runtime.auxv"), block(text, "runtime.processorVersionInfo")

    for key in ("page-size = 4096", "seed = 1", "vdso = true", "process.secure = false", "auxv.NAME"):
        assert f"World: {key}" in auxv
    for key in ("cpuid.family = 15", "cpuid.model = 107", "cpuid.stepping = 1"):
        assert f"World: {key}" in version


@pytest.mark.parametrize("cpus", ["65535-65535", "8192"])
def test_a_large_mask_is_known_whole(cpus: str) -> None:
    """However many bytes it takes, its CPUs and their number are there."""
    shown, count = ("0-8191", "8,192 bits") if cpus == "8192" else ("65535", "1 bit")
    found = block(screen(booted(BUNDLED, f"cpus={cpus}", until="runtime.schedinit")), "runtime.numCPUStartup")

    assert f"[CPUs {shown}])" in found
    assert f"a mask: {count} set" in found


def test_many_cpus_do_not_flood_the_screen() -> None:
    """64 Ps are made in as many lines as 8, 1,024 in few more; --all has a line for each."""
    few, many = booted(BUNDLED, "cpus=8"), booted(BUNDLED, "cpus=64")
    difference = screen(many).count("\n") - screen(few).count("\n")

    assert abs(difference) < 30
    assert "runtime.allocmcache  61 more calls like it: 207 changes of values  (--all)" in screen(many)
    assert screen(booted(BUNDLED, "cpus=1024")).count("\n") < screen(few).count("\n") + 150
    assert screen(many, show_all=True).count("runtime.allocmcache()") == len(many.calls("runtime.allocmcache"))


def test_a_throw_is_printed_once() -> None:
    """What it wrote piece by piece stands at the end as a whole; the tree has one line for it."""
    record = booted(BUNDLED, "page-size=1024")
    n_writes = sum(call.name == "write" for call in record.syscalls)

    assert n_writes > 50
    assert "> write(" not in screen(record)
    assert "> 72 calls of write to standard error: 433 bytes" in screen(record)
    assert len(record.output.encode()) == 433 + 145
    assert screen(record, show_all=True).count("> write(") == n_writes


def test_key_values_stand_in_the_order_of_their_computation() -> None:
    """Each was computed not before the one above it."""
    text = screen(booted())
    marks = ["g0.stack.hi", "runtime.argc", "runtime.numCPUStartup", "sched.maxmcount", "arenaHints", "cpu.X86",
             "runtime.gomaxprocs", "runtime.allgs"]  # fmt: skip
    places = [text.index(f"{mark} = ", text.index("Key values")) for mark in marks]

    assert places == sorted(places)


@pytest.mark.parametrize("width", [40, 53, 72])
def test_no_line_is_wider_than_the_screen(width: int) -> None:
    """Down to 40 columns, on the deepest branch, too."""
    assert max(map(len, screen(booted(), width).split("\n"))) <= width
    assert not any(line.rstrip().endswith(("#", " =", "<-")) for line in screen(booted(), width).split("\n"))


def test_the_auxiliary_vector_is_named() -> None:
    """The page size comes from AT_PAGESZ, the World's page-size; a changed entry from the change."""
    assert block(screen(booted(BUNDLED, "page-size=16384")), "runtime.physPageSize").endswith(
        "<- auxv: AT_PAGESZ = 16384 World: page-size = 16384"
    )
    assert block(screen(booted(BUNDLED, "auxv.AT_PAGESZ=8192")), "runtime.physPageSize").endswith(
        "<- auxv: AT_PAGESZ = 8192 World: auxv.AT_PAGESZ = 8192"
    )


def test_a_throw_says_where_and_why() -> None:
    """The message, the function, what the program printed, and what it did not get to."""
    text = screen(booted(BUNDLED, "page-size=1024"), 1000)

    assert "outcome  gave up in runtime.mallocinit: bad system page size (exit status 2;" in text
    assert "stopped here: bad system page size" in text
    assert "  system page size (1024) is smaller than minimum page size (4096)\n" in text
    assert "gomaxprocs" in text[text.index("not reached: ") :].split("\n")[0]


def test_a_fatal_signal_says_where() -> None:
    """A pointer into nowhere: the function and the address."""
    text = screen(booted(BUNDLED, "auxv.AT_RANDOM=4096"))

    assert "outcome  killed in runtime." in text
    assert "SIGSEGV: page fault at address 0x10" in text


def test_what_happened_in_which_order() -> None:
    """The two values of osinit stand between the calls that gave them, getCPUCount first."""
    text = screen(booted())
    marks = (
        "runtime.getCPUCount()",
        "= runtime.numCPUStartup",
        "runtime.getHugePageSize()",
        "= runtime.physHugePageSize",
    )
    places = [text.index(mark) for mark in marks]

    assert places == sorted(places)


def test_repeated_calls_are_folded_and_all_unfolds_them() -> None:
    """A call of vdsoauxv for each entry of the vector: few lines, unless everything is wanted."""
    record = booted()
    n_calls = len(record.calls("runtime.vdsoauxv"))

    assert n_calls == len(record.views["auxv"]) - 1
    assert screen(record).count("runtime.vdsoauxv") < 6
    assert "13 more calls that change nothing: tag = AT_PAGESZ, AT_CLKTCK" in screen(record)
    assert screen(record, show_all=True).count("runtime.vdsoauxv") == n_calls


def test_all_shows_every_value_and_every_call() -> None:
    """Each write and each system call of the record has its line; without --all, what is folded is counted."""
    record = booted()
    text = screen(record, 2000, show_all=True)

    writes = [write for call in record.functions for write in call.writes]
    assert text.count("= ") >= len(writes)
    assert [write.name for write in writes if f"= {write.name}: " not in text] == []
    assert text.count("  > ") == len(record.syscalls)
    assert "(--all)" not in text
    assert "(--all)" in screen(record)


def test_plain_lines_where_boxes_cannot_be_shown() -> None:
    """Not one character beyond ASCII."""
    assert screen(booted(), paper=Paper(100, boxes=False)).isascii()


def test_every_world_key_that_is_named_exists() -> None:
    """A key on the screen can be given to --set: it is one of the World's."""
    from syscalls.cpuid import BY_NAME
    from syscalls.worldfile import describe_keys

    known = {info.key for info in describe_keys()} | {f"cpuid.{name}" for name in BY_NAME}
    named = {part.split()[0] for part in screen(booted(), 2000).split("World: ")[1:]}
    unknown = {key for key in named if key not in known and not key.startswith(("env.", "files.", "responses", "the"))}

    assert unknown == set()
    assert {"cpus", "thp.pmd-size", "page-size", "seed", "cgroup.cpu-quota"} <= named


def test_the_walkers_world_says_what_differs() -> None:
    """The head names each key that has not its default."""
    text = screen(booted(world="walk"), 300).split("\n")[1]

    assert 'possible-cpus = "0-3"' in text
    assert 'thp.pmd-size = "absent"' in text
    assert 'cpus = "0-1",' not in text.replace("possible-cpus", "")


def test_a_program_without_types_shows_what_it_can(binary: Callable[[str], Path]) -> None:
    """Functions and system calls, and why there are no values."""
    text = screen(booted_untyped(binary("hello-1.27.3-stripped")))

    assert "runtime.getCPUCount()" in text
    assert "> sched_getaffinity(0, 8192, [CPUs 0-1]) = 8" in text
    assert "stripped, without types" in text
    assert "ncpu" in text[text.index("\n  stripped: ") :].split("\n\n")[0]


def test_a_world_value_is_cut() -> None:
    """A long list is counted, text with blanks quoted."""
    origins = Origins(booted(BUNDLED, f"env.LONG={'x' * 100}", "uname.version=#1 SMP"))

    assert origins.world("env") == "env = 3 entries"
    assert origins.world("uname.version") == 'uname.version = "#1 SMP"'
