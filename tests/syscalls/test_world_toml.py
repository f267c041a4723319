"""Worlds as TOML and as settings: what each spelling means, and that writing and reading are inverse."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syscalls.cpuid import EXECUTABLE, ordered
from syscalls.cpuset import CpuSet
from syscalls.errno import NUMBERS
from syscalls.rlimits import NAMES as RLIMITS
from syscalls.world import Cgroup, Clock, Cpuid, File, Limits, Memory, Process, Response, Thp, Uname, World
from syscalls.worldfile import apply, as_dict, bundled, describe_keys, digest, from_toml, load, to_toml
from syscalls.worldfile.docs import INTRODUCTION, render
from syscalls.worldfile.keys import ALIASES, KEYS
from syscalls.worldfile.tables import AUXV_TAGS

U64 = (1 << 64) - 1
I64 = (1 << 63) - 1


def test_the_empty_file_is_the_default_world() -> None:
    """Nothing is required."""
    assert from_toml("") == World()
    assert load(None) == World()
    assert to_toml(World(), changes_only=True) == "\n"


def test_every_field_of_the_world_has_a_key() -> None:
    """Nothing can be varied in code that a file cannot say."""
    names = set()
    for field in fields(World):
        value = getattr(World(), field.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, CpuSet):
            names |= {f"{field.name}.{inner.name}".replace("_", "-") for inner in fields(value)}
        else:
            names.add(field.name.replace("_", "-"))

    assert set(KEYS) == names


def test_a_whole_file() -> None:
    """One of everything, in the spelling that a user writes."""
    world = from_toml("""
        argv = ["hello", "-v"]
        env = { HOME = "/tmp", GOGC = "off" }
        cpus = 3
        possible_cpus = "0-7"
        page-size = "64KiB"
        at-random = "000102030405060708090a0b0c0d0e0f"
        thp = 2097152
        [auxv]
        AT_PAGESZ = 65536
        25 = "absent"
        [memory]
        total = "8GiB"
        load-bias = 0x10000
        [cpuid]
        aes = false
        leaves."0x7.0" = [0, 8, 0, 0]
        [cgroup]
        version = 1
        cpu-quota = 150000
        [process]
        closed-fds = [2, 0]
        sigmask = ["SIGUSR1", 64]
        [rlimits]
        nofile = "1024:4096"
        core = 0
        stack = "unlimited"
        [[file]]
        path = "/etc/x"
        content = "hex:00ff"
        mode = 0o600
        [[file]]
        path = "/proc/self/auxv"
        content = "absent"
        [[response]]
        call = "read"
        when = 3
        data = "abc"
    """)

    assert world == World(
        argv=("hello", "-v"),
        env=("HOME=/tmp", "GOGC=off"),
        cpus=CpuSet(0b111),
        possible_cpus=CpuSet(0xFF),
        page_size=65536,
        at_random=bytes(range(16)),
        thp=Thp(pmd_size=b"2097152\n"),
        auxv=(("AT_PAGESZ", 65536), ("AT_RANDOM", None)),
        memory=Memory(total=8 << 30, load_bias=0x10000),
        cpuid=Cpuid(features=tuple(f for f in Cpuid().features if f != "aes"), leaves=((7, 0, 0, 8, 0, 0),)),
        cgroup=Cgroup(version=1, cpu_quota=150_000),
        process=Process(closed_fds=(0, 2), sigmask=1 << 9 | 1 << 63),
        rlimits=(("nofile", 1024, 4096), ("core", 0, 0), ("stack", None, None)),
        files=(File("/etc/x", b"\x00\xff", 0o600), File("/proc/self/auxv", None)),
        responses=(Response("read", "3", data=b"abc"),),
    )
    assert from_toml(to_toml(world)) == world


def test_replaced_arguments() -> None:
    """By number, in any order, written back in theirs."""
    world = from_toml('[[response]]\ncall = "read"\narguments = {2 = 1, 0 = -1}')

    assert world == World(responses=(Response("read", arguments=((0, -1), (2, 1))),))
    assert "arguments = {0 = -1, 2 = 1}" in to_toml(world)


@pytest.mark.parametrize(
    ("spelled", "content"),
    [
        ("2097152", b"2097152\n"),
        ("-1", b"-1\n"),
        ("99999999999999999999999", b"99999999999999999999999\n"),
        ('"2097152"', b"2097152\n"),
        ('"-0"', b"-0\n"),
        ('"007"', b"007\n"),
        ('"2097152\\n"', b"2097152\n"),
        ('"2097152 "', b"2097152 "),
        ('"any text"', b"any text"),
        ('""', b""),
        ('"absent"', None),
        ('"text:absent"', b"absent"),
        ('"text:2097152"', b"2097152"),
        ('"hex:00 ff"', b"\x00\xff"),
        ('"text:hex:00"', b"hex:00"),
    ],
)
def test_thp_is_a_number_a_text_or_absent(spelled: str, content: bytes | None) -> None:
    """``thp = VALUE`` is the content of hpage_pmd_size, in a file, in its table and as a setting."""
    world = from_toml(f"thp = {spelled}")

    assert world == World(thp=Thp(pmd_size=content))
    assert from_toml(f"[thp]\npmd-size = {spelled}") == world
    assert apply(World(), f"thp={tomllib.loads(f'v = {spelled}')['v']}") == world
    assert from_toml(to_toml(world)) == world
    assert from_toml(to_toml(world, changes_only=True)) == world


SETTINGS = [
    ("page-size=65536", {"page_size": 65536}),
    ("page_size=0x1000", {"page_size": 4096}),
    ("page-size=0", {"page_size": 0}),
    ("page-size=2048 MiB", {"page_size": 1 << 31}),
    ("memory.total=8GiB", {"memory": Memory(total=8 << 30)}),
    ("memory.brk-start=auto", {}),
    ("memory.mmap_base=0x7f0000000000", {"memory": Memory(mmap_base=0x7F00_0000_0000)}),
    ("cpus=0x5", {"cpus": CpuSet(5)}),
    ("cpus=1", {"cpus": CpuSet(1)}),
    ("possible-cpus=0-3", {"possible_cpus": CpuSet(15)}),
    ("thp.enabled=always", {"thp": Thp(enabled="always")}),
    ("auxv.AT_RANDOM=absent", {"auxv": (("AT_RANDOM", None),)}),
    ("auxv.AT_PAGESZ=65536", {"auxv": (("AT_PAGESZ", 65536),)}),
    ("auxv.6=65536", {"auxv": (("AT_PAGESZ", 65536),)}),
    ("auxv.1000=0xffffffffffffffff", {"auxv": (("1000", U64),)}),
    ("uname.release=5.3.0", {"uname": Uname(release="5.3.0")}),
    ("uname.version=#1 a=b", {"uname": Uname(version="#1 a=b")}),
    ("cgroup.cpu-quota=150000", {"cgroup": Cgroup(cpu_quota=150_000)}),
    ("cgroup.cpu-quota=max", {}),
    ("cgroup.version=1", {"cgroup": Cgroup(version=1)}),
    ("process.closed-fds=0,2", {"process": Process(closed_fds=(0, 2))}),
    ("process.closed-fds=[1]", {"process": Process(closed_fds=(1,))}),
    ("process.closed-fds=", {}),
    ("process.sigmask=0x200", {"process": Process(sigmask=0x200)}),
    ('process.sigmask=["SIGUSR1"]', {"process": Process(sigmask=0x200)}),
    ("process.secure=True", {"process": Process(secure=True)}),
    ("clock.realtime=0", {"clock": Clock(realtime=0)}),
    ("rlimits.nofile=1024:4096", {"rlimits": (("nofile", 1024, 4096),)}),
    ("rlimits.as=8GiB", {"rlimits": (("as", 8 << 30, 8 << 30),)}),
    ("rlimits.stack=8MiB:unlimited", {"rlimits": (("stack", 8 << 20, None),)}),
    ("env.NAME=a value = x", {"env": (*World().env, "NAME=a value = x")}),
    ("env.HOME=/tmp", {"env": ("PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/tmp")}),
    ("env.a.b=1", {"env": (*World().env, "a.b=1")}),
    ('env=["A=1", "A=2", "no equals sign"]', {"env": ("A=1", "A=2", "no equals sign")}),
    ("env=[]", {"env": ()}),
    ('files."/etc/x"=text', {"files": (File("/etc/x", b"text"),)}),
    ("files.'/etc/x.conf'=", {"files": (File("/etc/x.conf", b""),)}),
    ("files./etc/x.conf=absent", {"files": (File("/etc/x.conf", None),)}),
    ('files."/a=\\"b"=text:absent', {"files": (File('/a="b', b"absent"),)}),
    ("limits.instructions=1_000", {"limits": Limits(instructions=1000)}),
    ('responses=[{call="openat", errno="EINTR"}]', {"responses": (Response("openat", errno="EINTR"),)}),
    ("cpuid.brand=A CPU", {"cpuid": Cpuid(brand="A CPU")}),
    ("cpuid.features=sse2, fpu", {"cpuid": Cpuid(features=("fpu", "sse2"))}),
    ("cpuid.features=", {"cpuid": Cpuid(features=())}),
    ("cpuid.erms=true", {"cpuid": Cpuid(features=(*Cpuid().features, "erms"))}),
    ("cpuid.avx=false", {}),
    ("cpuid.leaves.0x7.0=[0, 0xffffffff, 0, 0]", {"cpuid": Cpuid(leaves=((7, 0, 0, 0xFFFF_FFFF, 0, 0),))}),
    ("cpuid.leaves.22=[1, 2, 3, 4]", {"cpuid": Cpuid(leaves=((22, 0, 1, 2, 3, 4),))}),
    ('argv=["a", "hex:ff"]', {"argv": ("a", "\udcff")}),
    ("exe=/bin/x", {"exe": "/bin/x"}),
]


@pytest.mark.parametrize(("setting", "changed"), SETTINGS)
def test_a_setting_changes_what_it_names(setting: str, changed: dict[str, Any]) -> None:
    """``--set KEY=VALUE`` reaches any key; the World that comes out can be written down and read back."""
    world = apply(World(), setting)

    assert world == replace(World(), **changed)
    assert from_toml(to_toml(world)) == world
    assert from_toml(to_toml(world, changes_only=True)) == world


def test_settings_of_elements_replace_or_add() -> None:
    """The same element again replaces, another one adds; the order is that of the first mention."""
    world = World()
    for setting in (
        *("auxv.AT_RANDOM=absent", "auxv.AT_UID=1", "auxv.AT_RANDOM=5", "rlimits.core=1", "rlimits.core=2"),
        *("files./a=1", "files./b=2", "files./a=3", "cpuid.leaves.1=[1,1,1,1]", "cpuid.leaves.0x1.0=[2,2,2,2]"),
        *("cpuid.aes=false", "cpuid.aes=true"),
    ):
        world = apply(world, setting)

    assert world.auxv == (("AT_RANDOM", 5), ("AT_UID", 1))
    assert world.rlimits == (("core", 2, 2),)
    assert world.files == (File("/a", b"3"), File("/b", b"2"))
    assert world.cpuid.leaves == ((1, 0, 2, 2, 2, 2),)
    assert world.cpuid.features == Cpuid().features


@pytest.mark.parametrize(
    "line",
    [
        'cpus = "0,2-3,64"', "page-size = 16384", 'thp.pmd-size = "absent"',
        'at-random = "00112233445566778899aabbccddeeff"',
        'env.GOGC = "50"', 'env."A B" = "\\"x\\""', "cpuid.aes = false", 'auxv.AT_RANDOM = "absent"', "auxv.99 = 1",
        'uname.version = "#1 SMP"', 'process.sigmask = "0x200"', 'argv = ["a", "b c"]',
        'responses = [{call = "read", when = "1", errno = "EINTR"}]', 'cgroup.cpu-quota = "max"', "vdso = false",
    ],
)  # fmt: skip
def test_a_line_of_a_file_is_a_setting(line: str) -> None:
    """What stands in a World's file can be given to --set as it stands there, quotes and blanks included."""
    assert apply(World(env=()) if line.startswith("env.") else World(), line) == from_toml(line)


def test_a_literal_setting_keeps_its_quotes() -> None:
    """--env and the short forms take the text that the shell gives them."""
    assert apply(World(env=()), 'env.X="y"', literal=True).env == ('X="y"',)
    assert apply(World(env=()), 'env.X="y"').env == ("X=y",)
    assert apply(World(env=()), "env.X= y ").env == ("X= y ",)
    assert apply(World(), 'files."/etc/x=y" = "a\\nb"').files == (File("/etc/x=y", b"a\nb"),)


def test_settings_are_judged_together() -> None:
    """Each alone would contradict the file, both do not."""
    assert load("walk", ["cpus=0-7", "possible-cpus=8"]).cpus == CpuSet.first(8)


def test_walk_is_the_walkers_container() -> None:
    """2 of 4 CPUs, no huge-page folder, an old kernel, cgroup version 1; all else as in the default World."""
    walk = load("walk")

    assert "walk" in bundled()
    assert walk.cpus == CpuSet.parse("0-1")
    assert walk.possible == CpuSet.parse("0-3")
    assert walk.thp == Thp(pmd_size=None, pool=0)
    assert walk.uname.release.startswith("4.19.")
    assert walk.cgroup == Cgroup(version=1)
    default = World()
    assert default == replace(walk, possible_cpus=None, thp=default.thp, uname=default.uname, cgroup=default.cgroup)


def test_a_file_of_that_name_wins_over_a_bundled_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare name means the user's file, if there is one."""
    (tmp_path / "walk").write_text("cpus = 7")
    monkeypatch.chdir(tmp_path)

    assert load("walk").cpus == CpuSet.first(7)


def test_describe_keys_tells_every_key_and_its_default() -> None:
    """The documentation comes from the table that parsing uses."""
    keys = {info.key: info for info in describe_keys()}

    assert set(KEYS) <= set(keys)
    assert keys["page-size"][1:3] == ("size", "4096")
    assert keys["cpus"].default == '"0-1"'
    assert keys["thp.pmd-size"].default == "2097152"
    assert keys["auxv.NAME"].type == "integer or absent"
    assert "cpuid.NAME" in keys
    assert all(info.doc.endswith(".") and info.type for info in keys.values())


def test_defaults_of_describe_keys_read_back() -> None:
    """Each default, set, changes nothing."""
    defaults = {info.key: info.default for info in describe_keys() if info.key in KEYS and info.default != "[]"}

    assert len(defaults) > len(KEYS) * 0.8
    for key, default in defaults.items():
        assert from_toml(f"{key} = {default}") == World(), key


def test_the_page_of_keys_is_current() -> None:
    """``python -m syscalls.worldfile.docs > docs/world.md`` renews it."""
    page = Path(__file__).parents[2] / "docs" / "world.md"

    assert page.read_text() == render()
    example = INTRODUCTION.split("```toml\n")[1].split("```")[0]
    world = from_toml(example)
    assert world.cpus == CpuSet.parse("0,2-3,64")
    assert (world.page_size, world.memory.total, world.thp.pmd_size) == (65536, 8 << 30, b"2097152\n")
    assert world.files == (File("/etc/motd", b"hello\n"),)
    assert (world.responses[0].when, world.responses[0].errno) == ("2", "EINTR")


def test_aliases_lead_to_keys() -> None:
    """No spelling leads nowhere."""
    assert set(ALIASES.values()) <= set(KEYS)
    assert from_toml("files = [{path = '/x'}]") == from_toml("[[file]]\npath = '/x'")


def test_digest_is_that_of_the_world_not_of_its_spelling() -> None:
    """Equal Worlds have equal digests; the default's is fixed unless a default or a key changes."""
    assert digest(from_toml("page_size = '4KiB'")) == digest(World())
    assert digest(apply(World(), "seed=2")) != digest(World())
    assert len(digest(World())) == 64


def test_as_dict_is_json_with_sorted_keys_and_no_host_path() -> None:
    """Records hold it; a bind shows its guest side alone."""
    world = replace(World(), binds=(("/home/someone/secret", "/data", True),), possible_cpus=None)
    shown = as_dict(world)

    text = json.dumps(shown)
    assert text == json.dumps(shown, sort_keys=True)
    assert "secret" not in text
    assert shown["binds"] == [{"guest": "/data", "writable": True}]
    assert shown["possible-cpus"] == "0-1"
    assert shown["page-size"] == 4096
    assert shown["thp"] == {"defrag": "madvise", "enabled": "madvise", "pmd-size": 2097152, "pool": 0}
    assert "secret" in to_toml(world)


# Round trips over all there is

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
argument = st.binary(max_size=12).map(lambda raw: raw.replace(b"\0", b"").decode("utf-8", "surrogateescape"))
paths = texts.map(lambda text: "/" + text)
cpu_sets = st.sets(st.integers(0, 130), min_size=1, max_size=9).map(CpuSet.of)
descriptors = st.sets(st.integers(0, 2)).map(lambda fds: tuple(sorted(fds)))
words = st.integers(0, 2**32 - 1)
pages = st.integers(16, (1 << 35) - 1).map(lambda page: page * 4096)


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def limit_pairs(name: str) -> st.SearchStrategy[Any]:
    value = st.integers(0, U64 - 1)
    pairs = st.tuples(value, value).map(lambda pair: (name, min(pair), max(pair)))
    return pairs | value.map(lambda soft: (name, soft, None)) | st.just((name, None, None))


responses = st.builds(
    Response,
    call=st.sampled_from(["openat", "read", "sched_getaffinity"]),
    when=st.sampled_from(["1", "1+", "2..5", "3+2", "1..9+4"]),
    path=optional(texts),
    errno=st.sampled_from(sorted(NUMBERS)),
) | st.builds(
    Response,
    call=st.just("read"),
    result=st.integers(-(1 << 63), I64),
    data=optional(st.binary(max_size=9)),
)
worlds = st.builds(
    World,
    argv=st.lists(argument, max_size=3).map(tuple),
    env=st.lists(argument, max_size=3).map(tuple),
    exe=st.just("") | paths,
    cwd=paths,
    cpus=cpu_sets,
    page_size=st.integers(0, 1 << 31),
    seed=st.integers(0, U64),
    at_random=optional(st.binary(min_size=16, max_size=16)),
    vdso=st.booleans(),
    strict=st.booleans(),
    auxv=st.dictionaries(
        st.sampled_from(sorted(set(AUXV_TAGS) - {"AT_NULL"})) | st.just("99"), optional(st.integers(0, U64))
    ).map(lambda table: tuple(table.items())),
    memory=st.builds(Memory, total=st.integers(1 << 20, 1 << 46), brk_start=optional(pages), load_bias=pages),
    thp=st.builds(Thp, pmd_size=optional(st.binary(max_size=9) | st.from_regex(rb"-?[0-9]{1,25}\n?", fullmatch=True))),
    cpuid=st.builds(
        Cpuid,
        brand=st.text(st.characters(max_codepoint=126, exclude_characters="\0"), max_size=47),
        features=st.sets(st.sampled_from(EXECUTABLE)).map(ordered),
        leaves=st.dictionaries(
            st.tuples(words, st.integers(0, 9)), st.tuples(words, words, words, words), max_size=2
        ).map(lambda table: tuple((*key, *registers) for key, registers in table.items())),
    ),
    uname=st.builds(Uname, release=texts, nodename=texts),
    cgroup=st.builds(Cgroup, version=st.integers(0, 2), path=paths, cpu_quota=optional(st.integers(1000, 10**9))),
    process=st.builds(
        Process,
        closed_fds=descriptors,
        terminals=optional(descriptors),
        window=optional(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))),
        termios=optional(st.binary(min_size=36, max_size=36)),
    ),
    rlimits=st.sets(st.sampled_from(sorted(RLIMITS)), max_size=3)
    .flatmap(lambda names: st.tuples(*(limit_pairs(name) for name in sorted(names)))),
    files=st.dictionaries(paths, st.tuples(optional(st.binary(max_size=9)), st.integers(0, 0o7777)), max_size=3)
    .map(lambda table: tuple(File(path, *rest) for path, rest in table.items())),
    binds=st.lists(st.tuples(texts.filter(bool), paths, st.booleans()), max_size=2).map(tuple),
    responses=st.lists(responses, max_size=3).map(tuple),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(worlds)
def test_any_world_round_trips(world: World) -> None:
    """Complete or with changes alone, a World comes back equal; the complete text is canonical."""
    text = to_toml(world)

    assert from_toml(text) == world
    assert from_toml(to_toml(world, changes_only=True)) == world
    assert to_toml(from_toml(text)) == text
    json.dumps(as_dict(world))
