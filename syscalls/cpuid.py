"""What CPUID answers, from the World's CPU model; and the feature flags that /proc/cpuinfo shows from the same table.

The layout is that of Intel's SDM vol. 2A (CPUID) and AMD's APM vol. 3, appendix E.  A bit is never set for what the
engine cannot execute, whatever a World asks.

The column "why not" was measured: the instructions of each feature ran natively and under Unicorn 2.1.4 in its default
CPU model (Haswell) on ten operand pairs, and the results were compared.  Right everywhere: cmov, the SSE family to
4.2 with the string compares, popcnt, lzcnt, tzcnt, bmi1, movbe, aes, pclmulqdq, cmpxchg16b, rep movsb, lahf in 64-bit
mode, clflush, prefetchw, mmx and its extensions, rdtscp.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

from syscalls.light import NamedTuple
from syscalls.world import Cpuid, World

Registers = tuple[int, int, int, int]
"""EAX, EBX, ECX and EDX."""

EAX, EBX, ECX, EDX = range(4)
ZERO: Registers = (0, 0, 0, 0)

EXTENDED = 0x8000_0000
FEATURES_1, FEATURES_7, FEATURES_EXTENDED, POWER, ADDRESS_SIZES = 1, 7, 0x8000_0001, 0x8000_0007, 0x8000_0008

_VEX = "it raises #UD on most VEX encodings and takes others for SSE's"
_UD = "it raises #UD"
_ENTROPY = "its answers would come from the host and not from the World"
_WRONG = "its results differ from a real CPU's"
_MODEL = "its default CPU model (Haswell) raises #UD; Skylake-Server would run it"


class Feature(NamedTuple):
    """A flag by the name that /proc/cpuinfo gives it (arch/x86/include/asm/cpufeatures.h)."""

    name: str
    leaf: int  # -1: no bit; Linux derives the flag
    register: int
    bit: int
    why_not: str = ""  # empty: the engine executes it, or only a kernel could use it


def _word(leaf: int, register: int, *rows: tuple[int, str] | tuple[int, str, str]) -> tuple[Feature, ...]:
    return tuple(Feature(row[1], leaf, register, row[0], *row[2:]) for row in rows)


# In the order in which /proc/cpuinfo prints them: the kernel's capability words.
TABLE: tuple[Feature, ...] = (
    *_word(
        FEATURES_1, EDX,
        (0, "fpu"), (1, "vme"), (2, "de"), (3, "pse"), (4, "tsc"), (5, "msr"), (6, "pae"), (7, "mce"), (8, "cx8"),
        (9, "apic"), (11, "sep"), (12, "mtrr"), (13, "pge"), (14, "mca"), (15, "cmov"), (16, "pat"), (17, "pse36"),
        (19, "clflush"), (22, "acpi"), (23, "mmx"), (24, "fxsr"), (25, "sse"), (26, "sse2"), (27, "ss"),
    ),
    *_word(
        FEATURES_EXTENDED, EDX,
        (11, "syscall"), (20, "nx"), (22, "mmxext"), (25, "fxsr_opt", "it saves the x87 pointers always"),
        (26, "pdpe1gb"), (27, "rdtscp"), (29, "lm"), (30, "3dnowext", _UD), (31, "3dnow", _UD),
    ),
    Feature("constant_tsc", -1, EAX, 0),
    Feature("rep_good", -1, EAX, 0),
    Feature("nopl", -1, EAX, 0),
    *_word(POWER, EDX, (8, "nonstop_tsc")),
    Feature("cpuid", -1, EAX, 0),
    *_word(
        FEATURES_1, ECX,
        (0, "pni"), (1, "pclmulqdq"), (3, "monitor", _UD), (9, "ssse3"), (12, "fma", _VEX), (13, "cx16"), (17, "pcid"),
        (19, "sse4_1"), (20, "sse4_2"), (21, "x2apic"), (22, "movbe"), (23, "popcnt"), (24, "tsc_deadline_timer"),
        (25, "aes"), (26, "xsave", "it keeps CR4.OSXSAVE off"), (27, "osxsave", "it keeps CR4.OSXSAVE off"),
        (28, "avx", _VEX), (29, "f16c", _VEX), (30, "rdrand", _ENTROPY), (31, "hypervisor"),
    ),
    *_word(
        FEATURES_EXTENDED, ECX,
        (0, "lahf_lm"), (1, "cmp_legacy"), (4, "cr8_legacy"), (5, "abm"), (6, "sse4a", _WRONG),
        (7, "misalignsse", "it was not proven"), (8, "3dnowprefetch"), (11, "xop", _VEX), (16, "fma4", _VEX),
        (21, "tbm", _VEX), (22, "topoext", "the leaves that it announces are not modelled"),
    ),
    *_word(
        FEATURES_7, EBX,
        (0, "fsgsbase", "it keeps CR4.FSGSBASE off"), (1, "tsc_adjust"), (3, "bmi1"), (5, "avx2", _VEX), (7, "smep"),
        (8, "bmi2", "bzhi with an index beyond the operand gives a wrong carry and a wrong result"), (9, "erms"),
        (10, "invpcid"), (16, "avx512f", _VEX), (17, "avx512dq", _VEX), (18, "rdseed", _ENTROPY), (19, "adx", _MODEL),
        (20, "smap"), (21, "avx512ifma", _VEX), (23, "clflushopt", _MODEL), (24, "clwb", _MODEL),
        (28, "avx512cd", _VEX), (29, "sha_ni", _UD), (30, "avx512bw", _VEX), (31, "avx512vl", _VEX),
    ),
    *_word(
        FEATURES_7, ECX,
        (1, "avx512vbmi", _VEX), (2, "umip"), (3, "pku", "it was not proven"), (6, "avx512_vbmi2", _VEX),
        (8, "gfni", _UD), (9, "vaes", _VEX), (10, "vpclmulqdq", _VEX), (11, "avx512_vnni", _VEX),
        (12, "avx512_bitalg", _VEX), (14, "avx512_vpopcntdq", _VEX), (22, "rdpid", _UD), (27, "movdiri", _UD),
    ),
    *_word(FEATURES_7, EDX, (4, "fsrm"), (14, "serialize", _UD)),
)  # fmt: skip

BY_NAME: Mapping[str, Feature] = {feature.name: feature for feature in TABLE}
EXECUTABLE = tuple(feature.name for feature in TABLE if not feature.why_not)
"""The flags that a World may switch on, in the order of /proc/cpuinfo."""

_HTT = 1 << 28  # leaf 1, EDX: the count of logical CPUs in EBX is valid; Linux shows it as "ht"
_ALIASES = 0x0183_F3FF  # bits of leaf 1's EDX that AMD repeats in 0x80000001's (APM vol. 3, E.4.2)

# Leaves whose answer depends on ECX; every other leaf ignores it (SDM vol. 2A, CPUID, table 3-8).
_INDEXED = frozenset({0x4, 0x7, 0xB, 0xD, 0xF, 0x10, 0x12, 0x14, 0x17, 0x18, 0x1D, 0x1F, 0x20, 0x24, 0x8000_001D})
# Leaves that only describe what the engine cannot do: XSAVE, SGX, trace, Key Locker, AMX, AVX10, SVM.
_UNAVAILABLE = frozenset({0xD, 0x12, 0x14, 0x19, 0x1D, 0x1E, 0x24, 0x8000_000A})

# One small core: (level, type code of leaf 4, KiB, ways); lines are 64 bytes.
L1_DATA, L1_CODE, L2 = (1, 1, 32, 8), (1, 2, 32, 8), (2, 3, 512, 8)
LINE = 64
PHYSICAL_BITS = VIRTUAL_BITS = 48


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """*names*, known ones, without repeats and in the order of /proc/cpuinfo."""
    wanted = set(names)
    return tuple(feature.name for feature in TABLE if feature.name in wanted)


def flags(world: World) -> str:
    """The ``flags`` line of /proc/cpuinfo, without its label."""
    names = [name for name in ordered(world.cpuid.features) if not BY_NAME[name].why_not]
    if len(world.possible) > 1:
        after = sum(1 for name in names if (BY_NAME[name].leaf, BY_NAME[name].register) == (FEATURES_1, EDX))
        names.insert(after, "ht")
    return " ".join(names)


def cpuid(world: World, leaf: int, subleaf: int) -> Registers:
    """The answer of CPUID to EAX = *leaf* and ECX = *subleaf*; see :class:`Table` for many questions."""
    return Table(world).query(leaf, subleaf)


class Table:
    """The CPUID leaves of one World, computed once."""

    def __init__(self, world: World) -> None:
        self._intel = world.cpuid.vendor == "GenuineIntel"
        self._leaves = _leaves(world)
        for leaf, subleaf, *values in world.cpuid.leaves:
            self._leaves[leaf, subleaf] = _executable(leaf, subleaf, (values[0], values[1], values[2], values[3]))
        self._set_maxima(world.cpuid)

    def _set_maxima(self, model: Cpuid) -> None:
        # Leaf 0 and 0x80000000 say how far the leaves go, raw ones included, unless they are raw themselves.
        written = {leaf for leaf, *_ in model.leaves}
        basic = max(leaf for leaf, _ in self._leaves if leaf < 0x4000_0000)
        extended = max(leaf for leaf, _ in self._leaves if leaf >= EXTENDED)
        for leaf, maximum in ((0, basic), (EXTENDED, extended)):
            if leaf not in written:
                self._leaves[leaf, 0] = (maximum, *self._leaves[leaf, 0][1:])
        self._basic = self._leaves[0, 0][EAX]
        self._extended = self._leaves[EXTENDED, 0][EAX]

    def query(self, leaf: int, subleaf: int) -> Registers:
        """The four registers for EAX = *leaf* and ECX = *subleaf*, both unsigned 32-bit.

        Beyond the largest leaf AMD answers zeros and Intel what its largest basic leaf says (SDM vol. 2A, CPUID).
        """
        within = leaf <= (self._extended if leaf >= EXTENDED else self._basic)
        if not within and self._intel:
            leaf = self._basic
        elif not within:
            return ZERO
        return self._leaves.get((leaf, subleaf if leaf in _INDEXED else 0), ZERO)


def _executable(leaf: int, subleaf: int, values: Registers) -> Registers:
    # A raw override, without the bits that would promise what the engine cannot execute.
    if leaf in _UNAVAILABLE or (leaf == FEATURES_7 and subleaf > 0):
        return ZERO
    if leaf == ADDRESS_SIZES:
        return (values[EAX], 0, values[ECX], values[EDX])  # EBX holds CLZERO, RDPRU, WBNOINVD and mitigations
    if leaf not in (FEATURES_1, FEATURES_7, FEATURES_EXTENDED):
        return values
    allowed = _bits(EXECUTABLE)
    edx = allowed.get((leaf, EDX), 0)
    if leaf == FEATURES_1:
        return (values[EAX], values[EBX], values[ECX] & allowed[leaf, ECX], values[EDX] & (edx | _HTT))
    if leaf == FEATURES_EXTENDED:
        edx |= allowed[FEATURES_1, EDX] & _ALIASES
        return (values[EAX], values[EBX], values[ECX] & allowed[leaf, ECX], values[EDX] & edx)
    return (0, values[EBX] & allowed[leaf, EBX], values[ECX] & allowed[leaf, ECX], values[EDX] & edx)


def _bits(names: Iterable[str]) -> dict[tuple[int, int], int]:
    # (leaf, register) -> the bits of the flags *names* that the engine executes.
    found: dict[tuple[int, int], int] = {}
    for name in names:
        feature = BY_NAME[name]
        if feature.leaf >= 0 and not feature.why_not:
            key = (feature.leaf, feature.register)
            found[key] = found.get(key, 0) | 1 << feature.bit
    return found


def _leaves(world: World) -> dict[tuple[int, int], Registers]:
    return dict(_derived(world.cpuid, min(len(world.possible), 255), world.cpus.lowest))


@functools.lru_cache(maxsize=64)  # many Worlds of a sweep share them
def _derived(model: Cpuid, count: int, lowest: int) -> dict[tuple[int, int], Registers]:
    bits = _bits(model.features)
    vendor = model.vendor.encode("ascii")
    words = tuple(int.from_bytes(vendor[at : at + 4], "little") for at in (0, 4, 8))
    signature = signature_of(model.family, model.model, model.stepping)
    # EBX of leaf 1: the initial APIC id, the count of logical CPUs, the line of CLFLUSH in 8 bytes.
    ebx = (lowest & 0xFF) << 24 | count << 16 | LINE // 8 << 8
    edx = bits.get((FEATURES_1, EDX), 0) | (_HTT if count > 1 else 0)
    intel = model.vendor == "GenuineIntel"
    aliases = 0 if intel else edx & _ALIASES
    extended_edx = bits.get((FEATURES_EXTENDED, EDX), 0) | aliases
    leaves: dict[tuple[int, int], Registers] = {
        (0, 0): (0, words[0], words[2], words[1]),
        (1, 0): (signature, ebx, bits.get((FEATURES_1, ECX), 0), edx),
        (7, 0): (0, bits.get((7, EBX), 0), bits.get((7, ECX), 0), bits.get((7, EDX), 0)),
        (EXTENDED, 0): (0, 0, 0, 0) if intel else (0, words[0], words[2], words[1]),
        (FEATURES_EXTENDED, 0): (
            0 if intel else signature, 0, bits.get((FEATURES_EXTENDED, ECX), 0), extended_edx
        ),
        (POWER, 0): (0, 0, 0, bits.get((POWER, EDX), 0)),
        (ADDRESS_SIZES, 0): (VIRTUAL_BITS << 8 | PHYSICAL_BITS, 0, 0 if intel else count - 1, 0),
    }  # fmt: skip
    brand = model.brand.encode("ascii")[:48].ljust(48, b"\0")
    for n in range(3):
        part = [int.from_bytes(brand[n * 16 + at : n * 16 + at + 4], "little") for at in (0, 4, 8, 12)]
        leaves[0x8000_0002 + n, 0] = (part[0], part[1], part[2], part[3])
    leaves |= _intel_caches() if intel else _amd_caches()
    return leaves


def signature_of(family: int, model: int, stepping: int) -> int:
    """EAX of leaf 1: families from 15 on spill into bits 20-27, models from 16 on into bits 16-19.

    Only families 6 (Intel's) and 15 and up have an extended model (SDM vol. 2A, CPUID, figure 3-6).
    """
    extended = (family - 15) << 20 if family > 15 else 0
    return extended | model >> 4 << 16 | min(family, 15) << 8 | (model & 15) << 4 | stepping


def _intel_caches() -> dict[tuple[int, int], Registers]:
    # Leaf 2 refers to leaf 4 (descriptor 0xFF) and tells nothing of TLBs (0xFE: leaf 0x18; SDM table 3-12).
    leaves: dict[tuple[int, int], Registers] = {(2, 0): (0x00FE_FF01, 0, 0, 0)}
    for n, (level, kind, kib, ways) in enumerate((L1_DATA, L1_CODE, L2)):
        sets = kib * 1024 // LINE // ways
        leaves[4, n] = (1 << 8 | level << 5 | kind, (ways - 1) << 22 | (LINE - 1), sets - 1, 0)
    leaves[0x8000_0006, 0] = (0, 0, L2[2] << 16 | 6 << 12 | LINE, 0)
    return leaves


def _amd_caches() -> dict[tuple[int, int], Registers]:
    # 0x80000005: size in KiB, ways, lines per tag, line size.  0x80000006: associativity 6 means 8 ways (APM, E.4.5).
    data, code = (kib << 24 | ways << 16 | 1 << 8 | LINE for _, _, kib, ways in (L1_DATA, L1_CODE))
    return {
        (0x8000_0005, 0): (0, 0, data, code),
        (0x8000_0006, 0): (0, 0, L2[2] << 16 | 6 << 12 | 1 << 8 | LINE, 0),
    }
