"""Copies with symbols: they run as the program does, and other tools see the names that the linker would have given."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from emu.boot.boot import boot
from emu.image import Image, ImageError, load, parse
from emu.image.elf import EHDR
from emu.image.symbolize import symbolize, write
from emu.image.symbols import STT_FUNC, STT_OBJECT, Symbol
from emu.image.types import Layouts, LayoutTables
from syscalls.world import World
from tests.conftest import ON_CI
from tests.image.samples import PIES, STRIPPED, patched

E_SHOFF, E_SHNUM, E_SHSTRNDX = 40, 60, 62
HEADER_OF_SECTIONS = (range(40, 48), range(60, 64))  # e_shoff; e_shnum and e_shstrndx


def tool(name: str) -> str:
    """The path of a program that the test needs; a test without it is skipped, on CI it fails."""
    found = shutil.which(name)
    if found is None and not ON_CI:
        pytest.skip(f"{name} is not installed")
    assert found
    return found


@pytest.fixture
def bare(binary: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """Return a function from a fixture's name to a copy of it without symbols and debugging information."""

    def make(name: str) -> Path:
        folder = tmp_path / "bare"
        folder.mkdir(exist_ok=True)
        subprocess.run([tool("strip"), "-o", folder / name, binary(name)], check=True)
        return folder / name

    return make


def run(path: Path) -> tuple[int, bytes, bytes]:
    done = subprocess.run([path], capture_output=True, check=False, timeout=60)
    return done.returncode, done.stdout, done.stderr


def gdb(path: Path, *commands: str) -> str:
    options = [option for command in commands for option in ("-ex", command)]
    command = [tool("gdb"), "-nx", "-batch", "-iex", "set auto-load off", *options, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


@pytest.mark.parametrize("name", [*STRIPPED, *PIES])
def test_copy_runs_as_the_program_does(name: str, bare: Callable[[str], Path], tmp_path: Path) -> None:
    """Same output and status natively, the same bytes in memory but for the header's word on sections, same mode."""
    program, copy = bare(name), tmp_path / "copy"
    program.chmod(0o750)

    write(program, copy)

    assert run(copy) == run(program)
    before, after = load(program), load(copy)
    assert after.segments == before.segments
    for segment in before.segments:
        old, new = (bytearray(i.data[segment.offset :][: segment.file_size]) for i in (before, after))
        for at in (at for part in HEADER_OF_SECTIONS for at in part if not segment.offset):
            old[at] = new[at] = 0
        assert new == old
    assert stat.S_IMODE(copy.stat().st_mode) == 0o750
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["copy"]


@pytest.mark.parametrize("name", ["esbuild-0.1.0", "buildifier-4.0.1", "hello-1.19.8", "hello-1.27.3", PIES[0]])
def test_functions_are_named_as_the_linker_named_them(
    name: str, bare: Callable[[str], Path], image: Callable[[str], Image]
) -> None:
    """Each function of the unstripped program's own symbol table: address, size, name.

    Go's linker adds .abi0 to some assembly functions that stand alone, too, as their wrapper was left out; and the
    pclntab holds [...] for the type arguments in a name.  C functions are in none.
    """
    table = image(name).pclntab
    judge = {
        (s.addr, s.size): s.name
        for s in image(name).symbols.all
        if s.kind == STT_FUNC and s.size and table.find(s.addr) and not s.name.startswith("go:")  # marks, no code
    }

    copy = parse(symbolize(load(bare(name))).data, "copy")
    found = {(s.addr, s.size): s.name for s in copy.symbols.all if s.kind == STT_FUNC and s.size}

    assert found.keys() == judge.keys()
    wrong = [(found[at], name) for at, name in judge.items() if found[at] != name]
    twice = {name.removesuffix(".abi0") for name in found.values() if name.endswith(".abi0")}
    assert all(plain not in twice and (f"{plain}.abi0" == real or "[...]" in plain) for plain, real in wrong)
    assert twice or image(name).release < (1, 17)


@pytest.mark.parametrize("name", ["hello-1.21.13", "hello-1.27.3", PIES[2]])
def test_variables_lie_where_the_linker_put_them(
    name: str, bare: Callable[[str], Path], image: Callable[[str], Image]
) -> None:
    """Recovered variables have the address and the size that the unstripped program's symbol table says."""
    judge = {s.name: s for s in image(name).symbols.all}

    copy = parse(symbolize(load(bare(name))).data, "copy")
    found = [s for s in copy.symbols.all if s.kind == STT_OBJECT and s.size]

    assert {"runtime.physPageSize", "runtime.gomaxprocs"} <= {s.name for s in found}
    assert [s for s in found if judge.get(s.name) != s] == []


@pytest.mark.parametrize("name", ["hello-1.27.3-stripped", PIES[2]])
def test_other_readers_find_nothing_wrong(name: str, bare: Callable[[str], Path], tmp_path: Path) -> None:
    """Readelf and strip have no complaint, pyelftools and nm list the names in the right sections."""
    copy = tmp_path / "copy"
    write(bare(name), copy)

    listed = subprocess.run([tool("readelf"), "-aW", copy], capture_output=True, text=True, check=True)
    names = subprocess.run([tool("nm"), copy], capture_output=True, text=True, check=True).stdout
    with copy.open("rb") as file:
        elf = ELFFile(file)
        symbol = elf.get_section_by_name(".symtab").get_symbol_by_name("runtime.physPageSize")[0]
        section = elf.get_section(symbol["st_shndx"])

    assert "Warning" not in listed.stdout + listed.stderr
    assert re.search(r"^[0-9a-f]+ T runtime\.osinit$", names, re.MULTILINE)
    assert re.search(r"^[0-9a-f]+ T runtime\.osinit\.abi0$", names, re.MULTILINE)
    assert section["sh_addr"] <= symbol["st_value"] < section["sh_addr"] + section["sh_size"]
    assert section.name.startswith((".noptr", ".data", ".bss"))
    again = tmp_path / "again"
    subprocess.run([tool("strip"), "-o", again, copy], check=True)
    assert run(again) == run(copy)


@pytest.mark.parametrize(
    ("name", "cpus"), [("hello-1.21.13-stripped", "runtime.ncpu"), ("hello-1.27.3-stripped", "runtime.numCPUStartup")]
)
def test_gdb_stops_by_name_and_prints_by_name(
    name: str, cpus: str, binary: Callable[[str], Path], tmp_path: Path
) -> None:
    """It breaks on runtime.osinit, where the CPUs are not counted yet, and at runtime.mstart they are."""
    copy = tmp_path / "copy"
    write(binary(name), copy)
    allowed = len(os.sched_getaffinity(0))

    out = gdb(
        copy, "break runtime.osinit", "run", f"x/dw &'{cpus}'", "break runtime.mstart", "continue", f"x/dw &'{cpus}'"
    )

    assert re.findall(r"^Breakpoint \d, \S+ in runtime\S*", out, re.MULTILINE)
    assert re.findall(rf"<{re.escape(cpus)}>:\s*(\d+)", out) == ["0", str(allowed)]


@pytest.mark.parametrize("name", [*STRIPPED, PIES[2]])
def test_boot_of_the_copy_is_that_of_the_program(name: str, bare: Callable[[str], Path]) -> None:
    """The whole record, apart from the file's hash, and that names now come from symbols as well."""
    program = load(bare(name))
    copy = parse(symbolize(program).data, program.name)
    world = World(argv=("hello",))

    before, after = (boot(i, world).as_dict() for i in (program, copy))

    assert (before["binary"].pop("stripped"), after["binary"].pop("stripped")) == (True, False)
    assert before["binary"].pop("sha256") != after["binary"].pop("sha256")
    assert before.pop("evidence").keys() == after.pop("evidence").keys()
    for record in (before, after):
        for call in record["functions"]:
            for written in call["writes"]:
                assert written.pop("source") in ("recovered", "symbol")
    assert after == before


def test_symbols_that_are_there_stay(image: Callable[[str], Image]) -> None:
    """An unstripped program has all names, so its copy is the same file; so is the copy of a copy."""
    whole = symbolize(image("hello-1.27.3"))
    assert whole.data == bytes(image("hello-1.27.3").data)
    assert (whole.functions, whole.globals, whole.bounds) == (0, 0, 0)
    assert whole.known == len(image("hello-1.27.3").symbols.all)

    once = symbolize(image("hello-1.27.3-stripped"))
    twice = symbolize(parse(once.data, "copy"))
    assert twice.data == once.data


def test_missing_symbols_are_added_to_those_that_are_there(image: Callable[[str], Image]) -> None:
    """Where a table lacks a few names they are appended, and the others keep number, section and size."""
    once = parse(symbolize(image("hello-1.27.3-stripped")).data, "copy")
    section = next(s for s in once.sections if s.name == ".symtab")
    # The last 100 entries are cut off: bounds of the data, and some variables.
    header = once.elf.header.shoff + (once.sections.index(section) + 1) * 64
    cut = parse(patched(bytes(once.data), header + 32, "<Q", section.size - 100 * 24), "cut")
    assert cut.symbols.all == once.symbols.all[:-100]

    made = symbolize(cut)

    assert parse(made.data, "copy").symbols.all[: len(cut.symbols.all)] == cut.symbols.all
    assert {s.name for s in parse(made.data, "copy").symbols.all} == {s.name for s in once.symbols.all}


def test_a_file_without_sections_gets_some(binary: Callable[[str], Path], tmp_path: Path) -> None:
    """One a segment, so that symbols have a place to be in; the copy runs, and nm knows code from data."""
    data = binary("hello-1.27.3-stripped").read_bytes()
    for offset, code in ((E_SHOFF, "<Q"), (E_SHNUM, "<H"), (E_SHSTRNDX, "<H")):
        data = patched(data, offset, code, 0)
    program, copy = tmp_path / "program", tmp_path / "copy"
    program.write_bytes(data)
    program.chmod(0o755)

    _, made = write(program, copy)

    assert [s.name for s in load(copy).sections] == [
        ".text",
        ".rodata",
        ".data",
        ".bss",
        ".shstrtab",
        ".strtab",
        ".symtab",
    ]
    assert made.notes == ("the file has no section table: the copy has one, made from its segments",)
    names = subprocess.run([tool("nm"), copy], capture_output=True, text=True, check=True).stdout
    assert " T runtime.osinit\n" in names
    assert " B runtime.physPageSize\n" in names
    assert run(copy) == run(program)


def test_what_stands_behind_the_sections_is_kept_and_told(image: Callable[[str], Image]) -> None:
    """An archive appended to a program stays where it was, and a note says that it is no longer last."""
    data = bytes(image("hello-1.27.3-stripped").data) + b"archive"

    made = symbolize(parse(data, "program"))

    assert made.data[: len(data)][EHDR.size :] == data[EHDR.size :]
    assert made.notes == ("7 bytes behind all sections stay in place, but no longer end the file",)


def test_c_code_is_told_to_stay_without_names(bare: Callable[[str], Path]) -> None:
    """Of a program that holds a C library, the pclntab names the Go half only."""
    made = symbolize(load(bare(PIES[2])))

    (note,) = made.notes
    assert re.fullmatch(r"[\d,]+ bytes of code are not Go's: nothing names their functions", note)


def test_parts_of_a_variable_are_no_symbols(image: Callable[[str], Image]) -> None:
    """What a recovery knows of a struct whose whole it does not know is counted, not written."""
    program = image("hello-1.27.3-stripped")
    names, addrs = ["runtime.one", "runtime.sched.maxmcount", "runtime.m0.tls[0]"], [0x570000, 0x570010, 0x570020]
    tables = LayoutTables('\n["int","int64",8]', (names, addrs, [0, 0, 0]), "")

    made = symbolize(replace(program, layouts=Layouts(tables)))

    assert (made.globals, made.parts) == (1, 2)
    assert parse(made.data, "copy").symbols.get("runtime.one") == Symbol("runtime.one", 0x570000, 8, STT_OBJECT)


def test_a_damaged_function_costs_its_name_only(image: Callable[[str], Image]) -> None:
    """A record of the pclntab that points outside of it: all others are named."""
    program = image("hello-1.27.3-stripped")
    table = program.pclntab
    where = table.offset + int.from_bytes(program.data[table.offset + 64 : table.offset + 72], "little")
    damaged = patched(bytes(program.data), where + 100 * 8 + 4, "<I", 0xFFFFFFF0)

    made = symbolize(parse(damaged, "damaged"))

    assert made.functions == symbolize(program).functions - 1


@pytest.mark.parametrize("force", [False, True])
def test_the_program_itself_is_never_overwritten(force: bool, bare: Callable[[str], Path], tmp_path: Path) -> None:
    """Not by its own name, and not by another name for it."""
    program = bare("hello-1.27.3")
    before = program.read_bytes()
    link = tmp_path / "link"
    link.symlink_to(program)

    for target in (program, link, program.parent / ".." / "bare" / program.name):
        with pytest.raises(ImageError, match="is the program itself"):
            write(program, target, force)

    assert program.read_bytes() == before


def test_a_file_that_exists_is_overwritten_only_by_force(bare: Callable[[str], Path], tmp_path: Path) -> None:
    program, copy = bare("hello-1.27.3"), tmp_path / "copy"
    copy.write_text("mine")

    with pytest.raises(ImageError, match=r"copy: exists already \(--force overwrites it\)$"):
        write(program, copy)
    assert copy.read_text() == "mine"
    write(program, copy, force=True)

    assert run(copy) == run(program)


def test_a_write_that_fails_leaves_nothing(
    bare: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk at the last moment: one line, the old file as it was, no temporary file."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    program, folder = bare("hello-1.27.3"), tmp_path / "out"
    folder.mkdir()
    (folder / "copy").write_text("mine")
    monkeypatch.setattr(Path, "replace", full)

    with pytest.raises(ImageError, match=r"copy: no space left on device$"):
        write(program, folder / "copy", force=True)

    assert [path.name for path in folder.iterdir()] == ["copy"]
    assert (folder / "copy").read_text() == "mine"
