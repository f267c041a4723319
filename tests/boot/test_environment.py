"""The environment: GOMAXPROCS, GODEBUG, GOGC, GOMEMLIMIT, GOTRACEBACK, by what the sources make of their text.

Read in proc.go (schedinit), runtime1.go (parsedebugvars, setTraceback), mgcpacer.go and mgc.go (readGOGC,
setGCPercent, readGOMEMLIMIT), string.go (parseByteCount) and internal/strconv (a plus sign, since Go 1.26).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from syscalls.worldfile import from_toml
from tests.booted import UNSTRIPPED, boot_in, booted, number, value

MEMORY_LIMIT = tuple(name for name in UNSTRIPPED if name.startswith("hello"))  # GOMEMLIMIT came with Go 1.19
WITH_PLUS = ("hello-1.26.6", "hello-1.27.3")
NO_LIMIT = (1 << 63) - 1
HEAP = 4 << 20  # defaultHeapMinimum


@pytest.mark.parametrize("name", UNSTRIPPED)
@pytest.mark.parametrize(
    ("text", "procs"),
    [
        ("1", 1), ("7", 7), ("007", 7), ("300", 300),
        # Not a positive int32: the number of CPUs, 3.
        ("", 3), ("0", 3), ("-4", 3), ("four", 3), ("4 ", 3), ("0x4", 3), ("4.0", 3), ("2147483648", 3),
        ("99999999999999999999", 3),
    ],
)  # fmt: skip
def test_gomaxprocs(binary: Callable[[str], Path], name: str, text: str, procs: int) -> None:
    """A positive number is taken, whatever the CPUs; anything else counts as unset."""
    record = booted(binary(name), "cpus=3", f"env.GOMAXPROCS={text}")

    assert record.outcome["kind"] == "reached"
    assert number(record, "ncpu") == 3
    assert number(record, "gomaxprocs") == procs == len(record.views["runtime.allp"])


@pytest.mark.parametrize("name", UNSTRIPPED)
def test_a_plus_sign_is_a_number_since_1_26(binary: Callable[[str], Path], name: str) -> None:
    """The runtime's own atoi knew only the minus; internal/strconv knows both."""
    record = booted(binary(name), "cpus=3", "env.GOMAXPROCS=+5")

    assert number(record, "gomaxprocs") == (5 if name in WITH_PLUS else 3)


@pytest.mark.parametrize("name", UNSTRIPPED)
@pytest.mark.parametrize(
    ("text", "percent"),
    [
        ("", 100),
        ("50", 50),
        ("0", 0),
        ("200", 200),
        ("off", -1),
        ("-7", -1),
        ("garbage", 100),
        ("50%", 100),
        ("Off", 100),
    ],
)
def test_gogc(binary: Callable[[str], Path], name: str, text: str, percent: int) -> None:
    """The percentage, and 4 MiB times it as the smallest heap that is collected: unsigned, so off makes that huge."""
    record = booted(binary(name), f"env.GOGC={text}")

    assert number(record, "gcPercent") == percent
    assert number(record, "heapMinimum") == HEAP * (percent % 2**64) % 2**64 // 100


@pytest.mark.parametrize("name", MEMORY_LIMIT)
@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("", NO_LIMIT), ("off", NO_LIMIT), ("0", 0), ("123456789", 123456789), ("512B", 512), ("3KiB", 3 << 10),
        ("7MiB", 7 << 20), ("1GiB", 1 << 30), ("2TiB", 2 << 40), (str(NO_LIMIT), NO_LIMIT),
    ],
)  # fmt: skip
def test_gomemlimit(binary: Callable[[str], Path], name: str, text: str, limit: int) -> None:
    """Bytes, with the binary units up to TiB."""
    assert number(booted(binary(name), f"env.GOMEMLIMIT={text}"), "memoryLimit") == limit


@pytest.mark.parametrize("name", MEMORY_LIMIT)
@pytest.mark.parametrize(
    "text", ["garbage", "1GB", "1.5GiB", "-1", "GiB", "1 GiB", "9PiB", "9223372036854775808", "8388608TiB"]
)
def test_a_malformed_gomemlimit_throws(binary: Callable[[str], Path], name: str, text: str) -> None:
    """The text is printed, then the throw of readGOMEMLIMIT, in the runtime's own words."""
    record = booted(binary(name), f"env.GOMEMLIMIT={text}")
    message = "malformed GOMEMLIMIT; see `go doc runtime/debug.SetMemoryLimit`"

    assert (record.outcome["kind"], record.outcome["message"]) == ("throw", message)
    assert record.output.startswith(f"GOMEMLIMIT={text}\nfatal error: {message}\n")
    assert not record.calls("runtime.procresize")


@pytest.mark.parametrize("name", UNSTRIPPED)
@pytest.mark.parametrize(
    ("text", "cache"),
    [
        # tracebackCrash 1, tracebackAll 2, and the level from the third bit on (runtime1.go).
        (None, 1 << 2), ("none", 0), ("", 1 << 2), ("single", 1 << 2), ("all", 1 << 2 | 2), ("system", 2 << 2 | 2),
        ("crash", 2 << 2 | 2 | 1), ("0", 2), ("1", 1 << 2 | 2), ("9", 9 << 2 | 2), ("garbage", 2), ("-1", 2),
    ],
)  # fmt: skip
def test_gotraceback(binary: Callable[[str], Path], name: str, text: str | None, cache: int) -> None:
    """Names and numbers of levels; what is neither shows all goroutines, none of them in detail."""
    settings = [] if text is None else [f"env.GOTRACEBACK={text}"]

    assert number(booted(binary(name), *settings), "traceback_cache") == cache


@pytest.mark.parametrize("name", UNSTRIPPED)
def test_several_godebug_settings(binary: Callable[[str], Path], name: str) -> None:
    """Known ones with a number are set, the last one wins, the rest is ignored."""
    text = "gctrace=1,invalidptr=0,nosuch=5,schedtrace=1000,scheddetail=x,gctrace=3,,sbrk"
    before, record = booted(binary(name)), booted(binary(name), f"env.GODEBUG={text}")
    old, new = before.views["runtime.debug"], record.views["runtime.debug"]

    assert (new["gctrace"], new["invalidptr"], new["schedtrace"], new["scheddetail"], new["sbrk"]) == (3, 0, 1000, 0, 0)
    changed = {name for name in new if new[name] != old[name]}
    assert changed == {"gctrace", "invalidptr", "schedtrace"}


@pytest.mark.parametrize("name", UNSTRIPPED)
def test_godebug_takes_cpu_features_away(binary: Callable[[str], Path], name: str) -> None:
    """cpu.aes=off: the flag, and the hash that depends on it; cpu.all=off takes everything that is optional."""
    record, nothing = booted(binary(name), "env.GODEBUG=cpu.aes=off"), booted(binary(name), "env.GODEBUG=cpu.all=off")
    before = booted(binary(name)).views["internal/cpu.X86"]
    flags = record.views["internal/cpu.X86"]

    assert before["HasAES"] is True
    assert [flag for flag in flags if flags[flag] != before[flag]] == ["HasAES"]
    assert value(record, "useAeshash") is False
    kept = {flag for flag, on in nothing.views["internal/cpu.X86"].items() if flag.startswith("Has") and on}
    assert kept <= {"HasSSE2", "HasOSXSAVE"}  # the first belongs to every amd64, the second is no option


@pytest.mark.parametrize("name", UNSTRIPPED)
def test_arguments_and_environment_arrive_byte_for_byte(binary: Callable[[str], Path], name: str) -> None:
    """As the World has them, in order, with what is not ASCII; GODEBUG is found behind other variables."""
    world = from_toml(
        'argv = ["prog", "", "a b", "äöü"]\nenv = ["A=1", "EMPTY=", "GODEBUG=gctrace=4", "Ü=ß", "NOEQUALS"]'
    )
    record = boot_in(binary(name), world)

    assert record.views["runtime.argslice"] == list(world.argv)
    assert record.views["runtime.envs"] == list(world.env)
    assert number(record, "argc") == 4
    assert record.views["runtime.debug"]["gctrace"] == 4


def test_no_environment_at_all() -> None:
    """An empty envp: envs is empty, everything has its default."""
    record = boot_in(None, from_toml("env = []"))

    assert record.views["runtime.envs"] == []
    assert number(record, "gcPercent") == 100
    assert number(record, "gomaxprocs") == 2
