"""The vDSO's functions, assembled by hand: one row an instruction, its bytes beside its text.

Bytes are hexadecimal; ``{label}`` ends a short jump (one byte, relative), ``[field]`` ends an instruction that names a
field of the vvar page (four bytes, relative to RIP).  A row ``label:`` names the place of the next instruction.  The
texts are what a disassembler prints, and a test holds each of them against the bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import pack

Rows = tuple[tuple[str, str], ...]

VVAR_FIELDS = ("tsc", "multiplier", "realtime", "monotonic")
"""The 64-bit words of the vvar page: the counter at the entry point, nanoseconds a tick times 2**32, and the
nanoseconds of both clocks at the entry point."""

ALIGN = 16

# rax = nanoseconds since the entry point.  Destroys rdx.
ELAPSED: Rows = (
    ("0f 31", "rdtsc"),  # edx:eax, the machine answers from the World
    ("48 c1 e2 20", "shl rdx, 0x20"),
    ("48 09 d0", "or rax, rdx"),
    ("48 2b 05 [tsc]", "sub rax, qword ptr [rip + tsc]"),  # ticks since the entry point
    ("48 f7 25 [multiplier]", "mul qword ptr [rip + multiplier]"),  # 128 bits: rdx:rax
    ("48 0f ac d0 20", "shrd rax, rdx, 0x20"),  # ... shifted right by syscalls.time.SHIFT
)

# rax = rax // 10**9, rdx = rax % 10**9.  Destroys rcx.
SECONDS: Rows = (
    ("31 d2", "xor edx, edx"),
    ("b9 00 ca 9a 3b", "mov ecx, 0x3b9aca00"),  # 10**9
    ("48 f7 f1", "div rcx"),
)

RETURN_ZERO: Rows = (("31 c0", "xor eax, eax"), ("c3", "ret"))


def call(nr: int) -> Rows:
    """Return the rows that make system call *nr* with the arguments as they are, and return its result."""
    return ((f"b8 {pack('<I', nr).hex(' ')}", f"mov eax, {nr:#x}"), ("0f 05", "syscall"), ("c3", "ret"))


# Served here: REALTIME 0 and TAI 11; MONOTONIC 1, MONOTONIC_RAW 4 and BOOTTIME 7.  Bit n of these masks is id n.
REALTIME_MASK, MONOTONIC_MASK = "01 08 00 00", "92 00 00 00"

# edi = clock id.  eax = 1 << id, or on to the system call when the id is no small number.
CLOCK_BIT: Rows = (
    ("83 ff 1f", "cmp edi, 0x1f"),
    ("77 {syscall}", "ja syscall"),
    ("89 f9", "mov ecx, edi"),
    ("b8 01 00 00 00", "mov eax, 1"),
    ("d3 e0", "shl eax, cl"),
)

CLOCK_GETTIME: Rows = (  # rdi = clock id, rsi = struct timespec *
    *CLOCK_BIT,
    ("4c 8d 05 [monotonic]", "lea r8, [rip + monotonic]"),  # r8 = &base of the clock
    (f"a9 {MONOTONIC_MASK}", "test eax, 0x92"),
    ("75 {compute}", "jne compute"),
    ("4c 8d 05 [realtime]", "lea r8, [rip + realtime]"),
    (f"a9 {REALTIME_MASK}", "test eax, 0x801"),
    ("74 {syscall}", "je syscall"),
    ("compute:", ""),
    *ELAPSED,
    ("49 03 00", "add rax, qword ptr [r8]"),
    *SECONDS,
    ("48 89 06", "mov qword ptr [rsi], rax"),  # tv_sec
    ("48 89 56 08", "mov qword ptr [rsi + 8], rdx"),  # tv_nsec
    *RETURN_ZERO,
    ("syscall:", ""),
    *call(228),
)

GETTIMEOFDAY: Rows = (  # rdi = struct timeval * or null, rsi = struct timezone * or null
    ("48 85 ff", "test rdi, rdi"),
    ("74 {zone}", "je zone"),
    *ELAPSED,
    ("48 03 05 [realtime]", "add rax, qword ptr [rip + realtime]"),
    *SECONDS,
    ("48 89 07", "mov qword ptr [rdi], rax"),  # tv_sec
    ("48 89 d0", "mov rax, rdx"),
    ("31 d2", "xor edx, edx"),
    ("b9 e8 03 00 00", "mov ecx, 0x3e8"),  # 1000
    ("48 f7 f1", "div rcx"),
    ("48 89 47 08", "mov qword ptr [rdi + 8], rax"),  # tv_usec
    ("zone:", ""),
    ("48 85 f6", "test rsi, rsi"),
    ("74 {done}", "je done"),
    ("48 c7 06 00 00 00 00", "mov qword ptr [rsi], 0"),  # tz_minuteswest, tz_dsttime
    ("done:", ""),
    *RETURN_ZERO,
)

TIME: Rows = (  # rdi = time_t * or null
    *ELAPSED,
    ("48 03 05 [realtime]", "add rax, qword ptr [rip + realtime]"),
    *SECONDS,
    ("48 85 ff", "test rdi, rdi"),
    ("74 {done}", "je done"),
    ("48 89 07", "mov qword ptr [rdi], rax"),
    ("done:", ""),
    ("c3", "ret"),
)

CLOCK_GETRES: Rows = (  # rdi = clock id, rsi = struct timespec * or null
    *CLOCK_BIT,
    ("a9 93 08 00 00", "test eax, 0x893"),  # either mask: a resolution of 1 ns
    ("74 {syscall}", "je syscall"),
    ("48 85 f6", "test rsi, rsi"),
    ("74 {done}", "je done"),
    ("48 c7 06 00 00 00 00", "mov qword ptr [rsi], 0"),
    ("48 c7 46 08 01 00 00 00", "mov qword ptr [rsi + 8], 1"),
    ("done:", ""),
    *RETURN_ZERO,
    ("syscall:", ""),
    *call(229),
)

GETCPU: Rows = (  # rdi = unsigned * or null, rsi = unsigned * or null
    ("0f 01 f9", "rdtscp"),  # ecx = node << 12 | cpu, as Linux sets the TSC_AUX register
    ("48 85 ff", "test rdi, rdi"),
    ("74 {node}", "je node"),
    ("89 c8", "mov eax, ecx"),
    ("25 ff 0f 00 00", "and eax, 0xfff"),
    ("89 07", "mov dword ptr [rdi], eax"),
    ("node:", ""),
    ("48 85 f6", "test rsi, rsi"),
    ("74 {done}", "je done"),
    ("c1 e9 0c", "shr ecx, 0xc"),
    ("89 0e", "mov dword ptr [rsi], ecx"),
    ("done:", ""),
    *RETURN_ZERO,
)

GETCPU_PLAIN: Rows = call(309)
"""For a CPU without RDTSCP."""

FUNCTIONS: dict[str, Rows] = {
    "__vdso_clock_gettime": CLOCK_GETTIME,
    "__vdso_gettimeofday": GETTIMEOFDAY,
    "__vdso_time": TIME,
    "__vdso_clock_getres": CLOCK_GETRES,
    "__vdso_getcpu": GETCPU,
}


def assemble(functions: Mapping[str, Rows], origin: int, vvar: int) -> tuple[bytes, dict[str, tuple[int, int]]]:
    """Return the code of *functions* placed at offset *origin*, and (offset, size) of each.

    *vvar* is the offset of the vvar page.
    """
    text, places = b"", {}
    for name, rows in functions.items():
        text += b"\xcc" * (-(origin + len(text)) % ALIGN)
        start = origin + len(text)
        code = _assemble_one(rows, start, vvar)
        places[name] = (start, len(code))
        text += code
    return text, places


def _assemble_one(rows: Rows, start: int, vvar: int) -> bytes:
    labels, at = {}, start
    for spelled, _ in rows:
        if spelled.endswith(":"):
            labels[spelled[:-1]] = at
        else:
            at += _size(spelled)
    code = b""
    for spelled, _ in rows:
        if spelled.endswith(":"):
            continue
        after = start + len(code) + _size(spelled)
        *fixed, last = spelled.split()
        code += bytes.fromhex("".join(fixed))
        if last[0] == "{":
            code += pack("<b", labels[last[1:-1]] - after)
        elif last[0] == "[":
            code += pack("<i", vvar + 8 * VVAR_FIELDS.index(last[1:-1]) - after)
        else:
            code += bytes.fromhex(last)
    return code


def _size(spelled: str) -> int:
    # Bytes of one instruction.
    parts = spelled.split()
    return len(parts) + (3 if parts[-1][0] == "[" else 0)
