"""The vDSO: its bytes against a disassembler, its tables against other readers, its answers against the kernel's."""

from __future__ import annotations

import io
import itertools
import re
import struct
import subprocess
from dataclasses import replace
from typing import Any

import capstone
import pytest
from elftools.elf.elffile import ELFFile

from emu.machine import accel
from syscalls import vdso
from syscalls.guest import PAGE
from syscalls.time import NS, Clock
from syscalls.vdsocode import FUNCTIONS, GETCPU_PLAIN, VVAR_FIELDS
from syscalls.world import Clock as WorldClock
from syscalls.world import Cpuid, World
from tests.syscalls.bytememory import BUFFER, guest

accel.load()

import unicorn  # noqa: E402 - only after the accelerator, which other tests of the same run need
from unicorn import x86_const  # noqa: E402

BASE = 0x7FFF_F7FF_D000
RETURN, STACK, OUT = 0x1000, 0x20000, 0x30000
NAMES = tuple(FUNCTIONS)


@pytest.fixture(scope="module")
def built() -> vdso.Vdso:
    return vdso.build(World())


def test_every_instruction_is_what_its_text_says() -> None:
    """A disassembler prints each row's bytes as its text, but for the targets of jumps and the vvar fields."""
    md = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    for name, rows in [*FUNCTIONS.items(), ("plain getcpu", GETCPU_PLAIN)]:
        for spelled, text in rows:
            if spelled.endswith(":"):
                continue
            code = bytes.fromhex(re.sub(r"\{\w+\}", "00", re.sub(r"\[\w+\]", "00 00 00 00", spelled)))
            (found,) = md.disasm(code, 0)
            shown = f"{found.mnemonic} {found.op_str}".strip()
            field = re.search(r"\[rip \+ (\w+)\]", text)
            expected = text.replace(f"[rip + {field[1]}]", "[rip]") if field else text
            if found.mnemonic[0] == "j":
                shown, expected = found.mnemonic, text.split()[0]
            assert (shown, found.size) == (expected, len(code)), name


def test_jumps_and_fields_lead_where_they_say(built: vdso.Vdso) -> None:
    """In the assembled image every jump stays in its function and every data reference is a vvar field."""
    md = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    starts = [*sorted(built.symbols.values()), built.image.index(b".hash\0") - 1]
    jumps, fields = 0, set()
    for start, end in itertools.pairwise(starts):
        code = built.image[start:end].rstrip(b"\xcc\0")
        addresses = {each.address for each in md.disasm(code, start)}
        for each in md.disasm(code, start):
            if each.mnemonic[0] == "j":
                assert int(each.op_str, 16) in addresses
                jumps += 1
            offset = re.search(r"\[rip ([+-]) (0x[0-9a-f]+)\]", each.op_str)
            if offset:
                at = each.address + each.size + int(offset[1] + offset[2], 16)
                assert at + PAGE in range(0, 8 * len(VVAR_FIELDS), 8)
                fields.add(at + PAGE)
    assert jumps > 10
    assert len(fields) == len(VVAR_FIELDS)  # each is of use


def test_pyelftools_reads_it(built: vdso.Vdso) -> None:
    """Sections, symbols, versions and both hash tables are sound to an independent reader."""
    elf = ELFFile(io.BytesIO(built.image))
    symbols = {each.name: each for each in elf.get_section_by_name(".dynsym").iter_symbols()}

    assert elf["e_type"] == "ET_DYN"
    assert [each["p_type"] for each in elf.iter_segments()] == ["PT_LOAD", "PT_DYNAMIC", "PT_NOTE"]
    for name in NAMES:
        assert symbols[name]["st_info"] == {"bind": "STB_GLOBAL", "type": "STT_FUNC"}
        assert symbols[name]["st_value"] == built.symbols[name]
        assert symbols[name.removeprefix("__vdso_")]["st_info"]["bind"] == "STB_WEAK"
        for table in (".hash", ".gnu.hash"):
            assert elf.get_section_by_name(table).get_symbol(name).name == name
    versions = elf.get_section_by_name(".gnu.version_d")
    assert [[aux.name for aux in each] for _, each in versions.iter_versions()] == [["linux-vdso.so.1"], ["LINUX_2.6"]]
    assert len(built.image) == 2 * PAGE


def test_readelf_has_no_complaint(built: vdso.Vdso, tmp_path: Any) -> None:
    """Nor has the system's readelf."""
    (tmp_path / "vdso.so").write_bytes(built.image)
    try:
        done = subprocess.run(["readelf", "-aW", str(tmp_path / "vdso.so")], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("no readelf on this machine")
    assert done.stderr == ""
    assert "__vdso_clock_gettime@@LINUX_2.6" in done.stdout


class GoParser:
    """Go's own way through the image, after runtime/vdso_linux.go of Go 1.27, over its bytes."""

    def __init__(self, image: bytes, gnu: bool) -> None:
        self.image = image
        phoff, phnum = self.u(32, 8), self.u(56, 2)
        headers = [struct.unpack_from("<IIQQQQQQ", image, phoff + i * 56) for i in range(phnum)]
        self.offset: int = next(h[2] - h[3] for h in headers if h[0] == 1)
        dynamic = next(h[2] for h in headers if h[0] == 2)
        self.tags: dict[int, int] = {}
        while (tag := self.u(dynamic, 8)) != 0:
            self.tags[tag] = self.u(dynamic + 8, 8)
            dynamic += 16
        if not gnu:
            del self.tags[0x6FFFFEF5]

    def u(self, at: int, size: int) -> int:
        return int.from_bytes(self.image[at : at + size], "little")

    def string(self, at: int) -> str:
        start = self.tags[5] + at
        return self.image[start : self.image.index(b"\0", start)].decode()

    def version(self, name: str, name_hash: int) -> int:
        """VdsoFindVersion."""
        at = self.tags[0x6FFFFFFC]
        while True:
            if not self.u(at + 2, 2) & 1 and self.u(at + 8, 4) == name_hash:
                aux = at + self.u(at + 12, 4)
                if self.string(self.u(aux, 4)) == name:
                    return self.u(at + 4, 2) & 0x7FFF
            if not self.u(at + 16, 4):
                return -1
            at += self.u(at + 16, 4)

    def lookup(self, name: str, sym_hash: int, gnu_hash: int, version: int) -> int:
        """VdsoParseSymbols for one key."""
        for index in self.candidates(sym_hash, gnu_hash):
            at = self.tags[6] + 24 * index
            info, shndx = self.u(at + 4, 1), self.u(at + 6, 2)
            kind, bind = info & 15, info >> 4
            if kind in (0, 2) and bind in (1, 2) and shndx and self.string(self.u(at, 4)) == name:
                assert self.u(self.tags[0x6FFFFFF0] + 2 * index, 2) & 0x7FFF == version
                return self.offset + self.u(at + 8, 8)
        return 0

    def candidates(self, sym_hash: int, gnu_hash: int) -> list[int]:
        found = []
        if 0x6FFFFEF5 in self.tags:
            table = self.tags[0x6FFFFEF5]
            n_buckets, first, bloom = (self.u(table + 4 * i, 4) for i in range(3))
            buckets = table + 16 + 8 * bloom
            index = self.u(buckets + 4 * (gnu_hash % n_buckets), 4)
            while index >= first:
                value = self.u(buckets + 4 * (n_buckets + index - first), 4)
                if value | 1 == gnu_hash | 1:
                    found.append(index)
                if value & 1:
                    break
                index += 1
            return found
        table = self.tags[4]
        n_buckets = self.u(table, 4)
        index = self.u(table + 8 + 4 * (sym_hash % n_buckets), 4)
        while index:
            found.append(index)
            index = self.u(table + 8 + 4 * (n_buckets + index), 4)
        return found


@pytest.mark.parametrize("gnu", [True, False])
def test_go_finds_its_functions(built: vdso.Vdso, gnu: bool) -> None:
    """With the hashes written in vdso_linux_amd64.go (and 1.10's for __vdso_time), by either table."""
    go = GoParser(built.image, gnu)
    version = go.version("LINUX_2.6", 0x3AE75F6)

    assert version == 2
    assert go.lookup("__vdso_gettimeofday", 0x315CA59, 0xB01BCA00, version) == built.symbols["__vdso_gettimeofday"]
    assert go.lookup("__vdso_clock_gettime", 0xD35EC75, 0x6E43A318, version) == built.symbols["__vdso_clock_gettime"]
    assert go.lookup("__vdso_getrandom", 0x25425D, 0x84A559BF, version) == 0  # came with Linux 6.11
    assert vdso.elf_hash("__vdso_time") == 0xA33C485
    assert go.lookup("__vdso_time", 0xA33C485, vdso.gnu_hash("__vdso_time"), version) == built.symbols["__vdso_time"]


class Cpu:
    """A bare engine that runs one function of the image; RDTSC and RDTSCP answer from a clock, SYSCALL is recorded."""

    def __init__(self, world: World, ticks: int) -> None:
        self.x86 = x86_const
        self.clock = Clock(world, lambda: ticks)
        self.vdso = vdso.build(world)
        self.syscalls: list[int] = []
        self.uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
        for start, size in ((BASE - PAGE, 3 * PAGE), (RETURN, PAGE), (STACK - PAGE, PAGE), (OUT, PAGE)):
            self.uc.mem_map(start, size)
        self.uc.mem_write(BASE, self.vdso.image)
        self.uc.mem_write(BASE - PAGE, self.vdso.vvar)
        self.uc.hook_add(unicorn.UC_HOOK_CODE, self._before, None, BASE, BASE + PAGE)
        self.uc.hook_add(unicorn.UC_HOOK_INSN, self._syscall, None, 1, 0, self.x86.UC_X86_INS_SYSCALL)

    def _before(self, uc: Any, addr: int, size: int, _data: object) -> None:
        # The engine's Python layer has no hook for RDTSC and RDTSCP: step over them here.
        code = bytes(uc.mem_read(addr, size))
        if code not in (b"\x0f\x31", b"\x0f\x01\xf9"):
            return
        tsc = self.clock.tsc()
        uc.reg_write(self.x86.UC_X86_REG_RAX, tsc & 0xFFFF_FFFF)
        uc.reg_write(self.x86.UC_X86_REG_RDX, tsc >> 32)
        if size == 3:
            uc.reg_write(self.x86.UC_X86_REG_RCX, 3 << 12 | 5)  # node 3, CPU 5
        uc.reg_write(self.x86.UC_X86_REG_RIP, addr + size)

    def _syscall(self, uc: Any, _data: object) -> None:
        self.syscalls.append(uc.reg_read(self.x86.UC_X86_REG_RAX))
        uc.reg_write(self.x86.UC_X86_REG_RAX, 0xFFFF_FFFF_FFFF_FFEA)  # -EINVAL

    def run(self, name: str, rdi: int, rsi: int = 0) -> int:
        """Call a function and return RAX."""
        self.uc.mem_write(OUT, b"\xee" * 64)
        self.uc.mem_write(STACK - 8, struct.pack("<Q", RETURN))
        for register, value in (("RSP", STACK - 8), ("RDI", rdi), ("RSI", rsi)):
            self.uc.reg_write(getattr(self.x86, f"UC_X86_REG_{register}"), value)
        self.uc.emu_start(BASE + self.vdso.symbols[name], RETURN)
        return int(self.uc.reg_read(self.x86.UC_X86_REG_RAX))

    def out(self, size: int) -> bytes:
        return bytes(self.uc.mem_read(OUT, size))


CLOCKS = [
    WorldClock(),
    WorldClock(picoseconds_per_instruction=333, tsc_hz=2_893_299_017, tsc=(1 << 64) - 12345),
    WorldClock(realtime=1, monotonic=0, tsc=0, tsc_hz=1_000_000),
    WorldClock(tsc_hz=5_000_000_011, monotonic=(1 << 62) + 999_999_999),
]


@pytest.mark.parametrize("clock", CLOCKS, ids=lambda clock: f"{clock.tsc_hz}Hz")
@pytest.mark.parametrize("ticks", [0, 1, 123_456, 987_654_321_012])
def test_times_equal_the_system_calls(clock: WorldClock, ticks: int) -> None:
    """At the same instruction the vDSO and the kernel say the same, to the nanosecond, for every clock and any TSC."""
    world = replace(World(), clock=clock)
    cpu = Cpu(world, ticks)
    g = guest(world)
    g.now[0] = ticks
    for clock_id in (0, 1, 4, 7, 11):
        assert g.call(228, clock_id, BUFFER) == 0
        assert cpu.run("__vdso_clock_gettime", clock_id, OUT) == 0
        assert cpu.out(16) == g.get(16), clock_id
    assert g.call(96, BUFFER, BUFFER + 16) == 0
    assert cpu.run("__vdso_gettimeofday", OUT, OUT + 16) == 0
    assert cpu.out(24) == g.get(24)
    assert cpu.run("__vdso_time", OUT) == g.call(201, 0)
    assert struct.unpack("<Q", cpu.out(8))[0] == g.kernel.clock.realtime_ns() // NS
    assert cpu.run("__vdso_time", 0) == g.call(201, 0)
    assert cpu.syscalls == []


@pytest.mark.parametrize("clock_id", [2, 3, 5, 6, 8, 9, 10, 12, 31, 32, 99, 0xFFFF_FFFF])
def test_other_clocks_go_to_the_system_call(clock_id: int) -> None:
    """CPU time, coarse, alarm and unknown clocks are the kernel's to answer or refuse."""
    cpu = Cpu(World(), 1000)

    assert cpu.run("__vdso_clock_gettime", clock_id, OUT) == 0xFFFF_FFFF_FFFF_FFEA
    assert cpu.run("__vdso_clock_getres", clock_id, OUT) == 0xFFFF_FFFF_FFFF_FFEA
    assert cpu.syscalls == [228, 229]
    assert cpu.out(16) == b"\xee" * 16


def test_resolution_and_cpu() -> None:
    """One nanosecond; the CPU and node come from RDTSCP's third register, or from the system call without it."""
    cpu = Cpu(World(), 0)
    assert cpu.run("__vdso_clock_getres", 1, OUT) == 0
    assert struct.unpack("<qq", cpu.out(16)) == (0, 1)
    assert cpu.run("__vdso_clock_getres", 1, 0) == 0
    assert cpu.run("__vdso_getcpu", OUT, OUT + 4) == 0
    assert struct.unpack("<II", cpu.out(8)) == (5, 3)
    assert cpu.run("__vdso_getcpu", 0, 0) == 0
    assert cpu.syscalls == []
    features = tuple(name for name in World().cpuid.features if name != "rdtscp")
    plain = Cpu(replace(World(), cpuid=Cpuid(features=features)), 0)
    plain.run("__vdso_getcpu", OUT, OUT + 4)
    assert plain.syscalls == [309]


def test_gettimeofday_takes_null_pointers() -> None:
    """Either pointer may be null."""
    cpu = Cpu(World(), 7)
    assert cpu.run("__vdso_gettimeofday", 0, OUT) == 0
    assert cpu.out(8) == bytes(8)
    assert cpu.run("__vdso_gettimeofday", OUT, 0) == 0
    assert cpu.out(24)[16:] == b"\xee" * 8


def test_vsyscall_page() -> None:
    """Three entries a kilobyte apart, each ``mov rax, nr; syscall; ret``, and traps everywhere else."""
    page = vdso.vsyscall_page()

    assert len(page) == PAGE
    for offset, nr in ((0, 96), (0x400, 201), (0x800, 309)):
        assert page[offset : offset + 10] == b"\x48\xc7\xc0" + struct.pack("<I", nr) + b"\x0f\x05\xc3"
    assert page.count(0xCC) == PAGE - 30
