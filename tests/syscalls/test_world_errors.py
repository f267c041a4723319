"""Every mistake in a World is one line that names the key, the value and what is allowed."""

# ruff: noqa: E501 - a message stands on one line, as the user sees it

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syscalls.cpuset import CpuSet
from syscalls.world import Cpuid, File, World
from syscalls.worldfile import WorldError, apply, check, digest, from_toml, load, to_toml
from syscalls.worldfile.keys import KEYS
from syscalls.worldfile.reader import merge

CPUS = 'a count such as 3, a list such as "0,2-3,64" (CPU 0 alone: "0-0") or a mask such as "0x5", of 1 to 65536 CPUs'
MEMORY = ", ".join(name for name in KEYS if name.startswith("memory."))
AUXV = 'AT_ names (or tag numbers) with integers from 0 to 2**64-1 or "absent"'
HUGE = 'a number n (for "n\\n"), any text, hex: and digits, text: and literal text, or absent'
BYTES = "text, or hex: and hexadecimal digits, or text: and any text"
SIGNALS = 'a mask such as "0x200" or an array such as ["SIGUSR1", 34], no KILL, no STOP'
LIMITS = 'limits such as nofile = 1024 or nofile = "1024:4096" or core = "unlimited"'
LEAVES = 'leaves such as "0x7.0" = [eax, ebx, ecx, edx], each from 0 to 0xffffffff'
NAMES = (
    "cpu, fsize, data, stack, core, rss, nproc, nofile, memlock, as, locks, sigpending, msgqueue, nice, rtprio, rttime"
)
FILES = "tables with path, content, mode and errno"
RESPONSES = "tables with call, when, path, errno, result, data and arguments"
WHEN = "N, N..M, N+, N+S or N..M+S with N, M and S from 1, such as 2, 1..3, 4+ or 1+2"

TOML_ERRORS = [
    # unknown keys
    ("page-sise = 1", 'page-sise: unknown key (did you mean "page-size"?); allowed: the keys of a World'),
    ("xyzzy = 1", "xyzzy: unknown key; allowed: the keys of a World"),
    ("[memory]\ntotl = 1", f'memory.totl: unknown key (did you mean "memory.total"?); allowed: {MEMORY}'),
    ("[mem]\ntotal = 1", 'mem: unknown key (did you mean "memory"?); allowed: the keys of a World'),
    ("[memroy]\nlimit = 5", 'memroy: unknown key (did you mean "memory"?); allowed: the keys of a World'),
    ("memory = 5", f"memory: 5 is not a table; allowed: {MEMORY}"),
    ("page-size = 1\npage_size = 2", "page_size: page-size is given twice"),
    ("thp = 1\n[files]", f"files: {{}} is not an array of tables; allowed: {FILES}"),
    # wrong types
    ("page-size = true", "page-size: true is not an integer; allowed: a size in bytes, such as 65536 or 64MiB, from 0 to 2147483648"),
    ("page-size = 1.5", "page-size: 1.5 is not an integer; allowed: a size in bytes, such as 65536 or 64MiB, from 0 to 2147483648"),
    ("page-size = [1]", "page-size: [1] is not an integer; allowed: a size in bytes, such as 65536 or 64MiB, from 0 to 2147483648"),
    ('seed = "x"', "seed: 'x' is not an integer; allowed: an integer from 0 to 18446744073709551615"),
    ("vdso = 1", "vdso: 1 is not a boolean; allowed: true or false"),
    ('vdso = "true"', "vdso: 'true' is not a boolean; allowed: true or false"),
    ("cpus = true", f"cpus: true is not a set of CPUs; allowed: {CPUS}"),
    ("cpus = [0, 1]", f"cpus: [0, 1] is not a set of CPUs; allowed: {CPUS}"),
    ("argv = 'a'", "argv: 'a' is not an array of strings; allowed: an array of strings without NUL, such as [\"a\", \"b\"]"),
    ("argv = [1]", 'argv: 1 is not text; allowed: an array of strings without NUL, such as ["a", "b"]'),
    ("cwd = 3", "cwd: 3 is not text; allowed: an absolute path of the guest, of at most 4095 bytes"),
    ("thp = true", f"thp: true is not text; allowed: {HUGE}"),
    ("thp = [1]", f"thp: [1] is not text; allowed: {HUGE}"),
    ("at-random = 5", "at-random: 5 is not text; allowed: 32 hexadecimal digits, the 16 bytes, or auto"),
    ("auxv = 5", f"auxv: 5 is not a table of AT_ names; allowed: {AUXV}"),
    # out of range
    ("page-size = -1", "page-size: -1 is out of range; allowed: a size in bytes, such as 65536 or 64MiB, from 0 to 2147483648"),
    ('page-size = "3GiB"', "page-size: 3221225472 is out of range; allowed: a size in bytes, such as 65536 or 64MiB, from 0 to 2147483648"),
    ('page-size = "4kb"', "page-size: '4kb' has an unknown unit; allowed: a size in bytes, such as 65536 or 64MiB, from 0 to 2147483648"),
    ('seed = "4KiB"', "seed: '4KiB' has an unknown unit; allowed: an integer from 0 to 18446744073709551615"),
    ("memory.mmap-base = 0x12345678901", "memory.mmap-base: 1250999896321 is not a multiple of 4096; allowed: an integer from 0x10000 to 0x7ffffffff000, a multiple of 4096"),
    ("cpus = 0", f"cpus: 0 CPUs: at least one CPU is needed; allowed: {CPUS}"),
    ("cpus = 65537", f"cpus: 65537 CPUs are too many; allowed: {CPUS}"),
    ("cpus = '0-65536'", f"cpus: '0-65536': '65536' is too large; the largest is 65535; allowed: {CPUS}"),
    ("cpus = '0x0'", f"cpus: '0x0' is the empty set: at least one CPU is needed; allowed: {CPUS}"),
    ("cpus = 4\npossible-cpus = '0-1,7'", "cpus: CPUs 2-3 are not possible; allowed: some of possible-cpus, 0-1,7"),
    ("at-random = '00'", "at-random: '00' is 1 bytes long; allowed: 32 hexadecimal digits, the 16 bytes, or auto"),
    ("at-random = '0'", "at-random: '0' is not hexadecimal digits in pairs; allowed: 32 hexadecimal digits, the 16 bytes, or auto"),
    (f"uname.release = '{'é' * 33}'", f"uname.release: '{'é' * 33}' is 66 bytes long; allowed: text of at most 64 bytes, without NUL"),
    ('uname.release = "a\\u0000"', "uname.release: 'a\\x00' holds a NUL; allowed: text of at most 64 bytes, without NUL"),
    ('cpuid.brand = "é"', "cpuid.brand: 'é' is not valid ASCII; allowed: ASCII text of at most 47 bytes, without NUL"),
    ("cwd = 'tmp'", "cwd: 'tmp' is not an absolute path; allowed: an absolute path of the guest, of at most 4095 bytes"),
    ("cwd = ''", "cwd: the text is empty; allowed: an absolute path of the guest, of at most 4095 bytes"),
    ("thp.enabled = 'on'", "thp.enabled: 'on' is not one of them; allowed: always, madvise or never"),
    ("thp = 'hex:0'", f"thp: '0' is not hexadecimal digits in pairs; allowed: {HUGE}"),
    ("cgroup.version = 3", "cgroup.version: 3 is out of range; allowed: an integer from 0 to 2"),
    ("cgroup.cpu-quota = 1", "cgroup.cpu-quota: 1 is out of range; allowed: an integer from 1000 to 9223372036854775, or max"),
    ("process.closed-fds = [3]", "process.closed-fds: 3 is out of range; allowed: some of 0, 1 and 2"),
    ("process.sigmask = ['SIGUSR3']", f"process.sigmask: unknown signal 'SIGUSR3' (did you mean \"SIGUSR2\"?); allowed: {SIGNALS}"),
    ("process.sigmask = ['SIGKILL']", f"process.sigmask: SIGKILL and SIGSTOP cannot be blocked; allowed: {SIGNALS}"),
    ("process.sigmask = [65]", f"process.sigmask: 65 is out of range; allowed: {SIGNALS}"),
    # maps and arrays of tables
    ("auxv.AT_RANDON = 1", f"auxv: unknown entry 'AT_RANDON' (did you mean \"AT_RANDOM\"?); allowed: {AUXV}"),
    ("auxv.AT_NULL = 1", f"auxv: AT_NULL ends the vector and cannot be changed; allowed: {AUXV}"),
    ("auxv.AT_UID = 'x'", f"auxv: 'x' is not an integer; allowed: {AUXV}"),
    ("auxv = {AT_UID = 1, 11 = 2}", f"auxv: AT_UID is given twice; allowed: {AUXV}"),
    ("auxv.99999999999 = 1", f"auxv: unknown entry '99999999999'; allowed: {AUXV}"),
    ("rlimits.nofiles = 1", f"rlimits: unknown limit 'nofiles' (did you mean \"nofile\"?); allowed: {NAMES}"),
    ("rlimits.nofile = '5:4'", f"rlimits: '5:4' has a soft limit above the hard one; allowed: {LIMITS}"),
    ("rlimits.nofile = 'unlimited:4'", f"rlimits: 'unlimited:4' has a soft limit above the hard one; allowed: {LIMITS}"),
    ("rlimits.nofile = true", f"rlimits: true is not an integer; allowed: {LIMITS}"),
    ("cpuid.leaves.x = [0,0,0,0]", f"cpuid.leaves: 'x' is not an integer; allowed: {LEAVES}"),
    ("cpuid.leaves.1 = [0]", f"cpuid.leaves: leaf '1' has 1 registers; allowed: {LEAVES}"),
    ("cpuid.leaves.1 = [0,0,0,4294967296]", f"cpuid.leaves: 4294967296 is out of range; allowed: {LEAVES}"),
    ("cpuid.leaves = {1 = [0,0,0,0], '0x1' = [0,0,0,0]}", f"cpuid.leaves: leaf 0x1 is given twice; allowed: {LEAVES}"),
    ("env = {'A=' = 'x'}", "env: 'A=' is not a name; allowed: a name that is not empty and holds no \"=\""),
    ('env = ["A=\\u0000"]', 'env: \'A=\\x00\' holds a NUL; allowed: an array such as ["NAME=value"] or a table such as {NAME = "value"}, without NUL'),
    ("[[file]]\ncontent = 'x'", f"file 1: a file without path; allowed: {FILES}"),
    ("[[file]]\npath = 'x'", "file 1: path: 'x' is not an absolute path; allowed: an absolute path of the guest, of at most 4095 bytes"),
    ("[[file]]\npath = '/x'\nmod = 1", 'file 1: unknown key \'mod\' (did you mean "mode"?); allowed: path, content, mode, errno'),
    ("[[file]]\npath = '/x'\nmode = 0o10000", "file 1: mode: 4096 is out of range; allowed: permission bits from 0 to 0o7777"),
    ("[[file]]\npath = '/x'\ncontent = 5", f"file 1: content: 5 is not text; allowed: {BYTES}, or absent"),
    ("[[file]]\npath = '/x'\n[[file]]\npath = '/x'", f"file: the file '/x' is given twice; allowed: {FILES}"),
    ("[[file]]\npath = '/x'\nerrno = 'EIOO'", "file 1: errno: unknown errno 'EIOO' (did you mean \"EIO\"?); allowed: an errno name such as EINTR"),
    ("file = 5", f"file: 5 is not an array of tables; allowed: {FILES}"),
    (
        "[[response]]\ncall = 'read'\nresult = 1\n[[response]]\ncall = 'raed'\nresult = 1",
        "response 2: call: unknown system call 'raed' (did you mean \"read\"?); allowed: the name of a system call, such as openat",
    ),
    ("file = [5]", f"file 1: 5 is not a table of keys; allowed: {FILES}"),
    ("[[response]]\nerrno = 'EINTR'", f"response 1: a response without call; allowed: {RESPONSES}"),
    ("[[response]]\ncall = 'opnat'\nerrno = 'EIO'", "response 1: call: unknown system call 'opnat' (did you mean \"openat\"?); allowed: the name of a system call, such as openat"),
    ("[[response]]\ncall = 'read'", "response 1: a response to read that changes nothing; allowed: errno, result, data or arguments"),
    ("[[response]]\ncall = 'read'\nerrno = 'EIO'\nresult = 1", "response 1: a response to read with errno and result or data; allowed: errno alone, or result and data"),
    ("[[response]]\ncall = 'read'\narguments = {6 = 1}", "response 1: arguments: no argument has the number '6'; allowed: a table of integers with keys from 0 to 5, such as {2 = 1}"),
    ("[[response]]\ncall = 'read'\nresult = 1\narguments = {2 = 1}", "response 1: a response to read with arguments of a call that is not performed; allowed: arguments alone, or errno, result or data"),
    ("[[response]]\ncall = 'read'\nwhen = '0'\nresult = 1", f"response 1: when: '0' is not such a rule; allowed: {WHEN}"),
    ("[[response]]\ncall = 'read'\nwhen = '3..2'\nresult = 1", f"response 1: when: '3..2' is not such a rule; allowed: {WHEN}"),
    ("[[response]]\ncall = 'read'\nwhen = '1+0'\nresult = 1", f"response 1: when: '1+0' is not such a rule; allowed: {WHEN}"),
    ("[[response]]\ncall = 'read'\nresult = 9223372036854775808", "response 1: result: 9223372036854775808 is out of range; allowed: an integer from -9223372036854775808 to 9223372036854775807"),
    ("[[bind]]\nhost = 'x'", "bind 1: a bind without guest; allowed: tables with host, guest and writable"),
    ("cpuid.aes = 1", "cpuid.aes: 1 is not a boolean; allowed: true or false"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), TOML_ERRORS)
def test_toml_errors(text: str, message: str) -> None:
    """The whole line, for each way to be wrong."""
    with pytest.raises(WorldError) as caught:
        from_toml(text)

    assert str(caught.value) == message


SETTING_ERRORS = [
    ("page-size", "'page-size' is not a setting; allowed: KEY=VALUE"),
    ("=1", "'=1' is not a setting; allowed: KEY=VALUE"),
    ('"page-size=1', "'\"page-size=1' has a quote in its key that is not closed; allowed: KEY=VALUE"),
    ("page-sise=1", 'page-sise: unknown key (did you mean "page-size"?); allowed: the keys of a World'),
    ("page-size.x=1", 'page-size.x: unknown key (did you mean "page-size"?); allowed: the keys of a World'),
    ("memory=1", f"memory: it is a table and has no value of its own; allowed: {MEMORY}"),
    ("memory.limits=1", f'memory.limits: unknown key (did you mean "memory.limit"?); allowed: {MEMORY}'),
    ("page-size=4k4", "page-size: '4k4' is not an integer; allowed: a size in bytes, such as 65536 or 64MiB, from 0 to 2147483648"),
    ("page-size=" + "9" * 5000, "page-size: '9999999999999999999999999999999999999999'... (5000 characters) is out of range; allowed: a size in bytes, such as 65536 or 64MiB, from 0 to 2147483648"),
    ("vdso=yes", "vdso: 'yes' is not a boolean; allowed: true or false"),
    ("auxv.AT_PAGSZ=1", f"auxv.AT_PAGSZ: unknown entry 'AT_PAGSZ' (did you mean \"AT_PAGESZ\"?); allowed: {AUXV}"),
    ("auxv=1", f"auxv: 1 is not a table of AT_ names; allowed: {AUXV}"),
    ("argv=a b", "argv: 'a b' is not a TOML value; allowed: an array of strings without NUL, such as [\"a\", \"b\"]"),
    ("argv=[]\nx=1", "argv: '[]\\nx=1' is not one TOML value; allowed: an array of strings without NUL, such as [\"a\", \"b\"]"),
    ("files.etc=1", "files.etc: path: 'etc' is not an absolute path; allowed: an absolute path of the guest, of at most 4095 bytes"),
    ("env.=1", "'env.=1' is not a setting; allowed: KEY=VALUE"),
    ('env."A=B"=1', "env.A=B: 'A=B' is not a name; allowed: a name that is not empty and holds no \"=\""),
    ("cpuid.aes=perhaps", "cpuid.aes: 'perhaps' is not a boolean; allowed: true or false"),
    ("rlimits.stack=8XiB", f"rlimits.stack: '8XiB' has an unknown unit; allowed: {LIMITS}"),
    ("cpus=1,x", f"cpus: '1,x' is not a list of CPUs: 'x' is not N or N-M; allowed: {CPUS}"),
]  # fmt: skip


@pytest.mark.parametrize(("setting", "message"), SETTING_ERRORS)
def test_setting_errors(setting: str, message: str) -> None:
    """The same lines, from the command line."""
    with pytest.raises(WorldError) as caught:
        apply(World(), setting)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("setting", "start"),
    [
        ("cpuid.avx=true", "cpuid.avx: the engine cannot execute avx: it raises #UD on most VEX encodings and takes"),
        ("cpuid.rdrand=true", "cpuid.rdrand: the engine cannot execute rdrand: its answers would come from the host and not"),
        ("cpuid.bmi2=true", "cpuid.bmi2: the engine cannot execute bmi2: bzhi with an index beyond the operand gives"),
        ("cpuid.features=avx2,fpu", "cpuid.features: the engine cannot execute avx2: it raises #UD on most VEX encodings"),
        ("cpuid.features=ssse4", "cpuid.features: unknown CPU feature 'ssse4' (did you mean \"ssse3\"?)"),
        ("cpuid.asse3=true", 'cpuid.asse3: unknown key (did you mean "cpuid.ssse3"?)'),
    ],
)  # fmt: skip
def test_features_that_cannot_be(setting: str, start: str) -> None:
    """The reason is the engine's; the allowed ones are listed."""
    with pytest.raises(WorldError) as caught:
        apply(World(), setting)

    assert str(caught.value).startswith(start)
    assert "; allowed: " in str(caught.value)
    assert "\n" not in str(caught.value)
    if "engine" in start or "unknown CPU" in start:
        assert "sse4_2, x2apic" in caught.value.allowed
        assert "avx" not in caught.value.allowed


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"cpus = 1\npage-size == 3", "bad TOML: Invalid value (at line 2, column 12)"),
        (b'seed = 1\ncpus = "0-1\n', "bad TOML: a quote is not closed (at line 2, column 12)"),
        (b'cpus = "0-1', "bad TOML: a quote is not closed (at line 1, column 12)"),
        (b"cpus = '0-1", "bad TOML: a quote is not closed (at line 1, column 12)"),
        (b"cpus = [1,", "bad TOML: Invalid value (at line 1, column 11)"),
        (b"cpus = 1\ncpus = 2\n", "bad TOML: Cannot overwrite a value (at line 2, column 9)"),
        (b"[memory\n", "bad TOML: Expected ']' at the end of a table declaration (at line 1, column 8)"),
        (b"cpus = 1\n# \xff", "not UTF-8 (at line 2, column 3); allowed: TOML"),
        (b"a = " + b"[" * 100_000, "bad TOML: nested too deeply, or a number too long"),
        (b"a = " + b"9" * 5000, "bad TOML: nested too deeply, or a number too long"),
        (b"\xff", "not UTF-8 (at line 1, column 1); allowed: TOML"),
        (b"cpus = 0", f"cpus: 0 CPUs: at least one CPU is needed; allowed: {CPUS}"),
    ],
)
def test_a_bad_file_is_named_with_its_line_and_column(tmp_path: Path, content: bytes, message: str) -> None:
    """One line: the file, then what is wrong where."""
    file = tmp_path / "bad.toml"
    file.write_bytes(content)

    with pytest.raises(WorldError) as caught:
        load(str(file))

    assert str(caught.value) == f"{file}: {message}"


def test_what_is_no_file(tmp_path: Path) -> None:
    """A missing file, a folder and a device are refused without being read."""
    with pytest.raises(WorldError, match=r"^no such World: 'wlak'; allowed: a TOML file, or one of .*walk"):
        load("wlak")
    with pytest.raises(WorldError, match=r"is not a regular file; allowed: a TOML file$"):
        load(str(tmp_path))
    with pytest.raises(WorldError, match=r"^'/dev/zero' is not a regular file"):
        load("/dev/zero")
    with pytest.raises(WorldError, match=r"^'' is not a regular file"):
        load("")
    sparse = tmp_path / "large.toml"
    with sparse.open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(WorldError, match="is larger than 67108864 bytes"):
        load(sparse)


@pytest.mark.parametrize(
    ("world", "message"),
    [
        (
            World(auxv=(("AT_UID", 1), ("AT_GID", 2), ("AT_UID", None))),
            "auxv: 'AT_UID' is given twice; allowed: each once",
        ),
        (World(rlimits=(("core", 1, 1), ("core", 2, 2))), "rlimits: 'core' is given twice; allowed: each once"),
        (World(files=(File("/x"), File("/x"))), "files: '/x' is given twice; allowed: each once"),
        (
            World(cpuid=Cpuid(leaves=((1, 0, 0, 0, 0, 0),) * 2)),
            "cpuid.leaves: (1, 0) is given twice; allowed: each once",
        ),
        (World(cpuid=Cpuid(family=5, model=16)), "cpuid.model: 16 is too large for family 5; allowed: 0 to 15"),
        (World(possible_cpus=CpuSet(1)), "cpus: CPUs 1 are not possible; allowed: some of possible-cpus, 0"),
    ],
)
def test_a_world_made_by_hand_is_checked_before_it_is_written(world: World, message: str) -> None:
    """TOML could not say it, so it would come back as another World."""
    for write in (to_toml, digest, check):
        with pytest.raises(WorldError) as caught:
            write(world)
        assert str(caught.value) == message


def test_an_error_knows_its_parts() -> None:
    """For whoever shows it otherwise than as a line."""
    with pytest.raises(WorldError) as caught:
        apply(World(), "vdso=1")

    assert (caught.value.key, caught.value.problem, caught.value.allowed) == (
        "vdso", "'1' is not a boolean", "true or false"
    )  # fmt: skip


def assert_one_line(call: Callable[[], World]) -> None:
    message = "one line"
    try:
        call()
    except WorldError as error:
        message = str(error)
    assert len(message.splitlines()) == 1


tree = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=5) | st.floats() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from([*KEYS, "thp", "file", "response", "cpuid.aes", "memory", "nothing"]), st.text(max_size=30))
def test_any_text_for_any_key_is_a_world_or_one_line(key: str, text: str) -> None:
    """Whatever stands after the key, nothing but WorldError comes out, on one line."""
    assert_one_line(lambda: apply(World(), f"{key}={text}"))


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_any_setting_is_a_world_or_one_line(setting: str) -> None:
    """As above, for settings that are not even one."""
    assert_one_line(lambda: apply(World(), setting))


@settings(max_examples=500, deadline=None)
@given(st.sampled_from([*KEYS, *sorted({key.partition(".")[0] for key in KEYS})]), tree)
def test_any_toml_value_for_any_key_is_a_world_or_one_line(key: str, value: object) -> None:
    """Types that TOML has and a key does not expect."""
    document: dict[str, object] = {}
    *sections, name = key.split(".")
    place = document
    for section in sections:
        place[section] = place = {}
    place[name] = value
    assert_one_line(lambda: merge(World(), document))
