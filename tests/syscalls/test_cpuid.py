"""CPUID against encodings that the manuals and real CPUs give, and against what the engine can execute."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from syscalls.cpuid import BY_NAME, EAX, EBX, ECX, EDX, EXECUTABLE, TABLE, Table, cpuid, flags, signature_of
from syscalls.cpuset import CpuSet
from syscalls.world import Cpuid, World
from syscalls.worldfile import apply


def world(**fields: object) -> World:
    return World(cpuid=replace(Cpuid(), **fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("vendor", "registers"),
    [
        # Intel SDM vol. 2A, CPUID, "Input EAX = 0"; AMD APM vol. 3, E.3.1
        ("GenuineIntel", (0x756E6547, 0x6C65746E, 0x49656E69)),
        ("AuthenticAMD", (0x68747541, 0x444D4163, 0x69746E65)),
    ],
)
def test_leaf_0_names_the_vendor(vendor: str, registers: tuple[int, int, int]) -> None:
    """EBX, EDX and ECX hold the twelve letters in that order."""
    answer = cpuid(world(vendor=vendor), 0, 0)

    assert (answer[EBX], answer[ECX], answer[EDX]) == registers
    assert struct.pack("<III", answer[EBX], answer[EDX], answer[ECX]) == vendor.encode()
    assert answer[EAX] == 7


@pytest.mark.parametrize(
    ("family", "model", "stepping", "signature"),
    [
        (25, 17, 1, 0x00A10F11),  # AMD EPYC 9004 (Genoa), as the machines show it
        (6, 60, 3, 0x000306C3),  # Intel Haswell
        (6, 85, 4, 0x00050654),  # Intel Skylake-SP
        (15, 107, 1, 0x00060FB1),  # AMD Athlon 64 X2, which qemu64 presents
        (5, 2, 12, 0x0000052C),  # Intel Pentium
        (23, 1, 2, 0x00800F12),  # AMD EPYC 7001 (Naples)
    ],
)
def test_leaf_1_encodes_family_and_model(family: int, model: int, stepping: int, signature: int) -> None:
    """Known CPUs have these signatures."""
    assert signature_of(family, model, stepping) == signature
    assert cpuid(world(family=family, model=model, stepping=stepping), 1, 0)[EAX] == signature


def test_leaf_1_counts_cpus_and_names_the_one_it_runs_on() -> None:
    """EBX: APIC id of the lowest CPU allowed, logical CPUs of the machine, CLFLUSH lines of 64 bytes; EDX: HTT."""
    four = World(cpus=CpuSet.parse("2-3"), possible_cpus=CpuSet.first(4))
    one = World(cpus=CpuSet.first(1))

    assert cpuid(four, 1, 0)[EBX] == 2 << 24 | 4 << 16 | 8 << 8
    assert cpuid(four, 1, 0)[EDX] >> 28 & 1 == 1
    assert cpuid(one, 1, 0)[EBX] == 0 << 24 | 1 << 16 | 8 << 8
    assert cpuid(one, 1, 0)[EDX] >> 28 & 1 == 0
    assert cpuid(four, 0x80000008, 0)[ECX] == 3
    assert cpuid(World(cpus=CpuSet.first(1000)), 1, 0)[EBX] >> 16 & 0xFF == 255


# Bits from the SDM's tables 3-10 and 3-11 and APM E.4.2, not from the code.
BITS = [
    ("fpu", 1, EDX, 0), ("tsc", 1, EDX, 4), ("cx8", 1, EDX, 8), ("cmov", 1, EDX, 15), ("mmx", 1, EDX, 23),
    ("sse2", 1, EDX, 26), ("pni", 1, ECX, 0), ("pclmulqdq", 1, ECX, 1), ("ssse3", 1, ECX, 9), ("fma", 1, ECX, 12),
    ("cx16", 1, ECX, 13), ("sse4_1", 1, ECX, 19), ("sse4_2", 1, ECX, 20), ("movbe", 1, ECX, 22),
    ("popcnt", 1, ECX, 23), ("aes", 1, ECX, 25), ("xsave", 1, ECX, 26), ("osxsave", 1, ECX, 27), ("avx", 1, ECX, 28),
    ("f16c", 1, ECX, 29), ("rdrand", 1, ECX, 30), ("fsgsbase", 7, EBX, 0), ("bmi1", 7, EBX, 3), ("avx2", 7, EBX, 5),
    ("bmi2", 7, EBX, 8), ("erms", 7, EBX, 9), ("avx512f", 7, EBX, 16), ("rdseed", 7, EBX, 18), ("adx", 7, EBX, 19),
    ("sha_ni", 7, EBX, 29), ("fsrm", 7, EDX, 4), ("lahf_lm", 0x80000001, ECX, 0), ("abm", 0x80000001, ECX, 5),
    ("syscall", 0x80000001, EDX, 11), ("nx", 0x80000001, EDX, 20), ("rdtscp", 0x80000001, EDX, 27),
    ("lm", 0x80000001, EDX, 29), ("nonstop_tsc", 0x80000007, EDX, 8),
]  # fmt: skip


@pytest.mark.parametrize(("name", "leaf", "register", "bit"), BITS)
def test_a_feature_is_one_bit(name: str, leaf: int, register: int, bit: int) -> None:
    """Switching a feature moves its bit, if the engine executes it, and moves no other feature's."""
    on, off = cpuid(world(features=(name,)), leaf, 0), cpuid(world(features=()), leaf, 0)

    assert (BY_NAME[name].leaf, BY_NAME[name].register, BY_NAME[name].bit) == (leaf, register, bit)
    assert on[register] ^ off[register] == (1 << bit if name in EXECUTABLE else 0)
    assert {n for n in range(4) if on[n] != off[n]} == ({register} if name in EXECUTABLE else set())


def test_the_engine_limits_what_is_offered() -> None:
    """Nothing that needs VEX or the host's entropy, nor BMI2, whose BZHI the engine computes wrongly."""
    impossible = "avx avx2 avx512f osxsave xsave fma f16c bmi2 rdrand rdseed sha_ni adx"
    possible = "ssse3 sse4_1 sse4_2 aes pclmulqdq popcnt bmi1 abm movbe cx16 rdtscp"

    assert not set(impossible.split()) & set(EXECUTABLE)
    assert set(possible.split()) <= set(EXECUTABLE)
    assert set(World().cpuid.features) <= set(EXECUTABLE)


def test_the_table_names_each_bit_once() -> None:
    """Two rows would fight over it."""
    bits = [(feature.leaf, feature.register, feature.bit) for feature in TABLE if feature.leaf >= 0]

    assert len(bits) == len(set(bits))
    assert len(BY_NAME) == len(TABLE)


def test_brand_fills_three_leaves() -> None:
    """48 bytes, padded with NUL."""
    leaves = [cpuid(world(brand="A CPU of 17 chars"), 0x80000002 + n, 0) for n in range(3)]

    assert b"".join(struct.pack("<IIII", *leaf) for leaf in leaves) == b"A CPU of 17 chars".ljust(48, b"\0")


def test_address_sizes_and_leaf_maxima() -> None:
    """48 bits of both kinds; leaves up to 7 and 0x80000008."""
    assert cpuid(World(), 0x80000008, 0)[EAX] == 0x3030
    assert cpuid(World(), 0x80000000, 0)[EAX] == 0x80000008
    assert cpuid(World(), 0x80000000, 0)[EBX] == 0x68747541
    assert cpuid(World(), 7, 0)[EAX] == 0


def test_amd_repeats_leaf_1_in_the_extended_features() -> None:
    """APM E.4.2: bits 0-9, 12-17, 23 and 24; Intel leaves them out."""
    amd, intel = world(features=("fpu", "sse2", "mmx")), world(features=("fpu", "sse2", "mmx"), vendor="GenuineIntel")

    assert cpuid(amd, 0x80000001, 0)[EDX] == 1 << 0 | 1 << 23
    assert cpuid(intel, 0x80000001, 0)[EDX] == 0


def test_beyond_the_last_leaf_each_vendor_has_its_rule() -> None:
    """AMD: zeros; Intel: the largest basic leaf again (SDM vol. 2A, CPUID)."""
    intel = world(vendor="GenuineIntel", features=("bmi1", "erms"))

    for leaf in (8, 0x40000000, 0x8000_0009, 0xFFFF_FFFF):
        assert cpuid(World(), leaf, 0) == (0, 0, 0, 0)
        assert cpuid(intel, leaf, 0) == cpuid(intel, 7, 0) == (0, 1 << 3 | 1 << 9, 0, 0)
    assert cpuid(World(), 7, 1) == (0, 0, 0, 0)


def test_ecx_matters_only_where_leaves_have_subleaves() -> None:
    """Start-up code calls leaf 1 with whatever ECX holds."""
    assert cpuid(World(), 1, 0xDEAD) == cpuid(World(), 1, 0)
    assert cpuid(World(), 7, 5) != cpuid(World(), 7, 0)


def test_intel_caches_agree_with_amd_caches() -> None:
    """Leaf 4 (ways, line, sets) and 0x80000005/6 (KiB) describe one hierarchy."""
    intel = world(vendor="GenuineIntel")
    sizes = []
    for n in range(3):
        _, ebx, ecx, _ = cpuid(intel, 4, n)
        sizes.append(((ebx >> 22) + 1) * ((ebx >> 12 & 0x3FF) + 1) * ((ebx & 0xFFF) + 1) * (ecx + 1))

    assert sizes == [32 << 10, 32 << 10, 512 << 10]
    assert cpuid(intel, 4, 3)[EAX] & 0x1F == 0
    assert cpuid(World(), 0x80000005, 0)[ECX] >> 24 == cpuid(World(), 0x80000005, 0)[EDX] >> 24 == 32
    assert cpuid(World(), 0x80000006, 0)[ECX] >> 16 == 512
    assert cpuid(World(), 0x80000006, 0)[ECX] & 0xFF == 64


def test_raw_leaves_win_but_promise_nothing_impossible() -> None:
    """An override gives every bit that is not a feature the engine lacks."""
    ones = 0xFFFF_FFFF
    raw = tuple((leaf, 0, ones, ones, ones, ones) for leaf in (1, 3, 7, 0xD, 0x80000001, 0x80000008))
    table = Table(world(leaves=(*raw, (7, 1, ones, ones, ones, ones))))

    assert table.query(3, 0) == (ones, ones, ones, ones)
    assert table.query(1, 0)[:2] == (ones, ones)
    assert table.query(0xD, 0) == table.query(7, 1) == (0, 0, 0, 0)
    for feature in TABLE:
        if feature.leaf in (1, 7, 0x80000001):
            offered = table.query(feature.leaf, 0)[feature.register] >> feature.bit & 1
            assert offered == (not feature.why_not), feature.name
    assert table.query(0x80000008, 0) == (ones, 0, ones, ones)


def test_raw_leaves_move_the_maximum() -> None:
    """Leaf 0 reaches an overridden leaf, unless leaf 0 is raw itself."""
    assert cpuid(world(leaves=((0x16, 0, 2000, 0, 0, 0),)), 0, 0)[EAX] == 0x16
    assert cpuid(world(leaves=((0x16, 0, 2000, 0, 0, 0),)), 0x16, 0) == (2000, 0, 0, 0)
    short = world(leaves=((0, 0, 1, 2, 3, 4),))
    assert cpuid(short, 0, 0) == (1, 2, 3, 4)
    assert cpuid(short, 7, 0) == (0, 0, 0, 0)


def test_flags_are_the_bits_by_name() -> None:
    """/proc/cpuinfo and CPUID come from one table, in the kernel's order."""
    without = apply(World(), "cpuid.aes=false")

    assert " aes " in flags(World())
    assert " aes " not in flags(without)
    assert cpuid(without, 1, 0)[ECX] == cpuid(World(), 1, 0)[ECX] & ~(1 << 25)
    assert " sse2 ht syscall " in flags(World())
    assert " sse2 syscall " in flags(World(cpus=CpuSet.first(1)))
    assert "avx" not in flags(world(features=("fpu", "avx")))
